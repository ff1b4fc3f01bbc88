// How the console asks the operations API: politely, each change once, and with one stream a
// tab.

import { Store, useEffect, useRef, useState, useStore } from "./html.js";
import { t } from "./words.js";

// who is the session of whoever has logged in: undefined until it is known, null for nobody.
export const who = new Store(undefined);

const ranks = ["viewer", "operator", "admin"];

// may reports whether somebody has at least a role. The API refuses anyway.
export const may = (session, role) => ranks.indexOf(session?.role) >= ranks.indexOf(role);

// at is a path of the API, of its parts.
export const at = (...parts) => "/admin/v1/" + parts.map(encodeURIComponent).join("/");

// withQuery adds parameters to a path; those that are empty are left out.
export function withQuery(path, parameters) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined && value !== null && value !== false));
  return query.size ? `${path}?${query}` : path;
}

// Refused is an answer that is a problem. Its status is 0 where there was no answer.
export class Refused extends Error {
  constructor(status, problem) {
    super([problem.title, problem.detail].filter(Boolean).join(". ") || t("api.status", { status }));
    this.status = status;
    this.problems = (problem.problems || []).map((p) => [p.path, p.line && t("api.line", { line: p.line }), p.message].filter(Boolean).join(": "));
  }
}

// The shop's time.

const clock = { offset: 0, doubt: Infinity, at: 0 };

// now is what time it is to the sale, in milliseconds.
export const now = () => Date.now() + clock.offset;

// setClock takes in what time it was to the sale while a request was on its way.
function setClock(text, sent, came) {
  const doubt = (came - sent) / 2;
  const offset = Date.parse(text) - (sent + doubt);
  if (!Number.isFinite(offset)) return;
  // The answer that was quickest says it best, until it is old or the clocks have moved.
  if (doubt <= clock.doubt || came - clock.at > 60000 || Math.abs(offset - clock.offset) > doubt + clock.doubt) {
    Object.assign(clock, { offset, doubt, at: came });
  }
}

// Requests.

const patienceMS = 15000;

// request fetches, and gives a response that is one of success.
export async function request(path, { method = "GET", body, type, key, accept = "application/json", patience = patienceMS } = {}) {
  const headers = { Accept: accept };
  if (method !== "GET" && who.value?.csrf) headers["Doorbuster-Csrf"] = who.value.csrf;
  if (type) headers["Content-Type"] = type;
  if (key) headers["Idempotency-Key"] = key;
  let response;
  try {
    response = await fetch(path, { method, body, headers, cache: "no-store", signal: patience ? AbortSignal.timeout(patience) : undefined });
  } catch (error) {
    throw new Refused(0, { title: t(error.name === "TimeoutError" ? "api.late" : "api.lost") });
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401 && who.value) known(null);
  const refused = new Refused(response.status, problem);
  refused.after = Number(response.headers.get("Retry-After")) || 0;
  throw refused;
}

// get asks for JSON.
export async function get(path) {
  const sent = Date.now();
  const response = await request(path);
  const came = Date.now();
  const data = await response.json();
  if (path === clusterPath) setClock(data.time, sent, came);
  return data;
}

const clusterPath = at("cluster");

const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
const mostTries = 4;
const lost = (error) => [0, 502, 503, 504].includes(error.status);

// What was sent and not heard of: asked for once more, it goes out with the key that it had.
const open = new Map();

// change sends something that is to be done once. body is sent as it is if it is text or a
// file, else as JSON. Where no answer comes it is tried again, with the same key.
export async function change(method, path, body, { type = "application/json", accept, patience } = {}) {
  const plain = body === undefined || typeof body === "string" || body instanceof Blob;
  const text = plain ? body : JSON.stringify(body);
  const intent = `${method} ${path} ${body instanceof Blob ? `${body.name} ${body.size} ${body.lastModified}` : text}`;
  if (!open.has(intent)) open.set(intent, newKey());
  const how = { method, body: text, type: text === undefined ? undefined : type, key: open.get(intent), accept, patience };
  for (let tries = 1; ; tries++) {
    try {
      const response = await request(path, how);
      open.delete(intent);
      if (accept) return response;
      const answer = await response.json().catch(() => ({}));
      refresh();
      return answer;
    } catch (error) {
      if (!lost(error)) open.delete(intent);
      if (!lost(error) || tries === mostTries) throw error;
      await new Promise((later) => setTimeout(later, Math.max(1000 * error.after, 300 * 2 ** tries * (0.5 + Math.random()))));
    }
  }
}

