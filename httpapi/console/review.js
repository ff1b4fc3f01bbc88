// A plan is looked at before it is applied: what it would change stands there, and a button
// then does just that. Forms and files go the same way.

import { html, useState } from "./html.js";
import { Refused, at, change, refreshed, withQuery } from "./api.js";
import { has, moment, number, t } from "./words.js";
import { go } from "./route.js";
import { Card, Form, Problem, awaits, said } from "./parts.js";
import "./words-plan.js";

const patience = 60000; // a plan of many sessions takes its time
const instant = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;

// local says what the API says with its times by this browser's clock.
export const local = (text) => text.replace(instant, (at) => moment(Date.parse(at)));

const inMinor = ["price", "list_price", "coupons_up_to"];

// Path is a place in a plan, in words.
export function Path({ of }) {
  const steps = [...of.matchAll(/(\w+)\[([^\]]*)\]|(\w+)/g)];
  return html`<span class="path">${steps.map(([, kind, id, field]) => html`<span>${field === undefined
    ? html`<small>${t("planpart." + kind)}</small> <bdi>${id}</bdi>` : html`${has("field." + field) ? t("field." + field) : field}${inMinor.includes(field) && html` <small>${t("plan.minor")}</small>`}`}</span>`)}</span>`;
}

const atOnce = 50; // changes that are shown without being asked for
const priced = / units at \d/; // of a listing that is new

// Diff shows changes as a plan's dry run, an approval or the history has them.
export function Diff({ of }) {
  const [most, setMost] = useState(atOnce);
  if (of.length === 0) return html`<p class="hint">${t("plan.same")}</p>`;
  return html`<ul class="diff" aria-label=${t("plan.changes")}>${of.slice(0, most).map((c) => html`<li key=${c.path}><${Path} of=${c.path} />
      <span>${c.before && html`<del><span class="unseen">${t("plan.before")}: </span><bdi>${local(c.before)}</bdi></del>`}</span>
      <span>${c.after && html`<ins><span class="unseen">${t("plan.after")}: </span><bdi>${local(c.after)}</bdi></ins>${priced.test(c.after) && html` <small class="hint">${t("plan.minor")}</small>`}`}</span></li>`)}</ul>
    ${of.length > most && html`<button type="button" class="more" onClick=${() => setMost(most + 10 * atOnce)}>${t("word.more_problems", { n: number(of.length - most) })}</button>`}`;
}

const post = (path, { text, type }) => change("POST", path, text, { type, patience });
const look = (plan) => post(withQuery(at("plan"), { dry_run: "true" }), plan);

// A session that is to open "now" opens at another time whenever one asks.
const gist = (answer) => JSON.stringify(answer.changes.map((c) => [c.path, c.before, c.before ? c.after : c.after.replace(instant, "")]));

// useReview keeps the plan that is looked at, and what it would change.
export function useReview() {
  const [plan, set] = useState(null);
  return { plan, set, forget: () => set(null), look: async (text, type) => set({ text, type, answer: await look({ text, type }) }) };
}

// Review shows what the plan of a review would change, and applies it. onDone is told the changes
// once it is.
export function Review({ of: { plan, set, forget }, onDone }) {
  if (!plan) return null;
  const { changes, notes = [], needs_approval: why = [] } = plan.answer;
  const apply = async () => {
    const answer = await look(plan);
    if (gist(answer) !== gist(plan.answer)) {
      set({ ...plan, answer });
      throw new Refused(409, { title: t("plan.moved"), detail: t("plan.moved_say") });
    }
    const told = await post(at("plan"), plan);
    await refreshed(); // what is done next begins with what there is now
    forget();
    if (awaits(told)) {
      said(t("word.awaits", { id: told.id }));
      go(withQuery("/plan", { part: "approvals", id: told.id }));
      return;
    }
    said(t("plan.applied"));
    onDone?.(changes);
  };
  return html`<${Card} id="review" title=${changes.length ? t("plan.would", { n: number(changes.length) }) : t("plan.would_not")}>
    <${Diff} of=${changes} />
    ${notes.length > 0 && html`<h3>${t("plan.notes")}</h3><ul class="notes">${notes.map((n) => html`<li class="warn"><${Path} of=${n.path} /> ${local(n.message)}</li>`)}</ul>`}
    ${why.length > 0 && html`<div class="notice"><p><strong>${t("approval.needed")}</strong></p><ul>${why.map((line) => html`<li>${line}</li>`)}</ul></div>`}
    ${changes.length > 0 ? html`<${Form} className="buttons" label=${t(why.length > 0 ? "approval.ask" : "plan.apply")} onDo=${apply}>
      <button type="button" onClick=${forget}>${t("word.cancel")}</button><//>` : null}
  <//>`;
}

// Wrong is an error of this page's own, in words.
export const Wrong = ({ text }) => text && html`<${Problem} error=${new Error(text)} />`;
