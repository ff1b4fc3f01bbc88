// The operators' page. It asks the operations API every few seconds while the
// tab is looked at, and changes only what differs, so that nothing jumps while
// somebody reads or types. Text goes in as text, never as markup.

const $ = (id) => document.getElementById(id);
const everyMS = 2000;
const tokenName = "doorbuster-ops-token";

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function setText(node, text) {
  text = String(text);
  if (node.textContent !== text) node.textContent = text;
}

function setState(node, state) {
  setText(node, state.replaceAll("_", " "));
  node.dataset.is = state;
}

const number = (n) => n.toLocaleString();
const moment = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

function money(amount, currency) {
  try {
    const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
    return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${amount} ${currency}`; // no currency that this browser knows
  }
}

function say(text, bad = false) {
  const notice = $("notice");
  delete notice.dataset.lost;
  notice.hidden = text === "";
  notice.dataset.is = bad ? "bad" : "good";
  setText(notice, text);
}

// What was said belongs to what was done before.
document.addEventListener("click", (event) => {
  if (event.target.closest("button")) say("");
}, true);

// The API.

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let proof; // that goes with the cookie of who has logged in; undefined until it is asked for

// request fetches with the operator's token, which a plain link would not carry,
// and gives an answer that is one of success, for the caller to read.
async function request(path, how = {}) {
  const token = sessionStorage.getItem(tokenName);
  if (!token && how.method && proof === undefined) {
    proof = await fetch("/console/session").then((response) => response.json()).then((session) => session.csrf || "").catch(() => undefined);
  }
  const response = await fetch(path, { cache: "no-store", ...how, headers: { ...how.headers, ...(token ? { Authorization: `Bearer ${token}` } : proof && { "Doorbuster-Csrf": proof }) } })
    .catch((error) => Promise.reject(new Error(error.name === "TimeoutError" ? "This node did not answer in time." : "This node does not answer.")));
  if (!response.ok) throw refusedBy(await response.json().catch(() => ({})), response.status);
  return response;
}

const mostProblems = 10; // that are told of one request

// refusedBy makes an error of a problem document, with each thing that is wrong.
function refusedBy(problem, status = problem.status) {
  const wrong = problem.problems || [];
  const lines = wrong.slice(0, mostProblems).map((p) => [p.path, p.message].filter(Boolean).join(": "));
  if (wrong.length > mostProblems) lines.push(`and ${number(wrong.length - mostProblems)} more`);
  const told = [problem.title, problem.detail].filter(Boolean).join(". ") || `Status ${status}`;
  return new Refused(status, [told, ...lines].join("\n"));
}

const mostTries = 4; // of a change whose outcome is not heard

// newKey names what somebody means to have done once.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

// ask sends change, if there is one: as it is if it is text, else as JSON. One whose
// outcome is not heard is sent again with the same key, so that it is made once.
async function ask(path, change, method = "POST", type = "application/json") {
  const how = { headers: { Accept: "application/json" } };
  if (change !== undefined) {
    how.method = method;
    how.body = typeof change === "string" ? change : JSON.stringify(change);
    how.headers["Content-Type"] = type;
    how.headers["Idempotency-Key"] = newKey();
  }
  for (let tries = 1; ; tries++) {
    try {
      const response = await request(path, { ...how, signal: AbortSignal.timeout(15000) });
      return await response.json().catch(() => ({}));
    } catch (error) {
      if (change === undefined || (error.status && ![502, 503, 504].includes(error.status)) || tries === mostTries) throw error;
      await new Promise((later) => setTimeout(later, 500));
    }
  }
}

const at = (...parts) => "/admin/v1/" + parts.map(encodeURIComponent).join("/");

// Signing in.

function askWho(message) {
  $("sign-in").hidden = false;
  $("sign-out").hidden = true;
  health("bad", "Not signed in");
  if (message) say(message, true);
  $("token").focus();
}

$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(tokenName, $("token").value.trim());
  $("token").value = "";
  $("sign-in").hidden = true;
  say("");
  look();
});

$("sign-out").addEventListener("click", () => {
  sessionStorage.removeItem(tokenName);
  location.reload();
});

function failed(error) {
  if (error.status === 401) {
    const had = sessionStorage.getItem(tokenName);
    sessionStorage.removeItem(tokenName);
    askWho(had ? error.message : "");
  } else {
    say(error.message, true);
  }
}

// Changes are asked about first.

const stockAmount = { label: "Units to add (below 0 takes free ones away)", min: -1000000000, max: 1000000000, value: "" };

// confirmChange gives what is to be sent, or null. units asks for a number of
// them, or of what its label says ({ label, min, max, value }); choice ({ name, label, options: [[value, text]], chosen }) for one of a list.
function confirmChange({ title, text, yes, units, choice }) {
  const dialog = $("ask");
  setText($("ask-title"), title);
  setText($("ask-text"), text);
  setText($("ask-yes"), yes);
  $("ask-note").value = "";
  const amount = typeof units === "object" ? units : stockAmount;
  setText($("ask-units-label"), amount.label);
  $("ask-units").min = amount.min;
  $("ask-units").max = amount.max;
  $("ask-units").value = amount.value;
  $("ask-units").required = Boolean(units);
  $("ask-units-line").hidden = !units;
  $("ask-choice-line").hidden = !choice;
  if (choice) {
    setText($("ask-choice-label"), choice.label);
    $("ask-choice").replaceChildren(...choice.options.map(([value, name]) => make("option", { value }, name)));
    $("ask-choice").value = choice.chosen;
  }
  dialog.returnValue = "no";
  dialog.showModal(); // Escape, or Leave it, is a no; Enter a yes
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") return resolve(null);
      const change = {};
      const note = $("ask-note").value.trim();
      if (note) change.note = note;
      if (units) change.units = Number($("ask-units").value);
      if (choice) change[choice.name] = $("ask-choice").value;
      resolve(change);
    }, { once: true });
  });
}

$("ask-no").addEventListener("click", () => $("ask").close("no"));
// The Enter that opened the question must not answer it, however long it is held down.
$("ask").addEventListener("keydown", (event) => {
  if (event.repeat && event.key === "Enter") event.preventDefault();
});

// change asks first; also is what is sent beside what was answered.
async function change(question, path, done, also = {}) {
  const answered = await confirmChange(question);
  if (answered === null) return;
  const body = { ...answered, ...also };
  try {
    await ask(path, body);
    say(done);
    await look();
  } catch (error) {
    failed(error);
  }
}

// Sessions.

const actions = {
  publish: { when: (s) => s.state === "draft", text: "It opens by itself at its start." },
  pause: { when: (s) => !s.paused && (s.state === "published" || s.state === "open"), text: "Grabs are told that it is not on sale just now. What is held may still be paid." },
  resume: { when: (s) => s.paused && (s.state === "published" || s.state === "open"), text: "Grabs are taken again." },
  end: { when: (s) => s.state !== "ended" && s.state !== "settled", text: "This can't be undone. What is held may still be paid.", grave: true },
  settle: { when: (s) => s.state === "ended", text: "Its orders don't change any more, and leave memory for the ledger, where they are found as before; money that still comes for one goes back.", grave: true },
};

const sessionStates = new Map(); // by session id

const cards = new Map(); // by session id

function newCard(id) {
  const card = {
    dot: make("span"), name: make("bdi"), state: make("span", { className: "state" }), when: make("span", { className: "hint" }),
    rules: make("p", { className: "hint" }), findings: make("p", { className: "alarms", hidden: true }), buttons: {}, rows: new Map(), body: make("tbody"),
  };
  const buttons = make("div", { className: "buttons" });
  for (const [name, action] of Object.entries(actions)) {
    const button = make("button", { type: "button", className: action.grave ? "grave" : "" }, name[0].toUpperCase() + name.slice(1));
    button.setAttribute("aria-label", `${button.textContent} session ${id}`);
    button.addEventListener("click", () => change(
      { title: `${button.textContent} session ${id}?`, text: action.text, yes: button.textContent },
      at("sessions", id, name), `Session ${id}: ${name} done.`));
    card.buttons[name] = button;
    buttons.append(button);
  }
  const heads = [["SKU"], ["State"], ["Price", 1], ["Sold"], ["Stock", 1], ["Available", 1], ["Held", 1], ["Paid", 1], ["Waitlisted", 1], ["Shoppers", 1]];
  const head = make("tr", {}, ...heads.map(([text, right]) => make("th", { scope: "col", className: right ? "number" : "" }, text)),
    make("th", { scope: "col" }, make("span", { className: "unseen" }, "Actions")));
  card.root = make("article", { className: "card", "aria-label": `Session ${id}` },
    make("div", { className: "card-head" }, make("h3", {}, id, card.dot, card.name), card.state, card.when, buttons), card.rules, card.findings,
    make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": `Listings of ${id}` },
      make("table", {}, make("thead", {}, head), card.body)));
  return card;
}

function newRow(session, sku) {
  const cell = (className = "") => make("td", { className });
  const row = { state: make("span", { className: "state" }), price: cell("number"), sold: make("meter", { min: 0 }), counts: {} };
  const button = make("button", { type: "button" }, "Add stock");
  button.setAttribute("aria-label", `Add stock to ${sku} in ${session}`);
  button.addEventListener("click", () => change(
    { title: `Add stock to ${sku}?`, text: `In session ${session}.`, yes: "Add", units: true },
    at("sessions", session, "skus", sku, "stock"), `Stock of ${sku} changed.`));
  row.button = button;
  row.name = make("th", { scope: "row", className: "long" }, sku);
  row.root = make("tr", {}, row.name, make("td", {}, row.state), row.price, make("td", {}, row.sold));
  for (const name of ["stock", "available", "held", "paid", "waitlisted", "shoppers"]) {
    row.counts[name] = cell("number");
    row.root.append(row.counts[name]);
  }
  row.root.append(make("td", {}, button));
  return row;
}

function showSession(session) {
  let card = cards.get(session.id);
  if (!card) cards.set(session.id, card = newCard(session.id));
  sessionStates.set(session.id, session.state);
  const over = session.state === "ended" || session.state === "settled";
  const place = over ? $("ended") : $("sessions");
  if (card.root.parentNode !== place) place.append(card.root);
  const name = session.sale_name.en || Object.values(session.sale_name)[0];
  setText(card.dot, name ? " · " : "");
  setText(card.name, name || "");
  setState(card.state, session.paused && !over ? "paused" : session.state);
  setText(card.when, `${moment(session.start)} to ${moment(session.end)}`);
  setText(card.rules, `Pay within ${session.pay_within_seconds} s, ${session.pay_grace_seconds} s of grace. ` +
    `Limit per shopper: ${session.limit_per_shopper || "none"}. Quota: ${session.admission_multiple ? `${session.admission_multiple} × stock` : "none"}.`);
  setText(card.findings, (session.findings || []).map((f) => `${f.path}: ${f.message}.`).join(" "));
  card.findings.hidden = !session.findings;
  for (const [action, button] of Object.entries(card.buttons)) button.hidden = !actions[action].when(session);
  for (const listing of session.listings) {
    let row = card.rows.get(listing.sku);
    if (!row) {
      card.rows.set(listing.sku, row = newRow(session.id, listing.sku));
      card.body.append(row.root);
    }
    row.name.title = Object.values(listing.name).join(" · ");
    setState(row.state, listing.state);
    setText(row.price, money(listing.price, listing.currency));
    row.button.hidden = over;
    const counts = listing.counts;
    if (!counts) continue;
    for (const [name, cell] of Object.entries(row.counts)) setText(cell, number(counts[name]));
    row.sold.max = Math.max(counts.stock, 1);
    row.sold.value = counts.held + counts.paid;
    row.sold.title = `${number(counts.held)} held and ${number(counts.paid)} paid of ${number(counts.stock)}`;
    row.sold.setAttribute("aria-label", row.sold.title);
  }
}

async function lookAtSessions() {
  const { sessions } = await ask(at("sessions"));
  $("no-sessions").hidden = sessions.length > 0;
  const over = (s) => s.state === "ended" || s.state === "settled";
  $("ended-group").hidden = !sessions.some(over);
  // Counts of what has ended change only by late payments: asked for when shown.
  const live = sessions.filter((s) => !over(s) || $("ended-group").open);
  sessions.filter((s) => !live.includes(s)).forEach(showSession);
  for (const detailed of await Promise.all(live.map((s) => ask(at("sessions", s.id))))) showSession(detailed);
}

$("ended-group").addEventListener("toggle", () => look());

// Nodes.

function health(is, text) {
  $("health").dataset.is = is;
  setText($("health"), text);
}

const nodes = new Map(); // by id
let cluster = null; // the last look

const zoneAckStates = {
  off: "a quorum is waited for, in whatever zones",
  holding: "another zone has all that shoppers were told",
  degraded: "another zone lags: what is told now is in one zone only",
  blocked: "no other zone answers: nothing is granted",
  unknown: "not known yet what another zone has",
  single_zone: "all voters are of one zone",
};

const zoneAckModes = [
  ["require", "require: nothing is told that another zone does not have"],
  ["prefer", "prefer: without another zone it goes on, with an alarm"],
  ["off", "off: a quorum is enough"],
];

$("transfer").addEventListener("click", () => change(
  { title: "Hand leadership over?", text: "Grabs wait for a moment, and none fails.", yes: "Hand over",
    choice: { name: "to", label: "Who is to lead", chosen: "", options: [["", "the best one"],
      ...cluster.nodes.filter((n) => n.kind === "voter" && n.reachable && n.id !== cluster.leader).map((n) => [n.id, `${n.id} (zone ${n.zone})`])] } },
  at("cluster", "transfer"), "Leadership was handed over.", { from: cluster.leader }));
$("snapshot").addEventListener("click", () => change(
  { title: `Take a snapshot on ${cluster.answered_by || "this node"}?`, text: "It sells on meanwhile.", yes: "Take it" },
  at("cluster", "snapshot"), "The snapshot is taken."));
$("set-zone-ack").addEventListener("click", () => change(
  { title: "Change zone ack?", text: "It says what is waited for before a shopper hears anything. Less than require puts what is told at risk when a zone is lost.", yes: "Change",
    choice: { name: "mode", label: "Mode", chosen: cluster.zone_ack.mode, options: zoneAckModes } },
  at("cluster", "zone-ack"), "Zone ack is changed."));

function newNodeRow(id) {
  const cell = (className = "") => make("td", { className });
  const row = { zone: cell(), kind: cell(), role: make("span", { className: "state" }), applied: cell("number"), behind: cell("number"),
    durable: cell("number"), notes: cell("wrap"), button: make("button", { type: "button" }) };
  row.button.addEventListener("click", () => {
    const drained = row.drained;
    change(drained
      ? { title: `Let shoppers come to ${id} again?`, text: "Load balancers see it at /readyz.", yes: "Let them come" }
      : { title: `Drain ${id}?`, text: "Load balancers send it nobody new, and leadership moves elsewhere. Who is inside is served.", yes: "Drain" },
    at("cluster", drained ? "undrain" : "drain"), drained ? `${id} takes shoppers again.` : `${id} takes no new shoppers.`, { node: id });
  });
  row.root = make("tr", {}, row.zone, make("th", { scope: "row" }, id), row.kind, make("td", {}, row.role), row.applied, row.behind, row.durable,
    row.notes, make("td", {}, row.button));
  return row;
}

function notesOf(node) {
  const notes = [];
  if (node.joining) notes.push("joining");
  if (node.drained) notes.push("drained");
  if (node.preferred) notes.push("preferred zone");
  if (node.generation && node.generation !== cluster.generation) notes.push(`generation ${node.generation}`);
  if (node.reachable && Math.abs(node.clock_offset_ms) >= 50) notes.push(`clock ${node.clock_offset_ms > 0 ? "+" : ""}${Math.round(node.clock_offset_ms)} ms`);
  if (node.error) notes.push(node.error);
  return notes.join("; ");
}

function showAlarms(alarms) {
  const list = $("alarms");
  if (list.dataset.shown === JSON.stringify(alarms)) return; // said once, and not again each time
  list.dataset.shown = JSON.stringify(alarms);
  list.replaceChildren(...alarms.map((a) => make("li", { className: a.severity, title: a.since ? `since ${a.since}` : "" },
    make("a", { href: `/runbook#${a.name}`, title: "What it means, and what to do" }, a.name.replaceAll("_", " ")), ": ",
    `${a.node ? `Node ${a.node}: ` : ""}${a.detail}${a.advice ? ` ${a.advice}` : ""}`)));
  list.hidden = alarms.length === 0;
}

