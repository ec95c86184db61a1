/**
 * Copy: a rectangle becomes what stands elsewhere in the picture. It reads the shadow framebuffer as the op before it
 * left it, so it runs when its frame commits and never earlier. Synchronous, without state of its own.
 */

/**
 * @typedef {import("./patch.js").Decoder} Decoder
 * @implements {Decoder}
 */
export class CopyDecoder {
  /**
   * @param {import("../protocol.js").Op} op
   * @returns {import("./patch.js").Patch}
   */
  decode(op) {
    return {
      paint(renderer) {
        renderer.framebuffer.copy(op.sx, op.sy, op.x, op.y, op.w, op.h);
        renderer.touch(op.x, op.y, op.w, op.h);
      },
      close() {},
    };
  }

  reset() {}
}
