/**
 * The screen: messages in, pixels on the canvas out, without network and page. It decodes and draws, and tells what has
 * become of each frame.
 *
 * Runs in a dedicated worker on an OffscreenCanvas (screen.worker.js), or on the page's thread where a browser has none
 * (RemoteScreen and Screen look the same from outside). However busy it is, the page's own thread with the socket and
 * the person's input is not, if there is a worker.
 */

import { Renderer } from "./renderer.js";
import { PictureStream } from "./stream.js";

/**
 * @typedef {import("./missing.js").Report} Report
 *
 * @typedef {object} Commit What has become of a frame. Times are ms since 1970, for worker and page count from different
 *   beginnings.
 * @property {number} epoch
 * @property {number} frame newest id of which everything is committed
 * @property {number} serial of the newest snapshot or repair committed, 0 before the first
 * @property {boolean} snapshot a snapshot or a repair
 * @property {number} ops how many it had
 * @property {number} captureUs
 * @property {number} encodeUs
 * @property {number} publishUs
 * @property {number} arrived
 * @property {number} ready
 * @property {number} decodeMs
 * @property {number} paintMs
 * @property {number} queue
 *
 * @typedef {object} ScreenEvent one of the following, and
 * @property {number} [connection] what `restart` was last told: who asks may have another one by now
 * @property {Commit[]} [commits] of one turn, oldest first
 * @property {Report} [missed] what was not shown; before the commit of its frame
 * @property {string} [resync] the reason why a snapshot is needed
 * @property {{width: number, height: number}} [size] of the picture
 * @property {number} [presented] when all that was committed before went to the display, ms since 1970
 */

/** @typedef {Awaited<ReturnType<Screen["stats"]>>} ScreenStats */

export class Screen {
  #renderer;
  #stream;
  /** @type {Commit[]} */
  #commits = [];
  #connection = 0;
  #width = 0;
  #height = 0;
  /** @type {(event: ScreenEvent) => void} */
  onEvent = () => {};

  /**
   * @param {HTMLCanvasElement | OffscreenCanvas} canvas without a context
   * @param {boolean} [inWorker] for the statistics
   */
  constructor(canvas, inWorker = false) {
    this.inWorker = inWorker;
    this.#renderer = new Renderer(canvas, (time) => this.#emit({ presented: performance.timeOrigin + time }));
    this.#stream = new PictureStream({
      renderer: this.#renderer,
      onCommit: (commit) => this.#committed(commit),
      onResync: (reason) => this.#emit({ resync: reason }),
      onMissed: (report) => {
        this.#tell();
        this.#emit({ missed: report });
      },
      onResize: (width, height) => {
        this.#width = width;
        this.#height = height;
        this.#emit({ size: { width, height } });
      },
    });
  }

  /**
   * @param {ArrayBuffer} data one binary message, given away
   * @param {number} arrived ms since 1970
   */
  receive(data, arrived) {
    this.#stream.receive(data, arrived - performance.timeOrigin);
  }

  /**
   * A new connection: what was under way will not be continued. The picture stays until another comes.
   *
   * @param {number} connection its number
   */
  restart(connection) {
    this.#commits = [];
    this.#connection = connection;
    this.#stream.restart();
  }

  /** @param {boolean} hidden whether nobody can see it */
  setHidden(hidden) {
    this.#stream.setHidden(hidden);
  }

  /** @param {boolean} on whether moving pictures are smoothed, for a frame's delay */
  setSmoothing(on) {
    this.#stream.smoother.enabled = on;
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} w
   * @param {number} h
   */
  async readPixels(x, y, w, h) {
    return this.#renderer.readPixels(x, y, w, h);
  }

  async stats() {
    const { counters, lastKind, jpeg, h264, lossless, smoother } = this.#stream;
    return {
      width: this.#width,
      height: this.#height,
      epoch: this.#stream.epoch,
      codec: lastKind,
      ops: this.#stream.ops,
      h264Codec: h264.codec,
      jpegMethod: jpeg.method,
      losslessMethod: lossless.method,
      worker: this.inWorker,
      queue: this.#stream.waitingFrames,
      merged: this.#renderer.merged,
      smoothing: smoother.enabled,
      smoothingMs: smoother.interval,
      ...counters,
    };
  }

  /** @param {import("./stream.js").Committed} commit */
  #committed({ message, arrived, ready, ...rest }) {
    const { captureUs, encodeUs, publishUs, snapshot } = message;
    const origin = performance.timeOrigin;
    // Frames that commit in one turn are told together, and share an acknowledgement.
    if (this.#commits.length === 0) queueMicrotask(() => this.#tell());
    const times = { captureUs, encodeUs, publishUs, arrived: arrived + origin, ready: ready + origin };
    this.#commits.push({ ...rest, ...times, snapshot, ops: message.ops.length });
  }

  /** @param {ScreenEvent} event */
  #emit(event) {
    this.onEvent({ ...event, connection: this.#connection });
  }

  #tell() {
    if (this.#commits.length > 0) this.#emit({ commits: this.#commits.splice(0) });
  }
}
