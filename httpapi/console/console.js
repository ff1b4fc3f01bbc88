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
  notice.hidden = text === "";
  notice.dataset.is = bad ? "bad" : "good";
  setText(notice, text);
}

// The API.

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, change) {
  const headers = { Accept: "application/json" };
  const token = sessionStorage.getItem(tokenName);
  if (token) headers.Authorization = `Bearer ${token}`;
  const request = { headers, cache: "no-store", signal: AbortSignal.timeout(15000) };
  if (change !== undefined) {
    request.method = "POST";
    request.body = JSON.stringify(change);
    headers["Content-Type"] = "application/json";
  }
  const response = await fetch(path, request);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Refused(response.status, [answer.title, answer.detail].filter(Boolean).join(". ") || `Status ${response.status}`);
  }
  return answer;
}

const at = (...parts) => "/admin/v1/" + parts.map(encodeURIComponent).join("/");

// Signing in.

function askWho(message) {
  $("sign-in").hidden = false;
  $("sign-out").hidden = true;
  health("bad", "Not signed in");
  if (message) say(message, true);
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

function confirmChange({ title, text, yes, units }) {
  const dialog = $("ask");
  setText($("ask-title"), title);
  setText($("ask-text"), text);
  setText($("ask-yes"), yes);
  $("ask-note").value = "";
  $("ask-units").value = "";
  $("ask-units").required = Boolean(units);
  $("ask-units-line").hidden = !units;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") return resolve(null);
      const change = {};
      const note = $("ask-note").value.trim();
      if (note) change.note = note;
      if (units) change.units = Number($("ask-units").value);
      resolve(change);
    }, { once: true });
  });
}

async function change(question, path, done) {
  const body = await confirmChange(question);
  if (body === null) return;
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
};

const cards = new Map(); // by session id

function newCard(id) {
  const card = {
    name: make("h3"), state: make("span", { className: "state" }), when: make("span", { className: "hint" }),
    rules: make("p", { className: "hint" }), buttons: {}, rows: new Map(), body: make("tbody"),
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
    make("div", { className: "card-head" }, card.name, card.state, card.when, buttons), card.rules,
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
  row.name = make("th", { scope: "row" }, sku);
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
  const over = session.state === "ended" || session.state === "settled";
  const place = over ? $("ended") : $("sessions");
  if (card.root.parentNode !== place) place.append(card.root);
  const name = session.sale_name.en || Object.values(session.sale_name)[0];
  setText(card.name, name ? `${session.id} · ${name}` : session.id);
  setState(card.state, session.paused && !over ? "paused" : session.state);
  setText(card.when, `${moment(session.start)} to ${moment(session.end)}`);
  setText(card.rules, `Pay within ${session.pay_within_seconds} s, ${session.pay_grace_seconds} s of grace. ` +
    `Limit per shopper: ${session.limit_per_shopper || "none"}. Quota: ${session.admission_multiple ? `${session.admission_multiple} × stock` : "none"}.`);
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

async function lookAtNodes() {
  const group = await ask(at("cluster"));
  const lost = group.nodes.filter((n) => !n.reachable).length;
  if (!group.leader) health("bad", "No leader");
  else if (lost) health("bad", `Leader ${group.leader}; ${lost} of ${group.nodes.length} nodes unreachable`);
  else health("good", `Leader ${group.leader}`);
  setText($("group"), `Term ${group.term}, epoch ${group.epoch}${group.hash ? `, state ${group.hash}` : ""}`);
  const last = Math.max(0, ...group.nodes.map((n) => n.last_index));
  for (const node of group.nodes) {
    let row = nodes.get(node.id);
    if (!row) {
      row = { zone: make("td"), role: make("span", { className: "state" }), reachable: make("td"), applied: make("td", { className: "number" }), behind: make("td", { className: "number" }) };
      row.root = make("tr", {}, make("th", { scope: "row" }, node.id), row.zone, make("td", {}, row.role), row.reachable, row.applied, row.behind);
      $("node-rows").append(row.root);
      nodes.set(node.id, row);
    }
    setText(row.zone, node.zone);
    setState(row.role, node.reachable ? node.role : "unreachable");
    setText(row.reachable, node.reachable ? "yes" : "no");
    setText(row.applied, number(node.applied_index));
    setText(row.behind, number(Math.max(0, last - node.applied_index)));
  }
  for (const [id, row] of nodes) {
    if (!group.nodes.some((n) => n.id === id)) {
      row.root.remove();
      nodes.delete(id);
    }
  }
}

// Orders.

let shownFilter = new URLSearchParams();
let cursor = "";

function orderRow(order) {
  const state = make("span", { className: "state" });
  setState(state, order.state);
  const cells = [make("th", { scope: "row" }, make("code", {}, order.order_no)), ...[order.shopper, order.session, order.sku].map((text) => make("td", {}, text)),
    make("td", { className: "number" }, number(order.quantity)), make("td", { className: "number" }, money(order.amount, order.currency)),
    make("td", {}, state), make("td", {}, moment(order.granted_at)), make("td", {}, moment(order.pay_by))];
  const last = make("td");
  if (order.state === "held" || order.state === "paid") {
    const button = make("button", { type: "button", className: "grave" }, "Void");
    button.setAttribute("aria-label", `Void order ${order.order_no}`);
    button.addEventListener("click", async () => {
      const text = order.state === "paid" ? "It is paid: the money becomes due back, and the units are on sale again." : "The units are on sale again.";
      await change({ title: `Void order ${order.order_no}?`, text, yes: "Void" }, at("orders", order.order_no, "void"), `Order ${order.order_no} is voided.`);
      try {
        row.replaceWith(orderRow(await ask(at("orders", order.order_no))));
      } catch (error) {
        failed(error);
      }
    });
    last.append(button);
  }
  const row = make("tr", {}, ...cells, last);
  return row;
}

async function findOrders(more) {
  const query = new URLSearchParams(shownFilter);
  if (more) query.set("cursor", cursor);
  try {
    const page = await ask(`${at("orders")}?${query}`);
    if (!more) $("order-rows").replaceChildren();
    $("order-rows").append(...page.orders.map(orderRow));
    cursor = page.cursor || "";
    const found = $("order-rows").children.length;
    setText($("order-summary"), found === 0 ? "No order fits." : `${number(found)} shown${cursor ? ", there are more" : ""}.`);
    $("order-table").hidden = found === 0;
    $("more-orders").hidden = !cursor;
  } catch (error) {
    failed(error);
  }
}

$("order-form").addEventListener("submit", (event) => {
  event.preventDefault();
  shownFilter = new URLSearchParams([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
  findOrders(false);
});
$("more-orders").addEventListener("click", () => findOrders(true));

// Looking.

let looking = false;

async function look() {
  if (looking || !$("sign-in").hidden) return;
  looking = true;
  try {
    await Promise.all([lookAtNodes(), lookAtSessions()]);
    $("sign-out").hidden = !sessionStorage.getItem(tokenName);
    if ($("notice").dataset.lost) {
      delete $("notice").dataset.lost;
      say("");
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

setInterval(() => {
  if (!document.hidden) look();
}, everyMS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
look();
