/** Lossless batches for tests: an encoder, fast-check arbitraries of what it encodes, and an inflater for older Nodes. */

import { deflateRawSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { inflateRaw } from "../../../static/core/decoders/inflate.js";
import { DecodeError } from "../../../static/core/decoders/patch.js";

/** Older Nodes have no raw deflate in DecompressionStream; browsers do. */
const hasRaw = (() => {
  try {
    new DecompressionStream(/** @type {any} */ ("deflate-raw"));
    return true;
  } catch {
    return false;
  }
})();

/** @type {typeof inflateRaw} */
export const inflate = hasRaw
  ? inflateRaw
  : async (bytes, size) => {
      try {
        const result = new Uint8Array(inflateRawSync(bytes, { maxOutputLength: size || 1 }));
        if (result.length === size) return result;
      } catch {
        // Refused below.
      }
      throw new DecodeError("bad deflate");
    };

/**
 * An encoder as simple as can be: repeats and copies wherever they are right, literals elsewhere.
 *
 * @param {{width: number, height: number, pixels: number[]}[]} rectangles of 0xRRGGBB
 * @param {number[]} palette
 * @param {boolean} deflated
 */
export function encodeBatch(rectangles, palette, deflated) {
  /** @type {number[]} */
  const ops = [];
  for (const { width, pixels } of rectangles) {
    let literals = -1;
    for (let i = 0; i < pixels.length; ) {
      const left = run(pixels, i, 1, i > 0);
      const above = run(pixels, i, width, i >= width);
      const best = Math.max(left, above);
      if (best >= 2) {
        const kind = above >= left ? 0 : 0x20;
        if (best <= 32) ops.push(0x80 | kind | (best - 1));
        else ops.push(0xc0 | kind | ((best - 1) >> 8), (best - 1) & 255);
        i += best;
        literals = -1;
        continue;
      }
      const index = palette.indexOf(pixels[i]);
      if (literals >= 0 && ops[literals] < 127) ops[literals]++;
      else literals = ops.push(0) - 1;
      if (index >= 0) ops.push(index);
      else ops.push(255, pixels[i] >> 16, (pixels[i] >> 8) & 255, pixels[i] & 255);
      i++;
    }
  }
  const stream = Uint8Array.from(ops);
  const head = [deflated ? 1 : 0, palette.length, ...palette.flatMap((c) => [c >> 16, (c >> 8) & 255, c & 255])];
  const size = new Uint8Array(new Uint32Array([stream.length]).buffer);
  return Uint8Array.from([...head, ...size, ...(deflated ? deflateRawSync(stream) : stream)]);
}

/** @param {number[]} pixels @param {number} at @param {number} distance @param {boolean} allowed */
function run(pixels, at, distance, allowed) {
  let count = 0;
  while (allowed && count < 8192 && at + count < pixels.length && pixels[at + count] === pixels[at + count - distance]) {
    count++;
  }
  return count;
}

export const colours = [0, 0xffffff, 0x123456, 0xff0000, 0x00ff7f];
const rectangle = fc
  .record({ width: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 12 }), seed: fc.array(fc.nat(4), { minLength: 1, maxLength: 60 }) })
  .map(({ width, height, seed }) => ({
    width,
    height,
    pixels: Array.from({ length: width * height }, (_, i) => colours[seed[(i * (1 + (i >> 4))) % seed.length]]),
  }));
export const batches = fc.array(rectangle, { minLength: 1, maxLength: 5 });
