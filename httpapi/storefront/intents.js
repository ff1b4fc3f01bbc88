// What the shopper wants, until it is known what came of it. Each intent has one key, kept
// before anything is sent: a reload, a lost connection, a second tab ask for the same, and
// the shop counts it once. One thing is asked for about a listing at a time.
import { alone, ask, hear, insist, keep, kept, newKey, pause, rest, strange, takeTransaction, tell, who,
  whose } from "./net.js";
import { look, take } from "./orders.js";
import { say } from "./words.js";

const intents = kept("intents " + whose, {});
let changed = () => {};
export const whenIntents = (f) => { changed = f; };

export const intent = (id) => intents[id];
export const busy = (id) => intents[id] && !intents[id].told && intents[id].phase !== "lost";

function put(id, i, told) {
  intents[id] = i;
  if (!i) delete intents[id];
  keep("intents " + whose, intents);
  if (!told) tell("intent", { id, i });
  changed(id);
}
// Another tab knows more if it is about the same key, or has begun later.
hear("intent", ({ id, i }) => {
  const own = intents[id];
  if (own && i && own.told && own.key === i.key) return;
  put(id, i, true);
  if (busy(id)) run(id); // waits for the other tab, and goes on with the same key should it be closed
});
hear("hello", () => Object.entries(intents).forEach(([id, i]) => tell("intent", { id, i })));

const set = (id, more) => intents[id] && put(id, { ...intents[id], ...more });

// want begins an intent, unless there is one already.
export function want(id, { path, body = {}, listing, tickets, challenge }) {
  if (!who) return strange();
  const had = intents[id];
  if (busy(id)) return run(id);
  const misses = had?.told?.code === "missed" ? (had.misses || 0) + 1 : 0;
  put(id, had?.phase === "lost" ? { ...had, phase: "asking" }
    : { path, body, listing, tickets, challenge, key: newKey(), txn: takeTransaction(), phase: "asking", misses });
  return run(id);
}
export const forgetIntent = (id) => put(id, null);

// resume goes on with all of which the outcome is not known.
export const resume = () => Object.keys(intents).filter(busy).forEach(run);

const running = new Set();
async function run(id) {
  if (!who || running.has(id)) return;
  running.add(id);
  try {
    await alone(id, () => drive(id));
  } catch { // what came of it is not known: the key stays, for when they ask again or are known again
    if (who && busy(id)) set(id, { phase: "lost" });
  } finally {
    running.delete(id);
  }
}

const waiting = (id) => ({ waiting: () => set(id, { slow: true }) });

async function drive(id) {
  for (let n = 0, tickets = 0; busy(id);) {
    const i = intents[id];
    if (i.tickets && !i.ticket && !i.result) {
      set(id, { phase: "solving" });
      if (tickets++ > 7 || !(await getTicket(id))) {
        if (busy(id)) finish(id, { code: "missed", message: say("again") });
        return;
      }
      continue;
    }
    set(id, { phase: i.result ? "checking" : "asking" });
    const { status, data, wait } = await insist(() => (i.result ? ask("GET", i.result)
      : ask("POST", i.path, { key: i.key, txn: i.txn, body: i.ticket ? { ...i.body, ticket: i.ticket } : i.body })),
    waiting(id));
    if (status === 404 && i.result) set(id, { result: null }); // it never arrived: the same again
    else if (status >= 400) finish(id, { code: "problem", message: say("problem", { d: data?.detail || status }) });
    else if (data.code === "ticket_required") set(id, { tickets: true, challenge: data.challenge, ticket: null });
    else if (status === 202 || data.code === "processing") {
      set(id, { phase: "checking", result: data.result_url || i.result });
      await rest(pause(n, wait || 1000, 10000), wait || 1000);
      n++;
    } else finish(id, data);
  }
}

// finish keeps what came of it. Who was turned away does better not to ask at once again.
function finish(id, data) {
  const { misses = 0 } = intents[id];
  const again = data.code === "missed" || data.code === "sold_out"
    ? Date.now() + 2000 + Math.random() * Math.min(30000, 3000 * 2 ** misses) : 0;
  set(id, { told: { ...data, order: undefined, no: data.order?.order_no }, again, phase: "done", slow: false,
    ticket: null, image: null });
  if (data.order) take([data.order]);
  else if (data.entry) look().catch(() => {});
}

// getTicket gets a ticket, and solves what is asked for it; false if there is none to be had.
async function getTicket(id) {
  const i = intents[id];
  const post = (what, body) => insist(() => ask("POST", i.listing + what, { body }), waiting(id));
  let solution = {};
  if (i.challenge && i.challenge !== "none") {
    const { status, data } = await post("/challenge");
    if (status >= 400 || data.code) return answered(id, data);
    solution = data.type === "image" ? await byPerson(id, data) : await byWork(data);
    if (!solution) return data.type === "image"; // another one
  }
  const { status, data } = await post("/ticket", solution);
  if (status === 422) {
    set(id, { wrong: true });
    return true; // another challenge
  }
  if (data.code === "ticket_required") {
    set(id, { challenge: data.challenge });
    return true;
  }
  if (status >= 400 || data.code) return answered(id, data);
  set(id, { ticket: data.ticket, image: null, wrong: false });
  return true;
}

function answered(id, data) {
  finish(id, data?.code ? data : { code: "problem", message: say("problem", { d: data?.detail }) });
  return false;
}

function byWork({ algorithm, challenge, salt, signature, maxnumber, maxNumber }) {
  return new Promise((done) => {
    const worker = new Worker("/shop/work.js", { type: "module" });
    const began = performance.now();
    const end = (number) => {
      worker.terminate();
      done(number === null ? null : { solution: btoa(JSON.stringify({ algorithm, challenge, number, salt, signature,
        took: Math.round(performance.now() - began) })) });
    };
    worker.onmessage = (e) => end(e.data);
    worker.onerror = () => end(null);
    worker.postMessage({ salt, challenge, maxnumber: maxnumber || maxNumber });
  });
}

const solvers = {};
function byPerson(id, { token, image }) {
  set(id, { image });
  return new Promise((done) => {
    solvers[id] = (answer) => {
      delete solvers[id];
      set(id, { image: null });
      done(answer === null ? null : { token, answer });
    };
  });
}
export const solve = (id, answer) => (solvers[id] ? solvers[id](answer) : tell("solve", { id, answer }));
hear("solve", ({ id, answer }) => solvers[id]?.(answer));

// act does what is the same however often it is done: reserve, cancel, leave, receive.
const acting = new Set();
export const acts = (thing) => acting.has(thing);
export async function act(thing, method, path, body) {
  if (acting.has(thing)) return null;
  acting.add(thing);
  changed(thing);
  try {
    return await alone(thing, () => insist(() => ask(method, path, { body }), { during: 30000 }));
  } catch {
    return { status: 0, data: { detail: say("lost") } };
  } finally {
    acting.delete(thing);
    changed(thing);
  }
}
