/**
 * The client as a page sees it: a canvas, an address and events. `new Client(canvas, {url}).start()`.
 *
 * The screen is in a worker where the browser can hand a canvas to one, else on the page's thread; a page cannot tell the
 * difference. Input goes to the socket at once. All answers are promises.
 *
 * Events (CustomEvent, `detail` in brackets): `status` {state, attempt, retryMs?, code?, message?}, `size`
 * {width, height}, `picture` {} (the first frame of a connection is painted), and the server's text messages by their
 * type: `welcome`, `state`, `cursor`, `preset`, `stats`, `notice`, `role`, `error`.
 */

import { detectCodecs } from "./decoders/h264.js";
import { Pipeline } from "./pipeline.js";
import { RemoteScreen, startWorker } from "./remote.js";
import { Screen } from "./screen.js";

/**
 * @typedef {object} ClientOptions
 * @property {string} url path or absolute address of the WebSocket
 * @property {() => Promise<string>} [getTicket] called before each connection; a TicketError ends the attempts
 * @property {boolean} [worker] false keeps the screen on the page's thread
 * @property {string[]} [codecs] what to claim in the hello instead of what the browser can decode
 */

export class Client extends EventTarget {
  #canvas;
  #options;
  /** @type {Pipeline | null} */
  #pipeline = null;
  /** @type {Screen | RemoteScreen | null} */
  #screen = null;
  #closed = false;
  /** @type {(pipeline: Pipeline) => void} */
  #markStarted = () => {};
  /** @type {Promise<Pipeline>} */
  #started;

  /**
   * @param {HTMLCanvasElement} canvas without a context
   * @param {ClientOptions} options
   */
  constructor(canvas, options) {
    super();
    this.#canvas = canvas;
    this.#options = options;
    this.#started = new Promise((resolve) => {
      this.#markStarted = resolve;
    });
  }

  /** Start once; reconnects come by themselves. */
  async start() {
    const url = new URL(this.#options.url, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const started = this.#options.worker === false ? null : await startWorker();
    const codecs = this.#options.codecs ?? started?.codecs ?? (await detectCodecs());
    if (this.#closed) {
      started?.worker.terminate();
      return;
    }
    const emit = (/** @type {import("./pipeline.js").PipelineEvent} */ event) => this.#emit(event);
    const common = { url: url.href, codecs, emit, getTicket: this.#options.getTicket };
    if (started === null) {
      const screen = new Screen(this.#canvas);
      this.#screen = screen;
      this.#pipeline = new Pipeline({ ...common, screen });
    } else {
      const screen = new RemoteScreen(started.worker, this.#canvas.transferControlToOffscreen());
      this.#screen = screen;
      this.#pipeline = new Pipeline({ ...common, screen, setTimer: screen.setTimer, clearTimer: screen.clearTimer });
    }
    this.#pipeline.start();
    this.#markStarted(this.#pipeline);
  }

  /** Connect again now instead of after the delay. */
  retry() {
    this.#do((pipeline) => pipeline.retry());
  }

  /** The page goes to sleep (frozen, or left and kept): close the connection until `resume`. */
  suspend() {
    this.#do((pipeline) => pipeline.suspend());
  }

  /** The page is awake again, or the network has changed: connect, or make sure that the connection lives. */
  resume() {
    this.#do((pipeline) => pipeline.resume());
  }

  /** End the connection for good. */
  close() {
    this.#closed = true;
    this.#do((pipeline) => pipeline.close());
  }

  /** @param {import("./protocol.js").InputEvent[]} events 1…64 */
  sendInput(events) {
    this.#pipeline?.input(events);
  }

  /**
   * Send any text message as it is, for tests: the server must refuse what this page would not send.
   *
   * @param {Record<string, unknown>} message
   */
  sendUnchecked(message) {
    this.#do((pipeline) => pipeline.sendUnchecked(message));
  }

  /** @param {number} id of a preset the welcome named */
  selectPreset(id) {
    this.#do((pipeline) => pipeline.preset(id));
  }

  /** @param {boolean} hidden whether nobody can see the page */
  setHidden(hidden) {
    this.#do((pipeline) => pipeline.setHidden(hidden));
  }

  /** @param {boolean} on whether moving pictures are smoothed by holding a frame; `stats` say what that costs */
  setSmoothing(on) {
    this.#do((pipeline) => pipeline.setSmoothing(on));
  }

  /**
   * Read back what is shown, pixels of the picture, video included.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} w
   * @param {number} h
   * @returns {Promise<Uint8ClampedArray>} RGBA
   */
  async readPixels(x, y, w, h) {
    await this.#started;
    return /** @type {Screen} */ (this.#screen).readPixels(x, y, w, h);
  }

  /** @returns {Promise<import("./pipeline.js").Stats>} */
  async stats() {
    return (await this.#started).stats();
  }

  /** @param {(pipeline: Pipeline) => void} call now, or as soon as there is a pipeline */
  #do(call) {
    if (this.#pipeline === null) this.#started.then(call);
    else call(this.#pipeline);
  }

  /** @param {import("./pipeline.js").PipelineEvent} event */
  #emit({ name, detail }) {
    const type = name === "message" ? detail.type : name;
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
