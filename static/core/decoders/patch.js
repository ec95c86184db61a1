/**
 * What every decoder returns: a decoded op that can be painted, synchronously, when its frame commits.
 *
 * @typedef {import("../protocol.js").Op} Op
 * @typedef {import("../protocol.js").Message} Message
 * @typedef {import("../renderer.js").Renderer} Renderer
 *
 * @typedef {object} Patch
 * @property {(renderer: Renderer) => void} paint apply the op to the picture; must not wait
 * @property {() => void} close give back what the patch holds, painted or not
 *
 * @typedef {object} Decoder One class a kind of op, all with this signature.
 * @property {(op: Op, message: Message) => Patch | Promise<Patch>} decode starts at once; rejects or throws DecodeError
 * @property {() => void} reset forget everything: a new epoch has begun
 */

import { scaleBilinear } from "../framebuffer.js";

/** A payload that cannot be turned into pixels. Its rectangle stays as it was. */
export class DecodeError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "DecodeError";
  }
}

/**
 * A patch of pixels in memory: blitted into the shadow framebuffer, scaled first where the payload is of another size.
 *
 * @param {Op} op
 * @param {() => Uint32Array} read gives op.pw × op.ph RGBA pixels, now and, if they are not scaled, when they are painted
 * @param {() => void} [release] called once, when `read` will not be called again
 * @returns {Patch}
 */
export function pixelPatch(op, read, release = () => {}) {
  if (!op.crop && (op.pw !== op.w || op.ph !== op.h)) {
    const scaled = scaleBilinear(read(), op.pw, op.ph, op.w, op.h);
    release();
    return blitPatch(op, () => scaled, op.w, () => {});
  }
  return blitPatch(op, read, op.pw, release);
}

/**
 * @param {Op} op
 * @param {() => Uint32Array} read
 * @param {number} stride
 * @param {() => void} release
 * @returns {Patch}
 */
function blitPatch(op, read, stride, release) {
  let closed = false;
  return {
    paint(renderer) {
      renderer.framebuffer.blit(op.x, op.y, op.w, op.h, read(), stride);
      renderer.touch(op.x, op.y, op.w, op.h);
    },
    close() {
      if (!closed) release();
      closed = true;
    },
  };
}
