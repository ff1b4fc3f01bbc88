// What an operator leaves open at 10:00: sessions with their countdowns, how the chosen one
// sells, second by second, how the cluster is, and what needs seeing to.

import { html, useMemo, useState } from "./html.js";
import { at, change, may, now, useCluster, useQuery, useStream, withQuery } from "./api.js";
import { Chart, Hour, Bar } from "./chart.js";
import { money, named, number, t } from "./words.js";
import { Ask, Asked, Card, Empty, Facts, Problem, State, Time, useSeconds } from "./parts.js";
import { ofMoney } from "./alarms.js";
import { Finals, Report, Steps, When, endOf, over, stateOf } from "./steps.js";
import "./words-names.js";
import "./words-now.js";

// Alarms.

const silences = ["30m", "2h", "8h", "24h", "72h"];

function Alarm({ alarm, note, session }) {
  const seen = note?.acknowledged_at && note.of.includes(`${alarm.node || ""}/${alarm.about || ""}`) && !(Date.parse(alarm.since) > Date.parse(note.acknowledged_at));
  const silent = note?.silent_until && Date.parse(note.silent_until) > now();
  const name = t("alarm." + alarm.name);
  return html`<li class="alarm" data-is=${alarm.severity}>
    <div class="head">
      <${State} group="severity" is=${alarm.severity} /><strong>${name}</strong>
      ${alarm.node && html`<span>${t("now.node", { id: alarm.node })}</span>`}
      ${alarm.since && Date.parse(alarm.since) > 0 && html`<span class="hint">${t("now.since")} <${Time} at=${alarm.since} /></span>`}
      <div class="aside">
        ${ofMoney.includes(alarm.name) && html`<a href="/money">${t("view.money")}</a>`}
        <a href=${`/runbook#${alarm.name}`} target="_blank" rel="noopener" aria-label=${`${t("now.runbook")}: ${name}`}>${t("now.runbook")}</a>
        ${may(session, "operator") && html`
          ${!seen && html`<${Ask} label=${t("now.acknowledge")} of=${name} text=${t("now.acknowledge_say")} done=${t("now.acknowledged", { name })}
            onDo=${(values) => change("POST", at("alarms", alarm.name, "acknowledge"), values)} />`}
          ${silent ? html`<${Ask} label=${t("now.unsilence")} of=${name} done=${t("now.unsilenced", { name })}
              onDo=${(values) => change("POST", at("alarms", alarm.name, "silence"), { ...values, for: "0s" })} />`
            : html`<${Ask} label=${t("now.silence")} of=${name} text=${t("now.silence_say")} done=${t("now.silenced", { name })}
              fields=${[["for", { label: t("now.silence_for"), kind: "select", value: "2h", options: silences.map((d) => [d, t("span." + d)]) }]]}
              onDo=${(values) => change("POST", at("alarms", alarm.name, "silence"), values)} />`}`}
      </div>
    </div>
    <p>${alarm.detail}${alarm.advice ? ` ${alarm.advice}` : ""}</p>
    ${seen && html`<p class="hint">${t("now.seen", { who: note.acknowledged_by })} <${Time} at=${note.acknowledged_at} /></p>`}
    ${silent && html`<p class="hint">${t("now.quiet", { who: note.silenced_by })} <${Time} at=${note.silent_until} /></p>`}
  </li>`;
}

function Alarms({ session }) {
  const alarms = useQuery(at("alarms"), { every: 4000 });
  const list = alarms.data?.alarms || [];
  if (!alarms.error && list.length === 0) return null;
  const grave = (a) => (a.severity === "wake" ? 0 : 1);
  return html`<${Card} id="alarms" title=${t("now.alarms", { n: list.length })}>
    <${Asked} of=${alarms}>${(data) => html`<ul class="alarms">${[...list].sort((a, b) => grave(a) - grave(b))
      .map((alarm) => html`<${Alarm} key=${`${alarm.name} ${alarm.node} ${alarm.about}`} alarm=${alarm} note=${data.seen_to.find((n) => n.name === alarm.name)} session=${session} />`)}</ul>`}<//>
  <//>`;
}

// The cluster, in a line.

function Group() {
  const { data } = useCluster();
  if (!data) return null;
  const zones = [...new Set(data.nodes.map((n) => n.zone))].map((zone) => {
    const own = data.nodes.filter((n) => n.zone === zone);
    return `${zone} ${own.filter((n) => n.reachable).length}/${own.length}`;
  });
  const behind = Math.max(0, ...data.nodes.filter((n) => n.reachable).map((n) => n.lag));
  return html`<${Facts} of=${[
    [t("now.leader"), data.leader || html`<span class="bad">${t("shell.no_leader")}</span>`],
    [t("now.zones"), data.nodes.length > 1 && zones.join(", ")],
    [t("now.zone_ack"), data.zone_ack.mode && `${t("zonemode." + data.zone_ack.mode)} · ${t("zoneack." + data.zone_ack.state)}`],
    [t("now.lag"), data.nodes.length > 1 && t("now.entries", { n: number(behind) })],
    [t("now.fsync"), data.fsync_ms > 0 && `${number(data.fsync_ms, 1)} ms`],
    [t("now.answered"), data.answered_by],
  ].filter(([, value]) => value)} />`;
}

