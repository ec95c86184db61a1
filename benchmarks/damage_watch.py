"""An independent witness of when the picture changes: a process that notes the times of damage events.

``python -m benchmarks.damage_watch``, DISPLAY in the environment. Its events are the same for every engine, so latency
has one definition. It waits a random 15 to 45 ms after each event before it asks for the next, so that it costs little
and its moments fall anywhere between two frames. Says ``ready``; a line of input is answered with the times since the
last, as a JSON list of monotonic µs; end of input ends it. Never reads pixels.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import sys
import time

from stripeengine.x11 import X11Source

HOLD_SECONDS = (0.015, 0.045)


def main() -> None:
    """Watch until input ends."""
    # It must not stamp late because an engine keeps the cores busy; it sleeps nearly always.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    generator = random.Random(3)  # noqa: S311 - the same in every run
    times: list[int] = []
    with X11Source(os.environ["DISPLAY"]) as source:
        source.poll()
        print("ready", flush=True)
        poller = select.poll()
        poller.register(source.fileno(), select.POLLIN)
        poller.register(sys.stdin.fileno(), select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            now = time.monotonic_ns() // 1000
            if source.fileno() in ready:
                # The subtraction comes after the wait: until then the server has nothing more to say.
                time.sleep(generator.uniform(*HOLD_SECONDS))
                if source.poll().damage:
                    times.append(now)
            if sys.stdin.fileno() in ready:
                if not os.read(sys.stdin.fileno(), 64):
                    return
                print(json.dumps(times), flush=True)
                times = []


if __name__ == "__main__":
    main()
