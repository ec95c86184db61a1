/** The secret of a share link, and the tickets it is changed into. */

import { TicketError } from "../core/connection.js";

/** A server that does not answer by then is asked again. */
const ANSWER_MS = 10_000;
/** Answers after which another try with the same secret may succeed. */
const PASSING = [408, 425, 500, 502, 503, 504];

/**
 * Take the secret from the address, where it must not stay, or from before a reload.
 *
 * @param {Pick<Location, "hash" | "pathname" | "search">} location
 * @param {Pick<History, "replaceState" | "state">} history
 * @param {Pick<Storage, "getItem" | "setItem"> | null} storage
 * @returns {string} empty when there is none
 */
export function takeSecret(location, history, storage) {
  const key = `stripedesk.link:${location.pathname}`;
  const secret = location.hash.slice(1);
  if (secret === "") return storage?.getItem(key) ?? "";
  history.replaceState(history.state, "", location.pathname + location.search);
  try {
    storage?.setItem(key, secret);
  } catch {
    // A full or forbidden storage: the link must be opened anew after a reload.
  }
  return secret;
}

/**
 * @param {string} url
 * @param {string} csrf
 * @param {string} secret
 * @param {typeof fetch} [request]
 * @returns {Promise<string>}
 * @throws {TicketError} when trying again is of no use
 */
export async function fetchTicket(url, csrf, secret, request = (...args) => fetch(...args)) {
  if (secret === "") throw new TicketError("no-secret", "");
  const response = await request(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
    body: JSON.stringify({ secret }),
    credentials: "same-origin",
    cache: "no-store",
    referrerPolicy: "no-referrer",
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok && typeof answer?.ticket === "string") return answer.ticket;
  const message = typeof answer?.message === "string" ? answer.message : "";
  if (response.ok || PASSING.includes(response.status)) throw new Error(message || `HTTP ${response.status}`);
  throw new TicketError(typeof answer?.code === "string" ? answer.code : refusalCode(response.status), message);
}

/** @param {number} status */
function refusalCode(status) {
  if (status === 403) return "forbidden";
  if (status === 429) return "too-many";
  return "link-closed";
}
