/**
 * The pipeline: socket → decode → canvas, and back up input and acknowledgements.
 *
 * Everything between the network and the pixels, without the page: it runs in a dedicated worker on an OffscreenCanvas,
 * or on the main thread where a browser has none, with the same code. No commit and no acknowledgement waits for an
 * animation frame; input is sent in the turn in which it comes.
 */

import { Connection } from "./connection.js";
import { detectCodecs } from "./decoders/h264.js";
import { buildAck, buildInput, buildMissed, buildPreset, buildResync, buildVisibility } from "./protocol.js";
import { Renderer } from "./renderer.js";
import { Meter, ServerClock } from "./stats.js";
import { PictureStream } from "./stream.js";
import { parseText } from "./text.js";

/**
 * @typedef {object} PipelineEvent
 * @property {"status" | "message" | "size" | "picture"} name status: a connection.Status; message: a text message of
 *   the server; size: {width, height}; picture: the first frame after a (re)connection has been painted
 * @property {any} detail
 *
 * @typedef {object} PipelineOptions
 * @property {string} url absolute ws: or wss: address
 * @property {HTMLCanvasElement | OffscreenCanvas} canvas
 * @property {(event: PipelineEvent) => void} emit
 * @property {(() => Promise<string>) | undefined} [getTicket]
 * @property {string[]} [codecs] what to claim in the hello instead of what the browser can decode
 * @property {boolean} [inWorker] for the statistics
 */

/** @typedef {Awaited<ReturnType<Pipeline["stats"]>>} Stats */

export class Pipeline {
  #options;
  #renderer;
  #stream;
  /** @type {Connection | null} */
  #connection = null;
  #clock = new ServerClock();
  #meter = new Meter();
  #hidden = false;
  #closed = false;
  #width = 0;
  #height = 0;
  #painted = false;
  #unknown = 0;
  #malformed = 0;
  /** @type {import("./stream.js").Committed | null} */
  #unacknowledged = null;
  /** @type {Record<string, unknown>} */
  #serverStats = {};
  /** Notices by code. @type {Record<string, number>} */
  #notices = {};

  /** @param {PipelineOptions} options */
  constructor(options) {
    this.#options = options;
    this.#renderer = new Renderer(options.canvas);
    this.#stream = new PictureStream({
      renderer: this.#renderer,
      onCommit: (commit) => this.#committed(commit),
      onResync: (reason) => this.#connection?.send(buildResync(reason)),
      onMissed: ({ areas, ...report }) => {
        this.#acknowledge();
        this.#connection?.send(buildMissed({ ...report, areas: areas.map(({ x, y, w, h }) => [x, y, w, h]) }));
      },
      onResize: (width, height) => {
        this.#width = width;
        this.#height = height;
        this.#emit("size", { width, height });
      },
    });
  }

  /** Find out what the browser can decode and connect. */
  async start() {
    const codecs = this.#options.codecs ?? (await detectCodecs());
    if (this.#closed) return;
    this.#connection = new Connection({
      url: this.#options.url,
      codecs,
      getTicket: this.#options.getTicket,
      onStatus: (status) => this.#statusChanged(status),
      onText: (text) => this.#receiveText(text),
      onBinary: (data) => this.#receiveBinary(data),
    });
    this.#connection.open();
  }

  /** Connect again now instead of after the delay. */
  retry() {
    this.#connection?.open();
  }

  close() {
    this.#closed = true;
    this.#connection?.close();
    this.#stream.restart();
  }

  /** @param {import("./protocol.js").InputEvent[]} events */
  input(events) {
    const connection = this.#connection;
    if (connection?.state !== "open") return;
    connection.send(buildInput(connection.nextSeq(), events));
    connection.probe();
  }

  /** The page goes to sleep: it may be frozen, or kept for a way back to it. */
  suspend() {
    this.#connection?.suspend();
  }

  /** The page is awake, or the network has changed: find out whether the connection lives. */
  resume() {
    this.#connection?.resume();
  }

  /**
   * Send any text message as it is: for tests of what the server refuses.
   *
   * @param {Record<string, unknown>} message
   */
  sendUnchecked(message) {
    this.#connection?.send(JSON.stringify(message));
  }

  /** @param {number} id */
  preset(id) {
    this.#connection?.send(buildPreset(id));
  }

  /** @param {boolean} hidden */
  setHidden(hidden) {
    if (hidden === this.#hidden) return;
    this.#hidden = hidden;
    this.#connection?.send(buildVisibility(hidden));
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
    const now = performance.now();
    const { counters, lastKind, jpeg, h264, lossless, smoother } = this.#stream;
    return {
      state: this.#connection?.state ?? "connecting",
      width: this.#width,
      height: this.#height,
      epoch: this.#stream.epoch,
      codec: lastKind,
      ops: this.#stream.ops,
      notices: this.#notices,
      h264Codec: h264.codec,
      jpegMethod: jpeg.method,
      losslessMethod: lossless.method,
      worker: this.#options.inWorker === true,
      rttMs: this.#clock.rtt,
      queue: this.#stream.waitingFrames,
      merged: this.#renderer.merged,
      smoothing: smoother.enabled,
      smoothingMs: smoother.interval,
      ...this.#meter.read(now),
      ...counters,
      malformed: counters.malformed + this.#malformed,
      unknown: this.#unknown,
      server: this.#serverStats,
    };
  }

  /** @param {import("./connection.js").Status} status */
  #statusChanged(status) {
    if (status.state === "connecting") {
      this.#stream.restart();
      this.#clock.reset();
      this.#painted = false;
      this.#unacknowledged = null;
    }
    if (status.state === "open" && this.#hidden) this.#connection?.send(buildVisibility(true));
    this.#emit("status", status);
  }

  /** @param {ArrayBuffer} data */
  #receiveBinary(data) {
    this.#meter.received(data.byteLength, performance.now());
    this.#stream.receive(data);
  }

  /** @param {string} text */
  #receiveText(text) {
    let message;
    try {
      message = parseText(text);
    } catch {
      this.#malformed++;
      return;
    }
    if (message === null) {
      this.#unknown++;
      return;
    }
    if (message.type === "welcome") this.#connection?.accept(message.heartbeat_s ?? undefined);
    if (message.type === "error") this.#connection?.noteError(message.code, message.message ?? "");
    if (message.type === "notice") this.#notices[message.code] = (this.#notices[message.code] ?? 0) + 1;
    if (message.type === "stats") this.#serverStats = message;
    if (message.type === "pong") {
      this.#clock.addSample(message.t, performance.now(), message.server_us);
      return;
    }
    this.#emit("message", message);
  }

  /** @param {import("./stream.js").Committed} commit */
  #committed(commit) {
    const now = performance.now();
    const { captureUs, snapshot } = commit.message;
    this.#meter.committed(commit.decodeMs, snapshot ? null : this.#clock.since(captureUs, now), now);
    if (!this.#painted) {
      this.#painted = true;
      this.#emit("picture", {});
    }
    // Frames that commit in one turn share one acknowledgement.
    if (this.#unacknowledged === null) queueMicrotask(() => this.#acknowledge());
    this.#unacknowledged = commit;
  }

  #acknowledge() {
    const commit = this.#unacknowledged;
    this.#unacknowledged = null;
    if (commit === null) return;
    this.#connection?.send(buildAck(commit));
  }

  /**
   * @param {PipelineEvent["name"]} name
   * @param {any} detail
   */
  #emit(name, detail) {
    this.#options.emit({ name, detail });
  }
}
