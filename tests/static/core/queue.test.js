import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { FrameQueue } from "../../../static/core/queue.js";
import { FakeClock, settle } from "./clock.js";

/** @typedef {import("../../../static/core/protocol.js").Message} Message */

/**
 * A queue whose decodes end when the test says so.
 *
 * @param {number} [limit]
 * @param {(entry: import("../../../static/core/queue.js").Entry) => number} [due]
 */
function makeQueue(limit, due) {
  const clock = new FakeClock();
  /** @type {{frame: number, index: number, resolve: (patch: any) => void, reject: (e: Error) => void}[]} */
  const decodes = [];
  /** @type {{frame: number, patches: string[], failures: string[]}[]} */
  const commits = [];
  const patches = { open: 0, mostDecoding: 0 };
  /** @param {string} name */
  const patch = (name) => {
    patches.open++;
    let closed = false;
    return {
      name,
      paint() {},
      close() {
        assert.ok(!closed, "closed twice");
        closed = true;
        patches.open--;
      },
    };
  };
  const queue = new FrameQueue({
    decode: (message) =>
      message.ops.map((op, index) => {
        if (op.kind === 1) return patch(`${message.frameId}.${index}`);
        return new Promise((resolve, reject) => {
          const frame = message.frameId;
          decodes.push({ frame, index, resolve: () => resolve(patch(`${frame}.${index}`)), reject });
        });
      }),
    commit: (entry) => {
      const names = entry.patches.flat().map((p) => /** @type {any} */ (p)?.name ?? "-");
      commits.push({ frame: entry.messages[0].frameId, patches: names, failures: entry.failures.map((f) => f.reason) });
    },
    ...(limit === undefined ? {} : { limit }),
    ...(due === undefined ? {} : { due }),
    now: clock.now,
    setTimer: clock.setTimer,
    clearTimer: clock.clearTimer,
  });
  return { queue, clock, decodes, commits, patches };
}

/**
 * @param {number} frameId
 * @param {boolean[]} ops true where the decode waits
 * @param {boolean} [more]
 * @returns {Message}
 */
function frame(frameId, ops, more = false) {
  const list = ops.map((waits) => ({ kind: waits ? 4 : 1 }));
  return /** @type {any} */ ({ frameId, ops: list, more, byteLength: 100 });
}

test("frames commit whole and in order whatever order their decodes end in", async () => {
  const plan = fc.array(fc.array(fc.boolean(), { maxLength: 5 }), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(plan, fc.infiniteStream(fc.nat()), fc.integer({ min: 1, max: 8 }), async (ops, choice, limit) => {
      const { queue, decodes, commits, patches } = makeQueue(limit);
      ops.forEach((list, i) => queue.push(frame(i + 1, list)));
      while (decodes.length > 0) {
        assert.ok(queue.decoding <= limit);
        const pick = /** @type {number} */ (choice.next().value);
        const [decode] = decodes.splice(pick % decodes.length, 1);
        if (pick % 7 === 0) decode.reject(new Error("broken"));
        else decode.resolve(null);
        await settle();
      }
      assert.deepEqual(commits.map((c) => c.frame), ops.map((_, i) => i + 1));
      for (const { frame: id, patches: names, failures } of commits) {
        assert.equal(names.length, ops[id - 1].length);
        assert.equal(names.filter((name) => name === "-").length, failures.length);
        names.forEach((name, i) => assert.ok(name === "-" || name === `${id}.${i}`));
      }
      assert.equal(patches.open, 0);
      assert.equal(queue.length, 0);
    }),
    { numRuns: 200 },
  );
});

test("a decode that hangs gives up its op after 500 ms and nothing else", async () => {
  const { queue, clock, decodes, commits, patches } = makeQueue();
  queue.push(frame(1, [true, true]));
  queue.push(frame(2, [false]));
  decodes[0].resolve(null);
  await settle();
  clock.advance(499);
  assert.equal(commits.length, 0);
  clock.advance(1);
  assert.deepEqual(commits.map((c) => c.patches), [["1.0", "-"], ["2.0"]]);
  assert.match(commits[0].failures[0], /500 ms/);
  decodes[1].resolve(null);
  await settle();
  assert.equal(patches.open, 0, "the late picture is closed");
});

test("at most eight frames decode at once", async () => {
  const { queue, decodes, commits } = makeQueue();
  for (let i = 1; i <= 12; i++) queue.push(frame(i, [true]));
  assert.equal(decodes.length, 8);
  decodes[7].resolve(null);
  await settle();
  assert.equal(decodes.length, 9);
  assert.equal(commits.length, 0);
});

test("an open snapshot holds back what follows until its last message", async () => {
  const { queue, decodes, commits } = makeQueue();
  const entry = queue.push(frame(5, [false], true));
  queue.push(frame(6, [false]));
  assert.equal(commits.length, 0);
  queue.extend(entry, frame(5, [true], true));
  queue.extend(entry, frame(5, [false], false));
  assert.equal(commits.length, 0);
  decodes[0].resolve(null);
  await settle();
  assert.deepEqual(commits.map((c) => [c.frame, c.patches.length]), [[5, 3], [6, 1]]);
});

test("clearing commits nothing and closes everything, late decodes too", async () => {
  const { queue, clock, decodes, commits, patches } = makeQueue();
  queue.push(frame(1, [true, false]));
  queue.push(frame(2, [false]));
  queue.clear();
  decodes[0].resolve(null);
  await settle();
  clock.advance(1000);
  assert.deepEqual([commits.length, patches.open, queue.length, queue.decoding], [0, 0, 0, 0]);
  queue.push(frame(3, [false]));
  assert.equal(commits.length, 1);
});

test("a frame that is ready is held until it is due, but never when the next one is ready too", async () => {
  const { queue, clock, decodes, commits } = makeQueue(8, (entry) => entry.ready + 16);
  /** @returns {number[]} */
  const committed = () => commits.map((c) => c.frame);
  queue.push(frame(1, [false]));
  clock.advance(15);
  assert.deepEqual(committed(), []);
  clock.advance(1);
  assert.deepEqual(committed(), [1]);
  queue.push(frame(2, [false]));
  queue.push(frame(3, [true]));
  clock.advance(5);
  assert.deepEqual(committed(), [1], "the next one is not ready");
  decodes[0].resolve(null);
  await settle();
  assert.deepEqual(committed(), [1, 2], "one frame is held, not two");
  clock.advance(16);
  assert.deepEqual(committed(), [1, 2, 3]);
});

test("clearing forgets the frame that is held", () => {
  const { queue, clock, commits, patches } = makeQueue(8, (entry) => entry.ready + 16);
  queue.push(frame(1, [false]));
  queue.clear();
  clock.advance(100);
  assert.deepEqual([commits.length, patches.open, clock.timers.length], [0, 0, 0]);
});

test("a paused queue begins no decode, finishes what had begun and loses nothing", async () => {
  const { queue, decodes, commits } = makeQueue();
  queue.push(frame(1, [true]));
  queue.setPaused(true);
  queue.push(frame(2, [false]));
  queue.push(frame(3, [true]));
  decodes[0].resolve(null);
  await settle();
  assert.deepEqual([commits.map((c) => c.frame), decodes.length], [[1], 1]);
  queue.setPaused(false);
  assert.deepEqual([commits.map((c) => c.frame), decodes.length], [[1, 2], 2]);
  decodes[1].resolve(null);
  await settle();
  assert.deepEqual(commits.map((c) => c.frame), [1, 2, 3]);
});
