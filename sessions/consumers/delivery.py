"""One viewer's pictures: his window, the pump that sends, and the bus that feeds them; and what is told about them.

Runs on the event loop; nothing here blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from ..latency import Samples
from ..serving import framebus
from ..serving.asks import Ask
from ..serving.caps import Caps
from ..serving.direct import Direct
from ..serving.frames import Answer, Frame
from ..serving.pump import Pump
from ..serving.window import FrameWindow, KeyFrames, Phase

Notice = Callable[[str, str], None]


class Delivery:
    """The viewer as a FrameBus sees him.

    ``notice`` tells him something, by code and text; ``sent`` is told the size of every picture.
    """

    def __init__(
        self,
        viewer: str,
        send: Callable[[dict[str, Any]], Awaitable[None]],
        notice: Notice,
        sent: Callable[[int], None],
        direct: Direct | None = None,
    ) -> None:
        self.id = viewer
        self.rank = 0
        self.window = FrameWindow()
        self.pump = Pump(send, self.window, self._request, sent, direct)
        self._bus: framebus.FrameBus | None = None
        self._notice = notice
        self._noticed: set[str] = set()
        self.samples = Samples()

    @property
    def started(self) -> bool:
        """Whether pictures flow, or will."""
        return self._bus is not None

    def start(self, session: str) -> None:
        """Join the session's bus."""
        if self._bus is None:
            self._bus = framebus.join(session, self)
            self.pump.start_pictures()

    async def stop(self) -> None:
        """Leave the bus; send nothing more."""
        if self._bus is not None:
            framebus.leave(self._bus, self)
        await self.pump.stop()

    def bound(self, kbps: int, fps: int) -> None:
        """Send at most so many kbit and pictures a second; 0 for no bound."""
        if (kbps, fps) != (self.window.caps.kbps, self.window.caps.fps):
            self.window.caps = Caps(kbps, fps)
            self.pump.wake()

    def place(self, rank: int) -> None:
        """Who has a lower rank is handed every frame before him who has a higher one."""
        if rank != self.rank:
            self.rank = rank
            if self._bus is not None:
                self._bus.arrange()

    def hide(self, hidden: bool) -> None:
        """Nobody looks at the page, or somebody does again."""
        self.window.set_hidden(hidden)
        self.pump.wake()
        self.tick()

    def tick(self) -> None:
        """Once a second: let the worker know that somebody looks."""
        if self._bus is not None:
            self._bus.tell_watchers()

    def stats(self) -> dict[str, Any]:
        """Return the protocol's `stats.delivery` (section 6.5); medians are of the time since the last call."""
        window, flight = self.window, self.window.flight
        relays, acks = self.pump.relays, flight.delays
        self.pump.relays, flight.delays = [], []
        self.samples.extend("relay", relays)
        self.samples.extend("ack", acks)
        return {
            "phase": window.phase.value,
            "shrink": window.shrink if window.references.missed or window.references.inexact else 1,
            "window": flight.window,
            "rate_kbps": round(flight.rate.bytes_per_s / 125),
            "cap_kbps": window.caps.kbps,
            "cap_fps": window.caps.fps,
            "relay_ms": _median_ms(relays),
            "ack_ms": _median_ms(acks),
            "sent": window.counts["sent"],
            "repairs": window.counts["repairs"],
            "snapshots": window.counts["snapshots"],
            "missed": window.references.missed.bit_count() if window.phase is not Phase.START else 0,
            "inexact": window.references.inexact.bit_count(),
            "dropped": dict(window.dropped + window.references.dropped),
        }

    # ---- from the bus --------------------------------------------------------------------------------------------

    @property
    def watches(self) -> bool:
        """Whether the viewer looks at his page."""
        return not self.window.hidden

    def on_frame(self, frame: Frame) -> None:
        """A frame."""
        self.window.frame(frame, frame.received)
        self.pump.push()

    def on_answer(self, answer: Answer) -> None:
        """A snapshot or repair that the window asked for."""
        self.window.answer(answer, asyncio.get_running_loop().time())
        self.pump.wake()

    def on_gap(self, epoch: int, number: int) -> None:
        """The bus has lost frames."""
        self.window.gap(epoch, number)
        self.pump.wake()

    # ---- inside --------------------------------------------------------------------------------------------------

    def _request(self, request: Ask | KeyFrames) -> None:
        """What the window needs of the worker."""
        if self._bus is None:
            return
        if isinstance(request, KeyFrames):
            self._bus.request_key_frames()
        elif request.whole:
            self._bus.request_snapshot(self.id, request.small)
        else:
            self._bus.request_repair(self.id, request)
        codec = self.window.missing_codec
        if codec and codec not in self._noticed:
            self._noticed.add(codec)
            what = "H.264 video in full colour resolution (4:4:4)" if codec == "h264-444" else "H.264 video"
            self._notice(
                "codec-missing",
                f"This session is shown as {what}, which this browser cannot play. You see stills of it, a few in a "
                "second. Another browser, or another quality preset, shows it live.",
            )


def _median_ms(seconds: list[float]) -> float | None:
    return round(median(seconds) * 1000, 1) if seconds else None
