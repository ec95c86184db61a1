/**
 * The picture stream: which messages apply, in which order, and what to do when one is missing (docs/protocol.md §1–2).
 *
 * Owns the frame queue and the decoders; runs wherever its renderer does and never blocks. Epochs, as-of, snapshots in
 * several messages and sizes are decided on arrival; painting and acknowledging follow the commit.
 */

import { CopyDecoder } from "./decoders/copy.js";
import { FillDecoder } from "./decoders/fill.js";
import { H264Decoder } from "./decoders/h264.js";
import { JpegDecoder } from "./decoders/jpeg.js";
import { LosslessDecoder } from "./decoders/lossless.js";
import { OpKind, parseMessage } from "./protocol.js";
import { FrameQueue } from "./queue.js";
import { Resync } from "./resync.js";
import { newCounters } from "./stats.js";

/** @type {Record<number, string>} */
const OP_NAMES = {
  [OpKind.FILL]: "fill",
  [OpKind.COPY]: "copy",
  [OpKind.LOSSLESS]: "lossless",
  [OpKind.JPEG]: "jpeg",
  [OpKind.H264]: "h264",
};
/** Bounds on what waits for its commit; beyond them the stream starts anew from a snapshot. */
const MAX_WAITING_FRAMES = 64;
const MAX_WAITING_BYTES = 128 * 1024 * 1024;
const MAX_SNAPSHOT_PARTS = 1024;
/** Longest pause between two messages of one snapshot. */
const SNAPSHOT_PAUSE_MS = 5000;
/** After an engine's restart the server sends a snapshot unasked; so long it is given for it. */
const SNAPSHOT_GRACE_MS = 2000;

/**
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Op} Op
 * @typedef {import("./queue.js").Entry} Entry
 * @typedef {import("./decoders/patch.js").Decoder} Decoder
 * @typedef {import("./decoders/patch.js").Patch} Patch
 * @typedef {Pick<import("./renderer.js").Renderer, "resize" | "commit">} Painter
 *
 * @typedef {object} Committed
 * @property {number} epoch
 * @property {number} frame
 * @property {number} captureUs
 * @property {number} decodeMs from arrival to commit
 * @property {number} queue frames that still wait
 * @property {boolean} snapshot
 *
 * @typedef {object} StreamOptions
 * @property {Painter} renderer
 * @property {(commit: Committed) => void} onCommit
 * @property {(reason: string) => void} onResync ask the server for a snapshot
 * @property {(width: number, height: number) => void} onResize
 * @property {Record<number, Decoder>} [decoders] by kind of op
 * @property {() => number} [now]
 * @property {(callback: () => void, ms: number) => any} [setTimer]
 * @property {(timer: any) => void} [clearTimer]
 */

export class PictureStream {
  /** @type {Required<StreamOptions>} */
  #options;
  #queue;
  #resync;
  #epoch = 0;
  #lastId = 0;
  /** Nothing applies before a snapshot does. */
  #waiting = true;
  /** Size of the picture once all that waits is committed. */
  #width = 0;
  #height = 0;
  /** Size of the picture that is shown. */
  #shownWidth = 0;
  #shownHeight = 0;
  /** @type {{entry: Entry, message: Message, timer: any} | null} */
  #assembly = null;
  counters = newCounters();
  jpeg = new JpegDecoder();
  h264 = new H264Decoder();
  lossless = new LosslessDecoder();
  /** Ops committed, by name. @type {Record<string, number>} */
  ops = {};
  /** Name of the newest op. */
  lastKind = "";

