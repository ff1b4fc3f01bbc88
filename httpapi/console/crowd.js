// The crowd: switches and profiles, lists, and a listing's line, draw and reservations; plays
// and bargains.

import { html, useMemo, useState } from "./html.js";
import { at, change, get, may, useQuery, usePages, withQuery } from "./api.js";
import { setQuery } from "./route.js";
import { ascii, hex, sha256, unhex } from "./sha256.js";
import { money, named, number, t } from "./words.js";
import { Ask, Asked, Card, Danger, Empty, Facts, Field, Form, Pages, Problem, State, Table, Time, useFields } from "./parts.js";
import "./words-names.js";
import "./words-crowd.js";

// Switches and profiles.

function Switch({ of, session }) {
  const field = of.allowed ? ["value", { label: t("crowd.to"), kind: "select", value: String(of.value), options: of.allowed }]
    : ["value", { label: t("crowd.to_most", { most: number(of.most) }), kind: "number", value: String(of.value), min: 0, max: of.most, step: 1, required: true }];
  const turn = ({ value, note }) => change("PATCH", at("switches"), { switches: { [of.name]: of.allowed ? value : Number(value) }, note: note || "" });
  return may(session, "operator") && html`<${Ask} label=${t("crowd.turn")} of=${of.name} title=${`${t("crowd.turn")}: ${of.name}`} text=${`${of.help}. ${t("crowd.within")}`}
    fields=${[field]} done=${t("crowd.turned", { name: of.name })} onDo=${turn} />`;
}

const settings = (of) => Object.entries(of).map(([name, value]) => `${name}=${value}`).join(", ");

function Switches({ session }) {
  const board = useQuery(at("switches"), { every: 3000 });
  const operator = may(session, "operator");
  return html`<${Asked} of=${board}>${(is) => html`
    <${Card} title=${t("crowd.switches")} aside=${operator && html`
        <${Ask} label=${t("crowd.back")} text=${t("crowd.back_say")} done=${t("crowd.back_done")} onDo=${(values) => change("POST", at("switches", "back"), values)} />
        <${Ask} label=${t("crowd.normal")} text=${t("crowd.normal_say")} done=${t("crowd.normal_done")} onDo=${(values) => change("POST", at("switches", "normal"), values)} />`}>
      <${Table} of=${t("crowd.switches")} rows=${is.switches} rowKey=${(s) => s.name} columns=${[
        { title: t("crowd.switch"), cell: (s) => s.name, sort: (s) => s.name },
        { title: t("crowd.is"), cell: (s) => html`<span class="state" data-is=${String(s.value) === String(s.normal) ? "normal" : "warn"}>${s.value}</span>` },
        { title: t("crowd.usual"), cell: (s) => s.normal },
        { title: t("crowd.does"), wide: true, cell: (s) => s.help },
        { title: t("crowd.actions"), hidden: true, cell: (s) => html`<${Switch} of=${s} session=${session} />` },
      ]} />
    <//>
    <${Card} title=${t("crowd.profiles")} aside=${html`<span class="hint">${t("crowd.active", { name: is.active_profile || t("crowd.none") })}</span>`}>
      <${Table} of=${t("crowd.profiles")} rows=${is.profiles} rowKey=${(p) => p.name} empty=${t("crowd.no_profiles")} columns=${[
        { title: t("crowd.profile"), cell: (p) => p.name },
        { title: t("crowd.settings"), wide: true, cell: (p) => settings(p.switches) },
        { title: t("crowd.actions"), hidden: true, cell: (p) => operator && html`<div class="buttons">
          <${Ask} label=${t("crowd.turn_on")} of=${p.name} text=${settings(p.switches)} done=${t("crowd.on", { name: p.name })} onDo=${(values) => change("POST", at("profiles", p.name, "apply"), values)} />
          <${Danger} label=${t("crowd.forget")} name=${p.name} text=${t("crowd.forget_say")} done=${t("crowd.forgotten", { name: p.name })} onDo=${(values) => change("DELETE", at("profiles", p.name), values)} /></div>` },
      ]} />
      ${operator && html`<div class="buttons"><${Ask} label=${t("crowd.define")} text=${t("crowd.define_say")} done=${t("crowd.defined")}
        fields=${[["name", { label: t("crowd.profile"), required: true, maxlength: 64, spellcheck: false }], ["settings", { label: t("crowd.settings"), hint: t("crowd.settings_hint"), kind: "area", required: true, value: settings(Object.fromEntries(is.switches.filter((s) => String(s.value) !== String(s.normal)).map((s) => [s.name, s.value]))) }]]}
        onDo=${({ name, settings: text, note }) => change("PUT", at("profiles", name.trim()), { switches: Object.fromEntries(text.split(/[\s,]+/).filter(Boolean).map((pair) => pair.split("="))), note })} /></div>`}
    <//>
    <${Card} title=${t("crowd.history")}>
      <${Table} of=${t("crowd.history")} rows=${is.history} page=${10} rowKey=${(r) => r.log_index} columns=${[
        { title: t("crowd.at"), cell: (r) => html`<${Time} at=${r.at} />` },
        { title: t("crowd.who"), cell: (r) => r.operator },
        { title: t("crowd.what"), cell: (r) => `${t("switchaction." + r.action)}${r.profile ? ` ${r.profile}` : ""}` },
        { title: t("crowd.changed"), wide: true, cell: (r) => r.changed.map((c) => `${c.name} ${c.before} → ${c.after}`).join(", ") },
        { title: t("word.note"), wide: true, cell: (r) => r.note },
      ]} />
    <//>`}<//>`;
}

