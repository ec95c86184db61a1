/**
 * The renderer: applies the patches of a frame to the shadow framebuffer and the canvas in one synchronous turn.
 *
 * Owns the framebuffer and the canvas' 2D context; never waits. Pixels in memory reach the canvas as dirty rectangles,
 * video pictures are drawn on the canvas alone and are not in the shadow (the protocol forbids to copy out of them).
 */

import { Framebuffer } from "./framebuffer.js";

/**
 * @typedef {import("./protocol.js").Op} Op
 * @typedef {import("./decoders/patch.js").Patch} Patch
 * @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context
 */

/** Dirty rectangles kept apart before they are written out; bounds the list, not the frame. */
const MAX_DIRTY = 512;

export class Renderer {
  #canvas;
  /** @type {Context} */
  #context;
  /** @type {ImageData | null} */
  #image = null;
  /** @type {[number, number, number, number][]} */
  #dirty = [];
  framebuffer = new Framebuffer(1, 1);

  /** @param {HTMLCanvasElement | OffscreenCanvas} canvas without a context yet */
  constructor(canvas) {
    this.#canvas = canvas;
    const context = /** @type {Context | null} */ (canvas.getContext("2d", { alpha: false }));
    if (context === null) throw new Error("this browser gives no 2D canvas");
    this.#context = context;
  }

  /**
   * Start from black at a new size.
   *
   * @param {number} width
   * @param {number} height
   * @throws {RangeError} when there is not enough memory; the old picture stays
   */
  resize(width, height) {
    const framebuffer = new Framebuffer(width, height);
    const image = new ImageData(/** @type {any} */ (framebuffer.bytes), width, height);
    this.framebuffer = framebuffer;
    this.#image = image;
    this.#dirty = [];
    this.#canvas.width = width;
    this.#canvas.height = height;
  }

  /**
   * Apply one frame: all of it, in table order. A missing patch is a decode that failed; its rectangle stays.
   *
   * @param {(Patch | null)[]} patches
   * @returns {number} patches that could not be painted, such as a video picture whose decoder has died since
   */
  commit(patches) {
    let failed = 0;
    for (const patch of patches) {
      try {
        patch?.paint(this);
      } catch {
        failed++;
      }
    }
    this.#flush();
    return failed;
  }

  /**
   * Note that the shadow framebuffer changed here.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} w
   * @param {number} h
   */
  touch(x, y, w, h) {
    const last = this.#dirty[this.#dirty.length - 1];
    // Stripes follow each other from top to bottom: one upload instead of many.
    if (last !== undefined && last[0] === x && last[2] === w && last[1] + last[3] === y) {
      last[3] += h;
      return;
    }
    this.#dirty.push([x, y, w, h]);
    if (this.#dirty.length > MAX_DIRTY) this.#flush();
  }

  /**
   * Draw a video picture over its rectangle, scaled unless the op crops it.
   *
   * @param {VideoFrame} frame
   * @param {Op} op
   */
  drawVideo(frame, op) {
    this.#flush();
    const w = op.crop ? op.w : op.pw;
    const h = op.crop ? op.h : op.ph;
    const scaled = w !== op.w || h !== op.h;
    this.#context.imageSmoothingEnabled = scaled;
    this.#context.drawImage(frame, 0, 0, w, h, op.x, op.y, op.w, op.h);
  }

  /**
   * Read back what is shown, video included.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} w
   * @param {number} h
   * @returns {Uint8ClampedArray<ArrayBuffer>} RGBA
   */
  readPixels(x, y, w, h) {
    return /** @type {Uint8ClampedArray<ArrayBuffer>} */ (this.#context.getImageData(x, y, w, h).data);
  }

  #flush() {
    if (this.#image !== null) {
      for (const [x, y, w, h] of this.#dirty) this.#context.putImageData(this.#image, 0, 0, x, y, w, h);
    }
    this.#dirty = [];
  }
}
