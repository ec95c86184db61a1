import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { cursorStyle } from "../../../static/core/cursor.js";
import { InputSender } from "../../../static/core/input.js";
import { KeyboardInput, splitText } from "../../../static/core/keyboard.js";
import { picturePoint, wheelLines } from "../../../static/core/pointer.js";
import { Meter, ServerClock } from "../../../static/core/stats.js";

function makeSender() {
  /** @type {any[][]} */
  const sent = [];
  /** @type {(() => void)[]} */
  const frames = [];
  const sender = new InputSender((events) => sent.push(events), (callback) => frames.push(callback));
  sender.enabled = true;
  return { sender, sent, frames };
}

test("moves wait for the frame and only the last counts", () => {
  const { sender, sent, frames } = makeSender();
  sender.move(1, 1);
  sender.move(2, 2);
  assert.deepEqual([sent.length, frames.length], [0, 1]);
  frames[0]();
  assert.deepEqual(sent, [[["move", 2, 2]]]);
  sender.move(3, 3);
  sender.push(["button", 0, true]);
  assert.deepEqual(sent[1], [["move", 3, 3], ["button", 0, true]]);
});

test("nothing is sent without permission", () => {
  const { sender, sent, frames } = makeSender();
  sender.enabled = false;
  sender.move(1, 1);
  sender.push(["release"]);
  assert.deepEqual([sent.length, frames.length], [0, 0]);
});

test("points stay inside the picture under every scaling", () => {
  const box = fc.record({ left: fc.float({ noNaN: true, min: -500, max: 500 }), top: fc.constant(0), width: fc.integer({ min: 0, max: 3000 }), height: fc.integer({ min: 0, max: 3000 }) });
  const any = fc.double({ noNaN: true, min: -9000, max: 9000 });
  fc.assert(
    fc.property(box, any, any, fc.integer({ min: 1, max: 16384 }), (rectangle, x, y, size) => {
      const point = picturePoint({ x, y }, rectangle, { width: size, height: size });
      assert.ok(Number.isInteger(point.x) && point.x >= 0 && point.x < size);
      assert.ok(Number.isInteger(point.y) && point.y >= 0 && point.y < size);
    }),
  );
  const half = { left: 10, top: 20, width: 320, height: 240 };
  assert.deepEqual(picturePoint({ x: 110, y: 70 }, half, { width: 640, height: 480 }), { x: 200, y: 100 });
});

test("a notch is one line in every unit, and nothing exceeds the protocol", () => {
  assert.deepEqual(wheelLines({ deltaX: 0, deltaY: 100, deltaMode: 0 }), [0, 1]);
  assert.deepEqual(wheelLines({ deltaX: 0, deltaY: -3, deltaMode: 1 }), [0, -1]);
  assert.deepEqual(wheelLines({ deltaX: 25, deltaY: 0, deltaMode: 0 }), [0.25, 0]);
  assert.deepEqual(wheelLines({ deltaX: 1e9, deltaY: -1e9, deltaMode: 2 }), [100, -100]);
});

test("text is cut between characters", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 900 }), (text) => {
      const parts = splitText(text);
      assert.equal(parts.join(""), text);
      assert.ok(parts.every((part) => Array.from(part).length <= 256 && !/^[\udc00-\udfff]/.test(part)));
    }),
  );
});

/** Stands in for a text area. */
class FakeArea extends EventTarget {
  value = "";
  /**
   * @param {string} type
   * @param {Record<string, unknown>} init
   */
  fire(type, init) {
    const event = new Event(type, { cancelable: true });
    const modifiers = /** @type {string[]} */ (init.modifiers ?? []);
    const all = { getModifierState: (/** @type {string} */ name) => modifiers.includes(name), ...init };
    for (const [name, value] of Object.entries(all)) Object.defineProperty(event, name, { value });
    this.dispatchEvent(event);
    return event;
  }
}

function makeKeyboard() {
  const { sender, sent } = makeSender();
  const area = new FakeArea();
  let left = 0;
  const keyboard = new KeyboardInput(/** @type {any} */ (area), sender, () => left++);
  return { area, keyboard, events: () => sent.flat(), left: () => left };
}

test("keys go down once and up as what they were", () => {
  const { area, events } = makeKeyboard();
  const down = area.fire("keydown", { code: "KeyA", key: "A", timeStamp: 1 });
  area.fire("keydown", { code: "KeyA", key: "A", repeat: true });
  area.fire("keyup", { code: "KeyA", key: "a" });
  area.fire("keyup", { code: "KeyB", key: "b" });
  assert.ok(down.defaultPrevented);
  assert.deepEqual(events(), [["key", "KeyA", "A", true], ["key", "KeyA", "A", false]]);
});

