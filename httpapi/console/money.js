// Money: the cashier's statements held against the orders, what differs and who has seen to
// it, and refunds that are due.

import { html, useState } from "./html.js";
import { Refused, at, change, lines, may, refresh, save, useQuery, usePages, withQuery } from "./api.js";
import { go } from "./route.js";
import { instant, moment, money, number, t } from "./words.js";
import { Ask, Asked, Card, Empty, Facts, Field, Pages, Problem, Table, Time, said, useDoing, useFields } from "./parts.js";
import { ofMoney } from "./alarms.js";
import "./words-names.js";
import "./words-money.js";

const OrderLink = ({ no }) => no && html`<a href=${`/orders/${no}`}><code>${no}</code></a>`;

// How the daily statements are.

function Daily({ reports }) {
  const alarms = (useQuery(at("alarms"), { every: 10000 }).data?.alarms || []).filter((alarm) => ofMoney.includes(alarm.name));
  const last = reports.find((r) => r.operator === "daily");
  const open = reports[0]?.open_now || 0;
  return html`<${Card} title=${t("money.state")}>
    <${Facts} of=${[
      [t("money.last_daily"), last ? html`<a href=${`/money/${last.id}`}><${Time} at=${last.ran_at} /></a>` : t("money.no_daily")],
      [t("money.daily_period"), last && html`<${Time} at=${last.from} /> – <${Time} at=${last.to} />`],
      [t("money.open"), html`<span class=${open ? "bad" : "good"}>${open ? number(open) : t("money.nothing_open")}</span>`],
    ].filter(([, value]) => value)} />
    ${alarms.length > 0 && html`<ul class="alarms">${alarms.map((alarm) => html`<li class="alarm" data-is=${alarm.severity} key=${`${alarm.name} ${alarm.node} ${alarm.about}`}>
      <div class="head"><strong>${t("alarm." + alarm.name)}</strong><div class="aside"><a href=${`/runbook#${alarm.name}`} target="_blank" rel="noopener">${t("money.runbook")}</a></div></div>
      <p>${alarm.detail}</p></li>`)}</ul>`}
  <//>`;
}

// A statement is sent, and the node tells how far it is, a line each time; the report or the
// problem is the last one.

async function run(file, query, tell) {
  const response = await change("POST", withQuery(at("reconciliations"), query), file, { type: "application/octet-stream", accept: "application/x-ndjson", patience: 0 });
  let report = null;
  await lines(response, (told) => {
    if (told.progress) tell(told.progress);
    else if (told.problem) throw new Refused(told.problem.status, told.problem);
    else report = told.report;
  });
  if (!report) throw new Error(t("money.broke_off"));
  return report;
}

const formats = ["auto", "csv", "wechat", "alipay", "paypal", "stripe", "adyen", "map"];

function Upload() {
  const form = useFields({ file: null, from: "", to: "", format: "auto", map: "", note: "" });
  const [progress, setProgress] = useState(null);
  const doing = useDoing(async (compare) => {
    const { file, from, to, format, map, note } = form.values;
    if (!file) throw new Error(t("money.no_file"));
    setProgress({ phase: "sending" });
    try {
      const report = await run(file, { name: file.name, from: instant(from), to: instant(to), format: format === "auto" ? "" : format, map: format === "map" ? map : "",
        dry_run: compare && "true", note: compare ? "" : note.trim() }, setProgress);
      refresh();
      go(`/money/${report.id}`);
      said(t(compare ? "money.compared" : "money.reconciled", { name: file.name }));
    } finally {
      setProgress(null);
    }
  });
  const send = (event) => {
    event.preventDefault(); // Enter compares, and books nothing
    doing.run(true);
  };
  return html`<${Card} title=${t("money.upload")}>
    <p class="hint">${t("money.upload_say")}</p>
    <form class="row" onSubmit=${send}>
      <${Field} label=${t("money.file")} kind="file" accept=".csv,.ndjson,.jsonl,.txt,.zip,text/csv" required ...${form.of("file")} />
      <${Field} label=${t("money.format")} kind="select" options=${formats.map((f) => [f, t("format." + f)])} ...${form.of("format")} />
      <${Field} label=${t("money.from")} hint=${t("money.from_say")} kind="datetime-local" step="1" ...${form.of("from")} />
      <${Field} label=${t("money.to")} hint=${t("money.to_say")} kind="datetime-local" step="1" ...${form.of("to")} />
      <${Field} label=${t("word.note")} maxlength="300" ...${form.of("note")} />
      ${form.values.format === "map" && html`<${Field} label=${t("money.map")} kind="area" required maxlength="4096" spellcheck=${false} ...${form.of("map")} />`}
      <div class="buttons"><button type="submit" id="compare" disabled=${doing.busy}>${t("money.compare")}</button>
        <button type="button" id="reconcile" class="strong" disabled=${doing.busy || !form.values.file} onClick=${() => doing.run(false)}>${t("money.reconcile")}</button></div>
      <${Problem} error=${doing.error} />
    </form>
    ${progress && html`<p class="hint" role="status">${t("phase." + progress.phase)}${progress.rows > 0 && html`: ${number(progress.rows)}${progress.of > 0 && ` / ${number(progress.of)}`}`}</p>
      <progress max=${progress.of || undefined} value=${progress.of ? progress.rows : undefined} aria-label=${t("money.upload")}></progress>`}
  <//>`;
}

// Reports.

const nameOf = (report) => report.statement.name || report.statement.sha256.slice(0, 12);
const booked = (report, side) => report.totals.map((x) => money(x[side].paid - x[side].refunded, x.currency)).join(", ");
const sums = (tally) => tally.money.map((m) => money(m.amount, m.currency)).join(", ");
// What a comparison has found does not count as open, and is no less there.
const openOf = (r) => (r.dry_run ? r.open : r.open_now);
const Open = ({ of }) => html`<span class="state" data-is=${openOf(of) ? (of.dry_run ? "warn" : "bad") : "ok"}>${openOf(of) ? t(of.dry_run ? "money.n_differ" : "money.n_open", { n: number(openOf(of)) }) : t("money.nothing_open")}</span>`;

function Reports({ asked }) {
  return html`<${Card} title=${t("money.reports")} aside=${html`<button type="button" onClick=${asked.reload}>${t("money.again")}</button>`}>
    <${Asked} of=${asked}>${({ reconciliations, unanswered = [] }) => html`
      ${unanswered.map(({ node, error }) => html`<p class="warn" key=${node}>${t("money.unanswered", { node })} ${error}</p>`)}
      <${Table} of=${t("money.reports")} rows=${reconciliations} rowKey=${(r) => r.id} empty=${t("money.no_reports")} columns=${[
        { title: t("money.statement"), cell: (r) => html`<a href=${`/money/${r.id}`}><bdi>${nameOf(r)}</bdi></a>${r.dry_run && html` <small class="hint">${t("money.only_compared")}</small>`}`, sort: nameOf },
        { title: t("money.open"), cell: (r) => html`<${Open} of=${r} />`, sort: openOf },
        { title: t("money.ran"), cell: (r) => html`<${Time} at=${r.ran_at} />`, sort: (r) => r.ran_at },
        { title: t("money.by"), cell: (r) => (r.operator === "daily" ? t("money.daily") : r.operator), sort: (r) => r.operator },
        { title: t("money.agreed"), cell: (r) => number(r.matched), sort: (r) => r.matched, number: true },
        { title: t("money.booked"), cell: (r) => number(r.settled), sort: (r) => r.settled, number: true },
        { title: t("money.they_have"), cell: (r) => booked(r, "theirs"), number: true },
        { title: t("money.we_have"), cell: (r) => booked(r, "ours"), number: true },
      ]} />
      <p class="hint">${t("money.reports_say")}</p>`}<//>
  <//>`;
}

// A report.

const mostFindings = 1000; // that are shown of one
const parts = ["findings", "totals", "days", "sessions", "listings"];

const sides = ["theirs", "ours"];

function Totals({ totals }) {
  const rows = totals.flatMap((x) => sides.map((side) => ({ ...x[side], side, currency: x.currency, other: x[side === "ours" ? "theirs" : "ours"] })));
  const mark = (r, of, text) => html`<span class=${of(r) !== of(r.other) ? "bad" : undefined}>${text}</span>`;
  const count = (name) => ({ title: t("total." + name), number: true, cell: (r) => mark(r, (x) => x[name], number(r[name])) });
  const sum = (name, of) => ({ title: t("total." + name), number: true, cell: (r) => mark(r, of, money(of(r), r.currency)) });
  return html`<${Table} of=${t("money.totals")} rows=${rows} empty=${null} columns=${[
    { title: t("money.book"), cell: (r) => t("book." + r.side) }, { title: t("money.currency"), cell: (r) => r.currency },
    count("payments"), sum("paid", (x) => x.paid), count("refunds"), sum("refunded", (x) => x.refunded), sum("left", (x) => x.paid - x.refunded),
  ]} />`;
}

const SetAside = ({ report, finding }) => html`<${Ask} label=${t("money.set_aside")} of=${finding.id} title=${t("money.set_aside_title")} text=${`${finding.says} ${t("money.set_aside_say")}`} note=${false}
  fields=${[["note", { label: t("money.how_seen"), required: true, maxlength: 300 }]]} done=${t("money.is_set_aside")}
  onDo=${(values) => change("POST", at("reconciliations", report.id, "set-aside"), { ...values, differences: [finding.id] })} />`;

function Findings({ report, session }) {
  const sum = (finding, amount) => (amount === undefined ? "" : money(amount, finding.currency));
  const lacks = openOf(report) - report.findings.length;
  return html`${report.findings.length === 0 ? html`<${Empty} title=${t("money.all_agreed")} />` : html`
    <${Table} of=${t("money.differences")} rows=${report.findings} rowKey=${(f) => f.id} columns=${[
      { title: t("money.finding"), cell: (f) => t("finding." + f.kind), sort: (f) => f.kind },
      ...(may(session, "operator") ? [{ title: t("money.do"), hidden: true, cell: (f) => f.open && !report.dry_run && html`<${SetAside} report=${report} finding=${f} />` }] : []),
      { title: t("money.order"), cell: (f) => html`<${OrderLink} no=${f.order_no} />`, sort: (f) => f.order_no },
      { title: t("money.payment"), cell: (f) => html`<code>${f.payment_id}</code>`, sort: (f) => f.payment_id },
      { title: t("book.theirs"), cell: (f) => sum(f, f.theirs), sort: (f) => f.theirs, number: true },
      { title: t("book.ours"), cell: (f) => sum(f, f.ours), sort: (f) => f.ours, number: true },
      { title: t("money.at"), cell: (f) => html`<${Time} at=${f.at} />`, sort: (f) => f.at },
      { title: t("money.line"), cell: (f) => (f.line ? number(f.line) : ""), sort: (f) => f.line || 0, number: true },
      { title: t("money.says"), cell: (f) => f.says, wide: true },
    ]} />`}
    ${report.dry_run && html`<p class="hint">${t("money.dry_say")}</p>`}
    ${lacks > 0 && html`<p class="hint">${t("money.rest", { n: number(lacks) })}</p>`}`;
}

function Report({ id, session }) {
  const asked = useQuery(withQuery(at("reconciliations", id), { findings: mostFindings, open: "true" }));
  const doing = useDoing((part) => (part ? save(withQuery(at("reconciliations", id), { format: "csv", part }), `${id}-${part}.csv`, "text/csv") : save(at("reconciliations", id), `${id}.json`, "application/json")));
  return html`<p><a href="/money">${t("money.back")}</a></p>
    <${Asked} of=${asked}>${(r) => html`<h1><bdi>${nameOf(r)}</bdi></h1>
      <${Card} title=${t("money.report")} aside=${html`<${Open} of=${r} />`}>
        <p>${r.verdict}</p>
        <${Facts} of=${[
          [t("money.ran"), html`<${Time} at=${r.ran_at} />`], [t("money.by"), r.operator === "daily" ? t("money.daily") : r.operator], [t("money.node"), r.node], [t("money.note"), r.note],
          [t("money.period"), `${moment(Date.parse(r.from))} – ${moment(Date.parse(r.to))}`], [t("money.lines"), t("money.n_lines", { payments: number(r.statement.payments), refunds: number(r.statement.refunds) })],
          [t("money.format"), String(r.statement.format)], [t("money.agreed"), number(r.matched)], [t("money.booked"), number(r.settled)], [t("money.open_before"), r.open_before && number(r.open_before)],
          [t("money.not_ours"), r.not_ours.count && t("money.n_worth", { n: number(r.not_ours.count), worth: sums(r.not_ours) })],
          [t("money.pending"), r.refunds_pending.count && t("money.n_worth", { n: number(r.refunds_pending.count), worth: sums(r.refunds_pending) })],
          [t("money.found"), r.findings_by_kind.map((c) => `${number(c.count)} ${t("finding." + c.kind)}`).join(", ")],
        ].filter(([, value]) => value)} />
        <p class="hint"><small>SHA-256 <code>${r.statement.sha256}</code></small></p>
      <//>
      <${Card} title=${t("money.totals")}><${Totals} totals=${r.totals} /><//>
      <${Card} title=${t("money.differences")}><${Findings} report=${r} session=${session} /><//>
      <${Card} title=${t("money.take_away")}>
        <div class="buttons">${parts.map((part) => html`<button type="button" key=${part} disabled=${doing.busy} onClick=${() => doing.run(part)}>${t("part." + part)} (CSV)</button>`)}
          <button type="button" disabled=${doing.busy} onClick=${() => doing.run("")}>${t("money.whole")} (JSON)</button></div>
        <${Problem} error=${doing.error} />
      <//>`}<//>`;
}

// Refunds that are due.

function Refunds() {
  const pages = usePages(withQuery(at("refunds"), { limit: 200 }), "refunds", { every: 5000 });
  return html`<${Card} id="refunds" title=${t("money.refunds")} aside=${html`<button type="button" onClick=${pages.reload}>${t("money.again")}</button>`}>
    <p class="hint">${t("money.refunds_say")}</p>
    <${Pages} of=${pages}>${(rows, page) => html`
      ${rows.length > 0 && page && !page.asking && html`<p class="hint">${t("money.not_asking")}</p>`}
      <${Table} of=${t("money.refunds")} rows=${rows} rowKey=${(r) => r.refund_no} empty=${t("money.no_refunds")} columns=${[
        { title: t("money.order"), cell: (r) => html`<${OrderLink} no=${r.order_no} />`, sort: (r) => r.order_no },
        { title: t("money.amount"), cell: (r) => money(r.amount, r.currency), sort: (r) => r.amount, number: true },
        { title: t("money.due"), cell: (r) => html`<${Time} at=${r.due_at} />`, sort: (r) => r.due_at },
        { title: t("money.why"), cell: (r) => t("reason." + r.reason), sort: (r) => r.reason },
        { title: t("money.payment"), cell: (r) => html`<code>${r.payment_id}</code>`, sort: (r) => r.payment_id },
        { title: t("money.refund_no"), cell: (r) => number(r.refund_no), sort: (r) => r.refund_no, number: true },
        { title: t("money.tries"), cell: (r) => r.tries && html`${number(r.tries)}: ${r.last_error} ${r.next_try_at && html`<span class="hint">${t("money.next_try")} <${Time} at=${r.next_try_at} /></span>`}`, sort: (r) => r.tries || 0, wide: true },
        { title: t("money.paid_at"), cell: (r) => html`<${Time} at=${r.paid_at} />`, sort: (r) => r.paid_at },
      ]} />`}<//>
  <//>`;
}

function Desk({ session }) {
  const asked = useQuery(at("reconciliations"), { every: 30000 });
  return html`<h1>${t("view.money")}</h1>
    <${Daily} reports=${asked.data?.reconciliations || []} />
    ${may(session, "operator") && html`<${Upload} />`}
    <${Reports} asked=${asked} />
    <${Refunds} />`;
}

export const View = ({ path, session }) => (path ? html`<${Report} key=${path} id=${path} session=${session} />` : html`<${Desk} session=${session} />`);
