/**
 * The viewer page: puts the client, the input and the controls together. viewer.js and link.js start it.
 *
 * Owns the page's elements. For tests the client hangs on the canvas: `document.getElementById("screen").stripedesk`
 * has `readPixels(x, y, w, h)`, `stats()` and `sendUnchecked(message)`; nothing is global.
 */

import { Client } from "../core/client.js";
import { Cursor } from "../core/cursor.js";
import { InputSender } from "../core/input.js";
import { KeyboardInput, lockKeyboard, unlockKeyboard } from "../core/keyboard.js";
import { PointerInput } from "../core/pointer.js";
import { keepChoice, readChoice } from "./choice.js";
import { Countdown } from "./countdown.js";
import { byId, element } from "./dom.js";
import { createHelp } from "./help.js";
import { Overlay } from "./overlay.js";
import { PresetPicker } from "./presets.js";
import { describeSituation } from "./situation.js";
import { Stage } from "./stage.js";
import { Toolbar } from "./toolbar.js";
import { Veil } from "./veil.js";

/**
 * @typedef {object} PageConfig
 * @property {string} socket
 * @property {string} [name]
 * @property {string} [role]
 * @property {string} [csrf] what a POST of this page must carry
 * @property {{portal?: string | null, share?: string | null, login?: string | null, keep?: string | null,
 *   again?: string | null, log?: string | null}} [urls]
 * @property {boolean} [worker] false keeps the pipeline out of a worker
 * @property {string[]} [codecs] what to claim instead of what the browser can decode
 */

/** @returns {any} what the template has left in #viewer-config */
export function readConfig() {
  return JSON.parse(byId("viewer-config").textContent ?? "{}");
}

