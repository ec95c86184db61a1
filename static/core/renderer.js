/**
 * The renderer: applies the patches of a frame to the shadow framebuffer in one synchronous turn, and brings what they
 * changed to the canvas, whole frames at a time, when the presenter says so.
 *
 * Owns the framebuffer and the canvas' 2D context; never waits. Pixels in memory reach the canvas as dirty rectangles,
 * video pictures are drawn on the canvas alone and are not in the shadow (the protocol forbids to copy out of them).
 */

import { Framebuffer } from "./framebuffer.js";
import { Presenter } from "./presenter.js";

/**
 * @typedef {import("./protocol.js").Op} Op
 * @typedef {import("./decoders/patch.js").Patch} Patch
 * @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context
 * @typedef {{x: number, y: number, w: number, h: number, video: VideoFrame | null, op: Op | null}} Change what is to be
 *   drawn: a rectangle of the shadow, or a video picture that is closed afterwards
 */

/** Changes that may wait to be drawn; bounds the list, and the video pictures it keeps open. */
const MAX_CHANGES = 512;
/** Changes looked through for one that a new one covers. */
const LOOK_BACK = 16;

export class Renderer {
  #canvas;
  /** @type {Context} */
  #context;
  /** @type {ImageData | null} */
  #image = null;
  /** @type {Change[]} */
  #changes = [];
  /** Changes of the frames before the one that is being applied. */
  #settled = 0;
  /** Ops of earlier frames that could not be drawn. @type {Op[]} */
  #undrawn = [];
  #presenter;
  framebuffer = new Framebuffer(1, 1);

  /**
   * @param {HTMLCanvasElement | OffscreenCanvas} canvas without a context yet
   * @param {(time: number) => void} [onPresented] all that was committed has gone to the display, ms
   */
  constructor(canvas, onPresented = () => {}) {
    this.#canvas = canvas;
    const context = /** @type {Context | null} */ (canvas.getContext("2d", { alpha: false }));
    if (context === null) throw new Error("this browser gives no 2D canvas");
    this.#context = context;
    this.#presenter = new Presenter({ draw: () => this.#draw(), onPresented });
  }

  /** Frames that shared a presentation with a later one. */
  get merged() {
    return this.#presenter.merged;
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
    for (const { video } of this.#changes) video?.close();
    this.#changes = [];
    this.#canvas.width = width;
    this.#canvas.height = height;
  }

  /**
   * Apply one frame: all of it, in table order. A missing patch is a decode that failed; its rectangle stays.
   *
   * @param {(Patch | null)[]} patches
   * @param {Op[]} ops they came from
   * @returns {Op[]} those that could not be painted, such as a video picture whose decoder has died since
   */
  commit(patches, ops) {
    this.#settled = this.#changes.length;
    /** @type {Op[]} */
    const failed = [];
    patches.forEach((patch, index) => {
      try {
        patch?.paint(this);
      } catch {
        failed.push(ops[index]);
      }
    });
    if (this.#changes.length > MAX_CHANGES) this.#draw();
    this.#presenter.frame();
    failed.push(...this.#undrawn.splice(0));
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
    const last = this.#changes[this.#changes.length - 1];
    // Stripes follow each other from top to bottom: one upload instead of many.
    if (last !== undefined && last.video === null && last.x === x && last.w === w && last.y + last.h === y) {
      last.h += h;
      return;
    }
    this.#add({ x, y, w, h, video: null, op: null });
  }

  /**
   * Draw a video picture over its rectangle, scaled unless the op crops it.
   *
   * @param {VideoFrame} frame the caller's, who closes it
   * @param {Op} op
   */
  drawVideo(frame, op) {
    this.#add({ x: op.x, y: op.y, w: op.w, h: op.h, video: frame.clone(), op });
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
    this.#presenter.flush();
    return /** @type {Uint8ClampedArray<ArrayBuffer>} */ (this.#context.getImageData(x, y, w, h).data);
  }

  /** @param {Change} change */
  #add(change) {
    // What an undrawn frame before changed in the same place will never be seen.
    const { x, y, w, h } = change;
    for (let i = this.#settled - 1; i >= Math.max(0, this.#settled - LOOK_BACK); i--) {
      const old = this.#changes[i];
      if (old.x < x || old.y < y || old.x + old.w > x + w || old.y + old.h > y + h) continue;
      old.video?.close();
      this.#changes.splice(i, 1);
      this.#settled--;
    }
    this.#changes.push(change);
  }

  #draw() {
    const image = this.#image;
    for (const { x, y, w, h, video, op } of this.#changes) {
      if (video !== null && op !== null) this.#drawPicture(video, op);
      else if (image !== null) this.#context.putImageData(image, 0, 0, x, y, w, h);
    }
    this.#changes = [];
    this.#settled = 0;
  }

  /**
   * @param {VideoFrame} video
   * @param {Op} op
   */
  #drawPicture(video, op) {
    const w = op.crop ? op.w : op.pw;
    const h = op.crop ? op.h : op.ph;
    this.#context.imageSmoothingEnabled = w !== op.w || h !== op.h;
    try {
      this.#context.drawImage(video, 0, 0, w, h, op.x, op.y, op.w, op.h);
    } catch {
      this.#undrawn.push(op);
    }
    video.close();
  }
}
