// What is to come: sessions by form and by file, what a session still needs before it opens,
// and what a sale says to its shoppers.

import { html, useState } from "./html.js";
import { at, may, request, useQuery, withQuery } from "./api.js";
import { go } from "./route.js";
import { named, number, t } from "./words.js";
import { Asked, Card, Empty, Facts, Field, Form, State, Table, Time, said } from "./parts.js";
import { Finals, Report, Steps, When, endOf, over, stateOf } from "./steps.js";
import { Path, Review, Wrong, local, useReview } from "./review.js";
import { NewSession, Prices, SessionForm } from "./plan-form.js";
import { Approvals } from "./plan-approvals.js";
import { Past } from "./plan-history.js";
import { Words } from "./plan-messages.js";
import "./words-names.js";
import "./words-plan.js";

const link = (id) => html`<a href=${`/plan/${encodeURIComponent(id)}`}>${id}</a>`;

// Sessions.

function Sessions({ all, session }) {
  const [past, setPast] = useState(false);
  const rows = all.filter((s) => past || !over(s)).sort((a, b) => Date.parse(a.start) - Date.parse(b.start));
  return html`<${Card} title=${t("planpage.sessions")} aside=${html`
      ${all.some(over) && html`<button type="button" aria-pressed=${past ? "true" : "false"} onClick=${() => setPast(!past)}>${t("plan.past")}</button>`}
      ${may(session, "operator") && html`<a class="button" href="/plan?part=new">${t("plan.new")}</a>`}`}>
    ${rows.length === 0 ? html`<${Empty} title=${t("plan.nothing")}>${t("plan.nothing_say")}<//>` : html`<${Table} of=${t("planpage.sessions")} rows=${rows} rowKey=${(s) => s.id} columns=${[
      { title: t("planpart.sessions"), cell: (s) => link(s.id), sort: (s) => s.id },
      { title: t("plan.state"), cell: (s) => html`<${State} is=${stateOf(s)} />`, sort: stateOf },
      { title: t("planpart.sales"), wide: true, cell: (s) => html`<bdi>${named(s.sale_name)}</bdi>`, sort: (s) => named(s.sale_name) },
      { title: t("field.start"), cell: (s) => html`<${Time} at=${s.start} />`, sort: (s) => Date.parse(s.start) },
      { title: t("field.end"), cell: (s) => html`<${Time} at=${endOf(s)} />`, sort: (s) => Date.parse(endOf(s)) },
      { title: t("field.listings"), number: true, cell: (s) => number(s.listings.length), sort: (s) => s.listings.length },
      { title: t("field.price"), cell: (s) => html`<${Prices} of=${s} />` },
    ]} />`}
  <//>`;
}

// Checklist says what a session needs, the worst first, and where that is done.

const places = {
  session: (of) => `/plan/${encodeURIComponent(of.id)}#doings`, stock: (of) => `/plan/${encodeURIComponent(of.id)}#change`, words: (of) => withQuery("/plan", { part: "words", sale: of.sale }),
  lists: () => "/crowd", clocks: () => "/cluster", quorum: () => "/cluster", zones: () => "/cluster", alarms: () => "/now#alarms",
};
const worst = ["bad", "warn"];

function Checklist({ of }) {
  const asked = useQuery(at("sessions", of.id, "checklist"), { every: 5000 });
  return html`<${Card} id="checklist" title=${t("plan.checklist")} aside=${asked.data && html`<${State} group="check" is=${asked.data.state} />`}>
    <${Asked} of=${asked}>${(data) => {
      const good = data.checks.filter((c) => c.state === "ok");
      const others = data.checks.filter((c) => c.state !== "ok").sort((a, b) => worst.indexOf(a.state) - worst.indexOf(b.state));
      return html`${others.length > 0 && html`<${Checks} list=${others} of=${of} />`}
        <details open=${others.length === 0}><summary>${t("plan.good", { n: number(good.length) })}</summary><${Checks} list=${good} of=${of} /></details>`;
    }}<//>
  <//>`;
}

const Checks = ({ list, of }) => html`<ul class="points">${list.map((c) => html`
      <li key=${`${c.name} ${c.about}`} class="point" data-is=${c.state}>
        <${State} group="check" is=${c.state} />
        <div><p><strong>${t("checked." + c.name)}</strong> ${c.about && html`<bdi class="hint">${c.about}</bdi>`}</p>
          <p>${local(c.says)}</p>${c.do && html`<p class="do">${c.do}</p>`}</div>
        ${c.state !== "ok" && places[c.name] && html`<a href=${places[c.name](of)} aria-label=${`${t("plan.see_to")}: ${t("checked." + c.name)} ${c.about || ""}`}>${t("plan.see_to")}</a>`}
      </li>`)}</ul>`;