// Lists.

const levels = ["watch", "challenge", "block"];
const kindOf = (file) => (/\.(ndjson|jsonl)$/i.test(file.name) ? "application/x-ndjson" : /\.csv$/i.test(file.name) ? "text/csv" : "text/plain");

// Put has one put on a list, or changes their level. To block a network can end a sale: it
// asks for it to be typed.
function Put({ list, risk }) {
  const form = useFields({ id: "", level: "block", sure: false });
  const id = form.values.id.trim();
  const put = (values) => change("PATCH", withQuery(at(...list), { note: values.note, sure: form.values.sure && "true" }), `${JSON.stringify({ id, ...(risk && { level: form.values.level }) })}\n`, { type: "application/x-ndjson" });
  const asks = { label: t("crowd.put"), text: t(risk ? "crowd.put_say" : "crowd.allow_say", { id, level: risk && t("level." + form.values.level) }), done: t("crowd.is_on", { id }), disabled: !id, onDo: put };
  return html`<div class="row">
    <${Field} label=${t("crowd.id")} maxlength="256" spellcheck=${false} ...${form.of("id")} />
    ${risk && html`<${Field} label=${t("crowd.level")} kind="select" options=${levels.map((l) => [l, t("level." + l)])} ...${form.of("level")} />
      <${Field} label=${t("crowd.sure")} kind="check" ...${form.of("sure")} />`}
    ${id.includes("/") && form.values.level === "block" ? html`<${Danger} ...${asks} name=${id} text=${t("crowd.network_say")} />` : html`<${Ask} ...${asks} of=${id} />`}
  </div>`;
}

// Import takes a file in, on top of a list or in its place.
function Import({ list, name, risk }) {
  const form = useFields({ file: null, sure: false });
  const send = (method, values) => change(method, withQuery(at(...list), { note: values.note, sure: risk && form.values.sure && "true" }), form.values.file, { type: kindOf(form.values.file), patience: 0 });
  const asks = { disabled: !form.values.file, done: t("crowd.taken_in") };
  return html`<div class="row">
    <${Field} label=${t("crowd.file")} kind="file" accept=".csv,.ndjson,.jsonl,.txt" ...${form.of("file")} />
    ${risk && html`<${Field} label=${t("crowd.sure")} kind="check" ...${form.of("sure")} />`}
    <${Ask} ...${asks} label=${t("crowd.add_file")} text=${t("crowd.add_file_say")} onDo=${(values) => send("PATCH", values)} />
    <${Danger} ...${asks} label=${t("crowd.replace")} name=${name} text=${t("crowd.replace_say")} onDo=${(values) => send("PUT", values)} />
  </div>`;
}

