/**
 * H.264: one VideoDecoder a stream, Annex B in, one picture out for each access unit, matched by timestamp.
 *
 * Decoding starts in frame order, pictures arrive when the browser has them. A delta frame without its key frame, or
 * after a failure, is refused until the next key frame. When a hardware decoder fails before its first picture the
 * same access units are given to a software decoder, and software it stays. So it is with a decoder that does not answer.
 */

import { DecodeError } from "./patch.js";

/**
 * @typedef {import("../protocol.js").Op} Op
 * @typedef {import("../protocol.js").Message} Message
 * @typedef {import("./patch.js").Patch} Patch
 * @typedef {import("./patch.js").Decoder} Decoder
 * @typedef {{timestamp: number, key: boolean, data: Uint8Array, since: number,
 *   resolve: (frame: VideoFrame) => void, reject: (error: Error) => void}} Pending
 */

/** A decoder that owes a picture for so long hangs: frames have given up waiting for it after 500 ms. */
const STUCK_MS = 1500;

/** @implements {Decoder} */
export class H264Decoder {
  /** @type {Map<number, StreamDecoder>} */
  #streams = new Map();
  /** Codec string of the newest key frame, for the statistics. */
  codec = "";
  /** @type {HardwareAcceleration} */
  acceleration = "no-preference";

  /** @param {() => number} [now] ms */
  constructor(now = () => performance.now()) {
    this.now = now;
  }

  /**
   * @param {Op} op
   * @param {Message} message
   * @returns {Promise<Patch>}
   */
  async decode(op, message) {
    if (typeof VideoDecoder === "undefined") throw new DecodeError("this browser has no VideoDecoder");
    const codec = op.key ? readCodec(op.payload) : null;
    if (op.key && codec === null) throw new DecodeError("H.264 key frame without SPS");
    let stream = this.#streams.get(op.stream);
    stream?.checkAlive();
    if (codec !== null) {
      this.codec = codec;
      const fits = stream?.usable && stream.codec === codec && stream.width === op.pw && stream.height === op.ph;
      if (!fits) {
        stream?.retire();
        stream = new StreamDecoder(codec, op.pw, op.ph, this);
        this.#streams.set(op.stream, stream);
      }
    }
    if (!stream?.usable) throw new DecodeError(`H.264 delta frame of stream ${op.stream} without its key frame`);
    const frame = await stream.decode(op.payload, op.key, message.frameId);
    const [width, height] = op.crop ? [op.w, op.h] : [op.pw, op.ph];
    if (frame.displayWidth < width || frame.displayHeight < height) {
      const size = `${frame.displayWidth}x${frame.displayHeight}`;
      frame.close();
      throw new DecodeError(`H.264 picture of ${size} where ${op.pw}x${op.ph} was announced`);
    }
    return {
      paint(renderer) {
        renderer.drawVideo(frame, op);
      },
      close() {
        frame.close();
      },
    };
  }

  /**
   * @param {number} stream
   * @returns {boolean} whether only a key frame can start it again
   */
  isLost(stream) {
    return !this.#streams.get(stream)?.usable;
  }

  reset() {
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
  }
}

/** One VideoDecoder with the pictures it still owes. Unusable after its first error. */
class StreamDecoder {
  usable = true;
  /** @type {Pending[]} */
  #pending = [];
  #delivered = false;
  #owner;
  #decoder;

  /**
   * @param {string} codec
   * @param {number} width
   * @param {number} height
   * @param {H264Decoder} owner
   */
  constructor(codec, width, height, owner) {
    this.codec = codec;
    this.width = width;
    this.height = height;
    this.#owner = owner;
    this.#decoder = this.#open();
  }

