// Goods: the catalogue and who supplies it, what becomes of paid orders once a session has
// ended, and the sinks that changes flow out to.

import { html, useState } from "./html.js";
import { Refused, at, change, lines, may, refresh, save, useCluster, useQuery, usePages, withQuery } from "./api.js";
import { setQuery } from "./route.js";
import { instant, money, named, number, t } from "./words.js";
import { Ask, Asked, Card, Danger, Empty, Facts, Field, Form, Pages, Problem, State, Table, Time, said, useDoing, useFields } from "./parts.js";
import "./words-names.js";
import "./words-goods.js";

const OrderLink = ({ no }) => no && html`<a href=${`/orders/${no}`}><code>${no}</code></a>`;

const sections = [["", "goods.catalogue"], ["shipping", "goods.shipping"], ["sinks", "goods.sinks"]];

const Sections = ({ of }) => html`<nav class="tabs" aria-label=${t("goods.sections")}>${sections.map(([path, name]) => html`
  <a key=${name} href=${path ? `/goods/${path}` : "/goods"} aria-current=${path === of ? "page" : undefined}>${t(name)}</a>`)}</nav>`;

// typeOf is the media type of a file, by its name.
function typeOf(file) {
  if (/\.(ndjson|jsonl)$/i.test(file.name)) return "application/x-ndjson";
  return /\.json$/i.test(file.name) ? "application/json" : "text/csv";
}

// The catalogue.

function stockOf(stock) {
  if (!stock) return "";
  return stock.total !== undefined ? t("goods.in_all", { n: number(stock.total) }) : html`${t("goods.left", { n: number(stock.remaining) })} <small class="hint"><${Time} at=${stock.as_of} /></small>`;
}

const Retire = ({ product: p, reload }) => {
  const action = p.retired_by_shop ? "revive" : "retire";
  return html`<${Ask} label=${t("product." + action)} of=${p.id} title=${`${t("product." + action)}: ${p.id}`} text=${t(`product.${action}_say`)} done=${t(`product.${action}_done`, { id: p.id })}
    onDo=${async (values) => {
      await change("POST", at("products", p.id, action), values);
      await reload();
    }} />`;
};

function Products({ query, session }) {
  const asked = { supplier: query.get("supplier"), prefix: query.get("prefix"), retired: query.get("retired") };
  const form = useFields({ supplier: asked.supplier || "", prefix: asked.prefix || "", retired: Boolean(asked.retired) });
  const pages = usePages(withQuery(at("products"), { ...asked, limit: 200 }), "products");
  return html`<${Card} title=${t("goods.products")}>
    <${Form} label=${t("goods.show")} onDo=${async () => setQuery({ ...form.values, retired: form.values.retired ? "true" : "" })}>
      <${Field} label=${t("goods.supplier")} maxlength="64" spellcheck=${false} ...${form.of("supplier")} />
      <${Field} label=${t("goods.prefix")} maxlength="64" spellcheck=${false} ...${form.of("prefix")} />
      <${Field} label=${t("goods.with_retired")} kind="check" ...${form.of("retired")} />
    <//>
    <${Pages} of=${pages}>${(rows) => html`<${Table} of=${t("goods.products")} rows=${rows} rowKey=${(p) => p.id} empty=${t("goods.no_products")} columns=${[
      { title: t("goods.product"), cell: (p) => html`${p.id} ${p.retired && html`<span class="state">${t("goods.retired")}</span>`}`, sort: (p) => p.id },
      { title: t("goods.name"), cell: (p) => html`<bdi>${named(p.name)}</bdi>`, sort: (p) => named(p.name), wide: true },
      { title: t("goods.supplier"), cell: (p) => p.supplier && html`<a href=${withQuery("/goods", { supplier: p.supplier })}>${p.supplier}</a>`, sort: (p) => p.supplier },
      { title: t("goods.price"), cell: (p) => money(p.list_price, p.currency), sort: (p) => p.list_price, number: true },
      { title: t("goods.stock"), cell: (p) => stockOf(p.stock) },
      { title: t("goods.put_up"), cell: (p) => p.use && number(p.use.put_up), sort: (p) => p.use?.put_up || 0, number: true },
      { title: t("goods.held"), cell: (p) => p.use && number(p.use.held), sort: (p) => p.use?.held || 0, number: true },
      { title: t("goods.paid"), cell: (p) => p.use && number(p.use.paid), sort: (p) => p.use?.paid || 0, number: true },
      { title: t("goods.over"), cell: (p) => p.use?.over > 0 && html`<span class="bad">${number(p.use.over)}</span>`, sort: (p) => p.use?.over || 0, number: true },
      ...(may(session, "operator") ? [{ title: t("goods.do"), hidden: true, cell: (p) => html`<${Retire} product=${p} reload=${pages.reload} />` }] : []),
    ]} />`}<//>
  <//>`;
}

