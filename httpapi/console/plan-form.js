// A session as a form. It makes a plan of that session, which is looked at and applied as any
// other plan.

import { html, useEffect, useMemo, useState } from "./html.js";
import { at, get, useQuery, withQuery } from "./api.js";
import { decimals, has, money, named, t } from "./words.js";
import { Asked, Card, Field, Form, Table } from "./parts.js";
import { Review, useReview } from "./review.js";
import "./words-plan.js";

// Fields. Empty is what is usual, which the file leaves out.

const count = { kind: "number", min: 0, step: 1 };
const rules = {
  session: [
    { name: "limit_per_shopper", usual: "1", ...count }, { name: "profile" }, { name: "pay_within", usual: "15m" }, { name: "pay_grace", usual: "2m" },
    { name: "forecast", ...count }, { name: "admission_multiple", usual: "20", ...count }, { name: "coupons_up_to", usual: "0", ...count },
    { name: "receive_within", usual: "360h" }, { name: "complete_within", usual: "168h" },
  ],
  listing: [
    { name: "limit_per_shopper", usual: "1", ...count }, { name: "limit_per_month", usual: "0", ...count }, { name: "shown", ...count, min: -1 },
    { name: "challenge", kind: "select", options: ["work", "image"] }, { name: "draw", usual: "0s" }, { name: "allow_list" },
    { name: "delivery", kind: "select", options: ["ship", "collect", "virtual"] }, { name: "set_aside", usual: "2m" }, { name: "sort_order", ...count, min: -2147483648 },
    { name: "reservation", kind: "check" }, { name: "waitlist", kind: "check" }, { name: "ticket", kind: "check" },
  ],
};

function Rule({ rule: { name, usual, options, ...rest }, form }) {
  return html`<${Field} label=${t("field." + name)} hint=${has("hint." + name) ? t("hint." + name) : undefined} placeholder=${usual}
    options=${options && [["", t("plan.none")], ...options.map((o) => [o, t("ruleis." + o)])]} ...${rest} ...${form.of(name)} />`;
}

const read = (from, names) => Object.fromEntries(names.map(({ name, kind }) => [name, from[name] === undefined ? (kind === "check" ? false : "") : kind === "check" ? from[name] : String(from[name])]));

function write(to, names, values) {
  for (const { name, kind } of names) {
    const value = values[name];
    if (value === "" || value === false) delete to[name];
    else to[name] = kind === "number" ? Number(value) : value;
  }
}

// Money is written as people write it, and in minor units in a plan.

const minor = (text, currency) => Math.round(Number(text) * 10 ** decimals(currency));
const major = (amount, currency) => (amount / 10 ** decimals(currency)).toFixed(decimals(currency));

// Times are by the clocks of the sale.

const minuteMS = 60000;

function offset(ms, timeZone) {
  try {
    const name = new Intl.DateTimeFormat("en", { timeZone, timeZoneName: "longOffset" }).formatToParts(ms).find((p) => p.type === "timeZoneName").value;
    const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)/.exec(name) || [0, "+", "00", "00"];
    return (sign === "-" ? -1 : 1) * (60 * Number(hours) + Number(minutes));
  } catch {
    return 0; // no zone that this browser knows; the plan is refused for it
  }
}

