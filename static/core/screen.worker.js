/**
 * The screen in a dedicated module worker, and timers for its page: this file only carries messages between them.
 *
 * In:  {canvas} once, {data, arrived} a binary message, {call: method, args, id?}, {timer: n, ms} and {cancel: n}
 * Out: {ready, codecs} once, {event: ScreenEvent}, {id, result | error}, {timer: n} when it is due
 */

import { detectCodecs } from "./decoders/h264.js";
import { Screen } from "./screen.js";

/** The methods the page may call by name. */
const METHODS = /** @type {const} */ (["restart", "setHidden", "setSmoothing", "readPixels", "stats"]);

/** @type {Screen | null} */
let screen = null;
/** A hidden page's own timers come once a minute, too seldom for a heartbeat. @type {Map<number, any>} */
const timers = new Map();

/** Only the part of DedicatedWorkerGlobalScope that is used: the type checker knows this file as a page's. */
const scope = /** @type {{postMessage: (message: unknown, transfer?: Transferable[]) => void,
  onmessage: ((event: MessageEvent) => void) | null}} */ (/** @type {unknown} */ (self));

/** @param {OffscreenCanvas} canvas */
function start(canvas) {
  screen = new Screen(canvas, true);
  screen.onEvent = (event) => scope.postMessage({ event });
}

/** @param {{call: typeof METHODS[number], args: any[], id?: number}} request */
async function call({ call: name, args, id }) {
  if (screen === null || !METHODS.includes(name)) return;
  try {
    const method = /** @type {(...args: any[]) => any} */ (screen[name]);
    const result = await method.apply(screen, args);
    const transfer = result instanceof Uint8ClampedArray ? [result.buffer] : [];
    if (id !== undefined) scope.postMessage({ id, result }, transfer);
  } catch (error) {
    if (id !== undefined) scope.postMessage({ id, error: String(error) });
  }
}

/** @param {{timer: number, ms: number}} request */
function setTimer({ timer, ms }) {
  const handle = setTimeout(() => {
    timers.delete(timer);
    scope.postMessage({ timer });
  }, ms);
  timers.set(timer, handle);
}

scope.onmessage = (/** @type {MessageEvent} */ { data }) => {
  if (data.data !== undefined) screen?.receive(data.data, data.arrived);
  else if (data.call !== undefined) call(data);
  else if (data.timer !== undefined) setTimer(data);
  else if (data.cancel !== undefined) clearTimeout(timers.get(data.cancel));
  else if (data.canvas !== undefined) start(data.canvas);
};
// Some browsers have the canvas in workers, but no 2D context for it.
const ready = new OffscreenCanvas(1, 1).getContext("2d") !== null;
detectCodecs().then((codecs) => scope.postMessage({ ready, codecs }));
