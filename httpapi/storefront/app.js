// The page as a whole: what is looked at, when it is asked for anew, and what happens when
// the phone has slept, the connection was lost, or another tab did something.
import { awake, countdown, keepTime, now, sure } from "./clock.js";
import { h, show } from "./dom.js";
import { forgetIntent, intent, resume, whenIntents } from "./intents.js";
import { arrive, ask, be, dev, hear, idOf, keep, kept, Later, leave, me, pause, tell, whenStranger, who,
  whose } from "./net.js";
import { forget, look, newest, streamOff, streamOn, whenOrders } from "./orders.js";
import { bargainPage, drawPage, leaveBargain, orderPage, ordersPage } from "./pages.js";
import { blank, button, card, cardIs, counts, grabId, nothing, path, sessionHead } from "./views.js";
import { language, locale, say, speak } from "./words.js";

const $ = (id) => document.getElementById(id);
const main = $("main");
let sessions = kept("sessions"), failures = 0;
let refused = null; // why it is not known who looks, once that matters

speak(kept("language") || (navigator.language || "").slice(0, 2));

// What is on sale is asked for every few seconds while something is open and the page is
// looked at, seldom otherwise, and soon after a session opens: not by all at once.
let timer = 0, looking = false;
async function refresh() {
  clearTimeout(timer);
  if (looking) return;
  looking = true;
  let next = 15000;
  try {
    const { data, status } = await ask("GET", "/v1/sessions?lang=" + language);
    if (status === 200) {
      failures = 0;
      sessions = data.sessions;
      keep("sessions", sessions);
      remember();
    }
    if (sessions?.some((s) => Date.parse(s.start) - 60000 < now() && Date.parse(s.end) > now())) next = 3000;
  } catch (e) {
    next = e instanceof Later ? pause(++failures, e.wait, 30000) : 30000;
  }
  looking = false;
  refreshIn(next + Math.random() * next / 2);
  render();
}
function refreshIn(ms) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, ms);
}

// remember keeps what a draw's proof is held against, before anybody entered.
function remember() {
  const seen = kept("commitments", {});
  for (const l of sessions.flatMap((s) => s.listings)) {
    if (l.draw?.state === "open") seen[path(l)] ??= l.draw.commitment;
  }
  keep("commitments", seen);
}

const name = ({ session, sku }) => sessions?.find((s) => s.id === session)?.listings.find((l) => l.sku === sku)
  || { session, sku, name: sku };

function sale() {
  if (!sessions) return nothing(main);
  if (!sessions.length) {
    return show(main, [{ key: "none", is: language, make: () => blank(say("nothing"), say("nothingWhy")) }]);
  }
  const items = [{ key: "h", is: language, make: () => h("h1", { cls: "sr" }, say("sale")) }];
  for (const s of sessions) {
    const phase = [now() >= Date.parse(s.start), now() >= Date.parse(s.end)];
    items.push({ key: s.id, is: [s.id, s.name, s.state, s.start, s.end, phase, language],
      make: () => sessionHead(s) });
    const bought = newest().filter((o) => o.session === s.id && counts.includes(o.state)).reduce((n, o) => n + o.quantity, 0);
    items.push({ key: "in " + s.id, is: s.id, make: () => h("div", { cls: "grid" }), then: (grid) => show(grid,
      s.listings.map((l) => ({ key: l.sku, is: [cardIs(l, s), bought], make: () => card(l, s, bought, render) }))) });
  }
  show(main, items);
  for (const i of items) i.then?.(main.querySelector(`[data-key="${CSS.escape(i.key)}"]`));
}

function stranger() {
  if (!dev) {
    return show(main, [{ key: "who", is: [language, refused], make: () => blank(say("noToken"), say("noTokenWhy"),
      refused && h("p", { cls: "note" }, refused)) }]);
  }
  return show(main, [{ key: "who", is: language, make: () => {
    const field = h("input", { id: "name", name: "name", autocomplete: "username", required: true, maxlength: 64,
      pattern: "[\\w.\\-]+", title: say("nameForm"), spellcheck: "false" });
    return h("form", { cls: "panel who", onsubmit: (e) => {
      e.preventDefault();
      be({ name: field.value });
      begin();
    } }, h("h1", {}, say("who")), h("p", { cls: "soft" }, say("whoWhy")), h("label", {}, say("name"), field),
    h("button", { id: "enter", cls: "main" }, say("enter")));
  } }]);
}

