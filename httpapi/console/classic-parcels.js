// The panel for what becomes of a session's paid orders: where they are, the second
// look, exports for the warehouse, and the parcels that it tells of. It stands on
// console.js, orders.js and statements.js.

import { $, ask, at, confirmChange, failed, make, number, request, say, setText } from "./classic-console.js";
import { cell, orderLink } from "./classic-orders.js";
import { download } from "./classic-statements.js";

// What of a session's orders is told, and what to do about it.
const places = [["unreviewed", "Paid, not looked at"], ["held", "Held: decide about each by hand"], ["no_receiver", "Passed, without receiver"],
  ["passed", "Passed, to be exported"], ["exported", "Out at the warehouse"], ["shipped", "Shipped"], ["received", "Received"], ["completed", "Completed"],
  ["rejected", "Rejected"], ["refund_due", "To be paid back"], ["refunded", "Paid back"]];

const session = () => $("p-session").value.trim();
const of = (...more) => at("sessions", session(), ...more);

function exportRow(x) {
  const button = make("button", { type: "button" }, "Download");
  button.setAttribute("aria-label", `Download export ${x.export} as CSV`);
  button.addEventListener("click", () => download(of("exports", x.export), `${session()}-export-${x.export}.csv`).catch(failed));
  return make("tr", {}, make("th", { scope: "row" }, number(x.export)), cell(number(x.orders), "number"), cell(number(x.waiting), "number"), make("td", {}, button));
}

async function showParcels() {
  const told = await ask(of("shipping"));
  setText($("parcel-summary"), `The session is ${told.state}.`);
  $("parcel-rows").replaceChildren(...places.filter(([name]) => told[name] > 0).map(([name, says]) => make("tr", {}, make("th", { scope: "row" }, says), cell(number(told[name]), "number"))));
  $("parcel-table").hidden = $("parcel-rows").children.length === 0;
  $("export-rows").replaceChildren(...told.exports.map(exportRow));
  $("export-table").hidden = told.exports.length === 0;
  $("parcel-doings").hidden = told.state !== "ended";
}

$("parcel-form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("review-table").hidden = true;
  showParcels().catch(failed);
});

// verdictButton decides about a held order by hand.
function verdictButton(order, verdict, says) {
  const button = make("button", { type: "button", className: verdict === "reject" ? "grave" : "" }, says);
  button.setAttribute("aria-label", `${says} order ${order.order_no}`);
  button.addEventListener("click", async () => {
    const text = verdict === "reject" ? "The money becomes due back, and the units are free." : "It goes out with the next export.";
    const answered = await confirmChange({ title: `${says} order ${order.order_no}?`, text, yes: says });
    if (answered === null) return;
    try {
      await ask(of("review"), { orders: [order.order_no], verdict, ...answered });
      button.closest("tr").remove();
      await showParcels();
    } catch (error) {
      failed(error);
    }
  });
  return button;
}

function reviewRow(order) {
  const last = make("td", {}, make("div", { className: "buttons" }));
  if (order.verdict === "hold") last.firstChild.append(verdictButton(order, "pass", "Pass"), verdictButton(order, "reject", "Reject"));
  return make("tr", {}, cell(orderLink(order.order_no)), cell(order.shopper, "long"), cell(order.verdict), cell(order.why, "wrap"), last);
}

const counted = (r) => `${number(r.looked)} looked at: ${number(r.passed)} pass, ${number(r.held)} held, ${number(r.rejected)} rejected`;

$("parcel-review").addEventListener("click", async () => {
  try {
    const dry = await ask(of("review"), { again: true, dry_run: true });
    const answered = await confirmChange({ title: `Take the second look at ${session()}?`, text: `${counted(dry)}. The money of rejected orders goes back.`, yes: "Take it" });
    if (answered === null) return;
    const told = await ask(of("review"), { again: true, ...answered });
    say(`${counted(told)}.`);
    $("review-rows").replaceChildren(...(told.orders || []).map(reviewRow));
    $("review-table").hidden = !told.orders;
    await showParcels();
  } catch (error) {
    failed(error);
  }
});

$("parcel-export").addEventListener("click", async () => {
  const answered = await confirmChange({ title: `Export what has passed of ${session()}?`, text: "Those orders are out from then on, and in no later export. Shoppers can't change their addresses any more.", yes: "Export" });
  if (answered === null) return;
  try {
    const told = await ask(of("exports"), answered);
    say(told.export ? `Export ${number(told.export)} has ${number(told.orders)} orders.` : "Nothing is left to go out.");
    await showParcels();
    if (told.export) await download(of("exports", told.export), `${session()}-export-${told.export}.csv`);
  } catch (error) {
    failed(error);
  }
});

$("parcel-file-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = $("p-file").files[0];
  try {
    const how = { method: "POST", body: file, headers: { Accept: "application/json", "Content-Type": /\.(ndjson|jsonl)$/.test(file.name) ? "application/x-ndjson" : "text/csv" } };
    const told = await (await request(of($("p-what").value), how)).json();
    say(`${number(told.rows)} rows: ${number(told.changed)} are news.`);
    await showParcels();
  } catch (error) {
    failed(error);
  }
});
