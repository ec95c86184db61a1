import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { decodeBatch } from "../../../static/core/decoders/batch.js";
import { inflateRaw } from "../../../static/core/decoders/inflate.js";
import { LosslessDecoder } from "../../../static/core/decoders/lossless.js";
import { DecodeError } from "../../../static/core/decoders/patch.js";
import { loadWasmDecoder, WasmDecoder } from "../../../static/core/decoders/wasm.js";
import { Framebuffer, packPixel } from "../../../static/core/framebuffer.js";
import { OpKind } from "../../../static/core/protocol.js";
import { batches, colours, encodeBatch } from "./batches.js";
import "./streams.js";

/** Another build of the module can be named, to be held to the same. */
const MODULE = readFileSync(process.env.LOSSLESS_WASM ?? new URL("../../../static/core/decoders/lossless.wasm", import.meta.url));
const wasm = await WasmDecoder.compile(MODULE);

/** @param {number} colour @param {number} width @param {number} height @param {boolean} [deflated] */
function flat(colour, width, height, deflated = false) {
  const sizes = [{ width, height }];
  const pixels = new Array(width * height).fill(colour);
  return { payload: encodeBatch([{ width, height, pixels }], [colour], deflated), sizes };
}

test("the module decodes what was encoded", () => {
  fc.assert(
    fc.property(batches, fc.nat(5), fc.boolean(), (rectangles, paletteSize, deflated) => {
      const batch = wasm.decode(encodeBatch(rectangles, colours.slice(0, paletteSize), deflated), rectangles);
      rectangles.forEach(({ pixels }, i) => {
        assert.deepEqual([...(batch?.rectangle(i) ?? [])], pixels.map((c) => packPixel(c >> 16, (c >> 8) & 255, c & 255)));
      });
    }),
  );
});

test("of changed bytes the module and JavaScript say the same", async () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(batches, fc.boolean(), edits, fc.nat(3), async (rectangles, deflated, changes, cut) => {
      let payload = encodeBatch(rectangles, colours.slice(0, 3), deflated);
      for (const [at, value] of changes) payload[at % payload.length] = value;
      payload = payload.slice(0, payload.length - cut);
      const expected = await Promise.resolve()
        .then(() => decodeBatch(payload, rectangles, inflateRaw))
        .catch((error) => error);
      if (expected instanceof Error) {
        refused++;
        assert.throws(() => wasm.decode(payload, rectangles), DecodeError);
      } else {
        const batch = wasm.decode(payload, rectangles);
        expected.forEach((/** @type {Uint32Array} */ pixels, /** @type {number} */ i) => assert.deepEqual(batch?.rectangle(i), pixels));
      }
    }),
    { numRuns: 500 },
  );
  assert.ok(refused > 50);
});

test("the module asks for nothing and has bounds", async () => {
  const { module, instance } = await WebAssembly.instantiate(MODULE);
  assert.deepEqual(WebAssembly.Module.imports(module), []);
  const memory = /** @type {WebAssembly.Memory} */ (instance.exports.memory);
  assert.throws(() => memory.grow(1280), RangeError, "80 MiB in all");
});

test("the reason of a refusal is in words", () => {
  assert.throws(() => wasm.decode(Uint8Array.of(0), [{ width: 1, height: 1 }]), /^DecodeError: .* ends inside its header$/);
  const bomb = Uint8Array.from([1, 0, 0, 0, 16, 0, ...deflateRawSync(new Uint8Array(1 << 20))]);
  assert.throws(() => wasm.decode(bomb, [{ width: 4, height: 4 }]), /more bytes than its pixels can need/);
  const longer = Uint8Array.from([1, 0, 9, 0, 0, 0, ...deflateRawSync(new Uint8Array(1 << 20))]);
  assert.throws(() => wasm.decode(longer, [{ width: 4, height: 4 }]), /more or fewer bytes/);
});

test("what waits for its commit outlives the next batches, and memory that grows", async () => {
  const decoder = await WasmDecoder.compile(MODULE);
  const first = flat(0x112233, 3, 2);
  const waiting = decoder.decode(first.payload, first.sizes);
  const next = flat(0xff0000, 1000, 700, true);
  const large = decoder.decode(next.payload, next.sizes);
  assert.deepEqual([...(waiting?.rectangle(0) ?? [])], new Array(6).fill(packPixel(0x11, 0x22, 0x33)));
  assert.equal(large?.rectangle(0)[699_999], packPixel(255, 0, 0));
  large?.release();
  decoder.decode(flat(0x00ff00, 1000, 700, true).payload, next.sizes);
  assert.equal(large?.rectangle(0)[0], packPixel(0, 255, 0), "what was released is not copied out");
});

