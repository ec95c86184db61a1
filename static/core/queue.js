/**
 * The frame queue: payloads decode side by side and in any order, frames commit whole and strictly in the order in
 * which they were pushed.
 *
 * Single-threaded; time and timers are injected. At most `limit` frames decode at once, the others wait as bytes. A
 * decode that fails or takes longer than `timeoutMs` gives up its op, never the frame and never the queue. A frame that
 * is ready may be held for smoothness, but only while no other one is: the queue then is one frame long, not more.
 */

/**
 * @typedef {import("./protocol.js").Message} Message
 * @typedef {import("./protocol.js").Op} Op
 * @typedef {import("./decoders/patch.js").Patch} Patch
 *
 * @typedef {object} Entry A frame, or all messages of one snapshot.
 * @property {Message[]} messages
 * @property {number} bytes
 * @property {number} arrived ms
 * @property {boolean} open more messages of the snapshot are to come
 * @property {number} started messages whose decoding has begun
 * @property {number} pending ops that are still decoding
 * @property {(Patch | null)[][]} patches a list a message; null where the decode failed or goes on
 * @property {{op: Op, reason: string, late: boolean}[]} failures decodes that were given up; `late`: they took too long
 * @property {number} ready ms from when it could be committed; -1 until then
 * @property {number} due ms before which it is held
 * @property {boolean} dropped the entry has left the queue: late patches are closed at once
 * @property {Set<() => void>} expire give up the decodes that go on
 *
 * @typedef {object} QueueOptions
 * @property {(message: Message) => (Patch | Promise<Patch>)[]} decode starts the decode of all ops; must not throw
 * @property {(entry: Entry) => void} commit paint; synchronous
 * @property {(entry: Entry) => number} [due] when a frame that is ready may be committed, ms; asked once, in order
 * @property {number} [limit] frames in decode
 * @property {number} [timeoutMs]
 * @property {() => number} [now]
 * @property {(callback: () => void, ms: number) => any} [setTimer]
 * @property {(timer: any) => void} [clearTimer]
 */

export const DECODE_LIMIT = 8;
export const DECODE_TIMEOUT_MS = 500;

export class FrameQueue {
  /** @type {Entry[]} */
  #entries = [];
  #decoding = 0;
  #draining = false;
  #paused = false;
  /** @type {any} */
  #hold = null;
  /** @type {Required<QueueOptions>} */
  #options;