async function lookAtNodes() {
  cluster = await ask(at("cluster"));
  const several = cluster.nodes.length > 1;
  const lost = cluster.nodes.filter((n) => !n.reachable).length;
  if (!cluster.leader) health("bad", "No leader");
  else if (lost) health("bad", `Leader ${cluster.leader}; ${lost} of ${cluster.nodes.length} nodes unreachable`);
  else if (cluster.alarms.length) health("bad", `Leader ${cluster.leader}; see the alarms`);
  else health("good", `Leader ${cluster.leader}`);
  showAlarms(cluster.alarms);
  setText($("group"), `Term ${cluster.term}, epoch ${cluster.epoch}${cluster.generation ? `, generation ${cluster.generation}` : ""}` +
    `${cluster.hash ? `, state ${cluster.hash}` : ""}${several && cluster.answered_by ? `; as ${cluster.answered_by} sees it` : ""}`);
  $("cluster").hidden = !several;
  setText($("cluster-name"), `Cluster ${cluster.cluster || ""}`);
  const { mode, state, zone_index: index } = cluster.zone_ack;
  setText($("zone-ack"), mode === state ? `zone ack ${mode}` : `zone ack ${mode}: ${state.replaceAll("_", " ")}`);
  $("zone-ack").dataset.is = state;
  setText($("zone-ack-index"), (zoneAckStates[state] || "") + (index && state !== "off" ? `; up to log index ${number(index)}` : ""));
  const sorted = [...cluster.nodes].sort((a, b) => a.zone.localeCompare(b.zone) || a.id.localeCompare(b.id));
  const place = $("node-rows");
  sorted.forEach((node, i) => {
    let row = nodes.get(node.id);
    if (!row) nodes.set(node.id, row = newNodeRow(node.id));
    if (place.children[i] !== row.root) place.insertBefore(row.root, place.children[i] || null);
    const first = i === 0 || sorted[i - 1].zone !== node.zone;
    row.root.className = first && i > 0 ? "zone-begins" : "";
    setText(row.zone, node.zone);
    setText(row.kind, node.kind || "");
    setState(row.role, node.reachable ? node.role : "unreachable");
    const known = node.reachable || node.applied_index > 0;
    setText(row.applied, known ? number(node.applied_index) : "");
    setText(row.behind, known ? number(node.lag) : "");
    setText(row.durable, node.durable_index ? number(node.durable_index) : "");
    setText(row.notes, notesOf(node));
    row.drained = node.drained;
    row.button.hidden = !several || node.kind === "witness";
    setText(row.button, node.drained ? "Undrain" : "Drain");
    row.button.setAttribute("aria-label", `${row.button.textContent} ${node.id}`);
  });
  for (const [id, row] of nodes) {
    if (!cluster.nodes.some((n) => n.id === id)) {
      row.root.remove();
      nodes.delete(id);
    }
  }
}