function Suppliers() {
  const asked = useQuery(at("suppliers"), { every: 30000 });
  return html`<${Card} title=${t("goods.suppliers")}><${Asked} of=${asked}>${({ suppliers }) => html`
    <${Table} of=${t("goods.suppliers")} rows=${suppliers} rowKey=${(s) => s.id} empty=${t("goods.no_suppliers")} columns=${[
      { title: t("goods.supplier"), cell: (s) => html`<a href=${withQuery("/goods", { supplier: s.id })}>${s.id}</a>`, sort: (s) => s.id },
      { title: t("goods.products"), cell: (s) => number(s.products), sort: (s) => s.products, number: true },
      { title: t("goods.retired"), cell: (s) => number(s.retired), sort: (s) => s.retired, number: true },
    ]} />`}<//><//>`;
}

const formats = ["auto", "csv", "ndjson", "json", "shopify", "woocommerce", "magento"];
const counted = (r) => t("goods.imported", { supplier: r.supplier, rows: number(r.rows), fresh: number(r.new), changed: number(r.changed), gone: number(r.gone) });

// Bring takes a supplier's catalogue in, or holds its figures against ours.
function Bring({ query, onBrought }) {
  const form = useFields({ supplier: query.get("supplier") || "", file: null, format: "auto", currency: "", language: "", stock: "", as_of: "", note: "" });
  const [progress, setProgress] = useState(null);
  const [report, setReport] = useState(null);
  const { supplier, file, note, ...how } = form.values;
  const reading = { ...how, format: how.format === "auto" ? "" : how.format, as_of: instant(how.as_of) };
  const ready = Boolean(supplier.trim() && file);
  const bring = async (more) => {
    let result = null;
    try {
      const response = await change("PUT", withQuery(at("suppliers", supplier.trim(), "products"), { ...reading, ...more }), file, { type: typeOf(file), accept: "application/x-ndjson", patience: 0 });
      await lines(response, (told) => {
        if (told.committed !== undefined) setProgress(told);
        else if (told.title) throw new Refused(told.status, told);
        else result = told;
      });
    } finally {
      setProgress(null);
    }
    if (!result) throw new Error(t("goods.broke_off"));
    onBrought();
    return result;
  };
  const add = useDoing(async () => said(counted(await bring({ note: note.trim() }))));
  const pull = useDoing(async () => {
    const result = await change("POST", at("suppliers", supplier.trim(), "pull"), note.trim() ? { note: note.trim() } : {}, { patience: 0 });
    onBrought();
    said(counted(result));
  });
  const compare = useDoing(async () => {
    setReport(null);
    setReport(await change("POST", withQuery(at("suppliers", supplier.trim(), "reconciliations"), reading), file, { type: typeOf(file), patience: 0 }));
  });
  const busy = add.busy || pull.busy || compare.busy;
  return html`<${Card} title=${t("goods.bring")}>
    <p class="hint">${t("goods.bring_say")}</p>
    <form class="row" onSubmit=${(event) => event.preventDefault()}>
      <${Field} label=${t("goods.supplier")} maxlength="64" spellcheck=${false} required ...${form.of("supplier")} />
      <${Field} label=${t("goods.file")} kind="file" accept=".csv,.tsv,.txt,.ndjson,.jsonl,.json" ...${form.of("file")} />
      <${Field} label=${t("goods.format")} kind="select" options=${formats.map((f) => [f, t("catalogue." + f)])} ...${form.of("format")} />
      <${Field} label=${t("goods.currency")} maxlength="3" spellcheck=${false} ...${form.of("currency")} />
      <${Field} label=${t("goods.language")} maxlength="35" spellcheck=${false} ...${form.of("language")} />
      <${Field} label=${t("goods.figures")} kind="select" options=${[["", t("goods.figures_remaining")], ["total", t("goods.figures_total")], ["none", t("goods.figures_none")]]} ...${form.of("stock")} />
      <${Field} label=${t("goods.as_of")} kind="datetime-local" step="1" ...${form.of("as_of")} />
      <${Field} label=${t("word.note")} maxlength="300" ...${form.of("note")} />
      <div class="buttons">
        <button type="button" id="import" class="strong" disabled=${busy || !ready} onClick=${() => add.run()}>${t("goods.import")}</button>
        <button type="button" id="stock" disabled=${busy || !ready} onClick=${() => compare.run()}>${t("goods.compare")}</button>
        <button type="button" disabled=${busy || !supplier.trim()} onClick=${() => pull.run()}>${t("goods.pull")}</button>
        <${Danger} label=${t("goods.replace")} name=${supplier.trim()} disabled=${busy || !ready} title=${t("goods.replace_title", { supplier })} text=${t("goods.replace_say")} done=${t("goods.replaced", { supplier })}
          fields=${[["sure", { label: t("goods.sure"), kind: "check" }]]} onDo=${({ sure, ...rest }) => bring({ ...rest, sure: sure && "true", replace: "true" })} />
      </div>
      ${[add, pull, compare].map((doing) => html`<${Problem} error=${doing.error} />`)}
    </form>
    ${busy && !progress && html`<p class="hint" role="status">${t("goods.busy")}</p>`}
    ${progress && html`<p class="hint" role="status">${t("goods.committed", { n: number(progress.committed), of: number(progress.of) })}</p>
      <progress max=${progress.of} value=${progress.committed} aria-label=${t("goods.import")}></progress>`}
    ${report && html`<${StockReport} report=${report} />`}
  <//>`;
}

