/**
 * The session's pointer image as a CSS cursor, scaled like the picture.
 *
 * Owns the `cursor` style of one element. Images load asynchronously; the newest message wins. Browsers refuse cursors
 * beyond 128 pixels, so larger ones fall back to the ordinary arrow.
 */

const MAX_CURSOR = 128;

/**
 * @typedef {object} CursorMessage As text.js has checked it.
 * @property {boolean} [hidden]
 * @property {number} [width]
 * @property {number} [height]
 * @property {number} [hot_x]
 * @property {number} [hot_y]
 * @property {string} [png] base64
 */

export class Cursor {
  #element;
  #scale = 1;
  /** @type {CursorMessage | null} */
  #message = null;
  #generation = 0;

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  /** @param {CursorMessage} message */
  async show(message) {
    this.#message = message;
    await this.#apply();
  }

  /** @param {number} scale CSS pixels for a pixel of the picture */
  async setScale(scale) {
    if (Math.abs(scale - this.#scale) < 0.01) return;
    this.#scale = scale;
    await this.#apply();
  }

  async #apply() {
    const generation = ++this.#generation;
    const style = await cursorStyle(this.#message, this.#scale, rescale);
    if (generation === this.#generation) this.#element.style.cursor = style;
  }
}

/**
 * @param {CursorMessage | null} message
 * @param {number} scale
 * @param {(png: string, width: number, height: number) => Promise<string>} resize gives a data URL of another size
 * @returns {Promise<string>} value of the CSS property
 */
export async function cursorStyle(message, scale, resize) {
  if (message === null) return "default";
  if (message.hidden) return "none";
  const { width = 0, height = 0, hot_x: hotX = 0, hot_y: hotY = 0, png = "" } = message;
  const shownWidth = Math.max(1, Math.round(width * scale));
  const shownHeight = Math.max(1, Math.round(height * scale));
  if (shownWidth > MAX_CURSOR || shownHeight > MAX_CURSOR) return "default";
  const same = shownWidth === width && shownHeight === height;
  const original = `data:image/png;base64,${png}`;
  const url = same ? original : await resize(png, shownWidth, shownHeight).catch(() => original);
  const ratio = url === original ? 1 : scale;
  const x = Math.min(Math.floor(hotX * ratio), shownWidth - 1);
  const y = Math.min(Math.floor(hotY * ratio), shownHeight - 1);
  return `url("${url}") ${x} ${y}, default`;
}

/**
 * @param {string} png
 * @param {number} width
 * @param {number} height
 * @returns {Promise<string>}
 */
async function rescale(png, width, height) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("no canvas to scale a cursor on");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return canvas.toDataURL("image/png");
}
