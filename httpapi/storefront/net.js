// How this client asks. Whatever may be asked again is: later each time, by another pause
// each time, never sooner than the shop says, and never twice at once for one thing.
import { language } from "./words.js";

export const dev = document.body.dataset.dev === "true";
export const cashier = document.body.dataset.cashier;

// What is kept outlives a reload, and is the tab's own; other tabs are told by channel.
let over = false; // the page begins anew for another shopper
export function kept(name, otherwise = null) {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}
export function keep(name, value) {
  if (over) return;
  if (value == null) sessionStorage.removeItem(name);
  else sessionStorage.setItem(name, JSON.stringify(value));
}

const channel = "BroadcastChannel" in self ? new BroadcastChannel("doorbuster-shop") : null;
const hearers = [];
export const tell = (what, value) => channel?.postMessage({ what, value, by: whose });
export const hear = (what, f) => hearers.push([what, f]);
// A tab of another shopper says nothing to this one; who there is, and who is new, is for all.
channel?.addEventListener("message", ({ data: { what, value, by } }) => hearers.forEach(([name, f]) =>
  name === what && (by === whose || what === "who" || what === "hello") && f(value)));

// Who the shopper is: a token that came behind #token=, taken out of the address at once,
// or with --dev a name. Whose the page is outlives a token: with the next one of theirs all
// that they wish for goes on.
export const idOf = (person) => person.name || person.sub || person.token;
export let who = kept("who");
export let whose = kept("whose") ?? (who && idOf(who));
let loaded = false;
export function be(person) {
  if (person && whose !== null && whose !== idOf(person)) return anew(person);
  who = person;
  keep("who", person);
  if (!person) return;
  whose = idOf(person);
  keep("whose", whose);
  keep("left", null);
}

// anew makes the page another shopper's, or with --dev nobody's: nothing that was kept stays,
// and nothing that is under way goes on, which would be in the other's name.
function anew(person) {
  const language = kept("language");
  sessionStorage.clear();
  keep("language", language);
  whose = null;
  be(person);
  if (!person) keep("left", true); // and does not take who is in another tab
  over = loaded;
  if (over) location.reload();
}
export const leave = () => anew(null);
export const me = () => who?.name || who?.sub || "";
export function arrive() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return false;
  history.replaceState(null, "", location.pathname + location.search + "#/");
  if (token === who?.token) return false;
  let sub = "";
  try {
    sub = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).sub;
  } catch { /* the shop will say what is wrong with it */ }
  be({ token, sub });
  return !over;
}
arrive(); // before anything that is kept is read: it may be another's
loaded = true;
let stranger = () => {};
export const whenStranger = (f) => { stranger = f; };
export const strange = () => stranger();

export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
  (b) => b.toString(16).padStart(2, "0")).join("");

// A transaction id comes with the time, and goes with the next intent.
let transaction = kept("txn");
export function takeTransaction() {
  const taken = transaction;
  keep("txn", transaction = null);
  return taken;
}

// Later is thrown for whatever may be asked again: wait is how long the shop asks to be
// left alone, in milliseconds.
export class Later extends Error {
  constructor(why, wait = 0) {
    super(why);
    this.wait = wait;
  }
}

export function headersFor(more = {}) {
  if (over) throw new Error("of another shopper");
  const headers = { "Accept-Language": language, ...more };
  if (who?.token) headers.Authorization = "Bearer " + who.token;
  else if (dev && who?.name) headers["X-Shopper-Id"] = who.name;
  return headers;
}

export const waitOf = (r) => 1000 * (parseFloat(r.headers.get("Retry-After")) || 0);

// Until when, by path, the shop wants to be left alone, whatever makes the page ask.
const quiet = new Map();

const flying = new Map(); // looks, by path: one after the other, so that each heeds what the last one was told

// ask sends one request, and gives {status, data, wait}.
export function ask(method, path, how = {}) {
  const thing = method + " " + path.split("?")[0];
  if (method !== "GET") return send(thing, method, path, how);
  const mine = (flying.get(thing) || Promise.resolve()).catch(() => {}).then(() => send(thing, method, path, how));
  flying.set(thing, mine);
  return mine;
}

async function send(thing, method, path, { body, key, txn, patience = 10000 }) {
  if (!path.startsWith("/v1/")) throw new Error("not of this shop: " + path);
  if (!who && method !== "GET") { // nobody's wishes are not kept for whoever comes
    strange();
    throw new Error("401");
  }
  const left = (quiet.get(thing) || 0) - performance.now();
  if (left > 0) throw new Later("not yet", left);
  const more = {};
  if (body !== undefined) more["Content-Type"] = "application/json";
  if (key) more["Idempotency-Key"] = key;
  if (txn) more["X-Transaction-Id"] = txn;
  let r, data = null;
  try {
    r = await fetch(path, { method, headers: headersFor(more), body: body === undefined ? undefined
      : JSON.stringify(body), credentials: "omit", redirect: "error", signal: AbortSignal.timeout(patience) });
    if (r.status !== 204) data = await r.json();
  } catch (e) { // what is no JSON may be a proxy's; an answer that breaks off says nothing
    if (!r || r.ok || !(e instanceof SyntaxError)) throw new Later(String(e));
  }
  if (r.status === 408 || r.status === 429 || r.status >= 500) {
    quiet.set(thing, performance.now() + waitOf(r));
    throw new Later(data?.detail || r.status, waitOf(r));
  }
  if (r.status === 401) {
    stranger(data?.detail);
    throw new Error("401");
  }
  transaction || keep("txn", transaction = r.headers.get("X-Transaction-Id"));
  return { status: r.status, data, wait: waitOf(r) };
}

// pause is how long to wait before the nth try more: at least as long as the shop says, and
// then some time between nothing and a bound that doubles, so that a crowd that failed
// together does not come back together.
export const pause = (n, wait = 0, most = 20000) => wait + Math.random() * Math.min(most, 400 * 2 ** n);

// rest waits, at most until the network comes back, and at least so long.
export function rest(ms, least = 0) {
  return new Promise((done) => {
    const from = performance.now() + least;
    let timer = 0;
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", soon);
      done();
    };
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(end, Math.max(0, from - performance.now()) + Math.random() * 1000);
    };
    addEventListener("online", soon);
    timer = setTimeout(end, ms);
  });
}

// insist asks until there is an answer, or for so long.
export async function insist(f, { during = 120000, waiting = () => {} } = {}) {
  const until = performance.now() + during;
  for (let n = 0; ; n++) {
    try {
      return await f();
    } catch (e) {
      if (!(e instanceof Later)) throw e;
      const ms = pause(n, e.wait);
      if (performance.now() + ms > until) throw e;
      waiting(e);
      await rest(ms, e.wait);
    }
  }
}

// alone runs f while nobody else, in no tab of this shopper, does anything about a thing.
const inTab = new Map();
export function alone(thing, f) {
  const name = `doorbuster ${whose} ${thing}`;
  if (navigator.locks) return navigator.locks.request(name, f);
  const next = (inTab.get(name) || Promise.resolve()).then(f);
  inTab.set(name, next.catch(() => {}));
  return next;
}
