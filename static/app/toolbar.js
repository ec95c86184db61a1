/**
 * The toolbar: slim, out of the way while one works, back at the top edge, by its handle or by keyboard.
 *
 * Owns #toolbar. What the buttons do is given by the page.
 */

import { element, icon } from "./dom.js";

const HIDE_MS = 2000;
const FIRST_HIDE_MS = 4000;
/** CSS pixels at the top of the window that bring the toolbar. */
const EDGE = 3;

const SMOOTHING = "Smooth movement, for one frame more of delay";
/** @type {Record<string, string>} */
const BADGES = { owner: "", collaborator: "Collaborator", operator: "Operator", viewer: "View only" };

/**
 * @typedef {object} ToolbarActions
 * @property {() => boolean} toggleFit returns whether the picture is fitted now
 * @property {() => void} toggleFullscreen
 * @property {() => boolean} toggleStats returns whether they are shown now
 * @property {() => boolean} toggleSmoothing returns whether movement is smoothed now
 * @property {() => void} toggleKeyboard
 * @property {() => void} showHelp
 * @property {() => void} leave the person is done here: the keys are the session's again
 */

export class Toolbar {
  #root;
  #bar = element("div", { class: "bar", role: "toolbar", "aria-label": "Session" });
  #name = element("span", { class: "name" });
  #badge = element("span", { class: "badge", hidden: true });
  #handle;
  #fit;
  #stats;
  #leave;
  #keyboard;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {HTMLElement} root
   * @param {ToolbarActions} actions
   * @param {{presets: HTMLElement, portal?: string | null, share?: string | null, fitted: boolean, smooth: boolean}} parts
   */
  constructor(root, actions, { presets, portal, share, fitted, smooth }) {
    this.#root = root;
    this.#leave = actions.leave;
    this.#handle = element("button", { type: "button", class: "handle", "aria-label": "Toolbar", click: () => this.#toggle() });
    this.#fit = button("fit", "Fit to window", () => this.#setFitted(actions.toggleFit()));
    this.#stats = button("stats", "Statistics", () => pressed(this.#stats, actions.toggleStats()));
    pressed(this.#stats, false);
    const smoothing = button("smooth", SMOOTHING, () => pressed(smoothing, actions.toggleSmoothing()));
    pressed(smoothing, smooth);
    this.#keyboard = button("keyboard", "On-screen keyboard", () => actions.toggleKeyboard());
    this.#keyboard.hidden = true;
    this.#keyboard.classList.add("touch-only");
    // The text area must keep the focus, or the keyboard would close before it is asked for.
    this.#keyboard.addEventListener("pointerdown", (event) => event.preventDefault());
    const full = button("fullscreen", "Fullscreen", () => actions.toggleFullscreen());
    full.hidden = !document.fullscreenEnabled;
    if (portal) this.#bar.append(anchor("home", "Sessions", portal));
    this.#bar.append(this.#name, this.#badge, presets, this.#fit, full, this.#keyboard, smoothing, this.#stats);
    if (share) this.#bar.append(anchor("share", "Share", share));
    const help = button("help", "Help", () => actions.showHelp());
    help.classList.add("help-button");
    this.#bar.append(help);
    this.#setFitted(fitted);
    root.append(this.#bar, this.#handle);
    this.#watch();
  }

  /** @param {string} name of the session */
  setName(name) {
    this.#name.textContent = name;
    this.#name.title = name;
    this.#name.hidden = name === "";
  }

  /**
   * @param {string} role
   * @param {boolean} mayType
   */
  setRole(role, mayType) {
    const words = mayType ? (BADGES[role] ?? role) : "View only";
    this.#badge.textContent = words;
    this.#badge.hidden = words === "";
    this.#keyboard.hidden = !mayType;
  }

  /** Show it and put the focus on its first control. */
  focus() {
    this.#show();
    /** @type {HTMLElement | null} */ (this.#bar.querySelector("a, select:enabled, button:not([hidden])"))?.focus();
  }

  /** @param {boolean} fitted */
  #setFitted(fitted) {
    pressed(this.#fit, fitted);
    this.#fit.replaceChildren(icon(fitted ? "fit" : "actual"));
  }

  #watch() {
    // Whoever clicks goes on typing in the session; whoever came by keyboard is still here.
    this.#bar.addEventListener("click", ({ detail, target }) => {
      const stays = /** @type {Element} */ (target).closest("select, .help-button");
      if (detail > 0 && stays === null) this.#leave();
    });
    window.addEventListener("pointermove", (event) => {
      if (event.clientY <= EDGE && event.buttons === 0) this.#show();
    });
    this.#root.addEventListener("pointerenter", () => clearTimeout(this.#timer));
    this.#root.addEventListener("pointerleave", () => this.#hideLater(HIDE_MS));
    this.#root.addEventListener("focusin", (event) => event.target !== this.#handle && this.#show());
    this.#root.addEventListener("focusout", () => this.#hideLater(HIDE_MS));
    this.#show();
    this.#hideLater(FIRST_HIDE_MS);
  }

  #toggle() {
    if (this.#root.classList.contains("out")) this.#show();
    else this.#hide();
  }

  #show() {
    clearTimeout(this.#timer);
    this.#root.classList.remove("out");
    this.#handle.setAttribute("aria-expanded", "true");
    if (!this.#root.matches(":hover, :focus-within")) this.#hideLater(FIRST_HIDE_MS);
  }

  #hide() {
    this.#root.classList.add("out");
    this.#handle.setAttribute("aria-expanded", "false");
  }

  /** @param {number} ms */
  #hideLater(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const used = this.#root.matches(":hover") || this.#bar.contains(document.activeElement);
      if (!used) this.#hide();
    }, ms);
  }
}

/**
 * @param {Parameters<typeof icon>[0]} name
 * @param {string} label
 * @param {() => void} run
 */
function button(name, label, run) {
  return element("button", { type: "button", "aria-label": label, title: label, click: run }, icon(name));
}

/**
 * @param {Parameters<typeof icon>[0]} name
 * @param {string} label
 * @param {string} href
 */
function anchor(name, label, href) {
  return element("a", { href, "aria-label": label, title: label }, icon(name));
}

/**
 * @param {HTMLElement} node
 * @param {boolean} on
 */
function pressed(node, on) {
  node.setAttribute("aria-pressed", String(on));
}