function List({ list, session }) {
  const risk = list[0] === "risk";
  const name = list.join("/");
  const [sought, seek] = useState("");
  const pages = usePages(withQuery(at(...list), { limit: 200 }), "rows");
  const found = useQuery(sought ? at(...list, sought) : null);
  const form = useFields({ id: "" });
  const operator = may(session, "operator");
  const off = (row) => html`<${Ask} label=${t("crowd.take_off")} of=${row.id} text=${t("crowd.off_say")} done=${t("crowd.is_off", { id: row.id })}
    onDo=${({ note }) => change("DELETE", withQuery(at(...list, row.id), { note }))} />`;
  const columns = [
    { title: t("crowd.id"), wide: true, cell: (r) => r.id, sort: (r) => r.id },
    ...(risk ? [{ title: t("crowd.level"), cell: (r) => html`<${State} group="level" is=${r.level} />`, sort: (r) => r.level }] : []),
    { title: t("crowd.since"), cell: (r) => html`<${Time} at=${r.since} />`, sort: (r) => r.since },
    ...(operator ? [{ title: t("crowd.actions"), hidden: true, cell: off }] : []),
  ];
  return html`<${Card} title=${list[0] === "sessions" ? t("crowd.reservations") : name} aside=${html`<a class="button" href=${withQuery(at(...list), { format: "csv" })} download=${`${name.replaceAll("/", "-")}.csv`}>${t("crowd.download")}</a>
      <button type="button" onClick=${pages.reload}>${t("crowd.again")}</button>`}>
    <${Form} label=${t("crowd.find")} strong=${false} onDo=${async () => seek(form.values.id.trim())}><${Field} label=${t("crowd.id")} maxlength="256" spellcheck=${false} ...${form.of("id")} /><//>
    ${sought && (found.error ? html`<p role="status">${found.error.message}</p>` : found.data && html`<${Table} of=${sought} rows=${[found.data]} columns=${columns} />`)}
    <${Pages} of=${pages}>${(rows, page) => html`<p class="hint">${t("crowd.names", { n: number(page?.count) })}</p>
      <${Table} of=${name} rows=${rows} rowKey=${(r) => r.id} columns=${columns} empty=${t("crowd.nobody")} />`}<//>
    ${operator && html`<h3>${t("crowd.change")}</h3><${Put} list=${list} risk=${risk} /><${Import} list=${list} name=${name} risk=${risk} />
      ${!risk && list[0] === "allowlists" && html`<div class="apart"><${Danger} label=${t("crowd.forget_list")} name=${list[1]} text=${t("crowd.forget_list_say")} done=${t("crowd.forgotten", { name: list[1] })}
        onDo=${({ note }) => change("DELETE", withQuery(at(...list), { note }))} /></div>`}`}
  <//>`;
}

