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
const [RESIZED, MORE, PARTIAL, SNAPSHOT] = [1, 2, 4, 2];

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
      return [];
    },
  };
  /** @type {import("../../../static/core/missing.js").Report[]} */
  const missed = [];
  /** @type {number[]} */
  const serials = [];
  /** @type {number[]} */
  const commits = [];
  /** @type {string[]} */
  const resyncs = [];
  let resets = 0;
  let hanging = false;
  const failing = {
    decode: () => (hanging ? new Promise(() => {}) : Promise.reject(new DecodeError("no such picture"))),
    reset: () => void resets++,
  };
  const stream = new PictureStream({
    renderer: painter,
    onCommit: ({ frame, serial }) => {
      commits.push(frame);
      serials.push(serial);
    },
    onMissed: (report) => missed.push(report),
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
  return { stream, clock, commits, serials, missed, resyncs, send, pixel, painter, resets: () => resets, hang: (/** @type {boolean} */ on) => void (hanging = on) };
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

test("a snapshot older than what is shown is not painted, but acknowledged", () => {
  const { commits, serials, send, pixel } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, serial: 1, ops: [fill(0x00ff00)] });
  send({ frameId: 6, ops: [fill(0xff0000)] });
  send({ kind: SNAPSHOT, frameId: 5, serial: 2, flags: MORE, ops: [fill(0x00ff00)] });
  send({ kind: SNAPSHOT, frameId: 5, serial: 2, ops: [fill(0x00ff00)] });
  assert.equal(pixel(0, 0), RED);
  assert.deepEqual([commits, serials], [[5, 6, 6], [1, 1, 2]]);
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
  clock.advance(29_999);
  assert.deepEqual(resyncs, [], "a thin line is slow");
  clock.advance(2);
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

test("failed decodes leave their rectangle, are reported before the commit and hold nothing up", async () => {
  const { stream, commits, send, pixel, resyncs, missed, clock } = makeStream();
  const payload = Uint8Array.of(1);
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  for (let frameId = 6; frameId < 9; frameId++) {
    send({ frameId, ops: [{ kind: JPEG, w: 8, h: 8, payload }, fill(0xff0000, { x: 8, w: 8, h: 8 })] });
  }
  await settle();
  assert.deepEqual(commits, [5, 6, 7, 8]);
  assert.deepEqual([pixel(0, 0), pixel(8, 0)], [GREEN, RED]);
  assert.deepEqual(missed.map(({ frame }) => frame), [6, 7, 8]);
  assert.deepEqual(missed[0], { epoch: 1, frame: 6, areas: [{ x: 0, y: 0, w: 8, h: 8 }], streams: [] });
  assert.equal(stream.counters.failures, 3);
  assert.deepEqual(resyncs, []);
  send({ kind: SNAPSHOT, flags: PARTIAL, frameId: 8, serial: 1, ops: [fill(0xff0000, { w: 8, h: 8 })] });
  assert.equal(pixel(0, 0), RED);
  clock.advance(60_000);
  assert.deepEqual([resyncs, missed.length], [[], 3], "it is repaired");
});

test("areas nobody repairs cost a whole snapshot in the end", async () => {
  const { send, resyncs, clock } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  send({ frameId: 6, ops: [{ kind: JPEG, w: 8, h: 8, payload: Uint8Array.of(1) }] });
  await settle();
  clock.advance(14_999);
  assert.deepEqual(resyncs, []);
  clock.advance(1);
  assert.deepEqual(resyncs, ["missed areas that nobody repaired"]);
  send({ kind: SNAPSHOT, frameId: 6, ops: [fill(0x00ff00)] });
  clock.advance(60_000);
  assert.equal(resyncs.length, 1);
});

test("what fails again as a repair is reported ever later", async () => {
  const { send, missed, clock, stream } = makeStream();
  const broken = { kind: JPEG, w: 8, h: 8, payload: Uint8Array.of(1) };
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  send({ frameId: 6, ops: [broken] });
  await settle();
  const delays = [];
  for (let serial = 1; serial <= 4; serial++) {
    const count = missed.length;
    send({ kind: SNAPSHOT, flags: PARTIAL, frameId: 6, serial, ops: [broken] });
    await settle();
    const before = clock.time;
    while (missed.length === count) clock.advance(100);
    delays.push(clock.time - before);
  }
  assert.deepEqual(delays, [1000, 2000, 4000, 8000]);
  assert.equal(stream.counters.missed, 5);
});

test("a decode of more than 500 ms is reported and closed", async () => {
  const { stream, send, missed, clock, hang, commits } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  hang(true);
  send({ frameId: 6, ops: [{ kind: JPEG, x: 4, y: 4, w: 8, h: 8, payload: Uint8Array.of(1) }] });
  send({ frameId: 7, ops: [fill(0xff0000, { x: 30, w: 1, h: 1 })] });
  clock.advance(499);
  assert.deepEqual([commits, missed.length], [[5], 0]);
  clock.advance(1);
  assert.deepEqual([commits, missed[0]?.areas], [[5, 6, 7], [{ x: 4, y: 4, w: 8, h: 8 }]]);
  assert.equal(stream.counters.timeouts, 1);
});

test("many failed rectangles are one report of at most 64", async () => {
  const { send, missed } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  const ops = Array.from({ length: 96 }, (_, i) => ({ kind: JPEG, x: (i % 16) * 4, y: (i >> 4) * 8, w: 2, h: 2, payload: Uint8Array.of(1) }));
  send({ frameId: 6, ops });
  await settle();
  assert.equal(missed.length, 1);
  assert.ok(missed[0].areas.length <= 64);
  for (const { x, y } of ops) {
    assert.ok(missed[0].areas.some((a) => a.x <= x && a.y <= y && a.x + a.w >= x + 2 && a.y + a.h >= y + 2));
  }
});

test("repairs apply in the order in which they come, whatever their number, and leave the rest", () => {
  const { commits, serials, send, pixel } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, serial: 1, ops: [fill(0x00ff00)] });
  send({ frameId: 7, ops: [fill(0xff0000, { w: 8, h: 8 })] });
  send({ kind: SNAPSHOT, flags: PARTIAL, frameId: 6, serial: 2, ops: [fill(0x0000ff, { x: 4, w: 8, h: 8 })] });
  assert.deepEqual([pixel(0, 0), pixel(4, 0), pixel(12, 0)], [RED, packPixel(0, 0, 255), GREEN]);
  send({ frameId: 7, ops: [fill(0x00ff00)] });
  send({ kind: SNAPSHOT, flags: PARTIAL, frameId: 9, serial: 3, ops: [] });
  send({ frameId: 9, ops: [fill(0x00ff00)] });
  assert.equal(pixel(0, 0), RED, "frames up to a repair's number are ignored");
  send({ frameId: 10, ops: [fill(0x00ff00)] });
  assert.equal(pixel(0, 0), GREEN);
  assert.deepEqual(commits, [5, 7, 7, 9, 10]);
  assert.deepEqual(serials, [1, 1, 2, 3, 3]);
});

