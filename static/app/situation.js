/**
 * What the veil says: a pure function from what is known to words and actions.
 *
 * No DOM. Sentences of the server win over the ones here; these stand in where it sends none.
 */

/**
 * @typedef {object} Model
 * @property {import("../core/connection.js").Status | null} status
 * @property {{state: string, stage?: string | null, reason?: string | null, message?: string | null} | null} session
 * @property {boolean} picture a frame of this connection is on the canvas
 * @property {boolean} link the page of a share link
 * @property {boolean} [again] the visitor may start another session like this one
 * @property {boolean} [log] the visitor may read what its logs said last
 *
 * @typedef {object} Situation
 * @property {string} title
 * @property {string} text
 * @property {boolean} busy something goes on by itself
 * @property {boolean} see the last picture may shine through
 * @property {number} [retryMs] time to the next attempt, 0 while it is made
 * @property {("retry" | "reload" | "login" | "portal" | "again" | "log")[]} actions
 */

/** @type {Record<string, string>} */
const STAGES = {
  sandbox: "Preparing a private sandbox…",
  display: "Starting the display…",
  desktop: "Starting the desktop…",
  stream: "Starting the stream…",
};

/** @type {Record<string, string>} */
const REASONS = {
  "stopped-by-user": "It was stopped by its owner.",
  "stopped-by-operator": "It was stopped by an administrator.",
  "host-shut-down": "Its host was shut down.",
  "host-lost": "Its host is gone, and the desktop with it.",
  idle: "Nobody used it for as long as its template allows.",
  "too-old": "It reached the age that its template allows.",
  "desktop-exited": "The desktop ended by itself.",
  "command-not-found": "The template's command does not exist on this host.",
  "command-died": "The template's command ended at once.",
};

/** @type {Record<string, {title: string, text: string, actions: Situation["actions"]}>} */
const REFUSALS = {
  malformed: { title: "Something went wrong", text: "The server did not understand this page.", actions: ["reload"] },
  unauthenticated: { title: "Please log in", text: "You are no longer logged in.", actions: ["login"] },
  forbidden: { title: "No permission", text: "You may not watch this session.", actions: ["portal"] },
  "unknown-session": { title: "No such session", text: "It may have been removed.", actions: ["portal"] },
  version: { title: "A newer version is here", text: "Reload the page to go on.", actions: ["reload"] },
  "link-closed": { title: "This link is closed", text: "It was revoked or has expired. Ask for a new one.", actions: [] },
  "no-secret": {
    title: "This link is not complete",
    text: "Its last part, after the #, is missing. Copy the whole link and open it again.",
    actions: [],
  },
  "session-ended": { title: "The session has ended", text: "", actions: ["portal"] },
  "too-many": { title: "Too many viewers or tries", text: "Wait a moment.", actions: ["retry"] },
  "not-supported": {
    title: "This browser cannot show the session",
    text: "It gives no canvas to draw on. Try another browser.",
    actions: ["reload"],
  },
};

/**
 * @param {Model} model
 * @returns {Situation | null} null when the picture speaks for itself
 */
export function describeSituation({ status, session, picture, link, again = false, log = false }) {
  const over = session === null ? null : describeEnd(session, { link, again, log });
  if (over !== null) return over;
  // A further try looks like the waiting for it: nothing flickers, and the focus stays on the button.
  if (status?.state === "connecting" && status.code !== undefined) return describeWait({ ...status, retryMs: 0 });
  if (status === null || status.state === "connecting") {
    const anew = status !== null && (status.again || status.attempt > 1);
    return situation(anew ? "Reconnecting" : "Connecting", "", { busy: true });
  }
  if (status.state === "waiting") return describeWait(status);
  if (status.state === "paused") return situation("Paused", "This page was asleep.", { actions: ["retry"] });
  if (status.state === "closed") return describeRefusal(status, link);
  if (session?.state === "requested" || session?.state === "starting") {
    const waits = session.state === "requested";
    const text = session.message || STAGES[session.stage ?? ""] || (waits ? "Looking for a host…" : "This takes a few seconds.");
    return situation(waits && session.message ? "Waiting in line" : "The session is starting", text, { busy: true, see: false });
  }
  if (session?.state === "recovering") {
    return situation("The picture will be back in a moment", session.message || "Its stream is starting again.", { busy: true });
  }
  if (session?.state === "stopping") return situation("The session is stopping", "", { busy: true });
  return picture ? null : situation("Waiting for the picture", "", { busy: true });
}

/**
 * @param {NonNullable<Model["session"]>} session
 * @param {{link: boolean, again: boolean, log: boolean}} visitor
 */
function describeEnd(session, { link, again, log }) {
  const failed = session.state === "failed";
  if (session.state !== "ended" && !failed) return null;
  const text = session.message || REASONS[session.reason ?? ""] || "";
  /** @type {Situation["actions"]} */
  const actions = [];
  if (again) actions.push("again");
  if (log) actions.push("log");
  if (!link) actions.push("portal");
  return situation(failed ? "The session has failed" : "The session has ended", text, { see: false, actions });
}

/** @param {import("../core/connection.js").Status} status */
function describeWait({ code, message, retryMs }) {
  const title = code === "too-many" ? REFUSALS["too-many"].title : "Connection lost";
  return situation(title, message ?? "", { busy: true, retryMs, actions: ["retry"] });
}

/**
 * @param {import("../core/connection.js").Status} status
 * @param {boolean} link
 */
function describeRefusal({ code, message }, link) {
  const known = REFUSALS[code ?? ""] ?? { title: "Disconnected", text: "", actions: ["retry"] };
  const actions = known.actions.filter((action) => !link || (action !== "portal" && action !== "login"));
  return situation(known.title, message || known.text, { see: false, actions });
}

/**
 * @param {string} title
 * @param {string} text
 * @param {Partial<Situation>} rest
 * @returns {Situation}
 */
function situation(title, text, rest) {
  return { title, text, busy: false, see: true, actions: [], ...rest };
}
