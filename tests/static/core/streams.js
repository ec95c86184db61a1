/** Gives older Nodes what browsers have: raw deflate in DecompressionStream. Imported for that alone. */

import { Duplex } from "node:stream";
import { createInflateRaw } from "node:zlib";

const Native = globalThis.DecompressionStream;

function hasRaw() {
  try {
    new Native(/** @type {any} */ ("deflate-raw"));
    return true;
  } catch {
    return false;
  }
}

if (!hasRaw())
  globalThis.DecompressionStream = /** @type {any} */ (
    class {
      /** @param {CompressionFormat | "deflate-raw"} format */
      constructor(format) {
        return format === "deflate-raw" ? Duplex.toWeb(createInflateRaw()) : new Native(/** @type {any} */ (format));
      }
    }
  );
