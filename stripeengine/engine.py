"""The engine seen from Python: start, take frames, change settings, close.

The C engine has one thread of its own and shares the process' encoder threads; none of them takes the GIL. Every method
may be called on any thread. Only `Engine.snapshot` and `Engine.repair` (one encode) and `Engine.close` (the end of the
frame in work) block. An engine does not survive fork: in the child its methods raise `EngineError` and closing does
nothing.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from .errors import EngineError
from .ffi import check_error, check_mode, check_pointer, error_of, ffi, lib
from .frame import Frame
from .settings import EngineSettings, Setting


class NativeSource(Protocol):
    """A source the C engine can use: `X11Source`, `FramebufferSource`, `TestPatternSource`."""

    @property
    def pointer(self) -> Any:
        """The ``struct se_source *``, valid until the source is closed."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A pointer image: ``rgba`` is height × width × 4 bytes, straight alpha; 0 × 0 when the pointer is hidden."""

    serial: int
    width: int
    height: int
    hot_x: int
    hot_y: int
    rgba: bytes


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counters since start. Latency is from damage seen to frame ready, of the last 1024 frames, 0 before the first."""

    frames: int
    ops: int
    bytes: int
    dropped: int
    wakeups: int
    scans: int
    cpu_s: float
    width: int
    height: int
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float


_SNAPSHOT_QUALITY = Setting("quality", int, None, "Quality of a snapshot.", minimum=1, maximum=100)

_open: weakref.WeakSet[Engine] = weakref.WeakSet()
_users: weakref.WeakKeyDictionary[NativeSource, weakref.ref[Engine]] = weakref.WeakKeyDictionary()


def _close_all() -> None:
    for engine in list(_open):
        engine.close()


atexit.register(_close_all)


NOT_NATIVE = {"keyframe_interval_ms"}
"""Settings that whoever asks for key frames keeps; the engine makes them when they are asked for."""


def _native_settings(settings: EngineSettings) -> Any:
    check_mode(settings.mode)
    values = {name: value for name, value in settings.as_dict().items() if name not in NOT_NATIVE}
    values["mode"] = getattr(lib, f"SE_MODE_{settings.mode.upper()}")
    values["chroma"] = int(settings.chroma)
    values["colour_space"] = int(settings.colour_space.removeprefix("bt"))
    values["colour_range"] = getattr(lib, f"SE_RANGE_{settings.colour_range.upper()}")
    values["paint_over_colour"] = getattr(lib, f"SE_PAINT_{settings.paint_over_colour.upper()}")
    return ffi.new("struct se_settings *", values)


def _percentile(ordered: list[int], share: float) -> float:
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000


def _take_all(frames: Any, count: Any) -> list[bytes]:
    """Return the messages of a snapshot and free them."""
    try:
        return [
            bytes(ffi.buffer(lib.se_frame_data(frame), lib.se_frame_size(frame)))
            for frame in ffi.unpack(frames[0], count[0])
        ]
    finally:
        lib.se_frames_free(frames[0], count[0])


class Engine:
    """Turns what changes in ``source`` into wire messages.

    Raises `EngineError` if the source is closed or in use by another engine, `SettingsError` if this build lacks
    the mode. With ``stamp``, a message carries the time it was taken as its publish time.
    """

    def __init__(self, source: NativeSource, settings: EngineSettings | None = None, *, stamp: bool = True) -> None:
        self._native: Any = None
        self._failure: EngineError | None = None
        self._pid = os.getpid()
        user = _users.get(source)
        if user is not None and (other := user()) is not None and not other.closed:
            raise EngineError("this source serves another engine already: close that one first")
        self._settings = settings if settings is not None else EngineSettings()
        pointer = source.pointer
        native = check_pointer(lib.se_engine_new(pointer, _native_settings(self._settings), stamp))
        self._source: NativeSource | None = source  # lives as long as the engine
        self._native = ffi.gc(native, lib.se_engine_free)
        self._epoch: int = lib.se_engine_epoch(native)
        _users[source] = weakref.ref(self)
        _open.add(self)
        attach = getattr(source, "attach", None)
        if attach is not None:
            attach(self)

    @property
    def _pointer(self) -> Any:
        native = self._native  # read once: another thread may close meanwhile, and this reference keeps it alive
        if native is None:
            raise EngineError("this engine is closed")
        if os.getpid() != self._pid:
            raise EngineError("an engine does not survive fork: make a new one in the child process")
        return native

    @property
    def epoch(self) -> int:
        """The random, non-zero number of this engine's life."""
        return self._epoch

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._native is None

    @property
    def settings(self) -> EngineSettings:
        """The settings in force."""
        return self._settings

    def start(self) -> None:
        """Start capturing; the first frame carries the whole picture. Idempotent."""
        check_error(lib.se_engine_start(self._pointer))

    def close(self) -> None:
        """Stop the thread and free the engine. Frames already taken stay valid. Idempotent."""
        native, self._native = self._native, None
        if native is None:
            return
        _open.discard(self)
        if os.getpid() != self._pid:
            return
        self._note_failure(native)
        lib.se_engine_stop(native)
        self._source = None

    def fileno(self) -> int:
        """Return the eventfd that is readable when a frame, a cursor or a failure waits: read 8 bytes, then take."""
        return int(lib.se_engine_fd(self._pointer))

    def take(self) -> Frame | None:
        """Return the next finished frame, or None. Never blocks."""
        native = lib.se_engine_take(self._pointer)
        return None if native == ffi.NULL else Frame(native)

    def update(self, **changes: Any) -> None:
        """Change settings from the next frame on. Raises `SettingsError`; then nothing has changed."""
        settings = self._settings.replace(changes)
        check_error(lib.se_engine_update(self._pointer, _native_settings(settings)))
        self._settings = settings

    def snapshot(self, quality: int | None = None) -> list[bytes]:
        """Return the picture as of the last frame taken, in snapshot messages of at most 256 KiB each.

        ``quality`` is that of the JPEGs, 1…100; None takes the better of the two in the settings. Blocks for one
        encode. Raises `EngineError` if the engine is not running, `SettingsError` for a bad quality.
        """
        if quality is not None:
            _SNAPSHOT_QUALITY.check(quality)
        frames, count = ffi.new("struct se_frame ***"), ffi.new("size_t *")
        check_error(lib.se_engine_snapshot(self._pointer, quality or 0, frames, count))
        return _take_all(frames, count)

    def repair(
        self, rectangles: Sequence[tuple[int, int, int, int]], *, shrink: int = 1, quality: int | None = None
    ) -> list[bytes]:
        """Return parts of the picture, as `snapshot` does: for each rectangle at least one message marked PARTIAL.

        ``rectangles`` are 1…1024 of ``(x, y, w, h)``, cut to the picture. With ``shrink`` 2 or 4 they have so many
        times fewer pixels each way, as JPEG. Blocks for one encode. Raises `EngineError`, `SettingsError`.
        """
        if quality is not None:
            _SNAPSHOT_QUALITY.check(quality)
        frames, count = ffi.new("struct se_frame ***"), ffi.new("size_t *")
        rects = ffi.new("struct se_rect[]", list(rectangles))
        pointer = self._pointer
        check_error(lib.se_engine_repair(pointer, quality or 0, shrink, rects, len(rectangles), frames, count))
        return _take_all(frames, count)

    def pause(self, paused: bool) -> None:
        """While paused the engine notes what changes and does nothing else.

        A snapshot asked for after the pause has what changed meanwhile; that is finished as a frame first.
        """
        lib.se_engine_pause(self._pointer, paused)

    def request_key_frames(self) -> None:
        """Make every stripe's next H.264 picture a key frame. What stands still is not sent for it."""
        lib.se_engine_request_key_frames(self._pointer)

    def cursor(self) -> Cursor | None:
        """Return the newest pointer image if it changed since last asked."""
        native = lib.se_engine_cursor(self._pointer)
        if native == ffi.NULL:
            return None
        try:
            size = native.width * native.height * 4
            rgba = bytes(ffi.buffer(native.rgba, size)) if size else b""
            return Cursor(native.serial, native.width, native.height, native.hot_x, native.hot_y, rgba)
        finally:
            lib.se_cursor_copy_free(native)

    def stats(self) -> EngineStats:
        """Return the counters."""
        native = ffi.new("struct se_stats *")
        lib.se_engine_stats(self._pointer, native)
        latency = sorted(ffi.unpack(native.latency_us, native.latency_count)) if native.latency_count else []
        return EngineStats(
            frames=native.frames,
            ops=native.ops,
            bytes=native.bytes,
            dropped=native.dropped,
            wakeups=native.wakeups,
            scans=native.scans,
            cpu_s=native.cpu_ns / 1e9,
            width=native.width,
            height=native.height,
            latency_p50_ms=_percentile(latency, 0.50),
            latency_p95_ms=_percentile(latency, 0.95),
            latency_p99_ms=_percentile(latency, 0.99),
        )

    @property
    def failure(self) -> EngineError | None:
        """What ended the engine, or None: a `SourceError` if the source died. Kept after `close`."""
        native = self._native
        if self._failure is None and native is not None and os.getpid() == self._pid:
            self._note_failure(native)
        return self._failure

    def _note_failure(self, native: Any) -> None:
        code, text = ffi.new("int *"), ffi.new("char **")
        if lib.se_engine_failure(native, code, text):
            self._failure = error_of(code[0], ffi.string(text[0]).decode("utf-8", "replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
