"""From what was written down in a run to its figures: decodes recordings, so it runs when nothing is measured any more.

Pure functions of a `Run` and its recording; one call may take seconds and fits a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from benchmarks import playback
from benchmarks.display import rgb
from benchmarks.engines import Spec
from benchmarks.figures import percentile
from benchmarks.measuring import Pixels, Run
from benchmarks.playback import Frame
from benchmarks.quality import Quality, compare, psnr

# A change whose frame comes later than this is taken for one that showed nothing: damage without a changed pixel.
UNSEEN_US: Final = 250_000
# A look is compared with what is there and, for what it shows may be under way, with the frames of this long after.
UNDERWAY_US: Final = 150_000
UNDERWAY_FRAMES: Final = 13
# At rest a picture counts as good as its last state within this much.
SAME_DB: Final = 0.1
REST_STEP_US: Final = 40_000
MIN_WALL_S: Final = 1e-6


def judge(spec: Spec, run: Run, size: tuple[int, int], decode: bool = True) -> dict[str, Any]:
    """Return the figures of one run by name, None where one does not apply; `figures` adds the X server's part."""
    if run.recording is None:
        raise ValueError("a run without an engine has nothing to judge")
    frames = playback.load(spec.engine, run.recording)
    counted = [frame for frame in frames if run.begin_us <= frame.time_us <= run.end_us]
    seconds = max(run.stop_us - run.begin_us, 1) / 1e6
    size_bytes = sum(frame.size for frame in counted)
    changes = latencies(frames, [time_us for time_us in run.damage_us if time_us <= run.stop_us])
    inputs = latencies(frames, run.input_us)
    own = [frame.latency_ms for frame in counted if frame.latency_ms is not None]
    figures: dict[str, Any] = {
        "engine_cores": run.engine_cpu_s / max(run.wall_s, MIN_WALL_S),
        "server_cores": run.server_cpu_s / max(run.wall_s, MIN_WALL_S),
        "bytes": size_bytes,
        "kbps": size_bytes * 8 / 1000 / seconds,
        "frames": len(counted),
        "fps": len([frame for frame in counted if frame.time_us <= run.stop_us]) / seconds,
        "latency_p50_ms": percentile(changes, 0.5),
        "latency_p95_ms": percentile(changes, 0.95),
        "changes": len(run.damage_us),
        "changes_seen": len(changes),
        "input_p50_ms": percentile(inputs, 0.5),
        "input_p95_ms": percentile(inputs, 0.95),
        "own_p50_ms": percentile(own, 0.5),
        "own_p95_ms": percentile(own, 0.95),
        "rss_mb": run.rss_mb,
        "wakeups": run.wakeups,
    }
    if decode:
        figures |= watch(spec, frames, run, size)
    return figures


def latencies(frames: Sequence[Frame], times_us: Sequence[int]) -> list[float]:
    """Return for each time, in ms, how long until the frame that contains it was there; leaves out the unseen."""
    found = ((playback.covering(frames, time_us), time_us) for time_us in times_us)
    return [
        (frame.time_us - time_us) / 1000
        for frame, time_us in found
        if frame is not None and frame.time_us - time_us <= UNSEEN_US
    ]


class Look:
    """One moment of the true picture, and the best any frame made of it."""

    def __init__(self, time_us: int, truth: Pixels) -> None:
        self.time_us = time_us
        self.truth = rgb(truth)
        self._coarse = self.truth[::4, ::4]
        self._best = -1.0
        self._picture: Pixels | None = None
        self.at_once: bool | None = None
        """Whether what was there at that moment was exact."""

    def offer(self, picture: Pixels, *, present: bool) -> None:
        """Compare with a picture; the one that is there at the moment itself is ``present`` and comes first."""
        quality = psnr(picture[::4, ::4], self._coarse)
        if quality > self._best:
            self._best, self._picture = quality, picture.copy()
        if present:
            self.at_once = compare(picture, self.truth).exact

    def quality(self) -> Quality | None:
        """Return the quality of the best, None before any."""
        return None if self._picture is None else compare(self._picture, self.truth)


