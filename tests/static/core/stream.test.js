import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Framebuffer, packPixel } from "../../../static/core/framebuffer.js";
import { CopyDecoder } from "../../../static/core/decoders/copy.js";
import { FillDecoder } from "../../../static/core/decoders/fill.js";
import { DecodeError } from "../../../static/core/decoders/patch.js";
import { PictureStream } from "../../../static/core/stream.js";
import { FakeClock, settle } from "./clock.js";
import { packFrame } from "./messages.js";

const [FILL, COPY, JPEG] = [1, 2, 4];
const [RESIZED, MORE, SNAPSHOT] = [1, 2, 2];

/** A stream that paints into memory; JPEG ops always fail. */
function makeStream() {
  const clock = new FakeClock();
  const painter = {
    framebuffer: new Framebuffer(1, 1),
    touch() {},
    /** @param {number} width @param {number} height */
    resize(width, height) {
      painter.framebuffer = new Framebuffer(width, height);
    },
    /** @param {any[]} patches */
    commit(patches) {
      for (const patch of patches) patch?.paint(painter);
      return 0;
    },
  };
  /** @type {number[]} */
  const commits = [];
  /** @type {string[]} */
  const resyncs = [];
  let resets = 0;
  const failing = {
    decode: () => Promise.reject(new DecodeError("no such picture")),
    reset: () => void resets++,
  };
  const stream = new PictureStream({
    renderer: painter,
    onCommit: ({ frame }) => commits.push(frame),
    onResync: (reason) => resyncs.push(reason),
    onResize: () => {},
    decoders: { [FILL]: new FillDecoder(), [COPY]: new CopyDecoder(), [JPEG]: failing },
    now: clock.now,
    setTimer: clock.setTimer,
    clearTimer: clock.clearTimer,
  });
  /** @param {import("./messages.js").FrameDescription} frame */
  const send = (frame) => stream.receive(packFrame(frame));
  /** @param {number} x @param {number} y */
  const pixel = (x, y) => painter.framebuffer.pixels[y * painter.framebuffer.width + x];
  return { stream, clock, commits, resyncs, send, pixel, painter, resets: () => resets };
}

/** @param {number} value @param {object} [place] */
const fill = (value, place = { w: 64, h: 48 }) => ({ kind: FILL, value, ...place });
const RED = packPixel(255, 0, 0);
const GREEN = packPixel(0, 255, 0);

test("nothing applies before a snapshot, and ids up to its as-of never", () => {
  const { stream, commits, send, pixel, resyncs, clock } = makeStream();
  send({ frameId: 4, ops: [fill(0xff0000)] });
  assert.deepEqual(commits, []);
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  send({ frameId: 5, ops: [fill(0xff0000)] });
  send({ frameId: 3, ops: [fill(0xff0000)] });
  assert.equal(pixel(0, 0), GREEN);
  send({ frameId: 9, ops: [fill(0xff0000)] });
  assert.deepEqual(commits, [5, 9]);
  assert.equal(pixel(0, 0), RED);
  assert.equal(stream.counters.dropped, 3);
  clock.advance(60_000);
  assert.deepEqual(resyncs, [], "the snapshot came in time");
});

test("a snapshot older than what is shown is ignored", () => {
  const { commits, send, pixel } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  send({ frameId: 6, ops: [fill(0xff0000)] });
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  assert.equal(pixel(0, 0), RED);
  assert.deepEqual(commits, [5, 6]);
});

test("a snapshot in parts is shown whole, then the frame that came in between", () => {
  const { commits, send, pixel } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, flags: MORE, ops: [fill(0x00ff00)] });
  send({ frameId: 6, ops: [{ kind: COPY, x: 0, y: 0, sx: 10, sy: 10, w: 4, h: 4 }] });
  assert.deepEqual(commits, []);
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0xff0000, { x: 10, y: 10, w: 20, h: 20 })] });
  assert.deepEqual(commits, [5, 6]);
  assert.deepEqual([pixel(0, 0), pixel(5, 5), pixel(10, 10)], [RED, GREEN, RED]);
});

test("a snapshot that stops is given up and asked for again", () => {
  const { commits, send, clock, resyncs } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, flags: MORE, ops: [fill(0x00ff00)] });
  send({ frameId: 6, ops: [fill(0xff0000)] });
  clock.advance(5001);
  assert.deepEqual([commits, resyncs], [[], ["a snapshot that stopped"]]);
  send({ kind: SNAPSHOT, frameId: 7, ops: [fill(0x00ff00)] });
  assert.deepEqual(commits, [7]);
});

