// What the page says by itself. All that a shopper is told of a grab, an order or a
// bargain comes from the shop, in the sale's own words.
const both = {
  shop: ["Flash sale", "限时秒杀"],
  skip: ["Skip to the sale", "跳到活动"],
  sale: ["On sale", "秒杀"],
  orders: ["My orders", "我的订单"],
  language: ["中文", "English"],
  who: ["Who are you?", "你是谁？"],
  whoWhy: ["This shop is for trying out: it believes any name. Another name is another shopper.",
    "这是试用环境，任何名字都可以。换一个名字就是另一位顾客。"],
  name: ["Name", "名字"],
  nameForm: ["1 to 64 letters, digits, dots or dashes", "1 到 64 个字母、数字、点或横线"],
  enter: ["Enter the shop", "进入商店"],
  asName: ["Shopping as", "当前顾客"],
  leave: ["Change", "更换"],
  noToken: ["Please come through the shop's app", "请从商店的应用进入"],
  noTokenWhy: ["It opens this page with who you are. Nothing is sold without.", "应用会带上您的身份打开本页，否则无法购买。"],
  loading: ["Opening the shop…", "正在打开商店…"],
  nothing: ["Nothing is on sale just now", "目前没有活动"],
  nothingWhy: ["Come back later: the page looks for itself.", "请稍后再来，本页会自动刷新。"],
  startsIn: ["Starts in", "距开始"],
  endsIn: ["Ends in", "距结束"],
  over: ["Ended", "已结束"],
  paused: ["Paused", "暂停"],
  left: ["{n} left", "剩余 {n} 件"],
  off: ["off", "优惠"],
  limit: ["{n} per shopper", "每人限购 {n} 件"],
  limitMonth: ["{n} a month", "每月限购 {n} 件"],
  limitSession: ["{n} per shopper in all", "本场每人限购 {n} 件"],
  reserveOnly: ["For those who reserve", "需预约"],
  listOnly: ["By invitation", "受邀专享"],
  drawBadge: ["Draw", "抽签"],
  bargainBadge: ["Bargain", "砍价"],
  downTo: ["Friends cut it down to", "好友帮砍，最低"],
  reserve: ["Reserve", "预约"],
  reserved: ["Reserved", "已预约"],
  withdraw: ["Take it back", "取消预约"],
  grab: ["Grab it", "立即抢购"],
  grabMany: ["Grab {n} for {p}", "抢 {n} 件 · {p}"],
  many: ["Quantity", "数量"],
  fewer: ["One fewer", "减一件"],
  more: ["One more", "加一件"],
  enterDraw: ["Enter the draw", "参加抽签"],
  again: ["Try again", "再试一次"],
  wait: ["Not yet", "未开始"],
  soldOut: ["All taken for now", "暂时抢光"],
  gone: ["Sold out", "已售罄"],
  joinLine: ["Join the line", "排队候补"],
  asking: ["Asking the shop…", "正在提交…"],
  checking: ["Checking what came of it…", "正在确认结果…"],
  solving: ["Getting your ticket…", "正在获取抢购资格…"],
  image: ["Type the digits that you see", "请输入图中的数字"],
  imageAlt: ["Digits to type", "需要输入的数字"],
  imageWrong: ["That was not it. Here is another.", "不对，换一张再试。"],
  imageOther: ["I can't read it", "看不清，换一张"],
  ok: ["Done", "确定"],
  retrying: ["No answer yet. Asking again, for the same…", "暂无答复，正在用同一请求重试…"],
  lost: ["The shop did not answer. Nothing is lost: ask again, and it counts once.", "商店没有答复。不会重复下单，请再问一次。"],
  askAgain: ["Ask again", "再问一次"],
  line: ["Your place in line", "候补位置"],
  about: ["about {t}", "约 {t}"],
  leaveLine: ["Leave the line", "退出候补"],
  leaveDraw: ["Leave the draw", "退出抽签"],
  inDraw: ["You are in the draw", "已参加抽签"],
  drawIn: ["Drawn in", "距抽签"],
  drawing: ["Drawing…", "抽签中…"],
  proof: ["How it is drawn", "抽签证明"],
  payIn: ["Pay within", "请付款"],
  pay: ["Pay", "付款"],
  pretend: ["Pretend to pay", "模拟付款"],
  noCashier: ["Pay at the shop's cashier, in its app.", "请在商店应用的收银台付款。"],
  letGo: ["Let it go", "放弃"],
  letGoSure: ["Let it go? The unit goes to somebody else.", "确定放弃？该商品会让给别人。"],
  see: ["See the order", "查看订单"],
  noOrders: ["No orders yet", "还没有订单"],
  noOrdersWhy: ["What you get appears here by itself.", "抢到的商品会自动显示在这里。"],
  toSale: ["To the sale", "去抢购"],
  order: ["Order", "订单"],
  each: ["Amount", "金额"],
  txn: ["Transaction", "交易号"],
  address: ["Where it goes", "收货信息"],
  addressWhy: ["You can change it until it is sent.", "发货前可以修改。"],
  rname: ["Receiver", "收货人"],
  phone: ["Phone", "电话"],
  province: ["Province", "省份"],
  city: ["City", "城市"],
  district: ["District", "区县"],
  street: ["Street and number", "详细地址"],
  post: ["Post code", "邮编"],
  save: ["Save", "保存"],
  saved: ["Saved.", "已保存。"],
  carrier: ["Carrier", "承运方"],
  tracking: ["Tracking number", "运单号"],
  arrived: ["It has come", "确认收货"],
  held: ["To be paid", "待付款"], paid: ["Paid", "已付款"], shipped: ["On its way", "已发货"],
  received: ["Delivered", "已收货"], completed: ["Done", "已完成"], expired: ["Not paid in time", "超时未付款"],
  cancelled: ["Let go", "已取消"], voided: ["Taken back", "已撤销"], refund_due: ["Refund on its way", "退款中"],
  refunded: ["Refunded", "已退款"], waiting: ["In line", "候补中"], entered: ["In the draw", "抽签中"],
  left_: ["Left", "已退出"], passed: ["Not this time", "未获得"],
  startBargain: ["Start a bargain", "发起砍价"],
  myBargain: ["To my bargain", "我的砍价"],
  buyNow: ["Buy now for {p}", "{p} 直接购买"],
  bargainOf: ["Help cut the price", "帮好友砍价"],
  bargainMine: ["Your bargain", "我的砍价"],
  now: ["Price now", "当前价"],
  from: ["from {a}, at best {b}", "原价 {a}，最低 {b}"],
  cuts: ["Friends who have cut: {n}. About {m} reach the best price.", "已有 {n} 位好友帮砍，约需 {m} 位"],
  cut: ["Cut the price", "帮砍一刀"],
  helped: ["You took off {p}", "你已砍掉 {p}"],
  recent: ["Latest cuts", "最近帮砍"],
  share: ["Share the link", "分享链接"],
  copied: ["The link is copied. Send it to friends.", "链接已复制，快发给好友吧。"],
  link: ["Link for friends", "好友链接"],
  buyAt: ["Buy for {p}", "{p} 购买"],
  drawOf: ["The draw of {n}", "{n} 的抽签"],
  notDrawn: ["The draw has not closed yet. Its commitment is told beforehand, so nobody can choose the seed later.",
    "抽签尚未截止。种子的承诺值事先公布，之后无人能更换种子。"],
  commitment: ["Commitment", "承诺值"],
  seed: ["Seed", "种子"],
  proofSeed: ["The seed is the one that was committed to", "种子与事先的承诺一致"],
  proofBefore: ["The commitment is the one that this page saw before the draw", "承诺值与本页抽签前所见一致"],
  proofRank: ["Every rank was worked out again on this device, and the units went by rank", "已在本机重新计算每个名次，且按名次分配"],
  proofUnfair: ["By the ranks, worked out on this device, somebody who was passed over came first (unless stock was added later)",
    "按本机计算的名次，有未获得者排在获得者之前（除非之后追加了库存）"],
  proofCut: ["The list is cut off after {n} entries: ranks and outcomes can't be checked on this page", "名单只读取了前 {n} 条，本页无法核对名次和结果"],
  proofMine: ["Your rank: {r} of {n}, for {s} units", "你的名次：{r} / {n}，共 {s} 件"],
  rank: ["Rank", "名次"],
  outcome: ["Outcome", "结果"],
  late: ["late", "迟到"],
  offline: ["You are offline. Everything you asked for is kept, and goes on when you are back.",
    "网络已断开。已提交的请求会保留，恢复后继续。"],
  unwell: ["The shop is slow to answer. What you see may be a little old.", "商店响应较慢，所见内容可能略旧。"],
  time: ["Shop's time", "商店时间"],
  gotIt: ["Yours", "已抢到"],
  problem: ["This can't be done: {d}", "无法完成：{d}"],
  second: ["s", "秒"], minute: ["min", "分钟"], day: ["d", "天"],
};

