import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import fc from "fast-check";
import {
  MAX_MESSAGE,
  OpFlag,
  OpKind,
  ProtocolError,
  buildAck,
  buildHello,
  buildInput,
  parseMessage,
} from "../../../static/core/protocol.js";
import { parseText } from "../../../static/core/text.js";
import { frames, packFrame } from "./messages.js";

const VECTORS = new URL("../../vectors/", import.meta.url);
/** @type {{vectors: any[]}} */
const manifest = JSON.parse(readFileSync(new URL("manifest.json", VECTORS), "utf8"));

/** @param {string} name @returns {ArrayBuffer} */
function readVector(name) {
  const bytes = readFileSync(new URL(name, VECTORS));
  return /** @type {ArrayBuffer} */ (bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

for (const vector of manifest.vectors) {
  test(`vector ${vector.name} is ${vector.valid || vector.stage === "decode" ? "parsed" : "refused"}`, () => {
    const last = vector.messages.length - 1;
    vector.messages.forEach((/** @type {string} */ name, /** @type {number} */ index) => {
      const parse = () => parseMessage(readVector(name));
      if (!vector.valid && vector.stage === "parse" && index === last) assert.throws(parse, ProtocolError);
      else parse();
    });
  });
}

test("what was packed is what is parsed", () => {
  fc.assert(
    fc.property(frames, (ops) => {
      const message = parseMessage(packFrame({ epoch: 7, frameId: 9, ops }));
      assert.deepEqual([message.epoch, message.frameId, message.width, message.height], [7, 9, 64, 48]);
      assert.equal(message.ops.length, ops.length);
      message.ops.forEach((op, i) => {
        const { kind, x, y, w, h } = ops[i];
        assert.deepEqual([op.kind, op.x, op.y, op.w, op.h], [kind, x, y, w, h]);
        if ("payload" in ops[i]) assert.deepEqual(op.payload, ops[i].payload);
        if ("value" in ops[i]) assert.equal(op.value, ops[i].value);
      });
    }),
  );
});

/** @param {ArrayBuffer} data */
function checkParsed(data) {
  let message;
  try {
    message = parseMessage(data);
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    return;
  }
  for (const op of message.ops) {
    assert.ok(op.x + op.w <= message.width && op.y + op.h <= message.height);
    assert.ok(op.sx + op.w <= message.width || op.kind !== OpKind.COPY);
    assert.ok(op.payload.byteOffset + op.payload.length <= data.byteLength);
  }
}

test("changed bytes are either refused or still keep every rule", () => {
  const changes = fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(frames, changes, (ops, edits) => {
      const bytes = new Uint8Array(packFrame({ ops }));
      for (const [at, value] of edits) bytes[at % bytes.length] = value;
      checkParsed(bytes.buffer);
    }),
    { numRuns: 2000 },
  );
});

test("cut and random messages are refused, never a crash", () => {
  fc.assert(
    fc.property(frames, fc.nat(), (ops, cut) => {
      const bytes = packFrame({ ops });
      assert.throws(() => parseMessage(bytes.slice(0, cut % bytes.byteLength)), ProtocolError);
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => checkParsed(bytes.slice().buffer)));
});

test("bounds on message and work are kept", () => {
  assert.throws(() => parseMessage(new ArrayBuffer(MAX_MESSAGE + 1)), /larger/);
  const fill = { kind: OpKind.FILL, w: 1024, h: 1024 };
  parseMessage(packFrame({ width: 1024, height: 1024, ops: new Array(64).fill(fill) }));
  assert.throws(
    () => parseMessage(packFrame({ width: 1024, height: 1024, ops: new Array(66).fill(fill) })),
    /66 ops of/,
  );
});

test("key and crop flags are read", () => {
  const payload = Uint8Array.of(0);
  const flags = OpFlag.KEY | OpFlag.CROP;
  const [op] = parseMessage(packFrame({ ops: [{ kind: OpKind.H264, w: 3, h: 3, pw: 16, ph: 16, flags, payload }] })).ops;
  assert.ok(op.key && op.crop && !op.final);
});

test("builders write what the protocol shows", () => {
  assert.deepEqual(JSON.parse(buildHello(["jpeg"])), { type: "hello", versions: [1], codecs: ["jpeg"] });
  assert.equal(JSON.parse(buildHello(["jpeg"], "t")).ticket, "t");
  assert.deepEqual(JSON.parse(buildAck({ epoch: 3, frame: 4 })), { type: "ack", epoch: 3, frame: 4 });
  assert.throws(() => buildInput(1, []), /1 to 64/);
  assert.throws(() => buildInput(1, new Array(65).fill(["release"])), /1 to 64/);
});

test("text messages are checked member by member", () => {
  const cursor = { type: "cursor", serial: 1, width: 2, height: 2, hot_x: 0, hot_y: 0, png: "QUJD" };
  assert.equal(parseText(JSON.stringify(cursor))?.width, 2);
  assert.equal(parseText('{"type":"cursor","serial":1,"hidden":true}')?.hidden, true);
  assert.equal(parseText('{"type":"some-later-type","x":1}'), null);
  assert.equal(parseText('{"type":"constructor"}'), null);
  const bad = [
    "",
    "[]",
    "null",
    '{"x":1}',
    '{"type":1}',
    '{"type":"pong","t":"1","server_us":2}',
    '{"type":"state"}',
    '{"type":"role","role":"owner","permissions":"input"}',
    JSON.stringify({ ...cursor, png: 'A"),url("x' }),
    JSON.stringify({ ...cursor, width: 257 }),
    JSON.stringify({ ...cursor, png: "A".repeat(90000) }),
    JSON.stringify({ type: "notice", code: "x", message: "é".repeat(40000) }),
  ];
  for (const text of bad) assert.throws(() => parseText(text), ProtocolError, text.slice(0, 60));
});

test("no text makes the parser fail in another way", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseText(text);
      } catch (error) {
        assert.ok(error instanceof ProtocolError);
      }
    }),
  );
});
