// What views are made of.

import { Store, html, useId, useLayoutEffect, useRef, useState, useStore } from "./html.js";
import { now, useCluster } from "./api.js";
import { clockTime, has, moment, number, span, t } from "./words.js";

// Said: what was done is told until the next thing is.

const told = new Store(null);

// said tells what was done, or what went wrong.
export const said = (text, bad = false) => told.set(text ? { text, bad } : null);

export function Said() {
  const is = useStore(told);
  return html`<div class="said" role="status" aria-live="polite">
    ${is && html`<p class=${is.bad ? "bad" : "good"}><span>${is.text}</span>
      <button type="button" class="quiet" aria-label=${t("word.close")} onClick=${() => said("")}>×</button></p>`}
  </div>`;
}

// awaits reports whether what came of a change is that a second operator must approve it.
export const awaits = (answer) => answer?.state === "pending" && Boolean(answer.expires);

// outcome says what came of a change: done, or that it waits.
const outcome = (answer, done) => (awaits(answer) ? t("word.awaits", { id: answer.id }) : done);

const mostProblems = 10;

// Problem shows what went wrong, if anything has.
export function Problem({ error, retry }) {
  if (!error) return null;
  const wrong = error.problems || [];
  return html`<div class="problem" role="alert">
    <p>${error.message}</p>
    ${wrong.length > 0 && html`<ul>${wrong.slice(0, mostProblems).map((line) => html`<li>${line}</li>`)}</ul>`}
    ${wrong.length > mostProblems && html`<p>${t("word.more_problems", { n: number(wrong.length - mostProblems) })}</p>`}
    ${retry && html`<button type="button" onClick=${retry}>${t("word.retry")}</button>`}
  </div>`;
}

// Empty says that there is nothing, and what could be done about it.
export const Empty = ({ title, children }) => html`<div class="empty"><p><strong>${title || t("word.nothing")}</strong></p>${children && html`<p class="hint">${children}</p>`}</div>`;

export const Loading = () => html`<p class="hint loading" role="status">${t("shell.loading")}</p>`;

// Asked shows a query's answer by children(data); until it is there, that it is awaited; and
// what went wrong with the last try beside what was known before.
export function Asked({ of, children }) {
  return html`${of.error && html`<${Problem} error=${of.error} retry=${of.reload} />`}
    ${of.data !== undefined ? children(of.data) : !of.error && html`<${Loading} />`}`;
}

// Card is a part of a page with a heading.
export const Card = ({ title, id, aside, children, level = 2 }) => {
  const own = useId();
  const heading = `${id || own}-title`;
  return html`<section class="card" id=${id} aria-labelledby=${heading}>
    <header>${level === 2 ? html`<h2 id=${heading}>${title}</h2>` : html`<h3 id=${heading}>${title}</h3>`}${aside && html`<div class="aside">${aside}</div>`}</header>
    ${children}
  </section>`;
};

