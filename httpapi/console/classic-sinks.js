// The panel for what flows out: how far each sink is, and pausing it. It stands on
// console.js.

import { $, ask, at, confirmChange, failed, make, number, say, setState, setText } from "./classic-console.js";

const everyMS = 2000;

const rows = new Map(); // by name

function newRow(name) {
  const row = { state: make("span", { className: "state" }) };
  for (const field of ["kind", "position"]) row[field] = make("td");
  for (const field of ["lag", "changes", "dead"]) row[field] = make("td", { className: "number" });
  row.error = make("td", { className: "wrap" });
  row.button = make("button", { type: "button" });
  row.button.addEventListener("click", async () => {
    const action = row.paused ? "resume" : "pause";
    const answered = await confirmChange({ title: `${row.paused ? "Resume" : "Pause"} the sink ${name}?`, yes: row.paused ? "Resume" : "Pause",
      text: row.paused ? "It goes on from where it is." : "It is handed nothing more for now; the trail keeps what it has not had." });
    if (answered === null) return;
    try {
      await ask(at("sinks", name, action), answered, "POST");
      say(`Sink ${name}: done.`);
      await look();
    } catch (error) {
      failed(error);
    }
  });
  row.root = make("tr", {}, make("th", { scope: "row" }, name), row.kind, make("td", {}, row.state), row.position, row.lag, row.changes, row.dead, row.error, make("td", {}, row.button));
  return row;
}

async function look() {
  const all = await ask(at("sinks"));
  for (const [name, row] of rows) {
    if (!all.sinks.some((sink) => sink.name === name)) {
      row.root.remove();
      rows.delete(name);
    }
  }
  for (const sink of all.sinks) {
    let row = rows.get(sink.name);
    if (!row) {
      rows.set(sink.name, row = newRow(sink.name));
      $("sink-rows").append(row.root);
    }
    row.paused = sink.paused;
    setState(row.state, sink.kind ? sink.state : "not configured");
    row.state.dataset.is = { flowing: "normal", elsewhere: "normal", opening: "normal", paused: "paused" }[sink.state] || "degraded";
    setText(row.kind, sink.kind || "-");
    setText(row.position, sink.position);
    setText(row.lag, sink.state === "elsewhere" ? "" : `${sink.lag_seconds.toFixed(1)} s`);
    setText(row.changes, number(sink.changes));
    setText(row.dead, number(sink.dead_letters));
    setText(row.error, sink.last_error || (sink.first_kept ? `What it needs next is gone; first kept: ${sink.first_kept}` : ""));
    setText(row.button, sink.paused ? "Resume" : "Pause");
    row.button.setAttribute("aria-label", `${sink.paused ? "Resume" : "Pause"} the sink ${sink.name}`);
  }
  const elsewhere = all.leader && all.sinks.some((sink) => sink.kind && sink.state === "elsewhere");
  setText($("sinks-summary"), all.sinks.length === 0 ? "There are none." : elsewhere ? `Node ${all.leader} leads, and feeds them: look there.` : "");
  $("sinks-table").hidden = all.sinks.length === 0;
}

function now() {
  if (document.hidden || !$("sign-in").hidden) return;
  look().catch(() => {});
}

setInterval(now, everyMS);
now();
