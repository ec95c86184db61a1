/**
 * What should have been shown and was not: reports it, and sees to it that it comes (docs/protocol.md §6.2, `missed`).
 *
 * Single-threaded; time and timers are injected. A failure is reported at the commit of its frame, before its
 * acknowledgement. What fails again as a repair is reported ever later: without that a browser that cannot decode what
 * is sent would ask for ever. Areas nobody repairs end in a request for the whole picture.
 */

import { OpKind } from "./protocol.js";
import { add, overlaps, subtract } from "./region.js";

const FIRST_DELAY_MS = 1000;
const LAST_DELAY_MS = 30_000;
/** Areas that are not repaired after this cost a whole snapshot. */
const ANSWER_MS = 15_000;
/** Without failed repairs for so long the delay begins anew. */
const CALM_MS = 10_000;

/**
 * @typedef {import("./protocol.js").Op} Op
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./region.js").Rectangle} Rectangle
 *
 * @typedef {object} Report
 * @property {number} epoch
 * @property {number} frame
 * @property {Rectangle[]} areas 1…64
 * @property {number[]} streams whose decoder has lost its base
 *
 * @typedef {object} MissingOptions
 * @property {(report: Report) => void} send
 * @property {(reason: string) => void} onUnrepaired nothing helped: the whole picture is needed
 * @property {(stream: number) => boolean} isLost whether an H.264 stream waits for a key frame
 * @property {() => number} now
 * @property {(callback: () => void, ms: number) => any} setTimer
 * @property {(timer: any) => void} clearTimer
 */

export class Missing {
  #options;
  /** @type {Rectangle[]} */
  #areas = [];
  /** Streams that were reported and have not had their key frame. @type {Set<number>} */
  #streams = new Set();
  #delay = FIRST_DELAY_MS;
  #failedAt = -Infinity;
  /** A report that waits for its time. @type {{report: Report, timer: any} | null} */
  #late = null;
  /** @type {any} */
  #answer = null;

  /** @param {MissingOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** Whether something of the picture is known to be wrong. */
  get any() {
    return this.#areas.length > 0;
  }

  /**
   * A frame, snapshot or repair has been committed.
   *
   * @param {Message} message the first one of it
   * @param {Op[]} ops all of them, in order
   * @param {Op[]} failed those that were not shown
   */
  committed(message, ops, failed) {
    if (failed.length === 0 && this.#areas.length === 0 && this.#streams.size === 0) return;
    const wrong = new Set(failed);
    for (const op of ops) {
      const spreads = op.kind === OpKind.COPY && this.#areas.some((area) => overlaps(area, { ...op, x: op.sx, y: op.sy }));
      const change = wrong.has(op) || spreads ? add : subtract;
      this.#areas = change(this.#areas, op);
      if (op.kind === OpKind.H264 && !wrong.has(op)) this.#streams.delete(op.stream);
    }
    if (this.#areas.length === 0) this.#rest();
    this.#report(message, failed);
  }

  /** Everything is new: a whole snapshot, another epoch or connection. */
  clear() {
    this.#areas = [];
    this.#streams.clear();
    this.#rest();
  }

  /**
   * @param {Message} message
   * @param {Op[]} failed
   */
  #report({ epoch, frameId, snapshot }, failed) {
    const { isLost, now, send } = this.#options;
    // Of a stream that waits for its key frame the server knows already.
    const news = failed.filter((op) => op.kind !== OpKind.H264 || !this.#streams.has(op.stream));
    if (news.length === 0) return;
    const streams = new Set(news.filter((op) => op.kind === OpKind.H264 && isLost(op.stream)).map((op) => op.stream));
    for (const stream of streams) this.#streams.add(stream);
    const areas = news.reduce(add, /** @type {Rectangle[]} */ ([]));
    const report = { epoch, frame: frameId, areas, streams: [...streams] };
    if (!snapshot) {
      send(report);
      this.#expectAnswer();
      return;
    }
    if (now() - this.#failedAt > CALM_MS + this.#delay) this.#delay = FIRST_DELAY_MS;
    this.#failedAt = now();
    this.#postpone(report);
  }

  /** @param {Report} report */
  #postpone(report) {
    const { setTimer, send } = this.#options;
    if (this.#late !== null) {
      const { areas, streams } = this.#late.report;
      Object.assign(this.#late.report, report, {
        areas: report.areas.reduce(add, areas),
        streams: [...new Set([...streams, ...report.streams])],
      });
      return;
    }
    const timer = setTimer(() => {
      const late = this.#late;
      this.#late = null;
      if (late === null || this.#areas.length === 0) return;
      send(late.report);
      this.#expectAnswer();
    }, this.#delay);
    this.#late = { report, timer };
    this.#delay = Math.min(this.#delay * 2, LAST_DELAY_MS);
  }

  #expectAnswer() {
    const { clearTimer, setTimer } = this.#options;
    clearTimer(this.#answer);
    this.#answer = setTimer(() => this.#options.onUnrepaired("missed areas that nobody repaired"), ANSWER_MS);
  }

  #rest() {
    const { clearTimer } = this.#options;
    clearTimer(this.#answer);
    clearTimer(this.#late?.timer);
    this.#answer = this.#late = null;
  }
}
