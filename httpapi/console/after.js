// What came of a session: its report, as a page that can be printed; and next time's switches
// made from it.

import { html } from "./html.js";
import { at, change, may, useQuery, withQuery } from "./api.js";
import { go } from "./route.js";
import { money, named, number, span, t, tag } from "./words.js";
import { Ask, Asked, Card, Empty, Facts, State, Table, Time } from "./parts.js";
import { endOf, over, stateOf } from "./steps.js";
import "./words-names.js";
import "./words-orders.js";
import "./words-after.js";

const address = (id) => `/after/${encodeURIComponent(id)}`;

// Sessions that there is a report of: those that have opened.

function Sessions({ all }) {
  const rows = all.filter((s) => over(s) || s.state === "open").sort((a, b) => Date.parse(b.start) - Date.parse(a.start));
  if (rows.length === 0) return html`<${Empty} title=${t("after.none")}>${t("after.none_say")}<//>`;
  return html`<${Card} title=${t("after.sessions")}><${Table} of=${t("after.sessions")} rows=${rows} rowKey=${(s) => s.id} columns=${[
    { title: t("after.session"), cell: (s) => html`<a href=${address(s.id)}>${s.id}</a>`, sort: (s) => s.id },
    { title: t("after.state"), cell: (s) => html`<${State} is=${stateOf(s)} />`, sort: stateOf },
    { title: t("after.sale"), wide: true, cell: (s) => html`<bdi>${named(s.sale_name)}</bdi>`, sort: (s) => named(s.sale_name) },
    { title: t("after.opened"), cell: (s) => html`<${Time} at=${s.start} />`, sort: (s) => Date.parse(s.start) },
    { title: t("after.ended"), cell: (s) => (over(s) ? html`<${Time} at=${endOf(s)} />` : t("after.still_open")), sort: (s) => Date.parse(endOf(s)) },
  ]} /><//>`;
}

// Bars are figures beside each other, each as long as what it counts; beside each, its share of
// the largest. What is far smaller is seen all the same.
function Bars({ of, label, share }) {
  const most = Math.max(1, ...of.map(([, n]) => n));
  return html`<ul class="bars" aria-label=${label}>${of.map(([name, n]) => html`<li><span>${name}</span>
    <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="fill-line" width="100" height="6" /><rect class="fill-free" width=${n > 0 ? Math.max(0.6, (100 * n) / most) : 0} height="6" /></svg>
    <b>${number(n)}</b>${share && html`<small class="hint">${percent(n / most)}</small>`}</li>`)}</ul>`;
}

const percent = (part) => `${number(100 * part, part < 0.1 ? 2 : 0)}%`;
const lasted = (seconds) => (seconds === undefined || seconds === null ? null : seconds < 60 ? t("after.seconds", { n: number(seconds, 1) }) : span(seconds));
const byCount = (counts) => Object.entries(counts).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);

function Forecast({ of: { forecast, funnel } }) {
  const off = forecast.expected > 0 ? forecast.came / forecast.expected : 0;
  return html`<${Card} title=${t("after.forecast")}>
    <${Facts} of=${[[t("after.expected"), forecast.expected > 0 ? number(forecast.expected) : t("after.not_said")], [t("after.came"), number(forecast.came)], [t("after.of_forecast"), off > 0 && percent(off)]].filter(([, v]) => v !== false)} />
    <h3>${t("after.funnel")}</h3>
    <${Bars} label=${t("after.funnel")} share of=${["looks", "grabs", "shoppers", "granted", "paid", "shipped", "received"].map((step) => [t("funnel." + step), funnel[step]])} />
    <p class="hint">${t("after.funnel_say")}</p>
  <//>`;
}

const deeds = ["granted", "paid", "paid_late", "expired", "cancelled", "voided", "refunds_due", "refunded", "shipped", "received", "completed", "waitlisted", "entered"];

const Books = ({ of }) => html`<${Card} title=${t("after.books")} aside=${html`<span class="hint">${t("after.exact")}</span>`}>
  <${Table} of=${t("after.books")} rows=${deeds.filter((deed) => of.books[deed].orders > 0 || ["granted", "paid"].includes(deed))} rowKey=${(deed) => deed} columns=${[
    { title: t("after.what"), cell: (deed) => t("deed." + deed) },
    { title: t("after.orders"), number: true, cell: (deed) => number(of.books[deed].orders) },
    { title: t("after.units"), number: true, cell: (deed) => number(of.books[deed].units) },
    { title: t("after.amount"), number: true, cell: (deed) => money(of.books[deed].amount, of.currency) },
  ]} />
<//>`;

