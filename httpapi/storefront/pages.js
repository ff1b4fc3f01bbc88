// Pages besides the sale: orders, one order with its delivery, a bargain, a draw's proof.
import { now } from "./clock.js";
import { h, show } from "./dom.js";
import { acts, busy, intent, want } from "./intents.js";
import { ask, insist, kept } from "./net.js";
import { follow, loaded, newest, orders, take } from "./orders.js";
import { badge, blank, button, change, holding, nothing, path, picture, ticketed, ticking, turning, up } from "./views.js";
import { at, language, locale, money, say, state } from "./words.js";
import { ascii, hex, sha256, unhex } from "./work.js";

const ms = (time) => Date.parse(time);
const pair = (name, value) => value && [h("dt", {}, name), h("dd", {}, value)];

export function ordersPage(main, name) {
  if (!loaded) return nothing(main);
  const all = newest();
  return show(main, [all.length && { key: "h", is: language, make: () => h("h1", {}, say("orders")) },
    !all.length && { key: "none", is: language, make: () => blank(say("noOrders"), say("noOrdersWhy"),
      h("a", { cls: "button main", href: "#/" }, say("toSale"))) },
    ...all.map((o) => ({ key: o.order_no, is: [o, name(o), language, acts("order " + o.order_no)],
      make: () => h("article", { cls: "order" }, h("div", {},
        h("h2", {}, h("a", { href: "#/order/" + o.order_no }, name(o).name)), badge(o)),
      h("p", { cls: "soft" }, `${o.quantity} × · ${money(o.amount, o.currency)} · ${at(o.granted_at || o.changed_at)}`),
      o.state === "held" && holding(o, o.order_no)) }))]);
}

const said = new Map(), sought = new Map();
export function orderPage(main, no, name, again) {
  const o = orders.get(no);
  if (!o) {
    if (!sought.has(no)) {
      sought.set(no, undefined);
      insist(() => ask("GET", "/v1/orders/" + encodeURIComponent(no))).then(({ status, data }) => {
        if (status === 200) take([data]);
        else sought.set(no, data?.detail || String(status));
        again();
      }, () => sought.delete(no));
    }
    return nothing(main, sought.get(no));
  }
  const asked = no + o.state + language; // the sale's words for what became of it
  if (!said.has(asked)) {
    said.set(asked, "");
    ask("GET", "/v1/grabs/" + no).then(({ status, data }) => {
      if (status < 300) said.set(asked, data.message);
      again();
    }, () => said.delete(asked));
  }
  const steps = ["held", "paid", "shipped", "received"], on = steps.indexOf(o.state === "completed" ? "received" : o.state);
  const open = ["held", "paid"].includes(o.state);
  show(main, [
    up("orders", "orders"),
    { key: "o", is: [o, name(o), said.get(asked), language, acts("order " + no)], make: () => h("section", { cls: "panel" },
      h("div", { cls: "orderhead" }, picture(name(o)), h("div", {}, h("h1", {}, name(o).name), badge(o),
        h("p", { role: "status" }, said.get(asked)))),
      on >= 0 && h("ol", { cls: "steps" }, steps.map((s, n) => h("li", { cls: n <= on ? "on" : "",
        "aria-current": n === on ? "step" : null }, n ? state(s) : say("gotIt")))),
      o.state === "held" && holding(o, no),
      o.state === "shipped" && button("arrived", say("arrived"), () => change(o, "POST", "/received"), "main",
        acts("order " + no)),
      h("dl", {}, pair(say("order"), o.order_no), pair(say("each"), `${o.quantity} × · ${money(o.amount, o.currency)}`),
        pair(say("carrier"), o.carrier), pair(say("tracking"), o.tracking), pair(say("txn"), o.transaction_id),
        !open && o.receiver && pair(say("address"), Object.values(o.receiver).join(" ")))) },
    open && o.delivery !== "virtual" && { key: "to", is: [o.receiver, language], make: () => address(o) }]);
}

