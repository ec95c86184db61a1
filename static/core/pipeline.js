/**
 * The pipeline: socket → screen, and back up input, reports and acknowledgements.
 *
 * Lives on the page's thread, where the person's input comes from, so that input goes to the socket in the turn in which
 * it comes; decoding and drawing are the screen's, elsewhere if the browser can. Never blocks; timers are injected.
 */

import { Connection } from "./connection.js";
import { buildAck, buildInput, buildMissed, buildPing, buildPreset, buildResync, buildVisibility } from "./protocol.js";
import { Meter, ServerClock } from "./stats.js";
import { parseText } from "./text.js";
import { Timeline } from "./timeline.js";

/** While somebody looks at the statistics, the server's clock is asked for as often as this. */
const CLOCK_MS = 2000;

/**
 * @typedef {object} PipelineEvent
 * @property {"status" | "message" | "size" | "picture"} name status: a connection.Status; message: a text message of
 *   the server; size: {width, height}; picture: the first frame after a (re)connection has been painted
 * @property {any} detail
 *
 * @typedef {Pick<import("./screen.js").Screen, "receive" | "restart" | "setHidden" | "setSmoothing" | "stats">
 *   & {onEvent: import("./screen.js").Screen["onEvent"]}} PipelineScreen
 *
 * @typedef {object} PipelineOptions
 * @property {string} url absolute ws: or wss: address
 * @property {PipelineScreen} screen
 * @property {string[]} codecs what the screen can decode
 * @property {(event: PipelineEvent) => void} emit
 * @property {(() => Promise<string>) | undefined} [getTicket]
 * @property {(callback: () => void, ms: number) => any} [setTimer] that comes in time while the page is hidden
 * @property {(timer: any) => void} [clearTimer]
 */

/** @typedef {Awaited<ReturnType<Pipeline["stats"]>>} Stats */

export class Pipeline {
  #screen;
  #emit;
  #connection;
  #clock = new ServerClock();
  #timeline = new Timeline(this.#clock);
  #meter = new Meter();
  /** Connections so far. */
  #count = 0;
  #hidden = false;
  #painted = false;
  #pingedAt = -Infinity;
  #unknown = 0;
  #malformed = 0;
  /** @type {Record<string, any>} */
  #serverStats = {};
  /** Notices by code. @type {Record<string, number>} */
  #notices = {};

