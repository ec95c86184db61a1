/**
 * The input sender: gathers events of pointer and keyboard into messages.
 *
 * Moves are coalesced to one an animation frame; everything else goes out at once, with the move before it, so that a
 * click always lands where the pointer was. Nothing is sent while input is not allowed.
 */

import { MAX_EVENTS } from "./protocol.js";

/**
 * @typedef {import("./protocol.js").InputEvent} InputEvent
 */

export class InputSender {
  /** @type {InputEvent[]} */
  #events = [];
  #scheduled = false;
  #send;
  #schedule;
  enabled = false;

  /**
   * @param {(events: InputEvent[]) => void} send takes 1…64 events
   * @param {(callback: () => void) => void} [schedule] runs the callback before the next paint
   */
  constructor(send, schedule = (callback) => void requestAnimationFrame(callback)) {
    this.#send = send;
    this.#schedule = schedule;
  }

  /**
   * @param {number} x pixel of the picture
   * @param {number} y
   */
  move(x, y) {
    if (!this.enabled) return;
    const last = this.#events.at(-1);
    if (last?.[0] === "move") this.#events.pop();
    this.#events.push(["move", x, y]);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** @param {InputEvent} event anything but a move */
  push(event) {
    if (!this.enabled) return;
    this.#events.push(event);
    this.flush();
  }

  /** Send what has been gathered. */
  flush() {
    while (this.#events.length > 0) this.#send(this.#events.splice(0, MAX_EVENTS));
  }
}