function address(o) {
  const fields = [["name", "rname", "name"], ["phone", "phone", "tel"], ["province", "province", "address-level1"],
    ["city", "city", "address-level2"], ["district", "district", "address-level3"], ["post_code", "post", "postal-code"],
    ["street", "street", "street-address"]];
  const status = h("p", { cls: "note", role: "status" });
  return h("form", { cls: "panel form", onsubmit: async (e) => {
    e.preventDefault();
    const body = Object.fromEntries([...new FormData(e.target)].map(([k, v]) => [k, v.trim()]).filter(([, v]) => v));
    const r = await change(o, "PUT", "/receiver", body);
    const s = document.querySelector("#to-said") || status;
    s.textContent = r?.status === 200 ? say("saved") : r?.data?.detail || "";
  } }, h("h2", {}, say("address")), h("p", { cls: "soft" }, say("addressWhy")),
  h("div", { cls: "fields" }, fields.map(([k, word, auto]) => h("label", { cls: k }, say(word),
    h("input", { name: k, autocomplete: auto, maxlength: 120, required: ["name", "phone", "street"].includes(k),
      value: o.receiver?.[k] || "" })))),
  h("div", { cls: "row" }, h("button", { id: "save", cls: "main" }, say("save")),
    h("p", { cls: "note good", role: "status", id: "to-said" }, o.receiver ? "✓ " + say("saved") : "")));
}

// A bargain is followed as it changes, by whoever has its link.
let followed = null, stop = null, bargain = null;
export function leaveBargain() {
  stop?.();
  followed = stop = bargain = null;
}
export function bargainPage(main, code, name, again) {
  if (followed !== code) {
    leaveBargain();
    followed = code;
    stop = follow("/v1/bargains/" + code, (_, data) => {
      bargain = data;
      again();
    }, () => insist(() => ask("GET", "/v1/bargains/" + code), { during: 10000 }).then(({ status, data }) => {
      if (followed !== code) return;
      bargain = status === 200 ? data : { none: data?.detail };
      again();
    }, () => {}));
  }
  const b = bargain;
  if (!b || b.none) {
    return nothing(main, b?.none);
  }
  const l = name(b), cutting = "cut " + code, buying = `grab ${b.session}/${b.sku}`, i = intent(cutting), g = intent(buying);
  const open = b.state === "open" && ms(b.expires_at) > now();
  const gone = b.start_price - b.price, all = b.start_price - b.floor;
  const link = location.origin + location.pathname + "#/b/" + code;
  return show(main, [{ key: "b", is: [b, l, i, g, language, open], make: () => h("section", { cls: "panel bargain" },
    h("div", { cls: "orderhead" }, picture(l), h("div", {}, h("p", { cls: "soft" }, say(b.mine ? "bargainMine" : "bargainOf")),
      h("h1", {}, l.name), h("p", { cls: "soft" }, say("from", { a: money(b.start_price, b.currency),
        b: money(b.floor, b.currency) })))),
    h("p", { cls: "price" }, say("now"), " ", h("strong", { id: "bargain-price" }, money(b.price, b.currency))),
    h("progress", { max: all, value: gone, "aria-label": say("now") }),
    h("p", { cls: "soft" }, say("cuts", { n: b.cuts, m: b.friends })),
    open && h("p", { cls: "payin" }, h("span", {}, say("endsIn")), ticking(ms(b.expires_at))),
    i?.told && h("p", { cls: "note good", role: "status" }, i.told.message),
    g?.told && h("p", { cls: "note", role: "status" }, g.told.message),
    b.order && h("p", {}, h("a", { cls: "button main", href: "#/order/" + b.order.order_no }, say("see"))),
    busy(cutting) || busy(buying) ? turning(say("asking"))
      : open && (b.mine ? [h("div", { cls: "row" },
        button("share", say("share"), () => share(link, l), "main"),
        button("buy", say("buyAt", { p: money(b.price, b.currency) }), () => want(buying, {
          path: `/v1/bargains/${code}/buy`, ...ticketed(l) }), "",
        l.play?.at_floor && b.price > b.floor)),
      h("label", {}, say("link"), h("input", { id: "link", readonly: true, value: link, onfocus: (e) => e.target.select() })),
      h("p", { cls: "note good", role: "status", id: "share-said" })]
        : b.helped ? h("p", { cls: "note good" }, say("helped", { p: money(b.helped.amount, b.currency) }))
          : button("cut", say("cut"), () => want(cutting, { path: `/v1/bargains/${code}/cuts`, ...ticketed(l) }),
            "main")),
    b.recent?.length > 0 && [h("h2", {}, say("recent")), h("ul", { cls: "recent" }, b.recent.map((c) =>
      h("li", {}, h("b", {}, "−" + money(c.amount, b.currency)), " ", h("span", { cls: "soft" }, at(c.at)))))]) }]);
}