function StockReport({ report }) {
  return html`<div class="stack" id="stock-report"><h3>${t("goods.stock_report", { supplier: report.supplier })}</h3>
    <p>${report.verdict}</p>
    <${Facts} of=${[[t("goods.rows"), number(report.rows)], [t("goods.agree"), number(report.agree)], ...Object.entries(report.counts).map(([kind, n]) => [t("difference." + kind), number(n)])]} />
    <${Table} of=${t("goods.differences")} rows=${report.differences} rowKey=${(d) => `${d.product} ${d.kind}`} empty=${t("goods.all_agree")} columns=${[
      { title: t("goods.product"), cell: (d) => d.product, sort: (d) => d.product },
      { title: t("goods.difference"), cell: (d) => t("difference." + d.kind), sort: (d) => d.kind },
      { title: t("goods.theirs"), cell: (d) => stockOf(d.theirs) }, { title: t("goods.ours"), cell: (d) => stockOf(d.ours) },
      { title: t("goods.expected"), cell: (d) => d.expected !== undefined && number(d.expected), number: true },
      { title: t("goods.put_up"), cell: (d) => d.use && number(d.use.put_up), number: true },
      { title: t("goods.line"), cell: (d) => d.line && number(d.line), sort: (d) => d.line || 0, number: true },
    ]} /></div>`;
}

// Shipping.

const over = (s) => s.state === "ended" || s.state === "settled";

function Ended() {
  const asked = useQuery(withQuery(at("sessions"), { archived: "true" }), { every: 10000 });
  return html`<${Card} title=${t("goods.ended")}>
    <p class="hint">${t("goods.ended_say")}</p>
    <${Asked} of=${asked}>${({ sessions }) => html`<${Table} of=${t("goods.ended")} rows=${sessions.filter(over)} rowKey=${(s) => s.id} empty=${t("goods.none_ended")} columns=${[
      { title: t("goods.session"), cell: (s) => html`<a href=${withQuery("/goods/shipping", { session: s.id })}>${s.id}</a>`, sort: (s) => s.id },
      { title: t("goods.sale"), cell: (s) => html`<bdi>${named(s.sale_name)}</bdi>`, sort: (s) => named(s.sale_name), wide: true },
      { title: t("goods.state"), cell: (s) => html`<${State} is=${s.state} />`, sort: (s) => s.state },
      { title: t("goods.end"), cell: (s) => html`<${Time} at=${s.end} />`, sort: (s) => s.end },
    ]} />`}<//>
  <//>`;
}

