"""A long life in short: engines over framebuffers through many frames, resizes, modes and settings.

``python -m tests.stripeengine.soak`` runs the whole form (`make soak`), `test_soak.py` a short one. Several engines
live in one process and share the pool. What must stay flat is measured after each quarter, with the engines in the same
settings and at the same size each time, and must not grow in the second half: memory, descriptors, threads. Until then
buffers grow to the largest frame there was. Needs Linux and glibc.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import os
import random
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stripeengine import Engine, EngineSettings, FramebufferSource
from stripeengine.decode import Decoder
from stripeengine.ffi import lib

Pixels = npt.NDArray[np.uint8]

HOME = (320, 240)  # the size at which is measured
LARGEST = (480, 360)
QUIET_SECONDS = 0.4
PATIENCE_SECONDS = 60.0
PARTS = 4
# In the whole form 29 to 31 MB are allocated and 88 to 91 MB are resident throughout the second half. A leak of 110
# bytes a frame exceeds the first bound there. What is resident moves more: the allocator keeps pages in pieces.
ALLOCATED_KB = 5120
RESIDENT_KB = 16384


@dataclass(frozen=True)
class Usage:
    """What the process holds."""

    resident_kb: int
    allocated_kb: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Report:
    """What a run did, and what was held after each part of it."""

    frames: int
    resizes: int
    changes: int
    seconds: float
    usages: tuple[Usage, ...]

    @property
    def before(self) -> Usage:
        """What was held when half of it was over."""
        return self.usages[len(self.usages) // 2 - 1]

    @property
    def after(self) -> Usage:
        """What was held at the end."""
        return self.usages[-1]

    @property
    def problems(self) -> list[str]:
        """What is not flat; empty if all is well."""
        found = []
        for name, grown, bound in (
            ("allocated", self.after.allocated_kb - self.before.allocated_kb, ALLOCATED_KB),
            ("resident", self.after.resident_kb - self.before.resident_kb, RESIDENT_KB),
        ):
            if grown > bound:
                found.append(f"{name} memory has grown by {grown} kB ({bound} kB may be chance)")
        if self.after.descriptors != self.before.descriptors:
            found.append(f"{self.before.descriptors} descriptors have become {self.after.descriptors}")
        if self.after.threads != self.before.threads:
            found.append(f"{self.before.threads} threads have become {self.after.threads}")
        return found


class _Mallinfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def allocated_kb() -> int:
    """Return what is allocated from the C library, after it has given back what it can; needs glibc."""
    library = ctypes.CDLL(None)
    library.malloc_trim(0)
    library.mallinfo2.restype = _Mallinfo
    information = library.mallinfo2()
    return int(information.uordblks + information.hblkhd) // 1024


def usage() -> Usage:
    """Measure this process."""
    gc.collect()
    allocated = allocated_kb()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return Usage(int(fields["VmRSS"].split()[0]), allocated, len(os.listdir("/proc/self/fd")), int(fields["Threads"]))


def random_settings(random_: random.Random) -> EngineSettings:
    """Any mode, any quality; the pace is always the fastest."""
    modes = ["auto", "auto", "lossless", "jpeg", *(["h264"] if lib.se_has_h264() else [])]
    return EngineSettings(
        mode=random_.choice(modes),
        framerate=240,
        chroma=random_.choice(["420", "444"]),
        colour_space=random_.choice(["bt709", "bt601"]),
        colour_range=random_.choice(["limited", "full"]),
        jpeg_quality=random_.randint(10, 95),
        h264_crf=random_.randint(20, 45),
        paint_over=random_.random() < 0.8,
        paint_over_colour=random_.choice(["same", "444", "rgb"]),
        motion_coarser=random_.randint(0, 12),
        stripe_height=16 * random_.randint(0, 6),
        lossless_when_still=random_.random() < 0.8,
        repair_delay_ms=random_.randint(20, 200),
        max_kbps=random_.choice([0, 0, 0, 20000]),
    )


class Session:
    """One engine, who draws for it, and who takes its frames."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.noise = np.random.default_rng(number).integers(0, 256, (LARGEST[1], LARGEST[0], 4), np.uint8)
        self.picture: Pixels = np.zeros((HOME[1], HOME[0], 4), np.uint8)
        self.source = FramebufferSource(*HOME)
        self.engine = Engine(self.source, EngineSettings(framerate=240))
        self.engine.start()
        self.frames = self.resizes = self.changes = 0

    def take(self) -> int:
        """Take what is ready and tell how many messages that was; raises what the engine has failed with."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.engine.fileno())
        count = 0
        while (frame := self.engine.take()) is not None:
            frame.release()
            count += 1
        if self.engine.failure is not None:
            raise self.engine.failure
        self.frames += count
        return count

    def draw(self) -> None:
        """Change something: a rectangle of one colour, of text or of noise, a scroll, now and then everything."""
        height, width = self.picture.shape[:2]
        x, y = self.random.randrange(width), self.random.randrange(height)
        w, h = self.random.randint(1, min(200, width - x)), self.random.randint(1, min(120, height - y))
        kind = self.random.randrange(16)
        area = self.picture[y : y + h, x : x + w]
        if kind < 6:
            area[:] = self.random.randrange(256)
        elif kind < 10:
            area[:] = np.where(self.noise[:h, :w] > 220, 20, 235)
        elif kind < 13:
            area[:] = self.noise[y : y + h, x : x + w] // 8 + self.random.randrange(200)
        elif kind < 15:
            self.picture[:-7] = self.picture[7:].copy()
        else:
            self.picture[:] = self.noise[:height, :width]
        self.source.submit(self.picture, format="BGRX")

    def resize(self, width: int, height: int) -> None:
        """Become another size."""
        self.source.resize(width, height)
        self.picture = np.zeros((height, width, 4), np.uint8)
        self.resizes += 1
        self.draw()

    def change(self, settings: EngineSettings) -> None:
        """Take other settings, and a snapshot of what there is."""
        self.engine.update(**settings.as_dict())
        self.engine.snapshot()
        self.changes += 1

    def warm_up(self) -> None:
        """Send one large frame, with which the pool starts its threads."""
        self.source.resize(1600, 1200)
        self.source.submit(np.random.default_rng(0).integers(0, 256, (1200, 1600, 4), np.uint8), format="BGRX")
        end = time.monotonic() + PATIENCE_SECONDS
        while self.take() == 0 or self.engine.stats().width != 1600:
            if time.monotonic() > end:
                raise TimeoutError("the large frame does not come")
            select.select([self.engine.fileno()], [], [], QUIET_SECONDS)
        self.go_home()

    def go_home(self) -> None:
        """Return to the settings and the size at which is measured, at rest and drawn exactly."""
        self.change(EngineSettings(mode="auto", framerate=240, repair_delay_ms=20))
        self.resize(*HOME)
        end = time.monotonic() + PATIENCE_SECONDS
        while self.take() or select.select([self.engine.fileno()], [], [], QUIET_SECONDS)[0]:
            if time.monotonic() > end:
                raise TimeoutError("an engine over a still picture does not come to rest")
        decoder = Decoder()
        for message in self.engine.snapshot():
            decoder.apply(message)
        if not np.array_equal(decoder.picture, self.picture[:, :, 2::-1]):
            raise AssertionError("the picture at rest is not the source's")

    def close(self) -> None:
        """End the engine and its source."""
        self.source.close()


@contextlib.contextmanager
def sessions(count: int) -> Iterator[list[Session]]:
    """That many sessions, closed in the end."""
    opened = [Session(number) for number in range(count)]
    try:
        yield opened
    finally:
        for session in opened:
            session.close()


def live(all_: list[Session], frames: int, resizes: int) -> None:
    """Draw until all sessions together have made that many more frames and as many resizes, evenly mixed."""
    by_descriptor = {session.engine.fileno(): session for session in all_}
    start = sum(session.frames for session in all_)
    done = resized = 0
    for session in all_:
        session.draw()
    while done < frames or resized < resizes:
        ready = select.select(list(by_descriptor), [], [], 0.05)[0]
        # A change may show nothing, so nobody waits for its frame for ever.
        for session in [by_descriptor[number] for number in ready] or all_:
            session.take()
            if resized < resizes and done * resizes >= resized * frames:
                session.resize(session.random.randint(1, LARGEST[0]), session.random.randint(1, LARGEST[1]))
                resized += 1
            elif session.random.random() < 0.01:
                session.change(random_settings(session.random))
            session.draw()
        done = sum(session.frames for session in all_) - start


def soak(frames: int, resizes: int, engines: int) -> Report:
    """Run, and measure after each part."""
    begin = time.monotonic()
    usages = []
    with sessions(engines) as all_:
        for session in all_:
            session.warm_up()
        for _ in range(PARTS):
            live(all_, frames // PARTS, resizes // PARTS)
            for session in all_:
                session.go_home()
            usages.append(usage())
        made = sum(session.frames for session in all_)
        resized = sum(session.resizes for session in all_)
        changed = sum(session.changes for session in all_)
    return Report(made, resized, changed, time.monotonic() - begin, tuple(usages))


def main() -> int:
    """Run the whole form, print what was measured, and tell by the status whether all stayed flat."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--resizes", type=int, default=200)
    parser.add_argument("--engines", type=int, default=4)
    arguments = parser.parse_args()
    report = soak(arguments.frames, arguments.resizes, arguments.engines)
    print(
        f"{report.frames} frames, {report.resizes} resizes, {report.changes} changes of settings "
        f"in {report.seconds:.0f} s"
    )
    for number, held in enumerate(report.usages, 1):
        print(f"after {number}/{PARTS}: {held}")
    for problem in report.problems:
        print(f"not flat: {problem}", file=sys.stderr)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
