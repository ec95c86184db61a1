/**
 * The stage: where the canvas lies in the window, fitted or pixel for pixel.
 *
 * Owns the canvas' CSS size. The picture's size comes from the stream, the window's from a ResizeObserver.
 */

import { keepChoice, readChoice } from "./choice.js";

export class Stage {
  #stage;
  #canvas;
  #onScale;
  #width = 0;
  #height = 0;
  fitted = readChoice("fit", true);

  /**
   * @param {HTMLElement} stage
   * @param {HTMLCanvasElement} canvas
   * @param {(scale: number) => void} onScale CSS pixels for a pixel of the picture
   */
  constructor(stage, canvas, onScale) {
    this.#stage = stage;
    this.#canvas = canvas;
    this.#onScale = onScale;
    new ResizeObserver(() => this.#layout()).observe(stage);
  }

  /**
   * @param {number} width of the picture
   * @param {number} height
   */
  setPicture(width, height) {
    this.#width = width;
    this.#height = height;
    this.#layout();
  }

  /** @returns {boolean} whether the picture is fitted now */
  toggleFit() {
    this.fitted = !this.fitted;
    keepChoice("fit", this.fitted);
    this.#layout();
    return this.fitted;
  }

  #layout() {
    if (this.#width === 0) return;
    const available = { width: this.#stage.clientWidth, height: this.#stage.clientHeight };
    const scale = this.fitted
      ? fitScale(this.#width, this.#height, available)
      : 1 / (window.devicePixelRatio || 1);
    this.#stage.classList.toggle("actual", !this.fitted);
    this.#canvas.style.width = `${this.#width * scale}px`;
    this.#canvas.style.height = `${this.#height * scale}px`;
    // Whole device pixels stay sharp.
    const device = scale * (window.devicePixelRatio || 1);
    this.#canvas.classList.toggle("whole", Number.isInteger(Math.round(device * 1000) / 1000));
    this.#onScale(scale);
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @param {{width: number, height: number}} available
 */
export function fitScale(width, height, available) {
  return Math.max(Math.min(available.width / width, available.height / height), 0.01);
}