const places = ["unreviewed", "held", "no_receiver", "passed", "exported", "shipped", "received", "completed", "rejected", "refund_due", "refunded"];

function SecondLook({ id, shipping, session }) {
  const [told, tell] = useState(null);
  const look = useDoing(async () => tell(await change("POST", at("sessions", id, "review"), { again: true, dry_run: true }, { patience: 0 })));
  const take = async (values) => tell(await change("POST", at("sessions", id, "review"), { again: true, ...values }, { patience: 0 }));
  const decide = (no, verdict) => async (values) => {
    await change("POST", at("sessions", id, "review"), { orders: [no], verdict, ...values });
    tell((was) => ({ ...was, orders: was.orders.filter((o) => o.order_no !== no) }));
  };
  const acts = shipping.state === "ended" && may(session, "operator");
  return html`<${Card} title=${t("goods.look")}>
    <p class="hint">${t("goods.look_say")}</p>
    ${acts && html`<div class="buttons"><button type="button" id="look" disabled=${look.busy} onClick=${() => look.run()}>${t("goods.look_first")}</button>
      <${Danger} label=${t("goods.look_take")} name=${id} title=${t("goods.look_title", { id })} text=${t("goods.look_take_say")} done=${t("goods.looked", { id })} onDo=${take} /></div>`}
    <${Problem} error=${look.error} />
    ${told && html`<p role="status"><strong>${t(told.dry_run ? "goods.would" : "goods.did")}</strong> ${t("goods.look_counts", { looked: number(told.looked), passed: number(told.passed), held: number(told.held), rejected: number(told.rejected) })}</p>
      ${told.reasons?.length > 0 && html`<ul>${told.reasons.map((r) => html`<li key=${`${r.verdict} ${r.why}`}>${number(r.orders)} · ${t("verdict." + r.verdict)}: ${r.why}</li>`)}</ul>`}
      <${Table} of=${t("goods.look_orders")} rows=${told.orders || []} rowKey=${(o) => o.order_no} empty=${t("goods.look_all_passed")} columns=${[
        { title: t("goods.order"), cell: (o) => html`<${OrderLink} no=${o.order_no} />` },
        { title: t("goods.verdict"), cell: (o) => t("verdict." + o.verdict), sort: (o) => o.verdict },
        ...(acts && !told.dry_run ? [{ title: t("goods.do"), hidden: true, cell: (o) => o.verdict === "hold" && html`<div class="buttons">
          <${Ask} label=${t("goods.pass")} of=${o.order_no} text=${t("goods.pass_say")} done=${t("goods.passed_one", { no: o.order_no })} onDo=${decide(o.order_no, "pass")} />
          <${Danger} label=${t("goods.reject")} name=${o.order_no} text=${t("goods.reject_say")} done=${t("goods.rejected_one", { no: o.order_no })} onDo=${decide(o.order_no, "reject")} /></div>` }] : []),
        { title: t("goods.shopper"), cell: (o) => html`<a href=${withQuery("/orders", { shopper: o.shopper })}>${o.shopper}</a>`, sort: (o) => o.shopper },
        { title: t("goods.why"), cell: (o) => o.why, sort: (o) => o.why, wide: true },
      ]} />`}
  <//>`;
}

