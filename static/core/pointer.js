/**
 * Mouse, pen and touch on the canvas → pointer events of the protocol, in pixels of the picture.
 *
 * Listens on one element and owns its pointer captures. Fingers: a tap clicks, a long press clicks right, a drag drags,
 * two fingers scroll. The element may be scaled by CSS in any way.
 */

/**
 * @typedef {import("./input.js").InputSender} InputSender
 * @typedef {{x: number, y: number}} Point
 */

/**
 * The session makes a wheel click of each line, and applications scroll several lines of text a click: so a notch is
 * one. Browsers call it 100 pixels where they count pixels, and three lines where they count lines.
 */
const NOTCH = [100, 3, 0.1];
const MAX_LINES = 100;
const LONG_PRESS_MS = 750;
/** CSS pixels a finger may tremble before it drags. */
const TREMBLE = 10;
/** CSS pixels two fingers move for one line. */
const TOUCH_LINE = 48;
const BUTTONS = 5;

/**
 * @param {{deltaX: number, deltaY: number, deltaMode: number}} event
 * @returns {[number, number]} in lines, within the protocol's bounds
 */
export function wheelLines({ deltaX, deltaY, deltaMode }) {
  const notch = NOTCH[deltaMode] ?? NOTCH[0];
  /** @param {number} delta */
  const lines = (delta) => Math.round(clampLines(delta / notch) * 1000) / 1000;
  return [lines(deltaX), lines(deltaY)];
}

/**
 * @param {Point} client CSS pixels of the viewport
 * @param {{left: number, top: number, width: number, height: number}} box of the element
 * @param {{width: number, height: number}} picture
 * @returns {Point} the pixel of the picture, clamped into it
 */
export function picturePoint(client, box, picture) {
  /** @param {number} offset @param {number} shown @param {number} real */
  const scale = (offset, shown, real) =>
    Math.min(Math.max(Math.floor((offset * real) / Math.max(shown, 1)), 0), real - 1);
  return {
    x: scale(client.x - box.left, box.width, picture.width),
    y: scale(client.y - box.top, box.height, picture.height),
  };
}

export class PointerInput {
  #element;
  #sender;
  #picture = { width: 1, height: 1 };
  /** Buttons this page holds down. @type {Set<number>} */
  #held = new Set();
  /** @type {Map<number, Point>} */
  #fingers = new Map();
  /** What the first finger is doing. @type {"idle" | "waiting" | "dragging" | "done" | "scrolling"} */
  #gesture = "idle";
  /** @type {Point} */
  #start = { x: 0, y: 0 };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #longPress;

