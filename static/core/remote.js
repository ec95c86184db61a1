/**
 * A screen in a worker, seen from its page: the same methods as Screen, and timers that a hidden page may rely on.
 *
 * Owns the worker. Messages keep their order, so what is called after a frame happens after it.
 */

/**
 * @typedef {import("./screen.js").ScreenEvent} ScreenEvent
 * @typedef {import("./screen.js").ScreenStats} ScreenStats
 */

/** A worker that has not answered by then will not: the page's thread takes over. */
const WORKER_TIMEOUT_MS = 5000;

export class RemoteScreen {
  #worker;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  #calls = new Map();
  /** @type {Map<number, () => void>} */
  #timers = new Map();
  #count = 0;
  /** @type {(event: ScreenEvent) => void} */
  onEvent = () => {};

  /**
   * @param {Worker} worker that is ready
   * @param {OffscreenCanvas} canvas
   */
  constructor(worker, canvas) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#receive(data);
    worker.postMessage({ canvas }, [canvas]);
  }

  /**
   * @param {ArrayBuffer} data given away
   * @param {number} arrived ms since 1970
   */
  receive(data, arrived) {
    this.#worker.postMessage({ data, arrived }, [data]);
  }

  /** @param {number} connection */
  restart(connection) {
    this.#worker.postMessage({ call: "restart", args: [connection] });
  }

  /** @param {boolean} hidden */
  setHidden(hidden) {
    this.#worker.postMessage({ call: "setHidden", args: [hidden] });
  }

  /** @param {boolean} on */
  setSmoothing(on) {
    this.#worker.postMessage({ call: "setSmoothing", args: [on] });
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} w
   * @param {number} h
   * @returns {Promise<Uint8ClampedArray>}
   */
  readPixels(x, y, w, h) {
    return this.#ask("readPixels", [x, y, w, h]);
  }

  /** @returns {Promise<ScreenStats>} */
  stats() {
    return this.#ask("stats", []);
  }

  /**
   * @param {() => void} callback
   * @param {number} ms
   */
  setTimer = (callback, ms) => {
    const timer = ++this.#count;
    this.#timers.set(timer, callback);
    this.#worker.postMessage({ timer, ms });
    return timer;
  };

  /** @param {number | null} timer */
  clearTimer = (timer) => {
    if (timer !== null && this.#timers.delete(timer)) this.#worker.postMessage({ cancel: timer });
  };

  /**
   * @param {string} method
   * @param {any[]} args
   * @returns {Promise<any>}
   */
  #ask(method, args) {
    return new Promise((resolve, reject) => {
      const id = ++this.#count;
      this.#calls.set(id, { resolve, reject });
      this.#worker.postMessage({ call: method, args, id });
    });
  }

  /** @param {{event?: ScreenEvent, timer?: number, id?: number, result?: any, error?: string}} message */
  #receive({ event, timer, id, result, error }) {
    if (event !== undefined) this.onEvent(event);
    if (timer !== undefined) {
      const callback = this.#timers.get(timer);
      this.#timers.delete(timer);
      callback?.();
    }
    if (id === undefined) return;
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error));
  }
}

/**
 * A worker that has loaded the screen, and what it can decode. The canvas is handed over only then, for it cannot be
 * taken back.
 *
 * @returns {Promise<{worker: Worker, codecs: string[]} | null>} null where the browser cannot do it
 */
export function startWorker() {
  const able = typeof OffscreenCanvas !== "undefined" && "transferControlToOffscreen" in HTMLCanvasElement.prototype;
  if (!able || typeof Worker === "undefined") return Promise.resolve(null);
  return new Promise((resolve) => {
    /** @type {Worker} */
    let worker;
    try {
      worker = new Worker(new URL("./screen.worker.js", import.meta.url), { type: "module" });
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
      resolve({ worker, codecs: data.codecs });
    };
  });
}