function Lists({ query, session }) {
  const risk = useQuery(at("risk"), { every: 10000 });
  const allow = useQuery(at("allowlists"), { every: 10000 });
  const chosen = query.get("list") || "risk/shoppers";
  const all = Object.entries({ risk: risk.data?.risk, allowlists: allow.data?.allowlists })
    .flatMap(([kind, lists]) => (lists || []).map(({ list, count }) => ({ list: `${kind}/${list}`, count })));
  const form = useFields({ name: "" });
  return html`<${Problem} error=${risk.error || allow.error} />
    <${Card} title=${t("crowd.lists")}>
      <div class="buttons">${all.map((l) => html`<button key=${l.list} type="button" aria-pressed=${l.list === chosen ? "true" : "false"} onClick=${() => setQuery({ list: l.list })}>${l.list} <small>${number(l.count)}</small></button>`)}</div>
      ${may(session, "operator") && html`<${Form} label=${t("crowd.open_list")} strong=${false} onDo=${async () => setQuery({ list: `allowlists/${form.values.name.trim()}` })}><${Field} label=${t("crowd.new_list")} required maxlength="64" spellcheck=${false} ...${form.of("name")} /><//>`}
    <//>
    <${List} key=${chosen} list=${chosen.split("/")} session=${session} />`;
}

// A listing's line, draw and reservations.

// verified does the sum of a draw again: whether the seed is the one that was committed to, and
// everybody's place, which follows from it.
function verified(draw) {
  if (!draw.seed) return { holds: null, entries: draw.entries };
  if (draw.cursor) return { holds: hex(sha256(unhex(draw.seed))) === draw.commitment, entries: draw.entries };
  const seed = unhex(draw.seed);
  const ranked = draw.entries.map((e, came) => ({ ...e, came, rank: e.late ? "~" : hex(sha256(Uint8Array.of(...seed, ...ascii(e.order_no)))).slice(0, 16) }));
  ranked.sort((a, b) => (a.rank !== b.rank ? (a.rank < b.rank ? -1 : 1) : a.late ? a.came - b.came : a.order_no < b.order_no ? -1 : 1));
  return { holds: hex(sha256(seed)) === draw.commitment, entries: ranked, fair: inOrder(ranked) };
}

const gaveBack = ["expired", "cancelled", "voided", "refund_due", "refunded"];
const nothingLeft = ["drawn", "gone", "sold_out"];

// inOrder reports whether nobody got units after one who asked for no more and for whom nothing
// was left: but for as many as came back, which go to who is next.
function inOrder(entries) {
  let back = entries.filter((e) => gaveBack.includes(e.state)).reduce((sum, e) => sum + e.quantity, 0);
  let least = Infinity;
  for (const e of entries) {
    if (e.state === "waiting" || (e.state === "passed" && nothingLeft.includes(e.why))) least = Math.min(least, e.quantity);
    else if (!["entered", "left", "passed"].includes(e.state) && e.quantity >= least && (back -= e.quantity) < 0) return false;
  }
  return true;
}

const mostEntries = 100000; // that a page takes in: the file has all, for the command

function Draw({ session, sku }) {
  const draw = useQuery(withQuery(at("sessions", session, "skus", sku, "draw"), { limit: 1 }), { every: 5000 });
  const [all, setAll] = useState(null);
  const [commitment, setCommitment] = useState("");
  const read = async () => {
    let entries = [];
    let page;
    for (let cursor = ""; ;) {
      page = await get(withQuery(at("sessions", session, "skus", sku, "draw"), { limit: 5000, cursor }));
      entries = entries.concat(page.entries);
      if (!page.cursor || entries.length >= mostEntries) break;
      cursor = page.cursor;
    }
    setAll({ ...page, ...verified({ ...page, entries }) });
  };
  const told = commitment.trim().toLowerCase();
  return html`<${Asked} of=${draw}>${(is) => html`
    <${Facts} of=${[[t("crowd.state"), html`<${State} group="drawstate" is=${is.state} />`], [t("crowd.draw_at"), is.draw_at && html`<${Time} at=${is.draw_at} />`], [t("crowd.undecided"), number(is.undecided)], [t("count.stock"), number(is.stock)]]} />
    <p><span class="hint">${t("crowd.commitment")}</span> <code>${is.commitment}</code></p>
    ${is.seed && html`<p><span class="hint">${t("crowd.seed")}</span> <code>${is.seed}</code></p>`}
    <${Form} label=${t("crowd.verify")} onDo=${read}><${Field} label=${t("crowd.told")} hint=${t("crowd.told_hint")} spellcheck=${false} value=${commitment} onValue=${setCommitment} /><//>
    <p><a class="button" href=${withQuery(at("sessions", session, "skus", sku, "draw"), { format: "ndjson" })} download=${`draw-${session}-${sku}.ndjson`}>${t("crowd.draw_file")}</a></p>
    ${all && html`<div role="status"><ul class="checks">
        ${all.holds === null ? html`<li>${t("crowd.not_drawn")}</li>` : html`<li class=${all.holds ? "good" : "bad"}>${t(all.holds ? "crowd.seed_holds" : "crowd.seed_fails")}</li>`}
        ${told && html`<li class=${told === all.commitment ? "good" : "bad"}>${t(told === all.commitment ? "crowd.told_holds" : "crowd.told_fails")}</li>`}
        ${all.seed && !all.cursor && html`<li class=${all.fair ? "good" : "bad"}>${t(all.fair ? "crowd.order_holds" : "crowd.order_fails")}</li>
          <li>${t("crowd.ranked", { n: number(all.entries.length) })}</li>`}
        ${all.cursor && html`<li class="warn">${t("crowd.cut", { n: number(all.entries.length) })}</li>`}</ul></div>
      <${Table} of=${t("crowd.draw")} rows=${all.entries.map((e, i) => ({ ...e, place: all.seed && !all.cursor ? i + 1 : undefined }))} rowKey=${(e) => e.order_no} empty=${t("crowd.nobody")} columns=${[
        { title: t("crowd.place"), number: true, cell: (e) => (e.place ? number(e.place) : "–"), sort: (e) => e.place },
        { title: t("crowd.order"), cell: (e) => html`<a href=${`/orders/${e.order_no}`}><code>${e.order_no}</code></a>` },
        { title: t("crowd.units"), number: true, cell: (e) => number(e.quantity), sort: (e) => e.quantity },
        { title: t("crowd.state"), cell: (e) => html`<${State} group="entry" is=${e.state} />`, sort: (e) => e.state },
        { title: t("crowd.why"), cell: (e) => [e.late && t("crowd.late"), e.why && t("reason." + e.why)].filter(Boolean).join(", ") },
      ]} />`}`}<//>`;
}