test("a batch beyond the module's memory is left to JavaScript", () => {
  const { payload } = flat(0, 1, 1);
  assert.equal(wasm.decode(payload, [{ width: 16384, height: 16384 }]), null);
  assert.equal(wasm.decode(new Uint8Array(100 << 20), [{ width: 1, height: 1 }]), null);
  const sizes = [{ width: 3840, height: 2160 }];
  // 1 literal, then repeats to the end of a whole 4K picture.
  const left = 3840 * 2160 - 1;
  const body = [0, 0];
  for (let rest = left; rest > 0; rest -= 8192) {
    const count = Math.min(rest, 8192) - 1;
    body.push(0xe0 | (count >> 8), count & 255);
  }
  const size = new Uint8Array(new Uint32Array([body.length]).buffer);
  const batch = wasm.decode(Uint8Array.from([0, 1, 1, 2, 3, ...size, ...body]), sizes);
  assert.equal(batch?.rectangle(0)[left], packPixel(1, 2, 3), "a 4K picture is not beyond it");
});

/** @param {Uint8Array} payload @param {number} width @param {number} height */
function message(payload, width, height) {
  const op = { kind: OpKind.LOSSLESS, x: 0, y: 0, w: width, h: height, pw: width, ph: height, crop: false, value: 0, payload };
  return /** @type {any} */ ({ ops: [op] });
}

/** @param {LosslessDecoder} decoder @param {any} frame */
async function paint(decoder, frame) {
  const framebuffer = new Framebuffer(64, 48);
  const patch = await decoder.decode(frame.ops[0], frame);
  patch.paint(/** @type {any} */ ({ framebuffer, touch() {} }));
  patch.close();
  return framebuffer.pixels;
}

test("JavaScript decodes until the module has come, then the module does, at once", async () => {
  /** @type {(wasm: WasmDecoder) => void} */
  let arrive = () => {};
  const decoder = new LosslessDecoder(() => new Promise((resolve) => (arrive = resolve)));
  const { payload } = flat(0xff0000, 5, 4);
  assert.equal(decoder.method, "javascript");
  assert.equal((await paint(decoder, message(payload, 5, 4)))[3 * 64 + 4], packPixel(255, 0, 0));
  arrive(wasm);
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(decoder.method, "wasm");
  const deflated = message(flat(0x00ff00, 5, 4, true).payload, 5, 4);
  assert.ok(!(decoder.decode(deflated.ops[0], deflated) instanceof Promise));
  assert.equal((await paint(decoder, message(flat(0x00ff00, 5, 4, true).payload, 5, 4)))[0], packPixel(0, 255, 0));
});

test("a scaled rectangle is read before the next batch comes", async () => {
  const decoder = new LosslessDecoder(async () => wasm);
  await Promise.resolve();
  await Promise.resolve();
  const frame = message(flat(0x0000ff, 2, 2).payload, 2, 2);
  Object.assign(frame.ops[0], { w: 8, h: 8 });
  const patch = await decoder.decode(frame.ops[0], frame);
  wasm.decode(flat(0, 40, 40).payload, [{ width: 40, height: 40 }]);
  const framebuffer = new Framebuffer(64, 48);
  patch.paint(/** @type {any} */ ({ framebuffer, touch() {} }));
  assert.equal(framebuffer.pixels[7 * 64 + 7], packPixel(0, 0, 255));
});

test("a broken batch is decoded once, however many ops refer to it", async () => {
  let calls = 0;
  const counting = {
    /** @param {Uint8Array} payload @param {any} sizes */
    decode(payload, sizes) {
      calls++;
      return wasm.decode(payload, sizes);
    },
  };
  const decoder = new LosslessDecoder(async () => counting);
  await Promise.resolve();
  await Promise.resolve();
  const frame = message(Uint8Array.of(0, 0, 0, 0, 0, 0), 1, 1);
  for (let i = 0; i < 5; i++) assert.throws(() => decoder.decode(frame.ops[0], frame), /ends early/);
  assert.equal(calls, 1);
});

test("after a trap JavaScript takes over, without losing the batch", async () => {
  const decoder = new LosslessDecoder(async () => ({
    decode() {
      throw new WebAssembly.RuntimeError("unreachable");
    },
  }));
  await Promise.resolve();
  await Promise.resolve();
  const { payload } = flat(0xff0000, 5, 4);
  assert.equal((await paint(decoder, message(payload, 5, 4)))[0], packPixel(255, 0, 0));
  assert.equal(decoder.method, "javascript");
});

test("a module that does not come, or is none, is no error", async () => {
  const scope = /** @type {any} */ (globalThis);
  const { fetch } = scope;
  try {
    for (const answer of [
      async () => Promise.reject(new TypeError("offline")),
      async () => ({ ok: false }),
      async () => ({ ok: true, arrayBuffer: async () => new ArrayBuffer(8) }),
    ]) {
      scope.fetch = answer;
      assert.equal(await loadWasmDecoder(), null);
    }
    scope.fetch = async () => ({ ok: true, arrayBuffer: async () => MODULE });
    assert.ok((await loadWasmDecoder()) instanceof WasmDecoder);
  } finally {
    scope.fetch = fetch;
  }
});
