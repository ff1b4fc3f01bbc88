// Changes that a second operator must approve: what waits, what each would change, and what has
// become of those before.

import { html } from "./html.js";
import { at, change, may, useQuery, withQuery } from "./api.js";
import { t } from "./words.js";
import { Ask, Asked, Card, Countdown, Danger, Empty, State, Table, Time } from "./parts.js";
import { Diff, Path, local } from "./review.js";
import "./words-now.js";
import "./words-plan.js";

const patience = 60000;
const decide = (of, what, values) => change("POST", at("approvals", of.id, what), values, { patience });

function Decide({ of, session }) {
  const words = { of: String(of.id), title: t("approval.title", { id: of.id, what: of.what }), done: t("approval.approved_done", { id: of.id }), disabled: of.base_changed || Boolean(of.problems?.length) };
  return html`<div class="buttons">
    ${of.may_approve && (of.kind === "end_session" ? html`<${Danger} label=${t("approval.approve")} name=${of.session} title=${words.title} text=${t("step.end_say")} done=${words.done} disabled=${words.disabled} onDo=${(values) => decide(of, "approve", values)} />`
      : html`<${Ask} label=${t("approval.approve")} strong ...${words} text=${t("approval.approve_say", { by: of.by })} onDo=${(values) => decide(of, "approve", values)} />`)}
    <${Ask} label=${t(of.by === session.name ? "approval.take_back" : "approval.reject")} of=${String(of.id)} title=${words.title} done=${t("approval.rejected_done", { id: of.id })} onDo=${(values) => decide(of, "reject", values)} />
  </div>`;
}

// Pending is one that waits, with what approving it would change now.
function Pending({ of: { id }, session }) {
  const asked = useQuery(at("approvals", id), { every: 5000 });
  return html`<${Asked} of=${asked}>${(of) => html`<${Card} level=${3} title=${`${of.id} · ${of.what}`} aside=${html`<${State} group="approvalstate" is=${of.state} />${of.state === "pending" && html`<${Countdown} to=${of.expires} />`}`}>
    <p>${t("approval.asked", { by: of.by })} <${Time} at=${of.at} />${of.note && html` · <q><bdi>${of.note}</bdi></q>`}</p>
    <p class="hint">${t("approval.why")} ${of.why.join("; ")}</p>
    ${of.base_changed && html`<p class="warn">${t("approval.base_changed")}</p>`}
    ${(of.problems || []).map((p) => html`<p class="bad"><${Path} of=${p.path} />: ${local(p.message)}</p>`)}
    <${Diff} of=${of.changes || []} />
    ${of.left_out > 0 && html`<p class="hint">${t("word.more_problems", { n: of.left_out })}</p>`}
    ${of.state === "pending" && of.by === session.name && html`<p class="hint">${t("approval.not_own")}</p>`}
    ${of.state === "pending" && may(session, "operator") && html`<${Decide} of=${of} session=${session} />`}
  <//>`}<//>`;
}

function Rules({ of }) {
  const rules = [of.plan_units > 0 && t("approval.plan_units", { n: of.plan_units }), of.plan_listings > 0 && t("approval.plan_listings", { n: of.plan_listings }), of.words && t("approval.words"), of.end_session && t("approval.end_session")].filter(Boolean);
  return html`<p class="hint">${rules.length ? t("approval.rules", { rules: rules.join(", ") }) : t("approval.no_rules")}</p>`;
}

export function Approvals({ query, session }) {
  const asked = useQuery(at("approvals"), { every: 4000 });
  const chosen = Number(query.get("id"));
  return html`<${Asked} of=${asked}>${({ rules, approvals }) => {
    const waiting = approvals.filter((a) => a.state === "pending" || a.id === chosen);
    const over = approvals.filter((a) => a.state !== "pending");
    return html`<${Card} title=${t("approval.waiting")}><${Rules} of=${rules} />
        ${waiting.length === 0 ? html`<${Empty} title=${t("approval.none")} />` : waiting.map((a) => html`<${Pending} key=${a.id} of=${a} session=${session} />`)}<//>
      ${over.length > 0 && html`<${Card} title=${t("approval.over")}><${Table} of=${t("approval.over")} rows=${over} rowKey=${(a) => a.id} columns=${[
        { title: t("approval.number"), cell: (a) => html`<a href=${withQuery("/plan", { part: "approvals", id: a.id })}>${a.id}</a>`, sort: (a) => a.id },
        { title: t("plan.what"), wide: true, cell: (a) => a.what }, { title: t("plan.state"), cell: (a) => html`<${State} group="approvalstate" is=${a.state} />`, sort: (a) => a.state },
        { title: t("approval.by"), cell: (a) => html`<bdi>${a.by}</bdi><br /><small class="hint"><${Time} at=${a.at} /></small>` },
        { title: t("approval.decided"), cell: (a) => a.decided_by && html`<bdi>${a.decided_by}</bdi><br /><small class="hint"><${Time} at=${a.decided_at} /></small>` },
        { title: t("approval.note"), wide: true, cell: (a) => html`<bdi>${[a.note, a.decision_note].filter(Boolean).join(" · ")}</bdi>` },
      ]} /><//>`}`;
  }}<//>`;
}