// Facts are names and values; those without a value are left out.
export const Facts = ({ of }) => html`<dl class="facts">${of.filter(([, value]) => value !== undefined && value !== null && value !== "")
  .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

// State is a word for how something is. The words are those of a group, state if none is said.
export const State = ({ is, group = "state", title }) => is && html`<span class="state" data-is=${is} title=${title}>${t(`${group}.${is}`)}</span>`;

// Time.

// tick is the sale's time, about every second while somebody looks at the page.
const tick = new Store(0);
setInterval(() => document.hidden || tick.set(Math.floor(now() / 1000)), 250);
export const useSeconds = () => useStore(tick) || Math.floor(now() / 1000);

// Time is a moment, of milliseconds or a text of the API.
export function Time({ at, only }) {
  if (!at) return null;
  const ms = typeof at === "number" ? at : Date.parse(at);
  if (!(ms > 0)) return null;
  return html`<time datetime=${new Date(ms).toISOString()} title=${moment(ms)}>${only ? clockTime(ms) : moment(ms)}</time>`;
}

export const Clock = () => html`<time class="clock" title=${t("shell.time")}>${clockTime(1000 * useSeconds())}</time>`;

// Countdown is how long it is until then.
export function Countdown({ to }) {
  const seconds = Date.parse(to) / 1000 - useSeconds();
  return html`<time class="countdown" datetime=${to}>${span(Math.ceil(seconds))}</time>`;
}

// Table.

// Table shows rows by columns: { title, cell(row), sort(row), number, wide }, of which sort is
// there where the head sorts. Of many rows it shows a page. of says what it is a table of.
export function Table({ of, columns, rows, rowKey, page = 50, empty, begin, classOf }) {
  const [order, setOrder] = useState(begin || null);
  const [from, setFrom] = useState(0);
  const by = order && columns[order.column]?.sort;
  const sorted = useSorted(rows, by, order?.down, order?.column);
  if (rows.length === 0) return empty === null ? null : html`<${Empty} title=${empty} />`;
  const first = Math.min(from, Math.floor((rows.length - 1) / page) * page);
  const shown = sorted.slice(first, first + page);
  const turn = (column) => setOrder((was) => (was?.column === column ? (was.down ? null : { column, down: true }) : { column, down: false }));
  const cell = (row, column, i) => {
    const kind = column.number ? "number" : column.wide ? "wide" : undefined;
    return i === 0 ? html`<th scope="row" class=${kind}>${column.cell(row)}</th>` : html`<td class=${kind}>${column.cell(row)}</td>`;
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${of}>
      <table>
        <thead><tr>${columns.map((column, i) => html`<th scope="col" class=${column.number ? "number" : undefined}
            aria-sort=${order?.column === i ? (order.down ? "descending" : "ascending") : undefined}>
          ${column.sort ? html`<button type="button" class="sort" onClick=${() => turn(i)}>${column.title}<span aria-hidden="true">${order?.column === i ? (order.down ? " ↓" : " ↑") : ""}</span></button>`
            : column.hidden ? html`<span class="unseen">${column.title}</span>` : column.title}</th>`)}</tr></thead>
        <tbody>${shown.map((row, i) => html`<tr key=${rowKey ? rowKey(row) : first + i} class=${classOf?.(row)}>${columns.map((column, k) => cell(row, column, k))}</tr>`)}</tbody>
      </table>
    </div>
    ${rows.length > page && html`<nav class="pager" aria-label=${of}>
      <button type="button" disabled=${first === 0} onClick=${() => setFrom(first - page)}>${t("word.before")}</button>
      <span>${t("word.rows", { from: number(first + 1), to: number(Math.min(first + page, rows.length)), n: number(rows.length) })}</span>
      <button type="button" disabled=${first + page >= rows.length} onClick=${() => setFrom(first + page)}>${t("word.after")}</button>
    </nav>`}`;
}

function useSorted(rows, by, down, column) {
  const last = useRef({});
  const known = last.current;
  if (!by) return rows;
  if (known.rows !== rows || known.down !== down || known.column !== column) {
    const keyed = rows.map((row) => [by(row), row]);
    const less = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a ?? "").localeCompare(String(b ?? ""), undefined, { numeric: true }));
    keyed.sort((a, b) => (down ? less(b[0], a[0]) : less(a[0], b[0])));
    last.current = { rows, down, column, sorted: keyed.map(([, row]) => row) };
  }
  return last.current.sorted;
}

// Pages shows what usePages has so far, by children(rows), and a button for the next page.
export function Pages({ of, children }) {
  const [busy, setBusy] = useState(false);
  const more = async () => {
    setBusy(true);
    await of.more();
    setBusy(false);
  };
  return html`<${Problem} error=${of.error} retry=${of.reload} />
    ${of.loading ? html`<${Loading} />` : !of.error || of.rows.length > 0 ? children(of.rows, of.page) : null}
    ${of.more && html`<button type="button" class="more" disabled=${busy} onClick=${more}>${t("word.more")}</button>`}`;
}

// Forms.

