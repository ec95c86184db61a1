/**
 * The wire: binary messages into checked objects, objects into text messages (docs/protocol.md).
 *
 * Pure functions without state or I/O. What comes from the network is hostile: every length, offset and rectangle is
 * checked here, so the modules behind this one index without looking again.
 */

export const VERSION = 1;
export const HEADER_SIZE = 48;
export const OP_SIZE = 32;
export const MAX_MESSAGE = 8 * 1024 * 1024;
export const MAX_TEXT = 65536;
export const MAX_OPS = 4096;
export const MAX_SIZE = 16384;
export const MAX_STREAMS = 16;
export const MAX_EVENTS = 64;
export const MAX_AREAS = 64;
/**
 * Most pixels a message may make this client decode or paint, for each pixel of its picture. No encoder draws a picture
 * tens of times in a frame; who does wants to keep the client busy.
 */
const MAX_WORK = 64;
const FREE_WORK = 1 << 20;

export const MessageKind = Object.freeze({ FRAME: 1, SNAPSHOT: 2 });
export const MessageFlag = Object.freeze({ RESIZED: 1, MORE: 2, PARTIAL: 4 });
export const OpKind = Object.freeze({ FILL: 1, COPY: 2, LOSSLESS: 3, JPEG: 4, H264: 5 });
export const OpFlag = Object.freeze({ KEY: 1, CROP: 2, FINAL: 4, CHROMA_444: 8 });

/** A message that breaks a rule of the protocol; it is discarded whole. */
export class ProtocolError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "ProtocolError";
  }
}

/**
 * @typedef {object} Op One operation on the picture; rectangles are in pixels.
 * @property {number} kind one of OpKind
 * @property {boolean} key H.264 key frame
 * @property {boolean} crop take the top left of the payload instead of scaling it
 * @property {boolean} final nothing better follows until the area changes
 * @property {number} stream H.264 decoder, 0…15
 * @property {number} x
 * @property {number} y
 * @property {number} w
 * @property {number} h
 * @property {number} sx source of a copy
 * @property {number} sy
 * @property {number} pw size of the decoded payload in pixels; 0 for fill and copy
 * @property {number} ph
 * @property {number} value fill colour 0x00RRGGBB, or index in the lossless batch
 * @property {Uint8Array} payload a view into the message, empty for fill and copy
 */

/**
 * @typedef {object} Message A parsed frame or snapshot.
 * @property {boolean} snapshot
 * @property {boolean} resized
 * @property {boolean} more the snapshot continues in the next message
 * @property {boolean} partial a repair: a snapshot of some rectangles, the rest stays
 * @property {number} serial which snapshot or repair of the connection this is, 0 where that is not told
 * @property {number} epoch
 * @property {number} frameId id of a frame, as-of of a snapshot
 * @property {number} width
 * @property {number} height
 * @property {number} captureUs
 * @property {number} publishUs
 * @property {number} encodeUs
 * @property {number} byteLength
 * @property {Op[]} ops
 */

/**
 * @param {unknown} condition
 * @param {string} message
 * @returns {asserts condition}
 */
function check(condition, message) {
  if (!condition) throw new ProtocolError(message);
}

/**
 * Parse one binary message.
 *
 * @param {ArrayBuffer} data
 * @returns {Message}
 * @throws {ProtocolError} naming the rule that is broken
 */
