/**
 * The countdown: says that the session is about to be ended by itself, and lets those who may put it off.
 *
 * Owns its card in #overlay. The server tells the seconds again every few seconds; in between they run by the page's
 * monotonic clock. The sentence is announced once, the seconds are kept out of what a screen reader says.
 */

import { element } from "./dom.js";

/** @type {Record<string, string>} */
const SENTENCES = {
  idle: "Nobody uses this session. It will be ended in",
  "too-old": "This session is about to be as old as it may get. Save your work: it will be ended in",
};

/**
 * @param {number} seconds
 * @returns {string} as 4:59
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export class Countdown {
  #sentence = element("span", { role: "status" });
  #seconds = element("span", { "aria-hidden": "true", class: "seconds" });
  #button = element("button", { type: "button", class: "action", text: "Keep 2 h" });
  #root = element("section", { class: "countdown", hidden: true, "aria-label": "End of the session" });
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticker;
  #due = 0;
  #keep;

  /**
   * @param {HTMLElement} parent
   * @param {(() => Promise<void>) | null} keep null for those who may not put it off
   */
  constructor(parent, keep) {
    this.#keep = keep;
    this.#root.append(element("p", {}, this.#sentence, document.createTextNode(" "), this.#seconds), this.#button);
    this.#button.addEventListener("click", () => this.#press());
    parent.append(this.#root);
  }

  /** @param {{reason?: string, left_s?: number}} ending without a reason: it is not about to be ended any more */
  show({ reason = "", left_s: left = 0 }) {
    clearInterval(this.#ticker);
    const sentence = SENTENCES[reason] ?? "";
    this.#root.hidden = sentence === "";
    if (this.#sentence.textContent !== sentence) this.#sentence.textContent = sentence;
    if (sentence === "") return;
    this.#button.hidden = this.#keep === null || reason !== "idle";
    this.#due = performance.now() + left * 1000;
    this.#tick();
    this.#ticker = setInterval(() => this.#tick(), 500);
  }

  #tick() {
    this.#seconds.textContent = clock((this.#due - performance.now()) / 1000);
  }

  async #press() {
    this.#button.disabled = true;
    try {
      await this.#keep?.();
    } finally {
      this.#button.disabled = false;
    }
  }
}
