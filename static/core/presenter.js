/**
 * The presenter: decides when what has been committed is drawn, so that the display sees whole frames and each at most
 * once.
 *
 * The first frame of an animation frame is drawn at once: whatever the display shows next has it, so waiting would gain
 * nothing. What follows before the display has taken that one is drawn together, when the display asks. Neither costs
 * latency, and a burst of frames costs one upload. Single-threaded, in the worker or the page; timers are injected.
 */

/** A display that has not asked for so long does not ask at all: the page is covered, or just hidden. */
const PATIENCE_MS = 100;

/**
 * @typedef {object} PresenterOptions
 * @property {() => void} draw put on the canvas what has been committed; synchronous
 * @property {(time: number) => void} [onPresented] all that was committed has gone to the display, ms
 * @property {(callback: () => void) => any} [requestFrame] before the next paint
 * @property {(request: any) => void} [cancelFrame]
 * @property {() => number} [now] ms
 * @property {(callback: () => void, ms: number) => any} [setTimer]
 * @property {(timer: any) => void} [clearTimer]
 */

export class Presenter {
  /** @type {Required<PresenterOptions>} */
  #options;
  /** @type {any} */
  #request = null;
  /** @type {any} */
  #timer = null;
  /** Frames committed since the display last asked, and how many of them are drawn. */
  #committed = 0;
  #drawn = 0;
  /** Frames that were never shown alone, for the next one was there before the display asked. */
  merged = 0;

  /** @param {PresenterOptions} options */
  constructor(options) {
    this.#options = /** @type {Required<PresenterOptions>} */ ({
      onPresented: () => {},
      now: () => performance.now(),
      setTimer: (/** @type {() => void} */ callback, /** @type {number} */ ms) => setTimeout(callback, ms),
      clearTimer: (/** @type {any} */ timer) => clearTimeout(timer),
      ...animationFrames(),
      ...options,
    });
  }

  /** A frame has been committed. */
  frame() {
    this.#committed++;
    if (this.#request === null) {
      this.#draw();
      this.#ask();
    }
  }

  /** Draw what waits, for somebody wants to read the canvas. */
  flush() {
    if (this.#drawn < this.#committed) this.#draw();
  }

  #draw() {
    this.#options.draw();
    this.#drawn = this.#committed;
  }

  #ask() {
    const { requestFrame, setTimer } = this.#options;
    this.#request = requestFrame(() => this.#present());
    this.#timer = setTimer(() => this.#present(), PATIENCE_MS);
  }

  #present() {
    const { cancelFrame, clearTimer, onPresented, now } = this.#options;
    cancelFrame(this.#request);
    clearTimer(this.#timer);
    this.#request = this.#timer = null;
    this.flush();
    this.merged += Math.max(0, this.#committed - 1);
    this.#committed = this.#drawn = 0;
    onPresented(now());
  }
}

/** @returns {Pick<Required<PresenterOptions>, "requestFrame" | "cancelFrame">} without them, timers of 60 a second */
function animationFrames() {
  if (typeof requestAnimationFrame === "undefined") {
    return { requestFrame: (callback) => setTimeout(callback, 16), cancelFrame: (request) => clearTimeout(request) };
  }
  return {
    requestFrame: (callback) => requestAnimationFrame(callback),
    cancelFrame: (request) => cancelAnimationFrame(request),
  };
}
