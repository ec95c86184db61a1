/**
 * The veil: what lies over the picture while there is none, or no fresh one.
 *
 * Owns #veil (role=status). Words come from situation.js; the seconds are kept out of what a screen reader announces.
 */

import { element } from "./dom.js";

/**
 * @typedef {import("./situation.js").Situation} Situation
 * @typedef {Record<Situation["actions"][number], {label: string, run: () => void}>} Actions
 */

export class Veil {
  #root;
  #actions;
  /** What is shown, to leave the same alone: a screen reader would say it again. */
  #shown = "";
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticker;

  /**
   * @param {HTMLElement} root
   * @param {Actions} actions
   */
  constructor(root, actions) {
    this.#root = root;
    this.#actions = actions;
  }

  /** @param {Situation | null} situation */
  show(situation) {
    const key = JSON.stringify(situation);
    if (key === this.#shown && situation?.retryMs === undefined) return;
    this.#shown = key;
    clearInterval(this.#ticker);
    this.#root.hidden = situation === null;
    const hadFocus = this.#root.contains(document.activeElement);
    this.#root.replaceChildren();
    if (situation === null) return;
    this.#root.classList.toggle("see-through", situation.see);
    this.#root.append(this.#card(situation));
    if (hadFocus) this.#root.querySelector("button")?.focus();
  }

  /** @param {Situation} situation */
  #card({ title, text, busy, retryMs, actions }) {
    const card = element("div", { class: "card" });
    if (busy) card.append(element("div", { class: "spinner", "aria-hidden": "true" }));
    card.append(element("h2", { text: title }));
    if (text !== "") card.append(element("p", { text }));
    if (retryMs !== undefined) card.append(this.#countdown(retryMs));
    if (actions.length > 0) {
      const buttons = actions.map((name) => {
        const { label, run } = this.#actions[name];
        return element("button", { type: "button", class: "action", text: label, click: run });
      });
      card.append(element("div", { class: "actions" }, ...buttons));
    }
    return card;
  }

  /** @param {number} retryMs */
  #countdown(retryMs) {
    const due = performance.now() + retryMs;
    const seconds = element("p", { class: "muted", "aria-hidden": "true" });
    const update = () => {
      const left = Math.max(0, Math.ceil((due - performance.now()) / 1000));
      seconds.textContent = left > 0 ? `Trying again in ${left} s` : "Trying again…";
    };
    update();
    this.#ticker = setInterval(update, 250);
    return seconds;
  }
}
