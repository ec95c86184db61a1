import assert from "node:assert/strict";
import test from "node:test";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { packPixel } from "../../../static/core/framebuffer.js";
import { decodeBatch } from "../../../static/core/decoders/batch.js";
import { inflateRaw } from "../../../static/core/decoders/inflate.js";
import { DecodeError } from "../../../static/core/decoders/patch.js";
import { batches, colours, encodeBatch } from "./batches.js";
import "./streams.js";

test("what was encoded is what is decoded", async () => {
  await fc.assert(
    fc.asyncProperty(batches, fc.nat(5), fc.boolean(), async (rectangles, paletteSize, deflated) => {
      const payload = encodeBatch(rectangles, colours.slice(0, paletteSize), deflated);
      const decoded = await decodeBatch(payload, rectangles, inflateRaw);
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
        const decoded = await decodeBatch(payload, rectangles, inflateRaw);
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
  await assert.rejects(inflateRaw(bomb, 1000), DecodeError);
  const payload = Uint8Array.from([1, 0, 0, 0, 16, 0, ...bomb]);
  assert.throws(() => decodeBatch(payload, [{ width: 4, height: 4 }], inflateRaw), /op stream of 1048576 bytes/);
});

test("runs longer than a row read what they have just written", () => {
  const body = [0x01, 0, 1, 0x80 | 9];
  const payload = Uint8Array.from([0, 2, 9, 9, 9, 7, 7, 7, body.length, 0, 0, 0, ...body]);
  const [pixels] = /** @type {Uint32Array[]} */ (decodeBatch(payload, [{ width: 2, height: 6 }], inflateRaw));
  const [a, b] = [packPixel(9, 9, 9), packPixel(7, 7, 7)];
  assert.deepEqual([...pixels], [a, b, a, b, a, b, a, b, a, b, a, b]);
});

test("flags, forms and lengths that are wrong are refused in words", () => {
  const sizes = [{ width: 2, height: 1 }];
  /** @param {number} flags @param {number[]} body */
  const batch = (flags, body) => Uint8Array.from([flags, 0, body.length, 0, 0, 0, ...body]);
  assert.throws(() => decodeBatch(batch(4, [0]), sizes), /flags 4 are of a newer version/);
  assert.throws(() => decodeBatch(batch(2, [2, 0, 0]), sizes), /form 2 is of a newer version/);
  assert.throws(() => decodeBatch(batch(2, []), sizes), /ends inside its forms/);
  assert.throws(() => decodeBatch(batch(2, [1, 0, 0, 0, 0, 0]), sizes), /inside the planes/);
  assert.throws(() => decodeBatch(batch(2, [1, 0, 0, 0, 0, 0, 0, 0]), sizes), /goes on after its last rectangle/);
  const [pixels] = /** @type {Uint32Array[]} */ (decodeBatch(batch(2, [1, 10, 1, 5, 0, 250, 2]), sizes));
  assert.deepEqual([...pixels], [packPixel(15, 10, 4), packPixel(16, 11, 7)]);
});
