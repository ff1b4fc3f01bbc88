// The panels for orders and what became of their money: orders, refunds due, and
// the trail of events. It stands on console.js.

import { $, ask, at, confirmChange, failed, make, moment, money, number, request, say, sessionStates, setState, setText, whenIn } from "./classic-console.js";

const refundsEveryMS = 10000;

const cell = (text, className = "") => make("td", { className }, text ?? "");
const codeCell = (text, className = "long") => cell(make("code", {}, text ?? ""), className);
const words = (text) => (text || "").replaceAll("_", " ");

// facts gives a list of what there is of names and values.
function facts(...pairs) {
  return make("dl", { className: "facts" }, ...pairs.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

// instant turns what a datetime-local field holds into RFC 3339; "" is "".
const instant = (local) => (local ? new Date(local).toISOString() : "");

// Orders.

let shownFilter = new URLSearchParams();
let cursor = "";

// change sends what an operator decided of an order, and shows what became of it.
async function change(order, row, verb, body, done) {
  try {
    await ask(at("orders", order.order_no, verb), body);
    say(done);
  } catch (error) {
    failed(error);
  }
  const changed = await ask(at("orders", order.order_no)).catch(() => order);
  const fresh = orderRow(changed);
  row.next?.remove();
  row.replaceWith(fresh);
  fresh.querySelector("button").focus();
}

function orderButton(order, text, className, pressed) {
  const button = make("button", { type: "button", className }, text);
  button.setAttribute("aria-label", `${text} order ${order.order_no}`);
  button.addEventListener("click", () => pressed(button));
  return button;
}

async function extend(order, row) {
  const from = Math.max(Date.now(), new Date(order.pay_by).getTime());
  const answered = await confirmChange({ title: `Extend order ${order.order_no}?`, text: `It is held until ${moment(order.pay_by)}. The shopper gets a new token to pay with.`, yes: "Extend",
    units: { label: "Minutes more to pay", min: 1, max: 10080, value: 15 } });
  if (answered === null) return;
  const payBy = new Date(from + answered.units * 60000).toISOString();
  await change(order, row, "extend", { pay_by: payBy, note: answered.note || "" }, `Order ${order.order_no} may be paid until ${moment(payBy)}.`);
}

async function voidOrder(order, row) {
  const text = order.state === "paid" ? "It is paid: the money becomes due back, and the units are on sale again." : "The units are on sale again.";
  const answered = await confirmChange({ title: `Void order ${order.order_no}?`, text, yes: "Void" });
  if (answered !== null) await change(order, row, "void", answered, `Order ${order.order_no} is voided.`);
}

// toggleDetails shows or hides, below an order, all that is known of it now.
async function toggleDetails(order, row, button) {
  if (row.next) {
    row.next.remove();
    row.next = null;
    button.setAttribute("aria-expanded", "false");
    return;
  }
  const place = make("td", { colSpan: row.children.length });
  row.next = make("tr", { className: "details" }, place);
  row.after(row.next);
  button.setAttribute("aria-expanded", "true");
  try {
    const [now, { events }] = await Promise.all([ask(at("orders", order.order_no)), ask(`${at("audit")}?${new URLSearchParams({ order: order.order_no })}`)]);
    setState(row.state, now.state);
    place.append(facts(["Payment", now.payment_id], ["Transaction", now.transaction_id], ["Changed", moment(now.changed_at)], ["Why", words(now.why)],
      ["Position", now.position && number(now.position)], ["Second look", now.review && [now.review, now.review_why].filter(Boolean).join(": ")],
      ["Export", now.export && number(now.export)], ["Parcel", now.tracking && `${now.carrier} ${now.tracking}`], ["Shipped", now.shipped_at && moment(now.shipped_at)],
      ["Received", now.received_at && moment(now.received_at)], ["Completed", now.completed_at && moment(now.completed_at)], ["Receiver", now.receiver ? [now.receiver.name, now.receiver.phone, now.receiver.street, now.receiver.district,
        now.receiver.city, now.receiver.province, now.receiver.post_code, now.receiver.country].filter(Boolean).join(", ") : now.receiver_state]),
    events.length > 0 ? make("ol", {}, ...events.map((e) => make("li", {}, `${moment(e.time)}: ${eventWords(e)}`))) : make("p", { className: "hint" }, "No event of it is kept."));
  } catch (error) {
    failed(error);
  }
}

function orderRow(order) {
  const state = make("span", { className: "state" });
  setState(state, order.state);
  const last = make("td", {}, make("div", { className: "buttons" }));
  const row = make("tr", {}, make("th", { scope: "row" }, make("code", {}, order.order_no)), cell(order.shopper, "long"), cell(order.session, "long"), cell(order.sku, "long"),
    cell(number(order.quantity), "number"), cell(money(order.amount, order.currency), "number"), make("td", {}, state),
    cell(moment(order.granted_at), "when"), cell(order.pay_by ? moment(order.pay_by) : "", "when"), last);
  row.state = state;
  const details = orderButton(order, "Details", "", (button) => toggleDetails(order, row, button));
  details.setAttribute("aria-expanded", "false");
  last.firstChild.append(details);
  if (sessionStates.get(order.session) === "settled") return row; // what is settled stays as it is
  if (order.state === "held") last.firstChild.append(orderButton(order, "Extend", "", () => extend(order, row)));
  if (order.state === "held" || order.state === "paid") last.firstChild.append(orderButton(order, "Void", "grave", () => voidOrder(order, row)));
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
    const found = $("order-rows").querySelectorAll(":scope > tr:not(.details)").length;
    setText($("order-summary"), found === 0 ? page.lost?.says || "No order fits." : `${number(found)} shown${cursor ? ", there are more" : ""}.`);
    $("order-table").hidden = found === 0;
    $("more-orders").hidden = !cursor;
  } catch (error) {
    failed(error);
  }
}

function fromForm(form) {
  return [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
}

$("order-form").addEventListener("submit", (event) => {
  event.preventDefault();
  shownFilter = new URLSearchParams(fromForm(event.target).map(([name, value]) => [name, name === "from" || name === "to" ? instant(value) : value]));
  findOrders(false);
});
$("more-orders").addEventListener("click", () => findOrders(true));

// orderLink is an order's number that leads to the order.
function orderLink(orderNo) {
  if (!orderNo) return "";
  const button = make("button", { type: "button", className: "link" }, make("code", {}, orderNo));
  button.setAttribute("aria-label", `Find order ${orderNo}`);
  button.addEventListener("click", () => {
    $("order-form").reset();
    $("f-order").value = orderNo;
    $("order-form").requestSubmit();
    $("orders").scrollIntoView();
    $("f-order").focus({ preventScroll: true });
  });
  return button;
}

// Refunds due.

let refundCursor = "";
let refundsShown = "";

function refundRow(refund) {
  return make("tr", {}, cell(number(refund.refund_no), "number"), cell(moment(refund.due_at), "when"), make("th", { scope: "row" }, orderLink(refund.order_no)), codeCell(refund.payment_id),
    cell(money(refund.amount, refund.currency), "number"), cell(words(refund.reason)), cell(refund.tries ? `${number(refund.tries)}, next ${moment(refund.next_try_at)}: ${refund.last_error}` : "", "wrap"), cell(refund.paid_at ? moment(refund.paid_at) : "", "when"), codeCell(refund.transaction_id));
}

async function lookAtRefunds(more) {
  const page = await ask(`${at("refunds")}?limit=100${more ? `&cursor=${encodeURIComponent(refundCursor)}` : ""}`);
  const same = JSON.stringify(page); // nothing jumps while somebody reads
  if (!more && same === refundsShown) return;
  refundsShown = same;
  if (!more) $("refund-rows").replaceChildren();
  $("refund-rows").append(...page.refunds.map(refundRow));
  refundCursor = page.cursor || "";
  const due = $("refund-rows").children.length;
  setText($("refund-summary"), due === 0 ? "None is due." : `${number(due)} shown, the oldest first${refundCursor ? "; there are more" : ""}.${page.asking ? "" : " This node does not ask the cashier: the one that leads knows of tries, where a cashier_url is set."}`);
  $("refund-table").hidden = due === 0;
  $("more-refunds").hidden = !refundCursor;
}

$("refund-list").addEventListener("click", () => lookAtRefunds(false).catch(failed));
$("more-refunds").addEventListener("click", () => lookAtRefunds(true).catch(failed));
whenIn(() => {
  lookAtRefunds(false).catch(failed);
  // What goes wrong is told by the sessions' own looking. Who has asked for more reads.
  setInterval(() => {
    if (!document.hidden && $("sign-in").hidden && $("refund-rows").children.length <= 100) lookAtRefunds(false).catch(() => {});
  }, refundsEveryMS);
});

// The trail of events.

let trailQuery = null; // of the page to come; null for the latest
const latest = 100;

// amountOf is what an event says of money or units.
function amountOf(e) {
  if (e.amount !== undefined) return money(e.amount, e.currency);
  return e.units ? `${number(e.units)} units` : "";
}

// moreOf is what an event says in words, or has no column of its own.
const moreOf = (e) => [e.note && `“${e.note}”`, e.detail, e.pay_by && (e.kind === "hold_placed" || e.kind === "hold_extended") && `pay by ${moment(e.pay_by)}`, e.limit && `limit ${number(e.limit)}`,
  e.quantity > 1 && `${number(e.quantity)} ${e.kind === "session_settled" ? "orders" : "units"}`, e.missing_from && `lost to this node from ${e.missing_from} on`].filter(Boolean).join("; ");

// whatOf is what an event is, why, and what the order is then.
const whatOf = (e) => [words(e.kind), e.reason && words(e.reason), e.state && `now ${words(e.state)}`].filter(Boolean).join(", ");

// eventWords tells an event in a line.
const eventWords = (e) => [whatOf(e), amountOf(e), e.operator && `by ${e.operator}`, moreOf(e)].filter(Boolean).join("; ");

function trailRow(e) {
  const when = cell(moment(e.time), "when");
  when.title = `Position ${e.index}.${e.n}`;
  return make("tr", {}, when, make("th", { scope: "row", className: "long" }, whatOf(e)), cell([e.session, e.sku].filter(Boolean).join(" / "), "long"), cell(orderLink(e.order_no)),
    cell(e.shopper, "long"), cell(amountOf(e), "number"), cell(e.operator, "long"), cell(moreOf(e), "wrap"));
}

async function lookAtTrail(more) {
  let events;
  let next = "";
  if (trailQuery === null) {
    const response = await request(`${at("events")}?last=${latest}&follow=false`, { signal: AbortSignal.timeout(15000) });
    events = (await response.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line)).filter((e) => !e.heartbeat).reverse();
  } else {
    ({ events, next = "" } = await ask(`${at("audit")}?${trailQuery}`));
    trailQuery.set("from", next);
  }
  if (!more) $("trail-rows").replaceChildren();
  $("trail-rows").append(...events.map(trailRow));
  const shown = $("trail-rows").children.length;
  setText($("trail-summary"), shown === 0 && !next ? "No event of it is kept." : `${number(shown)} shown, the ${trailQuery === null ? "newest" : "oldest"} first${next ? "; there may be more" : ""}.`);
  $("trail-table").hidden = shown === 0;
  $("more-trail").hidden = !next;
}

$("t-by").addEventListener("change", () => {
  $("t-who").disabled = !$("t-by").value;
  $("t-who").required = !$("t-who").disabled;
});
$("trail-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const by = $("t-by").value;
  trailQuery = by ? new URLSearchParams({ [by]: $("t-who").value.trim() }) : null;
  lookAtTrail(false).catch(failed);
});
$("more-trail").addEventListener("click", () => lookAtTrail(true).catch(failed));

export { cell, codeCell, facts, instant, orderLink, words };
