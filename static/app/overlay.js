/**
 * The overlay: statistics panel and passing messages. Owns #overlay, which lets the pointer through but for its cards.
 */

import { element } from "./dom.js";

const REFRESH_MS = 500;
const TOAST_MS = 10_000;
const MAX_TOASTS = 4;

/** @typedef {import("../core/pipeline.js").Stats} Stats */

export class Overlay {
  #panel = element("dl", { class: "stats", hidden: true, "aria-label": "Statistics" });
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
    const rows = statsRows(await this.#readStats());
    const nodes = rows.flatMap(([name, value]) => [element("dt", { text: name }), element("dd", { text: value })]);
    this.#panel.replaceChildren(...nodes);
  }
}

/**
 * The statistics in words.
 *
 * @param {Stats} stats
 * @returns {[string, string][]}
 */
export function statsRows(stats) {
  /** @param {number | null} value @param {string} unit */
  const rounded = (value, unit) => (value === null ? "–" : `${Math.round(value)} ${unit}`);
  const size = stats.width > 0 ? `${stats.width} × ${stats.height}` : "–";
  const codec = stats.codec === "h264" ? `H.264 (${stats.h264Codec})` : stats.codec.toUpperCase() || "–";
  const { mode, fps, viewers } = stats.server;
  const lost = stats.failures > 0 ? `, ${stats.failures} decodes failed` : "";
  /** @type {[string, string][]} */
  const rows = [
    ["Frames", `${Math.round(stats.fps)} fps`],
    ["Bit rate", `${Math.round(stats.kbps)} kbit/s`],
    ["Latency", rounded(stats.latencyMs, "ms")],
    ["Round trip", rounded(stats.rttMs, "ms")],
    ["Decode", `${stats.decodeMs.toFixed(1)} ms`],
    ["Smoothing", stats.smoothing ? `on, costs ${Math.round(stats.smoothingMs)} ms` : "off"],
    ["Codec", codec],
    ["Picture", size],
    ["Dropped", `${stats.dropped} frames${lost}`],
  ];
  if (typeof mode === "string") rows.push(["Engine", `${mode}${typeof fps === "number" ? `, ${Math.round(fps)} fps` : ""}`]);
  if (typeof viewers === "number") rows.push(["Viewers", String(viewers)]);
  return rows;
}