// Field is an input with its label. kind is an input's type, or select with options (texts, or
// [value, text]), or area. Whoever has a form takes value and onValue from useFields' of(name).
export function Field({ label, hint, kind = "text", options, value, onValue, ...rest }) {
  const id = useId();
  const about = hint ? `${id}-hint` : undefined;
  const own = { id, "aria-describedby": about, ...rest };
  if (kind === "check") {
    return html`<div class="field check"><input ...${own} type="checkbox" checked=${Boolean(value)} onChange=${(event) => onValue(event.target.checked)} />
      <label for=${id}>${label}</label>${hint && html`<small id=${about}>${hint}</small>`}</div>`;
  }
  const input = kind === "select"
    ? html`<select ...${own} value=${value} onChange=${(event) => onValue(event.target.value)}>${options.map((o) => {
      const [v, text] = Array.isArray(o) ? o : [o, o];
      return html`<option value=${v} selected=${v === value}>${text}</option>`;
    })}</select>`
    : kind === "area" ? html`<textarea ...${own} value=${value} onInput=${(event) => onValue(event.target.value)}></textarea>`
      : kind === "file" ? html`<input ...${own} type="file" onChange=${(event) => onValue(event.target.files[0])} />`
        : html`<input ...${own} type=${kind} value=${value} onInput=${(event) => onValue(event.target.value)} />`;
  return html`<div class="field"><label for=${id}>${label}</label>${input}${hint && html`<small id=${about}>${hint}</small>`}</div>`;
}

// useFields keeps what fields have: its values, and of(name) for a Field.
export function useFields(begin) {
  const [values, set] = useState(begin);
  const put = (changes) => set((was) => ({ ...was, ...changes }));
  return { values, put, of: (name) => ({ name, value: values[name], onValue: (value) => put({ [name]: value }) }) };
}

// useDoing runs something one at a time, and keeps what went wrong.
export function useDoing(does) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const going = useRef(false);
  const run = async (...of) => {
    if (going.current) return false;
    going.current = true;
    setBusy(true);
    setError(null);
    try {
      await does(...of);
      return true;
    } catch (failed) {
      setError(failed);
      return false;
    } finally {
      going.current = false;
      setBusy(false);
    }
  };
  return { run, busy, error, forget: () => setError(null) };
}

// Form sends itself by onDo, once at a time, and shows what went wrong.
export function Form({ onDo, label, children, className, strong = true }) {
  const doing = useDoing(onDo);
  const send = (event) => {
    event.preventDefault();
    doing.run();
  };
  return html`<form class=${className || "row"} onSubmit=${send}>
    ${children}
    <button type="submit" class=${strong ? "strong" : undefined} disabled=${doing.busy}>${label}</button>
    <${Problem} error=${doing.error} />
  </form>`;
}

// Dialogs.

// Dialog is one that is open for as long as it is drawn. Esc closes it.
export function Dialog({ title, onClose, children, grave }) {
  const dialog = useRef();
  const id = useId();
  useLayoutEffect(() => { // at once: the next key may be Esc
    const node = dialog.current;
    node.showModal();
    return () => node.open && node.close();
  }, []);
  return html`<dialog ref=${dialog} class=${grave ? "grave" : undefined} aria-labelledby=${id} onClose=${onClose}
      onClick=${(event) => event.target === dialog.current && onClose()}>
    <div><header><h2 id=${id}>${title}</h2><button type="button" class="quiet" aria-label=${t("word.close")} onClick=${onClose}>×</button></header>${children}</div>
  </dialog>`;
}

