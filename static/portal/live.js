/**
 * Polling while the page is looked at. Shared by the portal and the admin; knows nothing of either.
 *
 * @module
 */

/** Milliseconds between two polls. */
export const INTERVAL = 2000;

/**
 * Calls `poll` at once and then every `INTERVAL` while the page is visible, never twice at a time.
 * After failures it waits longer, up to 30 s.
 *
 * @param {() => Promise<boolean>} poll resolves to whether it succeeded
 * @returns {() => void} ends the polling
 */
export function pollWhileVisible(poll) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let failures = 0;
  let busy = false;
  let ended = false;

  async function turn() {
    clearTimeout(timer);
    if (ended || busy || document.hidden) return;
    busy = true;
    let succeeded = false;
    try {
      succeeded = await poll();
    } catch {
      succeeded = false;
    }
    busy = false;
    failures = succeeded ? 0 : failures + 1;
    if (!ended && !document.hidden) timer = setTimeout(turn, Math.min(INTERVAL * 2 ** failures, 30000));
  }

  document.addEventListener("visibilitychange", turn);
  void turn();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", turn);
  };
}

/**
 * Fetches JSON from this site.
 *
 * @param {string} url
 * @returns {Promise<{status: number, body: any}>} body is null when the answer was not JSON
 */
export async function fetchJson(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store" });
  const json = (response.headers.get("Content-Type") ?? "").includes("application/json");
  return { status: response.status, body: json ? await response.json() : null };
}

/**
 * Sets an element's text, if it is there and the text is another; so that nothing is announced twice.
 *
 * @param {Element | null} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/**
 * Says how long ago something was, in the words that the server uses.
 *
 * @param {number} milliseconds
 * @returns {string}
 */
export function age(milliseconds) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60000));
  if (minutes < 1) return "just now";
  /** @param {number} n @param {string} unit */
  const count = (n, unit) => `${n} ${unit}${n === 1 ? "" : "s"}`;
  if (minutes < 60) return count(minutes, "minute");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return count(hours, "hour");
  return count(Math.floor(hours / 24), "day");
}