test("repairs in parts are shown whole; one that another interrupts needs a snapshot", () => {
  const { commits, send, pixel, resyncs } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, serial: 1, ops: [fill(0x00ff00)] });
  send({ kind: SNAPSHOT, flags: PARTIAL | MORE, frameId: 5, serial: 2, ops: [fill(0xff0000, { w: 8, h: 8 })] });
  assert.equal(pixel(0, 0), GREEN);
  send({ kind: SNAPSHOT, flags: PARTIAL, frameId: 5, serial: 2, ops: [fill(0xff0000, { x: 8, w: 8, h: 8 })] });
  assert.deepEqual([pixel(0, 0), pixel(8, 0), commits], [RED, RED, [5, 5]]);
  send({ kind: SNAPSHOT, flags: PARTIAL | MORE, frameId: 6, serial: 3, ops: [fill(0x00ff00, { w: 8, h: 8 })] });
  send({ kind: SNAPSHOT, flags: PARTIAL, frameId: 6, serial: 4, ops: [fill(0x00ff00, { w: 8, h: 8 })] });
  assert.deepEqual([pixel(0, 0), resyncs], [RED, ["a repair that stopped"]]);
  send({ kind: SNAPSHOT, frameId: 6, serial: 5, ops: [fill(0x00ff00)] });
  assert.equal(pixel(0, 0), GREEN);
});

test("a repair does not end the waiting for a snapshot, and one of another size is ignored", () => {
  const { commits, send, stream, pixel } = makeStream();
  send({ kind: SNAPSHOT, flags: PARTIAL, frameId: 5, serial: 1, ops: [fill(0xff0000)] });
  assert.deepEqual(commits, []);
  send({ kind: SNAPSHOT, frameId: 5, serial: 2, ops: [fill(0x00ff00)] });
  send({ kind: SNAPSHOT, flags: PARTIAL, frameId: 6, serial: 3, width: 32, height: 16, ops: [fill(0xff0000, { w: 4, h: 4 })] });
  assert.deepEqual([commits, pixel(0, 0), stream.counters.dropped], [[5], GREEN, 2]);
  send({ epoch: 2, kind: SNAPSHOT, flags: PARTIAL, frameId: 1, serial: 4, ops: [fill(0xff0000)] });
  assert.equal(pixel(0, 0), GREEN);
});

test("what comes while nobody looks is kept, not decoded, and shown in order afterwards", () => {
  const { commits, send, pixel, stream } = makeStream();
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  stream.setHidden(true);
  send({ frameId: 6, ops: [fill(0xff0000)] });
  send({ frameId: 7, ops: [{ kind: COPY, x: 8, y: 8, sx: 0, sy: 0, w: 4, h: 4 }] });
  assert.deepEqual([commits, pixel(0, 0)], [[5], GREEN]);
  stream.setHidden(false);
  assert.deepEqual([commits, pixel(0, 0), pixel(8, 8)], [[5, 6, 7], RED, RED]);
});

test("a snapshot on its way is not asked for again before a thin line may have brought it", () => {
  const { stream, clock, resyncs, send } = makeStream();
  stream.receive(new ArrayBuffer(10));
  clock.advance(14_999);
  assert.equal(resyncs.length, 1);
  clock.advance(1);
  assert.equal(resyncs.length, 2);
  send({ kind: SNAPSHOT, frameId: 5, ops: [fill(0x00ff00)] });
  clock.advance(60_000);
  assert.equal(resyncs.length, 2);
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
