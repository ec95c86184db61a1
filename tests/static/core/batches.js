/** Lossless batches for tests: an encoder, and fast-check arbitraries of what it encodes. */

import { deflateRawSync } from "node:zlib";
import fc from "fast-check";

/**
 * An encoder as simple as can be: repeats and copies wherever they are right, literals elsewhere; planes where it is told.
 *
 * @param {{width: number, height: number, pixels: number[], predicted?: boolean}[]} rectangles of 0xRRGGBB
 * @param {number[]} palette
 * @param {boolean} deflated
 */
export function encodeBatch(rectangles, palette, deflated) {
  /** @type {number[]} */
  const ops = [];
  for (const { width, pixels, predicted } of rectangles) {
    if (predicted) continue;
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
  const photographs = rectangles.filter(({ predicted }) => predicted);
  if (photographs.length > 0) {
    ops.unshift(...rectangles.map(({ predicted }) => (predicted ? 1 : 0)));
    for (const plane of planes) ops.push(...photographs.flatMap(({ width, pixels }) => residuals(pixels.map(plane), width)));
  }
  const stream = Uint8Array.from(ops);
  const head = [(deflated ? 1 : 0) | (photographs.length > 0 ? 2 : 0), palette.length, ...palette.flatMap((c) => [c >> 16, (c >> 8) & 255, c & 255])];
  const size = new Uint8Array(new Uint32Array([stream.length]).buffer);
  return Uint8Array.from([...head, ...size, ...(deflated ? deflateRawSync(stream) : stream)]);
}

const planes = [
  (/** @type {number} */ c) => (c >> 8) & 255,
  (/** @type {number} */ c) => ((c >> 16) - (c >> 8)) & 255,
  (/** @type {number} */ c) => (c - (c >> 8)) & 255,
];

/** @param {number[]} plane @param {number} width */
function residuals(plane, width) {
  return plane.map((value, i) => {
    const a = i % width ? plane[i - 1] : 0;
    const b = i >= width ? plane[i - width] : 0;
    const c = i % width && i >= width ? plane[i - width - 1] : 0;
    return (value - [a, b, a + b - c].sort((x, y) => x - y)[1]) & 255;
  });
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

/** @param {number} number @param {number} at @param {boolean} varied of any colour, not of those few */
function colourOf(number, at, varied) {
  return varied ? Math.imul(number + 1 + at * (at % 3), 0x9e3779b1) >>> 8 : colours[number];
}

const rectangle = fc
  .record({ width: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 12 }), seed: fc.array(fc.nat(4), { minLength: 1, maxLength: 60 }), predicted: fc.boolean() })
  .map(({ width, height, seed, predicted }) => ({
    width,
    height,
    pixels: Array.from({ length: width * height }, (_, i) => colourOf(seed[(i * (1 + (i >> 4))) % seed.length], i, predicted)),
    predicted,
  }));
export const batches = fc.array(rectangle, { minLength: 1, maxLength: 5 });