function frame() {
  document.title = sessions?.[0] ? `${sessions[0].name} · ${say("shop")}` : say("shop");
  $("brand").textContent = say("shop");
  $("skip").textContent = say("skip");
  const at = location.hash.slice(2).split("/")[0];
  $("nav").setAttribute("aria-label", say("shop"));
  show($("nav"), [["", "sale"], ["orders", "orders"]].map(([to, word]) => ({ key: "n" + word, is: [language, at],
    make: () => h("a", { id: "to-" + word, href: "#/" + to, "aria-current": at === to || (to && at === "order") ? "page"
      : null }, say(word)) })));
  show($("tools"), [me() && { key: "me", is: [me(), language], make: () => h("span", { cls: "me" },
    h("span", { cls: "sr" }, say("asName") + " "), h("b", { id: "me" }, me()), dev && button("leave", say("leave"), leave, "link")) }, { key: "lang", is: language, make: () => button("language", say("language"), () => {
    speak(language === "zh" ? "en" : "zh");
    keep("language", language);
    render();
    refresh();
  }, "link") }]);
  show($("foot"), [{ key: "f", is: language, make: () => h("p", {}, say("time"), " ", h("time", { id: "clock" })) }]);
  const off = !navigator.onLine;
  $("offline").hidden = !off && failures < 2;
  $("offline").textContent = say(off ? "offline" : "unwell");
  $("skip").onclick = (e) => {
    e.preventDefault();
    main.focus();
  };
}

let due = false;
function render() {
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    frame();
    const [, page, ...rest] = location.hash.split("/");
    if (main.dataset.at !== location.hash) main.replaceChildren(); // another page, with parts of its own
    main.dataset.at = location.hash;
    if (page !== "b") leaveBargain();
    if (!who && (dev || refused !== null || page || !sessions)) stranger();
    else if (page === "orders") ordersPage(main, name);
    else if (page === "order") orderPage(main, rest[0], name, render);
    else if (page === "b") bargainPage(main, rest[0], name, render);
    else if (page === "draw") drawPage(main, rest[0], rest[1], name, render);
    else sale();
    tick();
  });
}

// tick tells all that counts down the time, each second of the shop's clock.
let ticks = 0, ticked = Date.now();
function tick() {
  clearTimeout(ticks);
  const t = now();
  let turned = false;
  for (const e of document.querySelectorAll("[data-to]")) {
    e.textContent = countdown(+e.dataset.to);
    if (+e.dataset.to <= t && !e.over) turned = e.over = true;
  }
  for (const e of document.querySelectorAll("[data-until]")) {
    const left = Math.ceil((+e.dataset.until - Date.now()) / 1000);
    e.textContent = left > 0 ? ` · ${left} ${say("second")}` : "";
    if (left <= 0 && !e.over) turned = e.over = true;
  }
  if ($("clock")) $("clock").textContent = sure ? new Date(t).toLocaleTimeString(locale(), { hourCycle: "h23" }) : "…";
  if (Math.abs(Date.now() - ticked) > 10000) { // asleep: what it was connected to is gone
    streamOff();
    back();
  }
  ticked = Date.now();
  if (turned) {
    render();
    refreshIn(Math.random() * 2000);
  }
  ticks = setTimeout(tick, 1000 - (t % 1000) + 5);
}

whenOrders((list) => {
  for (const o of list) { // what was told of a grab is old once its order goes on
    const id = grabId(o), i = intent(id);
    const still = { granted: "held", waitlisted: "waiting", entered: "entered" }[i?.told?.code];
    if (still && o.state !== still && [i.told.no, i.told.entry].includes(o.order_no)) forgetIntent(id);
  }
  render();
});
whenIntents(render);
whenStranger((why) => {
  refused = why || "";
  be(null);
  forget();
  render();
});
hear("who", (person) => {
  if (who || !person || kept("left") || (whose !== null && whose !== idOf(person))) return;
  refused = null;
  be(person);
  begin();
});
hear("hello", () => {
  if (!who) return;
  tell("who", who);
  tell("reserved", kept("reserved"));
});
hear("reserved", (list) => {
  if (list) keep("reserved", list);
  render();
});

function begin() {
  tell("hello");
  tell("who", who); // to those that nobody is known to
  resume();
  streamOn();
  look().catch(() => {}); // another tab may have the stream
  render();
}

// A page that was away knows nothing: it asks for the time, the sale and its orders anew,
// a little later than the moment at which all phones wake.
let hiding = 0;
function back() {
  clearTimeout(hiding);
  if (document.hidden) { // the stream is another tab's, and a browser may let this one do nothing more
    hiding = setTimeout(streamOff, 2000);
    return;
  }
  awake();
  refreshIn(Math.random() * 500);
  if (who) {
    streamOn();
    look().catch(() => {});
    resume();
  }
}
document.addEventListener("visibilitychange", back);
document.addEventListener("freeze", streamOff);
document.addEventListener("resume", back);
addEventListener("pageshow", (e) => e.persisted && back());
addEventListener("online", back);
addEventListener("offline", render);
addEventListener("hashchange", () => {
  if (arrive()) {
    refused = null;
    streamOff(); // it was opened with the token before
    begin();
  }
  render();
  scrollTo(0, 0);
});

tell("hello");
keepTime();
refresh();
if (who) begin();
render();