  /** @param {QueueOptions} options */
  constructor(options) {
    this.#options = {
      due: (entry) => entry.ready,
      limit: DECODE_LIMIT,
      timeoutMs: DECODE_TIMEOUT_MS,
      now: () => performance.now(),
      setTimer: /** @type {NonNullable<QueueOptions["setTimer"]>} */ ((callback, ms) => setTimeout(callback, ms)),
      clearTimer: /** @type {NonNullable<QueueOptions["clearTimer"]>} */ ((timer) => clearTimeout(timer)),
      ...options,
    };
  }

  /** Frames that have not been committed. */
  get length() {
    return this.#entries.length;
  }

  /** Bytes of the messages that have not been committed. */
  get bytes() {
    return this.#entries.reduce((sum, entry) => sum + entry.bytes, 0);
  }

  /** Frames with decodes under way. */
  get decoding() {
    return this.#decoding;
  }

  /**
   * @param {Message} message
   * @param {number} [arrived] ms, when it came out of the socket
   * @returns {Entry}
   */
  push(message, arrived = this.#options.now()) {
    /** @type {Entry} */
    const entry = {
      messages: [message],
      bytes: message.byteLength,
      arrived,
      open: message.more,
      started: 0,
      pending: 0,
      patches: [],
      failures: [],
      ready: -1,
      due: 0,
      dropped: false,
      expire: new Set(),
    };
    this.#entries.push(entry);
    this.#advance();
    return entry;
  }

  /**
   * Add a further message to an open snapshot.
   *
   * @param {Entry} entry
   * @param {Message} message
   */
  extend(entry, message) {
    entry.messages.push(message);
    entry.bytes += message.byteLength;
    entry.open = message.more;
    this.#advance();
  }

  /**
   * Begin no further decodes, or go on with them; what decodes already is committed in either case.
   *
   * @param {boolean} paused
   */
  setPaused(paused) {
    this.#paused = paused;
    if (!paused) this.#advance();
  }

  /** Forget everything: nothing that is under way will be committed. */
  clear() {
    this.#release();
    for (const entry of this.#entries.splice(0)) this.#discard(entry);
  }

  /** @param {Entry} entry */
  #discard(entry) {
    entry.dropped = true;
    if (entry.pending > 0) this.#decoding--;
    entry.pending = 0;
    for (const expire of [...entry.expire]) expire();
    for (const list of entry.patches) for (const patch of list) patch?.close();
  }

  /** Start what may start, commit what may be committed, until neither changes anything. */
  #advance() {
    if (this.#draining) return;
    this.#draining = true;
    try {
      do this.#startAll();
      while (this.#commitHead());
    } finally {
      this.#draining = false;
    }
  }

  #startAll() {
    if (this.#paused) return;
    for (const entry of this.#entries) {
      while (entry.started < entry.messages.length) {
        if (entry.pending === 0 && this.#decoding >= this.#options.limit) return;
        this.#start(entry, entry.messages[entry.started]);
      }
    }
  }

  /**
   * @param {Entry} entry
   * @param {Message} message
   */
  #start(entry, message) {
    entry.started++;
    const results = this.#options.decode(message);
    /** @type {(Patch | null)[]} */
    const patches = new Array(results.length).fill(null);
    entry.patches.push(patches);
    let waiting = 0;
    results.forEach((result, index) => {
      if (!(result instanceof Promise)) {
        patches[index] = result;
        return;
      }
      waiting++;
      this.#await(entry, patches, index, message.ops[index], result);
    });
    if (waiting > 0 && entry.pending === 0) this.#decoding++;
    entry.pending += waiting;
  }

  /**
   * @param {Entry} entry
   * @param {(Patch | null)[]} patches
   * @param {number} index
   * @param {Op} op
   * @param {Promise<Patch>} result
   */
  #await(entry, patches, index, op, result) {
    let settled = false;
    /** @param {Patch | null} patch @param {string} [reason] @param {boolean} [late] */
    const settle = (patch, reason, late = false) => {
      if (settled) {
        patch?.close();
        return;
      }
      settled = true;
      this.#options.clearTimer(timer);
      entry.expire.delete(expire);
      if (entry.dropped) {
        patch?.close();
        return;
      }
      patches[index] = patch;
      entry.pending--;
      if (entry.pending === 0) this.#decoding--;
      if (reason !== undefined) entry.failures.push({ op, reason, late });
      this.#advance();
    };
    const expire = () => settle(null);
    const limit = this.#options.timeoutMs;
    const timer = this.#options.setTimer(() => settle(null, `a decode took more than ${limit} ms`, true), limit);
    entry.expire.add(expire);
    result.then(
      (patch) => settle(patch),
      (error) => settle(null, error instanceof Error ? error.message : String(error)),
    );
  }

  /** @returns {boolean} whether a frame was committed */
  #commitHead() {
    const entry = this.#entries[0];
    if (entry === undefined || !isReady(entry) || this.#holds(entry)) return false;
    this.#release();
    this.#entries.shift();
    entry.dropped = true;
    try {
      this.#options.commit(entry);
    } finally {
      for (const list of entry.patches) for (const patch of list) patch?.close();
    }
    return true;
  }

  /**
   * @param {Entry} entry the first one, ready
   * @returns {boolean} whether it has to wait for its time
   */
  #holds(entry) {
    const { due, now, setTimer } = this.#options;
    if (entry.ready < 0) {
      entry.ready = now();
      entry.due = due(entry);
    }
    const next = this.#entries[1];
    const wait = entry.due - now();
    if (wait <= 0 || (next !== undefined && isReady(next))) return false;
    this.#hold ??= setTimer(() => {
      this.#hold = null;
      this.#advance();
    }, wait);
    return true;
  }

  #release() {
    if (this.#hold !== null) this.#options.clearTimer(this.#hold);
    this.#hold = null;
  }
}

/** @param {Entry} entry */
function isReady(entry) {
  return !entry.open && entry.pending === 0 && entry.started === entry.messages.length;
}
