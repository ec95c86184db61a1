/**
 * The portal's cards, live: states, progress and numbers from `GET /api/sessions/`; the stop dialog; menus.
 * Without this script everything still works by page loads.
 *
 * @module
 */

import { age, fetchJson, pollWhileVisible, setText } from "./live.js";

/**
 * @typedef {object} Card what the server sends of one session
 * @property {string} id
 * @property {string} phase
 * @property {string} label
 * @property {string} detail
 * @property {number} step
 * @property {number} steps
 * @property {number} viewers
 * @property {number} fps
 * @property {number} kbps
 * @property {string} preset
 * @property {string} ending
 * @property {string} ending_in
 * @property {boolean} may_keep
 */

const container = /** @type {HTMLElement} */ (document.getElementById("sessions"));

/** Which sessions the page shows, and which of them are over: when this changes, the list is fetched anew.
 *
 * @param {{id: string, over: boolean}[]} sessions
 * @returns {string}
 */
function shape(sessions) {
  return sessions.map((s) => `${s.id}${s.over ? "!" : ""}`).sort().join(" ");
}

/** @returns {string} */
function shownShape() {
  const shown = /** @type {NodeListOf<HTMLElement>} */ (container.querySelectorAll("[data-session]"));
  return shape([...shown].map((e) => ({ id: e.dataset.session ?? "", over: e.dataset.phase === "over" })));
}

/** @param {Card} card */
function show(card) {
  const element = /** @type {HTMLElement | null} */ (container.querySelector(`[data-session="${CSS.escape(card.id)}"]`));
  if (!element || card.phase === "over") return;
  element.dataset.phase = card.phase;
  setText(element.querySelector("[data-label]"), card.label);
  setText(element.querySelector("[data-detail]"), card.detail);
  setText(element.querySelector("[data-viewers]"), String(card.viewers));
  setText(element.querySelector("[data-fps]"), String(Math.round(card.fps)));
  setText(element.querySelector("[data-kbps]"), String(Math.round(card.kbps)));
  setText(element.querySelector("[data-preset]"), card.preset || "Standard");
  element.querySelector("[data-ending]")?.toggleAttribute("hidden", card.ending === "");
  setText(element.querySelector("[data-ending-text]"), card.ending);
  setText(element.querySelector("[data-ending-in]"), card.ending_in);
  element.querySelector("[data-keep]")?.toggleAttribute("hidden", !card.may_keep);
  const progress = /** @type {HTMLElement | null} */ (element.querySelector(".progress"));
  const percent = Math.round((100 * card.step) / card.steps);
  progress?.style.setProperty("--value", `${percent}%`);
  progress?.setAttribute("aria-valuenow", String(percent));
}

/** Whether the visitor is in the middle of something that a new list would take away. */
function inUse() {
  return container.querySelector("details.menu[open]") !== null;
}

async function replaceList() {
  const response = await fetch(container.dataset.cards ?? "", { credentials: "same-origin", cache: "no-store" });
  if (!response.ok || response.redirected) return;
  const wasOpen = container.querySelector("details.over[open]") !== null;
  const focused = document.activeElement instanceof HTMLAnchorElement ? document.activeElement.href : "";
  const list = new DOMParser().parseFromString(await response.text(), "text/html"); // runs no script of it
  container.replaceChildren(...list.body.childNodes);
  if (wasOpen) container.querySelector("details.over")?.setAttribute("open", "");
  const links = /** @type {NodeListOf<HTMLAnchorElement>} */ (container.querySelectorAll("a[href]"));
  if (focused) [...links].find((link) => link.href === focused)?.focus();
}

/** @returns {Promise<boolean>} */
async function poll() {
  const { status, body } = await fetchJson(container.dataset.api ?? "");
  if (status === 401) {
    location.reload(); // logged out elsewhere: the server shows the login
    return false;
  }
  if (status !== 200 || !body) return false;
  /** @type {Card[]} */
  const cards = body.sessions;
  if (shape(cards.map((card) => ({ id: card.id, over: card.phase === "over" }))) !== shownShape() && !inUse()) {
    await replaceList();
  }
  cards.forEach(show);
  container.querySelector("[data-live-notice]")?.toggleAttribute("hidden", body.live);
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (container.querySelectorAll("[data-age]"))) {
    setText(element, age(Date.now() - Date.parse(element.dataset.age ?? "")));
  }
  return true;
}

function confirmStops() {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("confirm-stop"));
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  container.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target.closest("a[data-stop]") : null;
    if (!(target instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    form.action = target.href;
    setText(dialog.querySelector("[data-name]"), target.dataset.stop ?? "");
    dialog.showModal();
  });
  dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
}

function closeMenus() {
  /** @param {Element | null} except */
  const close = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.removeAttribute("open");
    }
  };
  document.addEventListener("click", (event) => {
    close(event.target instanceof Element ? event.target.closest("details.menu") : null);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close(null);
  });
}

/** A double click must not launch twice. */
function submitOnce() {
  document.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });
}

if (container) {
  confirmStops();
  closeMenus();
  submitOnce();
  pollWhileVisible(poll);
}
