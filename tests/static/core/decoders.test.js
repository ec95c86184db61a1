import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import fc from "fast-check";
import { H264Decoder, readCodec } from "../../../static/core/decoders/h264.js";
import { JpegDecoder, readJpegSize } from "../../../static/core/decoders/jpeg.js";
import { DecodeError } from "../../../static/core/decoders/patch.js";
import { Framebuffer, scaleBilinear } from "../../../static/core/framebuffer.js";
import { OpKind, parseMessage } from "../../../static/core/protocol.js";

/** @param {string} name */
function firstOp(name) {
  const bytes = readFileSync(new URL(`../../vectors/messages/${name}`, import.meta.url));
  const message = parseMessage(/** @type {ArrayBuffer} */ (bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
  const op = message.ops.find((o) => o.kind === OpKind.JPEG || o.kind === OpKind.H264);
  assert.ok(op !== undefined);
  return { op, message };
}

test("a JPEG's size is read from its frame header", () => {
  const { op } = firstOp("jpeg-420.1.bin");
  assert.deepEqual(readJpegSize(op.payload), { width: op.pw, height: op.ph });
  assert.equal(readJpegSize(firstOp("bad-jpeg-progressive.1.bin").op.payload), null);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readJpegSize(bytes)));
  fc.assert(
    fc.property(fc.nat(op.payload.length), (length) => {
      const size = readJpegSize(op.payload.subarray(0, length));
      assert.ok(size === null || size.width === op.pw);
    }),
  );
});

test("a JPEG of another size than announced is refused before it is decoded", async () => {
  const decoder = new JpegDecoder({ never: () => assert.fail("decoded") });
  await assert.rejects(decoder.decode(firstOp("bad-jpeg-size.1.bin").op), /where 40x32 was announced/);
  await assert.rejects(decoder.decode(firstOp("bad-jpeg-garbage.1.bin").op), DecodeError);
});

/** A baseline JPEG header of 128 × 128, enough for a decoder that is not one. */
const BIG = Uint8Array.of(0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 128, 0, 128, 1, 1, 0x11, 0, 0xff, 0xd9);
const bigOp = /** @type {any} */ ({ kind: OpKind.JPEG, x: 0, y: 0, w: 128, h: 128, pw: 128, ph: 128, crop: false, payload: BIG });

test("the faster way of decoding is found and kept", async () => {
  /** @param {number} ms */
  const way = (ms) => async () => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return new Uint8ClampedArray(128 * 128 * 4);
  };
  const decoder = new JpegDecoder({ slow: way(30), fast: way(1) });
  for (let i = 0; i < 8; i++) await decoder.decode(bigOp);
  assert.equal(decoder.method, "fast");
});

test("a way that fails gives way to the next", async () => {
  let [calls, tries] = [0, 0];
  const decoder = new JpegDecoder({
    broken: async () => {
      tries++;
      throw new Error("unsupported");
    },
    works: async () => {
      calls++;
      return new Uint8ClampedArray(128 * 128 * 4);
    },
  });
  await decoder.decode(bigOp);
  await decoder.decode(bigOp);
  assert.deepEqual([calls, tries, decoder.method], [2, 1, "works"], "and is not tried again");
  await assert.rejects(new JpegDecoder({}).decode(bigOp), /cannot be decoded/);
});

test("the codec string comes from the SPS", () => {
  assert.match(readCodec(firstOp("h264-420.1.bin").op.payload) ?? "", /^avc1\.42/);
  assert.match(readCodec(firstOp("h264-444.1.bin").op.payload) ?? "", /^avc1\.f4/);
  assert.equal(readCodec(firstOp("h264-420.2.bin").op.payload), null);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void readCodec(bytes)));
});

/** Stands in for the browser's VideoDecoder. */
class FakeVideoDecoder {
  /** @type {FakeVideoDecoder[]} */
  static made = [];
  state = "unconfigured";
  /** @type {any} */
  config;
  /** @type {any[]} */
  chunks = [];
  /** @param {{output: (frame: any) => void, error: (error: any) => void}} init */
  constructor(init) {
    this.init = init;
    FakeVideoDecoder.made.push(this);
  }
  /** @param {any} config */
  configure(config) {
    this.config = config;
    this.state = "configured";
  }
  /** @param {any} chunk */
  decode(chunk) {
    this.chunks.push(chunk);
  }
  flush() {
    return new Promise(() => {});
  }
  close() {
    this.state = "closed";
  }
  /** @param {number} timestamp */
  deliver(timestamp) {
    const frame = { timestamp, displayWidth: 4096, displayHeight: 4096, closed: false, close: () => (frame.closed = true) };
    this.init.output(frame);
    return frame;
  }
  fail() {
    this.state = "closed";
    this.init.error(new Error("hardware"));
  }
}

