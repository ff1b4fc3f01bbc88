// What an operator has a session do, wherever it is shown: publish, pause, resume, end, settle.

import { html } from "./html.js";
import { at, change, may } from "./api.js";
import { t } from "./words.js";
import { Ask, Countdown, Danger, Time } from "./parts.js";
import "./words-now.js";

export const over = (s) => s.state === "ended" || s.state === "settled";
export const stateOf = (s) => (s.paused && !over(s) ? "paused" : s.state);

// When says how long it is until a session changes by itself.
export function When({ of }) {
  if (over(of)) return html`<span class="hint"><${Time} at=${of.end} /></span>`;
  const to = of.state === "open" ? of.end : of.start;
  if (of.state === "draft") return html`<span class="hint"><${Time} at=${of.start} /></span>`;
  return html`<span class="when"><span class="hint">${t(of.state === "open" ? "now.ends_in" : "now.starts_in")}</span> <${Countdown} to=${to} /></span>`;
}

const steps = {
  publish: (s) => s.state === "draft",
  pause: (s) => !s.paused && (s.state === "published" || s.state === "open"),
  resume: (s) => s.paused && (s.state === "published" || s.state === "open"),
};
const finals = { end: (s) => !over(s), settle: (s) => s.state === "ended" };

export const Steps = ({ of, session }) => may(session, "operator") && html`<div class="buttons">${Object.entries(steps).filter(([, when]) => when(of)).map(([step]) => html`
  <${Ask} key=${step} label=${t("step." + step)} of=${of.id} title=${`${t("step." + step)}: ${of.id}`} text=${t(`step.${step}_say`)} done=${t(`step.${step}_done`, { id: of.id })}
    onDo=${(values) => change("POST", at("sessions", of.id, step), values)} />`)}</div>`;

export const Finals = ({ of, session }) => may(session, "operator") && Object.values(finals).some((when) => when(of)) && html`<div class="apart">
  <span class="hint">${t("word.final")}</span>
  ${Object.entries(finals).filter(([, when]) => when(of)).map(([step]) => html`
    <${Danger} key=${step} label=${t("step." + step)} name=${of.id} title=${`${t("step." + step)}: ${of.id}`} text=${t(`step.${step}_say`)} done=${t(`step.${step}_done`, { id: of.id })}
      onDo=${(values) => change("POST", at("sessions", of.id, step), values)} />`)}</div>`;
