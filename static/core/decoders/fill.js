/** Fill: a rectangle becomes one colour. Synchronous, without state. */

/**
 * @typedef {import("./patch.js").Decoder} Decoder
 * @implements {Decoder}
 */
export class FillDecoder {
  /**
   * @param {import("../protocol.js").Op} op
   * @returns {import("./patch.js").Patch}
   */
  decode(op) {
    return {
      paint(renderer) {
        renderer.framebuffer.fill(op.x, op.y, op.w, op.h, op.value);
        renderer.touch(op.x, op.y, op.w, op.h);
      },
      close() {},
    };
  }

  reset() {}
}