const Listings = ({ of }) => html`<${Card} title=${t("after.listings")}>
  <${Table} of=${t("after.listings")} rows=${of.listings} rowKey=${(l) => l.sku} columns=${[
    { title: t("after.listing"), cell: (l) => html`${l.sku}<br /><small class="hint"><bdi>${named(l.name)}</bdi></small>`, sort: (l) => l.sku },
    { title: t("after.stock"), number: true, cell: (l) => number(l.stock), sort: (l) => l.stock },
    { title: t("deed.granted"), number: true, cell: (l) => number(l.books.granted.units), sort: (l) => l.books.granted.units },
    { title: t("deed.paid"), number: true, cell: (l) => number(l.books.paid.units), sort: (l) => l.books.paid.units },
    { title: t("after.left"), number: true, cell: (l) => number(l.available), sort: (l) => l.available },
    { title: t("after.sold_out_in"), number: true, cell: (l) => lasted(l.sold_out.seconds) || t("after.not_sold_out"), sort: (l) => l.sold_out.seconds ?? Infinity },
    { title: t("after.resold"), number: true, cell: (l) => number(l.resold), sort: (l) => l.resold },
  ]} />
<//>`;

const ms = (n) => `${n.toLocaleString(tag(), n < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: n < 10 ? 1 : 0 })} ms`;

function Doors({ of: { doors } }) {
  const reasons = byCount(doors.reasons);
  const risks = ["none", "watch", "challenge", "block"];
  const latency = Object.entries(doors.latency).filter(([, l]) => l.grabs > 0).sort((a, b) => b[1].grabs - a[1].grabs);
  return html`<${Card} title=${t("after.doors")} aside=${html`<span class=${doors.counted < doors.of ? "warn" : "hint"}>${t("after.counted", { n: doors.counted, of: doors.of })}</span>`}>
    <div class="halves">
      <div class="stack"><h3>${t("after.reasons")}</h3>${reasons.length ? html`<${Bars} label=${t("after.reasons")} of=${reasons.map(([reason, n]) => [t("reason." + reason), n])} />` : html`<p class="hint">${t("after.nobody")}</p>`}</div>
      <div class="stack"><h3>${t("after.people")}</h3><${Bars} label=${t("after.people")} of=${risks.map((level) => [t("risklevel." + level), doors.risk.lists[level] || 0])} />
        ${byCount(doors.risk.service).length > 0 && html`<h3>${t("after.service")}</h3><${Bars} label=${t("after.service")} of=${risks.map((level) => [t("risklevel." + level), doors.risk.service[level] || 0])} />`}
        <p class="hint">${t("after.people_say")}</p></div>
    </div>
    <h3>${t("after.latency")}</h3>
    <${Table} of=${t("after.latency")} rows=${latency} rowKey=${([name]) => name} empty=${t("after.nobody")} columns=${[
      { title: t("after.answer"), cell: ([name]) => t("answered." + name) }, { title: t("funnel.grabs"), number: true, cell: ([, l]) => number(l.grabs) },
      { title: "p50", number: true, cell: ([, l]) => ms(l.p50_ms) }, { title: "p99", number: true, cell: ([, l]) => ms(l.p99_ms) }, { title: "p99.9", number: true, cell: ([, l]) => ms(l.p999_ms) },
    ]} />
    <h3>${t("after.nodes")}</h3>
    <${Table} of=${t("after.nodes")} rows=${doors.nodes} rowKey=${(n) => n.node} columns=${[
      { title: t("after.node"), cell: (n) => n.node }, { title: t("after.is_counted"), cell: (n) => (n.counted ? t("after.yes") : html`<span class="warn">${n.error || t("after.no")}</span>`) },
      { title: t("after.since"), cell: (n) => html`<${Time} at=${n.since} />` }, { title: t("funnel.grabs"), number: true, cell: (n) => number(n.grabs) },
    ]} />
  <//>`;
}

const brief = 160; // characters of a detail that are not folded

function Detail({ text }) {
  if (!text) return null;
  return text.length <= brief ? html`<p><bdi>${text}</bdi></p>` : html`<details><summary><bdi>${text.slice(0, brief)} …</bdi></summary><p><bdi>${text}</bdi></p></details>`;
}