function Line({ session, sku }) {
  const pages = usePages(withQuery(at("sessions", session, "skus", sku, "waitlist"), { limit: 200 }), "waiting");
  return html`<${Card} title=${t("crowd.line")} aside=${html`<button type="button" onClick=${pages.reload}>${t("crowd.again")}</button>`}><${Pages} of=${pages}>${(rows) => html`<${Table} of=${t("crowd.line")} rows=${rows} rowKey=${(o) => o.order_no} empty=${t("crowd.nobody")} columns=${[
    { title: t("crowd.place"), number: true, cell: (o) => number(o.position), sort: (o) => o.position },
    { title: t("crowd.shopper"), cell: (o) => o.shopper, sort: (o) => o.shopper },
    { title: t("crowd.units"), number: true, cell: (o) => number(o.quantity), sort: (o) => o.quantity },
    { title: t("crowd.since"), cell: (o) => html`<${Time} at=${o.granted_at} />` },
    { title: t("crowd.order"), cell: (o) => html`<a href=${`/orders/${o.order_no}`}><code>${o.order_no}</code></a>` },
  ]} />`}<//><//>`;
}

function Listing({ id, sku, draw, session }) {
  const counts = useQuery(at("sessions", id, "skus", sku), { every: 3000 });
  return html`<${Card} title=${`${sku} · ${id}`}><${Asked} of=${counts}>${(c) => html`<${Facts} of=${["stock", "available", "held", "paid", "waitlisted", "shoppers", "entrants", "reserved"].map((name) => [t("count." + name), number(c[name])])} />`}<//><//>
    <${Line} session=${id} sku=${sku} />
    <${Card} title=${t("crowd.draw")}>${draw ? html`<${Draw} session=${id} sku=${sku} />` : html`<${Empty} title=${t("crowd.no_draw")} />`}<//>
    <${List} list=${["sessions", id, "skus", sku, "reservations"]} session=${session} />`;
}

function Lines({ query, session }) {
  const sessions = useQuery(at("sessions"), { every: 10000 });
  const all = sessions.data?.sessions || [];
  const id = query.get("session") || all[0]?.id || "";
  const listings = all.find((s) => s.id === id)?.listings || [];
  const listing = listings.find((l) => l.sku === query.get("sku")) || listings[0];
  const sku = listing?.sku;
  return html`<${Asked} of=${sessions}>${() => all.length === 0 ? html`<${Empty} />` : html`
    <${Card} title=${t("crowd.which")}><div class="row">
      <${Field} label=${t("crowd.session")} kind="select" value=${id} options=${all.map((s) => [s.id, `${s.id} · ${named(s.sale_name)}`])} onValue=${(value) => setQuery({ session: value, sku: "" })} />
      <${Field} label=${t("crowd.listing")} kind="select" value=${sku} options=${listings.map((l) => [l.sku, `${l.sku} · ${named(l.name)}`])} onValue=${(value) => setQuery({ session: id, sku: value })} /></div><//>
    ${sku && html`<${Listing} key=${`${id} ${sku}`} id=${id} sku=${sku} draw=${listing.draw} session=${session} />`}`}<//>`;
}

// Plays and bargains.

