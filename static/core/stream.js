/**
 * The picture stream: which messages apply, in which order, and what to do when one is missing (docs/protocol.md §1–2).
 *
 * Owns the frame queue and the decoders; runs wherever its renderer does and never blocks. Epochs, as-of, snapshots in
 * several messages and sizes are decided on arrival; painting, reporting what failed and acknowledging follow the commit.
 */

import { CopyDecoder } from "./decoders/copy.js";
import { FillDecoder } from "./decoders/fill.js";
import { H264Decoder } from "./decoders/h264.js";
import { JpegDecoder } from "./decoders/jpeg.js";
import { LosslessDecoder } from "./decoders/lossless.js";
import { Missing } from "./missing.js";
import { OpKind, parseMessage } from "./protocol.js";
import { FrameQueue } from "./queue.js";
import { Resync } from "./resync.js";
import { Smoother } from "./smoothing.js";
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
/** Longest pause between two messages of one snapshot: a thin line takes long for one of them. */
const SNAPSHOT_PAUSE_MS = 30_000;
/** What was decoding when the page was hidden has ended by then, one way or another. */
const HIDDEN_RESET_MS = 1000;
/** After an engine's restart the server sends a snapshot unasked; so long it is given for it. */
const SNAPSHOT_GRACE_MS = 2000;