  /** @param {StreamOptions} options */
  constructor(options) {
    this.#options = {
      now: () => performance.now(),
      setTimer: (callback, ms) => setTimeout(callback, ms),
      clearTimer: (timer) => clearTimeout(timer),
      decoders: {
        [OpKind.FILL]: new FillDecoder(),
        [OpKind.COPY]: new CopyDecoder(),
        [OpKind.LOSSLESS]: this.lossless,
        [OpKind.JPEG]: this.jpeg,
        [OpKind.H264]: this.h264,
      },
      ...options,
    };
    const { now, setTimer, clearTimer } = this.#options;
    this.#queue = new FrameQueue({
      decode: (message) => this.#decode(message),
      commit: (entry) => this.#commit(entry),
      now,
      setTimer,
      clearTimer,
    });
    this.#resync = new Resync({
      send: (reason) => {
        this.counters.resyncs++;
        this.#options.onResync(reason);
      },
      now,
      setTimer,
      clearTimer,
    });
  }

  /** Epoch of the newest message; 0 before the first. */
  get epoch() {
    return this.#epoch;
  }

  /** Frames that have come and are not committed. */
  get waitingFrames() {
    return this.#queue.length;
  }

  /**
   * Take one binary message.
   *
   * @param {ArrayBuffer} data
   */
  receive(data) {
    this.counters.bytes += data.byteLength;
    /** @type {Message} */
    let message;
    try {
      message = parseMessage(data);
    } catch (error) {
      this.counters.malformed++;
      this.#resync.request(`malformed message: ${/** @type {Error} */ (error).message}`);
      return;
    }
    if (message.epoch !== this.#epoch) this.#beginEpoch(message.epoch);
    if (message.snapshot) this.#receiveSnapshot(message);
    else this.#receiveFrame(message);
    if (this.#queue.length > MAX_WAITING_FRAMES || this.#queue.bytes > MAX_WAITING_BYTES) {
      this.#startOver("more frames wait than this browser can decode");
    }
  }

  /** A new connection: what was under way will not be continued. The picture stays until a snapshot comes. */
  restart() {
    this.#forget();
    this.#resync.settle();
  }

  /** @param {number} epoch */
  #beginEpoch(epoch) {
    this.#forget();
    this.#epoch = epoch;
    this.#lastId = 0;
  }

  /** Drop all that is under way and wait for a snapshot. */
  #forget() {
    if (this.#assembly !== null) this.#options.clearTimer(this.#assembly.timer);
    this.#assembly = null;
    this.counters.dropped += this.#queue.length;
    this.#queue.clear();
    for (const decoder of Object.values(this.#options.decoders)) decoder.reset();
    this.#waiting = true;
  }

  /** @param {string} reason */
  #startOver(reason) {
    this.#forget();
    this.#resync.request(reason);
  }

  /** @param {Message} message */
  #receiveFrame(message) {
    if (this.#waiting || message.frameId <= this.#lastId) {
      this.counters.dropped++;
      if (this.#waiting) this.#resync.requestAfter("a frame before a snapshot", SNAPSHOT_GRACE_MS);
      return;
    }
    if (!message.resized && (message.width !== this.#width || message.height !== this.#height)) {
      this.counters.dropped++;
      this.#startOver("missed a resize");
      return;
    }
    this.#accept(message);
    this.#queue.push(message);
  }

  /** @param {Message} message */
  #receiveSnapshot(message) {
    const open = this.#assembly;
    if (open !== null) {
      const { frameId, width, height } = open.message;
      if (frameId === message.frameId && width === message.width && height === message.height) {
        this.#options.clearTimer(open.timer);
        if (open.entry.messages.length >= MAX_SNAPSHOT_PARTS) {
          this.#startOver("a snapshot without end");
          return;
        }
        this.#assembly = null;
        if (message.more) this.#assemble(open.entry, message);
        this.#queue.extend(open.entry, message);
        return;
      }
      // Another one has begun: what waited for the old one has no picture to go by.
      this.#forget();
    }
    if (!this.#waiting && message.frameId < this.#lastId) {
      // Newer frames have been applied already; this would take them back.
      this.counters.dropped++;
      return;
    }
    this.#accept(message);
    this.#waiting = false;
    const entry = this.#queue.push(message);
    if (message.more) this.#assemble(entry, message);
  }

  /** @param {Message} message */
  #accept(message) {
    this.#lastId = message.frameId;
    this.#width = message.width;
    this.#height = message.height;
  }

  /**
   * @param {Entry} entry
   * @param {Message} message
   */
  #assemble(entry, message) {
    const timer = this.#options.setTimer(() => this.#startOver("a snapshot that stopped"), SNAPSHOT_PAUSE_MS);
    this.#assembly = { entry, message, timer };
  }

  /**
   * Start the decode of all ops of a message.
   *
   * @param {Message} message
   * @returns {(Patch | Promise<Patch>)[]}
   */
  #decode(message) {
    return message.ops.map((op) => {
      try {
        return this.#options.decoders[op.kind].decode(op, message);
      } catch (error) {
        return Promise.reject(error);
      }
    });
  }

  /** @param {Entry} entry */
  #commit(entry) {
    const { renderer, now } = this.#options;
    const message = entry.messages[0];
    try {
      this.#resize(message);
    } catch {
      // No memory for a picture of that size: nothing can be painted, and another snapshot would not change it.
      this.counters.failures++;
      return;
    }
    const unpainted = renderer.commit(entry.patches.flat());
    this.counters.frames++;
    if (message.snapshot) {
      this.counters.snapshots++;
      this.#resync.settle();
    }
    this.#judge(entry.failures, unpainted);
    for (const { ops } of entry.messages) this.#count(ops);
    this.#options.onCommit({
      epoch: message.epoch,
      frame: message.frameId,
      captureUs: message.captureUs,
      decodeMs: now() - entry.arrived,
      queue: this.#queue.length,
      snapshot: message.snapshot,
    });
  }

  /**
   * Ask for repair of what a frame should have shown and did not. Asked for at the commit, never before: a snapshot
   * that commits in between would be taken for the answer.
   *
   * @param {string[]} failures
   * @param {number} unpainted
   */
  #judge(failures, unpainted) {
    this.counters.failures += failures.length + unpainted;
    if (failures.length > 0) this.#resync.request(failures[0]);
    else if (unpainted > 0) this.#resync.request("a decoded picture could not be painted");
  }

  /** @param {Op[]} ops */
  #count(ops) {
    for (const { kind } of ops) {
      this.ops[OP_NAMES[kind]] = (this.ops[OP_NAMES[kind]] ?? 0) + 1;
      this.lastKind = OP_NAMES[kind];
    }
  }

  /** @param {Message} message */
  #resize({ width, height, resized }) {
    const changed = width !== this.#shownWidth || height !== this.#shownHeight;
    if (!changed && !resized) return;
    this.#options.renderer.resize(width, height);
    this.#shownWidth = width;
    this.#shownHeight = height;
    if (changed) this.#options.onResize(width, height);
  }
}
