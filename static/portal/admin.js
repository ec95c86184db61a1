/**
 * The admin's list and pages of sessions, live. Elements say whose value they show (`data-session`) and which
 * (`data-live`); `data-when` lists the phases in which something is shown.
 *
 * @module
 */

import { fetchJson, pollWhileVisible, setText } from "./live.js";

const NUMBERS = ["viewers", "fps", "kbps"];
const marker = /** @type {HTMLElement | null} */ (document.getElementById("sd-live"));

/** @param {any} card @param {HTMLElement} element */
function show(card, element) {
  const name = element.dataset.live ?? "";
  if (name === "label") {
    element.dataset.phase = card.phase;
    element.dataset.state = card.state;
  }
  if (NUMBERS.includes(name)) {
    setText(element, card.phase === "ready" ? String(Math.round(card[name])) : "–");
  } else if (name in card) {
    setText(element, String(card[name] || (name === "mode" ? "–" : "")));
  }
}

/** @param {any} card */
function showPage(card) {
  const panel = document.getElementById("sd-session");
  if (!panel) return;
  const was = panel.dataset.phase;
  panel.dataset.phase = card.phase;
  panel.dataset.state = card.state;
  card.stages.forEach((/** @type {[string, string]} */ [, status], /** @type {number} */ number) => {
    const item = panel.querySelector(`[data-stage="${number}"]`);
    if (!item) return;
    item.className = status;
    if (status === "current") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  // The rest of the page (times, reason, deletion) is the server's; but a link shown once must stay.
  if (was !== card.phase && card.phase === "over" && !document.getElementById("new-link")) location.reload();
}

/** @param {HTMLElement} live @returns {string} */
function address(live) {
  if (live.dataset.page === "object") return live.dataset.url ?? "";
  const ids = new URLSearchParams();
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-live="label"]'))) {
    if (element.dataset.session && element.dataset.phase !== "over") ids.append("id", element.dataset.session);
  }
  return ids.size ? `${live.dataset.url}?${ids}` : "";
}

/** The table of stages and viewers comes as the server writes it, escaped there. @param {HTMLElement} element */
async function renewDelivery(element) {
  const answer = await fetch(element.dataset.url ?? "", { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return;
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  element.replaceChildren(...parsed.body.childNodes);
}

if (marker) {
  pollWhileVisible(async () => {
    const url = address(marker);
    if (!url) return true;
    const { status, body } = await fetchJson(url);
    if (status !== 200 || !body) return false;
    for (const card of body.sessions) {
      const mine = `[data-live][data-session="${CSS.escape(card.id)}"]`;
      for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(mine))) show(card, element);
      if (marker.dataset.page === "object") showPage(card);
    }
    const delivery = document.getElementById("sd-delivery");
    if (delivery && body.sessions.some((/** @type {any} */ card) => card.phase === "ready")) await renewDelivery(delivery);
    return true;
  });
}
