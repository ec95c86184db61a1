"""When the engines of this process are at rest: their threads sleep, instead of waiting for a processor.

"Nothing more has come for 0.15 s" says nothing on a machine where a thread waits that long for its turn. Linux tells
which threads want to run, so a test can wait for the work it has caused however long that takes there.
"""

from __future__ import annotations

import os
import threading

SLICE_S = 0.01
PATIENCE_S = 20.0  # for what never rests


def others_work() -> bool:
    """Tell whether another thread of this process runs, or waits for a processor or a disk."""
    own = str(threading.get_native_id())
    for thread in os.listdir("/proc/self/task"):
        if thread == own:
            continue
        try:
            with open(f"/proc/self/task/{thread}/stat") as file:
                state = file.read().rpartition(") ")[2][:1]
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        if state in "RD":
            return True
    return False
