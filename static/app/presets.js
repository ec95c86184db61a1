/**
 * The preset picker: a list that acts at once, and the sentence that says when the preset is the right one.
 */

import { element } from "./dom.js";

/** @typedef {{id: number, name: string, help?: string}} Preset */

export class PresetPicker {
  #select;
  #help = element("p", { class: "help", id: "preset-help" });
  /** @type {Preset[]} */
  #presets = [];
  root;

  /** @param {(id: number) => void} onPick */
  constructor(onPick) {
    this.#select = element("select", {
      name: "preset",
      "aria-label": "Quality preset",
      "aria-describedby": "preset-help",
      change: () => {
        onPick(Number(this.#select.value));
        this.#explain();
      },
    });
    this.root = element("div", { class: "presets", hidden: true }, this.#select, this.#help);
  }

  /** @param {Preset[]} presets */
  setPresets(presets) {
    this.#presets = presets;
    this.root.hidden = presets.length === 0;
    this.#select.replaceChildren(
      ...presets.map(({ id, name }) => element("option", { value: String(id), text: name })),
    );
    this.#explain();
  }

  /**
   * The session's preset is this one, whoever chose it.
   *
   * @param {number | null | undefined} id
   * @param {string | null} [name] of a preset that is not in this person's list
   */
  setCurrent(id, name) {
    for (const option of this.#select.querySelectorAll("option[data-foreign]")) option.remove();
    const known = this.#presets.some((preset) => preset.id === id);
    if (!known && typeof id === "number" && name) {
      this.#select.prepend(element("option", { value: String(id), text: name, "data-foreign": true }));
      this.root.hidden = false;
    }
    this.#select.value = typeof id === "number" ? String(id) : "";
    this.#explain();
  }

  /** @param {boolean} allowed */
  setAllowed(allowed) {
    this.#select.disabled = !allowed;
  }

  #explain() {
    const preset = this.#presets.find(({ id }) => String(id) === this.#select.value);
    this.#help.textContent = preset?.help ?? "";
  }
}
