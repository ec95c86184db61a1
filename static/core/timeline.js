/**
 * The timeline: how long what is on the screen took to get there, stage by stage (docs/protocol.md §6.5).
 *
 * Owned by one pipeline; constant memory. Server times are µs of its monotonic clock, ours ms of performance.now(); the
 * clocks are compared by ServerClock. A stage that comes out impossible is left out, for then the clocks are not the same.
 */

/** Stages in their order: a word for people, and what happens in it. */
export const STAGES = Object.freeze({
  send: { name: "Send", what: "the input travels to the server" },
  inject: { name: "Inject", what: "the server hands it to the session" },
  react: { name: "Program", what: "the program draws" },
  encode: { name: "Encode", what: "the change is found and packed" },
  publish: { name: "Publish", what: "the frame leaves the session" },
  relay: { name: "Relay", what: "the web tier passes it on" },
  network: { name: "Network", what: "it travels to the browser" },
  decode: { name: "Decode", what: "the browser unpacks it" },
  paint: { name: "Paint", what: "the browser draws it, until the display has it" },
});

/** @typedef {keyof typeof STAGES} Stage */

/** Samples whose median is shown, and frames of the curve. */
const SAMPLES = 25;
const HISTORY = 60;
const MOST_INPUTS = 256;
const MOST_FRAMES = 64;
/** An answer to an input that takes longer is none. */
const REACTION_MS = 1000;
/** Inputs this close behind each other took the same way. */
const TOGETHER_MS = 250;
/** ... give or take this. */
const SLACK_MS = 3;
const PLAUSIBLE_MS = 60_000;

/**
 * @typedef {import("./screen.js").Commit} Commit
 * @typedef {import("./stats.js").ServerClock} ServerClock
 */

export class Timeline {
  #clock;
  /** @type {Map<Stage, number[]>} */
  #samples = new Map();
  /** Inputs of this connection by seq: when they were sent, and whether something may come of them on the screen.
   * @type {Map<number, {sent: number, draws: boolean}>} */
  #inputs = new Map();
  /** Captures of the newest frames, µs, oldest first. @type {number[]} */
  #captures = [];
  /** Injected and not answered by a frame so far: when, on our clock, and how long its way was.
   * @type {{seq: number, at: number, way: number, slack: number} | null} */
  #unanswered = null;
  /** Newest input whose answer has been looked for. */
  #answered = 0;
  /** Commits that have not gone to the display. @type {Commit[]} */
  #undisplayed = [];
  /** From the change to the display, ms, of the newest frames. @type {number[]} */
  #history = [];
  /** Median of the relay's own stage as the server tells it; 0 while it does not. */
  relayMs = 0;

  /** @param {ServerClock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /** Another connection: inputs are counted anew, frames under way will not come. */
  reset() {
    this.#inputs.clear();
    this.#undisplayed = [];
    this.#captures = [];
    this.#unanswered = null;
    this.#answered = 0;
    this.relayMs = 0;
  }

  /**
   * @param {number} seq of an input message that is sent now
   * @param {import("./protocol.js").InputEvent[]} events
   * @param {number} now
   */
  sent(seq, events, now) {
    this.#inputs.set(seq, { sent: now, draws: events.some(mayDraw) });
    if (this.#inputs.size > MOST_INPUTS) this.#inputs.delete(/** @type {number} */ (this.#inputs.keys().next().value));
  }

  /**
   * @param {{seq: number, received_us: number, injected_us: number}} message
   */
  injected({ seq, received_us: receivedUs, injected_us: injectedUs }) {
    const input = this.#inputs.get(seq);
    if (input === undefined) return;
    this.#add("send", minus(this.#clock.toClient(receivedUs), input.sent));
    this.#add("inject", (injectedUs - receivedUs) / 1000);
    const way = minus(this.#clock.toClient(injectedUs), input.sent);
    if (way === null) return;
    // The newest is often a release, of which nothing comes; the press before it has gone the same way.
    for (let press = seq; press > this.#answered; press--) {
      const { sent, draws } = this.#inputs.get(press) ?? { sent: -Infinity, draws: false };
      if (input.sent - sent > TOGETHER_MS) return;
      if (!draws) continue;
      this.#answered = press;
      this.#unanswered = { seq: press, at: sent + way, way, slack: press === seq ? 0 : SLACK_MS };
      this.#answer();
      return;
    }
  }

  /** @param {Commit} commit that has been told; it is on the canvas, not yet on the display */
  committed(commit) {
    if (commit.snapshot) return;
    this.#captures.push(commit.captureUs);
    if (this.#captures.length > MOST_FRAMES) this.#captures.shift();
    this.#undisplayed.push(commit);
    if (this.#undisplayed.length > MOST_FRAMES) this.#undisplayed.shift();
    this.#answer();
  }

  /** @param {number} time ms since 1970 at which all that is committed has gone to the display */
  presented(time) {
    const origin = performance.timeOrigin;
    for (const { captureUs, encodeUs, publishUs, arrived, ready } of this.#undisplayed.splice(0)) {
      this.#add("encode", encodeUs / 1000);
      this.#add("decode", ready - arrived);
      this.#add("paint", time - ready);
      const total = this.#clock.since(captureUs, time - origin);
      if (total !== null) this.#history.push(total);
      if (this.#history.length > HISTORY) this.#history.shift();
      if (publishUs === 0) continue;
      this.#add("publish", (publishUs - captureUs - encodeUs) / 1000);
      if (this.relayMs > 0) this.#add("relay", this.relayMs);
      this.#add("network", minus(arrived - origin - this.relayMs, this.#clock.toClient(publishUs)));
    }
  }

  /**
   * @returns {{stages: {stage: Stage, ms: number}[], history: number[]}} median of each stage that is known, in order,
   *   and from the change to the display, of the newest frames
   */
  read() {
    const known = /** @type {Stage[]} */ (Object.keys(STAGES)).filter((stage) => this.#samples.has(stage));
    return { stages: known.map((stage) => ({ stage, ms: this.#median(stage) })), history: [...this.#history] };
  }

  /** The first frame that was captured after an input is what came of it, unless another input came in between. */
  #answer() {
    if (this.#unanswered === null) return;
    const { seq, at, way, slack } = this.#unanswered;
    const captures = this.#captures.map((us) => this.#clock.toClient(us) ?? -Infinity);
    const capture = captures.find((ms) => ms >= at - slack);
    if (capture === undefined) return;
    this.#unanswered = null;
    const doubtful = [...this.#inputs].some(([other, { sent, draws }]) => other > seq && draws && sent + way <= capture);
    if (!doubtful && capture - at <= REACTION_MS) this.#add("react", Math.max(capture - at, 0));
  }

  /**
   * @param {Stage} stage
   * @param {number | null} ms
   */
  #add(stage, ms) {
    if (ms === null || ms < -this.#clock.error || ms > PLAUSIBLE_MS) return;
    const samples = this.#samples.get(stage) ?? [];
    samples.push(Math.max(ms, 0));
    if (samples.length > SAMPLES) samples.shift();
    this.#samples.set(stage, samples);
  }

  /** @param {Stage} stage */
  #median(stage) {
    const sorted = [.../** @type {number[]} */ (this.#samples.get(stage))].sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }
}

/** @param {import("./protocol.js").InputEvent} event */
function mayDraw(event) {
  if (event[0] === "key" || event[0] === "button") return event[event.length - 1] === true;
  return event[0] === "text" || event[0] === "wheel";
}

/**
 * @param {number | null} a
 * @param {number | null} b
 */
function minus(a, b) {
  return a === null || b === null ? null : a - b;
}