  /**
   * @param {HTMLElement} element
   * @param {InputSender} sender
   */
  constructor(element, sender) {
    this.#element = element;
    this.#sender = sender;
    element.style.touchAction = "none";
    element.addEventListener("pointerdown", (event) => this.#down(event));
    element.addEventListener("pointermove", (event) => this.#moved(event));
    element.addEventListener("pointerup", (event) => this.#up(event));
    element.addEventListener("pointercancel", (event) => this.#cancel(event));
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    // The middle button would start autoscroll, the side buttons would leave the page, and every press would move the
    // focus: to where it goes is the page's business, and a blur releases the very button.
    element.addEventListener("mousedown", (event) => event.preventDefault());
    element.addEventListener("mouseup", (event) => event.button > 2 && event.preventDefault());
    element.addEventListener("auxclick", (event) => event.preventDefault());
    element.addEventListener("dragstart", (event) => event.preventDefault());
  }

  /**
   * @param {number} width of the picture
   * @param {number} height
   */
  setPicture(width, height) {
    this.#picture = { width, height };
  }

  /** Forget what is held: the server has released it. */
  reset() {
    this.#held.clear();
    this.#fingers.clear();
    this.#gesture = "idle";
    clearTimeout(this.#longPress);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    capture(this.#element, event.pointerId);
    if (event.pointerType === "touch") {
      this.#fingerDown(event);
      return;
    }
    this.#move(event);
    this.#changeButtons(event);
  }

  /** @param {PointerEvent} event */
  #moved(event) {
    if (event.pointerType === "touch") {
      this.#fingerMoved(event);
      return;
    }
    this.#move(event);
    // A second button while one is down comes as a move.
    if (event.button >= 0) this.#changeButtons(event);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (event.pointerType === "touch") {
      this.#fingerUp(event);
      return;
    }
    this.#move(event);
    this.#changeButtons(event);
  }

  /** @param {PointerEvent} event */
  #cancel(event) {
    if (event.pointerType === "touch") {
      clearTimeout(this.#longPress);
      if (this.#gesture === "dragging") this.#press(0, false);
      this.#fingers.delete(event.pointerId);
      this.#gesture = this.#fingers.size === 0 ? "idle" : "done";
      return;
    }
    for (const button of [...this.#held]) this.#press(button, false);
  }

  /** @param {PointerEvent} event */
  #changeButtons(event) {
    const { button, buttons } = event;
    if (button < 0 || button >= BUTTONS) return;
    // In `buttons` the right button comes before the middle one.
    const bit = [1, 4, 2, 8, 16][button];
    this.#press(button, (buttons & bit) !== 0);
  }

  /**
   * @param {number} button
   * @param {boolean} down
   */
  #press(button, down) {
    if (this.#held.has(button) === down) return;
    if (down) this.#held.add(button);
    else this.#held.delete(button);
    this.#sender.push(["button", button, down]);
  }

  /** @param {{clientX: number, clientY: number}} event */
  #move({ clientX, clientY }) {
    const point = picturePoint({ x: clientX, y: clientY }, this.#element.getBoundingClientRect(), this.#picture);
    this.#sender.move(point.x, point.y);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const [dx, dy] = wheelLines(event);
    if (dx === 0 && dy === 0) return;
    this.#move(event);
    this.#sender.push(["wheel", dx, dy]);
  }

  /** @param {PointerEvent} event */
  #fingerDown(event) {
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.#fingers.size === 1) {
      this.#gesture = "waiting";
      this.#start = { x: event.clientX, y: event.clientY };
      this.#longPress = setTimeout(() => this.#pressedLong(event), LONG_PRESS_MS);
      return;
    }
    clearTimeout(this.#longPress);
    if (this.#gesture === "dragging") this.#press(0, false);
    if (this.#fingers.size === 2 && this.#gesture !== "done") {
      this.#gesture = "scrolling";
      this.#move(event);
    } else {
      this.#gesture = "done";
    }
  }

  /** @param {PointerEvent} event */
  #pressedLong(event) {
    if (this.#gesture !== "waiting") return;
    this.#gesture = "done";
    this.#move(event);
    this.#press(2, true);
    this.#press(2, false);
  }

  /** @param {PointerEvent} event */
  #fingerMoved(event) {
    const before = this.#fingers.get(event.pointerId);
    if (before === undefined) return;
    const now = { x: event.clientX, y: event.clientY };
    this.#fingers.set(event.pointerId, now);
    if (this.#gesture === "scrolling") {
      // Content follows the fingers; each of the two carries half of the way.
      const [dx, dy] = [before.x - now.x, before.y - now.y].map((d) => Math.round((d / 2 / TOUCH_LINE) * 1000) / 1000);
      if (dx !== 0 || dy !== 0) this.#sender.push(["wheel", clampLines(dx), clampLines(dy)]);
      return;
    }
    if (this.#gesture === "waiting" && Math.hypot(now.x - this.#start.x, now.y - this.#start.y) > TREMBLE) {
      clearTimeout(this.#longPress);
      this.#gesture = "dragging";
      this.#move({ clientX: this.#start.x, clientY: this.#start.y });
      this.#press(0, true);
    }
    if (this.#gesture === "dragging") this.#move(event);
  }

  /** @param {PointerEvent} event */
  #fingerUp(event) {
    clearTimeout(this.#longPress);
    this.#fingers.delete(event.pointerId);
    if (this.#gesture === "waiting") {
      this.#move(event);
      this.#press(0, true);
      this.#press(0, false);
    } else if (this.#gesture === "dragging") {
      this.#move(event);
      this.#press(0, false);
    }
    this.#gesture = this.#fingers.size === 0 ? "idle" : "done";
  }
}

/** @param {number} lines */
function clampLines(lines) {
  return Math.min(Math.max(lines, -MAX_LINES), MAX_LINES);
}

/**
 * @param {HTMLElement} element
 * @param {number} pointerId
 */
function capture(element, pointerId) {
  try {
    element.setPointerCapture(pointerId);
  } catch {
    // The pointer is gone already, or was made up by a script.
  }
}
