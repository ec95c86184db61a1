/**
 * The connection: one WebSocket after another, with hello, heartbeat and the policy on what to do when it closes.
 *
 * Event-driven, never blocks. Sockets, time, timers and chance are injected, so tests run it without a network. It
 * comes back by itself until the server says that there is no point (docs/protocol.md §6.3).
 */

import { buildHello, buildPing } from "./protocol.js";

const MIN_DELAY_MS = 250;
const MAX_DELAY_MS = 5000;
/** Slow at first: a server that is started again takes a second or two, and a refused connection costs nothing. */
const DELAY_GROWTH = 1.25;
const TOO_MANY_DELAY_MS = 10_000;
/** A connection that lived this long was a good one: the next delay starts from the beginning. */
const STABLE_MS = 5000;
/** From opening the socket to the server's welcome. */
const WELCOME_TIMEOUT_MS = 15_000;
const DEFAULT_HEARTBEAT_S = 10;
/** Heartbeats without a word from the server after which the connection counts as dead. */
const SILENT_HEARTBEATS = 2.5;

/** Somebody does something, and the server has not said a word for so long: ask whether it is there. */
const DOUBT_MS = 3000;
/** So long it has to answer: after a sleep the connection is mostly dead; else one large picture may fill a thin line. */
const WAKE_PROBE_MS = 4000;
const PROBE_MS = 10_000;

/** What a close code asks of the client; every other code means: try again with growing delay. */
const FINAL_CODES = new Map([
  [4400, "malformed"],
  [4401, "unauthenticated"],
  [4403, "forbidden"],
  [4404, "unknown-session"],
  [4406, "version"],
  [4410, "link-closed"],
  [4411, "session-ended"],
]);

