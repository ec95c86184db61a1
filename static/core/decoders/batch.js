/**
 * The lossless batch in JavaScript: byte ops over all of a frame's lossless rectangles (docs/protocol.md §4).
 *
 * What browsers without WebAssembly use, and for batches that are too large for the module's memory. Plain batches decode
 * synchronously, deflated ones wait for the browser's inflater. Every index is checked before it is used.
 */

import { packPixel } from "../framebuffer.js";
import { inflateRaw } from "./inflate.js";
import { DecodeError } from "./patch.js";
import { restorePixels } from "./predicted.js";

const DEFLATED = 1;
const FORMS = 2;
/** Forms of a rectangle. */
const OPS = 0;
const PREDICTED = 1;
const ESCAPE = 255;

/** @typedef {(bytes: Uint8Array, size: number) => Promise<Uint8Array>} Inflate */

/**
 * Decode a batch into one array of RGBA pixels a rectangle.
 *
 * @param {Uint8Array} payload
 * @param {{width: number, height: number}[]} sizes of the rectangles, in the batch's order
 * @param {Inflate} [inflate]
 * @returns {Uint32Array[] | Promise<Uint32Array[]>} at once when the batch is not deflated
 * @throws {DecodeError} at once or as a rejection
 */
export function decodeBatch(payload, sizes, inflate = inflateRaw) {
  const pixels = sizes.reduce((sum, size) => sum + size.width * size.height, 0);
  if (payload.length < 2) throw new DecodeError("lossless batch without a header");
  const flags = payload[0];
  if (flags & ~(DEFLATED | FORMS)) throw new DecodeError(`lossless flags ${flags} are of a newer version`);
  const paletteSize = payload[1];
  const head = 2 + paletteSize * 3 + 4;
  if (payload.length < head) throw new DecodeError("lossless batch ends inside its header");
  if (paletteSize > ESCAPE) throw new DecodeError(`lossless palette of ${paletteSize}`);
  const palette = new Uint32Array(paletteSize);
  for (let i = 0; i < paletteSize; i++) {
    palette[i] = packPixel(payload[2 + i * 3], payload[3 + i * 3], payload[4 + i * 3]);
  }
  const opBytes = new DataView(payload.buffer, payload.byteOffset + head - 4, 4).getUint32(0, true);
  if (opBytes > 4 * pixels + 64) throw new DecodeError(`lossless op stream of ${opBytes} bytes for ${pixels} pixels`);
  const body = payload.subarray(head);
  const hasForms = (flags & FORMS) !== 0;
  if (flags & DEFLATED) return inflate(body, opBytes).then((stream) => runStream(stream, palette, sizes, hasForms));
  if (body.length !== opBytes) throw new DecodeError(`lossless body of ${body.length} bytes, not ${opBytes}`);
  return runStream(body, palette, sizes, hasForms);
}

/**
 * @param {Uint8Array} stream forms, byte ops and, at its end, three planes of the predicted rectangles
 * @param {Uint32Array} palette
 * @param {{width: number, height: number}[]} sizes
 * @param {boolean} hasForms without, all rectangles are byte ops
 * @returns {Uint32Array[]}
 */
function runStream(stream, palette, sizes, hasForms) {
  const forms = hasForms ? readForms(stream, sizes.length) : new Uint8Array(sizes.length);
  const predicted = sizes.reduce((sum, { width, height }, i) => sum + (forms[i] === PREDICTED ? width * height : 0), 0);
  let at = hasForms ? sizes.length : 0;
  const end = stream.length - 3 * predicted;
  if (end < at) throw new DecodeError("lossless op stream ends inside the planes of its predicted rectangles");
  const ops = stream.subarray(0, end);
  let plane = end;
  const rectangles = sizes.map(({ width, height }, i) => {
    const pixels = new Uint32Array(width * height);
    if (forms[i] === PREDICTED) {
      restorePixels(stream, plane, predicted, pixels, width);
      plane += pixels.length;
    } else {
      at = decodeRectangle(ops, at, palette, pixels, width);
    }
    return pixels;
  });
  if (at !== end) throw new DecodeError("lossless op stream goes on after its last rectangle");
  return rectangles;
}

/**
 * @param {Uint8Array} stream
 * @param {number} count
 */
function readForms(stream, count) {
  const forms = stream.subarray(0, count);
  if (forms.length < count) throw new DecodeError("lossless op stream ends inside its forms");
  for (const form of forms) {
    if (form !== OPS && form !== PREDICTED) throw new DecodeError(`lossless form ${form} is of a newer version`);
  }
  return forms;
}

/**
 * @param {Uint8Array} ops
 * @param {number} at where the rectangle's ops begin
 * @param {Uint32Array} palette
 * @param {Uint32Array} pixels to be filled
 * @param {number} width
 * @returns {number} where the next rectangle's ops begin
 */
function decodeRectangle(ops, at, palette, pixels, width) {
  const total = pixels.length;
  let done = 0;
  while (done < total) {
    if (at >= ops.length) throw new DecodeError("lossless op stream ends early");
    const op = ops[at++];
    if (op < 0x80) {
      const end = done + op + 1;
      if (end > total) throw new DecodeError("lossless literals run past their rectangle");
      while (done < end) {
        if (at >= ops.length) throw new DecodeError("lossless op stream ends inside literals");
        const index = ops[at++];
        if (index < palette.length) {
          pixels[done++] = palette[index];
        } else if (index === ESCAPE) {
          if (at + 3 > ops.length) throw new DecodeError("lossless op stream ends inside a colour");
          pixels[done++] = packPixel(ops[at], ops[at + 1], ops[at + 2]);
          at += 3;
        } else {
          throw new DecodeError(`lossless palette index ${index} of ${palette.length}`);
        }
      }
      continue;
    }
    let count = (op & 31) + 1;
    if (op & 0x40) {
      if (at >= ops.length) throw new DecodeError("lossless op stream ends inside a length");
      count = (((op & 31) << 8) | ops[at++]) + 1;
    }
    if (done + count > total) throw new DecodeError("lossless run goes past its rectangle");
    if (op & 0x20) {
      if (done === 0) throw new DecodeError("lossless repeat at the first pixel");
      pixels.fill(pixels[done - 1], done, done + count);
    } else {
      if (done < width) throw new DecodeError("lossless copy from above in the first row");
      // Pixel by pixel where a run is longer than a row: it may read what it has just written.
      if (count <= width) pixels.copyWithin(done, done - width, done - width + count);
      else for (let i = done; i < done + count; i++) pixels[i] = pixels[i - width];
    }
    done += count;
  }
  return at;
}
