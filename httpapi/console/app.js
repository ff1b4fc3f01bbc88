// The shell: who has logged in, which view is shown, and what is around it.

import { html, kept, render, useEffect, useErrorBoundary, useRef, useState, useStore } from "./html.js";
import { login, logout, lookWho, may, useCluster, who } from "./api.js";
import { go, place } from "./route.js";
import { language, setLanguage, t } from "./words.js";
import { Clock, Dialog, Field, Form, Loading, Problem, Said, Stale, said, useFields } from "./parts.js";

// views is what there is: the name is the first part of the path and leads to the words
// view.NAME; load fetches the file; key goes there; role is the least that may see it.
const views = [
  { name: "now", load: () => import("./now.js"), key: "1", role: "viewer" },
  { name: "plan", load: () => import("./plan.js"), key: "2", role: "viewer" },
  { name: "orders", load: () => import("./orders.js"), key: "3", role: "viewer" },
  { name: "crowd", load: () => import("./crowd.js"), key: "4", role: "viewer" },
  { name: "money", load: () => import("./money.js"), key: "5", role: "viewer" },
  { name: "goods", load: () => import("./goods.js"), key: "6", role: "viewer" },
  { name: "cluster", load: () => import("./cluster.js"), key: "7", role: "viewer" },
  { name: "after", load: () => import("./after.js"), key: "8", role: "viewer" },
];

const first = views[0].name;

// whereIs reads an address.
function whereIs(address) {
  const url = new URL(address, location.origin);
  const [name, ...rest] = url.pathname.slice(1).split("/");
  let path = null; // one that can't be read is of no view
  try {
    path = decodeURIComponent(rest.join("/"));
  } catch { /* it stays null */ }
  return { view: path === null ? undefined : views.find((v) => v.name === (name || first)), path, query: url.searchParams };
}

// Light and dark.

function useTheme() {
  const [theme, set] = useState(kept.get("theme") || "");
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  useEffect(() => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }, [theme]);
  return [dark, () => {
    kept.set("theme", dark ? "light" : "dark");
    set(dark ? "light" : "dark");
  }];
}

// Keys.

const keysOn = () => kept.get("keys") !== "off";
const typing = (node) => node.closest?.("input, select, textarea, dialog, [contenteditable]");

function Keys({ onClose, session }) {
  const [on, set] = useState(keysOn());
  return html`<${Dialog} title=${t("shell.keys")} onClose=${onClose}>
    <dl class="keys">
      ${views.filter((v) => v.key && may(session, v.role)).map((v) => html`<div><dt><kbd>${v.key}</kbd></dt><dd>${t(`view.${v.name}`)}</dd></div>`)}
      <div><dt><kbd>?</kbd></dt><dd>${t("shell.key_help")}</dd></div>
      <div><dt><kbd>Esc</kbd></dt><dd>${t("shell.key_close")}</dd></div>
    </dl>
    <${Field} kind="check" label=${t("shell.keys_on")} value=${on} onValue=${(value) => {
      kept.set("keys", value ? "on" : "off");
      set(value);
    }} />
  <//>`;
}

// Health is how the cluster is, in a line that is always there.
function Health() {
  const { data } = useCluster();
  if (!data) return null;
  const up = data.nodes.filter((n) => n.reachable).length;
  const wake = data.alarms.some((alarm) => alarm.severity === "wake");
  return html`
    <a class="chip" href="/cluster" data-is=${data.leader && up === data.nodes.length ? "good" : "bad"}>
      ${data.leader ? t("shell.leader", { id: data.leader }) : t("shell.no_leader")}${data.nodes.length > 1 && html` · ${t("shell.nodes", { up, all: data.nodes.length })}`}</a>
    <a class="chip" href="/now#alarms" data-is=${wake ? "bad" : data.alarms.length ? "warn" : "good"}>${data.alarms.length ? t("shell.alarms", { n: data.alarms.length }) : t("shell.no_alarms")}</a>`;
}

function Top({ session, onKeys, theme: [dark, turn] }) {
  const leave = () => logout().catch((error) => said(error.message, true));
  return html`<header class="top">
    <a class="brand" href="/"><span class="mark" aria-hidden="true"></span>Doorbuster</a>
    ${session && html`<div class="health"><${Clock} /><${Health} /></div>`}
    <div class="tools">
      <button type="button" class="quiet" id="language" lang=${language.value === "zh" ? "en" : "zh-CN"} onClick=${() => setLanguage(language.value === "zh" ? "en" : "zh")}>${t("shell.other_language")}</button>
      <button type="button" class="quiet" id="theme" onClick=${turn}>${dark ? t("shell.light") : t("shell.dark")}</button>
      ${session && html`<button type="button" class="quiet" id="keys" onClick=${onKeys}>${t("shell.keys")}</button>
        <span class="me" title=${t(`role.${session.role}`)}>${session.name} <small>${t(`role.${session.role}`)}</small></span>
        ${session.csrf && html`<button type="button" class="quiet" id="logout" onClick=${leave}>${t("shell.logout")}</button>`}`}
    </div>
  </header>`;
}

