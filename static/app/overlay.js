/**
 * The overlay: statistics panel and passing messages. Owns #overlay, which lets the pointer through but for its cards.
 */

import { element } from "./dom.js";
import { LatencyChart } from "./latency.js";

const REFRESH_MS = 500;
const TOAST_MS = 10_000;
const MAX_TOASTS = 4;

/** @typedef {import("../core/pipeline.js").Stats} Stats */

export class Overlay {
  #rows = element("dl", {});
  #chart = new LatencyChart();
  #panel = element("section", { class: "stats", hidden: true, tabindex: "0", "aria-label": "Statistics" }, this.#chart.root, this.#rows);
  #toasts = element("div", { class: "toasts", role: "log", "aria-label": "Messages" });
  #readStats;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /**
   * @param {HTMLElement} root
   * @param {() => Promise<Stats>} readStats
   */
  constructor(root, readStats) {
    this.#readStats = readStats;
    root.append(this.#panel, this.#toasts);
  }

  /**
   * Show or hide the statistics.
   *
   * @returns {boolean} whether they are shown now
   */
  toggleStats() {
    const shown = this.#panel.hidden;
    this.#panel.hidden = !shown;
    clearInterval(this.#timer);
    if (shown) {
      this.#refresh();
      this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
    }
    return shown;
  }

  /**
   * Show a message that goes by itself or at a click; the same text is not shown twice.
   *
   * @param {string} text
   */
  toast(text) {
    const same = [...this.#toasts.children].find((toast) => toast.firstChild?.textContent === text);
    same?.remove();
    const toast = element("div", { class: "toast" }, element("p", { text }));
    const close = element("button", { type: "button", "aria-label": "Dismiss", text: "×", click: () => toast.remove() });
    toast.append(close);
    this.#toasts.append(toast);
    while (this.#toasts.children.length > MAX_TOASTS) this.#toasts.firstElementChild?.remove();
    setTimeout(() => toast.remove(), TOAST_MS);
  }

  async #refresh() {
    if (document.hidden) return;
    const stats = await this.#readStats();
    this.#chart.show(stats);
    const nodes = statsRows(stats).flatMap(([name, value]) => [
      element("dt", { text: name }),
      element("dd", { text: value }),
    ]);
    this.#rows.replaceChildren(...nodes);
  }
}

/**
 * The statistics in words.
 *
 * @param {Stats} stats
 * @returns {[string, string][]}
 */
export function statsRows(stats) {
  const codec = stats.codec === "h264" ? `H.264 (${stats.h264Codec})` : stats.codec.toUpperCase() || "–";
  const { mode, fps, viewers, delivery, engine } = stats.server;
  /** @type {[string, string][]} */
  const rows = [
    ["Frames", `${Math.round(stats.fps)} fps`],
    ["Bit rate", `${Math.round(stats.kbps)} kbit/s`],
    ["Round trip", stats.rttMs === null ? "–" : `${Math.round(stats.rttMs)} ms`],
    ["Picture", `${stats.width > 0 ? `${stats.width} × ${stats.height}, ` : ""}${codec}`],
    ["Smoothing", stats.smoothing ? `on, costs ${Math.round(stats.smoothingMs)} ms` : "off"],
  ];
  if (typeof mode === "string") rows.push(["Engine", `${mode}${isNumber(fps) ? `, ${Math.round(fps)} fps` : ""}`]);
  if (delivery) rows.push(["Delivery", describeDelivery(delivery)]);
  rows.push(["Left out", describeDrops(stats, delivery?.dropped, engine?.dropped)]);
  if (isNumber(viewers)) rows.push(["Viewers", String(viewers)]);
  return rows;
}

/** @type {Record<string, string>} */
const PHASES = { push: "every frame", pull: "newest state when ready", start: "before its first picture" };

/** @param {Record<string, any>} delivery what the server says about this viewer */
function describeDelivery({ phase, shrink, rate_kbps: rate, cap_kbps: capKbps, cap_fps: capFps }) {
  const parts = [PHASES[phase] ?? String(phase)];
  if (phase === "pull" && shrink > 1) parts.push(`1/${shrink} size`);
  if (rate > 0) parts.push(`line ${Math.round(rate)} kbit/s`);
  if (capKbps > 0) parts.push(`at most ${capKbps} kbit/s`);
  if (capFps > 0) parts.push(`at most ${capFps} fps`);
  return parts.join(", ");
}

/** @type {Record<string, string>} */
const REASONS = {
  merged: "shown with the next",
  late: "came too late",
  failed: "could not be decoded",
  engine: "put off by the engine",
  behind: "you were not ready",
  gap: "lost on the way",
  base: "their base was missing",
  codec: "your browser lacks the codec",
  cap: "above your limit",
  hidden: "nobody looked",
};

/**
 * @param {Pick<Stats, "merged" | "dropped" | "failures">} stats
 * @param {Record<string, unknown>} [delivery] frames not passed on, by reason
 * @param {unknown} [engine] captures put off
 */
export function describeDrops({ merged, dropped, failures }, delivery = {}, engine = 0) {
  const counts = { ...delivery, engine, merged, late: dropped, failed: failures };
  const words = Object.entries(counts).filter(([name, count]) => isNumber(count) && count > 0 && name in REASONS);
  return words.length === 0 ? "nothing" : words.map(([name, count]) => `${count} ${REASONS[name]}`).join(", ");
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
