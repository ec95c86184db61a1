/**
 * The latency chart: one bar in which each stage from the input to the paint is as long as it takes, a legend, and a
 * curve of the newest frames. Owns its elements; words for those who cannot see it are in the bar's label.
 */

import { STAGES } from "../core/timeline.js";
import { element } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const CURVE = { width: 240, height: 32 };
/** The curve's scale never ends below this: at rest noise would look like mountains. */
const LEAST_SCALE_MS = 20;

/** @typedef {{stage: import("../core/timeline.js").Stage, ms: number}} StageTime */

export class LatencyChart {
  #title = element("p", { class: "latency-title" });
  #bar = element("div", { class: "latency-bar", role: "img" });
  #legend = element("ul", { class: "latency-legend", "aria-hidden": "true" });
  #curve = document.createElementNS(SVG, "svg");
  #line = document.createElementNS(SVG, "polyline");
  #scale = element("span", { class: "latency-scale" });
  root;

  constructor() {
    this.#curve.setAttribute("viewBox", `0 0 ${CURVE.width} ${CURVE.height}`);
    this.#curve.setAttribute("preserveAspectRatio", "none");
    this.#curve.setAttribute("aria-hidden", "true");
    this.#curve.append(this.#line);
    const curve = element("div", { class: "latency-curve" }, this.#curve, this.#scale);
    this.root = element("div", { class: "latency", hidden: true }, this.#title, this.#bar, this.#legend, curve);
  }

  /** @param {{stages: StageTime[], history: number[]}} times */
  show({ stages, history }) {
    this.root.hidden = stages.length === 0;
    this.#title.textContent = latencyTitle(stages);
    this.#bar.setAttribute("aria-label", `${latencyTitle(stages)}: ${stages.map(describeStage).join(", ")}`);
    this.#bar.replaceChildren(...stages.map(({ stage, ms }) => {
      const part = element("span", { class: `stage stage-${stage}` });
      part.style.flexGrow = String(Math.max(ms, 0.01));
      return part;
    }));
    this.#legend.replaceChildren(...stages.map(({ stage, ms }) => {
      const swatch = element("i", { class: `stage-${stage}` });
      const { name, what } = STAGES[stage];
      return element("li", { title: what }, swatch, element("span", { text: name }), element("b", { text: formatMs(ms) }));
    }));
    const top = Math.max(LEAST_SCALE_MS, ...history);
    this.#line.setAttribute("points", curvePoints(history, top));
    this.#scale.textContent = `${Math.round(top)} ms`;
  }
}

/**
 * @param {StageTime[]} stages
 * @returns {string}
 */
export function latencyTitle(stages) {
  const total = stages.reduce((sum, { ms }) => sum + ms, 0);
  const whole = stages.some(({ stage }) => stage === "react");
  return `${whole ? "Input to picture" : "Change to picture"} ${formatMs(total)}`;
}

/** @param {StageTime} time */
function describeStage({ stage, ms }) {
  return `${STAGES[stage].name} ${formatMs(ms)}`;
}

/** @param {number} ms */
function formatMs(ms) {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/**
 * @param {number[]} history ms, oldest first
 * @param {number} top ms at the upper edge
 * @returns {string} points of the curve, the newest at the right
 */
export function curvePoints(history, top) {
  const step = CURVE.width / Math.max(history.length - 1, 1);
  return history.map((ms, i) => {
    const y = CURVE.height - 1 - (Math.min(ms, top) / top) * (CURVE.height - 2);
    return `${(i * step).toFixed(1)},${y.toFixed(1)}`;
  }).join(" ");
}
