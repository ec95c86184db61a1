/**
 * Entry of `/v/<link>#secret`: takes the secret out of the address bar, changes it into a ticket for each connection
 * and starts the same viewer.
 *
 * The secret lives in this module and, for a reload, in sessionStorage; it is posted to the ticket address and nowhere
 * else, so neither logs nor the browser's history keep it.
 */

import { ViewerPage, readConfig } from "./page.js";
import { fetchTicket, takeSecret } from "./ticket.js";

const config = readConfig();
const secret = takeSecret(location, history, storage());
const page = new ViewerPage(config, () => fetchTicket(config.ticket, config.csrf, secret));
page.start();
// Another link pasted over this one changes the part after the # only, which loads nothing by itself.
window.addEventListener("hashchange", () => location.reload());

/** @returns {Storage | null} null where the browser forbids it */
function storage() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}
