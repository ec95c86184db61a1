/** Pixels out of the residuals of a predicted rectangle (docs/protocol.md §4), in JavaScript. */

import { packPixel } from "../framebuffer.js";

/**
 * @param {Uint8Array} stream
 * @param {number} at where the residuals of green begin
 * @param {number} distance bytes from them to those of red less green, and on to those of blue less green
 * @param {Uint32Array} pixels to be filled
 * @param {number} width
 */
export function restorePixels(stream, at, distance, pixels, width) {
  const green = restorePlane(stream, at, pixels.length, width);
  const red = restorePlane(stream, at + distance, pixels.length, width);
  const blue = restorePlane(stream, at + 2 * distance, pixels.length, width);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = packPixel((red[i] + green[i]) & 255, green[i], (blue[i] + green[i]) & 255);
  }
}

/**
 * @param {Uint8Array} stream
 * @param {number} at
 * @param {number} count
 * @param {number} width
 */
function restorePlane(stream, at, count, width) {
  // Above the first row lie zeros: what is outside the rectangle.
  const plane = new Uint8Array(width + count);
  for (let i = 0; i < count; i += width) {
    let a = 0;
    let c = 0;
    for (let x = i; x < i + width; x++) {
      const b = plane[x];
      const low = a < b ? a : b;
      const high = a < b ? b : a;
      a = (stream[at + x] + a + b - (c < low ? low : c > high ? high : c)) & 255;
      plane[width + x] = a;
      c = b;
    }
  }
  return plane.subarray(width);
}
