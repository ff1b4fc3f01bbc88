// The shop's time. It is asked for, not believed of the phone: half of the way there and
// back is added, the quickest answer counts, and after a sleep it is asked for anew.
import { ask, pause, Later } from "./net.js";
import { say } from "./words.js";

let base = Date.now() - performance.now();
let quickest = Infinity;
let asked = 0;
export let sure = false;

export const now = () => base + performance.now();

async function sync() {
  const sent = performance.now();
  asked = Date.now();
  const { data } = await ask("GET", "/v1/time", { patience: 5000 });
  const came = performance.now();
  if (came - sent > quickest * 2) return;
  quickest = came - sent;
  base = data.unix_ms + quickest / 2 - came;
  sure = true;
}

// keepTime asks now and then; awake is to be called when the page comes back.
let timer = 0, failures = 0;
export async function keepTime() {
  clearTimeout(timer);
  let next = 120000 + pause(6);
  try {
    await sync();
    failures = 0;
  } catch (e) {
    if (e instanceof Later) next = pause(++failures, e.wait, 60000);
  }
  timer = setTimeout(keepTime, next);
}
export function awake() {
  if (Math.abs(Date.now() - asked) < 5000 && sure) return;
  quickest = Infinity; // the clock may have stood still
  keepTime();
}

const two = (n) => String(n).padStart(2, "0");
export function countdown(to) {
  const s = Math.max(0, Math.ceil((to - now()) / 1000));
  const days = Math.floor(s / 86400);
  return (days ? days + say("day") + " " : "") + (s >= 3600 ? two(Math.floor(s / 3600) % 24) + ":" : "") +
    two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
}
