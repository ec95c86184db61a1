/**
 * The lossless batch in WebAssembly: the browser's end of stripeengine/wasm/module.c.
 *
 * Decodes synchronously. The module has one place for pixels, where a batch stays until the next one comes; only if its
 * frame has not been committed by then is it copied out. So a frame that commits at once costs no copy and no garbage.
 */

import { DecodeError } from "./patch.js";

/**
 * @typedef {object} Exports of the module, as module.c describes them
 * @property {WebAssembly.Memory} memory
 * @property {() => number} workspace
 * @property {(count: number, length: number) => number} open
 * @property {() => number} memory_needed
 * @property {() => number} decode
 * @property {() => number} result
 * @property {(error: number) => number} message
 */

const PAGE = 65536;

/**
 * Fetch and compile the module.
 *
 * @param {URL | string} [url]
 * @returns {Promise<WasmDecoder | null>} null where the browser cannot or may not run it, or it does not come
 */
export async function loadWasmDecoder(url = new URL("./lossless.wasm", import.meta.url)) {
  try {
    const response = await fetch(url);
    if (!response.ok) return null;
    return await WasmDecoder.compile(await response.arrayBuffer());
  } catch {
    return null;
  }
}

export class WasmDecoder {
  #exports;
  /** @type {WasmBatch | null} */
  #held = null;

  /** @param {WebAssembly.Instance} instance */
  constructor(instance) {
    this.#exports = /** @type {Exports} */ (/** @type {unknown} */ (instance.exports));
  }

  /** @param {BufferSource} bytes of the module */
  static async compile(bytes) {
    const { instance } = await WebAssembly.instantiate(bytes);
    return new WasmDecoder(instance);
  }

  /**
   * @param {Uint8Array} payload
   * @param {{width: number, height: number}[]} sizes of the rectangles, in the batch's order
   * @returns {WasmBatch | null} null if the batch is larger than the module's memory may become
   * @throws {DecodeError} if the batch is broken
   */
  decode(payload, sizes) {
    this.#held?.keep();
    this.#held = null;
    const { memory, workspace, open, memory_needed, decode, result } = this.#exports;
    const start = workspace();
    const places = new Uint32Array(sizes.length + 1);
    if (!this.#reserve(start + sizes.length * 8 + payload.length)) return null;
    const table = new Uint32Array(memory.buffer, start, sizes.length * 2);
    sizes.forEach(({ width, height }, i) => {
      table[i * 2] = width;
      table[i * 2 + 1] = height;
      places[i + 1] = places[i] + width * height;
    });
    new Uint8Array(memory.buffer).set(payload, start + sizes.length * 8);
    const verdict = open(sizes.length, payload.length);
    if (verdict < 0) throw new DecodeError(this.#message(verdict));
    if (verdict > 0 || !this.#reserve(memory_needed())) return null;
    const error = decode();
    if (error !== 0) throw new DecodeError(this.#message(error));
    this.#held = new WasmBatch(memory, result(), places);
    return this.#held;
  }

  /**
   * @param {number} end bytes
   * @returns {boolean} whether memory reaches so far now
   */
  #reserve(end) {
    const missing = end - this.#exports.memory.buffer.byteLength;
    if (missing <= 0) return true;
    try {
      this.#exports.memory.grow(Math.ceil(missing / PAGE));
      return true;
    } catch {
      return false;
    }
  }

  /** @param {number} error */
  #message(error) {
    const start = this.#exports.message(error);
    const bytes = new Uint8Array(this.#exports.memory.buffer, start);
    return String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0)));
  }
}

/** A decoded batch: in the module's memory, and out of it when the memory is needed for the next. */
class WasmBatch {
  #memory;
  #start;
  #places;
  #waiting;
  /** @type {Uint32Array | null} */
  #own = null;

  /**
   * @param {WebAssembly.Memory} memory
   * @param {number} start byte of the first pixel
   * @param {Uint32Array} places pixel with which each rectangle begins, and the end of the last
   */
  constructor(memory, start, places) {
    this.#memory = memory;
    this.#start = start;
    this.#places = places;
    this.#waiting = places.length - 1;
  }

  /** @param {number} index */
  rectangle(index) {
    return this.#pixels().subarray(this.#places[index], this.#places[index + 1]);
  }

  release = () => {
    this.#waiting--;
  };

  /** Leave the module's memory, if an op still waits for its frame's commit. */
  keep() {
    if (this.#waiting > 0) this.#own = this.#pixels().slice();
  }

  #pixels() {
    return this.#own ?? new Uint32Array(this.#memory.buffer, this.#start, this.#places[this.#places.length - 1]);
  }
}
