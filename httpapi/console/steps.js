// What an operator has a session do, wherever it is shown: publish, pause, resume, end, settle.

import { html } from "./html.js";
import { at, change, may } from "./api.js";
import { number, t } from "./words.js";
import { Ask, Countdown, Danger, Time } from "./parts.js";
import "./words-now.js";

export const over = (s) => s.state === "ended" || s.state === "settled";
export const stateOf = (s) => (s.paused && !over(s) ? "paused" : s.state);

// endOf is when a session ended, which may be before its time, or is to end.
export const endOf = (s) => s.ended_at || s.end;

// When says how long it is until a session changes by itself.
export function When({ of }) {
  if (over(of)) return html`<span class="hint"><${Time} at=${endOf(of)} /></span>`;
  const to = of.state === "open" ? of.end : of.start;
  if (of.state === "draft") return html`<span class="hint"><${Time} at=${of.start} /></span>`;
  return html`<span class="when"><span class="hint">${t(of.state === "open" ? "now.ends_in" : "now.starts_in")}</span> <${Countdown} to=${to} /></span>`;
}

const steps = {
  publish: (s) => s.state === "draft",
  pause: (s) => !s.paused && (s.state === "published" || s.state === "open"),
  resume: (s) => s.paused && (s.state === "published" || s.state === "open"),
};
// stillHeld is how many units of a session nobody has paid for yet: so long it can't be settled.
const stillHeld = (s) => s.listings.reduce((sum, l) => sum + (l.counts?.held || 0), 0);

const finals = { end: (s) => !over(s), settle: (s) => s.state === "ended" };

export const Steps = ({ of, session }) => may(session, "operator") && Object.values(steps).some((when) => when(of)) && html`<div class="buttons">${Object.entries(steps).filter(([, when]) => when(of)).map(([step]) => html`
  <${Ask} key=${step} label=${t("step." + step)} of=${of.id} title=${`${t("step." + step)}: ${of.id}`} text=${t(`step.${step}_say`)} done=${t(`step.${step}_done`, { id: of.id })}
    onDo=${(values) => change("POST", at("sessions", of.id, step), values)} />`)}</div>`;

export const Finals = ({ of, session }) => may(session, "operator") && Object.values(finals).some((when) => when(of)) && html`<div class="apart">
  <span class="hint">${t("word.final")}</span>
  ${Object.entries(finals).filter(([, when]) => when(of)).map(([step]) => html`
    <${Danger} key=${step} label=${t("step." + step)} name=${of.id} title=${`${t("step." + step)}: ${of.id}`} text=${t(`step.${step}_say`)} done=${t(`step.${step}_done`, { id: of.id })}
      disabled=${step === "settle" && stillHeld(of) > 0} onDo=${(values) => change("POST", at("sessions", of.id, step), values)} />`)}
  ${of.state === "ended" && stillHeld(of) > 0 && html`<span class="hint">${t("step.settle_held", { n: number(stillHeld(of)) })}</span>`}</div>`;

// Report leads to what has come of a session so far.
export const Report = ({ of }) => (over(of) || of.state === "open") && html`<a class="button" href=${`/after/${encodeURIComponent(of.id)}`}>${t("step.report")}</a>`;