const Nav = ({ session, at }) => html`<nav class="views" aria-label=${t("shell.views")}><ul>
  ${views.filter((v) => may(session, v.role)).map((v) => html`<li><a href=${`/${v.name}`} aria-current=${v.name === at ? "page" : undefined}>
    <span>${t(`view.${v.name}`)}</span>${v.key && html`<kbd aria-hidden="true">${v.key}</kbd>`}</a></li>`)}
</ul></nav>`;

function Login() {
  const form = useFields({ token: "" });
  return html`<main id="main" class="login" tabindex="-1">
    <h1>${t("login.title")}</h1>
    <p class="hint">${t("login.say")}</p>
    <${Form} className="stack" label=${t("login.do")} onDo=${() => login(form.values.token.trim())}>
      <${Field} label=${t("login.token")} kind="password" autocomplete="off" required ...${form.of("token")} />
    <//>
  </main>`;
}

const Missing = () => html`<h1>${t("shell.missing")}</h1><p class="hint">${t("shell.missing_say")}</p>`;

// Shown is a view, fetched when it is first gone to. One that fails takes nothing else along.
function Shown({ view, ...props }) {
  const [loaded, set] = useState({});
  const [error, reset] = useErrorBoundary((broken) => console.error(broken));
  useEffect(() => {
    let here = true;
    if (view) {
      view.load().then((file) => here && set({ view, View: file.View }), (failed) => here && set({ view, failed }));
    }
    return () => (here = false);
  }, [view]);
  useEffect(() => { // what has failed may be of the address before
    reset();
  }, [view, props.path, props.query.toString()]);
  if (!view) return html`<${Missing} />`;
  const failed = error || (loaded.view === view && loaded.failed);
  if (failed) {
    return html`<h1>${t("shell.broken")}</h1><${Problem} error=${failed} />
      <button type="button" onClick=${() => location.reload()}>${t("shell.again")}</button>`;
  }
  return loaded.view === view ? html`<${loaded.View} key=${view.name} ...${props} />` : html`<${Loading} />`;
}

// What was said in a view goes with it: at once, so that what is said of the move stays.
let left = whereIs(place.value).view;
place.listen(() => {
  const { view } = whereIs(place.value);
  if (view !== left) said("");
  left = view;
});

function Inside({ session }) {
  const { view, path, query } = whereIs(useStore(place));
  const [keys, setKeys] = useState(false);
  const theme = useTheme();
  const main = useRef();
  const name = view ? t(`view.${view.name}`) : t("shell.missing");
  useEffect(() => {
    document.title = [path, name, "Doorbuster"].filter(Boolean).join(" · ");
  }, [name, path]);
  const came = useRef(false);
  useEffect(() => { // the focus goes along to another view, but for the first
    if (came.current) main.current.focus({ preventScroll: true });
    came.current = true;
  }, [view]);
  useEffect(() => {
    const press = (event) => {
      if (!keysOn() || event.metaKey || event.ctrlKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
      const to = views.find((v) => v.key === event.key && may(session, v.role));
      if (event.key === "?") setKeys(true);
      else if (to) go(`/${to.name}`);
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [session]);
  return html`<a class="skip" href="#main" onClick=${(event) => {
      event.preventDefault();
      main.current.focus();
    }}>${t("shell.skip")}</a>
    <${Top} session=${session} theme=${theme} onKeys=${() => setKeys(true)} />
    <${Nav} session=${session} at=${view?.name} />
    <main id="main" ref=${main} tabindex="-1"><${Stale} /><${Said} /><${Shown} ...${{ view, path, query, session }} /></main>
    ${keys && html`<${Keys} session=${session} onClose=${() => setKeys(false)} />`}`;
}

function Outside() {
  const theme = useTheme();
  useEffect(() => {
    document.title = `${t("login.title")} · Doorbuster`;
  });
  return html`<${Top} theme=${theme} /><${Login} />`;
}

function App() {
  const session = useStore(who);
  const lang = useStore(language);
  const [error, setError] = useState(null);
  const look = () => lookWho().then(() => setError(null), setError);
  useEffect(() => {
    document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  }, [lang]);
  useEffect(() => {
    look();
  }, []);
  if (session) return html`<${Inside} session=${session} />`;
  if (session === null) return html`<${Outside} />`;
  return html`<main id="main">${error ? html`<${Problem} error=${error} retry=${look} />` : html`<${Loading} />`}</main>`;
}

render(html`<${App} />`, document.getElementById("app"));
