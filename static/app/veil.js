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
  #onLeave;
  /** What is shown, to leave the same alone: a screen reader would say it again. */
  #shown = "";
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticker;
  #seconds = element("p", { class: "muted", "aria-hidden": "true" });

  /**
   * @param {HTMLElement} root
   * @param {Actions} actions
   * @param {() => void} onLeave the veil goes and had the focus
   */
  constructor(root, actions, onLeave) {
    this.#root = root;
    this.#actions = actions;
    this.#onLeave = onLeave;
    // Keeps the focus while a card without buttons stands between two that have some.
    root.tabIndex = -1;
  }

  /** @param {Situation | null} situation */
  show(situation) {
    clearInterval(this.#ticker);
    if (situation?.retryMs !== undefined) this.#countDown(situation.retryMs);
    const key = JSON.stringify({ ...situation, retryMs: situation?.retryMs !== undefined });
    if (key === this.#shown) return;
    this.#shown = key;
    const hadFocus = this.#root.contains(document.activeElement);
    this.#root.hidden = situation === null;
    this.#root.replaceChildren();
    if (situation === null) {
      if (hadFocus) this.#onLeave();
      return;
    }
    this.#root.classList.toggle("see-through", situation.see);
    this.#root.append(this.#card(situation));
    if (hadFocus) (this.#root.querySelector("button") ?? this.#root).focus();
  }

  /** @param {Situation} situation */
  #card({ title, text, busy, retryMs, actions }) {
    const card = element("div", { class: "card" });
    if (busy) card.append(element("div", { class: "spinner", "aria-hidden": "true" }));
    card.append(element("h2", { text: title }));
    if (text !== "") card.append(element("p", { text }));
    if (retryMs !== undefined) card.append(this.#seconds);
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
  #countDown(retryMs) {
    const due = performance.now() + retryMs;
    const update = () => {
      const left = Math.max(0, Math.ceil((due - performance.now()) / 1000));
      this.#seconds.textContent = left > 0 ? `Trying again in ${left} s` : "Trying again…";
    };
    update();
    this.#ticker = setInterval(update, 250);
  }
}
