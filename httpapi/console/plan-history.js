// What was changed by plans, of words and with switches, the newest first; and the last plan,
// or the last change of a sale's words, one step back.

import { html, useState } from "./html.js";
import { at, change, may, usePages, withQuery } from "./api.js";
import { setQuery } from "./route.js";
import { t } from "./words.js";
import { Card, Dialog, Empty, Field, Form, Pages, Problem, Time, awaits, said, useDoing, useFields } from "./parts.js";
import { Diff } from "./review.js";
import "./words-crowd.js";
import "./words-plan.js";

const patience = 60000;
const kinds = ["", "plan", "words", "switches"];

const messageOf = ({ changes: [first] }) => first?.path.match(/^sales\[(.+)\]\.messages\.([^.]+)/);

// stepOf is what takes an entry back, if it can be: the last plan, and the last change of a
// message of a sale.
function stepOf(e, all) {
  if (e.kind === "plan" && e.action === "apply" && e === all.find((other) => other.kind === "plan")) return at("plan", "back");
  const message = e.kind === "words" && messageOf(e);
  const last = message && all.find((other) => other.changes.some(({ path }) => path.startsWith(message[0] + ".")));
  return last === e ? at("messages", message[1], message[2], "back") : null;
}

// Back shows what a step back would change, and takes it.
function Back({ step, would, onClose }) {
  const form = useFields({ note: "" });
  const take = async () => {
    const answer = await change("POST", step, would.plan && { of: would.plan.index, note: form.values.note.trim() || undefined }, { patience });
    onClose();
    said(awaits(answer) ? t("word.awaits", { id: answer.id }) : t("history.back_done"));
  };
  return html`<${Dialog} title=${t("history.back")} onClose=${onClose}>
    <${Diff} of=${would.changes} />
    <${Form} className="stack" label=${t("history.back")} onDo=${take}>
      ${would.plan && html`<${Field} label=${t("word.note")} maxlength="300" ...${form.of("note")} />`}<//>
  <//>`;
}

function Entry({ of, step }) {
  const [would, setWould] = useState(null);
  const look = useDoing(async () => setWould(await change("POST", withQuery(step, { dry_run: "true" }), of.kind === "plan" ? {} : undefined, { patience })));
  const changes = of.kind === "switches" ? of.changes.map((c) => ({ ...c, path: c.path.replace("switches.", "") })) : of.changes;
  return html`<${Card} level=${3} title=${[t("historykind." + of.kind), of.kind === "switches" ? t("switchaction." + of.action) : t("historyaction." + of.action), of.profile].filter(Boolean).join(" · ")}
      aside=${step && html`<button type="button" disabled=${look.busy} onClick=${look.run}>${t("history.look")}</button>`}>
    <p><${Time} at=${of.at} /> · <bdi>${of.by}</bdi>${of.approved_by && html` · <a href=${withQuery("/plan", { part: "approvals", id: of.approval })}>${t("history.approved", { by: of.approved_by })}</a>`}
      ${of.note && html` · <q><bdi>${of.note}</bdi></q>`}</p>
    ${changes.length > 0 && html`<${Diff} of=${changes} />`}
    ${of.left_out > 0 && html`<p class="hint">${t("word.more_problems", { n: of.left_out })}</p>`}
    <${Problem} error=${look.error} />
    ${would && html`<${Back} step=${step} would=${would} onClose=${() => setWould(null)} />`}
  <//>`;
}

export function Past({ query, session }) {
  const kind = kinds.includes(query.get("kind")) ? query.get("kind") : "";
  const pages = usePages(withQuery(at("history"), { kind }), "entries", { next: "before" });
  return html`<${Card} title=${t("planpage.history")}>
    <p class="hint">${t("history.say")}</p>
    <${Field} label=${t("history.kind")} kind="select" value=${kind} options=${kinds.map((k) => [k, t("historykind." + (k || "all"))])} onValue=${(to) => setQuery({ kind: to })} />
    <${Pages} of=${pages}>${(rows, page) => html`
      ${rows.length === 0 && html`<${Empty} title=${t("history.nothing")} />`}
      ${rows.map((e, i) => html`<${Entry} key=${`${e.log_index} ${i}`} of=${e} step=${may(session, "operator") && stepOf(e, rows)} />`)}
      ${page.kept_since && html`<p class="hint">${t("history.since")} <${Time} at=${page.kept_since} /></p>`}`}<//>
  <//>`;
}
