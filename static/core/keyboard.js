/**
 * Keys, composed text and on-screen keyboards → key and text events of the protocol.
 *
 * Listens on a text area that lies invisibly over the canvas: only an editable element gets dead keys, input methods and
 * the keyboards of phones. Repeats are not sent, the session repeats by itself. What is held is released on blur.
 */

/**
 * @typedef {import("./input.js").InputSender} InputSender
 */

const MAX_KEY = 32;
const MAX_TEXT = 256;
/** Windows reports AltGr as ControlLeft and AltRight in the same moment. */
const ALTGR_MS = 50;
/** Held together they give the focus back to the page. */
const LEAVE = ["Control", "Alt", "Shift"];

export class KeyboardInput {
  #area;
  #sender;
  #onLeave;
  /** Physical key → what it typed, so that its release names the same. @type {Map<string, string>} */
  #held = new Map();
  #controlAt = -Infinity;

  /**
   * @param {HTMLTextAreaElement} area takes the focus and stays empty
   * @param {InputSender} sender
   * @param {() => void} [onLeave] Ctrl, Alt and Shift are held together: the person wants to reach the page
   */
  constructor(area, sender, onLeave = () => {}) {
    this.#area = area;
    this.#sender = sender;
    this.#onLeave = onLeave;
    area.addEventListener("keydown", (event) => this.#down(event));
    area.addEventListener("keyup", (event) => this.#up(event));
    area.addEventListener("blur", () => this.release());
    area.addEventListener("compositionend", (event) => this.#composed(event.data));
    area.addEventListener("beforeinput", (event) => this.#beforeInput(event));
    area.addEventListener("input", (event) => {
      if (!(/** @type {InputEvent} */ (event).isComposing)) this.#area.value = "";
    });
  }

  /** Release every key and button, here and in the session. */
  release() {
    this.#held.clear();
    this.#sender.push(["release"]);
  }

  /** Forget what is held: the server has released it. */
  reset() {
    this.#held.clear();
  }

  /** @param {KeyboardEvent} event */
  #down(event) {
    // An input method or an on-screen keyboard is at work: what comes of it arrives as text.
    if (event.isComposing || event.key === "Process" || event.key === "Unidentified" || event.keyCode === 229) return;
    // A dead key must reach the browser, which then composes it with the next one.
    if (event.key === "Dead") return;
    // Without a session the keys are the page's: Tab leads to what can be done.
    if (!this.#sender.enabled) {
      this.#checkLeave(event);
      return;
    }
    event.preventDefault();
    if (event.repeat) return;
    const code = event.code || event.key;
    if (event.key === "AltGraph" && event.timeStamp - this.#controlAt < ALTGR_MS) this.#releaseKey("ControlLeft");
    if (code === "ControlLeft") this.#controlAt = event.timeStamp;
    this.#press(code, event.key);
    this.#checkLeave(event);
  }

  /** @param {KeyboardEvent} event */
  #checkLeave(event) {
    if (!LEAVE.every((name) => event.getModifierState(name))) return;
    this.release();
    this.#onLeave();
  }

  /** @param {KeyboardEvent} event */
  #up(event) {
    const code = event.code || event.key;
    if (this.#held.has(code)) event.preventDefault();
    this.#releaseKey(code);
    // While Command is held macOS reports no release of other keys.
    if (event.key === "Meta") for (const held of [...this.#held.keys()]) this.#releaseKey(held);
  }

  /**
   * @param {string} code
   * @param {string} key
   */
  #press(code, key) {
    if (code.length > MAX_KEY || key.length > MAX_KEY || code === "") return;
    this.#held.set(code, key);
    this.#sender.push(["key", code, key, true]);
  }

  /** @param {string} code */
  #releaseKey(code) {
    const key = this.#held.get(code);
    if (key === undefined) return;
    this.#held.delete(code);
    this.#sender.push(["key", code, key, false]);
  }

  /** @param {string} text */
  #composed(text) {
    this.#type(text);
    this.#area.value = "";
  }

  /** @param {InputEvent} event */
  #beforeInput(event) {
    // Composed text cannot be taken here; it comes whole with compositionend.
    if (event.isComposing || event.inputType === "insertCompositionText") return;
    event.preventDefault();
    switch (event.inputType) {
      case "insertLineBreak":
      case "insertParagraph":
        this.#tap("Enter");
        break;
      case "deleteContentBackward":
      case "deleteWordBackward":
        this.#tap("Backspace");
        break;
      case "deleteContentForward":
        this.#tap("Delete");
        break;
      default:
        this.#type(event.data ?? "");
    }
  }

  /** @param {string} key which is its own code */
  #tap(key) {
    this.#press(key, key);
    this.#releaseKey(key);
  }

  /** @param {string} text */
  #type(text) {
    for (const part of splitText(text)) this.#sender.push(["text", part]);
  }
}

/**
 * Cut text into parts the protocol takes, never inside a character.
 *
 * @param {string} text
 * @returns {string[]}
 */
export function splitText(text) {
  const characters = Array.from(text);
  const parts = [];
  for (let i = 0; i < characters.length; i += MAX_TEXT) parts.push(characters.slice(i, i + MAX_TEXT).join(""));
  return parts;
}

/**
 * Let keys such as Escape and the system's shortcuts reach the session while the page is in fullscreen; browsers
 * without the Keyboard Lock API keep them.
 */
export async function lockKeyboard() {
  const { keyboard } = /** @type {{keyboard?: {lock?: () => Promise<void>}}} */ (/** @type {unknown} */ (navigator));
  await keyboard?.lock?.().catch(() => {});
}

/** Give the keys back. */
export function unlockKeyboard() {
  const { keyboard } = /** @type {{keyboard?: {unlock?: () => void}}} */ (/** @type {unknown} */ (navigator));
  keyboard?.unlock?.();
}
