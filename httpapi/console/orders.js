// Orders and whose they are: a box that finds them by whatever somebody knows, all of them
// by filters, one with all that happened to it and why, and the trail of what happened.

import { html, useEffect, useMemo, useRef, useState } from "./html.js";
import { at, change, get, keep, may, now, request, useQuery, usePages, withQuery } from "./api.js";
import { go, setQuery } from "./route.js";
import { instant, moment, money, number, t } from "./words.js";
import { Ask, Asked, Card, Danger, Empty, Facts, Field, Form, Loading, Pages, Problem, State, Table, Time, said, useDoing, useFields } from "./parts.js";
import "./words-names.js";
import "./words-orders.js";

export const OrderLink = ({ no }) => no && html`<a href=${`/orders/${no}`}><code>${no}</code></a>`;
const SessionLink = ({ id }) => html`<a href=${withQuery("/orders", { session: id })}>${id}</a>`;

const columns = () => [
  { title: t("orders.order"), cell: (o) => html`<${OrderLink} no=${o.order_no} />` },
  { title: t("orders.state"), cell: (o) => html`<${State} is=${o.state} />`, sort: (o) => o.state },
  { title: t("orders.shopper"), cell: (o) => html`<a href=${withQuery("/orders", { shopper: o.shopper })}>${o.shopper}</a>`, sort: (o) => o.shopper },
  { title: t("orders.session"), cell: (o) => html`<${SessionLink} id=${o.session} />`, sort: (o) => o.session },
  { title: t("orders.sku"), cell: (o) => o.sku, sort: (o) => o.sku },
  { title: t("orders.units"), cell: (o) => number(o.quantity), sort: (o) => o.quantity, number: true },
  { title: t("orders.amount"), cell: (o) => money(o.amount, o.currency), sort: (o) => o.amount, number: true },
  { title: t("orders.granted"), cell: (o) => html`<${Time} at=${o.granted_at} />`, sort: (o) => o.granted_at },
  { title: t("orders.changed"), cell: (o) => html`<${Time} at=${o.changed_at} />`, sort: (o) => o.changed_at },
];

const Orders = ({ of, rows, empty }) => html`<${Table} of=${of} columns=${columns()} rows=${rows} rowKey=${(o) => o.order_no} empty=${empty} />`;

// The box. What somebody knows is looked for as everything that it can be.