  /**
   * @param {Uint8Array} data one access unit
   * @param {boolean} key
   * @param {number} timestamp
   * @returns {Promise<VideoFrame>}
   */
  decode(data, key, timestamp) {
    return new Promise((resolve, reject) => {
      const pending = { timestamp, key, data, since: this.#owner.now(), resolve, reject };
      this.#pending.push(pending);
      this.#submit(pending);
    });
  }

  /** Give a decoder up that does not answer; the next key frame gets one in software. */
  checkAlive() {
    if (!this.usable || this.#pending.length === 0) return;
    if (this.#owner.now() - this.#pending[0].since < STUCK_MS) return;
    this.#owner.acceleration = "prefer-software";
    this.close();
  }

  /** Let the pictures that are on their way arrive, then close: another decoder has taken over. */
  retire() {
    this.usable = false;
    const decoder = this.#decoder;
    const finish = () => this.close();
    if (decoder.state === "configured") decoder.flush().then(finish, finish);
    else finish();
  }

  close() {
    this.usable = false;
    if (this.#decoder.state !== "closed") this.#decoder.close();
    this.#rejectAll("H.264 decoder closed");
  }

  #open() {
    const decoder = new VideoDecoder({
      output: (frame) => this.#output(frame),
      error: (error) => this.#fail(decoder, error),
    });
    decoder.configure({
      codec: this.codec,
      codedWidth: this.width,
      codedHeight: this.height,
      optimizeForLatency: true,
      hardwareAcceleration: this.#owner.acceleration,
    });
    return decoder;
  }

  /** @param {Pending} pending */
  #submit({ timestamp, key, data }) {
    try {
      this.#decoder.decode(new EncodedVideoChunk({ type: key ? "key" : "delta", timestamp, data }));
    } catch (error) {
      this.#fail(this.#decoder, /** @type {DOMException} */ (error));
    }
  }

  /** @param {VideoFrame} frame */
  #output(frame) {
    this.#delivered = true;
    const index = this.#pending.findIndex((pending) => pending.timestamp === frame.timestamp);
    if (index < 0) {
      frame.close();
      return;
    }
    // One in, one out, in order: what was due before this picture will not come any more.
    const [due, ...lost] = this.#pending.splice(0, index + 1).reverse();
    for (const pending of lost) pending.reject(new DecodeError("H.264 decoder left a picture out"));
    due.resolve(frame);
  }

  /**
   * @param {VideoDecoder} decoder the one that failed
   * @param {DOMException} error
   */
  #fail(decoder, error) {
    if (decoder !== this.#decoder) return;
    const retry = this.#owner.acceleration !== "prefer-software" && !this.#delivered && this.usable;
    if (!retry) {
      this.usable = false;
      this.#owner.acceleration = "prefer-software";
      this.#rejectAll(`H.264: ${error.message}`);
      return;
    }
    this.#owner.acceleration = "prefer-software";
    this.#decoder = this.#open();
    for (const pending of [...this.#pending]) {
      if (this.usable) this.#submit(pending);
    }
  }

  /** @param {string} reason */
  #rejectAll(reason) {
    for (const pending of this.#pending.splice(0)) pending.reject(new DecodeError(reason));
  }
}

/**
 * The codec string of a key frame, from profile, constraints and level in its SPS.
 *
 * @param {Uint8Array} bytes Annex B access unit
 * @returns {string | null} such as `avc1.42c01f`; null without an SPS
 */
export function readCodec(bytes) {
  for (let i = 0; i + 6 < bytes.length; i++) {
    if (bytes[i] !== 0 || bytes[i + 1] !== 0 || bytes[i + 2] !== 1) continue;
    if ((bytes[i + 3] & 31) === 7) {
      return `avc1.${[bytes[i + 4], bytes[i + 5], bytes[i + 6]].map((b) => b.toString(16).padStart(2, "0")).join("")}`;
    }
    // Parameter sets come first: a slice ends the search.
    if ((bytes[i + 3] & 31) === 5 || (bytes[i + 3] & 31) === 1) return null;
    i += 2;
  }
  return null;
}

/**
 * What this browser can decode, in the protocol's names.
 *
 * @returns {Promise<string[]>}
 */
export async function detectCodecs() {
  const codecs = ["jpeg"];
  if (typeof VideoDecoder === "undefined") return codecs;
  for (const [name, codec] of [["h264", "avc1.42e01f"], ["h264-444", "avc1.f4001f"]]) {
    try {
      const { supported } = await VideoDecoder.isConfigSupported({ codec, optimizeForLatency: true });
      if (supported) codecs.push(name);
    } catch {
      // A browser that does not know the string does not know the codec.
    }
  }
  return codecs;
}
