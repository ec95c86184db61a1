"""The reference pipeline: the engine's contract in legible Python, the oracle of the tests.

`encoders` makes the lossy payloads, `source` holds the picture, `stripes` cuts it, `engine` decides what is sent when.
"""

from .engine import ReferenceEngine, ReferenceFrame, ReferenceStats
from .source import ReferenceSource, Source

__all__ = ["ReferenceEngine", "ReferenceFrame", "ReferenceSource", "ReferenceStats", "Source"]
