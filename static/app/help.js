/** The help: a dialog that says how to work in a session with mouse, keys and fingers. */

import { element } from "./dom.js";

/** @type {[string, string][]} */
const LINES = [
  ["Toolbar", "Move the pointer to the top edge, touch the handle there, or hold Ctrl, Alt and Shift together."],
  ["Touch", "A tap clicks, a long press is a right click, two fingers scroll, a drag drags."],
  ["Text", "Input methods, dead keys and on-screen keyboards type whole words into the session."],
  [
    "Browser shortcuts",
    "Ctrl+W, Ctrl+T, Ctrl+N and the like belong to the browser and cannot reach the session; in fullscreen Chromium-based browsers pass on most of them.",
  ],
  [
    "Smooth movement",
    "For films and scrolling over a shaky line: each frame of a movement is held back by up to one frame (17 ms at 60 a second) so that it comes evenly. What appears after a rest, such as a typed letter, is never held.",
  ],
  ["Focus", "Leaving the page releases every key and button you hold."],
];

/** @returns {() => void} opens the dialog */
export function createHelp() {
  const list = element("dl", {});
  for (const [term, text] of LINES) list.append(element("dt", { text: term }), element("dd", { text }));
  const close = element("button", { type: "submit", class: "action", text: "Close" });
  const dialog = element(
    "dialog",
    { class: "help-dialog", "aria-labelledby": "help-title" },
    element("h2", { id: "help-title", text: "Working in a session" }),
    list,
    element("form", { method: "dialog" }, close),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  return () => dialog.showModal();
}