def watch(spec: Spec, frames: Sequence[Frame], run: Run, size: tuple[int, int]) -> dict[str, Any]:
    """Return the figures of quality: during the workload and after it."""
    screen = playback.player(spec.engine, spec.mode, size)
    looks = [Look(time_us, truth) for time_us, truth in run.looks]
    wanted: dict[int, list[tuple[Look, bool]]] = {id(frame): [] for frame in frames}
    for look in looks:
        for number, frame in enumerate(candidates(frames, look.time_us)):
            wanted[id(frame)].append((look, number == 0))
    rest = AtRest(run)
    for number, frame in enumerate(frames):
        if frame.time_us > run.end_us:
            break
        screen.show(frame)
        for look, first in wanted[id(frame)]:
            look.offer(screen.picture(), present=first and frame.time_us <= look.time_us)
        following = frames[number + 1].time_us if number + 1 < len(frames) else run.end_us + 1
        if rest.wants(frame.time_us, following):
            rest.offer(screen.picture(), frame.time_us)
    seen = [quality for look in looks if (quality := look.quality()) is not None]
    at_once = [look.at_once for look in looks if look.at_once is not None]
    return {
        "psnr": percentile([quality.psnr for quality in seen], 0.5),
        "ssim": percentile([quality.ssim for quality in seen], 0.5),
        "edge_psnr": percentile([quality.edge_psnr for quality in seen if quality.edge_psnr is not None], 0.5),
        "exact_at_once": sum(at_once) / len(at_once) if at_once else None,
        **rest.figures(),
    }


def candidates(frames: Sequence[Frame], time_us: int) -> list[Frame]:
    """Return the frame there at a time and those soon after, thinned where there are many."""
    before = [frame for frame in frames if frame.time_us <= time_us][-1:]
    after = [frame for frame in frames if time_us < frame.time_us <= time_us + UNDERWAY_US]
    step = max(1, -(-len(after) // (UNDERWAY_FRAMES - 1)))
    return before + after[::step]


class AtRest:
    """The picture after the workload has stopped, against the last true one."""

    def __init__(self, run: Run) -> None:
        if run.final is None:
            raise ValueError("the run has no last picture")
        self._truth = rgb(run.final)
        self._stop_us, self._end_us = run.stop_us, run.end_us
        self._still_us = max([time_us for time_us in run.damage_us if time_us <= run.end_us], default=run.begin_us)
        self._states: list[tuple[int, bool, float]] = []
        self._last: Quality | None = None

    def wants(self, time_us: int, following_us: int) -> bool:
        """Tell whether the state from ``time_us`` until the next frame is worth a look."""
        if following_us > self._end_us:
            return True
        # From the last change on: what was exact before the workload was told to stop is exact at once.
        if following_us <= min(self._stop_us, self._still_us):
            return False
        return not self._states or time_us - self._states[-1][0] >= REST_STEP_US

    def offer(self, picture: Pixels, time_us: int) -> None:
        """Take the state that begins at ``time_us``."""
        self._last = compare(picture, self._truth)
        self._states.append((time_us, self._last.exact, self._last.psnr))

    def figures(self) -> dict[str, Any]:
        """Return the final quality, and how long after the last change it was exact, or as good as it got."""
        if self._last is None:
            return dict.fromkeys(("final_psnr", "final_ssim", "final_edge_psnr", "final_exact", "exact_ms", "best_ms"))
        best_us = exact_us = None
        for time_us, _, value in reversed(self._states):
            if value < self._last.psnr - SAME_DB:
                break
            best_us = time_us
        for time_us, exact, _ in reversed(self._states):
            if not exact:
                break
            exact_us = time_us
        return {
            "final_psnr": self._last.psnr,
            "final_ssim": self._last.ssim,
            "final_edge_psnr": self._last.edge_psnr,
            "final_exact": self._last.exact,
            "exact_ms": None if exact_us is None else max(0, exact_us - self._still_us) / 1000,
            "best_ms": None if best_us is None else max(0, best_us - self._still_us) / 1000,
        }