function Exports({ id, shipping, session }) {
  const download = useDoing((n) => save(at("sessions", id, "exports", String(n)), `${id}-export-${n}.csv`, "text/csv"));
  const out = async (values) => {
    const told = await change("POST", at("sessions", id, "exports"), values, { patience: 0 });
    if (told.export) await download.run(told.export);
  };
  const operates = may(session, "operator");
  return html`<${Card} title=${t("goods.exports")} aside=${operates && shipping.state === "ended" && html`
      <${Danger} label=${t("goods.export")} name=${id} disabled=${shipping.passed === 0} title=${t("goods.export_title", { n: number(shipping.passed) })} text=${t("goods.export_say")} done=${t("goods.exported")} onDo=${out} />`}>
    <p class="hint">${t("goods.exports_say")}</p>
    ${shipping.no_receiver > 0 && html`<p class="warn">${t("goods.lack_receiver", { n: number(shipping.no_receiver) })}</p>`}
    <${Problem} error=${download.error} />
    <${Table} of=${t("goods.exports")} rows=${shipping.exports} rowKey=${(x) => x.export} empty=${t("goods.no_exports")} columns=${[
      { title: t("goods.export_no"), cell: (x) => number(x.export), sort: (x) => x.export },
      ...(operates ? [{ title: t("goods.do"), hidden: true, cell: (x) => html`<button type="button" disabled=${download.busy} aria-label=${`${t("goods.download")}: ${number(x.export)}`} onClick=${() => download.run(x.export)}>${t("goods.download")}</button>` }] : []),
      { title: t("goods.orders"), cell: (x) => number(x.orders), sort: (x) => x.orders, number: true },
      { title: t("goods.waiting"), cell: (x) => number(x.waiting), sort: (x) => x.waiting, number: true },
    ]} />
  <//>`;
}

const columnsOf = { parcels: "order_no,carrier,tracking", received: "order_no" };

// Parcels takes in a file of what the warehouse tells.
function Parcels({ id, what }) {
  const form = useFields({ file: null, note: "" });
  const send = async () => {
    const { file, note } = form.values;
    const told = await change("POST", withQuery(at("sessions", id, what), { note: note.trim() }), file, { type: typeOf(file), patience: 0 });
    said(t("goods.taken", { rows: number(told.rows), changed: number(told.changed) }));
  };
  return html`<${Card} id=${what} title=${t("parcels." + what)}>
    <p class="hint">${t("goods.file_say")} <code>${columnsOf[what]}</code></p>
    <${Form} label=${t("goods.take")} onDo=${send}>
      <${Field} label=${t("goods.file")} kind="file" accept=".csv,.ndjson,.jsonl,.txt" required ...${form.of("file")} />
      <${Field} label=${t("word.note")} maxlength="300" ...${form.of("note")} />
    <//>
  <//>`;
}

function Shipping({ id, session }) {
  const asked = useQuery(at("sessions", id, "shipping"), { every: 5000 });
  return html`<p><a href="/goods/shipping">${t("goods.all_ended")}</a></p>
    <${Asked} of=${asked}>${(is) => html`
      <${Card} title=${t("goods.where", { id })} aside=${html`<${State} is=${is.state} />`}>
        ${places.every((place) => is[place] === 0) ? html`<${Empty} title=${t("goods.nothing_to_ship")}>${t("goods.nothing_to_ship_say")}<//>`
          : html`<${Facts} of=${places.filter((place) => is[place] > 0).map((place) => [t("place." + place), html`<span class="figure">${number(is[place])}</span>`])} />`}
        ${!over(is) && html`<p class="hint">${t("goods.not_ended")}</p>`}
      <//>
      ${over(is) && html`
        <${SecondLook} id=${id} shipping=${is} session=${session} />
        <${Exports} id=${id} shipping=${is} session=${session} />
        ${is.state === "ended" && may(session, "operator") && html`<div class="cards"><${Parcels} id=${id} what="parcels" /><${Parcels} id=${id} what="received" /></div>`}`}`}<//>`;
}

// Sinks.