/** @param {() => Promise<void>} body */
async function withFakeCodec(body) {
  const scope = /** @type {any} */ (globalThis);
  FakeVideoDecoder.made = [];
  scope.VideoDecoder = FakeVideoDecoder;
  scope.EncodedVideoChunk = class {
    /** @param {any} init */
    constructor(init) {
      Object.assign(this, init);
    }
  };
  try {
    await body();
  } finally {
    delete scope.VideoDecoder;
    delete scope.EncodedVideoChunk;
  }
}

test("one decoder a stream; pictures are matched by frame id", () =>
  withFakeCodec(async () => {
    const decoder = new H264Decoder();
    const { op, message } = firstOp("h264-420.1.bin");
    const key = decoder.decode(op, message);
    const delta = decoder.decode({ ...op, key: false }, { ...message, frameId: 9 });
    const other = decoder.decode({ ...op, stream: 1 }, message);
    await Promise.resolve();
    assert.equal(FakeVideoDecoder.made.length, 2);
    const [first, second] = FakeVideoDecoder.made;
    assert.equal(first.config.optimizeForLatency, true);
    assert.deepEqual(first.chunks.map((c) => [c.type, c.timestamp]), [["key", message.frameId], ["delta", 9]]);
    const stray = first.deliver(1234);
    assert.ok(stray.closed);
    first.deliver(message.frameId);
    const shown = first.deliver(9);
    second.deliver(message.frameId);
    await Promise.all([key, other]);
    (await delta).close();
    assert.ok(shown.closed);
  }));

test("a delta without its key frame is refused, also after an error", () =>
  withFakeCodec(async () => {
    const decoder = new H264Decoder();
    const { op, message } = firstOp("h264-420.1.bin");
    await assert.rejects(decoder.decode({ ...op, key: false }, message), /without its key frame/);
    const key = decoder.decode(op, message);
    await Promise.resolve();
    FakeVideoDecoder.made[0].deliver(message.frameId);
    await key;
    const lost = decoder.decode({ ...op, key: false }, { ...message, frameId: 9 });
    await Promise.resolve();
    FakeVideoDecoder.made[0].fail();
    await assert.rejects(lost, /hardware/);
    await assert.rejects(decoder.decode({ ...op, key: false }, message), /without its key frame/);
  }));

test("hardware that fails at once gives way to software, without losing a picture", () =>
  withFakeCodec(async () => {
    const decoder = new H264Decoder();
    const { op, message } = firstOp("h264-420.1.bin");
    const key = decoder.decode(op, message);
    const delta = decoder.decode({ ...op, key: false }, { ...message, frameId: 9 });
    await Promise.resolve();
    FakeVideoDecoder.made[0].fail();
    const [hardware, software] = FakeVideoDecoder.made;
    assert.equal(hardware.config.hardwareAcceleration, "no-preference");
    assert.equal(software.config.hardwareAcceleration, "prefer-software");
    assert.equal(software.chunks.length, 2);
    software.deliver(message.frameId);
    software.deliver(9);
    await Promise.all([key, delta]);
    const again = decoder.decode({ ...op, stream: 2 }, message);
    await Promise.resolve();
    assert.equal(FakeVideoDecoder.made[2].config.hardwareAcceleration, "prefer-software");
    FakeVideoDecoder.made[2].fail();
    await assert.rejects(again, /hardware/);
  }));

test("a decoder that does not answer is given up, and the next key frame gets one in software", () =>
  withFakeCodec(async () => {
    let time = 0;
    const decoder = new H264Decoder(() => time);
    const { op, message } = firstOp("h264-420.1.bin");
    const key = decoder.decode(op, message);
    await Promise.resolve();
    time = 1499;
    const delta = decoder.decode({ ...op, key: false }, { ...message, frameId: 9 });
    await Promise.resolve();
    assert.equal(decoder.isLost(op.stream), false);
    time = 1500;
    const refused = decoder.decode({ ...op, key: false }, { ...message, frameId: 10 });
    for (const lost of [key, delta]) await assert.rejects(lost, /closed/);
    await assert.rejects(refused, /without its key frame/);
    assert.ok(decoder.isLost(op.stream));
    decoder.decode(op, { ...message, frameId: 11 }).catch(() => {});
    await Promise.resolve();
    const [stuck, next] = FakeVideoDecoder.made;
    assert.deepEqual([stuck.state, next.config.hardwareAcceleration], ["closed", "prefer-software"]);
    assert.equal(decoder.isLost(op.stream), false);
  }));

test("scaling keeps flat colour flat and the size asked for", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.nat(), (w, h, colour) => {
      const source = new Uint32Array(6).fill(colour >>> 0);
      const scaled = scaleBilinear(source, 3, 2, w, h);
      assert.equal(scaled.length, w * h);
      assert.ok(scaled.every((pixel) => pixel === colour >>> 0));
    }),
  );
});

test("a blit takes the top left of a wider picture", () => {
  const framebuffer = new Framebuffer(4, 3);
  framebuffer.blit(1, 1, 2, 2, Uint32Array.of(1, 2, 9, 3, 4, 9), 3);
  const black = framebuffer.pixels[0];
  assert.deepEqual([...framebuffer.pixels.subarray(4)], [black, 1, 2, black, black, 3, 4, black]);
});