export class ViewerPage {
  #canvas = /** @type {HTMLCanvasElement & {stripedesk?: Client}} */ (byId("screen"));
  #area = element("textarea", {
    class: "keys",
    tabindex: "-1",
    inputmode: "none",
    autocomplete: "off",
    autocapitalize: "off",
    autocorrect: "off",
    spellcheck: "false",
    "aria-label": "Keyboard input of the session",
  });
  #config;
  #client;
  #sender;
  #pointer;
  #keyboard;
  #cursor;
  #stage;
  #toolbar;
  #overlay;
  #countdown;
  #veil;
  #presets;
  #smooth = readChoice("smooth", false);
  /** @type {import("./situation.js").Model} */
  #model;

  /**
   * @param {PageConfig} config
   * @param {() => Promise<string>} [getTicket] for share links
   */
  constructor(config, getTicket) {
    this.#config = config;
    const { socket, worker, codecs, urls } = config;
    const visitor = { link: getTicket !== undefined, again: Boolean(urls?.again), log: Boolean(urls?.log) };
    this.#model = { status: null, session: null, picture: false, ...visitor };
    this.#client = new Client(this.#canvas, { url: socket, getTicket, worker, codecs });
    this.#canvas.stripedesk = this.#client;
    this.#sender = new InputSender((events) => this.#client.sendInput(events));
    this.#pointer = new PointerInput(this.#canvas, this.#sender);
    this.#cursor = new Cursor(this.#canvas);
    const stage = byId("stage");
    stage.append(this.#area);
    this.#stage = new Stage(stage, this.#canvas, (scale) => this.#cursor.setScale(scale));
    this.#keyboard = new KeyboardInput(this.#area, this.#sender, () => this.#toolbar.focus());
    this.#overlay = new Overlay(byId("overlay"), () => this.#client.stats());
    this.#countdown = new Countdown(byId("overlay"), urls?.keep ? () => this.#keep(urls.keep ?? "") : null);
    this.#presets = new PresetPicker((id) => this.#client.selectPreset(id));
    this.#presets.setAllowed(false);
    this.#veil = new Veil(byId("veil"), this.#veilActions(), () => this.#focus());
    this.#toolbar = this.#createToolbar();
    this.#toolbar.setName(config.name ?? "");
    this.#toolbar.setRole(config.role ?? "viewer", config.role === "owner" || config.role === "collaborator");
    this.#client.setSmoothing(this.#smooth);
    this.#listenToClient();
    this.#listenToPage();
    this.#update();
  }

  async start() {
    try {
      await this.#client.start();
    } catch {
      this.#model.status = { state: "closed", attempt: 1, code: "not-supported" };
      this.#update();
    }
  }

  #createToolbar() {
    const { portal, share } = this.#config.urls ?? {};
    const actions = {
      toggleFit: () => this.#stage.toggleFit(),
      toggleFullscreen: () => this.#toggleFullscreen(),
      toggleStats: () => this.#overlay.toggleStats(),
      toggleSmoothing: () => this.#setSmoothing(!this.#smooth),
      toggleKeyboard: () => this.#toggleKeyboard(),
      showHelp: createHelp(),
      leave: () => this.#focus(),
    };
    const parts = { presets: this.#presets.root, portal, share, fitted: this.#stage.fitted, smooth: this.#smooth };
    return new Toolbar(byId("toolbar"), actions, parts);
  }

  /** @returns {import("./veil.js").Actions} */
  #veilActions() {
    const { portal, login, again, log } = this.#config.urls ?? {};
    return {
      again: { label: "Start again", run: () => this.#post(again ?? "") },
      log: { label: "What happened", run: () => location.assign(log ?? location.href) },
      retry: { label: "Try now", run: () => this.#client.retry() },
      reload: { label: "Reload", run: () => location.reload() },
      login: { label: "Log in", run: () => location.assign(login ?? location.href) },
      portal: { label: "Your sessions", run: () => location.assign(portal ?? "/") },
    };
  }

  /**
   * Ask the server to keep the session although nobody uses it.
   *
   * @param {string} url
   */
  async #keep(url) {
    try {
      const headers = { "X-CSRFToken": this.#config.csrf ?? "", Accept: "application/json" };
      const response = await fetch(url, { method: "POST", credentials: "same-origin", headers });
      const { message } = await response.json();
      this.#overlay.toast(message);
    } catch {
      this.#overlay.toast("The server could not be asked to keep this session. Try again, or move the mouse in it.");
    }
    this.#focus();
  }

  /**
   * Leave for another page by a POST, as a form does.
   *
   * @param {string} url
   */
  #post(url) {
    const form = element("form", { method: "post", action: url, hidden: true });
    form.append(element("input", { name: "csrfmiddlewaretoken", value: this.#config.csrf ?? "" }));
    document.body.append(form);
    form.submit();
  }

  #listenToClient() {
    const client = this.#client;
    /** @param {string} type @param {(detail: any) => void} handle */
    const on = (type, handle) =>
      client.addEventListener(type, (event) => handle(/** @type {CustomEvent} */ (event).detail));
    on("status", (status) => this.#statusChanged(status));
    on("picture", () => this.#update({ picture: true }));
    on("size", ({ width, height }) => {
      this.#pointer.setPicture(width, height);
      this.#stage.setPicture(width, height);
    });
    on("welcome", (welcome) => this.#welcomed(welcome));
    on("state", (session) => {
      // A limit was met, say: the picture stays, so the words come beside it.
      if (session.state === "running" && session.message) this.#overlay.toast(session.message);
      if (session.state !== "running") this.#countdown.show({});
      this.#update({ session });
    });
    on("ending", (ending) => this.#countdown.show(ending));
    on("cursor", (cursor) => this.#cursor.show(cursor));
    on("preset", ({ id, name }) => this.#presets.setCurrent(id, name));
    on("notice", ({ message }) => this.#overlay.toast(message));
    on("role", ({ role, permissions }) => this.#setRole(role, permissions));
  }

  #listenToPage() {
    this.#listenToLife();
    // Keys go to the text area: only an editable element gets dead keys and input methods.
    this.#canvas.addEventListener("focus", () => this.#focus());
    this.#canvas.addEventListener("pointerdown", () => this.#focus());
    window.addEventListener("blur", () => this.#keyboard.release());
    document.addEventListener("fullscreenchange", () => {
      if (document.fullscreenElement === null) unlockKeyboard();
      else lockKeyboard();
    });
  }

  /** Hidden and shown, asleep and awake, offline and online. */
  #listenToLife() {
    const client = this.#client;
    document.addEventListener("visibilitychange", () => {
      client.setHidden(document.hidden);
      if (!document.hidden) client.resume();
    });
    client.setHidden(document.hidden);
    // A frozen page cannot answer the server; one that is left may be kept, but not with an open connection.
    document.addEventListener("freeze", () => client.suspend());
    document.addEventListener("resume", () => client.resume());
    window.addEventListener("pagehide", () => client.suspend());
    window.addEventListener("pageshow", ({ persisted }) => persisted && client.resume());
    window.addEventListener("online", () => {
      if (this.#model.status?.state === "waiting") client.retry();
      else client.resume();
    });
  }

  /** @param {import("../core/connection.js").Status} status */
  #statusChanged(status) {
    if (status.state !== "open") {
      this.#sender.enabled = false;
      this.#keyboard.reset();
      this.#pointer.reset();
    }
    this.#update(status.state === "connecting" ? { status, picture: false } : { status });
  }

  /** @param {any} welcome */
  #welcomed({ role, permissions, session, preset, presets }) {
    if (typeof session.name === "string") {
      this.#toolbar.setName(session.name);
      if (session.name !== "") document.title = `${session.name} · Stripedesk`;
    }
    this.#presets.setPresets(presets ?? []);
    this.#presets.setCurrent(preset);
    this.#setRole(role, permissions);
    const { state, stage, reason, message } = session;
    this.#update({ session: typeof state === "string" ? { state, stage, reason, message } : null });
    if (document.activeElement === document.body) this.#focus();
  }

  /** Put the focus where keys belong: on the text area for those who may type, else on the canvas. */
  #focus() {
    const target = this.#sender.enabled ? this.#area : this.#canvas;
    if (document.activeElement !== target) target.focus({ preventScroll: true });
  }

  /**
   * @param {string} role
   * @param {string[]} permissions
   */
  #setRole(role, permissions) {
    const mayType = permissions.includes("input");
    if (!mayType) this.#keyboard.release();
    this.#sender.enabled = mayType;
    this.#toolbar.setRole(role, mayType);
    this.#presets.setAllowed(permissions.includes("settings"));
    if (document.activeElement === this.#canvas || document.activeElement === this.#area) this.#focus();
  }

  /** @param {boolean} smooth */
  #setSmoothing(smooth) {
    this.#smooth = smooth;
    keepChoice("smooth", smooth);
    this.#client.setSmoothing(smooth);
    return smooth;
  }

  async #toggleFullscreen() {
    try {
      if (document.fullscreenElement === null) await document.documentElement.requestFullscreen({ navigationUI: "hide" });
      else await document.exitFullscreen();
    } catch {
      this.#overlay.toast("This browser does not allow fullscreen here.");
    }
    this.#focus();
  }

  /** Ask a phone for its keyboard, or send it away. */
  #toggleKeyboard() {
    const open = this.#area.inputMode !== "none" && document.activeElement === this.#area;
    this.#area.blur();
    this.#area.inputMode = open ? "none" : "text";
    if (!open) this.#area.focus({ preventScroll: true });
  }

  /** @param {Partial<import("./situation.js").Model>} [changes] */
  #update(changes = {}) {
    Object.assign(this.#model, changes);
    this.#veil.show(describeSituation(this.#model));
  }
}
