/**
 * The shadow framebuffer: one RGBA picture in memory, the only truth about everything that did not come from video.
 *
 * Synchronous and owned by one renderer. Rectangles have been checked by the protocol parser. Canvas pixels are
 * written from here with putImageData, because a canvas drawn onto itself costs twenty times a copy in memory.
 */

export class Framebuffer {
  /**
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    /** RGBA bytes, row by row. */
    this.bytes = new Uint8ClampedArray(width * height * 4);
    /** The same memory, a pixel an element. */
    this.pixels = new Uint32Array(this.bytes.buffer);
    this.pixels.fill(OPAQUE_BLACK);
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} w
   * @param {number} h
   * @param {number} colour 0x00RRGGBB
   */
  fill(x, y, w, h, colour) {
    const pixel = packPixel((colour >> 16) & 255, (colour >> 8) & 255, colour & 255);
    for (let row = y; row < y + h; row++) {
      const start = row * this.width + x;
      this.pixels.fill(pixel, start, start + w);
    }
  }

  /**
   * Copy a rectangle as if it were read whole before it is written.
   *
   * @param {number} sx
   * @param {number} sy
   * @param {number} x
   * @param {number} y
   * @param {number} w
   * @param {number} h
   */
  copy(sx, sy, x, y, w, h) {
    // copyWithin is safe inside a row; from row to row the order decides.
    const down = y > sy;
    for (let i = 0; i < h; i++) {
      const row = down ? h - 1 - i : i;
      const from = (sy + row) * this.width + sx;
      this.pixels.copyWithin((y + row) * this.width + x, from, from + w);
    }
  }

  /**
   * Write the top left w × h of a picture.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} w
   * @param {number} h
   * @param {Uint32Array} source RGBA pixels, `stride` to a row
   * @param {number} stride in pixels, ≥ w
   */
  blit(x, y, w, h, source, stride) {
    if (w === this.width && stride === w) {
      this.pixels.set(source.subarray(0, w * h), y * w);
      return;
    }
    for (let row = 0; row < h; row++) {
      const from = row * stride;
      this.pixels.set(source.subarray(from, from + w), (y + row) * this.width + x);
    }
  }
}

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/**
 * A pixel as it stands in memory as R, G, B, 255.
 *
 * @param {number} r
 * @param {number} g
 * @param {number} b
 */
export function packPixel(r, g, b) {
  return LITTLE_ENDIAN
    ? (0xff000000 | (b << 16) | (g << 8) | r) >>> 0
    : ((r << 24) | (g << 16) | (b << 8) | 0xff) >>> 0;
}

const OPAQUE_BLACK = packPixel(0, 0, 0);

/**
 * Scale a picture bilinearly, pixel centres aligned, edges repeated.
 *
 * @param {Uint32Array} source sw × sh pixels
 * @param {number} sw
 * @param {number} sh
 * @param {number} dw
 * @param {number} dh
 * @returns {Uint32Array<ArrayBuffer>} dw × dh pixels
 */
export function scaleBilinear(source, sw, sh, dw, dh) {
  const from = new Uint8Array(source.buffer, source.byteOffset, sw * sh * 4);
  const target = new Uint32Array(dw * dh);
  const to = new Uint8Array(target.buffer);
  for (let y = 0; y < dh; y++) {
    const fy = Math.min(Math.max(((y + 0.5) * sh) / dh - 0.5, 0), sh - 1);
    const y0 = Math.floor(fy);
    const y1 = Math.min(y0 + 1, sh - 1);
    const wy = fy - y0;
    for (let x = 0; x < dw; x++) {
      const fx = Math.min(Math.max(((x + 0.5) * sw) / dw - 0.5, 0), sw - 1);
      const x0 = Math.floor(fx);
      const x1 = Math.min(x0 + 1, sw - 1);
      const wx = fx - x0;
      const a = (y0 * sw + x0) * 4;
      const b = (y0 * sw + x1) * 4;
      const c = (y1 * sw + x0) * 4;
      const d = (y1 * sw + x1) * 4;
      const out = (y * dw + x) * 4;
      for (let i = 0; i < 4; i++) {
        const top = from[a + i] + (from[b + i] - from[a + i]) * wx;
        const bottom = from[c + i] + (from[d + i] - from[c + i]) * wx;
        to[out + i] = Math.round(top + (bottom - top) * wy);
      }
    }
  }
  return target;
}
