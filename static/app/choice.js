/** A person's choice between two, kept in this browser. Without storage it lasts as long as the page. */

/**
 * @param {string} name
 * @param {boolean} otherwise
 */
export function readChoice(name, otherwise) {
  try {
    const kept = localStorage.getItem(`stripedesk.${name}`);
    return kept === null ? otherwise : kept === "true";
  } catch {
    return otherwise;
  }
}

/**
 * @param {string} name
 * @param {boolean} value
 */
export function keepChoice(name, value) {
  try {
    localStorage.setItem(`stripedesk.${name}`, String(value));
  } catch {
    // Forbidden or full.
  }
}
