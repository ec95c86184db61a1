import assert from "node:assert/strict";
import test from "node:test";
import { TicketError } from "../../../static/core/connection.js";
import { clock } from "../../../static/app/countdown.js";
import { curvePoints, latencyTitle } from "../../../static/app/latency.js";
import { describeDrops } from "../../../static/app/overlay.js";
import { describeSituation } from "../../../static/app/situation.js";
import { fetchTicket, takeSecret } from "../../../static/app/ticket.js";

/** @param {Partial<import("../../../static/app/situation.js").Model>} changes */
const describe = (changes) =>
  describeSituation({
    status: { state: "open", attempt: 1 },
    session: { state: "running" },
    picture: true,
    link: false,
    ...changes,
  });

test("a running session with a picture has no veil", () => {
  assert.equal(describe({}), null);
  assert.match(describe({ picture: false })?.title ?? "", /Waiting for the picture/);
});

test("starting names the stage, the server's words first", () => {
  assert.match(describe({ session: { state: "starting", stage: "display" } })?.text ?? "", /display/);
  assert.equal(describe({ session: { state: "starting", stage: "display", message: "Almost." } })?.text, "Almost.");
  assert.match(describe({ session: { state: "requested" } })?.text ?? "", /host/);
});

test("the end of a session says why, whatever the connection does", () => {
  const status = /** @type {const} */ ({ state: "waiting", attempt: 1, retryMs: 9 });
  const session = { state: "ended", reason: "stopped-by-user" };
  const over = describe({ status, session });
  assert.deepEqual([over?.title, over?.text, over?.actions], ["The session has ended", "It was stopped by its owner.", ["portal"]]);
  assert.deepEqual(describe({ session, link: true })?.actions, [], "a guest has no sessions to go to");
  assert.equal(describe({ session: { state: "failed", message: "No disk." } })?.text, "No disk.");
});

test("a lost connection counts down and lets the picture through", () => {
  const lost = describe({ status: { state: "waiting", attempt: 2, retryMs: 500, code: "lost" } });
  assert.deepEqual([lost?.retryMs, lost?.see, lost?.actions], [500, true, ["retry"]]);
  const trying = describe({ status: { state: "connecting", attempt: 3, code: "lost" } });
  assert.deepEqual({ ...trying, retryMs: 500 }, lost, "the next try looks the same");
  assert.equal(describe({ status: { state: "connecting", attempt: 1, again: true } })?.title, "Reconnecting");
  assert.equal(describe({ status: { state: "connecting", attempt: 1 } })?.title, "Connecting");
  assert.equal(describe({ status: { state: "paused", attempt: 0 } })?.title, "Paused");
});

test("every refusal of the protocol has words of its own", () => {
  const codes = ["malformed", "unauthenticated", "forbidden", "unknown-session", "version", "link-closed", "session-ended", "no-secret"];
  const titles = codes.map((code) => describe({ session: null, status: { state: "closed", attempt: 1, code } })?.title);
  assert.equal(new Set(titles).size, codes.length);
  assert.ok(!titles.includes("Disconnected"));
  const message = "Because.";
  assert.equal(describe({ session: null, status: { state: "closed", attempt: 1, code: "forbidden", message } })?.text, message);
});

test("the secret leaves the address bar and survives a reload", () => {
  /** @type {Map<string, string>} */
  const kept = new Map();
  const storage = {
    getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value),
  };
  /** @type {any[]} */
  const replaced = [];
  const history = { state: null, replaceState: (/** @type {any[]} */ ...args) => void replaced.push(args[2]) };
  const location = { hash: "#s3cret", pathname: "/v/1", search: "" };
  assert.equal(takeSecret(location, history, storage), "s3cret");
  assert.deepEqual(replaced, ["/v/1"]);
  assert.equal(takeSecret({ ...location, hash: "" }, history, storage), "s3cret");
  assert.equal(takeSecret({ ...location, hash: "", pathname: "/v/2" }, history, storage), "");
  assert.equal(takeSecret(location, history, null), "s3cret");
});

/** @param {number} status @param {unknown} body */
const answer = (status, body) => /** @type {typeof fetch} */ (
  async (_url, init) => {
    assert.equal(/** @type {any} */ (init).headers["X-CSRFToken"], "token");
    return new Response(JSON.stringify(body), { status });
  }
);

test("tickets: given, refused for good, or not just now", async () => {
  assert.equal(await fetchTicket("/t", "token", "s", answer(200, { ticket: "abc" })), "abc");
  await assert.rejects(fetchTicket("/t", "token", "s", answer(404, { code: "link-closed", message: "Gone." })), (error) => {
    assert.ok(error instanceof TicketError);
    assert.deepEqual([error.code, error.message], ["link-closed", "Gone."]);
    return true;
  });
  for (const status of [500, 503]) {
    await assert.rejects(fetchTicket("/t", "token", "s", answer(status, {})), (error) => !(error instanceof TicketError));
  }
  await assert.rejects(fetchTicket("/t", "token", "s", answer(403, "<html>")), { code: "forbidden" });
  await assert.rejects(fetchTicket("/t", "token", "s", answer(200, {})), (error) => !(error instanceof TicketError));
  await assert.rejects(fetchTicket("/t", "token", "", answer(200, {})), { code: "no-secret" });
});

test("what was left out has reasons in words, and strangers' members have none", () => {
  const counts = { merged: 0, dropped: 0, failures: 0 };
  assert.equal(describeDrops(counts), "nothing");
  assert.equal(
    describeDrops({ ...counts, merged: 3, failures: 1 }, { behind: 12, hidden: 0, evil: 9, gap: "7" }, 2),
    "12 you were not ready, 2 put off by the engine, 3 shown with the next, 1 could not be decoded",
  );
});

test("the chart's title says what is added up, its curve stays inside", () => {
  const encode = { stage: /** @type {const} */ ("encode"), ms: 4.25 };
  assert.equal(latencyTitle([encode]), "Change to picture 4.3 ms");
  assert.equal(latencyTitle([{ stage: "send", ms: 8 }, { stage: "react", ms: 20 }, encode]), "Input to picture 32 ms");
  assert.equal(curvePoints([0, 100, 900], 100), "0.0,31.0 120.0,1.0 240.0,1.0");
  assert.equal(curvePoints([], 20), "");
});

test("who waits in line is told his place, and who starts how far it is", () => {
  const waiting = describe({ session: { state: "requested", message: "Number 2 in the line." } });
  assert.deepEqual([waiting?.title, waiting?.text, waiting?.busy], ["Waiting in line", "Number 2 in the line.", true]);
  assert.match(describe({ session: { state: "requested" } })?.text ?? "", /Looking for a host/);
  const again = describe({ session: { state: "starting", stage: "sandbox", message: "It is tried once more." } });
  assert.match(again?.text ?? "", /once more/);
});

test("the end offers to start again and to read why, to those who may", () => {
  const failed = { state: "failed", reason: "no-display" };
  assert.deepEqual(describe({ session: failed, again: true, log: true })?.actions, ["again", "log", "portal"]);
  assert.deepEqual(describe({ session: failed, log: true })?.actions, ["log", "portal"]);
  assert.deepEqual(describe({ session: failed, link: true })?.actions, []);
  assert.match(describe({ session: { state: "ended", reason: "idle" } })?.text ?? "", /Nobody used it/);
});

test("a countdown reads as minutes and seconds and does not go below nothing", () => {
  assert.deepEqual([300, 61, 59.2, 0, -3].map(clock), ["5:00", "1:01", "1:00", "0:00", "0:00"]);
});
