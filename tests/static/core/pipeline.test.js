/** The whole pipeline before recorded messages: a fake socket in front, a canvas in memory behind. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Pipeline } from "../../../static/core/pipeline.js";
import { Screen } from "../../../static/core/screen.js";
import { settle } from "./clock.js";
import { packFrame } from "./messages.js";
import "./streams.js";

const VECTORS = new URL("../../vectors/", import.meta.url);
const [FILL, COPY, JPEG] = [1, 2, 4];
const [PARTIAL, SNAPSHOT] = [4, 2];

class FakeSocket {
  static newest = /** @type {FakeSocket} */ (/** @type {unknown} */ (null));
  /** @type {any[]} */
  sent = [];
  onopen = /** @type {any} */ (null);
  onmessage = /** @type {any} */ (null);
  onclose = /** @type {any} */ (null);
  constructor() {
    FakeSocket.newest = this;
  }
  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {}
  /** @param {string} type */
  of(type) {
    return this.sent.filter((message) => message.type === type);
  }
}

/** A canvas in memory that notes what it showed after each upload. */
class FakeCanvas {
  width = 0;
  height = 0;
  pixels = new Uint8ClampedArray(0);
  draws = 0;
  getContext() {
    return this;
  }
  /** @param {{data: Uint8ClampedArray, width: number, height: number}} image @param {number[]} place */
  putImageData(image, ...place) {
    const [, , x, y, w, h] = place;
    if (this.pixels.length !== image.data.length) this.pixels = new Uint8ClampedArray(image.data.length);
    this.draws++;
    for (let row = y; row < y + h; row++) {
      const at = (row * image.width + x) * 4;
      this.pixels.set(image.data.subarray(at, at + w * 4), at);
    }
  }
  /** @param {number} x @param {number} y @param {number} w @param {number} h */
  getImageData(x, y, w, h) {
    const data = new Uint8ClampedArray(w * h * 4);
    for (let row = 0; row < h; row++) {
      const at = ((y + row) * this.width + x) * 4;
      data.set(this.pixels.subarray(at, at + w * 4), row * w * 4);
    }
    return { data };
  }
}

class FakeImageData {
  /** @param {Uint8ClampedArray} data @param {number} width @param {number} height */
  constructor(data, width, height) {
    Object.assign(this, { data, width, height });
  }
}

const WELCOME = {
  type: "welcome",
  version: 1,
  viewer: "a",
  role: "owner",
  permissions: ["view", "input"],
  session: { state: "running" },
  heartbeat_s: 10,
};

/** A pipeline that is connected. */
async function makePipeline() {
  Object.assign(globalThis, { WebSocket: FakeSocket, ImageData: FakeImageData });
  const canvas = new FakeCanvas();
  /** @type {any[]} */
  const events = [];
  const screen = new Screen(/** @type {any} */ (canvas));
  const pipeline = new Pipeline({ url: "ws://host/", screen, codecs: ["jpeg"], emit: (event) => events.push(event) });
  pipeline.start();
  await settle();
  const socket = FakeSocket.newest;
  socket.onopen({});
  /** @param {object} message */
  const say = (message) => socket.onmessage({ data: JSON.stringify(message) });
  /** @param {ArrayBuffer} data */
  const feed = (data) => socket.onmessage({ data });
  say(WELCOME);
  return { pipeline, screen, canvas, socket, say, feed, events };
}

/** @param {string} name */
const readVector = (name) => new Uint8Array(readFileSync(new URL(name, VECTORS)));

test("recorded streams are shown and acknowledged as the manifest says", async () => {
  const { vectors } = JSON.parse(readFileSync(new URL("manifest.json", VECTORS), "utf8"));
  const played = vectors.filter((/** @type {any} */ v) => v.valid && v.requires.length === 0 && !v.name.startsWith("jpeg"));
  assert.ok(played.length >= 12);
  for (const vector of played) {
    const { pipeline, screen, canvas, socket, feed } = await makePipeline();
    for (const name of vector.messages) feed(readVector(name).buffer);
    for (let i = 0; i < 2000 && socket.of("ack").at(-1)?.frame !== vector.frame_id; i++) await settle();
    assert.equal(socket.of("ack").at(-1)?.frame, vector.frame_id, vector.name);
    const shown = await screen.readPixels(0, 0, vector.width, vector.height);
    const expected = readVector(vector.expected.file);
    const rgb = shown.filter((_, i) => i % 4 !== 3);
    const off = rgb.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
    assert.ok(off <= vector.expected.max_error, `${vector.name}: ${off} levels off`);
    assert.deepEqual([canvas.width, canvas.height], [vector.width, vector.height]);
    assert.deepEqual(socket.of("missed"), []);
    pipeline.close();
  }
});

