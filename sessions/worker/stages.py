"""How long frames take in this process, and until one answers an input: for the status key.

Pure bookkeeping on the event loop's thread.
"""

from __future__ import annotations

import struct

from ..latency import Samples

ANSWER_US = 1_000_000
"""A frame that comes later than that after an input does not answer it."""
_TIMES = struct.Struct("<QQ")
_TIMES_AT = 16  # capture_us, publish_us in a frame's header (docs/protocol.md, section 2.1)
_ENCODE = struct.Struct("<I")
_ENCODE_AT = 40


class Stages:
    """Of one session."""

    def __init__(self) -> None:
        self.samples = Samples()
        self._injected = 0

    def injected(self, now_us: int) -> None:
        """The X server has just been given input; of what is not answered yet, the first counts."""
        if not self._injected or now_us - self._injected > ANSWER_US:
            self._injected = now_us

    def frame(self, header: memoryview | bytes) -> None:
        """Note a frame that is about to be published."""
        captured, published = _TIMES.unpack_from(header, _TIMES_AT)
        (encoded,) = _ENCODE.unpack_from(header, _ENCODE_AT)
        self.samples.add("encode", encoded / 1000)
        if published:
            self.samples.add("publish", (published - captured - encoded) / 1000)
        if self._injected and captured >= self._injected:
            if captured - self._injected <= ANSWER_US:
                self.samples.add("react", (captured - self._injected) / 1000)
            self._injected = 0
