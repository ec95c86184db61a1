/**
 * Copy buttons: `<button data-copy="id of an input">`.
 *
 * @module
 */

for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-copy]"))) {
  const input = /** @type {HTMLInputElement} */ (document.getElementById(button.dataset.copy ?? ""));
  const label = button.querySelector("span") ?? button;
  const original = label.textContent;
  input.addEventListener("focus", () => input.select());
  button.addEventListener("click", async () => {
    input.focus();
    input.select();
    let copied = false;
    try {
      await navigator.clipboard.writeText(input.value);
      copied = true;
    } catch {
      copied = document.execCommand("copy"); // plain http on a network address has no clipboard API
    }
    label.textContent = copied ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (label.textContent = original), 2500);
  });
}