test("acknowledgements name frame and serial, follow the report of what failed and share a turn", async () => {
  const { pipeline, socket, feed } = await makePipeline();
  const fill = { kind: FILL, w: 64, h: 48, value: 7 };
  feed(packFrame({ kind: SNAPSHOT, frameId: 5, serial: 1, ops: [fill] }));
  feed(packFrame({ frameId: 6, ops: [fill] }));
  await settle();
  assert.deepEqual(socket.of("ack").map(({ frame, serial, queue }) => [frame, serial, queue]), [[6, 1, 0]]);
  assert.ok(socket.of("ack")[0].decode_ms >= 0 && socket.of("ack")[0].paint_ms >= 0);
  socket.sent = [];
  feed(packFrame({ frameId: 7, ops: [{ kind: JPEG, x: 8, y: 4, w: 8, h: 8, payload: Uint8Array.of(1) }] }));
  feed(packFrame({ kind: SNAPSHOT, flags: PARTIAL, frameId: 6, serial: 2, ops: [fill] }));
  await settle();
  const [missed, ack] = socket.sent;
  assert.deepEqual(missed, { type: "missed", epoch: 1, frame: 7, areas: [[8, 4, 8, 8]] });
  assert.deepEqual([ack.type, ack.frame, ack.serial], ["ack", 7, 2]);
  pipeline.close();
});

test("a repair without ops is acknowledged and is no frame", async () => {
  const { pipeline, canvas, socket, feed } = await makePipeline();
  feed(packFrame({ kind: SNAPSHOT, frameId: 5, serial: 1, ops: [{ kind: FILL, w: 64, h: 48, value: 7 }] }));
  await settle();
  const [{ frames, fps }, draws] = [await pipeline.stats(), canvas.draws];
  feed(packFrame({ kind: SNAPSHOT, flags: PARTIAL, frameId: 5, serial: 2 }));
  await settle();
  assert.equal(socket.of("ack").at(-1).serial, 2);
  const after = await pipeline.stats();
  assert.deepEqual([after.frames, after.fps, canvas.draws], [frames, fps, draws]);
  pipeline.close();
});

test("a burst of frames is drawn twice, not once a frame", async () => {
  const { pipeline, screen, canvas, feed, socket } = await makePipeline();
  feed(packFrame({ kind: SNAPSHOT, frameId: 5, ops: [{ kind: FILL, w: 64, h: 48, value: 0 }] }));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const before = canvas.draws;
  for (let id = 6; id < 40; id++) feed(packFrame({ frameId: id, ops: [{ kind: FILL, w: 64, h: 48, value: id }] }));
  await settle();
  assert.equal(socket.of("ack").at(-1).frame, 39, "acknowledged before it is drawn");
  const shown = await screen.readPixels(63, 47, 1, 1);
  assert.equal(shown[2], 39);
  assert.equal(canvas.draws - before, 2);
  pipeline.close();
});

test("a hidden page decodes, draws and acknowledges nothing, and shows all of it afterwards", async () => {
  const { pipeline, screen, canvas, feed, socket } = await makePipeline();
  feed(packFrame({ kind: SNAPSHOT, frameId: 5, ops: [{ kind: FILL, w: 64, h: 48, value: 0 }] }));
  await settle();
  pipeline.setHidden(true);
  assert.deepEqual(socket.sent.at(-1), { type: "visibility", hidden: true });
  const [draws, acks] = [canvas.draws, socket.of("ack").length];
  feed(packFrame({ frameId: 6, ops: [{ kind: FILL, w: 8, h: 8, value: 9 }] }));
  feed(packFrame({ frameId: 7, ops: [{ kind: COPY, x: 8, y: 8, w: 8, h: 8 }] }));
  await settle();
  assert.deepEqual([canvas.draws, socket.of("ack").length], [draws, acks]);
  pipeline.setHidden(false);
  await settle();
  assert.deepEqual(socket.of("ack").at(-1).frame, 7);
  assert.equal((await screen.readPixels(15, 15, 1, 1))[2], 9);
  pipeline.close();
});

test("input goes out in the turn in which it comes, however much waits to be decoded", async () => {
  const { pipeline, socket, feed } = await makePipeline();
  feed(packFrame({ kind: SNAPSHOT, frameId: 5, ops: [{ kind: FILL, w: 64, h: 48, value: 0 }] }));
  for (let id = 6; id < 60; id++) {
    feed(packFrame({ frameId: id, ops: [{ kind: JPEG, w: 8, h: 8, payload: Uint8Array.of(1) }] }));
  }
  socket.sent = [];
  pipeline.input([["key", "KeyA", "a", true]]);
  pipeline.input([["key", "KeyA", "a", false]]);
  assert.deepEqual(socket.sent.map(({ type, seq }) => [type, seq]), [["input", 1], ["input", 2]]);
  pipeline.close();
});

test("what an old connection's frames have become is not told to the new server", async () => {
  const { pipeline, screen, socket, events } = await makePipeline();
  socket.onclose({ code: 1006, reason: "" });
  pipeline.retry();
  await settle();
  const next = FakeSocket.newest;
  next.onopen({});
  next.onmessage({ data: JSON.stringify(WELCOME) });
  const commit = { epoch: 1, frame: 9, serial: 4, snapshot: false, ops: 1, captureUs: 0, encodeUs: 0, publishUs: 0 };
  const times = { arrived: 0, ready: 0, decodeMs: 0, paintMs: 0, queue: 0 };
  // A worker that was busy is late.
  screen.onEvent({ connection: 1, commits: [{ ...commit, ...times }], missed: undefined, resync: undefined });
  assert.deepEqual([next.of("ack"), events.filter((e) => e.name === "picture")], [[], []]);
  screen.onEvent({ connection: 2, commits: [{ ...commit, ...times }] });
  assert.deepEqual(next.of("ack").map(({ frame, serial }) => [frame, serial]), [[9, 4]]);
  pipeline.close();
});
