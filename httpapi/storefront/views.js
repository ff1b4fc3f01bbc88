// What each part of the page looks like. Nothing here decides: the shop does.
import { countdown, now } from "./clock.js";
import { h, show } from "./dom.js";
import { act, acts, busy, forgetIntent, intent, solve, want } from "./intents.js";
import { cashier, dev, keep, kept, tell } from "./net.js";
import { of, take } from "./orders.js";
import { about, language, locale, money, say, span, state } from "./words.js";

const ms = (time) => Date.parse(time);
export const path = (l) => `/v1/sessions/${l.session}/skus/${l.sku}`;
export const grabId = (l) => `grab ${l.session}/${l.sku}`;

// What a wish about a listing says besides.
export const ticketed = (l) => ({ listing: path(l), tickets: l.ticket || Boolean(l.challenge), challenge: l.challenge });

// A page of which there is nothing yet, or which there is not.
export const nothing = (main, why = say("loading")) => show(main, [{ key: "load", is: [language, why],
  make: () => h("p", { cls: "empty", role: "status" }, why) }]);

export const blank = (title, why, ...more) => h("div", { cls: "empty" }, h("h1", {}, title), h("p", { cls: "soft" }, why),
  more);
export const up = (to, word) => ({ key: "back", is: language, make: () => h("p", {}, h("a", { href: "#/" + to },
  "← " + say(word))) });
export const turning = (text) => h("p", { cls: "note busy", role: "status" }, h("span", { cls: "spin", "aria-hidden": "true" }),
  text);

// A countdown is made once, and told the time by app.js.
export const ticking = (to, cls = "") => h("time", { cls: "ticking " + cls, "data-to": to }, countdown(to));

export const button = (id, text, does, cls = "", off = false) =>
  h("button", { id, type: "button", cls, disabled: off, onclick: does }, text);