/**
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Op} Op
 * @typedef {import("./queue.js").Entry} Entry
 * @typedef {import("./missing.js").Report} Report
 * @typedef {import("./decoders/patch.js").Decoder} Decoder
 * @typedef {import("./decoders/patch.js").Patch} Patch
 * @typedef {Pick<import("./renderer.js").Renderer, "resize" | "commit">} Painter
 *
 * @typedef {{entry: Entry, message: Message, timer: any}} Assembly a snapshot of which more is to come
 *
 * @typedef {object} Committed
 * @property {number} epoch
 * @property {number} frame newest id of which everything is committed
 * @property {number} serial of the newest snapshot or repair committed, 0 before the first
 * @property {Message} message the (first) one that was committed
 * @property {number} arrived ms
 * @property {number} ready when all of it was decoded, ms
 * @property {number} decodeMs from arrival to that
 * @property {number} paintMs from that to the commit
 * @property {number} queue frames that still wait
 *
 * @typedef {object} StreamOptions
 * @property {Painter} renderer
 * @property {(commit: Committed) => void} onCommit
 * @property {(reason: string) => void} onResync ask the server for a snapshot
 * @property {(report: Report) => void} onMissed tell the server what was not shown; before the commit is told
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
  #missing;
  #epoch = 0;
  /** Newest id that has come, and newest that is committed. */
  #lastId = 0;
  #committedId = 0;
  #serial = 0;
  /** Nothing applies before a snapshot does. */
  #waiting = true;
  /** Size of the picture once all that waits is committed. */
  #width = 0;
  #height = 0;
  /** Size of the picture that is shown. */
  #shownWidth = 0;
  #shownHeight = 0;
  /** @type {Assembly | null} */
  #assembly = null;
  /** Snapshots that came too late: acknowledged, not painted. @type {WeakSet<Message>} */
  #stale = new WeakSet();
  /** @type {any} */
  #hiddenTimer = null;
  smoother = new Smoother();
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
      due: ({ messages: [{ captureUs, snapshot }], ready }) => (snapshot ? ready : this.smoother.due(captureUs, ready)),
      now,
      setTimer,
      clearTimer,
    });
    this.#missing = new Missing({
      send: (report) => {
        this.counters.missed++;
        this.#options.onMissed(report);
      },
      onUnrepaired: (reason) => this.#resync.request(reason),
      isLost: (stream) => this.h264.isLost(stream),
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
   * @param {number} [arrived] ms, when it came out of the socket
   */
  receive(data, arrived = this.#options.now()) {
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
    if (message.snapshot) this.#receiveSnapshot(message, arrived);
    else this.#receiveFrame(message, arrived);
    if (this.#queue.length > MAX_WAITING_FRAMES || this.#queue.bytes > MAX_WAITING_BYTES) {
      this.#startOver("more frames wait than this browser can decode");
    }
  }

  /** A new connection: what was under way will not be continued. The picture stays until a snapshot comes. */
  restart() {
    this.#forget();
    this.#resync.settle();
    this.#serial = 0;
  }

  /**
   * Nobody sees the picture: what still comes is kept as bytes, and video decoders are let go. It is decoded, in order,
   * once the page is shown again: the server counts on what it sent before it knew.
   *
   * @param {boolean} hidden
   */
  setHidden(hidden) {
    const { setTimer, clearTimer } = this.#options;
    clearTimer(this.#hiddenTimer);
    if (hidden) this.#hiddenTimer = setTimer(() => this.h264.reset(), HIDDEN_RESET_MS);
    this.#queue.setPaused(hidden);
  }

  /** @param {number} epoch */
  #beginEpoch(epoch) {
    this.#forget();
    this.#epoch = epoch;
    this.#lastId = this.#committedId = 0;
    this.smoother.reset();
  }

  /** Drop all that is under way and wait for a snapshot. */
  #forget() {
    if (this.#assembly !== null) this.#options.clearTimer(this.#assembly.timer);
    this.#assembly = null;
    this.counters.dropped += this.#queue.length;
    this.#queue.clear();
    for (const decoder of Object.values(this.#options.decoders)) decoder.reset();
    this.#missing.clear();
    this.#waiting = true;
  }

  /** @param {string} reason */
  #startOver(reason) {
    this.#forget();
    this.#resync.request(reason);
  }

  /**
   * @param {Message} message
   * @param {number} arrived
   */
  #receiveFrame(message, arrived) {
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
    this.#queue.push(message, arrived);
  }

  /**
   * @param {Message} message
   * @param {number} arrived
   */
  #receiveSnapshot(message, arrived) {
    const open = this.#assembly;
    if (open !== null) {
      if (continues(open.message, message)) {
        this.#continueSnapshot(open, message);
        return;
      }
      // Another one has begun: what waited for the old one has no picture to go by.
      this.#forget();
    }
    if (message.partial && (this.#waiting || message.width !== this.#width || message.height !== this.#height)) {
      this.counters.dropped++;
      if (open !== null) this.#startOver("a repair that stopped");
      return;
    }
    if (!message.partial && !this.#waiting && message.frameId < this.#lastId) {
      // Newer frames have been applied already; this would take them back. Its acknowledgement is still due.
      this.counters.dropped++;
      this.#stale.add(message);
      message.ops = [];
    }
    this.#accept(message);
    this.#waiting = false;
    const entry = this.#queue.push(message, arrived);
    if (message.more) this.#assemble(entry, message);
  }

  /**
   * @param {Assembly} open
   * @param {Message} message
   */
  #continueSnapshot({ entry, message: first, timer }, message) {
    this.#options.clearTimer(timer);
    if (entry.messages.length >= MAX_SNAPSHOT_PARTS) {
      this.#startOver("a snapshot without end");
      return;
    }
    this.#assembly = null;
    if (message.more) this.#assemble(entry, message);
    if (this.#stale.has(first)) message.ops = [];
    this.#queue.extend(entry, message);
  }

  /** @param {Message} message */
  #accept(message) {
    this.#lastId = Math.max(this.#lastId, message.frameId);
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
    const ops = entry.messages.flatMap((part) => part.ops);
    const unpainted = ops.length > 0 ? renderer.commit(entry.patches.flat(), ops) : [];
    if (ops.length > 0 || !message.snapshot) this.counters.frames++;
    if (message.partial) this.counters.repairs++;
    else if (message.snapshot) this.counters.snapshots++;
    if (message.snapshot && !message.partial && !this.#stale.has(message)) {
      this.#resync.settle();
      this.#missing.clear();
    }
    const failed = [...entry.failures.map(({ op }) => op), ...unpainted];
    this.counters.failures += failed.length;
    this.counters.timeouts += entry.failures.filter(({ late }) => late).length;
    this.#missing.committed(message, ops, failed);
    this.#count(ops);
    this.#committedId = Math.max(this.#committedId, message.frameId);
    if (message.serial > 0) this.#serial = message.serial;
    this.#options.onCommit({
      epoch: message.epoch,
      frame: this.#committedId,
      serial: this.#serial,
      message,
      arrived: entry.arrived,
      ready: entry.ready,
      decodeMs: entry.ready - entry.arrived,
      paintMs: now() - entry.ready,
      queue: this.#queue.length,
    });
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

/**
 * @param {Message} first
 * @param {Message} next
 * @returns {boolean} whether both are messages of one snapshot or repair
 */
function continues(first, next) {
  const same = first.frameId === next.frameId && first.serial === next.serial && first.partial === next.partial;
  return same && first.width === next.width && first.height === next.height;
}