export function parseMessage(data) {
  const size = data.byteLength;
  check(size >= HEADER_SIZE, `message of ${size} bytes is shorter than its header`);
  check(size <= MAX_MESSAGE, `message of ${size} bytes is larger than ${MAX_MESSAGE}`);
  const view = new DataView(data);
  const version = view.getUint8(0);
  check(version === VERSION, `unknown protocol version ${version}`);
  const kind = view.getUint8(1);
  check(kind === MessageKind.FRAME || kind === MessageKind.SNAPSHOT, `unknown message kind ${kind}`);
  const headerSize = view.getUint8(2);
  const opSize = view.getUint8(3);
  check(headerSize >= HEADER_SIZE, `header size ${headerSize} is below ${HEADER_SIZE}`);
  check(opSize >= OP_SIZE, `op size ${opSize} is below ${OP_SIZE}`);
  const payloadSize = view.getUint32(32, true);
  const opCount = view.getUint16(36, true);
  check(opCount <= MAX_OPS, `${opCount} ops are more than ${MAX_OPS}`);
  const payloadStart = headerSize + opCount * opSize;
  check(payloadStart + payloadSize === size, `message of ${size} bytes, but header, ops and payloads take ${payloadStart + payloadSize}`);
  const flags = view.getUint16(38, true);
  const snapshot = kind === MessageKind.SNAPSHOT;
  /** @type {Message} */
  const message = {
    snapshot,
    resized: (flags & MessageFlag.RESIZED) !== 0,
    more: snapshot && (flags & MessageFlag.MORE) !== 0,
    partial: snapshot && (flags & MessageFlag.PARTIAL) !== 0,
    serial: snapshot ? view.getUint32(44, true) : 0,
    epoch: view.getUint32(4, true),
    frameId: view.getUint32(8, true),
    width: view.getUint16(12, true),
    height: view.getUint16(14, true),
    captureUs: Number(view.getBigUint64(16, true)),
    publishUs: Number(view.getBigUint64(24, true)),
    encodeUs: view.getUint32(40, true),
    byteLength: size,
    ops: [],
  };
  check(message.epoch !== 0, "epoch 0");
  check(snapshot || message.frameId !== 0, "a frame with id 0");
  check(inside(message.width, 1, MAX_SIZE), `picture width ${message.width}`);
  check(inside(message.height, 1, MAX_SIZE), `picture height ${message.height}`);
  const area = new Uint8Array(data, payloadStart, payloadSize);
  for (let i = 0; i < opCount; i++) {
    message.ops.push(parseOp(view, headerSize + i * opSize, area, message));
  }
  checkBatch(message);
  checkWork(message);
  return message;
}

/**
 * @param {DataView} view
 * @param {number} at offset of the record
 * @param {Uint8Array} area payload area
 * @param {Message} message for the size of the picture
 * @returns {Op}
 */
function parseOp(view, at, area, message) {
  const kind = view.getUint8(at);
  const flags = view.getUint8(at + 1);
  const offset = view.getUint32(at + 16, true);
  const length = view.getUint32(at + 20, true);
  check(offset + length <= area.length, `payload ${offset}+${length} is outside the ${area.length} payload bytes`);
  /** @type {Op} */
  const op = {
    kind,
    key: (flags & OpFlag.KEY) !== 0,
    crop: (flags & OpFlag.CROP) !== 0,
    final: (flags & OpFlag.FINAL) !== 0,
    stream: view.getUint16(at + 2, true),
    x: view.getUint16(at + 4, true),
    y: view.getUint16(at + 6, true),
    w: view.getUint16(at + 8, true),
    h: view.getUint16(at + 10, true),
    sx: view.getUint16(at + 12, true),
    sy: view.getUint16(at + 14, true),
    pw: view.getUint16(at + 24, true),
    ph: view.getUint16(at + 26, true),
    value: view.getUint32(at + 28, true),
    payload: area.subarray(offset, offset + length),
  };
  check(op.w >= 1 && op.h >= 1, "empty rectangle");
  check(op.x + op.w <= message.width && op.y + op.h <= message.height, "rectangle outside the picture");
  check(kind === OpKind.H264 || op.stream === 0, "a stream without H.264");
  check(kind === OpKind.COPY || (op.sx === 0 && op.sy === 0), "a source without a copy");
  check(kind === OpKind.FILL || kind === OpKind.LOSSLESS || op.value === 0, "a value where none belongs");
  switch (kind) {
    case OpKind.FILL:
      check(length === 0 && op.pw === 0 && op.ph === 0, "a fill has no payload");
      check(op.value <= 0xffffff, "fill colour beyond 24 bits");
      break;
    case OpKind.COPY:
      check(length === 0 && op.pw === 0 && op.ph === 0, "a copy has no payload");
      check(op.sx + op.w <= message.width && op.sy + op.h <= message.height, "copy source outside the picture");
      check(!message.snapshot, "a copy in a snapshot");
      break;
    case OpKind.LOSSLESS:
    case OpKind.JPEG:
      checkPayload(op);
      break;
    case OpKind.H264:
      checkPayload(op);
      check(op.stream < MAX_STREAMS, `H.264 stream ${op.stream}`);
      check(op.key || !message.snapshot, "an H.264 delta frame in a snapshot");
      break;
    default:
      throw new ProtocolError(`unknown op kind ${kind}`);
  }
  return op;
}

