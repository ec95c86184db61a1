/** Raw deflate by the browser's own DecompressionStream, bounded: a bomb is cut off at the promised size. */

import { DecodeError } from "./patch.js";

/**
 * @param {Uint8Array} bytes raw deflate (RFC 1951)
 * @param {number} size length after inflation, exactly
 * @returns {Promise<Uint8Array>}
 * @throws {DecodeError} when the stream is broken, or shorter or longer than `size`
 */
export async function inflateRaw(bytes, size) {
  const stream = new DecompressionStream("deflate-raw");
  const writer = stream.writable.getWriter();
  // Failures of the stream arrive at the reader; the writer's own promises only repeat them.
  writer.write(/** @type {Uint8Array<ArrayBuffer>} */ (bytes)).catch(() => {});
  writer.close().catch(() => {});
  const reader = stream.readable.getReader();
  const result = new Uint8Array(size);
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (length + value.length > size) {
        reader.cancel().catch(() => {});
        throw new DecodeError(`lossless batch inflates to more than the ${size} bytes it promises`);
      }
      result.set(value, length);
      length += value.length;
    }
  } catch (error) {
    if (error instanceof DecodeError) throw error;
    throw new DecodeError("lossless batch is not raw deflate");
  }
  if (length !== size) throw new DecodeError(`lossless batch inflates to ${length} bytes, not ${size}`);
  return result;
}
