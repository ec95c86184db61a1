/**
 * Gives every number field marked `data-slider` a slider with the same range; the number stays the field that is sent.
 * Without this script the numbers remain.
 *
 * @module
 */

for (const number of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("input[data-slider]"))) {
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = number.min;
  slider.max = number.max;
  slider.step = number.step || "1";
  slider.value = number.value;
  slider.setAttribute("aria-hidden", "true"); // the number beside it is the accessible control
  slider.tabIndex = -1;
  slider.addEventListener("input", () => (number.value = slider.value));
  number.addEventListener("input", () => (slider.value = number.value));
  number.before(slider);
  if (number.dataset.unit !== undefined) {
    const unit = document.createElement("span");
    unit.className = "unit";
    unit.textContent = number.dataset.unit;
    number.after(unit);
  }
}