function Incident({ of: i }) {
  const lasts = i.what === "alarm" || i.what === "drain";
  return html`<li>
    <div><${Time} at=${i.at} />${lasts && html`<br /><small class="hint">${i.until ? html`${t("after.until")} <${Time} at=${i.until} only />` : t("after.lasts")}</small>`}</div>
    <div><p>${i.severity && html`<${State} group="severity" is=${i.severity} /> `}<strong>${i.what === "deed" ? t("event." + i.name) : i.what === "alarm" ? t("alarm." + i.name) : t("incident." + i.what)}</strong>${i.times > 1 && ` × ${number(i.times)}`}
        ${" "}<span class="hint"><bdi>${[i.node, i.about, i.session, i.operator].filter(Boolean).join(" · ")}</bdi></span></p>
      <${Detail} text=${i.detail} />${i.note && html`<p class="hint"><q><bdi>${i.note}</bdi></q></p>`}</div>
  </li>`;
}

const Incidents = ({ of }) => html`<${Card} title=${t("after.incidents")}>
  ${of.incidents.length === 0 ? html`<${Empty} title=${t("after.calm")}>${t("after.calm_say")}<//>` : html`<ol class="trail">${of.incidents.map((i, k) => html`<${Incident} key=${k} of=${i} />`)}</ol>`}
  ${of.more_incidents > 0 && html`<p class="hint">${t("after.more", { n: number(of.more_incidents) })}</p>`}
<//>`;

// Next makes a profile of the switches at the height, and leads on to a session that names it.
function Next({ of, session }) {
  const switches = Object.entries(of.switches.switches);
  const define = async ({ name, ...rest }) => {
    await change("POST", at("sessions", of.session, "report", "profile"), { name, ...rest });
    go(withQuery("/plan", { part: "new", like: of.session, profile: name }));
  };
  return html`<${Card} title=${t("after.next")}>
    <p>${t("after.height", { n: number(of.switches.granted) })} <${Time} at=${of.switches.at} />${of.switches.profile && ` · ${t("after.by_profile", { name: of.switches.profile })}`}</p>
    ${switches.length === 0 ? html`<p class="hint">${t("after.all_normal")}</p>` : html`<${Facts} of=${switches.map(([name, value]) => [name, String(value)])} />`}
    <div class="buttons only-screen">
      ${switches.length > 0 && may(session, "operator") && html`<${Ask} label=${t("after.make")} of=${of.session} text=${t("after.make_say")} strong done=${t("after.made")}
        fields=${[["name", { label: t("after.name"), value: `${of.session}-next`.slice(-64), required: true, maxlength: 64, spellcheck: false }]]} onDo=${define} />`}
      ${may(session, "operator") && html`<a class="button" href=${withQuery("/plan", { part: "new", like: of.session })}>${t("after.like")}</a>`}
    </div>
  <//>`;
}

function Report({ id, session }) {
  const asked = useQuery(at("sessions", id, "report"));
  return html`<${Asked} of=${asked}>${(of) => html`
    <${Card} title=${html`<bdi>${named(of.sale_name)}</bdi> · ${of.session}`} aside=${html`<${State} group="stage" is=${of.stage} />`}>
      <div class="head"><p class="hint">${t("after.as_of")} <${Time} at=${of.counted} /></p><div class="aside only-screen">
        <button type="button" onClick=${asked.reload}>${t("after.again")}</button>
        <button type="button" onClick=${() => print()}>${t("after.print")}</button>
        <a class="button" href=${at("sessions", id, "report")} download=${`${id}.json`}>${t("after.json")}</a></div></div>
      <${Facts} of=${[
        [t("after.opened"), html`<${Time} at=${of.opened} />`], [t("after.ended"), of.ended ? html`<${Time} at=${of.ended} />` : t("after.still_open")],
        [t("after.granted"), t("after.units_of", { n: number(of.books.granted.units) })], [t("after.paid"), money(of.books.paid.amount, of.currency)],
        [t("after.sold_out_in"), lasted(of.sold_out.seconds) || t("after.not_sold_out")], [t("after.from_start"), lasted(of.sold_out.seconds_from_start)],
        [t("after.resold"), number(of.resold)], [t("after.refunds"), of.books.refunds_due.orders > 0 && money(of.books.refunds_due.amount, of.currency)],
      ].filter(([, value]) => value)} />
      ${of.notes.map((note) => html`<p class="warn">${note}</p>`)}
    <//>
    <${Forecast} of=${of} /><${Books} of=${of} /><${Listings} of=${of} /><${Doors} of=${of} /><${Incidents} of=${of} /><${Next} of=${of} session=${session} />`}<//>`;
}

export function View({ path, session }) {
  const asked = useQuery(at("sessions"));
  return html`<h1>${t("view.after")}</h1>
    ${path ? html`<p class="only-screen"><a href="/after">${t("after.all")}</a></p><${Report} key=${path} id=${path} session=${session} />`
      : html`<${Asked} of=${asked}>${({ sessions }) => html`<${Sessions} all=${sessions} />`}<//>`}`;
}