function Bargain({ code, session }) {
  const bargain = useQuery(at("bargains", code), { every: 3000 });
  return html`<${Card} title=${code} aside=${html`<button type="button" onClick=${() => setQuery({ code: "" })}>${t("word.close")}</button>`}><${Asked} of=${bargain}>${(b) => html`
    <${Facts} of=${[[t("crowd.state"), html`<${State} group="bargain" is=${b.state} />`], [t("crowd.shopper"), b.shopper], [t("crowd.session"), `${b.session} / ${b.sku}`],
      [t("crowd.price"), money(b.price, b.currency)], [t("crowd.from_to"), `${money(b.start_price, b.currency)} → ${money(b.floor, b.currency)}`], [t("crowd.cuts"), number(b.cuts)],
      [t("crowd.until"), html`<${Time} at=${b.expires_at} />`], [t("crowd.order"), b.order_no && html`<a href=${`/orders/${b.order_no}`}>${b.order_no}</a>`]]} />
    <p><span class="hint">${t("crowd.commitment")}</span> <code>${b.commitment}</code></p>
    ${b.seed && html`<p><span class="hint">${t("crowd.seed")}</span> <code>${b.seed}</code></p>`}
    <${Table} of=${t("crowd.cuts")} rows=${b.cuts_made || []} rowKey=${(c) => c.number} empty=${t("crowd.nobody")} columns=${[
      { title: t("crowd.place"), number: true, cell: (c) => number(c.number), sort: (c) => c.number },
      { title: t("crowd.friend"), cell: (c) => html`${c.friend} ${c.new && html`<span class="state">${t("crowd.new")}</span>`}`, sort: (c) => c.friend },
      { title: t("crowd.off"), number: true, cell: (c) => money(c.amount, b.currency), sort: (c) => c.amount },
      { title: t("crowd.at"), cell: (c) => html`<${Time} at=${c.at} />` },
    ]} />
    ${b.state === "open" && may(session, "operator") && html`<div class="apart"><${Danger} label=${t("crowd.end_bargain")} name=${code} text=${t("crowd.end_bargain_say")} done=${t("crowd.bargain_ended")}
      onDo=${(values) => change("POST", at("bargains", code, "end"), values)} /></div>`}`}<//><//>`;
}

function Plays({ query, session }) {
  const plays = useQuery(at("plays"), { every: 30000 });
  const form = useFields({ shopper: query.get("shopper") || "", session: query.get("session") || "" });
  const path = useMemo(() => withQuery(at("bargains"), { shopper: query.get("shopper"), session: query.get("session") }), [query.get("shopper"), query.get("session")]);
  const pages = usePages(path, "bargains");
  const code = query.get("code");
  return html`${code && html`<${Bargain} key=${code} code=${code} session=${session} />`}
    <${Card} title=${t("crowd.bargains")}>
      <${Form} label=${t("crowd.find")} strong=${false} onDo=${async () => setQuery({ shopper: form.values.shopper.trim(), session: form.values.session.trim() })}>
        <${Field} label=${t("crowd.shopper")} maxlength="128" spellcheck=${false} ...${form.of("shopper")} /><${Field} label=${t("crowd.session")} maxlength="64" spellcheck=${false} ...${form.of("session")} /><//>
      <${Pages} of=${pages}>${(rows) => html`<${Table} of=${t("crowd.bargains")} rows=${rows} rowKey=${(b) => b.code} empty=${t("crowd.no_bargains")} columns=${[
        { title: t("crowd.code"), cell: (b) => html`<a href=${withQuery("/crowd", { part: "plays", code: b.code })}><code>${b.code}</code></a>` },
        { title: t("crowd.shopper"), cell: (b) => b.shopper, sort: (b) => b.shopper },
        { title: t("crowd.session"), cell: (b) => `${b.session} / ${b.sku}`, sort: (b) => b.session },
        { title: t("crowd.state"), cell: (b) => html`<${State} group="bargain" is=${b.state} />`, sort: (b) => b.state },
        { title: t("crowd.price"), number: true, cell: (b) => money(b.price, b.currency), sort: (b) => b.price },
        { title: t("crowd.cuts"), number: true, cell: (b) => number(b.cuts), sort: (b) => b.cuts },
      ]} />`}<//>
    <//>
    <${Card} title=${t("crowd.plays")}><${Asked} of=${plays}>${(data) => data.plays.length === 0 ? html`<${Empty} title=${t("crowd.no_plays")} />` : data.plays.map((p) => html`<details key=${p.id}><summary>${p.id} · ${t("crowd.version", { n: p.version })} · <${Time} at=${p.since} /></summary><pre tabindex="0">${p.text}</pre></details>`)}<//><//>`;
}

const parts = { switches: Switches, lists: Lists, lines: Lines, plays: Plays };

export function View({ query, session }) {
  const part = parts[query.get("part")] ? query.get("part") : "switches";
  return html`<h1>${t("view.crowd")}</h1>
    <nav class="parts" aria-label=${t("view.crowd")}>${Object.keys(parts).map((name) => html`<a href=${withQuery("/crowd", { part: name })} aria-current=${name === part ? "page" : undefined}>${t("crowdpart." + name)}</a>`)}</nav>
    <${parts[part]} key=${part} query=${query} session=${session} />`;
}
