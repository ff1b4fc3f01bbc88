// The shopper's own orders and places, as they change. One tab that is looked at reads the
// stream and tells the others; a page that was away asks for all of it again.
import { alone, ask, headersFor, hear, Later, pause, rest, tell, waitOf, who } from "./net.js";

export const orders = new Map();
export let loaded = false;
let changed = () => {};
export const whenOrders = (f) => { changed = f; };

// As text times compare exactly once their Z is gone: fractions of a second have no zeros at their end.
const stamp = (o) => (o.changed_at || o.granted_at || "").slice(0, -1);
export function take(list, told) {
  for (const o of list) {
    const had = orders.get(o.order_no);
    if (!had || stamp(o) >= stamp(had)) orders.set(o.order_no, o);
  }
  loaded = true;
  if (!told) tell("orders", list);
  changed(list);
}
hear("orders", (list) => take(list, true));

export const newest = () => [...orders.values()].sort((a, b) => (stamp(b) > stamp(a) ? 1 : -1));
export const of = (session, sku) => newest().filter((o) => o.session === session && o.sku === sku);

export async function look() {
  if (!who) return;
  const { data } = await ask("GET", "/v1/orders");
  take(data.orders);
}

// follow reads a stream of server-sent events until stop is called or it is over; failing
// hears of each failure, and whether it was the last. Browsers' own EventSource can't say who
// asks.
export function follow(path, by, failing = () => {}) {
  let over = false, control = null, retry = 0, id = "", heard = performance.now();
  const stop = () => {
    over = true;
    control?.abort();
  };
  (async () => {
    for (let n = 0; !over; n++) {
      let wait = 0;
      control = new AbortController();
      try {
        const more = { Accept: "text/event-stream" };
        if (id) more["Last-Event-ID"] = id;
        const r = await fetch(path, { headers: headersFor(more), credentials: "omit", signal: control.signal });
        if (r.status === 204) {
          over = true;
          return;
        }
        if (!r.ok) {
          await r.body?.cancel();
          if (r.status >= 500 || r.status === 429 || r.status === 408) throw new Later(r.status, waitOf(r));
          over = true;
          failing(true);
          return;
        }
        const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let text = ""; ;) {
          const { value, done } = await reader.read();
          if (done) break;
          heard = performance.now();
          text += value;
          const events = text.split("\n\n");
          text = events.pop();
          for (const event of events) {
            let name = "message", data = "";
            for (const line of event.split("\n")) {
              if (line.startsWith("event:")) name = line.slice(6).trim();
              else if (line.startsWith("data:")) data += line.slice(5);
              else if (line.startsWith("id:")) id = line.slice(3).trim();
              else if (line.startsWith("retry:")) retry = parseInt(line.slice(6)) || 0;
            }
            if (data) {
              n = 0;
              by(name, JSON.parse(data));
            }
          }
        }
      } catch (e) {
        wait = e.wait || 0;
      }
      if (over) return;
      failing(false);
      wait = Math.max(wait, retry);
      await rest(pause(n, wait), wait);
      retry = 0;
    }
  })();
  // A stream that says nothing for longer than its heartbeat is dead, whatever the phone thinks.
  const watch = setInterval(() => {
    if (over) clearInterval(watch);
    else if (performance.now() - heard > 40000) {
      heard = performance.now();
      control?.abort();
    }
  }, 5000);
  return stop;
}

let stop = null;
export function streamOn() {
  if (!who || stop) return;
  let done;
  const until = new Promise((end) => { done = end; });
  let off = () => {};
  let given = false;
  alone("stream", () => {
    if (given) return undefined;
    off = follow("/v1/events", (name, data) => take(name === "snapshot" ? data.orders : [data]),
      (ended) => {
        if (ended) streamOff(); // and with it the lock
        look().catch(() => {});
      });
    return until;
  });
  stop = () => {
    given = true;
    off();
    done();
  };
}
export function streamOff() {
  stop?.();
  stop = null;
}
export function forget() {
  streamOff();
  orders.clear();
  loaded = false;
}