// Ask is a button for a change, which asks first: what will be (text), the fields that it
// needs, [name, props of Field], and a note. onDo(values, with the note if there is one) makes
// it; done is what is said then. of names, for those who don't see, what the button is about.
export function Ask({ label, of, title, text, fields = [], note = true, yes, done, onDo, disabled, strong }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" class=${strong ? "strong" : undefined} disabled=${disabled} aria-label=${of ? `${label}: ${of}` : undefined}
      onClick=${() => setOpen(true)}>${label}</button>
    ${open && html`<${Asking} ...${{ label, title, text, fields, note, yes, done, onDo, onClose: () => setOpen(false) }} />`}`;
}

// useChange runs a change that a dialog asks for: it says what came of it, and closes the dialog.
// Where somebody has closed it meanwhile, what went wrong is said where all is.
function useChange(onDo, onClose, done) {
  const open = useRef(true);
  useLayoutEffect(() => () => {
    open.current = false;
  }, []);
  return async ({ ...values }) => {
    values.note = values.note.trim();
    if (!values.note) delete values.note;
    let answer;
    try {
      answer = await onDo(values);
    } catch (error) {
      if (!open.current) said(error.message, true);
      throw error;
    }
    if (open.current) onClose();
    said(outcome(answer, done));
  };
}

function Asking({ label, title, text, fields, note, yes, done, onDo, onClose }) {
  const form = useFields({ ...Object.fromEntries(fields.map(([name, props]) => [name, props.value ?? ""])), note: "" });
  const send = useChange(onDo, onClose, done);
  return html`<${Dialog} title=${title || label} onClose=${onClose}>
    ${text && html`<p>${text}</p>`}
    <${Form} className="stack" onDo=${() => send(form.values)} label=${yes || label}>
      ${fields.map(([name, props]) => html`<${Field} ...${props} ...${form.of(name)} />`)}
      ${note && html`<${Field} label=${t("word.note")} maxlength="300" ...${form.of("note")} />`}
    <//>
  <//>`;
}

// Danger is a button for what can't be undone. Its dialog asks for the name of what it is
// about to be typed, and nothing but its own button sets it off: no Enter in a field.
export function Danger({ label, name, title, text, fields = [], done, onDo, disabled, children }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" class="danger" disabled=${disabled} aria-label=${`${label}: ${name}`} onClick=${() => setOpen(true)}>${label}</button>
    ${open && html`<${Certain} ...${{ label, name, title, text, fields, done, onDo, children, onClose: () => setOpen(false) }} />`}`;
}

function Certain({ label, name, title, text, fields, done, onDo, children, onClose }) {
  const form = useFields({ ...Object.fromEntries(fields.map(([field, props]) => [field, props.value ?? ""])), note: "", typed: "" });
  const send = useChange(onDo, onClose, done);
  const doing = useDoing(() => {
    const { typed, ...values } = form.values;
    return send(values);
  });
  return html`<${Dialog} title=${title || label} onClose=${onClose} grave>
    <form class="stack" onSubmit=${(event) => event.preventDefault()}>
      <p>${text}</p>
      <p class="final">${t("word.final")}</p>
      ${children}
      ${fields.map(([field, props]) => html`<${Field} ...${props} ...${form.of(field)} />`)}
      <${Field} label=${t("word.note")} maxlength="300" ...${form.of("note")} />
      <${Field} label=${t("word.type", { name })} autocomplete="off" spellcheck=${false} ...${form.of("typed")} />
      <${Problem} error=${doing.error} />
      <div class="buttons"><button type="button" onClick=${onClose}>${t("word.cancel")}</button>
        <button type="button" class="danger" disabled=${doing.busy || form.values.typed !== name} onClick=${() => doing.run()}>${label}</button></div>
    </form>
  <//>`;
}

// Another leader is found within this time where there is a quorum: nothing worth a word.
const briefMS = 3000;

// Stale says that what is shown is not how things are: nobody answers, or there is no quorum.
export function Stale() {
  const cluster = useCluster();
  const since = useRef(0);
  const silent = cluster.error && cluster.error.status === 0;
  const alone = cluster.data && (!cluster.data.leader || cluster.data.alarms.some((alarm) => alarm.name === "no_quorum"));
  since.current = silent || alone ? since.current || Date.now() : 0;
  if (!since.current || Date.now() - since.current < briefMS) return null;
  if (silent) {
    return html`<p class="stale" role="alert">${t("shell.silent", { time: cluster.at ? clockTime(cluster.at) : "–" })}</p>`;
  }
  return html`<p class="stale" role="alert">${t("shell.stale", { time: moment(Date.parse(cluster.data.state_at)) })}</p>`;
}