const forms = {
  order: (text) => /^[0-9A-Za-z]{24}$/.test(text) && { order_no: text.toUpperCase() },
  shopper: (text) => isShopper(text) && { shopper: text, limit: 500 },
  payment: (text) => /^[\x21-\x7e]{1,255}$/.test(text) && { payment_id: text },
  transaction: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) && { transaction: text.toLowerCase(), newest: true },
  phone: (text) => isPhone(text) && { phone: text, newest: true },
};
const isShopper = (text) => /^[\x21-\x7e]{1,128}$/.test(text) && !/[,;"]/.test(text);
const isPhone = (text) => /^\+?[\d\s().-]{5,40}$/.test(text);

// search asks for all that fits. A search through many orders goes on from page to page.
async function search(query, goesOn) {
  let found = [];
  let lost = null;
  for (let cursor = ""; goesOn();) {
    const page = await get(withQuery(at("orders"), { ...query, cursor }));
    found = found.concat(page.orders);
    lost = page.lost || lost;
    cursor = page.cursor;
    if (!cursor || found.length >= 500) break;
  }
  return { found, lost };
}

function Found({ text }) {
  const [told, tell] = useState({});
  useEffect(() => {
    let here = true;
    tell({});
    for (const [form, query] of Object.entries(forms)) {
      const asked = query(text);
      if (!asked) continue;
      const put = (is) => here && tell((was) => ({ ...was, [form]: is }));
      put({ busy: true });
      search(asked, () => here).then(put, (error) => put({ error }));
    }
    return () => (here = false);
  }, [text]);
  const all = Object.entries(told);
  const some = all.filter(([, is]) => is.found?.length || is.lost);
  const busy = all.filter(([, is]) => is.busy);
  return html`<${Card} title=${t("orders.found", { text })}>
    ${some.map(([form, is]) => html`<h3 key=${form}>${t("as." + form)}</h3>
      ${is.lost && html`<p class="warn">${is.lost.says}</p>`}
      ${is.found.length > 0 && html`<${Orders} of=${t("as." + form)} rows=${is.found} />`}`)}
    ${all.filter(([, is]) => is.error).map(([form, is]) => html`<${Problem} key=${form} error=${is.error} />`)}
    ${busy.length > 0 && html`<p class="hint loading" role="status">${t("orders.looking", { as: busy.map(([form]) => t("as." + form)).join(", ") })}</p>`}
    ${busy.length === 0 && some.length === 0 && html`<${Empty} title=${t("orders.none")}>${t("orders.none_say")}<//>`}
  <//>
  ${isShopper(text) && !told.order?.found?.length && html`<${Refusals} shopper=${text} />`}`;
}

function Box({ text, onPhone }) {
  const form = useFields({ text });
  const send = async () => {
    const wanted = form.values.text.trim();
    // A phone number stays out of the address, and so out of the browser's history.
    onPhone(isPhone(wanted) ? wanted : "");
    go(withQuery("/orders", { find: isPhone(wanted) ? "" : wanted }));
  };
  return html`<${Form} className="row find" label=${t("orders.find")} onDo=${send}>
      <${Field} label=${t("orders.box")} kind="search" hint=${t("orders.box_say")} autocomplete="off" spellcheck=${false} required maxlength="255" ...${form.of("text")} />
    <//>`;
}

// Why a shopper was refused.

export function Refusals({ shopper }) {
  const asked = useQuery(withQuery(at("refusals"), { shopper }));
  return html`<${Card} title=${t("orders.why_refused", { shopper })}>
    <${Asked} of=${asked}>${(told) => html`
      <${Table} of=${t("orders.refusals")} rows=${told.refusals} empty=${t("orders.no_refusals")} columns=${[
        { title: t("orders.last"), cell: (r) => html`<${Time} at=${r.last} />`, sort: (r) => r.last },
        { title: t("orders.reason"), cell: (r) => t("reason." + r.reason), sort: (r) => r.reason },
        { title: t("orders.told"), cell: (r) => html`<${State} group="told" is=${r.code} />` },
        { title: t("orders.times"), cell: (r) => number(r.count) + (r.count >= 65535 ? "+" : ""), sort: (r) => r.count, number: true },
        { title: t("orders.session"), cell: (r) => r.session, sort: (r) => r.session },
        { title: t("orders.sku"), cell: (r) => r.sku, sort: (r) => r.sku },
        { title: t("orders.first"), cell: (r) => html`<${Time} at=${r.first} />`, sort: (r) => r.first },
        { title: t("orders.node"), cell: (r) => r.node },
      ]} />
      <p class="hint">${t(told.complete ? "orders.complete" : "orders.incomplete")} ${told.nodes.filter((n) => n.since).map((n) => t("orders.noted_since", { node: n.node, time: moment(Date.parse(n.since)) })).join(" ")}</p>
      ${!told.complete && html`<p class="hint">${told.note}</p>`}`}<//>
  <//>`;
}

// All of them, by filters.

const states = ["held", "paid", "expired", "cancelled", "voided", "refund_due", "refunded", "shipped", "received", "completed", "waiting", "entered", "left", "passed"];
const filters = ["state", "shopper", "session", "sku", "from", "to"];
const mostChoices = 200; // sessions to choose from; of more, one is written
const pageRows = 500;

// asks gives the API's parameters of those of the address.
const asks = (query) => ({ ...Object.fromEntries(filters.map((name) => [name, query.get(name)])), from: instant(query.get("from")), to: instant(query.get("to")), newest: true });

function Filters({ query }) {
  const sessions = useQuery(at("sessions")).data?.sessions || [];
  const form = useFields(Object.fromEntries(filters.map((name) => [name, query.get(name) || ""])));
  const choices = [["", t("orders.any")], ...sessions.map((s) => s.id)];
  const own = form.values.session;
  if (own && !sessions.some((s) => s.id === own)) choices.push(own);
  const any = filters.some((name) => query.get(name));
  return html`<${Form} className="row many" label=${t("orders.show")} onDo=${async () => setQuery({ ...form.values, find: "" })}>
    <${Field} label=${t("orders.state")} kind="select" options=${[["", t("orders.any")], ...states.map((s) => [s, t("state." + s)])]} ...${form.of("state")} />
    ${sessions.length <= mostChoices ? html`<${Field} label=${t("orders.session")} kind="select" options=${choices} ...${form.of("session")} />`
      : html`<${Field} label=${t("orders.session")} maxlength="64" spellcheck=${false} ...${form.of("session")} />`}
    <${Field} label=${t("orders.sku")} maxlength="64" spellcheck=${false} ...${form.of("sku")} />
    <${Field} label=${t("orders.shopper")} maxlength="128" spellcheck=${false} ...${form.of("shopper")} />
    <${Field} label=${t("orders.from")} kind="datetime-local" step="1" ...${form.of("from")} />
    <${Field} label=${t("orders.to")} kind="datetime-local" step="1" ...${form.of("to")} />
    ${any && html`<a class="button" href="/orders">${t("orders.clear")}</a>`}
  <//>`;
}

// Counts of the listing or the session that is filtered by, as the state has them.
function Counts({ session, sku }) {
  const { data } = useQuery(session ? at("sessions", session) : null, { every: 5000 });
  if (!data) return null;
  const of = data.listings.filter((l) => l.counts && (!sku || l.sku === sku));
  const sum = (name) => of.reduce((all, l) => all + l.counts[name], 0);
  return html`<${Facts} of=${["stock", "available", "held", "paid", "waitlisted"].map((name) => [t("orders.count." + name), number(sum(name))])} />`;
}

// As CSV.

const written = ["order_no", "state", "shopper", "session", "sku", "quantity", "amount", "amount_paid", "currency", "granted_at", "pay_by", "changed_at", "payment_id", "payment_type",
  "transaction_id", "delivery", "review", "review_why", "export", "carrier", "tracking", "shipped_at", "received_at", "completed_at"];
const receiver = ["name", "phone", "country", "province", "city", "district", "street", "post_code"];

// csv writes a row. What a spreadsheet would take for a formula is led in by an apostrophe.
const csv = (values) => values.map((value) => {
  const text = String(value ?? "").replace(/^[=+\-@\t\r]/, "'$&");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}).join(",") + "\r\n";

function Export({ query }) {
  const [rows, setRows] = useState(0);
  const goesOn = useRef(false);
  const doing = useDoing(async () => {
    const parts = ["\ufeff", csv([...written, ...receiver.map((name) => `receiver_${name}`)])];
    let n = 0;
    goesOn.current = true;
    for (let cursor = ""; ;) {
      const page = await get(withQuery(at("orders"), { ...asks(query), limit: 1000, cursor }));
      parts.push(page.orders.map((o) => csv([...written.map((name) => o[name]), ...receiver.map((name) => o.receiver?.[name])])).join(""));
      setRows(n += page.orders.length);
      if (!goesOn.current) return;
      if (!(cursor = page.cursor)) break;
    }
    keep(new Blob(parts, { type: "text/csv" }), `orders-${new Date(now()).toISOString().slice(0, 19).replaceAll(":", "")}.csv`);
    said(t("orders.exported", { n: number(n) }));
  });
  useEffect(() => () => (goesOn.current = false), []);
  return html`${doing.busy ? html`<span class="hint" role="status">${t("orders.exporting", { n: number(rows) })}</span>
      <button type="button" onClick=${() => (goesOn.current = false)}>${t("orders.stop")}</button>`
    : html`<button type="button" id="export" onClick=${() => doing.run()}>${t("orders.export")}</button>`}
    <${Problem} error=${doing.error} />`;
}

function List({ query }) {
  const pages = usePages(withQuery(at("orders"), { ...asks(query), limit: pageRows }), "orders");
  const shown = number(pages.rows.length);
  const byState = new Map();
  for (const o of pages.rows) byState.set(o.state, (byState.get(o.state) || 0) + 1);
  return html`<${Card} title=${t("orders.list")} aside=${html`<button type="button" onClick=${pages.reload}>${t("orders.again")}</button><${Export} key=${query.toString()} query=${query} />`}>
    <${Filters} key=${query.toString()} query=${query} />
    <${Counts} session=${query.get("session")} sku=${query.get("sku")} />
    <${Pages} of=${pages}>${(rows) => html`
      ${rows.length > 0 && html`<p class="tally"><span>${t(pages.more ? "orders.shown_more" : "orders.shown", { n: shown })}</span>
        ${[...byState].sort((a, b) => b[1] - a[1]).map(([state, n]) => html`<span key=${state}><${State} is=${state} /> ${number(n)}</span>`)}</p>`}
      <${Orders} of=${t("orders.list")} rows=${rows} empty=${t("orders.none")} />`}<//>
  <//>
  ${query.get("shopper") && isShopper(query.get("shopper")) && html`<${Refusals} shopper=${query.get("shopper")} />`}`;
}

// What happened.

const ofMoney = (e) => e.amount !== undefined && /^(hold_placed|order_paid|refund)/.test(e.kind);
const amountOf = (e) => (ofMoney(e) ? money(e.amount, e.currency) : e.units ? t("orders.n_units", { n: number(e.units) }) : "");

function Happened({ e, whole }) {
  const more = [e.detail, /^hold_(placed|extended)$/.test(e.kind) && e.pay_by && `${t("orders.pay_by")} ${moment(Date.parse(e.pay_by))}`, e.limit && t("orders.of_limit", { n: number(e.limit) }),
    e.quantity > 1 && t("orders.n_units", { n: number(e.quantity) }), e.missing_from && t("orders.missing", { from: e.missing_from })].filter(Boolean);
  return html`<li><span class="hint"><${Time} at=${e.time} /></span>
    <div><p><strong>${t("event." + e.kind)}</strong> ${e.state && html`<${State} is=${e.state} />`} ${e.reason && html`<span class="hint">${t("reason." + e.reason)}</span>`} ${amountOf(e)}</p>
      ${whole && html`<p>${[e.session, e.sku].filter(Boolean).join(" · ")} ${e.shopper && html`<a href=${withQuery("/orders", { shopper: e.shopper })}>${e.shopper}</a>`} <${OrderLink} no=${e.order_no} /></p>`}
      ${more.length > 0 && html`<p class="hint">${more.join(" · ")}</p>`}
      ${e.operator && html`<p>${t("orders.by", { who: e.operator })}${e.note && html`: <q>${e.note}</q>`}</p>`}</div></li>`;
}

const atOnce = 200; // events that are asked for

// trail asks for the events of something, so many more. A page may hold none while more follow.
async function trail(query, from) {
  let events = [];
  for (let next = from; ;) {
    const page = await get(withQuery(at("audit"), { ...query, from: next, limit: atOnce }));
    events = events.concat(page.events);
    next = page.next;
    if (!next || events.length >= atOnce) return { events, next, since: page.kept_since };
  }
}

// latest asks for the newest events of all.
async function latest() {
  const response = await request(withQuery(at("events"), { last: atOnce, follow: "false" }), { accept: "application/x-ndjson" });
  const lines = (await response.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return { events: lines.filter((e) => !e.heartbeat).reverse() };
}

// Trail shows the events of something, anew when version changes.
function Trail({ query, version, whole }) {
  const [told, tell] = useState(null);
  const key = JSON.stringify(query);
  const turn = useRef(0);
  const load = async (before) => {
    const mine = ++turn.current;
    const put = (is) => mine === turn.current && tell(is);
    try {
      const page = await (Object.keys(query).length ? trail(query, before?.next) : latest());
      put({ ...page, events: (before?.events || []).concat(page.events) });
    } catch (error) {
      put({ events: [], ...before, error });
    }
  };
  useEffect(() => {
    load(null);
    return () => turn.current++;
  }, [key, version]);
  if (!told) return html`<${Loading} />`;
  return html`<${Problem} error=${told.error} retry=${() => load(null)} />
    ${told.events.length === 0 && !told.error && html`<${Empty} title=${t("orders.no_events")}>${told.since && html`${t("orders.kept_since")} <${Time} at=${told.since} />`}<//>`}
    <ol class="trail">${told.events.map((e) => html`<${Happened} key=${`${e.index}.${e.n}`} e=${e} whole=${whole} />`)}</ol>
    ${told.next && html`<button type="button" class="more" onClick=${() => load(told)}>${t("word.more")}</button>`}`;
}

function TrailPage({ query }) {
  const form = useFields({ by: query.get("by") || "", who: query.get("who") || "" });
  const by = query.get("by");
  const asked = useMemo(() => (by ? { [by]: query.get("who") } : {}), [query.toString()]);
  const kinds = ["order", "session", "operator"];
  return html`<h1>${t("orders.trail")}</h1>
    <p><a href="/orders">${t("orders.back")}</a></p>
    <${Card} title=${t("orders.events")}>
      <${Form} label=${t("orders.show")} onDo=${async () => setQuery(form.values.by ? form.values : { by: "", who: "" })}>
        <${Field} label=${t("orders.trail_of")} kind="select" options=${[["", t("orders.latest")], ...kinds.map((kind) => [kind, t("trail." + kind)])]} ...${form.of("by")} />
        <${Field} label=${t("orders.which")} maxlength="128" spellcheck=${false} disabled=${!form.values.by} required=${Boolean(form.values.by)} ...${form.of("who")} />
      <//>
      <p class="hint">${t(by ? "orders.oldest_first" : "orders.newest_first")}</p>
      <${Trail} query=${asked} whole />
    <//>`;
}

// One order.

const mostRefunds = 1000;

function RefundState({ order }) {
  const asked = useQuery(withQuery(at("refunds"), { limit: mostRefunds }), { every: 10000 });
  const due = asked.data?.refunds.filter((r) => r.order_no === order.order_no) || [];
  if (due.length === 0) return asked.data?.cursor && order.state === "refund_due" ? html`<p><a href="/money">${t("orders.refunds_due")}</a></p>` : null;
  return html`<${Card} title=${t("orders.refund")}>${due.map((r) => html`<${Facts} key=${r.refund_no} of=${[
    [t("orders.refund_no"), number(r.refund_no)], [t("orders.amount"), money(r.amount, r.currency)], [t("orders.reason"), t("reason." + r.reason)],
    [t("orders.due_since"), html`<${Time} at=${r.due_at} />`], [t("orders.payment"), r.payment_id], [t("orders.tries"), r.tries && number(r.tries)],
    [t("orders.next_try"), r.next_try_at && html`<${Time} at=${r.next_try_at} />`], [t("orders.last_error"), r.last_error],
  ]} />`)}<//>`;
}

function Extend({ order }) {
  const from = Math.max(now(), Date.parse(order.pay_by));
  const extend = ({ minutes, ...rest }) => change("POST", at("orders", order.order_no, "extend"), { ...rest, pay_by: new Date(from + 60000 * Number(minutes)).toISOString() });
  return html`<${Ask} label=${t("orders.extend")} of=${order.order_no} text=${t("orders.extend_say", { time: moment(Date.parse(order.pay_by)) })} done=${t("orders.extended", { no: order.order_no })}
    fields=${[["minutes", { label: t("orders.minutes"), kind: "number", value: "15", min: 1, max: 10080, step: 1, required: true }]]} onDo=${extend} />`;
}

const Void = ({ order }) => html`<${Danger} label=${t("orders.void")} name=${order.order_no} title=${t("orders.void_title")} done=${t("orders.voided", { no: order.order_no })}
  text=${t(order.state === "paid" ? "orders.void_paid" : "orders.void_held")} onDo=${(values) => change("POST", at("orders", order.order_no, "void"), values)} />`;

const address = (r) => [r.street, r.district, r.city, r.province, r.post_code, r.country].filter(Boolean).join(", ");

function Order({ no, session }) {
  const asked = useQuery(at("orders", no), { every: 5000 });
  const sale = useQuery(asked.data ? at("sessions", asked.data.session) : null).data;
  const acts = (o) => may(session, "operator") && sale && sale.state !== "settled" && ["held", "paid"].includes(o.state);
  return html`<h1><code>${no}</code></h1>
    <p><a href="/orders">${t("orders.back")}</a></p>
    <${Asked} of=${asked}>${(o) => html`
      <${Card} title=${t("orders.one")} aside=${html`<${State} is=${o.state} />${acts(o) && o.state === "held" && html`<${Extend} order=${o} />`}`}>
        <${Facts} of=${[
          [t("orders.shopper"), html`<a href=${withQuery("/orders", { shopper: o.shopper })}>${o.shopper}</a>`], [t("orders.session"), html`<${SessionLink} id=${o.session} />`],
          [t("orders.sku"), o.sku], [t("orders.units"), number(o.quantity)], [t("orders.amount"), money(o.amount, o.currency)],
          [t("orders.amount_paid"), o.amount_paid !== undefined && money(o.amount_paid, o.currency)], [t("orders.granted"), html`<${Time} at=${o.granted_at} />`],
          [t("orders.pay_by"), o.state === "held" && html`<${Time} at=${o.pay_by} />`], [t("orders.changed"), html`<${Time} at=${o.changed_at} />`],
          [t("orders.position"), o.position && number(o.position)], [t("orders.reason"), o.why && t("reason." + o.why)],
          [t("orders.payment"), o.payment_id && html`<code>${o.payment_id}</code>`], [t("orders.payment_type"), o.payment_type],
          [t("orders.transaction"), o.transaction_id && html`<code>${o.transaction_id}</code>`],
        ].filter(([, value]) => value)} />
        ${acts(o) && html`<div class="apart"><span class="hint">${t("word.final")}</span><${Void} order=${o} /></div>`}
      <//>
      ${["refund_due", "voided", "refunded"].includes(o.state) && html`<${RefundState} order=${o} />`}
      ${(o.receiver || o.receiver_state || o.delivery || o.review) && html`<${Card} title=${t("orders.delivery")}>
        <${Facts} of=${[
          [t("orders.delivery_kind"), o.delivery && t("delivery." + o.delivery)], [t("orders.receiver"), o.receiver ? html`<bdi>${o.receiver.name}</bdi>` : o.receiver_state && t("receiver." + o.receiver_state)],
          [t("orders.phone"), o.receiver?.phone], [t("orders.address"), o.receiver && html`<bdi>${address(o.receiver)}</bdi>`],
          [t("orders.review"), o.review && [t("review." + o.review), o.review_why].filter(Boolean).join(": ")], [t("orders.export_no"), o.export && number(o.export)],
          [t("orders.parcel"), o.tracking && `${o.carrier} ${o.tracking}`], [t("orders.shipped"), o.shipped_at && html`<${Time} at=${o.shipped_at} />`],
          [t("orders.received"), o.received_at && html`<${Time} at=${o.received_at} />`], [t("orders.completed"), o.completed_at && html`<${Time} at=${o.completed_at} />`],
        ].filter(([, value]) => value)} />
      <//>`}
      <${Card} title=${t("orders.happened")}><${Trail} query=${{ order: no }} version=${`${o.state} ${o.changed_at} ${o.pay_by}`} /><//>`}<//>`;
}

export function View({ path, query, session }) {
  const [phone, setPhone] = useState("");
  const text = query.get("find") || phone;
  if (path === "trail") return html`<${TrailPage} key=${query.toString()} query=${query} />`;
  if (path) return html`<${Order} key=${path} no=${path} session=${session} />`;
  return html`<div class="head"><h1>${t("view.orders")}</h1><div class="aside"><a class="button" href="/orders/trail">${t("orders.trail")}</a></div></div>
    <${Card} title=${t("orders.find_title")}><${Box} key=${text} text=${text} onPhone=${setPhone} /><//>
    ${text ? html`<p><a href="/orders" onClick=${() => setPhone("")}>${t("orders.back")}</a></p><${Found} key=${text} text=${text} />` : html`<${List} query=${query} />`}`;
}