function Session({ id, sessions, session }) {
  const there = sessions.some((s) => s.id === id);
  const asked = useQuery(there && at("sessions", id), { every: 5000 });
  if (!there) return html`<${Empty} title=${t("plan.no_session", { id })}>${t("plan.no_session_say")}<//>`;
  return html`<${Asked} of=${asked}>${(of) => html`<${Card} id="doings" title=${html`<bdi>${named(of.sale_name)}</bdi> · ${of.id}`} aside=${html`<${State} is=${stateOf(of)} /><${When} of=${of} />`}>
      <${Facts} of=${[
        [t("field.start"), html`<${Time} at=${of.start} />`], [t("field.end"), html`<${Time} at=${endOf(of)} />`], [t("field.listings"), number(of.listings.length)],
        [t("field.stock"), number(of.listings.reduce((sum, l) => sum + (l.counts?.stock || 0), 0))],
      ]} />
      <div class="buttons"><${Steps} of=${of} session=${session} />
        <a class="button" href=${withQuery("/now", { session: of.id })}>${t("plan.watch")}</a>
        <${Report} of=${of} />
        <a class="button" href=${withQuery("/plan", { part: "words", sale: of.sale })}>${t("plan.words")}</a>
        ${may(session, "operator") && html`<a class="button" href=${withQuery("/plan", { part: "new", like: of.id })}>${t("plan.like")}</a>`}</div>
      ${(of.findings || []).map((f) => html`<p class="warn"><${Path} of=${f.path} />: ${f.message}</p>`)}
      <${Finals} of=${of} session=${session} />
    <//>
    ${!over(of) && html`<${Checklist} of=${of} />`}
    ${!over(of) && may(session, "operator") && html`<${Card} id="change" title=${t("plan.change")}><${SessionForm} of=${of} sessions=${sessions} /><//>`}`}<//>`;
}

// The plan as a file.

// again has the same file taken once more, once it has been mended.
const again = (event) => (event.target.value = "");
const mostBytes = 4 << 20; // of a file that a node reads

function File({ session }) {
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState("");
  const [applied, setApplied] = useState([]); // changes
  const review = useReview();
  const change = (to) => {
    setText(to);
    setApplied([]);
    review.forget();
  };
  const take = async (file) => {
    if (!file) return;
    if (file.size > mostBytes) {
      setWrong(t("plan.too_large", { name: file.name, size: number(file.size), most: number(mostBytes) }));
      return;
    }
    setWrong("");
    change(await file.text());
  };
  const fetchPlan = async () => change(await (await request(at("plan"))).text());
  return html`<${Card} title=${t("plan.file")} aside=${html`<a class="button" href=${at("plan")} download="plan.yaml">${t("plan.export")}</a>`}>
      <p class="hint">${t("plan.file_say")}</p>
      ${may(session, "operator") && html`
        <${Form} className="stack plan-form" label=${t("plan.look")} onDo=${() => review.look(text, "application/yaml")}>
          <div class="row">
            <${Field} label=${t("plan.choose")} kind="file" accept=".yaml,.yml,.json,application/yaml,application/json" onClick=${again} onValue=${take} />
            <button type="button" onClick=${() => fetchPlan().catch((error) => said(error.message, true))}>${t("plan.begin")}</button>
          </div>
          <${Wrong} text=${wrong} />
          <${Field} label=${t("plan.text")} kind="area" rows="18" spellcheck=${false} required value=${text} onValue=${change} />
        <//>`}
    <//>
    <${Review} of=${review} onDone=${(changes) => {
      change("");
      setApplied(changes);
    }} />
    <${Touched} by=${applied} />`;
}

const mostTouched = 20; // sessions that are led to

// Touched leads on to the sessions that an applied plan has made or changed.
function Touched({ by }) {
  const ids = [...new Set(by.map((c) => /\.sessions\[([^\]]*)\]/.exec(c.path)?.[1]).filter(Boolean))];
  return ids.length > 0 && html`<${Card} id="touched" title=${t("plan.touched")}>
    <p class="hint">${t("plan.touched_say")}</p>
    <div class="buttons">${ids.slice(0, mostTouched).map((id) => html`<a class="button" key=${id} href=${`/plan/${encodeURIComponent(id)}`}>${id}</a>`)}
      ${ids.length > mostTouched && html`<a href="/plan">${t("plan.touched_rest", { n: number(ids.length - mostTouched) })}</a>`}</div>
  <//>`;
}

const parts = { sessions: null, file: File, words: Words, approvals: Approvals, history: Past };

const Parts = ({ at: part }) => html`<nav class="tabs" aria-label=${t("view.plan")}>${Object.keys(parts).map((name) => html`
  <a href=${name === "sessions" ? "/plan" : `/plan?part=${name}`} aria-current=${name === part ? "page" : undefined}>${t("planpage." + name)}</a>`)}</nav>`;

export function View({ path, query, session }) {
  const asked = useQuery(at("sessions"), { every: 5000 });
  const part = query.get("part") || "sessions";
  const Part = parts[part];
  return html`<h1>${t("view.plan")}</h1>
    <${Parts} at=${path ? "" : part} />
    ${!path && Part ? html`<${Part} query=${query} session=${session} />` : html`<${Asked} of=${asked}>${({ sessions }) => path ? html`<${Session} key=${path} ...${{ id: path, sessions, session }} />`
      : part === "new" && may(session, "operator") ? html`<${NewSession} key=${query.toString()} sessions=${sessions} like=${query.get("like")} profile=${query.get("profile")} onDone=${() => go("/plan")} />`
        : html`<${Sessions} all=${sessions} session=${session} />`}<//>`}`;
}
