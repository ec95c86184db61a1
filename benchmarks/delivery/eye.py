"""What a viewer sees: his pictures decoded in a process of their own.

A decode in Python takes tens of times as long as one in a browser. In the viewers' process it would hold up their
acknowledgements, however it is threaded, and the server would take their links for slow. Awaited on one event loop.
"""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.delivery.stamps import read_stamps
from benchmarks.display import map_framebuffer
from stripeengine.decode import Decoder
from stripeengine.errors import DecodeError, WireError

PR_SET_PDEATHSIG = 1


class Seen(NamedTuple):
    """The picture after a commit. ``stamp_us`` 0: no stamp in it."""

    stamp_us: int
    decoded: bool
    exact: bool
    """It is what it is compared with."""


class Eye:
    """One viewer's. `see` is called for one commit after the other."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self._pool.submit(_begin)  # now, not at the first picture

    async def see(self, parts: Sequence[bytes]) -> Seen:
        """Decode the messages of one commit."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _see, parts)

    def compare(self, framebuffer: Path) -> None:
        """From now on compare with an X server's framebuffer, which is at rest."""
        self._pool.submit(_compare, framebuffer)

    def close(self) -> None:
        """See nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _State:
    """Of the process that decodes."""

    decoder = Decoder()
    truth: np.ndarray | None = None


def _begin() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _compare(framebuffer: Path) -> None:
    _State.truth = map_framebuffer(framebuffer)[:, :, 2::-1].copy()


def _see(parts: Sequence[bytes]) -> Seen:
    try:
        for part in parts:
            _State.decoder.apply(part)
    except (DecodeError, WireError):
        return Seen(0, False, False)
    picture = _State.decoder.picture
    try:
        stamp = read_stamps(picture)
    except ValueError:
        stamp = 0
    return Seen(stamp, True, _State.truth is not None and np.array_equal(_State.truth, picture))
