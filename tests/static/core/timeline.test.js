import assert from "node:assert/strict";
import test from "node:test";
import { ServerClock } from "../../../static/core/stats.js";
import { parseText } from "../../../static/core/text.js";
import { Timeline } from "../../../static/core/timeline.js";

/** A server whose clock is 1000 s ahead, ten ms away there and back. */
function makeTimeline() {
  const clock = new ServerClock();
  const server = (/** @type {number} */ ms) => (1_000_000 + ms) * 1000;
  clock.addSample(0, 10, server(5));
  return { timeline: new Timeline(clock), server };
}

/** @param {(ms: number) => number} server @param {number} at @param {object} [changes] */
function commit(server, at, changes) {
  const origin = performance.timeOrigin;
  return {
    epoch: 1,
    frame: 1,
    serial: 0,
    snapshot: false,
    ops: 1,
    captureUs: server(at),
    encodeUs: 4000,
    publishUs: server(at + 5),
    arrived: origin + at + 12,
    ready: origin + at + 15,
    decodeMs: 3,
    paintMs: 1,
    queue: 0,
    ...changes,
  };
}

/** @type {import("../../../static/core/protocol.js").InputEvent[]} */
const PRESS = [["key", "KeyA", "a", true]];
/** @type {import("../../../static/core/protocol.js").InputEvent[]} */
const RELEASE = [["key", "KeyA", "a", false]];

/** @param {Timeline} timeline */
const stages = (timeline) => timeline.read().stages.map(({ stage, ms }) => [stage, Math.round(ms * 10) / 10]);

test("the stages of a frame add up to its age", () => {
  const { timeline, server } = makeTimeline();
  timeline.relayMs = 2;
  timeline.committed(commit(server, 100));
  assert.deepEqual(timeline.read(), { stages: [], history: [] }, "it is not on the display yet");
  timeline.presented(performance.timeOrigin + 120);
  const shown = stages(timeline);
  assert.deepEqual(shown, [["encode", 4], ["publish", 1], ["relay", 2], ["network", 5], ["decode", 3], ["paint", 5]]);
  assert.deepEqual(timeline.read().history.map(Math.round), [20]);
  assert.equal(shown.reduce((sum, [, ms]) => sum + Number(ms), 0), 20);
});

for (const order of ["the frame comes first", "the word comes first"]) {
  test(`an input's way: ${order}`, () => {
    const { timeline, server } = makeTimeline();
    timeline.sent(7, PRESS, 90);
    const injected = { seq: 7, received_us: server(95), injected_us: server(97) };
    timeline.committed(commit(server, 92));
    if (order === "the word comes first") timeline.injected(injected);
    timeline.committed(commit(server, 110));
    timeline.committed(commit(server, 126));
    if (order === "the frame comes first") timeline.injected(injected);
    assert.deepEqual(stages(timeline), [["send", 5], ["inject", 2], ["react", 13]]);
  });
}

test("the answer to a press is found though its release is what was told", () => {
  const { timeline, server } = makeTimeline();
  timeline.sent(1, PRESS, 90);
  timeline.sent(2, RELEASE, 96);
  timeline.committed(commit(server, 104));
  timeline.injected({ seq: 2, received_us: server(101), injected_us: server(103) });
  assert.deepEqual(stages(timeline), [["send", 5], ["inject", 2], ["react", 7]]);
  timeline.sent(3, RELEASE, 200);
  timeline.committed(commit(server, 300));
  timeline.injected({ seq: 3, received_us: server(205), injected_us: server(207) });
  assert.equal(stages(timeline)[2][1], 7, "nothing comes of a release");
});

test("a frame that may answer either of two inputs answers none", () => {
  const { timeline, server } = makeTimeline();
  timeline.sent(1, PRESS, 90);
  timeline.injected({ seq: 1, received_us: server(95), injected_us: server(97) });
  timeline.sent(2, PRESS, 150);
  timeline.committed(commit(server, 170));
  assert.ok(!stages(timeline).some(([stage]) => stage === "react"));
});

test("what is impossible or unanswered is left out", () => {
  const { timeline, server } = makeTimeline();
  timeline.injected({ seq: 3, received_us: server(95), injected_us: server(97) });
  assert.deepEqual(stages(timeline), [], "an input of another connection");
  timeline.sent(1, PRESS, 90);
  timeline.injected({ seq: 1, received_us: server(-500), injected_us: server(97) });
  timeline.committed(commit(server, 5000));
  assert.deepEqual(stages(timeline), [["inject", 597]], "a clock that is not the same, and an answer that is none");
  timeline.committed(commit(server, 5100, { snapshot: true }));
  timeline.committed(commit(server, 5200, { publishUs: 0 }));
  timeline.presented(performance.timeOrigin + 5220);
  assert.ok(!stages(timeline).some(([stage]) => stage === "relay"));
});

test("medians of the newest samples, in bounded memory", () => {
  const { timeline, server } = makeTimeline();
  for (let i = 0; i < 5000; i++) {
    timeline.sent(i, PRESS, i);
    timeline.committed(commit(server, i, { encodeUs: i < 4980 ? 9000 : 2000 }));
    if (i % 3 === 0) timeline.presented(performance.timeOrigin + i + 20);
  }
  assert.equal(timeline.read().history.length, 60);
  assert.equal(stages(timeline)[0][1], 2);
  timeline.reset();
  timeline.presented(0);
  assert.equal(timeline.read().history.length, 60, "what was measured stays");
});

test("the server's words about time are checked", () => {
  assert.ok(parseText('{"type":"injected","seq":4,"received_us":5,"injected_us":6}'));
  assert.throws(() => parseText('{"type":"injected","seq":"4","received_us":5,"injected_us":6}'), /seq/);
  assert.ok(parseText('{"type":"stats","engine":{"latency_ms":[4,9],"dropped":0},"delivery":{"phase":"pull"}}'));
  assert.throws(() => parseText('{"type":"stats","delivery":[1]}'), /delivery/);
});
