// What a sale says to its shoppers, in both languages, as they see it.

import { html, useState } from "./html.js";
import { at, change, get, may, useQuery } from "./api.js";
import { setQuery } from "./route.js";
import { named, t } from "./words.js";
import { Ask, Asked, Card, Dialog, Empty, Field, Form, awaits, said, useFields } from "./parts.js";
import { Wrong } from "./review.js";
import "./words-plan.js";

const tongues = ["en", "zh"];

// examples of what is filled in, in the language of the text whatever the console's is.
const examples = { position: "12", count: "2", start: "10:00", draw_at: "10:00:03", result_url: "/v1/orders/…", amount: "3.20" };
const inTongue = { en: { ...examples, pay_within: "15 minutes", scope: "this item" }, zh: { ...examples, pay_within: "15分钟", scope: "本商品" } };

// shown is a text as a shopper may see it.
const shown = (text, lang) => text.replace(/\{(\w+)\}/g, (whole, name) => inTongue[lang][name] ?? whole);

const Say = ({ text, lang }) => html`<p class="bubble" lang=${lang === "zh" ? "zh-CN" : "en"}><bdi>${shown(text, lang)}</bdi></p>`;

const own = (message, sale) => message.sales[sale] || {};
const same = (a, b) => tongues.every((lang) => (a[lang] || "") === (b[lang] || ""));

function Editing({ message, sale, onClose }) {
  const form = useFields({ en: "", zh: "", ...own(message, sale) });
  const [base, setBase] = useState(own(message, sale));
  const [theirs, setTheirs] = useState(null);
  const send = async () => {
    const { messages } = await get(at("messages"));
    const now = own(messages.find((m) => m.name === message.name), sale);
    if (!same(now, base)) { // somebody else was here meanwhile
      setTheirs(now);
      setBase(now);
      return;
    }
    const text = Object.fromEntries(tongues.map((lang) => [lang, form.values[lang].trim()]).filter(([, said]) => said));
    const path = at("messages", sale, message.name);
    const answer = Object.keys(text).length ? await change("PUT", path, { text }) : await change("DELETE", path);
    onClose();
    said(awaits(answer) ? t("word.awaits", { id: answer.id }) : t("plan.words_done", { name: t("message." + message.name) }));
  };
  return html`<${Dialog} title=${t("message." + message.name)} onClose=${onClose}>
    ${message.placeholders.length > 0 && html`<p class="hint">${t("plan.placeholders", { list: message.placeholders.map((p) => `{${p}}`).join(", ") })}</p>`}
    <${Form} className="stack" label=${t("plan.save")} onDo=${send}>
      ${tongues.map((lang) => html`<div key=${lang}>
        <${Field} label=${t("tongue." + lang)} hint=${t("plan.shop_says", { text: message.shop[lang] || "" })} maxlength="1024" lang=${lang === "zh" ? "zh-CN" : "en"} ...${form.of(lang)} />
        <p class="hint">${t("plan.seen_as")}</p><${Say} text=${form.values[lang] || message.shop[lang] || ""} lang=${lang} /></div>`)}
      ${theirs && html`<${Wrong} text=${t("plan.words_conflict", { en: theirs.en || t("plan.shop_words"), zh: theirs.zh || t("plan.shop_words") })} />`}
    <//>
  <//>`;
}

function Messages({ sale, messages, session }) {
  const [open, setOpen] = useState(null);
  const [all, setAll] = useState(false);
  const rows = messages.filter((m) => all || m.sales[sale]);
  const item = (m) => html`<li key=${m.name}>
    <div><strong>${t("message." + m.name)}</strong><br /><small class="hint">${m.name}</small></div>
    ${tongues.map((lang) => html`<div class="says" key=${lang}><${Say} text=${own(m, sale)[lang] || m.shop[lang] || ""} lang=${lang} />
      ${!own(m, sale)[lang] && html`<small class="hint">${t("plan.shop_words")}</small>`}</div>`)}
    ${may(session, "operator") && html`<div class="buttons">
      <button type="button" aria-label=${`${t("plan.edit")}: ${t("message." + m.name)}`} onClick=${() => setOpen(m.name)}>${t("plan.edit")}</button>
      ${m.sales[sale] && html`<${Ask} label=${t("plan.back_to_shop")} of=${t("message." + m.name)} text=${t("plan.back_to_shop_say", { en: m.shop.en || "", zh: m.shop.zh || "" })} note=${false}
        done=${t("plan.words_done", { name: t("message." + m.name) })} onDo=${() => change("DELETE", at("messages", sale, m.name))} />`}</div>`}
  </li>`;
  return html`
    <div class="buttons" role="group" aria-label=${t("plan.which")}>
      <button type="button" aria-pressed=${all ? "false" : "true"} onClick=${() => setAll(false)}>${t("plan.own_words")}</button>
      <button type="button" aria-pressed=${all ? "true" : "false"} onClick=${() => setAll(true)}>${t("plan.all_words")}</button></div>
    ${rows.length === 0 ? html`<${Empty} title=${t("plan.no_words")}>${t("plan.no_words_say")}<//>` : html`<ul class="messages">${rows.map(item)}</ul>`}
    ${open && html`<${Editing} message=${messages.find((m) => m.name === open)} sale=${sale} onClose=${() => setOpen(null)} />`}`;
}

export function Words({ query, session }) {
  const sales = useQuery(at("sales"));
  const words = useQuery(at("messages"), { every: 15000 });
  return html`<${Card} title=${t("plan.words")}>
    <p class="hint">${t("plan.words_say")}</p>
    <${Asked} of=${sales}>${(data) => {
      const open = data.sales.filter((s) => !s.archived);
      const chosen = query.get("sale") || open[0]?.id;
      if (!chosen) return html`<${Empty} title=${t("plan.no_sales")} />`;
      return html`<div class="row"><${Field} label=${t("planpart.sales")} kind="select" value=${chosen} options=${open.map((s) => [s.id, `${named(s.name)} · ${s.id}`])} onValue=${(sale) => setQuery({ sale })} /></div>
        <${Asked} of=${words}>${({ messages }) => html`<${Messages} key=${chosen} sale=${chosen} messages=${messages} session=${session} />`}<//>`;
    }}<//>
  <//>`;
}