// Refusals.

const countsTo = 65535; // a journal counts no further

function refusalRow(refusal) {
  const told = make("span", { className: "state" });
  setState(told, refusal.code);
  return make("tr", {}, ...[moment(refusal.last), moment(refusal.first)].map((text) => make("td", {}, text)),
    make("td", { className: "number" }, number(refusal.count) + (refusal.count >= countsTo ? "+" : "")),
    ...[refusal.session, refusal.sku].map((text) => make("td", {}, text)), make("td", {}, told),
    ...[refusal.reason.replaceAll("_", " "), refusal.node].map((text) => make("td", {}, text)));
}

$("refusal-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const query = new URLSearchParams([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
  try {
    const found = await ask(`${at("refusals")}?${query}`);
    $("refusal-rows").replaceChildren(...found.refusals.map(refusalRow));
    $("refusal-table").hidden = found.refusals.length === 0;
    const since = found.nodes.filter((n) => n.since).map((n) => `${n.node} since ${moment(n.since)}`).join(", ");
    setText($("refusal-summary"), `${found.refusals.length === 0 ? `No refusal of ${found.shopper} is remembered. ` : ""}${found.note}${since ? ` Noted: ${since}.` : ""}`);
  } catch (error) {
    failed(error);
  }
});

// Looking.

let looking = false;
let looked = false; // once, with success

// whenIn has look called once the operations API has answered.
const whenIn = (look) => (looked ? look() : document.addEventListener("in", () => look(), { once: true }));

async function look() {
  if (looking || !$("sign-in").hidden) return;
  looking = true;
  try {
    await Promise.all([lookAtNodes(), lookAtSessions()]);
    $("sign-out").hidden = !sessionStorage.getItem(tokenName);
    if ($("notice").dataset.lost) say("");
    if (!looked) {
      looked = true;
      document.dispatchEvent(new Event("in"));
    }
  } catch (error) {
    if (error instanceof Refused) {
      failed(error);
    } else {
      health("bad", "No answer from this node");
      say("This node does not answer. Trying again.", true);
      $("notice").dataset.lost = "yes";
    }
  } finally {
    looking = false;
  }
}

setText($("zone-hint"), `Times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone || "this browser"}.`);
setInterval(() => {
  if (!document.hidden) look();
}, everyMS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
look();

export { $, ask, at, confirmChange, failed, make, moment, money, number, refusedBy, request, say, sessionStates, setState, setText, whenIn };