const Steps = ({ sink }) => html`<div class="buttons">
  ${sink.paused ? html`<${Ask} label=${t("goods.resume")} of=${sink.name} title=${`${t("goods.resume")}: ${sink.name}`} text=${t("goods.resume_say")} done=${t("goods.resumed", { name: sink.name })}
      onDo=${(values) => change("POST", at("sinks", sink.name, "resume"), values)} />`
    : html`<${Ask} label=${t("goods.pause")} of=${sink.name} title=${`${t("goods.pause")}: ${sink.name}`} text=${t("goods.pause_say")} done=${t("goods.paused", { name: sink.name })}
      onDo=${(values) => change("POST", at("sinks", sink.name, "pause"), values)} />`}
  <${Ask} label=${t("goods.replay")} of=${sink.name} title=${`${t("goods.replay")}: ${sink.name}`} text=${t("goods.replay_say")} done=${t("goods.replayed", { name: sink.name })}
    fields=${[["from", { label: t("goods.replay_from"), placeholder: sink.first_kept || sink.position, spellcheck: false }], ["since", { label: t("goods.replay_since"), kind: "datetime-local", step: 1 }]]}
    onDo=${({ from, since, ...rest }) => change("POST", at("sinks", sink.name, "replay"), { ...rest, ...(from.trim() && { from: from.trim() }), ...(since && { since: instant(since) }) })} />
  ${!sink.kind && html`<${Danger} label=${t("goods.forget")} name=${sink.name} title=${`${t("goods.forget")}: ${sink.name}`} text=${t("goods.forget_say")} done=${t("goods.forgotten", { name: sink.name })}
    onDo=${(values) => change("POST", at("sinks", sink.name, "forget"), values)} />`}
</div>`;

const sinkColumns = (session) => [
  { title: t("goods.sink"), cell: (s) => html`<a href=${withQuery("/goods/sinks", { sink: s.name })}>${s.name}</a>`, sort: (s) => s.name },
  { title: t("goods.state"), cell: (s) => (s.kind ? html`<${State} group="sink" is=${s.paused ? "paused" : s.state} />` : html`<span class="state">${t("goods.not_configured")}</span>`), sort: (s) => s.state },
  { title: t("goods.kind"), cell: (s) => s.kind, sort: (s) => s.kind },
  { title: t("goods.lag"), cell: (s) => s.state !== "elsewhere" && t("goods.seconds", { n: s.lag_seconds.toFixed(1) }), sort: (s) => s.lag_seconds, number: true },
  { title: t("goods.changes"), cell: (s) => number(s.changes), sort: (s) => s.changes, number: true },
  { title: t("goods.letters"), cell: (s) => html`<span class=${s.dead_letters ? "bad" : undefined}>${number(s.dead_letters)}</span>`, sort: (s) => s.dead_letters, number: true },
  ...(may(session, "operator") ? [{ title: t("goods.do"), hidden: true, cell: (s) => html`<${Steps} sink=${s} />` }] : []),
  { title: t("goods.position"), cell: (s) => html`<code>${s.position}</code>` },
  { title: t("goods.last_error"), cell: (s) => s.last_error || (s.first_kept && t("goods.first_kept", { at: s.first_kept })), wide: true },
];

function Elsewhere({ of }) {
  const answers = useCluster().data?.answered_by;
  return of.leader && of.leader !== answers && of.sinks.some((s) => s.state === "elsewhere") ? html`<p class="hint">${t("goods.elsewhere", { leader: of.leader })}</p>` : null;
}

function Sinks({ session }) {
  const asked = useQuery(at("sinks"), { every: 2000 });
  return html`<${Card} title=${t("goods.sinks")}><p class="hint">${t("goods.sinks_say")}</p>
    <${Asked} of=${asked}>${(all) => html`<${Elsewhere} of=${all} />
      <${Table} of=${t("goods.sinks")} rows=${all.sinks} rowKey=${(s) => s.name} empty=${t("goods.no_sinks")} columns=${sinkColumns(session)} />`}<//><//>`;
}