// Logging in and out. Whoever comes next does not see what those before them were told.

function known(session) {
  queries.clear();
  who.set(session);
}

export async function lookWho() {
  try {
    who.set(await get("/console/session"));
  } catch (error) {
    if (![401, 403].includes(error.status)) throw error;
    who.set(null);
  }
}

export async function login(token) {
  const response = await request("/console/login", { method: "POST", body: JSON.stringify({ token }), type: "application/json" });
  known(await response.json());
}

export async function logout() {
  await request("/console/logout", { method: "POST" });
  known(null);
}

// Questions that are asked again and again. Whoever asks the same shares the answer.

const queries = new Map(); // by path
const spacingMS = 500; // at least, between two that are asked again
let free = 0; // from when on one may be asked again

class Query {
  constructor(path) {
    this.path = path;
    this.listeners = new Map(); // to how often they want to know
    this.data = undefined; // of the last answer
    this.error = null; // of the last try
    this.at = 0; // when the data came
    this.timer = 0;
    this.asking = null;
  }

  every() {
    const all = [...this.listeners.values()].filter((every) => every > 0);
    return all.length ? Math.max(1000, Math.min(...all)) : 0;
  }

  ask() {
    this.asking ??= this.fetch().finally(() => {
      this.asking = null;
      this.plan();
    });
    return this.asking;
  }

  // anew asks once more even while it is asked: that answer may be of before.
  anew() {
    return this.asking ? this.asking.then(() => this.ask()) : this.ask();
  }

  async fetch() {
    try {
      this.data = await get(this.path);
      this.error = null;
      this.at = Date.now();
      this.failed = 0;
    } catch (error) {
      this.error = error;
      this.failed = (this.failed || 0) + 1;
    }
    for (const tell of [...this.listeners.keys()]) tell();
  }

  // plan has it asked again when it is time. A page that nobody looks at asks nothing.
  plan() {
    clearTimeout(this.timer);
    const every = this.every();
    if (!every || document.hidden || !who.value) return;
    const wait = every * Math.min(8, 2 ** (this.failed || 0)) * (0.9 + 0.2 * Math.random());
    this.timer = setTimeout(() => {
      const turn = Math.max(Date.now(), free);
      free = turn + spacingMS;
      this.timer = setTimeout(() => this.ask(), turn - Date.now());
    }, wait);
  }
}

function lookedAt(query) {
  if (query.every()) query.ask();
}

document.addEventListener("visibilitychange", () => {
  for (const query of queries.values()) {
    if (document.hidden) clearTimeout(query.timer);
    else if (query.listeners.size) lookedAt(query);
  }
});

const changes = new Store(0); // that were made by this page

let fresh = Promise.resolve();

// refresh has all that is looked at asked anew: something was changed.
export function refresh() {
  changes.set(changes.value + 1);
  fresh = Promise.all([...queries.values()].filter((query) => query.listeners.size).map((query) => query.anew()));
}

// refreshed waits until that is answered.
export const refreshed = () => fresh;

const mostKept = 50; // answers that nobody looks at

// useQuery asks for JSON: once, or every so many milliseconds while somebody looks at the
// page. Without a path it asks nothing. It gives the data of the last answer that there was,
// the error of the last try, and reload.
export function useQuery(path, { every = 0 } = {}) {
  const [, again] = useState(0);
  let query = queries.get(path);
  if (path && !query) {
    for (const [old, q] of queries) if (queries.size > mostKept && !q.listeners.size) queries.delete(old);
    queries.set(path, query = new Query(path));
  }
  useEffect(() => {
    if (!query) return undefined;
    const tell = () => again((n) => n + 1);
    query.listeners.set(tell, every);
    queries.set(path, query);
    if (!document.hidden || query.data === undefined) query.ask();
    return () => {
      query.listeners.delete(tell);
      query.plan();
    };
  }, [query, every]);
  if (!query) return { data: undefined, error: null, at: 0, reload: () => {} };
  return { data: query.data, error: query.error, at: query.at, reload: () => query.anew() };
}

