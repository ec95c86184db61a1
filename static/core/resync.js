/**
 * Asking for a snapshot: once until it has come, and ever more seldom when it does not help.
 *
 * Single-threaded; time and timers are injected. Without the growing delay a browser that cannot decode what a snapshot
 * holds would ask for the next one for ever.
 */

const FIRST_DELAY_MS = 1000;
const LAST_DELAY_MS = 30_000;
/** A snapshot that is not here after this is asked for again; sooner, a thin line would never get to the end of one. */
const ANSWER_MS = 15_000;
/** Without failures for so long the delay begins anew. */
const CALM_MS = 10_000;

/**
 * @typedef {object} ResyncOptions
 * @property {(reason: string) => void} send
 * @property {() => number} now
 * @property {(callback: () => void, ms: number) => any} setTimer
 * @property {(timer: any) => void} clearTimer
 */

export class Resync {
  #options;
  #pending = false;
  #sentAt = -Infinity;
  #delay = FIRST_DELAY_MS;
  /** @type {any} */
  #timer = null;

  /** @param {ResyncOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * The picture is not what it should be.
   *
   * @param {string} reason
   */
  request(reason) {
    if (this.#pending) return;
    this.#pending = true;
    const since = this.#options.now() - this.#sentAt;
    if (since > CALM_MS + this.#delay) this.#delay = FIRST_DELAY_MS;
    const wait = this.#sentAt === -Infinity ? 0 : this.#delay - since;
    if (wait <= 0) this.#send(reason);
    else this.#timer = this.#options.setTimer(() => this.#send(reason), wait);
  }

  /**
   * Ask later, unless a snapshot comes by itself before.
   *
   * @param {string} reason
   * @param {number} ms
   */
  requestAfter(reason, ms) {
    if (this.#pending) return;
    this.#pending = true;
    this.#timer = this.#options.setTimer(() => this.#send(reason), ms);
  }

  /** A snapshot has been committed, or the connection is a new one. */
  settle() {
    this.#pending = false;
    this.#options.clearTimer(this.#timer);
  }

  /** @param {string} reason */
  #send(reason) {
    this.#sentAt = this.#options.now();
    this.#delay = Math.min(this.#delay * 2, LAST_DELAY_MS);
    this.#options.send(reason);
    this.#timer = this.#options.setTimer(() => this.#send(reason), Math.max(ANSWER_MS, this.#delay));
  }
}
