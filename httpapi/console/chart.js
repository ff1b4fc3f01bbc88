// Curves: what comes of a session's stream second by second, kept for an hour, and drawn.

import uPlot from "./uplot.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { clockTime, number, t } from "./words.js";
import "./words-names.js";

const seconds = 3600; // that are kept
const none = -1; // a second of which nothing is known

// Past is an hour of one figure; its last is the latest second. It takes all of its memory at
// once, so that a page that is open for a day has no more than after a minute.
class Past {
  constructor() {
    this.points = new Int32Array(seconds).fill(none);
  }

  shift(by) {
    this.points.copyWithin(0, by);
    this.points.fill(none, Math.max(0, seconds - by));
  }

  put(back, value) {
    if (back >= 0 && back < seconds) this.points[seconds - 1 - back] = value;
  }

  get latest() {
    for (let i = seconds - 1; i > seconds - 10; i--) if (this.points[i] !== none) return this.points[i];
    return 0;
  }
}

const figures = ["granted", "stock", "available", "held", "paid", "waiting"];

// Hour is what is known of a session.
export class Hour {
  constructor() {
    this.last = 0; // the latest second, in Unix seconds
    this.first = 0; // the first that is known
    this.listings = new Map(); // by SKU, a Past of each figure
    this.refusals = new Map(); // by reason
  }

  *all() {
    for (const listing of this.listings.values()) yield* Object.values(listing);
    yield* this.refusals.values();
  }

  // take takes an event of the stream in: what came since the one before.
  take(curve) {
    if (curve.last > this.last) {
      for (const past of this.all()) past.shift(this.last ? Math.min(seconds, curve.last - this.last) : 0);
      this.last = curve.last;
    }
    for (const listing of curve.listings) {
      let mine = this.listings.get(listing.sku);
      if (!mine) this.listings.set(listing.sku, mine = Object.fromEntries(figures.map((name) => [name, new Past()])));
      for (const name of figures) listing[name].forEach((value, i) => mine[name].put(this.last - listing.from - i, value));
      if (listing[figures[0]].length && (!this.first || listing.from < this.first)) this.first = listing.from;
    }
    for (const [reason, counts] of Object.entries(curve.refusals.reasons)) {
      let mine = this.refusals.get(reason);
      if (!mine) this.refusals.set(reason, mine = new Past());
      counts.forEach((value, i) => mine.put(this.last - curve.refusals.from - i, value));
    }
  }

  // latest sums a figure of all listings up.
  latest(name) {
    let sum = 0;
    for (const listing of this.listings.values()) sum += listing[name].latest;
    return sum;
  }
}

// drawn gives the last seconds of figures (each a Past, or several to be summed up) as uPlot
// takes them.
function drawn(hour, of, span) {
  const from = Math.max(seconds - span, seconds - 1 - Math.max(30, hour.last - hour.first));
  const xs = [];
  for (let i = from; i < seconds; i++) xs.push(hour.last - (seconds - 1 - i));
  return [xs, ...of.map((pasts) => xs.map((_, k) => {
    let sum = null;
    for (const past of pasts) {
      const value = past.points[from + k];
      if (value !== none) sum = (sum ?? 0) + value;
    }
    return sum;
  }))];
}

// Chart draws figures of an hour: lines are { name, color, pasts, right, fill }, of which color
// is a class of the style sheet, and right has a scale of its own. label says what it shows;
// version changes when there is something new.
export function Chart({ label, hour, lines, span, height = 180, version }) {
  const root = useRef();
  const plot = useRef(null);
  const [at, setAt] = useState(null);
  const shape = lines.map((line) => line.color + line.name).join();
  useEffect(() => {
    const color = (name) => getComputedStyle(root.current.querySelector(`.ink-${name}`)).color;
    const grid = { stroke: () => color("line"), width: 1 };
    const axis = { stroke: () => color("soft"), grid, ticks: grid, font: "12px system-ui, sans-serif", values: (_, splits) => splits.map((n) => (Number.isInteger(n) ? number(n) : "")) };
    const range = (_, least, most) => [0, Math.max(4, Math.ceil(1.1 * (most ?? 0)))];
    const place = root.current.querySelector(".plot");
    const u = new uPlot({
      width: place.clientWidth, height, legend: { show: false }, padding: [10, 30, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: true }, y: { range }, right: { range } },
      axes: [
        { ...axis, space: 90, values: (_, splits) => splits.map((s) => clockTime(1000 * s)) },
        { ...axis, size: 56 },
        ...(lines.some((line) => line.right) ? [{ ...axis, scale: "right", side: 1, size: 44, grid: { show: false } }] : []),
      ],
      series: [{}, ...lines.map((line) => ({
        scale: line.right ? "right" : "y", width: line.right ? 1.5 : 2, stroke: () => color(line.color), points: { show: false },
        fill: line.fill ? () => color(line.color).replace(/^rgb\((.*)\)$/, "rgba($1, .14)") : undefined,
        paths: line.right ? undefined : uPlot.paths.stepped({ align: 1 }),
      }))],
      hooks: { setCursor: [(of) => setAt(of.cursor.idx ?? null)] },
    }, [[], ...lines.map(() => [])], place);
    plot.current = u;
    const sized = new ResizeObserver(() => place.clientWidth > 0 && u.setSize({ width: place.clientWidth, height }));
    sized.observe(place);
    return () => {
      sized.disconnect();
      u.destroy();
      plot.current = null;
    };
  }, [shape, height]);
  useEffect(() => {
    plot.current?.setData(drawn(hour, lines.map((line) => line.pasts), span));
  }, [hour, version, span, shape]);
  const shown = (i) => {
    const value = at === null ? undefined : plot.current?.data[i + 1]?.[at];
    return value ?? lines[i].pasts.reduce((sum, past) => sum + past.latest, 0);
  };
  const text = lines.map((line, i) => `${line.name} ${number(shown(i))}`).join(", ");
  return html`<figure class="chart" ref=${root}>
    <i class="ink-line" hidden></i><i class="ink-soft" hidden></i>
    <div class="plot" role="img" aria-label=${t("chart.label", { of: label, values: text })}></div>
    <figcaption>${lines.map((line, i) => html`<span class="key"><i class=${`ink-${line.color}`}></i>${line.name} <b>${number(shown(i))}</b></span>`)}</figcaption>
  </figure>`;
}

// Bar is how a listing's units are shared out.
export function Bar({ paid, held, available, stock }) {
  const all = Math.max(1, stock);
  const [a, b] = [(100 * paid) / all, (100 * held) / all];
  return html`<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" role="img"
      aria-label=${t("chart.bar", { paid: number(paid), held: number(held), available: number(available), stock: number(stock) })}>
    <rect class="fill-line" width="100" height="4" /><rect class="fill-paid" width=${a} height="4" /><rect class="fill-held" x=${a} width=${b} height="4" />
  </svg>`;
}
