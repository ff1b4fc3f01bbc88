// The panels for the rules of a sale while it runs: switches and profiles, risk
// lists, and who waits, is drawn or has reserved. It stands on console.js.

import { $, ask, at, confirmChange, failed, make, moment, number, say, setState, setText } from "./classic-console.js";

const everyMS = 2000;

// send asks first, sends what was answered and says what was done.
async function send(question, path, method, done, bodyOf) {
  const answered = await confirmChange(question);
  if (answered === null) return false;
  try {
    await ask(path, bodyOf(answered), method);
    say(done);
    return true;
  } catch (error) {
    failed(error);
    return false;
  }
}

// Switches.

const switches = new Map(); // by name
let shownBoard = "";

function newSwitchRow(name) {
  const row = { now: make("span", { className: "state" }), normal: make("td"), help: make("td", { className: "wrap" }) };
  const button = make("button", { type: "button" }, "Turn");
  button.setAttribute("aria-label", `Turn ${name}`);
  button.addEventListener("click", async () => {
    const v = row.value;
    const question = { title: `Turn ${name}?`, text: `${v.help}. It holds on all nodes within a second.`, yes: "Turn" };
    if (v.allowed) question.choice = { name: "value", label: "To", options: v.allowed.map((word) => [word, word]), chosen: v.value };
    else question.units = { label: `To (0 to ${v.most})`, min: 0, max: v.most, value: v.value };
    if (await send(question, at("switches"), "PATCH", `${name} is turned.`, (a) => ({ switches: { [name]: v.allowed ? a.value : a.units }, note: a.note || "" }))) await lookAtSwitches();
  });
  row.root = make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, row.now), row.normal, row.help, make("td", {}, button));
  return row;
}

function profileItem(profile) {
  const settings = Object.entries(profile.switches).map(([name, value]) => `${name}=${value}`).join(", ");
  const item = make("li", {}, make("strong", {}, profile.name), ` ${settings} `);
  for (const [text, path, method, grave] of [["Turn on", at("profiles", profile.name, "apply"), "POST", false], ["Forget", at("profiles", profile.name), "DELETE", true]]) {
    const button = make("button", { type: "button", className: grave ? "grave" : "" }, text);
    button.setAttribute("aria-label", `${text} profile ${profile.name}`);
    button.addEventListener("click", async () => {
      const question = { title: `${text} profile ${profile.name}?`, text: grave ? "What it has turned on stays." : settings, yes: text };
      if (await send(question, path, method, `Profile ${profile.name}: done.`, (a) => a)) await lookAtSwitches();
    });
    item.append(" ", button);
  }
  return item;
}

function recordItem(record) {
  const changed = record.changed.map((c) => `${c.name} ${c.before} → ${c.after}`).join(", ") || "nothing changed";
  return make("li", {}, `${moment(record.at)}, ${record.operator || "nobody"}: ${record.action}${record.profile ? ` ${record.profile}` : ""}; ${changed}${record.note ? ` (${record.note})` : ""}`);
}

async function lookAtSwitches() {
  const board = await ask(at("switches"));
  for (const v of board.switches) {
    let row = switches.get(v.name);
    if (!row) {
      switches.set(v.name, row = newSwitchRow(v.name));
      $("switch-rows").append(row.root);
    }
    row.value = v;
    setText(row.now, v.value);
    row.now.dataset.is = v.value === v.normal ? "normal" : "paused";
    setText(row.normal, v.normal);
    setText(row.help, v.help);
  }
  const rest = JSON.stringify([board.profiles, board.history, board.active_profile]);
  if (rest === shownBoard) return; // so that nothing jumps while somebody clicks
  shownBoard = rest;
  setText($("active-profile"), `Active profile: ${board.active_profile || "none"}. ${board.profiles.length ? "" : "None is defined: doorbuster switches define NAME …"}`);
  $("profile-list").replaceChildren(...board.profiles.map(profileItem));
  $("switch-history").replaceChildren(...board.history.map(recordItem));
}

for (const [id, name, text] of [["switches-back", "back", "Everything is turned as it was before the last change."], ["switches-normal", "normal", "Everything is turned as if nobody had said anything."]]) {
  $(id).addEventListener("click", async () => {
    if (await send({ title: `Turn all switches ${name}?`, text, yes: "Turn" }, at("switches", name), "POST", "Done.", (a) => a)) await lookAtSwitches();
  });
}

