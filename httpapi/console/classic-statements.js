// The panel for the cashier's statements: reconcile one, look at the reports that
// are kept, and take them away. It stands on console.js and orders.js.

import { $, ask, at, confirmChange, failed, make, moment, money, number, refusedBy, request, say, setState, setText, whenIn } from "./classic-console.js";
import { cell, codeCell, facts, instant, orderLink, words } from "./classic-orders.js";

const mostFindings = 100; // that are shown of a report

// booked is what one side's book comes to, in every currency.
const booked = (report, side) => report.totals.map((t) => money(t[side].paid - t[side].refunded, t.currency)).join(", ");

// sums is what a tally comes to, in every currency.
const sums = (tally) => tally.money.map((m) => money(m.amount, m.currency)).join(", ");

const nameOf = (report) => report.statement.name || report.statement.sha256.slice(0, 12);

function openState(node, report) {
  setState(node, report.open_now > 0 ? `${number(report.open_now)} open` : "nothing open");
  node.dataset.is = report.open_now > 0 ? "degraded" : "holding";
}

// Downloads.

async function download(path, name) {
  const response = await request(path);
  const url = URL.createObjectURL(await response.blob());
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

// downloadButton takes a part of a report away; without a part, the whole as JSON.
function downloadButton(report, text, part) {
  const button = make("button", { type: "button" }, text);
  button.setAttribute("aria-label", `Download ${part || "all"} of report ${report.id} as ${part ? "CSV" : "JSON"}`);
  const query = part ? `?format=csv&part=${part}` : "";
  button.addEventListener("click", async () => {
    button.disabled = true;
    await download(at("reconciliations", report.id) + query, part ? `${report.id}-${part}.csv` : `${report.id}.json`).catch(failed);
    button.disabled = false;
  });
  return button;
}

// One report.

// setAsideButton has somebody say that, and how, they have seen to a difference.
function setAsideButton(report, finding) {
  const button = make("button", { type: "button" }, "Set aside");
  button.setAttribute("aria-label", `Set aside the difference ${finding.id}`);
  button.addEventListener("click", async () => {
    const answered = await confirmChange({ title: "Set this difference aside?", text: `${finding.says} It counts as open no more. Say in the note how it was seen to.`, yes: "Set aside" });
    if (answered === null) return;
    try {
      await ask(at("reconciliations", report.id, "set-aside"), { note: answered.note || "", differences: [finding.id] });
      say("The difference is set aside.");
      await Promise.all([showReport(report.id), lookAtReports()]);
    } catch (error) {
      failed(error);
    }
  });
  return button;
}

function findingRow(report, finding) {
  const sum = (amount) => (amount === undefined ? "" : money(amount, finding.currency));
  return make("tr", {}, cell(finding.line ? number(finding.line) : "", "number"), make("th", { scope: "row" }, words(finding.kind)), codeCell(finding.payment_id),
    cell(orderLink(finding.order_no)), cell(sum(finding.theirs), "number"), cell(sum(finding.ours), "number"), cell(moment(finding.at), "when"), cell(finding.says, "wrap"), make("td", {}, finding.open ? setAsideButton(report, finding) : ""));
}

// totalRows holds both books of a currency against each other, and marks where they differ.
function totalRows(total) {
  const { theirs, ours, currency } = total;
  const row = (name, book) => {
    const counted = (field) => cell(number(book[field]), theirs[field] === ours[field] ? "number" : "number differs");
    const summed = (of) => cell(money(of(book), currency), of(theirs) === of(ours) ? "number" : "number differs");
    return make("tr", {}, cell(currency), make("th", { scope: "row" }, name), counted("payments"), summed((b) => b.paid), counted("refunds"), summed((b) => b.refunded),
      summed((b) => b.paid - b.refunded));
  };
  return [row("the cashier's", theirs), row("ours", ours)];
}

async function showReport(id) {
  const report = await ask(`${at("reconciliations", id)}?findings=${mostFindings}&open=true`);
  setText($("report-title"), nameOf(report));
  openState($("report-open"), report);
  setText($("report-verdict"), report.verdict);
  const file = report.statement;
  const list = facts(["Report", report.id], ["Run", `${moment(report.ran_at)}${report.operator ? ` by ${report.operator}` : ""}${report.node ? ` on ${report.node}` : ""}, ${number(report.took_ms)} ms`],
    ["Note", report.note], ["Period", `${moment(report.from)} to ${moment(report.to)}`],
    ["Statement", `${number(file.payments)} payments, ${number(file.refunds)} refunds, ${number(file.bytes)} bytes as ${String(file.format).toUpperCase()}, sha256 ${file.sha256}`],
    ["Agreed", `${number(report.matched)} lines`], ["Noted now", number(report.settled)], ["Open of earlier reports", report.open_before ? number(report.open_before) : ""],
    ["Findings", report.findings_by_kind.map((c) => `${number(c.count)} ${words(c.kind)}`).join(", ") || "none"],
    ["Not ours", report.not_ours.count ? `${number(report.not_ours.count)} lines, ${sums(report.not_ours)}: ${report.not_ours.by.map((b) => `${number(b.count)} ${b.why}`).join("; ")}` : ""],
    ["Refunds under way", report.refunds_pending.count ? `${number(report.refunds_pending.count)}: ${sums(report.refunds_pending)}` : ""]);
  $("report-facts").replaceChildren(...list.children);
  $("report-totals").replaceChildren(...report.totals.flatMap(totalRows));
  $("report-rows").replaceChildren(...report.findings.map((finding) => findingRow(report, finding)));
  $("report-table").hidden = report.findings.length === 0;
  setText($("report-found"), report.open_now === 0 ? "Nothing is open." :
    `${number(report.findings.length)} of ${number(report.open_now)} that somebody must see to${report.findings.length < report.open_now ? ", the rest in the download" : ""}.`);
  $("report-downloads").replaceChildren(downloadButton(report, "JSON"), ...["findings", "totals", "days", "sessions", "listings"].map((part) => downloadButton(report, `${part} (CSV)`, part)));
  $("report").hidden = false;
  $("report").scrollIntoView();
  $("report").focus({ preventScroll: true });
}

$("report-close").addEventListener("click", () => {
  $("report").hidden = true;
  $("statement-list").focus();
});

// Reports.

function statementRow(report) {
  const open = make("span", { className: "state" });
  openState(open, report);
  setText(open, number(report.open_now));
  const look = make("button", { type: "button" }, "Look");
  look.setAttribute("aria-label", `Look at report ${report.id}`);
  look.addEventListener("click", () => showReport(report.id).catch(failed));
  return make("tr", {}, cell(moment(report.ran_at) + (report.dry_run ? " (only compared)" : ""), "when"), make("th", { scope: "row", className: "long" }, nameOf(report)),
    cell(report.verdict, "wrap"), cell(number(report.matched), "number"), cell(number(report.settled), "number"), make("td", { className: "number" }, open),
    cell(booked(report, "theirs"), "long"), cell(booked(report, "ours"), "long"),
    make("td", {}, make("div", { className: "buttons" }, look, downloadButton(report, "CSV", "findings"), downloadButton(report, "JSON"))));
}

async function lookAtReports() {
  const { reconciliations, unanswered = [] } = await ask(at("reconciliations"));
  $("statement-rows").replaceChildren(...reconciliations.map(statementRow));
  $("statement-table").hidden = reconciliations.length === 0;
  setText($("statement-summary"), (reconciliations.length === 0 ? "There are none." : `${number(reconciliations.length)} kept, the newest first. Money is what was taken less what was paid back.`) +
    unanswered.map(({ node, error }) => ` Node ${node} could not be asked: ${error}.`).join(""));
}

$("statement-list").addEventListener("click", () => lookAtReports().catch(failed));
whenIn(() => lookAtReports().catch(failed));

// A run.

// progress shows how far a run is; null when it is over.
function progress(how) {
  $("statement-progress").hidden = how === null;
  for (const button of [$("statement-compare"), $("statement-settle")]) button.disabled = how !== null;
  if (how === null) return;
  setText($("statement-phase"), `${how.phase}${how.rows ? `: ${number(how.rows)}${how.of ? ` of ${number(how.of)}` : ""}` : ""}`);
  if (how.of > 0) {
    $("statement-bar").max = how.of;
    $("statement-bar").value = how.rows;
  } else $("statement-bar").removeAttribute("value");
}

// run sends a statement and gives the id of its report. The node tells how far it
// is, a line each time, and the report or the problem in the last one.
async function run(file, query) {
  const response = await request(`${at("reconciliations")}?${query}`, { method: "POST", body: file,
    headers: { Accept: "application/x-ndjson", "Content-Type": "application/octet-stream" } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    const lines = (rest + (value || "")).split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines.filter(Boolean)) {
      const told = JSON.parse(line);
      if (told.progress) progress(told.progress);
      else if (told.problem) throw refusedBy(told.problem);
      else if (told.report) return told.report.id;
    }
    if (done) throw new Error("The node broke off before the report came. Look at the reports, or send the statement again: doing it twice changes nothing more.");
  }
}

$("statement-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = $("s-file").files[0];
  const compare = event.submitter !== $("statement-settle");
  const query = new URLSearchParams({ name: file.name });
  for (const [name, field] of [["from", $("s-from")], ["to", $("s-to")]]) if (field.value) query.set(name, instant(field.value));
  if (compare) query.set("dry_run", "true");
  else {
    const answered = await confirmChange({ title: `Reconcile ${file.name}?`, text: "Payments that nobody had told us of are booked, each for good, and refunds that were made are noted. Nothing is done twice.", yes: "Reconcile" });
    if (answered === null) return;
    if (answered.note) query.set("note", answered.note);
  }
  progress({ phase: "sending", rows: 0, of: 0 });
  try {
    const id = await run(file, query);
    say(compare ? `${file.name} is compared.` : `${file.name} is reconciled.`);
    await Promise.all([showReport(id), lookAtReports()]);
  } catch (error) {
    failed(error);
  } finally {
    progress(null);
  }
});

export { download };