export function picture(l) {
  if (l.image?.startsWith("https://")) {
    const img = h("img", { src: l.image, alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
    img.onerror = () => img.replaceWith(letter(l));
    return h("div", { cls: "pic" }, img);
  }
  return h("div", { cls: "pic" }, letter(l));
}
function letter(l) {
  let n = 0;
  for (const c of l.sku) n = (n * 31 + c.charCodeAt(0)) % 6;
  return h("span", { cls: "letter hue" + n, "aria-hidden": "true" }, [...l.name.trim()][0] || "?");
}

export function sessionHead(s) {
  const t = now(), start = ms(s.start), end = ms(s.end);
  const open = t >= start && t < end && s.state !== "paused" && s.state !== "ended";
  const when = s.state === "paused" ? h("b", {}, say("paused"))
    : t < start ? [h("span", {}, say("startsIn")), ticking(start, "big")]
      : t >= end || s.state === "ended" ? h("b", {}, say("over"))
        : [h("span", {}, say("endsIn")), ticking(end, "big")];
  return h("header", { cls: "session" + (open ? " open" : "") },
    h("div", {}, h("h2", {}, s.name),
      h("p", { cls: "soft" }, span(start, end),
        s.limit_per_shopper ? " · " + say("limitSession", { n: s.limit_per_shopper }) : "")),
    h("div", { cls: "when", role: "timer" }, when));
}

// What has become of a listing for this shopper: the newest that is alive, and how many
// units count.
const alive = ["held", "waiting", "entered"];
export const counts = ["held", "paid", "shipped", "received", "completed"];
function standing(l) {
  const mine = of(l.session, l.sku);
  return { alive: mine.find((o) => alive.includes(o.state)), mine: mine.find((o) => counts.includes(o.state)),
    units: mine.filter((o) => counts.includes(o.state)).reduce((n, o) => n + o.quantity, 0) };
}

export function cardIs(l, s) {
  const i = intent(grabId(l)), b = intent("bargain " + l.session + "/" + l.sku), t = now();
  return [l, s.state, t < ms(l.start), t >= ms(l.end), i, b, standing(l), acts(grabId(l)), acts("reserve " + path(l)),
    i?.again > Date.now(), kept("reserved", []).includes(path(l)), language, chosen[path(l)]];
}

export function card(l, s, boughtHere, render) {
  const share = l.list_price > l.price ? Math.round(100 - 100 * l.price / l.list_price) : 0;
  const sold = ["sold_out", "gone"].includes(l.state);
  return h("article", { cls: "card" + (sold ? " sold" : ""), id: `l-${l.session}-${l.sku}` },
    picture(l),
    h("div", { cls: "info" },
      h("h3", {}, l.name),
      h("p", { cls: "price" }, h("strong", {}, money(l.price, l.currency)),
        share > 0 && [" ", h("s", {}, money(l.list_price, l.currency)), " ",
          h("span", { cls: "off" }, `−${share}% `, h("span", { cls: "sr" }, say("off")))]),
      l.play?.price === "cut" && h("p", { cls: "soft" }, say("downTo"), " ", h("b", {}, money(l.play.floor, l.currency))),
      h("p", { cls: "tags" }, tags(l)),
      stock(l)),
    h("div", { cls: "does" }, actions(l, s, boughtHere, render)));
}

function tags(l) {
  return [l.limit_per_shopper && say("limit", { n: l.limit_per_shopper }),
    l.limit_per_month && say("limitMonth", { n: l.limit_per_month }), l.reservation && say("reserveOnly"),
    l.allow_list && say("listOnly"), l.draw && say("drawBadge"), l.play?.price === "cut" && say("bargainBadge")]
    .filter(Boolean).map((t) => h("span", { cls: "tag" }, t));
}

function stock(l) {
  const most = Math.max(l.stock, kept("most", {})[path(l)] || 0);
  keep("most", { ...kept("most", {}), [path(l)]: most });
  if (l.draw || !most) return null;
  const text = say("left", { n: l.stock.toLocaleString(locale()) });
  return h("p", { cls: "stock" }, h("progress", { max: most, value: l.stock,
    "aria-label": text }), h("span", {}, text));
}

// How many units are wanted: one, where the limits allow no more or nobody chose.
const chosen = {};
function most(l, s, own, boughtHere) {
  const left = [[l.limit_per_shopper, own.units], [s.limit_per_shopper, boughtHere], [l.limit_per_month, 0]];
  return Math.max(1, Math.min(l.stock || 99, ...left.filter(([limit]) => limit).map(([limit, had]) => limit - had)));
}
function chooser(l, key, n, bound, render) {
  const choose = (to) => {
    chosen[path(l)] = Math.max(1, Math.min(bound, Math.floor(to) || 1));
    const field = document.getElementById("many-" + key);
    field.value = chosen[path(l)];
    render();
  };
  const step = (id, by, sign) => h("button", { id: `${id}-${key}`, type: "button", "aria-label": say(id),
    "aria-disabled": n + by < 1 || n + by > bound ? "true" : null, onclick: () => choose(n + by) }, sign);
  return h("div", { cls: "many", role: "group", "aria-label": say("many") }, h("span", {}, say("many")),
    step("fewer", -1, "−"), h("input", { id: "many-" + key, type: "number", inputmode: "numeric", min: 1, max: bound,
      value: n, "aria-label": say("many"), onchange: (e) => choose(e.target.value) }), step("more", 1, "+"));
}

function actions(l, s, boughtHere, render) {
  const id = grabId(l), i = intent(id), own = standing(l), o = own.alive;
  const key = `${l.session}-${l.sku}`;
  const note = (text, cls = "") => text && h("p", { cls: "note " + cls, role: "status" }, text);
  if (busy(id)) return asking(id, i, key);
  if (i?.phase === "lost") {
    return [note(say("lost"), "bad"), button("do-" + key, say("askAgain"), () => want(id, {}), "main")];
  }
  const told = i?.told && note(i.told.message, ["granted", "waitlisted", "entered"].includes(i.told.code) ? "good"
    : i.told.code === "problem" ? "bad" : "");
  if (o?.state === "held") return [told, holding(o, key)];
  if (o?.state === "waiting" || o?.state === "entered") return place(l, o, key, told);
  const t = now(), start = ms(l.start);
  const done = own.mine && h("p", { cls: "note good" }, say("gotIt"), " · ",
    h("a", { href: "#/order/" + own.mine.order_no }, say("see")));
  if (t >= ms(l.end) || ["ended", "settled"].includes(l.state)) {
    return [done || told, proof(l), button("do-" + key, say("over"), null, "", true)];
  }
  if (["paused", "frozen"].includes(l.state)) return [done || told, button("do-" + key, say("paused"), null, "", true)];
  if (t < start) return early(l, key);
  const full = (l.limit_per_shopper && own.units >= l.limit_per_shopper) ||
    (s.limit_per_shopper && boughtHere >= s.limit_per_shopper);
  if (done && full) return [done, proof(l)];
  const again = i?.again > Date.now();
  const bound = most(l, s, own, boughtHere), n = Math.min(chosen[path(l)] || 1, bound);
  const many = bound > 1 && chooser(l, key, n, bound, render);
  const go = (more) => () => want(id, { path: path(l) + "/grab", ...ticketed(l), body: n > 1 ? { ...more, quantity: n }
    : more });
  if (l.state === "gone") return [done || told, proof(l), button("do-" + key, say("gone"), null, "", true)];
  if (l.state === "sold_out" || (i?.told?.code === "sold_out" && l.waitlist)) {
    return [done || told, proof(l), l.waitlist && many, l.waitlist
      ? button("do-" + key, say("joinLine"), go({ waitlist: true }), "main")
      : button("do-" + key, say("soldOut"), null, "", true)];
  }
  if (l.play?.price === "cut") return [done || told, bargaining(l, key, go({}))];
  return [done || told, proof(l), !again && many, again
    ? h("button", { id: "do-" + key, type: "button", disabled: true }, say("again"), h("span", { "data-until": i.again }))
    : button("do-" + key, say(l.draw?.state === "open" ? "enterDraw" : i?.told?.code === "missed" ? "again"
      : n > 1 ? "grabMany" : "grab", { n, p: money(n * l.price, l.currency) }),
      go(l.waitlist && l.draw ? { waitlist: true } : {}), "main")];
}

function asking(id, i, key) {
  if (i.image) {
    const answer = h("input", { id: "digits-" + key, inputmode: "numeric", autocomplete: "off", maxlength: 12,
      "aria-label": say("image") });
    return h("form", { cls: "image", onsubmit: (e) => {
      e.preventDefault();
      if (answer.value) solve(id, answer.value.trim());
    } }, h("label", { for: "digits-" + key }, say(i.wrong ? "imageWrong" : "image")),
    h("img", { src: i.image, alt: say("imageAlt") }), h("div", { cls: "row" }, answer,
      h("button", { id: "ok-" + key, cls: "main" }, say("ok"))),
    button("other-" + key, say("imageOther"), () => solve(id, null), "link"));
  }
  return turning(say(i.slow ? "retrying" : i.phase));
}

function early(l, key) {
  if (!l.reservation) return button("do-" + key, say("wait"), null, "", true);
  const all = kept("reserved", []), mine = all.includes(path(l)), thing = "reserve " + path(l);
  const change = (method, then) => async () => {
    const r = await act(thing, method, path(l) + "/reservation");
    if (r && r.status < 400 && r.status) {
      keep("reserved", then);
      tell("reserved", then);
    } else if (r) keep("said", { ...kept("said", {}), [key]: r.data?.detail });
  };
  const others = all.filter((p) => p !== path(l));
  return mine ? [h("p", { cls: "note good", role: "status" }, "✓ " + say("reserved")),
    button("do-" + key, say("withdraw"), change("DELETE", others), "quiet", acts(thing))]
    : [kept("said", {})[key] && h("p", { cls: "note bad" }, kept("said", {})[key]),
      button("do-" + key, say("reserve"), change("POST", [...others, path(l)]), "main", acts(thing))];
}

export function holding(o, key) {
  return [h("p", { cls: "payin" }, h("span", {}, say("payIn")), ticking(ms(o.pay_by))),
    h("div", { cls: "row" }, payment(o, key),
      button("letgo-" + key, say("letGo"), () => {
        if (confirm(say("letGoSure"))) change(o, "POST", "/cancel");
      }, "quiet", acts("order " + o.order_no)))];
}

// change does something about an order, and takes what it is then.
export async function change(o, method, what, body) {
  const r = await act("order " + o.order_no, method, `/v1/orders/${o.order_no}${what}`, body);
  if (r?.data?.order_no) take([r.data]);
  if (r?.data?.order_no && r.data.state === "cancelled") forgetIntent(`grab ${o.session}/${o.sku}`);
  return r;
}

function payment(o, key) {
  if (cashier && o.pay_token) {
    return h("a", { id: "pay-" + key, cls: "button main", href: `${cashier}#token=${o.pay_token}` }, say("pay"));
  }
  // Nobody takes money here; with --dev the shop believes whoever says that it was paid.
  if (dev) {
    return button("pay-" + key, say("pretend"), () => act("order " + o.order_no, "POST", "/v1/payments/callback",
      { order_no: o.order_no, payment_id: "demo-" + o.order_no, amount: o.amount, currency: o.currency }), "main");
  }
  return h("p", { cls: "note" }, say("noCashier"));
}

function place(l, o, key, told) {
  const leave = button("leave-" + key, say(o.state === "waiting" ? "leaveLine" : "leaveDraw"), async () => {
    const r = await act("order " + o.order_no, "DELETE", "/v1/grabs/" + o.order_no);
    if (r?.data?.order_no) take([r.data]);
    if (r?.status === 200) forgetIntent(grabId(l));
  }, "quiet", acts("order " + o.order_no));
  if (o.state === "waiting") {
    return h("div", { cls: "place" }, h("p", { role: "status" }, say("line"), o.quantity > 1 && ` · ${o.quantity} ×`, " ",
      h("strong", {}, "#" + (o.position || "…"))),
      o.estimate_seconds != null && h("p", { cls: "soft" }, say("about", { t: about(o.estimate_seconds) })), leave);
  }
  const when = l.draw?.draw_at && ms(l.draw.draw_at);
  return h("div", { cls: "place" }, told || h("p", { cls: "note good", role: "status" }, say("inDraw")),
    when > now() ? h("p", { cls: "payin" }, h("span", {}, say("drawIn")), ticking(when)) : h("p", {}, say("drawing")),
    proof(l), leave);
}

function proof(l) {
  return l.draw && h("p", { cls: "soft" }, h("a", { href: `#/draw/${l.session}/${l.sku}` }, say("proof")));
}

function bargaining(l, key, buy) {
  const id = `bargain ${l.session}/${l.sku}`, i = intent(id);
  if (busy(id)) return asking(id, i, key);
  const code = i?.told?.bargain?.code;
  const done = i?.told && !code && h("p", { cls: "note", role: "status" }, i.told.message);
  return [done, code ? h("a", { id: "do-" + key, cls: "button main", href: "#/b/" + code }, say("myBargain"))
    : button("do-" + key, say("startBargain"), async () => {
      await want(id, { path: path(l) + "/bargains", ...ticketed(l) });
      const got = intent(id)?.told?.bargain?.code;
      if (got) location.hash = "#/b/" + got;
    }, "main"),
  button("buy-" + key, say("buyNow", { p: money(l.price, l.currency) }), buy, "quiet")];
}

export const badge = (o) => h("span", { cls: "badge " + o.state }, state(o.state));
