import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Connection, TicketError } from "../../../static/core/connection.js";
import { FakeClock, settle } from "./clock.js";

class FakeSocket {
  binaryType = "";
  /** @type {any[]} */
  sent = [];
  /** @type {number | undefined} */
  closedWith;
  onopen = /** @type {any} */ (null);
  onmessage = /** @type {any} */ (null);
  onclose = /** @type {any} */ (null);
  onerror = null;
  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  /** @param {number} [code] */
  close(code) {
    this.closedWith = code;
  }
}

/** @param {Partial<import("../../../static/core/connection.js").ConnectionOptions>} [options] */
function makeConnection(options = {}) {
  const clock = new FakeClock();
  /** @type {FakeSocket[]} */
  const sockets = [];
  /** @type {import("../../../static/core/connection.js").Status[]} */
  const statuses = [];
  const connection = new Connection({
    url: "ws://host/",
    codecs: ["jpeg"],
    onStatus: (status) => statuses.push(status),
    onText: () => {},
    onBinary: () => {},
    createSocket: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    now: clock.now,
    random: () => 1,
    setTimer: clock.setTimer,
    clearTimer: clock.clearTimer,
    ...options,
  });
  /** Open the newest socket and let the server say welcome. @param {number} [heartbeatS] */
  const welcome = (heartbeatS = 10) => {
    const socket = /** @type {FakeSocket} */ (sockets.at(-1));
    socket.onopen({});
    socket.onmessage({ data: "{}" });
    connection.accept(heartbeatS);
    return socket;
  };
  return { connection, clock, sockets, statuses, welcome };
}

test("the client speaks first and is open after the welcome", async () => {
  const { connection, statuses, welcome } = makeConnection();
  connection.open();
  await settle();
  assert.equal(connection.send("{}"), false);
  const socket = welcome();
  assert.deepEqual(socket.sent[0], { type: "hello", versions: [1], codecs: ["jpeg"] });
  assert.equal(socket.binaryType, "arraybuffer");
  assert.deepEqual(statuses.map((s) => s.state), ["connecting", "open"]);
  assert.equal(connection.nextSeq(), 1);
  assert.equal(connection.nextSeq(), 2);
});

test("delays grow by a quarter from a quarter of a second to five and begin anew after a good connection", async () => {
  const { connection, clock, sockets, statuses, welcome } = makeConnection();
  connection.open();
  const delays = [];
  for (let i = 0; i < 16; i++) {
    await settle();
    sockets[i].onclose({ code: 1006, reason: "" });
    delays.push(statuses.at(-1)?.retryMs);
    clock.advance(Number(delays[i]));
  }
  assert.deepEqual(delays.map((d) => Math.round(Number(d))), [250, 313, 391, 488, 610, 763, 954, 1192, 1490, 1863, 2328, 2910, 3638, 4547, 5000, 5000]);
  await settle();
  welcome();
  clock.advance(6000);
  sockets[16].onclose({ code: 1001, reason: "" });
  assert.equal(statuses.at(-1)?.retryMs, 250);
  assert.equal(connection.nextSeq(), 1);
});

test("a welcome alone does not count as a good connection", async () => {
  const { connection, clock, sockets, statuses, welcome } = makeConnection();
  connection.open();
  for (let i = 0; i < 3; i++) {
    await settle();
    welcome();
    sockets[i].onclose({ code: 1011, reason: "" });
    clock.advance(Number(statuses.at(-1)?.retryMs));
  }
  assert.deepEqual(statuses.filter((s) => s.state === "waiting").map((s) => s.retryMs), [250, 312.5, 390.625]);
});

for (const [code, word] of [
  [4400, "malformed"],
  [4401, "unauthenticated"],
  [4403, "forbidden"],
  [4404, "unknown-session"],
  [4406, "version"],
  [4410, "link-closed"],
  [4411, "session-ended"],
]) {
  test(`close code ${code} is final`, async () => {
    const { connection, clock, sockets, statuses, welcome } = makeConnection();
    connection.open();
    await settle();
    welcome();
    connection.noteError(String(word), "The server's sentence.");
    sockets[0].onclose({ code, reason: "" });
    clock.advance(60_000);
    await settle();
    assert.equal(sockets.length, 1);
    assert.deepEqual(statuses.at(-1), { state: "closed", attempt: 1, code: word, message: "The server's sentence.", again: true });
    connection.open();
    await settle();
    assert.equal(sockets.length, 2, "a person may try again");
  });
}

test("too many: ten seconds", async () => {
  const { connection, sockets, statuses } = makeConnection();
  connection.open();
  await settle();
  sockets[0].onclose({ code: 4429, reason: "" });
  assert.deepEqual([statuses.at(-1)?.retryMs, statuses.at(-1)?.code], [10_000, "too-many"]);
});

