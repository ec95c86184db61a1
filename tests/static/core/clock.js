/** Time for tests: it passes when they say so. */

/** A clock whose timers run when it is told so. */
export class FakeClock {
  time = 0;
  /** @type {{due: number, callback: () => void}[]} */
  timers = [];
  now = () => this.time;
  /** @param {() => void} callback @param {number} ms */
  setTimer = (callback, ms) => {
    const timer = { due: this.time + ms, callback };
    this.timers.push(timer);
    return timer;
  };
  /** @param {any} timer */
  clearTimer = (timer) => {
    this.timers = this.timers.filter((t) => t !== timer);
  };
  /** @param {number} ms */
  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const next = this.timers.filter((t) => t.due <= end).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      this.timers = this.timers.filter((t) => t !== next);
      this.time = next.due;
      next.callback();
    }
    this.time = end;
  }
}

/** Let settled promises reach their handlers. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));
