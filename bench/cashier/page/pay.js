// The demo cashier's page. The token comes behind the #, which no server sees, and leaves
// the address at once. One payment has one name, so that paying again after a lost answer
// pays once.
const $ = (id) => document.getElementById(id);
const zh = (navigator.language || "").startsWith("zh");
const words = zh ? {
  name: "演示收银台", order: "订单", until: "付款截止", pay: "付款", paid: "付款成功。", back: "返回商店",
  again: "没有收到答复，请再试一次。", none: "没有可付款的订单。", demo: "演示用：不会扣款。", paying: "正在付款…",
} : {
  name: "Demo cashier", order: "Order", until: "Pay by", pay: "Pay", paid: "Paid. Thank you!",
  back: "Back to the shop", again: "No answer came. Try again: it is paid once.", none: "There is nothing to pay.",
  demo: "No money moves: whoever brings a token has paid.", paying: "Paying…",
};
document.documentElement.lang = zh ? "zh-CN" : "en";
for (const id of ["name", "pay", "back", "demo"]) $(id).textContent = words[id];
$("order-word").textContent = words.order;
$("until-word").textContent = words.until;
document.title = words.name;

let token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  sessionStorage.setItem("token", token);
  sessionStorage.setItem("payment", "web-" + Array.from(crypto.getRandomValues(new Uint8Array(16)),
    (b) => b.toString(16).padStart(2, "0")).join(""));
  history.replaceState(null, "", location.pathname);
} else token = sessionStorage.getItem("token");

function claims() {
  try {
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(
      atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}
const due = claims();
if (due) {
  const money = new Intl.NumberFormat(zh ? "zh-CN" : "en", { style: "currency", currency: due.currency });
  const digits = money.resolvedOptions().maximumFractionDigits;
  $("amount").textContent = money.format(due.amount / 10 ** digits);
  $("order").textContent = due.order_no;
  $("until").textContent = new Date(due.exp * 1000).toLocaleTimeString(zh ? "zh-CN" : "en");
  $("pay").disabled = false;
} else {
  $("amount").textContent = "–";
  say(words.none, true);
}

function say(text, bad) {
  $("said").textContent = text;
  $("said").className = bad ? "bad" : "";
}

$("pay").onclick = async () => {
  $("pay").disabled = true;
  say(words.paying);
  try {
    const r = await fetch("/pay", { method: "POST", signal: AbortSignal.timeout(10000),
      body: JSON.stringify({ token, payment_id: sessionStorage.getItem("payment") }) });
    const answer = await r.json();
    if (r.ok || answer.payment?.payment_id === sessionStorage.getItem("payment")) {
      say(words.paid);
      $("pay").hidden = true;
      $("back").focus();
      return;
    }
    say(answer.error, true);
    $("pay").disabled = r.status < 500;
  } catch {
    say(words.again, true);
    $("pay").disabled = false;
  }
};
$("back").onclick = () => history.back();
