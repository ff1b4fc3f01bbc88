// The panel for the catalogue: products of suppliers, what they have of them and what
// sessions make of it. It stands on console.js and orders.js.

import { $, ask, at, confirmChange, failed, make, money, number, say, setText } from "./classic-console.js";
import { cell } from "./classic-orders.js";

const none = "—";
let next = ""; // cursor of the next page

function stockText(stock) {
  if (!stock) return none;
  return stock.total === undefined ? `${number(stock.remaining)} left at ${stock.as_of}` : `${number(stock.total)} in all`;
}

function productRow(p) {
  const use = p.use || { put_up: 0, held: 0, paid: 0 };
  const action = p.retired_by_shop ? "revive" : "retire";
  const says = p.retired_by_shop ? "Revive" : "Retire";
  const button = make("button", { type: "button", className: action === "retire" ? "grave" : "" }, says);
  button.setAttribute("aria-label", `${says} product ${p.id}`);
  button.addEventListener("click", async () => {
    const text = action === "retire" ? "No session can list it any more. What lists it goes on." : "Sessions can list it again.";
    const answered = await confirmChange({ title: `${says} product ${p.id}?`, text, yes: says });
    if (answered === null) return;
    try {
      await ask(at("products", p.id, action), answered);
      say(`Product ${p.id}: done.`);
      await showProducts("");
    } catch (error) {
      failed(error);
    }
  });
  const state = [p.retired && "retired", use.over && `over by ${number(use.over)}`].filter(Boolean).join(", ");
  return make("tr", {}, make("th", { scope: "row" }, p.id), cell(p.name.en || Object.values(p.name)[0] || none), cell(p.supplier || none), cell(money(p.list_price, p.currency), "number"),
    cell(stockText(p.stock)), cell(number(use.put_up), "number"), cell(number(use.held), "number"), cell(number(use.paid), "number"), cell(state || none), make("td", {}, button));
}

async function showProducts(cursor) {
  const query = new URLSearchParams({ limit: "50" });
  for (const [name, value] of [["supplier", $("c-supplier").value.trim()], ["prefix", $("c-prefix").value.trim()], ["cursor", cursor]]) {
    if (value) query.set(name, value);
  }
  if ($("c-retired").checked) query.set("retired", "true");
  const page = await ask(`${at("products")}?${query}`);
  const rows = page.products.map(productRow);
  if (cursor) $("product-rows").append(...rows);
  else $("product-rows").replaceChildren(...rows);
  next = page.cursor || "";
  $("more-products").hidden = next === "";
  $("product-table").hidden = $("product-rows").children.length === 0;
  setText($("product-summary"), $("product-rows").children.length === 0 ? "No such product." : "");
}

$("product-form").addEventListener("submit", (event) => {
  event.preventDefault();
  showProducts("").catch(failed);
});

$("more-products").addEventListener("click", () => showProducts(next).catch(failed));