// Sessions.

const atOnce = 6; // sessions of a group that are not folded away

function Bunch({ title, sessions, chosen, folded }) {
  if (sessions.length === 0) return null;
  const item = (s) => html`<li key=${s.id}><a href=${withQuery("/now", { session: s.id })} aria-current=${s.id === chosen ? "true" : undefined}>
    <span class="head"><strong>${s.id}</strong><${State} is=${stateOf(s)} /></span>
    <span class="hint"><bdi>${named(s.sale_name)}</bdi></span><${When} of=${s} /></a></li>`;
  const list = (of) => html`<ul class="sessions">${of.map(item)}</ul>`;
  const rest = folded ? sessions : sessions.slice(atOnce);
  return html`<div class="stack"><h3>${title} <small class="hint">${number(sessions.length)}</small></h3>
    ${!folded && list(sessions.slice(0, atOnce))}
    ${rest.length > 0 && html`<details open=${rest.some((s) => s.id === chosen)}><summary>${folded ? t("now.show", { n: number(rest.length) }) : t("now.further", { n: number(rest.length) })}</summary>${list(rest)}</details>`}</div>`;
}

const AddStock = ({ of, sku }) => html`<${Ask} label=${t("now.add_stock")} of=${sku} title=${t("now.add_stock_title", { sku, id: of.id })} done=${t("now.added", { sku })}
  fields=${[["units", { label: t("now.units"), kind: "number", required: true, step: 1, min: -1000000000, max: 1000000000 }]]}
  onDo=${({ units, ...rest }) => change("POST", at("sessions", of.id, "skus", sku, "stock"), { ...rest, units: Number(units) })} />`;

const spans = [300, 900, 3600];
const reasonColors = ["refused", "waiting", "held", "free", "stock", "granted"];
const mostReasons = 5; // lines of their own

// rush is what is asked a second: grants, and refusals by reason; rare reasons are one line.
function rush(hour) {
  const byWeight = [...hour.refusals].map(([reason, past]) => [reason, past, past.points.reduce((sum, n) => sum + Math.max(0, n), 0)]).filter(([, , n]) => n > 0).sort((a, b) => b[2] - a[2]);
  const lines = [{ name: t("now.granted"), color: "paid", pasts: [...hour.listings.values()].map((l) => l.granted), fill: true }];
  byWeight.slice(0, mostReasons).forEach(([reason, past], i) => lines.push({ name: t("reason." + reason), color: reasonColors[i], pasts: [past] }));
  const rest = byWeight.slice(mostReasons);
  if (rest.length) lines.push({ name: t("now.other_reasons"), color: reasonColors[mostReasons], pasts: rest.map(([, past]) => past) });
  return lines;
}

const levels = (l) => [
  { name: t("now.available"), color: "free", pasts: [l.available], fill: true },
  { name: t("now.held"), color: "held", pasts: [l.held] },
  { name: t("now.paid"), color: "paid", pasts: [l.paid] },
  { name: t("now.waiting"), color: "waiting", pasts: [l.waiting] },
  { name: t("now.granted"), color: "granted", pasts: [l.granted], right: true },
];

// stateNow is a listing's state by its live counts: a session is asked for only now and then.
const stateNow = (listing, live) => (live && ["open", "sold_out"].includes(listing.state) ? (live.available > 0 ? "open" : "sold_out") : listing.state);

const openAtOnce = 6; // listings whose curves are drawn without being asked for

function Listing({ of, listing, hour, version, span, open: begin, session }) {
  const [open, setOpen] = useState(begin);
  const past = hour.listings.get(listing.sku);
  const live = past && Object.fromEntries(["stock", "available", "held", "paid", "waiting"].map((name) => [name, past[name].latest]));
  const counts = { ...listing.counts, ...(live && { ...live, waitlisted: live.waiting }) };
  return html`<details class="listing" open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>
      <span class="head"><strong>${listing.sku}</strong> <bdi>${named(listing.name)}</bdi> <${State} is=${stateNow(listing, live)} /><span class="hint">${money(listing.price, listing.currency)}</span></span>
      <${Bar} ...${counts} />
      <span class="counts">${["stock", "available", "held", "paid", "waitlisted", "shoppers"].map((name) => html`<span><small>${t("count." + name)}</small> <b>${number(counts[name])}</b></span>`)}</span>
    </summary>
    ${open && past && html`<${Chart} label=${listing.sku} hour=${hour} lines=${levels(past)} span=${span} version=${version} />`}
    ${!over(of) && may(session, "operator") && html`<div class="buttons"><${AddStock} of=${of} sku=${listing.sku} /></div>`}
  </details>`;
}

