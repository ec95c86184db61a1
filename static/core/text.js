/**
 * Text messages from the server: JSON into objects with the members the protocol promises (docs/protocol.md §6).
 *
 * Pure functions. A table says per type which members there are and what they must be; a message that breaks it is
 * reported as malformed and changes nothing.
 */

import { MAX_TEXT, ProtocolError } from "./protocol.js";

/** @typedef {Record<string, any> & {type: string}} TextMessage */
/** @typedef {(value: unknown) => boolean} Check */

/** @type {Check} */
const string = (value) => typeof value === "string";
/** @type {Check} */
const number = (value) => typeof value === "number" && Number.isFinite(value);
/** @type {Check} */
const object = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
/** @type {Check} */
const strings = (value) => Array.isArray(value) && value.every(string);
/** @type {Check} */
const presets = (value) =>
  Array.isArray(value) && value.every((p) => object(p) && Number.isInteger(p.id) && typeof p.name === "string");
/** @param {Check} check @returns {Check} */
const optional = (check) => (value) => value === undefined || value === null || check(value);
/** @param {number} low @param {number} high @returns {Check} */
const integer = (low, high) => (value) => Number.isInteger(value) && Number(value) >= low && Number(value) <= high;

const CURSOR_BASE64 = 4 * Math.ceil(65536 / 3);
/** Base64 alone, so that the text can stand inside a CSS url() without escaping. @type {Check} */
const base64 = (value) =>
  typeof value === "string" && value.length <= CURSOR_BASE64 && /^[A-Za-z0-9+/]+={0,2}$/.test(value);

/** @type {Record<string, Record<string, Check>>} */
const MEMBERS = {
  welcome: {
    version: integer(1, 1),
    viewer: string,
    role: string,
    permissions: strings,
    session: object,
    preset: optional(number),
    presets: optional(presets),
    heartbeat_s: optional(number),
    window: optional(number),
  },
  state: { state: string, stage: optional(string), reason: optional(string), message: optional(string) },
  cursor: { serial: number },
  preset: { id: optional(number), name: optional(string) },
  stats: {
    fps: optional(number),
    kbps: optional(number),
    viewers: optional(number),
    mode: optional(string),
    engine: optional(object),
    delivery: optional(object),
  },
  injected: { seq: integer(0, Number.MAX_SAFE_INTEGER), received_us: number, injected_us: number },
  notice: { code: string, message: string },
  role: { role: string, permissions: strings },
  pong: { t: number, server_us: number },
  error: { code: string, message: optional(string) },
};

/** @type {Record<string, Check>} */
const CURSOR_IMAGE = {
  width: integer(1, 256),
  height: integer(1, 256),
  hot_x: integer(0, 255),
  hot_y: integer(0, 255),
  png: base64,
};

/**
 * @param {string} text
 * @returns {TextMessage | null} null for a type this client does not know
 * @throws {ProtocolError}
 */
export function parseText(text) {
  if (text.length > MAX_TEXT || new TextEncoder().encode(text).length > MAX_TEXT) {
    throw new ProtocolError(`text message is larger than ${MAX_TEXT} bytes`);
  }
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError("text message is not JSON");
  }
  if (!object(value)) throw new ProtocolError("text message is not an object");
  const message = /** @type {TextMessage} */ (value);
  if (typeof message.type !== "string") throw new ProtocolError("text message without a type");
  if (!Object.hasOwn(MEMBERS, message.type)) return null;
  checkMembers(message, MEMBERS[message.type]);
  if (message.type === "cursor" && message.hidden !== true) checkMembers(message, CURSOR_IMAGE);
  return message;
}

/**
 * @param {TextMessage} message
 * @param {Record<string, Check>} members
 */
function checkMembers(message, members) {
  for (const [name, check] of Object.entries(members)) {
    if (!check(message[name])) throw new ProtocolError(`"${message.type}" with a bad "${name}"`);
  }
}
