/**
 * JPEG: by the fastest way this browser has, found out by trying each on the first few pictures.
 *
 * `ImageDecoder` with `copyTo` is three times faster than `createImageBitmap` with a read-back where both exist, but in
 * some browsers it is the other way round or does not convert. Decodes run side by side; a decoder holds no picture.
 */

import { DecodeError, pixelPatch } from "./patch.js";

/**
 * @typedef {import("../protocol.js").Op} Op
 * @typedef {import("./patch.js").Patch} Patch
 * @typedef {import("./patch.js").Decoder} Decoder
 * @typedef {(payload: Uint8Array, width: number, height: number) => Promise<Uint8ClampedArray>} Method
 */

/** Pictures a method is timed on before one is chosen, and the size from which timing says something. */
const TRIALS = 4;
const TRIAL_PIXELS = 64 * 64;
const SOF0 = 0xc0;
const SOS = 0xda;
/** Markers in the range of the frame headers that are none: DHT, JPG, DAC. */
const NO_FRAME = [0xc4, 0xc8, 0xcc];

/** @implements {Decoder} */
export class JpegDecoder {
  /** @type {{name: string, run: Method, times: number[]}[]} */
  #methods;

  /** @param {Record<string, Method>} [methods] the ways to try, best guess first */
  constructor(methods = availableMethods()) {
    this.#methods = Object.entries(methods).map(([name, run]) => ({ name, run, times: [] }));
  }

  /** Name of the method in use, for the statistics. */
  get method() {
    return this.#methods[0]?.name ?? "none";
  }

  /**
   * @param {Op} op
   * @returns {Promise<Patch>}
   */
  async decode(op) {
    const size = readJpegSize(op.payload);
    if (size === null) throw new DecodeError("not a baseline JPEG");
    if (size.width !== op.pw || size.height !== op.ph) {
      throw new DecodeError(`JPEG of ${size.width}x${size.height} where ${op.pw}x${op.ph} was announced`);
    }
    const bytes = await this.#decodeBytes(op);
    const pixels = new Uint32Array(bytes.buffer, bytes.byteOffset, op.pw * op.ph);
    return pixelPatch(op, () => pixels);
  }

  reset() {}

  /** @param {Op} op */
  async #decodeBytes(op) {
    /** @type {string[]} */
    const failed = [];
    for (const method of this.#order(op.pw * op.ph)) {
      const start = performance.now();
      try {
        const bytes = await method.run(op.payload, op.pw, op.ph);
        if (bytes.length < op.pw * op.ph * 4) throw new DecodeError("JPEG decoded to too few pixels");
        if (op.pw * op.ph >= TRIAL_PIXELS && method.times.length < TRIALS) method.times.push(performance.now() - start);
        // What one way could not do and another could is beyond this browser, not a broken picture.
        if (failed.length > 0) this.#methods = this.#methods.filter(({ name }) => !failed.includes(name));
        this.#choose();
        return bytes;
      } catch {
        failed.push(method.name);
      }
    }
    throw new DecodeError("JPEG cannot be decoded");
  }

  /**
   * The methods in the order to try: the one with the fewest trials first while they last.
   *
   * @param {number} pixels
   */
  #order(pixels) {
    if (pixels < TRIAL_PIXELS || this.#methods.every((m) => m.times.length >= TRIALS)) return [...this.#methods];
    return [...this.#methods].sort((a, b) => a.times.length - b.times.length);
  }

  #choose() {
    if (this.#methods.some((m) => m.times.length < TRIALS)) return;
    // The fastest of the trials: the others waited for something that was not theirs.
    this.#methods.sort((a, b) => Math.min(...a.times) - Math.min(...b.times));
  }
}

/** @returns {Record<string, Method>} */
function availableMethods() {
  /** @type {Record<string, Method>} */
  const methods = {};
  if (typeof ImageDecoder !== "undefined" && typeof VideoFrame !== "undefined") methods.ImageDecoder = byImageDecoder;
  if (typeof createImageBitmap !== "undefined") methods.createImageBitmap = byImageBitmap;
  return methods;
}

/** @type {Method} */
async function byImageDecoder(payload, width, height) {
  const decoder = new ImageDecoder({
    data: /** @type {Uint8Array<ArrayBuffer>} */ (payload),
    type: "image/jpeg",
    colorSpaceConversion: "none",
    preferAnimation: false,
  });
  try {
    const { image } = await decoder.decode();
    try {
      const options = { format: "RGBA", layout: [{ offset: 0, stride: width * 4 }] };
      const size = image.allocationSize(/** @type {VideoFrameCopyToOptions} */ (options));
      // A browser that does not convert ignores `format` and would copy planes of YUV.
      if (image.displayWidth !== width || size !== width * height * 4) throw new DecodeError("no conversion to RGBA");
      const bytes = new Uint8ClampedArray(size);
      await image.copyTo(bytes, /** @type {VideoFrameCopyToOptions} */ (options));
      return bytes;
    } finally {
      image.close();
    }
  } finally {
    decoder.close();
  }
}

/** @type {Method} */
async function byImageBitmap(payload, width, height) {
  const blob = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (payload)], { type: "image/jpeg" });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  try {
    const canvas = scratchCanvas(width, height);
    const context = /** @type {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D | null} */ (
      canvas.getContext("2d", { willReadFrequently: true, alpha: false })
    );
    if (context === null) throw new DecodeError("no canvas to decode on");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height).data;
  } finally {
    bitmap.close();
  }
}

/**
 * @param {number} width
 * @param {number} height
 */
function scratchCanvas(width, height) {
  if (typeof OffscreenCanvas !== "undefined") return new OffscreenCanvas(width, height);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/**
 * Read the size from a baseline JPEG's frame header, before anything is allocated for it.
 *
 * @param {Uint8Array} bytes
 * @returns {{width: number, height: number} | null}
 */
export function readJpegSize(bytes) {
  if (bytes.length < 4 || bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) return null;
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++;
      continue;
    }
    const length = (bytes[at + 2] << 8) | bytes[at + 3];
    if (marker === SOF0) {
      if (at + 9 > bytes.length) return null;
      return { height: (bytes[at + 5] << 8) | bytes[at + 6], width: (bytes[at + 7] << 8) | bytes[at + 8] };
    }
    // Any other frame header, progressive for one, or the scan.
    const otherFrame = marker >= 0xc1 && marker <= 0xcf && !NO_FRAME.includes(marker);
    if (otherFrame || marker === SOS || length < 2) return null;
    at += 2 + length;
  }
  return null;
}