async function share(link, l) {
  try {
    if (navigator.share && matchMedia("(pointer: coarse)").matches) await navigator.share({ url: link, title: l.name });
    else {
      await navigator.clipboard.writeText(link);
      document.getElementById("share-said").textContent = say("copied");
    }
  } catch {
    document.getElementById("link")?.select();
  }
}

// A draw's proof is worked out here, from what was told before and after.
const draws = new Map();
export function drawPage(main, session, sku, name, again) {
  const id = session + "/" + sku, at_ = { session, sku }, had = draws.get(id);
  if (!had || (had.state !== "done" && performance.now() > had.next)) {
    draws.set(id, { ...had, next: Infinity });
    readDraw(at_).then((d) => {
      draws.set(id, { ...d, next: performance.now() + 3000 });
      again();
      setTimeout(again, 3000 + Math.random() * 2000);
    }, () => draws.delete(id));
  }
  const d = draws.get(id);
  if (!d?.commitment) return nothing(main, d?.none);
  show(main, [up("", "sale"), { key: "d", is: [d.state, d.entries.length, d.undecided, language], make: () => drawn(d, name(at_), at_) }]);
}

const mostEntries = 20000; // that a page takes in
async function readDraw({ session, sku }) {
  const base = path({ session, sku }) + "/draw";
  let all = [], d, status;
  for (let cursor = ""; ;) {
    ({ data: d, status } = await insist(() => ask("GET", base + (cursor ? "?cursor=" + encodeURIComponent(cursor) : ""))));
    if (status !== 200) return { state: "done", none: d?.detail || String(status) };
    all = all.concat(d.entries || []);
    if (!(cursor = d.cursor) || all.length >= mostEntries) break;
  }
  d.entries = all;
  d.cut = Boolean(d.cursor);
  if (d.seed) {
    const seed = unhex(d.seed);
    d.holds = hex(sha256(seed)) === d.commitment;
    for (const e of all) e.rank = e.late ? "~" : hex(sha256(Uint8Array.of(...seed, ...ascii(e.order_no)))).slice(0, 16);
    all.forEach((e, n) => { e.came = n; });
    all.sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : a.late ? a.came - b.came
      : a.order_no < b.order_no ? -1 : 1));
    d.fair = inOrder(all);
  }
  return d;
}

// inOrder reports whether nobody got units after one who asked for no more and was passed over:
// but for as many as came back, which go to who is next.
function inOrder(entries) {
  let back = 0, least = Infinity;
  for (const e of entries) if (gaveBack.includes(e.state)) back += e.quantity;
  for (const e of entries) {
    if (e.state === "waiting" || (e.state === "passed" && e.why === "sold_out")) least = Math.min(least, e.quantity);
    else if (!["entered", "left", "passed"].includes(e.state) && e.quantity >= least && (back -= e.quantity) < 0) return false;
  }
  return true;
}
const gaveBack = ["expired", "cancelled", "voided", "refund_due", "refunded"];

function drawn(d, l, at_) {
  const seen = kept("commitments", {})[path(at_)];
  const mine = d.entries.findIndex((e) => orders.has(e.order_no));
  const check = (ok, text) => h("li", { cls: ok ? "yes" : "no" }, (ok ? "✓ " : "✗ ") + text);
  return h("section", { cls: "panel" }, h("h1", {}, say("drawOf", { n: l.name })),
    !d.seed && h("p", {}, say("notDrawn")),
    d.seed && h("ul", { cls: "checks" }, check(d.holds, say("proofSeed")), seen && check(seen === d.commitment,
      say("proofBefore")), d.cut ? h("li", {}, say("proofCut", { n: d.entries.length.toLocaleString(locale()) }))
      : check(d.fair, say(d.fair ? "proofRank" : "proofUnfair")),
    mine >= 0 && !d.cut && h("li", {}, say("proofMine", { r: mine + 1, n: d.entries.length, s: d.stock }))),
    h("dl", {}, pair(say("commitment"), h("code", {}, d.commitment)), pair(say("seed"), d.seed && h("code", {}, d.seed))),
    d.entries.length > 0 && h("div", { cls: "scroll", tabindex: 0 }, h("table", {},
      h("thead", {}, h("tr", {}, [say("rank"), say("order"), say("outcome")].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {}, d.entries.slice(0, 200).map((e, n) => h("tr", { cls: orders.has(e.order_no) ? "mine" : "" },
        h("td", {}, d.cut ? "–" : String(n + 1)), h("td", {}, h("code", {}, e.order_no)),
        h("td", {}, state(e.state) + (e.late ? " · " + say("late") : ""))))))));
}