export let language = "en";
export const locale = () => (language === "zh" ? "zh-CN" : "en-GB");
export function speak(to) {
  language = to === "zh" ? "zh" : "en";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}

export function say(name, fill = {}) {
  const text = (both[name] || [name, name])[language === "zh" ? 1 : 0];
  return text.replace(/\{(\w+)\}/g, (_, key) => fill[key] ?? "");
}

export const state = (of) => say(of === "left" ? "left_" : of);

// Currencies without decimals, with one, and so on, two left out: those of ISO 4217, by which
// the shop counts. Browsers go by what is in use, and leave the rials and dinars none.
const unusual = ["BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF", "", "",
  "BHD IQD JOD KWD LYD OMN TND", "CLF UYW"];
function decimals(currency) {
  const n = unusual.findIndex((all) => all.split(" ").includes(currency));
  return n < 0 ? 2 : n;
}

const formats = new Map();
export function money(minor, currency) {
  const key = language + currency, n = decimals(currency);
  if (!formats.has(key)) {
    formats.set(key, new Intl.NumberFormat(locale(), { style: "currency", currency, currencyDisplay: "narrowSymbol",
      minimumFractionDigits: n, maximumFractionDigits: n }));
  }
  return formats.get(key).format(minor / 10 ** n);
}

const times = () => new Intl.DateTimeFormat(locale(), { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
  hourCycle: "h23" });
export const at = (when) => times().format(new Date(when));
export const span = (from, to) => times().formatRange(from, to);

export const about = (seconds) => (seconds < 90 ? `${seconds} ${say("second")}`
  : `${Math.round(seconds / 60)} ${say("minute")}`);