test("every other code means: try again", () => {
  const final = new Set([4400, 4401, 4403, 4404, 4406, 4410, 4411]);
  return fc.assert(
    fc.asyncProperty(fc.integer({ min: 1000, max: 4999 }), async (code) => {
      const { connection, sockets, statuses } = makeConnection();
      connection.open();
      await settle();
      sockets[0].onclose({ code, reason: "" });
      assert.equal(statuses.at(-1)?.state, final.has(code) ? "closed" : "waiting");
    }),
  );
});

test("pings at each heartbeat; a silent server is given up", async () => {
  const { connection, clock, sockets, statuses, welcome } = makeConnection();
  connection.open();
  await settle();
  const socket = welcome(2);
  clock.advance(4000);
  assert.equal(socket.sent.filter((m) => m.type === "ping").length, 3);
  clock.advance(2000);
  assert.equal(statuses.at(-1)?.state, "waiting");
  assert.equal(socket.closedWith, 1000);
  clock.advance(250);
  await settle();
  assert.equal(sockets.length, 2);
  assert.equal(socket.onmessage, null, "the old socket is let go");
});

test("a server that never says welcome is given up", async () => {
  const { connection, clock, sockets, statuses } = makeConnection();
  connection.open();
  await settle();
  sockets[0].onopen({});
  clock.advance(15_000);
  assert.equal(statuses.at(-1)?.state, "waiting");
});

test("each connection has a ticket of its own; a refused ticket is final, a lost one is not", async () => {
  /** @type {(string | Error)[]} */
  const answers = ["one", new Error("network"), "two", new TicketError("link-closed", "Revoked.")];
  const { connection, clock, sockets, statuses } = makeConnection({
    getTicket: async () => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return String(answer);
    },
  });
  connection.open();
  await settle();
  sockets[0].onopen({});
  assert.equal(sockets[0].sent[0].ticket, "one");
  sockets[0].onclose({ code: 1006, reason: "" });
  clock.advance(250);
  await settle();
  assert.equal(statuses.at(-1)?.state, "waiting");
  clock.advance(312.5);
  await settle();
  sockets[1].onopen({});
  assert.equal(sockets[1].sent[0].ticket, "two");
  sockets[1].onclose({ code: 1006, reason: "" });
  clock.advance(391);
  await settle();
  assert.deepEqual(statuses.at(-1), { state: "closed", attempt: 4, code: "link-closed", message: "Revoked." });
});

test("closing while a ticket is on its way opens no socket", async () => {
  /** @type {(ticket: string) => void} */
  let give = () => {};
  const { connection, sockets } = makeConnection({ getTicket: () => new Promise((resolve) => (give = resolve)) });
  connection.open();
  connection.close();
  give("late");
  await settle();
  assert.equal(sockets.length, 0);
  assert.equal(connection.state, "closed");
});

test("a page that sleeps has no connection and comes back at once", async () => {
  const { connection, clock, sockets, statuses, welcome } = makeConnection();
  connection.open();
  await settle();
  welcome();
  connection.suspend();
  assert.deepEqual([sockets[0].closedWith, connection.state, clock.timers.length], [1000, "paused", 0]);
  clock.advance(600_000);
  await settle();
  assert.equal(sockets.length, 1);
  connection.resume();
  await settle();
  assert.equal(sockets.length, 2);
  assert.deepEqual(statuses.at(-1), { state: "connecting", attempt: 1, again: true });
});

test("sleeping ends the waiting for another try, and nothing wakes what is closed", async () => {
  const { connection, clock, sockets } = makeConnection();
  connection.open();
  await settle();
  sockets[0].onclose({ code: 1006, reason: "" });
  connection.suspend();
  clock.advance(60_000);
  await settle();
  assert.equal(sockets.length, 1);
  connection.close();
  connection.suspend();
  connection.resume();
  await settle();
  assert.deepEqual([sockets.length, connection.state], [1, "closed"]);
});

test("a server that is silent is asked, and given up when it does not answer", async () => {
  const { connection, clock, statuses, welcome } = makeConnection();
  connection.open();
  await settle();
  const socket = welcome(60);
  const pings = () => socket.sent.filter((m) => m.type === "ping").length;
  connection.probe();
  assert.equal(pings(), 1, "it has just spoken");
  clock.advance(3000);
  connection.probe();
  connection.probe();
  assert.equal(pings(), 2);
  clock.advance(9999);
  assert.equal(statuses.at(-1)?.state, "open", "a large picture may be on its way");
  socket.onmessage({ data: new ArrayBuffer(1) });
  clock.advance(4000);
  connection.probe();
  clock.advance(10_000);
  assert.equal(statuses.at(-1)?.state, "waiting");
});

test("after a sleep the server has less time to answer", async () => {
  const { connection, clock, statuses, welcome } = makeConnection();
  connection.open();
  await settle();
  welcome(60);
  clock.advance(3000);
  connection.resume();
  clock.advance(3999);
  assert.equal(statuses.at(-1)?.state, "open");
  clock.advance(1);
  assert.equal(statuses.at(-1)?.state, "waiting");
});