/** @param {Op} op */
function checkPayload(op) {
  check(op.payload.length > 0, "empty payload");
  check(inside(op.pw, 1, MAX_SIZE) && inside(op.ph, 1, MAX_SIZE), `payload size ${op.pw}x${op.ph}`);
  check(!op.crop || (op.pw >= op.w && op.ph >= op.h), "CROP with a payload smaller than its rectangle");
}

/**
 * All lossless ops of a message share one payload and number its rectangles in table order.
 *
 * @param {Message} message
 */
function checkBatch({ ops, width, height }) {
  /** @type {Op | undefined} */
  let first;
  let index = 0;
  let pixels = 0;
  for (const op of ops) {
    if (op.kind !== OpKind.LOSSLESS) continue;
    first ??= op;
    const same = op.payload.byteOffset === first.payload.byteOffset && op.payload.length === first.payload.length;
    check(same, "lossless ops of one frame with different payloads");
    check(op.value === index, `lossless rectangle ${op.value} where ${index} was due`);
    index++;
    pixels += op.pw * op.ph;
  }
  check(pixels <= width * height, "lossless rectangles with more pixels than the picture");
}

/** @param {Message} message */
function checkWork({ ops, width, height }) {
  let pixels = 0;
  for (const op of ops) pixels += op.w * op.h + op.pw * op.ph;
  check(pixels <= MAX_WORK * width * height + FREE_WORK, `${ops.length} ops of ${pixels} pixels`);
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
function inside(value, low, high) {
  return value >= low && value <= high;
}

/**
 * @param {string[]} codecs what this browser can decode
 * @param {string} [ticket] for share links
 */
export function buildHello(codecs, ticket) {
  return JSON.stringify({ type: "hello", versions: [VERSION], codecs, ...(ticket === undefined ? {} : { ticket }) });
}

/**
 * @param {{epoch: number, frame: number, serial?: number, decodeMs?: number, paintMs?: number, queue?: number}} ack
 */
export function buildAck({ epoch, frame, serial, decodeMs, paintMs, queue }) {
  return JSON.stringify({
    type: "ack",
    epoch,
    frame,
    serial: serial || undefined,
    decode_ms: tenth(decodeMs),
    paint_ms: tenth(paintMs),
    queue,
  });
}

/** @param {number | undefined} ms */
function tenth(ms) {
  return ms === undefined ? undefined : Math.round(Math.max(ms, 0) * 10) / 10;
}

/**
 * @param {{epoch: number, frame: number, areas: [number, number, number, number][], streams: number[]}} missed areas
 *   1…64 of [x, y, w, h]
 */
export function buildMissed({ epoch, frame, areas, streams }) {
  if (areas.length < 1 || areas.length > MAX_AREAS) {
    throw new RangeError(`a missed message holds 1 to ${MAX_AREAS} areas, not ${areas.length}`);
  }
  return JSON.stringify({ type: "missed", epoch, frame, areas, streams: streams.length > 0 ? streams : undefined });
}

/**
 * @typedef {["move", number, number] | ["button", number, boolean] | ["wheel", number, number]
 *   | ["key", string, string, boolean] | ["text", string] | ["release"]} InputEvent
 */

/**
 * @param {number} seq
 * @param {InputEvent[]} events 1…64
 */
export function buildInput(seq, events) {
  if (events.length < 1 || events.length > MAX_EVENTS) {
    throw new RangeError(`an input message holds 1 to ${MAX_EVENTS} events, not ${events.length}`);
  }
  return JSON.stringify({ type: "input", seq, events });
}

/** @param {string} reason */
export function buildResync(reason) {
  return JSON.stringify({ type: "resync", reason: reason.slice(0, 200) });
}

/** @param {number} id */
export function buildPreset(id) {
  return JSON.stringify({ type: "preset", id });
}

/** @param {boolean} hidden */
export function buildVisibility(hidden) {
  return JSON.stringify({ type: "visibility", hidden });
}

/** @param {number} t any clock of the client, ms */
export function buildPing(t) {
  return JSON.stringify({ type: "ping", t });
}
