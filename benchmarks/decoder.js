/**
 * The browser's half of `python -m benchmarks.decoder`: decodes batches in WebAssembly and in JavaScript, by turns.
 *
 * A sample is one change of the screen: all its messages decoded one after the other and blitted into a picture in
 * memory, as the client does it up to the canvas. Short ones are repeated, so that the clock's step does not count.
 */

import { decodeBatch } from "../static/core/decoders/batch.js";
import { loadWasmDecoder } from "../static/core/decoders/wasm.js";
import { Framebuffer } from "../static/core/framebuffer.js";

/** Shortest sample worth timing. */
const SAMPLE_MS = 2;

/**
 * @typedef {object} Batch A lossless batch with its rectangles.
 * @property {string} payload base64
 * @property {[number, number, number, number][]} rectangles
 *
 * @typedef {(payload: Uint8Array, sizes: {width: number, height: number}[]) =>
 *   ((index: number) => Uint32Array) | Promise<(index: number) => Uint32Array>} Method
 */

/**
 * @param {{name: string, batches: Batch[]}[]} changes
 * @param {number} rounds
 * @returns {Promise<Record<string, Record<string, number[]>>>} ms of each sample, by change and method
 */
async function measure(changes, rounds) {
  const wasm = await loadWasmDecoder();
  if (wasm === null) throw new Error("this browser does not run the module");
  /** @type {Record<string, Method>} */
  const methods = {
    javascript: (payload, sizes) => {
      const decoded = decodeBatch(payload, sizes);
      if (decoded instanceof Promise) return decoded.then((rectangles) => (index) => rectangles[index]);
      return (index) => decoded[index];
    },
    wasm: (payload, sizes) => {
      const batch = /** @type {NonNullable<ReturnType<typeof wasm.decode>>} */ (wasm.decode(payload, sizes));
      for (let i = 0; i < sizes.length; i++) batch.release();
      return (index) => batch.rectangle(index);
    },
  };
  /** @type {Record<string, Record<string, number[]>>} */
  const results = {};
  for (const { name, batches } of changes) {
    const prepared = batches.map(({ payload, rectangles }) => ({
      payload: Uint8Array.from(atob(payload), (c) => c.charCodeAt(0)),
      sizes: rectangles.map(([, , width, height]) => ({ width, height })),
      rectangles,
    }));
    results[name] = {};
    /** @type {Record<string, number>} */
    const repeats = {};
    /** @type {Record<string, Framebuffer>} */
    const pictures = {};
    for (const method of Object.keys(methods)) {
      results[name][method] = [];
      pictures[method] = new Framebuffer(1920, 1080);
      // Warm up: compiled code, and how often a sample has to be repeated.
      const start = performance.now();
      let count = 0;
      while (count < 5 || performance.now() - start < 200) {
        await show(prepared, methods[method], pictures[method]);
        count++;
      }
      repeats[method] = Math.ceil((SAMPLE_MS * count) / (performance.now() - start));
    }
    if (pictures.wasm.pixels.some((pixel, i) => pixel !== pictures.javascript.pixels[i])) {
      throw new Error(`${name}: the two decoders show different pictures`);
    }
    for (let round = 0; round < rounds; round++) {
      for (const method of Object.keys(methods)) {
        const start = performance.now();
        for (let i = 0; i < repeats[method]; i++) await show(prepared, methods[method], pictures[method]);
        results[name][method].push((performance.now() - start) / repeats[method]);
      }
    }
  }
  return results;
}

/**
 * @param {{payload: Uint8Array, sizes: {width: number, height: number}[],
 *   rectangles: [number, number, number, number][]}[]} batches
 * @param {Method} method
 * @param {Framebuffer} picture
 */
async function show(batches, method, picture) {
  for (const { payload, sizes, rectangles } of batches) {
    const decoded = method(payload, sizes);
    const read = decoded instanceof Promise ? await decoded : decoded;
    rectangles.forEach(([x, y, w, h], index) => picture.blit(x, y, w, h, read(index), w));
  }
}

/** @type {any} */ (globalThis).measure = measure;
