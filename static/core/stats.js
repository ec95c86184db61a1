/**
 * What the client measures: rates over a sliding window, latency against the server's clock, counters.
 *
 * Owned by one pipeline; constant memory for each second of the window. Times are ms of performance.now().
 */

const WINDOW_MS = 2000;
/** Round trips among which the shortest gives the clock offset. */
const SAMPLES = 8;
/** Latencies beyond this mean that the two clocks are not the same one. */
const PLAUSIBLE_MS = 60_000;

/** The server's clock, seen through the shortest of the last round trips. */
export class ServerClock {
  /** @type {{rtt: number, offset: number}[]} */
  #samples = [];

  /**
   * @param {number} sent client time of the ping, ms
   * @param {number} received client time of the pong, ms
   * @param {number} serverUs
   */
  addSample(sent, received, serverUs) {
    const rtt = received - sent;
    if (!(rtt >= 0 && rtt < PLAUSIBLE_MS)) return;
    this.#samples.push({ rtt, offset: serverUs / 1000 - (sent + rtt / 2) });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** Newest round trip, ms; null before the first pong. */
  get rtt() {
    return this.#samples.at(-1)?.rtt ?? null;
  }

  /**
   * @param {number} serverUs a time of the server's clock
   * @returns {number | null} the same on the client's, ms; null before the first pong
   */
  toClient(serverUs) {
    return this.#samples.length === 0 ? null : serverUs / 1000 - this.#best().offset;
  }

  /** What a time may be wrong by, ms: half a round trip, and a little for the two clocks' ticks. */
  get error() {
    return this.#samples.length === 0 ? 1 : this.#best().rtt / 2 + 1;
  }

  /**
   * @param {number} serverUs a time of the server's clock
   * @param {number} now client time, ms
   * @returns {number | null} ms since then; null while unknown or implausible
   */
  since(serverUs, now) {
    const then = this.toClient(serverUs);
    if (then === null) return null;
    const age = now - then;
    if (age < -2 * this.error - 3 || age > PLAUSIBLE_MS) return null;
    return Math.max(age, 0);
  }

  #best() {
    return this.#samples.reduce((a, b) => (b.rtt < a.rtt ? b : a));
  }

  reset() {
    this.#samples = [];
  }
}

/** Counters since the page was opened, in the order in which they are shown. */
export function newCounters() {
  return {
    /** Frames and snapshots committed. */
    frames: 0,
    snapshots: 0,
    repairs: 0,
    /** Bytes of binary messages. */
    bytes: 0,
    /** Frames that were not applied: too old, or before a snapshot. */
    dropped: 0,
    /** Ops whose decode failed or took too long. */
    failures: 0,
    /** Those of them that took too long. */
    timeouts: 0,
    /** Reports of areas that were not shown, and requests for a whole snapshot. */
    missed: 0,
    resyncs: 0,
    /** Messages that broke the protocol, and text messages of unknown types. */
    malformed: 0,
    unknown: 0,
  };
}

export class Meter {
  /** @type {{time: number, bytes: number, frames: number}[]} */
  #events = [];
  #latency = /** @type {number | null} */ (null);
  #latencyAt = -Infinity;
  #decode = 0;

  /**
   * @param {number} bytes of a message that has come
   * @param {number} now
   */
  received(bytes, now) {
    this.#events.push({ time: now, bytes, frames: 0 });
    this.#trim(now);
  }

  /**
   * @param {number} decodeMs from the message's arrival to its commit
   * @param {number | null} latencyMs from the change on the screen to the commit
   * @param {number} now
   */
  committed(decodeMs, latencyMs, now) {
    this.#events.push({ time: now, bytes: 0, frames: 1 });
    this.#decode += (decodeMs - this.#decode) * 0.2;
    if (latencyMs !== null) {
      const fresh = this.#latency === null || now - this.#latencyAt > WINDOW_MS;
      this.#latency = fresh ? latencyMs : /** @type {number} */ (this.#latency) * 0.8 + latencyMs * 0.2;
      this.#latencyAt = now;
    }
    this.#trim(now);
  }

  /**
   * @param {number} now
   * @returns {{fps: number, kbps: number, latencyMs: number | null, decodeMs: number}}
   */
  read(now) {
    this.#trim(now);
    let frames = 0;
    let bytes = 0;
    for (const event of this.#events) {
      frames += event.frames;
      bytes += event.bytes;
    }
    const seconds = WINDOW_MS / 1000;
    return {
      fps: frames / seconds,
      kbps: (bytes * 8) / 1000 / seconds,
      latencyMs: this.#latency,
      decodeMs: this.#decode,
    };
  }

  /** @param {number} now */
  #trim(now) {
    let old = 0;
    while (old < this.#events.length && this.#events[old].time < now - WINDOW_MS) old++;
    if (old > 0) this.#events.splice(0, old);
  }
}