test("a new epoch drops the decoders and waits; the old picture stays", () => {
  const { commits, send, pixel, resets, resyncs, clock } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  const before = resets();
  send({ epoch: 2, frameId: 1, ops: [fill(0xff0000)] });
  assert.equal(resets(), before + 1);
  assert.deepEqual([pixel(0, 0), commits], [GREEN, [5]]);
  clock.advance(2001);
  assert.equal(resyncs.length, 1, "no snapshot came by itself");
  send({ epoch: 2, kind: SNAPSHOT, frameId: 1, ops: [fill(0xff0000)] });
  assert.deepEqual([pixel(0, 0), commits], [RED, [5, 1]]);
});

test("another size needs RESIZED, which starts from black", () => {
  const { commits, send, pixel, resyncs, painter } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  send({ frameId: 6, width: 32, height: 16, flags: RESIZED, ops: [fill(0xff0000, { w: 1, h: 1 })] });
  assert.equal(painter.framebuffer.width, 32);
  assert.deepEqual([pixel(0, 0), pixel(1, 0)], [RED, packPixel(0, 0, 0)]);
  send({ frameId: 7, width: 40, height: 16, ops: [] });
  assert.deepEqual([resyncs, commits], [["missed a resize"], [5, 6]]);
  send({ frameId: 8, width: 40, height: 16, ops: [] });
  send({ kind: SNAPSHOT, frameId: 8, width: 40, height: 16, ops: [] });
  assert.deepEqual([resyncs.length, commits], [1, [5, 6, 8]]);
});

test("failed decodes leave their rectangle, ask once and hold nothing up", async () => {
  const { stream, commits, send, pixel, resyncs, clock } = makeStream();
  const payload = Uint8Array.of(1);
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  for (let frameId = 6; frameId < 9; frameId++) {
    send({ frameId, ops: [{ kind: JPEG, w: 8, h: 8, payload }, fill(0xff0000, { x: 8, w: 8, h: 8 })] });
  }
  await settle();
  assert.deepEqual(commits, [5, 6, 7, 8]);
  assert.deepEqual([pixel(0, 0), pixel(8, 0)], [GREEN, RED]);
  assert.deepEqual(resyncs, ["no such picture"]);
  assert.equal(stream.counters.failures, 3);
  send({ kind: SNAPSHOT, frameId: 8, ops: [{ kind: JPEG, w: 8, h: 8, payload }] });
  await settle();
  assert.equal(resyncs.length, 1, "a snapshot that fails too is not asked for at once again");
  clock.advance(2001);
  assert.equal(resyncs.length, 2, "but after a while it is");
});

test("malformed messages are counted, change nothing and ask for a snapshot", () => {
  const { stream, send, pixel, resyncs } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  stream.receive(new ArrayBuffer(10));
  assert.equal(stream.counters.malformed, 1);
  assert.equal(pixel(0, 0), GREEN);
  assert.equal(resyncs.length, 1);
});

test("fills and copies give what a picture of single pixels gives", () => {
  const op = fc.record({
    kind: fc.constantFrom(FILL, COPY),
    x: fc.nat(12),
    y: fc.nat(8),
    w: fc.integer({ min: 1, max: 4 }),
    h: fc.integer({ min: 1, max: 4 }),
    sx: fc.nat(12),
    sy: fc.nat(8),
    value: fc.nat(0xffffff),
  });
  fc.assert(
    fc.property(fc.array(op, { minLength: 1, maxLength: 30 }), (list) => {
      const [width, height] = [16, 12];
      const { send, painter } = makeStream();
      const expected = new Array(width * height).fill(packPixel(0, 0, 0));
      const ops = list.map(({ kind, x, y, w, h, sx, sy, value }) => {
        const before = expected.slice();
        for (let row = 0; row < h; row++) {
          for (let column = 0; column < w; column++) {
            const colour = packPixel(value >> 16, (value >> 8) & 255, value & 255);
            const source = before[(sy + row) * width + sx + column];
            expected[(y + row) * width + x + column] = kind === FILL ? colour : source;
          }
        }
        return kind === FILL ? { kind, x, y, w, h, value } : { kind, x, y, w, h, sx, sy };
      });
      send({ kind: SNAPSHOT, frameId: 1, width, height, ops: [] });
      send({ frameId: 2, width, height, ops });
      assert.deepEqual([...painter.framebuffer.pixels], expected);
    }),
  );
});
