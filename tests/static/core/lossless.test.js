import assert from "node:assert/strict";
import test from "node:test";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { packPixel } from "../../../static/core/framebuffer.js";
import { inflateRaw } from "../../../static/core/decoders/inflate.js";
import { decodeBatch } from "../../../static/core/decoders/lossless.js";
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
const inflate = hasRaw
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
function encodeBatch(rectangles, palette, deflated) {
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

const colours = [0, 0xffffff, 0x123456, 0xff0000, 0x00ff7f];
const rectangle = fc
  .record({ width: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 12 }), seed: fc.array(fc.nat(4), { minLength: 1, maxLength: 60 }) })
  .map(({ width, height, seed }) => ({
    width,
    height,
    pixels: Array.from({ length: width * height }, (_, i) => colours[seed[(i * (1 + (i >> 4))) % seed.length]]),
  }));
const batches = fc.array(rectangle, { minLength: 1, maxLength: 5 });

test("what was encoded is what is decoded", async () => {
  await fc.assert(
    fc.asyncProperty(batches, fc.nat(5), fc.boolean(), async (rectangles, paletteSize, deflated) => {
      const payload = encodeBatch(rectangles, colours.slice(0, paletteSize), deflated);
      const decoded = await decodeBatch(payload, rectangles, inflate);
      rectangles.forEach(({ pixels }, i) => {
        const expected = pixels.map((c) => packPixel(c >> 16, (c >> 8) & 255, c & 255));
        assert.deepEqual([...decoded[i]], expected);
      });
    }),
  );
});

test("changed bytes decode to the right number of pixels or are refused", async () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(batches, fc.boolean(), edits, fc.nat(3), async (rectangles, deflated, changes, cut) => {
      let payload = encodeBatch(rectangles, colours.slice(0, 3), deflated);
      for (const [at, value] of changes) payload[at % payload.length] = value;
      payload = payload.slice(0, payload.length - cut);
      try {
        const decoded = await decodeBatch(payload, rectangles, inflate);
        rectangles.forEach(({ width, height }, i) => assert.equal(decoded[i].length, width * height));
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("a bomb is cut off at the promised size", async () => {
  const bomb = deflateRawSync(new Uint8Array(1 << 20));
  await assert.rejects(inflate(bomb, 1000), DecodeError);
  const payload = Uint8Array.from([1, 0, 0, 0, 16, 0, ...bomb]);
  assert.throws(() => decodeBatch(payload, [{ width: 4, height: 4 }], inflate), /op stream of 1048576 bytes/);
});

test("runs longer than a row read what they have just written", () => {
  const body = [0x01, 0, 1, 0x80 | 9];
  const payload = Uint8Array.from([0, 2, 9, 9, 9, 7, 7, 7, body.length, 0, 0, 0, ...body]);
  const [pixels] = /** @type {Uint32Array[]} */ (decodeBatch(payload, [{ width: 2, height: 6 }], inflate));
  const [a, b] = [packPixel(9, 9, 9), packPixel(7, 7, 7)];
  assert.deepEqual([...pixels], [a, b, a, b, a, b, a, b, a, b, a, b]);
});