// Risk lists.

function listed(row) {
  const level = make("span", { className: "state" });
  setState(level, row.level || "listed");
  return make("tr", {}, make("th", { scope: "row", className: "wrap" }, row.id), make("td", {}, level), make("td", {}, moment(row.since)));
}

async function lookUpRisk() {
  const kind = $("k-kind").value;
  const id = $("k-id").value.trim();
  try {
    if (id) {
      $("risk-rows").replaceChildren(listed(await ask(at("risk", kind, id))));
      setText($("risk-summary"), "");
    } else {
      const page = await ask(`${at("risk", kind)}?limit=20`);
      $("risk-rows").replaceChildren(...page.rows.map(listed));
      setText($("risk-summary"), `${number(page.count)} listed${page.cursor ? ", the first of them:" : "."}`);
    }
    $("risk-table").hidden = $("risk-rows").children.length === 0;
  } catch (error) {
    $("risk-table").hidden = true;
    if (error.status === 404) setText($("risk-summary"), error.message);
    else failed(error);
  }
}

$("risk-form").addEventListener("submit", (event) => {
  event.preventDefault();
  lookUpRisk();
});

for (const [button, verb, level] of [["risk-put", "Put on", () => $("k-level").value], ["risk-off", "Take off", () => "none"]]) {
  $(button).addEventListener("click", async () => {
    const kind = $("k-kind").value;
    const id = $("k-id").value.trim();
    if (!id) return say("Say whom.", true);
    const text = level() === "none" ? "From then on the list says nothing of it." : `With the level ${level()}: all nodes go by it within a second.`;
    const answered = await confirmChange({ title: `${verb} risk/${kind}: ${id}?`, text, yes: verb });
    if (answered === null) return;
    const query = answered.note ? `?note=${encodeURIComponent(answered.note)}` : "";
    try {
      const list = `${JSON.stringify({ id, level: level() })}\n`;
      const done = await ask(at("risk", kind) + query, list, "PATCH", "application/x-ndjson");
      say(`risk/${kind} names ${number(done.count)} now.`);
      await lookUpRisk();
    } catch (error) {
      failed(error);
    }
  });
}

// A listing's line, draw and reservations.

function waits(order) {
  return make("tr", {}, make("td", { className: "number" }, number(order.position)), make("td", {}, order.shopper), make("td", { className: "number" }, number(order.quantity)),
    make("td", {}, moment(order.granted_at)), make("td", {}, make("code", {}, order.order_no)));
}

$("line-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const listing = (...rest) => at("sessions", $("l-session").value.trim(), "skus", $("l-sku").value.trim(), ...rest);
  try {
    const [counts, line, reserved, draw] = await Promise.all([ask(listing()), ask(`${listing("waitlist")}?limit=50`), ask(`${listing("reservations")}?limit=20`),
      ask(`${listing("draw")}?limit=1`).catch((error) => (error.status === 404 ? null : Promise.reject(error)))]);
    setText($("line-summary"), `${number(counts.waitlisted)} units are waited for, ${number(counts.available)} are free, ${number(counts.held)} held.`);
    $("line-rows").replaceChildren(...line.waiting.map(waits));
    $("line-table").hidden = line.waiting.length === 0;
    setText($("line-reserved"), `${number(reserved.count)} have reserved${reserved.rows.length ? `: ${reserved.rows.map((row) => row.id).join(", ")}${reserved.cursor ? ", …" : ""}` : ""}.`);
    setText($("line-draw"), draw === null ? "There is no draw." : `Draw: ${draw.state}${draw.draw_at ? `, closes ${moment(draw.draw_at)}` : ""}, ${number(draw.undecided)} undecided. ` +
      `Commitment ${draw.commitment}.${draw.seed ? ` Seed ${draw.seed}; check it with doorbuster draw verify.` : ""}`);
  } catch (error) {
    failed(error);
  }
});

// Looking. What goes wrong is told by the sessions' own looking.

function look() {
  if (document.hidden || !$("sign-in").hidden) return;
  lookAtSwitches().catch(() => {});
}

setInterval(look, everyMS);
look();
