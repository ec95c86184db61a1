/**
 * Lossless: byte ops over all of a frame's lossless rectangles as one batch (docs/protocol.md §4).
 *
 * A batch is decoded once, when its first op is asked for; painting is a blit. In WebAssembly that is one synchronous
 * call whatever the size; until the module has come, where there is none, and for batches beyond its memory JavaScript
 * does the same, and waits for the browser to inflate.
 */

import { OpKind } from "../protocol.js";
import { decodeBatch } from "./batch.js";
import { DecodeError, pixelPatch } from "./patch.js";
import { loadWasmDecoder } from "./wasm.js";

/**
 * @typedef {import("../protocol.js").Op} Op
 * @typedef {import("../protocol.js").Message} Message
 * @typedef {import("./patch.js").Patch} Patch
 * @typedef {import("./patch.js").Decoder} Decoder
 * @typedef {import("./wasm.js").WasmDecoder} WasmDecoder
 *
 * @typedef {object} Batch A decoded batch.
 * @property {(index: number) => Uint32Array} rectangle RGBA pixels; to be used at once, not to be kept
 * @property {() => void} release one of its ops is done with it
 */

/** @implements {Decoder} */
export class LosslessDecoder {
  /** What has become of a batch; one that is broken is not tried again for its other ops. */
  /** @type {WeakMap<Message, Batch | Promise<Batch> | DecodeError>} */
  #batches = new WeakMap();
  /** @type {Pick<WasmDecoder, "decode"> | null} */
  #wasm = null;

  /** @param {() => Promise<Pick<WasmDecoder, "decode"> | null>} [load] */
  constructor(load = loadWasmDecoder) {
    load().then((wasm) => (this.#wasm = wasm));
  }

  /** How batches are decoded, for the statistics. */
  get method() {
    return this.#wasm === null ? "javascript" : "wasm";
  }

  /**
   * @param {Op} op
   * @param {Message} message
   * @returns {Patch | Promise<Patch>}
   */
  decode(op, message) {
    let batch = this.#batches.get(message);
    if (batch === undefined) {
      batch = this.#open(op.payload, message);
      this.#batches.set(message, batch);
    }
    if (batch instanceof DecodeError) throw batch;
    return batch instanceof Promise ? batch.then((opened) => paintFrom(op, opened)) : paintFrom(op, batch);
  }

  reset() {
    this.#batches = new WeakMap();
  }

  /**
   * @param {Uint8Array} payload
   * @param {Message} message
   */
  #open(payload, message) {
    const sizes = message.ops.filter((op) => op.kind === OpKind.LOSSLESS).map((op) => ({ width: op.pw, height: op.ph }));
    try {
      return this.#runWasm(payload, sizes) ?? runJavaScript(payload, sizes);
    } catch (error) {
      return error instanceof DecodeError ? error : new DecodeError(String(error));
    }
  }

  /**
   * @param {Uint8Array} payload
   * @param {{width: number, height: number}[]} sizes
   * @returns {Batch | null} null if JavaScript has to do it
   */
  #runWasm(payload, sizes) {
    try {
      return this.#wasm?.decode(payload, sizes) ?? null;
    } catch (error) {
      if (error instanceof DecodeError) throw error;
      // A trap: whatever the module holds is not to be trusted any more.
      this.#wasm = null;
      return null;
    }
  }
}

/**
 * @param {Op} op
 * @param {Batch} batch
 */
function paintFrom(op, batch) {
  return pixelPatch(op, () => batch.rectangle(op.value), batch.release);
}

/**
 * @param {Uint8Array} payload
 * @param {{width: number, height: number}[]} sizes
 * @returns {Batch | Promise<Batch>}
 */
function runJavaScript(payload, sizes) {
  /** @param {Uint32Array[]} rectangles */
  const asBatch = (rectangles) => ({ rectangle: (/** @type {number} */ index) => rectangles[index], release() {} });
  const decoded = decodeBatch(payload, sizes);
  return decoded instanceof Promise ? decoded.then(asBatch) : asBatch(decoded);
}