/** A refusal that trying again will not change, such as a revoked link. */
export class TicketError extends Error {
  /**
   * @param {string} code as in the protocol's table of close codes
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "TicketError";
    this.code = code;
  }
}

/**
 * @typedef {object} Status
 * @property {"connecting" | "open" | "waiting" | "paused" | "closed"} state paused: the page sleeps
 * @property {number} attempt since the last good connection, from 1
 * @property {number} [retryMs] waiting: time to the next attempt
 * @property {string} [code] why there is no connection, in the protocol's words or `lost`
 * @property {string} [message] the server's sentence about it for people
 * @property {boolean} [again] there was a connection before this one
 *
 * @typedef {object} Socket The part of WebSocket that is used.
 * @property {string} binaryType
 * @property {(data: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 *
 * @typedef {object} ConnectionOptions
 * @property {string} url
 * @property {string[]} codecs
 * @property {(() => Promise<string>) | undefined} [getTicket] a fresh ticket for each attempt; TicketError is final
 * @property {(status: Status) => void} onStatus
 * @property {(text: string) => void} onText
 * @property {(data: ArrayBuffer) => void} onBinary
 * @property {(url: string) => Socket} [createSocket]
 * @property {() => number} [now] ms
 * @property {() => number} [random]
 * @property {(callback: () => void, ms: number) => any} [setTimer]
 * @property {(timer: any) => void} [clearTimer]
 */

export class Connection {
  /** @type {Required<ConnectionOptions>} */
  #options;
  /** @type {Socket | null} */
  #socket = null;
  /** Grows with each attempt: whatever belongs to an older one is ignored. */
  #generation = 0;
  #welcomed = false;
  #welcomedAt = 0;
  #lastHeard = 0;
  #attempt = 0;
  #delay = MIN_DELAY_MS;
  #heartbeatMs = DEFAULT_HEARTBEAT_S * 1000;
  /** @type {{code: string, message: string} | null} */
  #error = null;
  /** @type {any} */
  #timer = null;
  /** @type {any} */
  #heartbeat = null;
  /** @type {Status["state"]} */
  #state = "closed";
  #seq = 0;
  #again = false;
  /** Why the connection before was lost, told until there is one again. @type {Pick<Status, "code" | "message">} */
  #why = {};
  /** @type {any} */
  #probe = null;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = /** @type {Required<ConnectionOptions>} */ ({
      createSocket: (/** @type {string} */ url) => new WebSocket(url),
      now: () => performance.now(),
      random: () => Math.random(),
      setTimer: (/** @type {() => void} */ callback, /** @type {number} */ ms) => setTimeout(callback, ms),
      clearTimer: (/** @type {any} */ timer) => clearTimeout(timer),
      ...options,
    });
  }

  get state() {
    return this.#state;
  }

  /** Number of the next input message of this connection. */
  nextSeq() {
    return ++this.#seq;
  }

  /** Connect now: at first, at the wish of a person, or because the network came back. */
  open() {
    if (this.#state === "connecting" || this.#state === "open") return;
    this.#delay = MIN_DELAY_MS;
    if (this.#state !== "waiting") {
      this.#attempt = 0;
      this.#why = {};
    }
    this.#connect();
  }

  /** The page goes to sleep: let the server know at once, it releases what is held. */
  suspend() {
    if (this.#state === "closed" || this.#state === "paused") return;
    this.#abandon(1000);
    this.#setStatus({ state: "paused", attempt: 0 });
  }

  /** The page is awake again. */
  resume() {
    if (this.#state === "paused") this.open();
    else this.probe(WAKE_PROBE_MS);
  }

  /**
   * Make sure that the server is there if it has been silent: after a sleep or a change of networks, and for input.
   *
   * @param {number} [ms] for the answer
   */
  probe(ms = PROBE_MS) {
    const heard = this.#lastHeard;
    if (!this.#welcomed || this.#probe !== null || this.#options.now() - heard < DOUBT_MS) return;
    this.send(buildPing(this.#options.now()));
    this.#probe = this.#options.setTimer(() => {
      this.#probe = null;
      if (this.#lastHeard === heard) this.#lost(1006, "");
    }, ms);
  }

  /** End it for good. */
  close() {
    this.#abandon(1000);
    this.#setStatus({ state: "closed", attempt: this.#attempt, code: "closed" });
  }

  /**
   * Send one text message; silently nothing unless the server has said welcome.
   *
   * @param {string} text
   * @returns {boolean} whether it was sent
   */
  send(text) {
    if (this.#socket === null || !this.#welcomed) return false;
    this.#socket.send(text);
    return true;
  }

  /**
   * The server's welcome has come.
   *
   * @param {number} [heartbeatS]
   */
  accept(heartbeatS = DEFAULT_HEARTBEAT_S) {
    if (this.#socket === null || this.#welcomed) return;
    this.#welcomed = true;
    this.#welcomedAt = this.#options.now();
    this.#heartbeatMs = Math.min(Math.max(heartbeatS, 1), 300) * 1000;
    this.#options.clearTimer(this.#timer);
    this.#again = true;
    this.#why = {};
    this.#setStatus({ state: "open", attempt: this.#attempt });
    this.#beat();
  }

  /**
   * Remember the server's last words before it closes.
   *
   * @param {string} code
   * @param {string} message
   */
  noteError(code, message) {
    this.#error = { code, message };
  }

  async #connect() {
    const generation = this.#abandon(1000);
    this.#attempt++;
    this.#error = null;
    this.#seq = 0;
    this.#setStatus({ state: "connecting", attempt: this.#attempt, ...this.#why });
    let ticket;
    let socket;
    try {
      ticket = await this.#options.getTicket?.();
      if (generation !== this.#generation) return;
      socket = this.#options.createSocket(this.#options.url);
    } catch (error) {
      if (generation !== this.#generation) return;
      if (error instanceof TicketError) {
        this.#abandon(1000);
        this.#setStatus({ state: "closed", attempt: this.#attempt, code: error.code, message: error.message });
      } else {
        this.#lost(1006, "");
      }
      return;
    }
    this.#socket = socket;
    this.#attach(socket, generation, ticket);
    this.#timer = this.#options.setTimer(() => this.#lost(1006, ""), WELCOME_TIMEOUT_MS);
  }

  /**
   * @param {Socket} socket
   * @param {number} generation
   * @param {string | undefined} ticket
   */
  #attach(socket, generation, ticket) {
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(buildHello(this.#options.codecs, ticket));
    socket.onmessage = ({ data }) => {
      if (generation !== this.#generation) return;
      this.#lastHeard = this.#options.now();
      if (typeof data === "string") this.#options.onText(data);
      else this.#options.onBinary(data);
    };
    socket.onclose = ({ code, reason }) => {
      if (generation === this.#generation) this.#lost(code, reason);
    };
    // The close event that follows says all there is to know.
    socket.onerror = null;
  }

  #beat() {
    const now = this.#options.now();
    this.send(buildPing(now));
    this.#heartbeat = this.#options.setTimer(() => {
      const silent = this.#options.now() - this.#lastHeard;
      if (silent > SILENT_HEARTBEATS * this.#heartbeatMs) this.#lost(1006, "");
      else this.#beat();
    }, this.#heartbeatMs);
  }

  /**
   * The connection is gone: decide whether and when to try again.
   *
   * @param {number} code
   * @param {string} reason
   */
  #lost(code, reason) {
    const stable = this.#welcomed && this.#options.now() - this.#welcomedAt >= STABLE_MS;
    const error = this.#error;
    this.#abandon(1000);
    if (stable) {
      this.#delay = MIN_DELAY_MS;
      this.#attempt = 0;
    }
    const final = FINAL_CODES.get(code);
    const message = error?.message || reason || undefined;
    if (final !== undefined) {
      this.#setStatus({ state: "closed", attempt: this.#attempt, code: error?.code ?? final, message });
      return;
    }
    let delay = this.#delay;
    if (code === 4429) {
      delay = TOO_MANY_DELAY_MS;
    } else {
      this.#delay = Math.min(this.#delay * DELAY_GROWTH, MAX_DELAY_MS);
      // Chance keeps the viewers of a restarted server from returning in one wave.
      delay *= 0.5 + 0.5 * this.#options.random();
    }
    const why = code === 4429 ? "too-many" : code === 4408 ? "timeout" : "lost";
    this.#timer = this.#options.setTimer(() => this.#connect(), delay);
    this.#why = { code: error?.code ?? why, message };
    this.#setStatus({ state: "waiting", attempt: this.#attempt, retryMs: delay, ...this.#why });
  }

  /**
   * Let go of the socket and the timers.
   *
   * @param {number} code
   * @returns {number} the new generation
   */
  #abandon(code) {
    this.#options.clearTimer(this.#timer);
    this.#options.clearTimer(this.#heartbeat);
    this.#options.clearTimer(this.#probe);
    this.#probe = null;
    this.#welcomed = false;
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      try {
        socket.close(code);
      } catch {
        // It had not even opened.
      }
    }
    return ++this.#generation;
  }

  /** @param {Status} status */
  #setStatus(status) {
    this.#state = status.state;
    this.#options.onStatus(this.#again ? { ...status, again: true } : status);
  }
}