function Letters({ name, sink, session }) {
  const [from, setFrom] = useState([]); // of the pages before this one
  const asked = useQuery(withQuery(at("sinks", name, "letters"), { from: from[from.length - 1], limit: 200 }), { every: 5000 });
  const operates = may(session, "operator");
  const do_ = (what, letters) => (values) => change("POST", at("sinks", name, "letters", what), { ...values, ...letters });
  return html`<${Card} title=${t("goods.letters")} aside=${operates && sink.dead_letters > 0 && html`
      <${Ask} label=${t("goods.send_all")} of=${name} text=${t("goods.send_say")} done=${t("goods.sent")} onDo=${do_("send", { all: true })} />
      <${Danger} label=${t("goods.drop_all")} name=${name} text=${t("goods.drop_say")} done=${t("goods.dropped")} onDo=${do_("drop", { all: true })} />`}>
    <p class="hint">${t("goods.letters_say")}</p>
    <${Asked} of=${asked}>${({ letters, next }) => html`<${Table} of=${t("goods.letters")} rows=${letters} rowKey=${(l) => l.at} empty=${t("goods.no_letters")} columns=${[
        { title: t("goods.at"), cell: (l) => html`<code>${l.at}</code>` },
        { title: t("goods.order"), cell: (l) => html`<${OrderLink} no=${l.order_no} />`, sort: (l) => l.order_no },
        ...(operates ? [{ title: t("goods.do"), hidden: true, cell: (l) => html`<div class="buttons">
          <${Ask} label=${t("goods.send")} of=${l.at} text=${t("goods.send_say")} disabled=${l.again} done=${t("goods.sent")} onDo=${do_("send", { letters: [l.at] })} />
          <${Danger} label=${t("goods.drop")} name=${l.at} text=${t("goods.drop_say")} done=${t("goods.dropped")} onDo=${do_("drop", { letters: [l.at] })} /></div>` }] : []),
        { title: t("goods.times"), cell: (l) => number(l.times), sort: (l) => l.times, number: true },
        { title: t("goods.since"), cell: (l) => html`<${Time} at=${l.since} />`, sort: (l) => l.since },
        { title: t("goods.why"), cell: (l) => l.why, sort: (l) => l.why, wide: true },
      ]} />
      ${(from.length > 0 || next) && html`<nav class="pager" aria-label=${t("goods.letters")}><button type="button" disabled=${from.length === 0} onClick=${() => setFrom(from.slice(0, -1))}>${t("word.before")}</button>
        <button type="button" disabled=${!next} onClick=${() => setFrom([...from, next])}>${t("word.after")}</button></nav>`}`}<//>
  <//>`;
}

function Sink({ name, session }) {
  const asked = useQuery(at("sinks", name), { every: 2000 });
  return html`<p><a href="/goods/sinks">${t("goods.all_sinks")}</a></p>
    <${Asked} of=${asked}>${(s) => html`
      <${Card} title=${s.name} aside=${html`<${State} group="sink" is=${s.paused ? "paused" : s.state} />${may(session, "operator") && html`<${Steps} sink=${s} />`}`}>
        <${Facts} of=${[
          [t("goods.kind"), s.kind || t("goods.not_configured")], [t("goods.position"), html`<code>${s.position}</code>`], [t("goods.lag"), s.state !== "elsewhere" && t("goods.seconds", { n: s.lag_seconds.toFixed(1) })],
          [t("goods.changes"), number(s.changes)], [t("goods.failures"), number(s.failures)], [t("goods.letters"), number(s.dead_letters)],
          [t("goods.failing"), s.failing_since && html`<${Time} at=${s.failing_since} />`], [t("goods.next_try"), s.next_try_at && html`<${Time} at=${s.next_try_at} />`],
        ].filter(([, value]) => value)} />
        ${(s.last_error || s.first_kept) && html`<p class="bad">${s.last_error || t("goods.first_kept", { at: s.first_kept })}</p>`}
      <//>
      <${Letters} name=${name} sink=${s} session=${session} />`}<//>`;
}

export function View({ path, query, session }) {
  const [brought, setBrought] = useState(0);
  const onBrought = () => {
    refresh();
    setBrought((n) => n + 1);
  };
  const name = query.get(path === "sinks" ? "sink" : "session");
  return html`<h1>${t("view.goods")}</h1><${Sections} of=${path} />
    ${path === "shipping" ? (name ? html`<${Shipping} key=${name} id=${name} session=${session} />` : html`<${Ended} />`)
      : path === "sinks" ? (name ? html`<${Sink} key=${name} name=${name} session=${session} />` : html`<${Sinks} session=${session} />`)
        : html`<${Products} key=${`${query} ${brought}`} query=${query} session=${session} />
          <${Suppliers} />
          ${may(session, "operator") && html`<${Bring} key=${query.get("supplier")} query=${query} onBrought=${onBrought} />`}`}`;
}
