// What the console says, in English and Chinese. Each view has a file of its own with its
// words; those here are the shell's, and those that several views share.

import { Store, kept } from "./html.js";

const tags = { en: "en-GB", zh: "zh-CN" };
const all = {}; // by key: in English, in Chinese

function chosen() {
  const said = kept.get("language");
  if (said === "en" || said === "zh") return said;
  return (navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en";
}

export const language = new Store(chosen());

export function setLanguage(to) {
  kept.set("language", to);
  language.set(to);
}

// add takes words in: a key, and what it is in English and in Chinese.
export function add(words) {
  Object.assign(all, words);
}

// t says what a key stands for, with its placeholders filled in. The last of a key of a group
// that is not known, such as a state that is newer than this page, stands for itself.
export function t(key, values = {}) {
  const said = all[key]?.[language.value === "zh" ? 1 : 0] ?? key.slice(key.indexOf(".") + 1).replaceAll("_", " ");
  return said.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

// has reports whether there are words for a key.
export const has = (key) => key in all;

// named picks the language of a text that was written in several.
export const named = (text) => (text && (text[language.value] ?? text.en ?? Object.values(text)[0])) || "";

export const tag = () => tags[language.value];
export const number = (n, most = 3) => (n ?? 0).toLocaleString(tag(), { maximumFractionDigits: most });

const day = { year: "numeric", month: "short", day: "numeric" };
const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
export const clockTime = (ms) => new Date(ms).toLocaleTimeString(tag(), time);
export const moment = (ms) => new Date(ms).toLocaleString(tag(), { ...day, ...time });

// instant gives in UTC, as the API has it, what a clock here shows; "" for what is no time.
export function instant(local) {
  const ms = Date.parse(local || "");
  return Number.isNaN(ms) ? "" : new Date(ms).toISOString();
}

// span says how long something is, from seconds.
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const rest = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  if (s < 3600) return rest;
  const hours = Math.floor(s / 3600);
  return hours < 48 ? `${hours}:${rest}` : t("word.days", { n: Math.floor(hours / 24) });
}

// Currencies without decimals, with one, and so on, two left out: those of ISO 4217, by which
// the API counts. Browsers go by what is in use, and leave the rials and dinars none.
const unusual = ["BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF", "", "",
  "BHD IQD JOD KWD LYD OMN TND", "CLF UYW"];

// decimals gives how many a currency's amounts have.
export function decimals(currency) {
  const n = unusual.findIndex((all) => all.split(" ").includes(currency));
  return n < 0 ? 2 : n;
}

export function money(amount, currency) {
  const n = decimals(currency);
  try {
    return new Intl.NumberFormat(tag(), { style: "currency", currency, minimumFractionDigits: n, maximumFractionDigits: n }).format(amount / 10 ** n);
  } catch {
    return `${amount} ${currency}`; // no currency that this browser knows
  }
}

add({
  "view.now": ["Now", "实时"],
  "view.plan": ["Plan", "计划"],
  "view.orders": ["Orders", "订单"],
  "view.crowd": ["Crowd", "人群"],
  "view.money": ["Money", "资金"],
  "view.goods": ["Goods", "货品"],
  "view.cluster": ["Cluster", "集群"],
  "view.after": ["After", "复盘"],

  "shell.skip": ["Skip to the content", "跳到正文"],
  "shell.views": ["Views", "视图"],
  "shell.loading": ["One moment …", "请稍候……"],
  "shell.missing": ["There is no such page", "没有这个页面"],
  "shell.missing_say": ["The address may have been cut off, or is of another release.", "地址可能不完整，或来自其他版本。"],
  "shell.broken": ["This view has failed", "此视图出错了"],
  "shell.again": ["Load it again", "重新加载"],
  "shell.leader": ["Leader {id}", "主节点 {id}"],
  "shell.no_leader": ["No leader", "没有主节点"],
  "shell.nodes": ["{up} of {all} nodes", "节点 {up}/{all}"],
  "shell.no_alarms": ["No alarms", "无告警"],
  "shell.alarms": ["Alarms: {n}", "告警：{n}"],
  "shell.time": ["Time of the sale", "活动时间"],
  "shell.light": ["Light", "浅色"],
  "shell.dark": ["Dark", "深色"],
  "shell.other_language": ["中文", "English"],
  "shell.keys": ["Keys", "快捷键"],
  "shell.key_help": ["Show these keys", "显示快捷键"],
  "shell.key_close": ["Close a dialog", "关闭对话框"],
  "shell.keys_on": ["Use keys in this browser", "在此浏览器启用快捷键"],
  "shell.logout": ["Log out", "退出登录"],
  "shell.silent": ["This node does not answer. What you see is from {time}; trying again.", "此节点没有响应。所显示的是 {time} 的数据，正在重试。"],
  "shell.stale": ["No quorum: what you see is as this node last knew it, at {time}. Changes are not possible.", "没有法定多数：所显示的是此节点在 {time} 最后已知的数据，暂时无法更改。"],

  "login.title": ["Log in", "登录"],
  "login.say": ["With an operator's token, which your administrator makes with doorbuster token. This browser keeps it until it ends, out of reach of scripts.", "使用管理员以 doorbuster token 签发的运营令牌。浏览器会保存到令牌到期，脚本无法读取。"],
  "login.token": ["Token", "令牌"],
  "login.do": ["Log in", "登录"],

  "role.viewer": ["viewer", "查看者"],
  "role.operator": ["operator", "运营"],
  "role.admin": ["admin", "管理员"],
  "role.supplier": ["supplier", "供应商"],

  "api.status": ["Status {status}", "状态码 {status}"],
  "api.line": ["line {line}", "第 {line} 行"],
  "api.late": ["This node did not answer in time.", "此节点未能及时响应。"],
  "api.lost": ["This node does not answer.", "此节点没有响应。"],

  "word.days": ["{n} days", "{n} 天"],
  "word.close": ["Close", "关闭"],
  "word.cancel": ["Leave it", "取消"],
  "word.note": ["Why, for the audit trail", "原因（记入审计）"],
  "word.more": ["Load more", "加载更多"],
  "word.rows": ["{from}–{to} of {n}", "第 {from}–{to} 行，共 {n} 行"],
  "word.before": ["Previous", "上一页"],
  "word.after": ["Next", "下一页"],
  "word.nothing": ["Nothing here", "暂无内容"],
  "word.retry": ["Try again", "重试"],
  "word.more_problems": ["and {n} more", "另有 {n} 条"],
  "word.type": ["To go on, type {name}", "如需继续，请输入 {name}"],
  "word.awaits": ["Not done yet: a second operator must approve it. It is number {id} of the approvals, under Plan.", "尚未执行：须由另一位运营批准，见“计划 · 审批”第 {id} 号。"],
  "word.final": ["This can't be undone.", "此操作无法撤销。"],

  "state.draft": ["draft", "草稿"],
  "state.published": ["published", "已发布"],
  "state.open": ["open", "进行中"],
  "state.paused": ["paused", "已暂停"],
  "state.ended": ["ended", "已结束"],
  "state.settled": ["settled", "已结算"],
  "state.sold_out": ["sold out for now", "暂时售罄"],
  "state.gone": ["gone", "已抢光"],
  "state.frozen": ["frozen", "已冻结"],
});