function Session({ id, session }) {
  const asked = useQuery(at("sessions", id), { every: 5000 });
  const hour = useMemo(() => new Hour(), [id]);
  const [version, drew] = useState(0);
  const [span, setSpan] = useState(spans[0]);
  const there = useStream(id, () => withQuery(at("sessions", id, "curve"), { stream: "true", after: hour.last || "" }), "curve", (curve) => {
    hour.take(curve);
    drew(curve.last);
  });
  const of = asked.data;
  if (!of) return asked.error ? html`<${Problem} error=${asked.error} retry=${asked.reload} />` : null;
  const busiest = [...of.listings].sort((a, b) => (b.counts?.shoppers || 0) - (a.counts?.shoppers || 0)).slice(0, openAtOnce).map((l) => l.sku);
  const lines = rush(hour);
  const sold = of.listings.reduce((sum, l) => sum + (hour.listings.has(l.sku) ? hour.listings.get(l.sku).held.latest + hour.listings.get(l.sku).paid.latest : (l.counts?.held || 0) + (l.counts?.paid || 0)), 0);
  const stock = of.listings.reduce((sum, l) => sum + (hour.listings.get(l.sku)?.stock.latest || l.counts?.stock || 0), 0);
  return html`<${Card} title=${html`<bdi>${named(of.sale_name)}</bdi> · ${of.id}`} aside=${html`<${State} is=${stateOf(of)} /><${When} of=${of} />`}>
    <${Problem} error=${asked.error} />
    <div class="head"><p class="hint"><${Time} at=${of.start} /> – <${Time} at=${endOf(of)} /></p><div class="aside"><${Steps} of=${of} session=${session} /><${Report} of=${of} /></div></div>
    ${(of.findings || []).map((f) => html`<p class="warn">${f.path}: ${f.message}</p>`)}
    <${Facts} of=${[
      [t("now.sold"), t("now.of", { n: number(sold), all: number(stock) })],
      [t("now.granted"), number(hour.latest("granted"))],
      [t("now.refused"), number([...hour.refusals.values()].reduce((sum, past) => sum + past.latest, 0))],
      [t("now.waiting"), number(hour.latest("waiting"))],
      [t("now.pay_within"), t("now.seconds", { n: number(of.pay_within_seconds), grace: number(of.pay_grace_seconds) })],
      [t("now.limit"), of.limit_per_shopper ? number(of.limit_per_shopper) : t("now.no_limit")],
      [t("now.quota"), of.admission_multiple ? t("now.times_stock", { n: of.admission_multiple }) : t("now.no_limit")],
    ]} />
    ${hour.listings.size > 0 ? html`
      <div class="head"><h3>${t("now.rush")}</h3>${!there && html`<span class="hint">${t("now.cut_off")}</span>`}
        <div class="aside" role="group" aria-label=${t("now.span")}>${spans.map((s) => html`<button type="button" aria-pressed=${s === span ? "true" : "false"} onClick=${() => setSpan(s)}>${t("now.minutes", { n: s / 60 })}</button>`)}</div></div>
      <${Chart} label=${t("now.rush")} hour=${hour} lines=${lines} span=${span} height=${220} version=${version} />
      <p class="hint">${t("now.rush_say")}</p>` : html`<${Empty} title=${t("now.no_curve")}>${t("now.no_curve_say")}<//>`}
    <h3>${t("now.listings")}</h3>
    <div class="listings">${of.listings.map((listing) => html`<${Listing} key=${listing.sku} ...${{ of, listing, hour, version, span, session, open: busiest.includes(listing.sku) }} />`)}</div>
    <${Finals} of=${of} session=${session} />
  <//>`;
}

export function View({ query, session }) {
  const [soon, setSoon] = useState(false);
  const asked = useQuery(at("sessions"), { every: soon ? 1000 : 5000 });
  const all = asked.data?.sessions || [];
  const second = useSeconds();
  const near = (text) => Math.abs(Date.parse(text) / 1000 - second) < 4;
  const isSoon = all.some((s) => (s.state === "published" && near(s.start)) || (s.state === "open" && near(s.end)));
  if (soon !== isSoon) setSoon(isSoon);
  const byStart = (a, b) => Date.parse(a.start) - Date.parse(b.start);
  const open = all.filter((s) => s.state === "open").sort(byStart);
  const coming = all.filter((s) => s.state === "published" || s.state === "draft").sort(byStart);
  const past = all.filter(over).sort((a, b) => byStart(b, a));
  const chosen = query.get("session") || (open[0] || coming[0] || past[0])?.id;
  return html`<h1>${t("view.now")}</h1>
    <${Alarms} session=${session} />
    <${Card} title=${t("now.group")} aside=${html`<a href="/cluster">${t("now.more")}</a>`}><${Group} /><//>
    <${Asked} of=${asked}>${() => all.length === 0 ? html`<${Empty} title=${t("now.no_sessions")}>${t("now.no_sessions_say")} ${may(session, "operator") && html`<a href="/plan?part=file">${t("now.to_plan")}</a>`}<//>` : html`<div class="beside">
      <${Card} title=${t("now.sessions")}>
        <${Bunch} title=${t("now.open")} sessions=${open} chosen=${chosen} />
        <${Bunch} title=${t("now.coming")} sessions=${coming} chosen=${chosen} />
        <${Bunch} title=${t("now.past")} sessions=${past} chosen=${chosen} folded />
      <//>
      <${Session} key=${chosen} id=${chosen} session=${session} />
    </div>`}<//>`;
}