// moment gives what a plan says, in RFC 3339, for the time on a clock in a zone.
function moment(clock, zone) {
  const ms = Date.parse(`${clock}Z`);
  if (!Number.isFinite(ms)) return clock;
  const minutes = offset(ms - offset(ms, zone) * minuteMS, zone);
  const two = (n) => String(n).padStart(2, "0");
  return `${clock.length === 16 ? `${clock}:00` : clock}${minutes < 0 ? "-" : "+"}${two(Math.trunc(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

const clock = (ms, zone) => new Date(ms + offset(ms, zone) * minuteMS).toISOString().replace(/(\.000)?Z$/, "");
const units = { h: 3600000, m: minuteMS, s: 1000, ms: 1 };
const lasts = (text) => [...text.matchAll(/([\d.]+)(ms|[hms])/g)].reduce((sum, [, n, unit]) => sum + n * units[unit], 0);

// A session's part of a plan, as what the fields have, and back.

const fresh = { sku: "", price: "", stock: "", play: "", parameters: "", ...read({}, rules.listing) };
const unsold = { id: "", when: "at", start: "", end: "", wait: "", duration: "1h", publish: false, listings: [fresh], products: [], sale: "", sale_id: "", sale_en: "", sale_zh: "",
  timezone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC", ...read({}, rules.session) };

function valuesOf(doc, zone, currencies) {
  const waits = doc.start.startsWith("+");
  const at = !waits && doc.start !== "now";
  const start = Date.parse(doc.start);
  return { ...unsold, ...read(doc, rules.session), id: doc.id, when: at ? "at" : waits ? "in" : "now", wait: waits ? doc.start.slice(1) : "",
    start: at ? clock(start, zone) : "", end: at ? clock(start + lasts(doc.duration), zone) : "", duration: doc.duration, publish: doc.publish !== false,
    listings: (doc.listings || []).map((l) => ({ ...read(l, rules.listing), sku: l.sku, price: major(l.price, currencies[l.sku]), stock: String(l.stock), play: l.play?.kind || "",
      parameters: Object.entries(l.play || {}).filter(([name]) => name !== "kind").map(([name, value]) => `${name}: ${value}`).join("\n") })) };
}

const valueOf = (text) => (text === "true" || text === "false" ? text === "true" : /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text);
const playOf = (l) => ({ kind: l.play, ...Object.fromEntries(l.parameters.split("\n").filter((line) => line.trim()).map((line) => {
  const [name, ...rest] = line.split(":");
  return [name.trim(), valueOf(rest.join(":").trim())];
})) });

function docOf(values, was, zone, currencies) {
  const doc = { ...was, id: values.id };
  write(doc, rules.session, values);
  delete doc.end;
  delete doc.duration;
  doc.start = values.when === "at" ? moment(values.start, zone) : values.when === "in" ? `+${values.wait}` : "now";
  if (values.when === "at") doc.end = moment(values.end, zone);
  else doc.duration = values.duration;
  if (!was) doc.publish = values.publish;
  doc.listings = values.listings.map((l) => {
    const listing = { ...was?.listings?.find((x) => x.sku === l.sku), sku: l.sku, price: minor(l.price, currencies[l.sku]), stock: Number(l.stock) };
    write(listing, rules.listing, l);
    if (l.play) listing.play = playOf(l);
    else delete listing.play;
    return listing;
  });
  return doc;
}

const nameOf = (en, zh) => Object.fromEntries(Object.entries({ en, zh }).filter(([, text]) => text));
const withName = (name) => (Object.keys(name).length ? { name } : {});

// What somebody else has changed.

const flat = (values) => new Map([
  ...Object.entries(values).filter(([, value]) => !Array.isArray(value)).map(([name, value]) => [name, { field: name, value }]),
  ...values.listings.flatMap((l) => Object.entries(l).map(([name, value]) => [`${l.sku} ${name}`, { sku: l.sku, field: name, value }])),
]);

// differences gives what is not the same in two forms: was and is, and what mine has.
function differences(was, is, mine) {
  const [a, b, c] = [flat(was), flat(is), flat(mine)];
  return [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key)?.value !== b.get(key)?.value).map((key) => ({
    ...(b.get(key) || a.get(key)), was: a.get(key)?.value, is: b.get(key)?.value, mine: c.get(key)?.value, both: c.has(key) && c.get(key).value !== a.get(key)?.value }));
}

// merged is theirs with what was changed here.
function merged(was, is, mine) {
  const over = (a, b, c) => Object.fromEntries(Object.entries(b).map(([name, value]) => [name, c[name] !== a?.[name] && !Array.isArray(value) ? c[name] : value]));
  const own = mine.listings.filter((l) => !is.listings.some((x) => x.sku === l.sku) && !was.listings.some((x) => x.sku === l.sku));
  const find = (values, sku) => values.listings.find((l) => l.sku === sku);
  return { ...over(was, is, mine), products: mine.products, listings: [...is.listings.map((l) => (find(mine, l.sku) ? over(find(was, l.sku) || l, l, find(mine, l.sku)) : l)), ...own] };
}

function Conflict({ of, onTake }) {
  const text = (value) => (value === undefined ? "" : value === "" ? t("plan.usual") : typeof value === "boolean" ? t(value ? "plan.yes" : "plan.no") : value);
  return html`<div class="problem" role="alert">
    <p><strong>${t("plan.conflict")}</strong></p><p>${t("plan.conflict_say")}</p>
    <${Table} of=${t("plan.conflict")} rows=${of.list} columns=${[
      { title: t("plan.what"), cell: (d) => `${d.sku ? `${d.sku} · ` : ""}${t("field." + d.field)}` },
      { title: t("plan.began"), wide: true, cell: (d) => text(d.was) }, { title: t("plan.is_now"), wide: true, cell: (d) => html`<strong>${text(d.is)}</strong>` },
      { title: t("plan.yours"), wide: true, cell: (d) => d.both && text(d.mine) },
    ]} />
    <button type="button" onClick=${onTake}>${t("plan.take")}</button>
  </div>`;
}

// Parts of the form.

function Listing({ form, names, currency, isNew, onRemove, plays }) {
  const values = form.values;
  return html`<fieldset class="item">
    <legend>${values.sku || t("plan.new_listing")}</legend>
    <div class="fields">
      ${isNew ? html`<${Field} label=${t("field.sku")} required list="plan-products" spellcheck=${false} maxlength="64" ...${form.of("sku")} />`
        : html`<div class="field"><span class="hint">${t("planpart.products")}</span><span>${names}</span></div>`}
      <${Field} label=${currency ? t("plan.price_in", { currency }) : t("field.price")} kind="number" min="0" step=${10 ** -decimals(currency)} required ...${form.of("price")} />
      <${Field} label=${t("field.stock")} hint=${form.hint} ...${count} required ...${form.of("stock")} />
      ${isNew && onRemove && html`<button type="button" class="remove" onClick=${onRemove}>${t("plan.remove")}</button>`}
    </div>
    <details><summary>${t("plan.listing_rules")}</summary><div class="fields">
      ${rules.listing.map((rule) => html`<${Rule} key=${rule.name} rule=${rule} form=${form} />`)}
      <${Field} label=${t("field.play")} kind="select" options=${[["", t("plan.flash")], ...plays.map((p) => p.id)]} ...${form.of("play")} />
      ${values.play && html`<${Field} label=${t("field.parameters")} hint=${t("hint.parameters")} kind="area" spellcheck=${false} ...${form.of("parameters")} />`}
    </div></details>
  </fieldset>`;
}

const NewProduct = ({ form, onRemove }) => html`<fieldset class="item"><legend>${form.values.id || t("plan.new_product")}</legend><div class="fields">
  <${Field} label=${t("field.id")} required spellcheck=${false} maxlength="64" ...${form.of("id")} />
  <${Field} label=${t("plan.name_en")} maxlength="1024" ...${form.of("en")} />
  <${Field} label=${t("plan.name_zh")} maxlength="1024" ...${form.of("zh")} />
  <${Field} label=${t("field.currency")} required maxlength="3" spellcheck=${false} ...${form.of("currency")} />
  <${Field} label=${t("field.list_price")} kind="number" min="0" step=${10 ** -decimals(form.values.currency)} ...${form.of("list_price")} />
  <button type="button" class="remove" onClick=${onRemove}>${t("plan.remove")}</button></div></fieldset>`;

// useValues keeps nested values, and gives forms of them for fields.
function useValues(begin) {
  const [values, set] = useState(begin);
  const item = (list, i) => ({ values: values[list][i], of: (name) => ({ name: `${list}-${i}-${name}`, value: values[list][i][name],
    onValue: (value) => set((was) => ({ ...was, [list]: was[list].map((x, k) => (k === i ? { ...x, [name]: value } : x)) })) }) });
  return { values, set, of: (name) => ({ name, value: values[name], onValue: (value) => set((was) => ({ ...was, [name]: value })) }), item,
    add: (list, x) => set((was) => ({ ...was, [list]: [...was[list], x] })), remove: (list, i) => set((was) => ({ ...was, [list]: was[list].filter((x, k) => k !== i) })) };
}

const pathOf = (sale) => withQuery(at("plan"), { sale, over: "true", json: "true" });
const sessionIn = (plan, id) => plan.sales?.[0]?.sessions?.find((s) => s.id === id);

// Editor is the form. base is the session as it was when the form was opened, and null of one
// that is new.
function Editor({ base, sale, begin, known, sales, sessions, products, plays, onDone }) {
  const [was, setWas] = useState(base);
  const form = useValues(begin);
  const [conflict, setConflict] = useState(null);
  const review = useReview();
  const { values } = form;
  useEffect(() => review.forget(), [values]); // what was looked at is of another form
  const made = !was && values.sale === "" ? { id: values.sale_id, ...withName(nameOf(values.sale_en, values.sale_zh)), timezone: values.timezone } : null;
  const zone = sale ? sale.timezone || "UTC" : made ? values.timezone : sales.find((s) => s.id === values.sale)?.timezone || "UTC";
  const currencies = { ...known, ...Object.fromEntries(products.map((p) => [p.id, p.currency])), ...Object.fromEntries(values.products.map((p) => [p.id, p.currency])) };
  const names = Object.fromEntries(products.map((p) => [p.id, p.name]));
  const look = async () => {
    setConflict(null);
    review.forget();
    const all = { ...currencies };
    for (const { sku } of values.listings) if (!all[sku]) all[sku] = (await get(at("products", sku))).currency;
    let of = made;
    if (!of) {
      const { sessions: others, ...rest } = (await get(pathOf(sale ? sale.id : values.sale))).sales[0];
      of = rest;
      const theirs = was && others.find((s) => s.id === was.id);
      if (was && JSON.stringify(theirs) !== JSON.stringify(was)) {
        const [before, after] = [was, theirs].map((doc) => valuesOf(doc, zone, all));
        setConflict({ list: differences(before, after, values), before, after, theirs });
        return;
      }
    }
    if (!was && sessions.some((s) => s.id === values.id)) throw new Error(t("plan.there", { id: values.id }));
    const doc = { sales: [{ ...of, sessions: [docOf(values, was, zone, all)] }] };
    if (values.products.length) {
      doc.products = values.products.map((p) => ({ id: p.id, ...withName(nameOf(p.en, p.zh)), currency: p.currency, ...(p.list_price && { list_price: minor(p.list_price, p.currency) }) }));
    }
    await review.look(JSON.stringify(doc), "application/json");
  };
  const take = () => {
    form.set(merged(conflict.before, conflict.after, values));
    setWas(conflict.theirs);
    setConflict(null);
  };
  return html`<${Form} className="stack plan-form" label=${t("plan.look")} onDo=${look}>
      ${!was && html`<div class="fields">
        <${Field} label=${t("field.id")} hint=${t("hint.id")} required maxlength="64" spellcheck=${false} ...${form.of("id")} />
        <${Field} label=${t("planpart.sales")} kind="select" options=${[...sales.map((s) => [s.id, `${named(s.name)} · ${s.id}`]), ["", t("plan.new_sale")]]} ...${form.of("sale")} />
        ${made && html`
          <${Field} label=${t("plan.sale_id")} required maxlength="64" spellcheck=${false} ...${form.of("sale_id")} />
          <${Field} label=${t("plan.name_en")} maxlength="1024" ...${form.of("sale_en")} />
          <${Field} label=${t("plan.name_zh")} maxlength="1024" ...${form.of("sale_zh")} />
          <${Field} label=${t("field.timezone")} required maxlength="64" spellcheck=${false} ...${form.of("timezone")} />`}
      </div>`}
      <div class="fields">
        <${Field} label=${t("plan.when")} kind="select" options=${["at", "now", "in"].map((w) => [w, t("planwhen." + w)])} ...${form.of("when")} />
        ${values.when === "at" ? html`
          <${Field} label=${t("field.start")} hint=${t("hint.clock", { zone })} kind="datetime-local" step="1" required ...${form.of("start")} />
          <${Field} label=${t("field.end")} hint=${t("hint.clock", { zone })} kind="datetime-local" step="1" required ...${form.of("end")} />` : html`
          ${values.when === "in" && html`<${Field} label=${t("plan.wait")} hint=${t("hint.wait")} required ...${form.of("wait")} />`}
          <${Field} label=${t("field.duration")} hint=${t("hint.duration")} required ...${form.of("duration")} />`}
      </div>
      ${!was && html`<${Field} label=${t("plan.publish")} hint=${t("hint.publish")} kind="check" ...${form.of("publish")} />`}
      <details><summary>${t("plan.session_rules")}</summary><div class="fields">${rules.session.map((rule) => html`<${Rule} key=${rule.name} rule=${rule} form=${form} />`)}</div></details>
      ${values.products.length > 0 && html`<h3>${t("plan.new_products")}</h3>`}
      ${values.products.map((p, i) => html`<${NewProduct} key=${i} form=${form.item("products", i)} onRemove=${() => form.remove("products", i)} />`)}
      <h3>${t("field.listings")}</h3>
      <datalist id="plan-products">${[...products, ...values.products].map((p) => html`<option value=${p.id}>${p.name ? named(p.name) : p.en || p.zh}</option>`)}</datalist>
      ${values.listings.map((l, i) => {
        const isNew = !was?.listings?.some((x) => x.sku === l.sku && i < was.listings.length);
        return html`<${Listing} key=${i} form=${form.item("listings", i)} names=${html`<bdi>${named(names[l.sku]) || l.sku}</bdi>`} currency=${currencies[l.sku]} isNew=${isNew} plays=${plays}
          onRemove=${values.listings.length > 1 && (() => form.remove("listings", i))} />`;
      })}
      <div class="buttons">
        <button type="button" onClick=${() => form.add("listings", { ...(values.listings[values.listings.length - 1] || fresh), sku: "", price: "", stock: "", sort_order: "" })}>${t("plan.add_listing")}</button>
        <button type="button" onClick=${() => form.add("products", { id: "", en: "", zh: "", currency: products[0]?.currency || "CNY", list_price: "" })}>${t("plan.add_product")}</button>
      </div>
      ${conflict && html`<${Conflict} of=${conflict} onTake=${take} />`}
    <//>
    <${Review} of=${review} onDone=${onDone} />`;
}

// SessionForm is the form of a session that there is (of), or of a new one, like another or not.
export function SessionForm({ of, like, profile, sessions, onDone }) {
  const other = of || sessions.find((s) => s.id === like);
  const plan = useQuery(other && pathOf(other.sale));
  const sales = useQuery(at("sales"));
  const products = useQuery(at("products"));
  const plays = useQuery(at("plays"));
  const known = useMemo(() => Object.fromEntries((other?.listings || []).map((l) => [l.sku, l.currency])), [other]);
  const [turn, setTurn] = useState(0);
  const done = async () => {
    if (of) await plan.reload();
    setTurn(turn + 1);
    onDone?.();
  };
  const all = { data: sales.data && products.data && plays.data && (!other || plan.data) ? true : undefined, error: sales.error || products.error || plays.error || plan.error,
    reload: () => [sales, products, plays, plan].forEach((q) => q.reload()) };
  return html`<${Asked} of=${all}>${() => {
    const doc = other && sessionIn(plan.data, other.id);
    const sale = of && plan.data.sales[0];
    const open = sales.data.sales.filter((s) => !s.archived);
    const begin = doc ? valuesOf(doc, plan.data.sales[0].timezone || "UTC", known) : unsold;
    if (!of) Object.assign(begin, doc ? { id: "", when: "at", start: "", end: "", publish: false, sale: other.sale } : { sale: open[0]?.id || "" }, profile && { profile });
    return html`<${Editor} key=${turn} ...${{ sale, known, sessions, onDone: done, begin: { ...begin }, base: of ? doc : null, sales: open, products: products.data.products, plays: plays.data.plays }} />`;
  }}<//>`;
}

// Prices says what a session's listings cost, at most so many of them.
export const Prices = ({ of }) => of.listings.slice(0, 3).map((l) => money(l.price, l.currency)).join(", ") + (of.listings.length > 3 ? " …" : "");

export const NewSession = (props) => html`<${Card} title=${t("plan.new")}><${SessionForm} ...${props} /><//>`;
