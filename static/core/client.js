/**
 * The client as a page sees it: a canvas, an address and events. `new Client(canvas, {url}).start()`.
 *
 * The pipeline runs in a worker where the browser can hand a canvas to one, else on the main thread; a page cannot tell
 * the difference. All answers are promises.
 *
 * Events (CustomEvent, `detail` in brackets): `status` {state, attempt, retryMs?, code?, message?}, `size`
 * {width, height}, `picture` {} (the first frame of a connection is painted), and the server's text messages by their
 * type: `welcome`, `state`, `cursor`, `preset`, `stats`, `notice`, `role`, `error`.
 */

import { TicketError } from "./connection.js";
import { Pipeline } from "./pipeline.js";

/** A worker that has not answered by then will not: the main thread takes over. */
const WORKER_TIMEOUT_MS = 5000;

/**
 * @typedef {object} ClientOptions
 * @property {string} url path or absolute address of the WebSocket
 * @property {() => Promise<string>} [getTicket] called before each connection; a TicketError ends the attempts
 * @property {boolean} [worker] false keeps the pipeline on the main thread
 * @property {string[]} [codecs] what to claim in the hello instead of what the browser can decode
 */

export class Client extends EventTarget {
  #canvas;
  #options;
  /** @type {Worker | null} */
  #worker = null;
  /** @type {Pipeline | null} */
  #pipeline = null;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  #calls = new Map();
  #callCount = 0;
  #closed = false;
  #started;
  /** @type {() => void} */
  #markStarted = () => {};

  /**
   * @param {HTMLCanvasElement} canvas without a context
   * @param {ClientOptions} options
   */
  constructor(canvas, options) {
    super();
    this.#canvas = canvas;
    this.#options = options;
    this.#started = new Promise((/** @type {(value: void) => void} */ resolve) => {
      this.#markStarted = () => resolve();
    });
  }

  /** Start once; reconnects come by themselves. */
  async start() {
    const url = new URL(this.#options.url, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const worker = this.#options.worker === false ? null : await startWorker();
    if (this.#closed) {
      worker?.terminate();
      return;
    }
    if (worker !== null) this.#startInWorker(worker, url.href);
    else this.#startHere(url.href);
    this.#markStarted();
  }

  /** Connect again now instead of after the delay. */
  retry() {
    this.#send("retry", []);
  }

  /** The page goes to sleep (frozen, or left and kept): close the connection until `resume`. */
  suspend() {
    this.#send("suspend", []);
  }

  /** The page is awake again, or the network has changed: connect, or make sure that the connection lives. */
  resume() {
    this.#send("resume", []);
  }

  /** End the connection for good. */
  close() {
    this.#closed = true;
    this.#send("close", []);
  }

  /** @param {import("./protocol.js").InputEvent[]} events 1…64 */
  sendInput(events) {
    this.#send("input", [events]);
  }

  /**
   * Send any text message as it is, for tests: the server must refuse what this page would not send.
   *
   * @param {Record<string, unknown>} message
   */
  sendUnchecked(message) {
    this.#send("sendUnchecked", [message]);
  }

  /** @param {number} id of a preset the welcome named */
  selectPreset(id) {
    this.#send("preset", [id]);
  }

  /** @param {boolean} hidden whether nobody can see the page */
  setHidden(hidden) {
    this.#send("setHidden", [hidden]);
  }

  /** @param {boolean} on whether moving pictures are smoothed by holding a frame; `stats` say what that costs */
  setSmoothing(on) {
    this.#send("setSmoothing", [on]);
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
  readPixels(x, y, w, h) {
    return this.#ask("readPixels", [x, y, w, h]);
  }

  /** @returns {Promise<import("./pipeline.js").Stats>} */
  stats() {
    return this.#ask("stats", []);
  }

  /**
   * @param {Worker} worker
   * @param {string} url
   */
  #startInWorker(worker, url) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => {
      if (data.event !== undefined) this.#emit(data.event);
      else if (data.ticket !== undefined) this.#answerTicket(worker, data.ticket);
      else if (data.id !== undefined) this.#settle(data);
    };
    const canvas = this.#canvas.transferControlToOffscreen();
    const { codecs, getTicket } = this.#options;
    worker.postMessage({ start: { url, canvas, codecs, tickets: getTicket !== undefined } }, [canvas]);
  }

  /** @param {string} url */
  #startHere(url) {
    const { codecs, getTicket } = this.#options;
    this.#pipeline = new Pipeline({
      url,
      canvas: this.#canvas,
      codecs,
      getTicket,
      emit: (event) => this.#emit(event),
    });
    this.#pipeline.start();
  }

  /** @param {import("./pipeline.js").PipelineEvent} event */
  #emit({ name, detail }) {
    const type = name === "message" ? detail.type : name;
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /**
   * @param {string} method
   * @param {any[]} args
   */
  async #send(method, args) {
    await this.#started;
    if (this.#worker !== null) this.#worker.postMessage({ call: method, args });
    else /** @type {any} */ (this.#pipeline)[method](...args);
  }

  /**
   * @param {string} method
   * @param {any[]} args
   * @returns {Promise<any>}
   */
  async #ask(method, args) {
    await this.#started;
    const worker = this.#worker;
    if (worker === null) return /** @type {any} */ (this.#pipeline)[method](...args);
    return new Promise((resolve, reject) => {
      const id = ++this.#callCount;
      this.#calls.set(id, { resolve, reject });
      worker.postMessage({ call: method, args, id });
    });
  }

  /** @param {{id: number, result?: any, error?: string}} answer */
  #settle({ id, result, error }) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error));
  }

  /**
   * @param {Worker} worker
   * @param {number} ticket
   */
  async #answerTicket(worker, ticket) {
    try {
      worker.postMessage({ ticket, value: await this.#options.getTicket?.() });
    } catch (error) {
      const code = error instanceof TicketError ? error.code : null;
      worker.postMessage({ ticket, error: { code, message: /** @type {Error} */ (error).message } });
    }
  }
}

/**
 * A worker that has loaded the pipeline. The canvas is handed over only then, for it cannot be taken back.
 *
 * @returns {Promise<Worker | null>} null where the browser cannot do it
 */
function startWorker() {
  const able = typeof OffscreenCanvas !== "undefined" && "transferControlToOffscreen" in HTMLCanvasElement.prototype;
  if (!able || typeof Worker === "undefined") return Promise.resolve(null);
  return new Promise((resolve) => {
    /** @type {Worker} */
    let worker;
    try {
      worker = new Worker(new URL("./pipeline.worker.js", import.meta.url), { type: "module" });
    } catch {
      resolve(null);
      return;
    }
    const giveUp = () => {
      clearTimeout(timer);
      worker.terminate();
      resolve(null);
    };
    const timer = setTimeout(giveUp, WORKER_TIMEOUT_MS);
    worker.onerror = giveUp;
    worker.onmessage = ({ data }) => {
      if (data.ready !== true) {
        giveUp();
        return;
      }
      clearTimeout(timer);
      worker.onerror = null;
      resolve(worker);
    };
  });
}