test("composition arrives as text, dead keys and input methods as nothing else", () => {
  const { area, events } = makeKeyboard();
  assert.equal(area.fire("keydown", { code: "Quote", key: "Dead" }).defaultPrevented, false);
  area.fire("keydown", { code: "KeyE", key: "Process", keyCode: 229 });
  area.fire("keydown", { code: "KeyE", key: "e", isComposing: true });
  area.fire("compositionend", { data: "é" });
  area.fire("beforeinput", { inputType: "insertText", data: "語", isComposing: false });
  area.fire("beforeinput", { inputType: "deleteContentBackward", data: null, isComposing: false });
  assert.deepEqual(events(), [
    ["text", "é"],
    ["text", "語"],
    ["key", "Backspace", "Backspace", true],
    ["key", "Backspace", "Backspace", false],
  ]);
});

test("AltGr on Windows is not Ctrl", () => {
  const { area, events } = makeKeyboard();
  area.fire("keydown", { code: "ControlLeft", key: "Control", timeStamp: 5 });
  area.fire("keydown", { code: "AltRight", key: "AltGraph", timeStamp: 5 });
  assert.deepEqual(events().slice(1), [
    ["key", "ControlLeft", "Control", false],
    ["key", "AltRight", "AltGraph", true],
  ]);
});

test("Command on macOS swallows no release; blur releases everything", () => {
  const { area, events } = makeKeyboard();
  area.fire("keydown", { code: "MetaLeft", key: "Meta" });
  area.fire("keydown", { code: "KeyC", key: "c" });
  area.fire("keyup", { code: "MetaLeft", key: "Meta" });
  assert.deepEqual(events().slice(2), [["key", "MetaLeft", "Meta", false], ["key", "KeyC", "c", false]]);
  area.fire("keydown", { code: "KeyX", key: "x" });
  area.fire("blur", {});
  area.fire("keyup", { code: "KeyX", key: "x" });
  assert.deepEqual(events().at(-1), ["release"]);
});

test("Ctrl, Alt and Shift together lead out", () => {
  const { area, events, left } = makeKeyboard();
  area.fire("keydown", { code: "ShiftLeft", key: "Shift", modifiers: ["Control", "Alt", "Shift"] });
  assert.equal(left(), 1);
  assert.deepEqual(events().at(-1), ["release"]);
});

test("keys too long for the protocol are left out", () => {
  const { area, events } = makeKeyboard();
  area.fire("keydown", { code: "KeyA", key: "x".repeat(33) });
  area.fire("keydown", { code: "", key: "" });
  assert.deepEqual(events(), []);
});

test("cursors: hotspot, scale, too large, hidden", async () => {
  const message = { width: 32, height: 32, hot_x: 31, hot_y: 4, png: "QUJD" };
  const resize = async () => "data:image/png;base64,SMALL";
  assert.equal(await cursorStyle(message, 1, resize), 'url("data:image/png;base64,QUJD") 31 4, default');
  assert.equal(await cursorStyle(message, 0.5, resize), 'url("data:image/png;base64,SMALL") 15 2, default');
  assert.equal(await cursorStyle({ ...message, width: 129 }, 1, resize), "default");
  assert.equal(await cursorStyle({ hidden: true }, 1, resize), "none");
  assert.equal(await cursorStyle(null, 1, resize), "default");
  const failed = () => Promise.reject(new Error("broken"));
  assert.equal(await cursorStyle(message, 0.5, failed), 'url("data:image/png;base64,QUJD") 15 4, default');
});

test("the clock offset comes from the shortest round trip; foreign clocks give no latency", () => {
  const clock = new ServerClock();
  assert.equal(clock.since(0, 0), null);
  clock.addSample(1000, 1010, 5_005_000);
  clock.addSample(2000, 2400, 6_390_000);
  assert.equal(clock.rtt, 400);
  assert.equal(clock.since(5_010_000, 1030), 20);
  assert.equal(clock.since(99_000_000, 1030), null, "the future");
  assert.equal(clock.since(0, 1_000_000), null, "long ago");
});

test("rates are those of the window", () => {
  const meter = new Meter();
  for (let t = 0; t < 4000; t += 100) {
    meter.received(1000, t);
    meter.committed(5, 20, t);
  }
  const { fps, kbps, latencyMs } = meter.read(3900);
  assert.ok(Math.abs(fps - 10) <= 1 && Math.abs(kbps - 80) <= 8 && Math.round(latencyMs ?? 0) === 20);
  assert.equal(meter.read(9000).fps, 0);
});
