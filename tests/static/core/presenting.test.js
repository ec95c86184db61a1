import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Presenter } from "../../../static/core/presenter.js";
import { MAX_RECTANGLES, add, subtract } from "../../../static/core/region.js";
import { Smoother } from "../../../static/core/smoothing.js";
import { FakeClock } from "./clock.js";

function makePresenter() {
  const clock = new FakeClock();
  /** @type {(() => void)[]} */
  const asked = [];
  let draws = 0;
  /** @type {number[]} */
  const presented = [];
  const presenter = new Presenter({
    draw: () => void draws++,
    onPresented: (time) => presented.push(time),
    requestFrame: (callback) => asked.push(callback),
    cancelFrame: () => void asked.splice(0),
    now: clock.now,
    setTimer: clock.setTimer,
    clearTimer: clock.clearTimer,
  });
  /** The display asks. */
  const display = () => asked.splice(0).forEach((callback) => callback());
  return { presenter, clock, display, presented, draws: () => draws };
}

test("a frame alone is drawn at once; a burst behind it is drawn together when the display asks", () => {
  const { presenter, display, presented, draws } = makePresenter();
  presenter.frame();
  assert.equal(draws(), 1, "nothing is won by waiting");
  for (let i = 0; i < 4; i++) presenter.frame();
  assert.equal(draws(), 1);
  display();
  assert.deepEqual([draws(), presented.length, presenter.merged], [2, 1, 4]);
  display();
  assert.deepEqual([draws(), presented.length], [2, 1], "at rest the display is not asked");
  presenter.frame();
  assert.equal(draws(), 3);
});

test("who reads the canvas sees all that is committed", () => {
  const { presenter, display, draws } = makePresenter();
  presenter.frame();
  presenter.frame();
  presenter.flush();
  assert.equal(draws(), 2);
  presenter.flush();
  display();
  assert.equal(draws(), 2);
});

test("a display that never asks does not stop the picture", () => {
  const { presenter, clock, draws, presented } = makePresenter();
  for (let i = 0; i < 100; i++) {
    presenter.frame();
    presenter.frame();
    clock.advance(100);
  }
  assert.deepEqual([draws(), presented.length], [200, 100]);
});

/** Frames of a moving picture, captured every `interval` ms, that the line delays by the given jitters. */
function play(/** @type {Smoother} */ smoother, /** @type {number[]} */ jitters, interval = 16) {
  let free = 0;
  return jitters.map((jitter, i) => {
    // One that is late holds up those behind it.
    const ready = Math.max(1000 + i * interval + jitter, free);
    free = smoother.due(5_000_000 + i * interval * 1000, ready);
    return { ready, due: free };
  });
}

test("smoothing is off unless wanted", () => {
  for (const { ready, due } of play(new Smoother(), [0, 9, 2, 14, 0])) assert.equal(due, ready);
});

test("jitter up to a frame vanishes, and costs a frame", () => {
  const jitter = fc.array(fc.integer({ min: 0, max: 15 }), { minLength: 20, maxLength: 80 });
  fc.assert(
    fc.property(jitter, (jitters) => {
      const smoother = new Smoother();
      smoother.enabled = true;
      // The quickest way is known from the beginning; the first frame of a movement is never held.
      const shown = play(smoother, [0, 0, 0, 0, ...jitters]).slice(2);
      assert.equal(smoother.interval, 16);
      for (let i = 1; i < shown.length; i++) assert.equal(shown[i].due - shown[i - 1].due, 16);
      for (const { ready, due } of shown) assert.ok(due >= ready && due - ready <= 16);
    }),
  );
});

test("what comes after a rest is shown at once, and no clock holds a frame for longer than one", () => {
  const smoother = new Smoother();
  smoother.enabled = true;
  assert.equal(smoother.due(1_000_000, 50), 50);
  assert.equal(smoother.due(1_500_000, 550), 550, "somebody types");
  assert.ok(smoother.due(1_516_000, 566) > 566);
  assert.equal(smoother.due(900_000, 600), 600, "the clock went back");
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(9e9), fc.nat(1e6)), { maxLength: 40 }), (frames) => {
      for (const [capture, ready] of frames) {
        const due = smoother.due(capture, ready);
        assert.ok(due >= ready && due <= ready + 50);
      }
    }),
  );
});

test("regions are what a picture of single pixels says, never less", () => {
  const rectangle = fc.record({ x: fc.nat(20), y: fc.nat(12), w: fc.integer({ min: 1, max: 9 }), h: fc.integer({ min: 1, max: 9 }) });
  const steps = fc.array(fc.tuple(fc.boolean(), rectangle), { maxLength: 90 });
  fc.assert(
    fc.property(steps, (list) => {
      /** @type {import("../../../static/core/region.js").Rectangle[]} */
      let region = [];
      const pixels = new Set();
      let exact = true;
      for (const [adding, r] of list) {
        region = adding ? add(region, r) : subtract(region, r);
        for (let y = r.y; y < r.y + r.h; y++) {
          for (let x = r.x; x < r.x + r.w; x++) adding ? pixels.add(y * 100 + x) : pixels.delete(y * 100 + x);
        }
        const area = region.reduce((sum, part) => sum + part.w * part.h, 0);
        exact &&= area === pixels.size;
        assert.ok(area >= pixels.size && region.length <= MAX_RECTANGLES);
        assert.ok(exact || list.length > MAX_RECTANGLES / 4, "few rectangles are exact");
      }
      for (const pixel of pixels) {
        const [x, y] = [pixel % 100, Math.floor(pixel / 100)];
        assert.ok(region.some((p) => p.x <= x && x < p.x + p.w && p.y <= y && y < p.y + p.h));
      }
    }),
  );
});
