/** Messages for tests: binary frames from op descriptions, and fast-check arbitraries of both. */

import fc from "fast-check";
import { HEADER_SIZE, OP_SIZE, OpKind } from "../../../static/core/protocol.js";

/**
 * @typedef {object} OpDescription
 * @property {number} kind
 * @property {number} [flags]
 * @property {number} [stream]
 * @property {number} [x]
 * @property {number} [y]
 * @property {number} [w]
 * @property {number} [h]
 * @property {number} [sx]
 * @property {number} [sy]
 * @property {number} [pw]
 * @property {number} [ph]
 * @property {number} [value]
 * @property {Uint8Array} [payload] the same array object is stored once
 *
 * @typedef {object} FrameDescription
 * @property {number} [kind]
 * @property {number} [epoch]
 * @property {number} [frameId]
 * @property {number} [width]
 * @property {number} [height]
 * @property {number} [flags]
 * @property {number} [serial]
 * @property {number} [captureUs]
 * @property {OpDescription[]} [ops]
 */

/**
 * @param {FrameDescription} frame
 * @returns {ArrayBuffer}
 */
export function packFrame({ kind = 1, epoch = 1, frameId = 1, width = 64, height = 48, flags = 0, ops = [], ...more }) {
  /** @type {Map<Uint8Array, number>} */
  const places = new Map();
  let size = 0;
  for (const { payload } of ops) {
    if (payload === undefined || places.has(payload)) continue;
    places.set(payload, size);
    size += payload.length;
  }
  const start = HEADER_SIZE + ops.length * OP_SIZE;
  const bytes = new Uint8Array(start + size);
  const view = new DataView(bytes.buffer);
  [1, kind, HEADER_SIZE, OP_SIZE].forEach((value, i) => view.setUint8(i, value));
  view.setUint32(4, epoch, true);
  view.setUint32(8, frameId, true);
  view.setUint16(12, width, true);
  view.setUint16(14, height, true);
  view.setUint32(32, size, true);
  view.setUint16(36, ops.length, true);
  view.setUint16(38, flags, true);
  view.setBigUint64(16, BigInt(more.captureUs ?? 0), true);
  view.setUint32(44, more.serial ?? 0, true);
  ops.forEach((op, i) => packOp(view, HEADER_SIZE + i * OP_SIZE, op, places));
  for (const [payload, offset] of places) bytes.set(payload, start + offset);
  return bytes.buffer;
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {OpDescription} op
 * @param {Map<Uint8Array, number>} places
 */
function packOp(view, at, op, places) {
  const { kind, flags = 0, stream = 0, x = 0, y = 0, w = 1, h = 1, sx = 0, sy = 0, payload, value = 0 } = op;
  view.setUint8(at, kind);
  view.setUint8(at + 1, flags);
  [stream, x, y, w, h, sx, sy].forEach((v, i) => view.setUint16(at + 2 + 2 * i, v, true));
  view.setUint32(at + 16, payload === undefined ? 0 : /** @type {number} */ (places.get(payload)), true);
  view.setUint32(at + 20, payload?.length ?? 0, true);
  const coded = payload !== undefined;
  view.setUint16(at + 24, op.pw ?? (coded ? w : 0), true);
  view.setUint16(at + 26, op.ph ?? (coded ? h : 0), true);
  view.setUint32(at + 28, value, true);
}

/** Frames of a 64 × 48 picture that keep all rules, with their descriptions. */
export const frames = fc
  .array(
    fc.record({
      kind: fc.constantFrom(OpKind.FILL, OpKind.COPY, OpKind.JPEG),
      x: fc.nat(40),
      y: fc.nat(30),
      w: fc.integer({ min: 1, max: 24 }),
      h: fc.integer({ min: 1, max: 18 }),
      sx: fc.nat(40),
      sy: fc.nat(30),
      value: fc.nat(0xffffff),
    }),
    { maxLength: 12 },
  )
  .map((ops) =>
    ops.map(({ kind, x, y, w, h, sx, sy, value }) => {
      if (kind === OpKind.FILL) return { kind, x, y, w, h, value };
      if (kind === OpKind.COPY) return { kind, x, y, w, h, sx, sy };
      return { kind, x, y, w, h, payload: Uint8Array.of(value & 255, 1, 2) };
    }),
  );