  /** @param {PipelineOptions} options */
  constructor({ url, screen, codecs, emit, getTicket, setTimer, clearTimer }) {
    this.#screen = screen;
    this.#emit = (/** @type {PipelineEvent["name"]} */ name, /** @type {any} */ detail) => emit({ name, detail });
    screen.onEvent = (event) => this.#screenDid(event);
    this.#connection = new Connection({
      url,
      codecs,
      getTicket,
      onStatus: (status) => this.#statusChanged(status),
      onText: (text) => this.#receiveText(text),
      onBinary: (data) => this.#receiveBinary(data),
      ...(setTimer && clearTimer ? { setTimer, clearTimer } : {}),
    });
  }

  /** Connect; reconnects come by themselves. */
  start() {
    this.#connection.open();
  }

  /** Connect again now instead of after the delay. */
  retry() {
    this.#connection.open();
  }

  close() {
    this.#connection.close();
    this.#screen.restart(++this.#count);
  }

  /** @param {import("./protocol.js").InputEvent[]} events */
  input(events) {
    const connection = this.#connection;
    if (connection.state !== "open") return;
    const seq = connection.nextSeq();
    connection.send(buildInput(seq, events));
    this.#timeline.sent(seq, events, performance.now());
    connection.probe();
  }

  /** The page goes to sleep: it may be frozen, or kept for a way back to it. */
  suspend() {
    this.#connection.suspend();
  }

  /** The page is awake, or the network has changed: find out whether the connection lives. */
  resume() {
    this.#connection.resume();
  }

  /**
   * Send any text message as it is: for tests of what the server refuses.
   *
   * @param {Record<string, unknown>} message
   */
  sendUnchecked(message) {
    this.#connection.send(JSON.stringify(message));
  }

  /** @param {number} id */
  preset(id) {
    this.#connection.send(buildPreset(id));
  }

  /** @param {boolean} hidden */
  setHidden(hidden) {
    if (hidden === this.#hidden) return;
    this.#hidden = hidden;
    this.#connection.send(buildVisibility(hidden));
    this.#screen.setHidden(hidden);
  }

  /** @param {boolean} on whether moving pictures are smoothed, for a frame's delay */
  setSmoothing(on) {
    this.#screen.setSmoothing(on);
  }

  async stats() {
    const now = performance.now();
    if (now - this.#pingedAt > CLOCK_MS) {
      this.#pingedAt = now;
      this.#connection.send(buildPing(now));
    }
    const screen = await this.#screen.stats();
    return {
      ...screen,
      state: this.#connection.state,
      notices: this.#notices,
      rttMs: this.#clock.rtt,
      ...this.#meter.read(now),
      ...this.#timeline.read(),
      malformed: screen.malformed + this.#malformed,
      unknown: this.#unknown,
      server: this.#serverStats,
    };
  }

  /** @param {import("./connection.js").Status} status */
  #statusChanged(status) {
    if (status.state === "connecting") {
      this.#screen.restart(++this.#count);
      this.#clock.reset();
      this.#timeline.reset();
      this.#painted = false;
    }
    if (status.state === "open" && this.#hidden) this.#connection.send(buildVisibility(true));
    this.#emit("status", status);
  }

  /** @param {ArrayBuffer} data */
  #receiveBinary(data) {
    const now = performance.now();
    this.#meter.received(data.byteLength, now);
    this.#screen.receive(data, performance.timeOrigin + now);
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
    if (message.type === "welcome") this.#connection.accept(message.heartbeat_s ?? undefined);
    if (message.type === "error") this.#connection.noteError(message.code, message.message ?? "");
    if (message.type === "notice") this.#notices[message.code] = (this.#notices[message.code] ?? 0) + 1;
    if (message.type === "stats") {
      this.#serverStats = message;
      const relayMs = message.delivery?.relay_ms;
      if (Number.isFinite(relayMs)) this.#timeline.relayMs = relayMs;
    }
    if (message.type === "pong") this.#clock.addSample(message.t, performance.now(), message.server_us);
    if (message.type === "injected") this.#timeline.injected(/** @type {any} */ (message));
    if (message.type === "pong" || message.type === "injected") return;
    this.#emit("message", message);
  }

  /** @param {import("./screen.js").ScreenEvent} event */
  #screenDid({ connection, commits, missed, resync, size, presented }) {
    if (size !== undefined) this.#emit("size", size);
    // What a connection before this one brought is not this server's business.
    if (connection !== this.#count) return;
    if (resync !== undefined) this.#connection.send(buildResync(resync));
    if (missed !== undefined) {
      const { areas, ...report } = missed;
      this.#connection.send(buildMissed({ ...report, areas: areas.map(({ x, y, w, h }) => [x, y, w, h]) }));
    }
    if (commits !== undefined) this.#committed(commits);
    if (presented !== undefined) this.#timeline.presented(presented);
  }

  /** @param {import("./screen.js").Commit[]} commits */
  #committed(commits) {
    this.#connection.send(buildAck(commits[commits.length - 1]));
    const now = performance.now();
    for (const commit of commits) {
      const { decodeMs, snapshot, captureUs, ops } = commit;
      // A repair without ops is a question after the round trip.
      if (ops === 0 && snapshot) continue;
      this.#meter.committed(decodeMs, snapshot ? null : this.#clock.since(captureUs, now), now);
      this.#timeline.committed(commit);
    }
    if (this.#painted) return;
    this.#painted = true;
    this.#emit("picture", {});
  }
}