export const useCluster = () => useQuery(clusterPath, { every: 2000 });

// usePages asks for a list by pages: rows so far, more for the next page, if there is one.
// name is that of the rows in an answer, next that of where to go on. Where every is given, the
// first page is asked for anew every so many milliseconds, as long as it is the only one.
export function usePages(path, name, { next = "cursor", every = 0 } = {}) {
  const [state, set] = useState({ path: null, rows: [] });
  const changed = useStore(changes);
  const turn = useRef(0);
  const load = async (rows, cursor, mine) => {
    try {
      const page = await get(cursor ? withQuery(path.split("?")[0], { ...Object.fromEntries(new URLSearchParams(path.split("?")[1])), [next]: cursor }) : path);
      if (mine === turn.current) set({ path, rows: rows.concat(page[name]), page, cursor: page[next] });
    } catch (error) {
      if (mine === turn.current) set((was) => (cursor || was.path !== path ? { path, rows, error, cursor } : { ...was, error }));
    }
  };
  const reload = () => path && load([], "", ++turn.current);
  useEffect(() => {
    turn.current++;
    if (path) reload();
  }, [path, changed]);
  const here = state.path === path ? state : { rows: [] };
  const one = here.rows.length === (here.page?.[name].length ?? 0);
  useEffect(() => {
    if (!path || !every || !one) return undefined;
    const timer = setInterval(() => document.hidden || reload(), every);
    return () => clearInterval(timer);
  }, [path, every, one]);
  return { ...here, loading: Boolean(path) && state.path !== path, reload, more: here.cursor ? () => load(here.rows, here.cursor, turn.current) : null };
}

// Streams.

let stream = null; // the tab's only one

class Stream {
  constructor(pathOf, name, hear, tell) {
    Object.assign(this, { pathOf, name, hear, tell, source: null, timer: 0, wait: 1000 });
    this.look = () => (document.hidden ? this.pause() : this.open());
    document.addEventListener("visibilitychange", this.look);
    this.look();
  }

  open() {
    clearTimeout(this.timer);
    if (this.source) return;
    this.source = new EventSource(this.pathOf());
    this.source.addEventListener("open", () => {
      this.wait = 1000;
      this.tell(true);
    });
    this.source.addEventListener(this.name, (event) => this.hear(JSON.parse(event.data)));
    this.source.addEventListener("error", () => {
      this.tell(false);
      this.pause();
      this.timer = setTimeout(this.look, this.wait * (0.75 + Math.random() / 2));
      this.wait = Math.min(30000, 2 * this.wait);
    });
  }

  pause() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  end() {
    this.pause();
    document.removeEventListener("visibilitychange", this.look);
  }
}

// useStream hears events of a name while somebody looks at the page. pathOf gives where, each
// time that the stream is opened; of names one: another that is opened takes the place of the
// tab's former one. It gives whether the stream is there.
export function useStream(id, pathOf, name, hear) {
  const [there, tell] = useState(false);
  const latest = useRef();
  latest.current = { pathOf, hear };
  useEffect(() => {
    if (!id) return undefined;
    stream?.end();
    const mine = stream = new Stream(() => latest.current.pathOf(), name, (data) => latest.current.hear(data), tell);
    return () => {
      mine.end();
      if (stream === mine) stream = null;
      tell(false);
    };
  }, [id, name]);
  return there;
}

// lines hears an answer that comes line by line, each JSON, as they come.
export async function lines(response, hear) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    const all = (rest + (value || "")).split("\n");
    rest = done ? "" : all.pop();
    for (const line of all.filter(Boolean)) hear(JSON.parse(line));
    if (done) return;
  }
}

// keep has the browser keep a file.
export function keep(blob, name) {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

// save has it keep an answer.
export const save = async (path, name, accept) => keep(await (await request(path, { accept, patience: 0 })).blob(), name);
