/**
 * Smoothing: a jitter buffer of one frame, off unless a person wants it.
 *
 * A moving picture over a shaky line comes in fits and starts. Each frame of it is held until one frame interval after
 * the earliest moment it could have been shown, so that pictures follow each other as they did on the screen. The first
 * frame after a rest is never held: that is what somebody who types waits for. Pure arithmetic on the engine's clock and
 * ours, of which only differences count.
 */

/** Frames this far apart are not a movement. */
const MOVING_MS = 100;
const MIN_INTERVAL_MS = 4;
const MAX_INTERVAL_MS = 50;
/** Gaps whose median is the interval, and frames among which the quickest says what the line takes at best. */
const GAPS = 15;
const TRANSITS = 60;

export class Smoother {
  enabled = false;
  /** @type {number[]} */
  #gaps = [];
  /** @type {number[]} */
  #transits = [];
  /** When the newest frame changed on the screen, ms of the engine's clock. */
  #capture = -Infinity;
  #moving = false;

  /** Interval between frames of the movement that is or was on the screen, ms: what the buffer costs. */
  get interval() {
    if (this.#gaps.length === 0) return 1000 / 60;
    const sorted = [...this.#gaps].sort((a, b) => a - b);
    return Math.min(Math.max(sorted[sorted.length >> 1], MIN_INTERVAL_MS), MAX_INTERVAL_MS);
  }

  /**
   * Note a frame that could be shown from now on; once a frame, in order.
   *
   * @param {number} captureUs when it changed on the screen, of the engine's clock
   * @param {number} ready ms, our clock
   * @returns {number} when to show it, ms of our clock; `ready` where there is nothing to smooth
   */
  due(captureUs, ready) {
    const capture = captureUs / 1000;
    const gap = capture - this.#capture;
    this.#capture = capture;
    this.#moving = gap > 0 && gap <= MOVING_MS;
    if (!this.#moving) this.#transits = [];
    else remember(this.#gaps, gap, GAPS);
    remember(this.#transits, ready - capture, TRANSITS);
    if (!this.enabled || !this.#moving) return ready;
    const earliest = capture + Math.min(...this.#transits);
    // Never longer than a frame after it was ready: a jump of the clock must not stop the picture.
    return Math.min(Math.max(ready, earliest + this.interval), ready + this.interval);
  }

  /** Another engine, another clock. */
  reset() {
    this.#gaps = [];
    this.#transits = [];
    this.#capture = -Infinity;
  }
}

/**
 * @param {number[]} list
 * @param {number} value
 * @param {number} most
 */
function remember(list, value, most) {
  list.push(value);
  if (list.length > most) list.shift();
}
