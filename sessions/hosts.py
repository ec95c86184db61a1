"""Watches the hosts' heartbeats: says of one that is missed that it is lost, and what that means for its sessions.

Every host agent watches the others, and one web process a machine watches all, for when no agent is left. Each goes by
its own monotonic clock since it last saw a host's ``beat`` change, so no two clocks are compared and none may jump. A
host that beats again takes the mark away itself. Synchronous; blocks on the database.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.db import Error as DatabaseTrouble
from django.db import close_old_connections
from django.db.models import QuerySet

from .conf import conf
from .hostagent.lifecycle import LIVING, Lifecycle
from .models import DesktopSession, SessionHost, SpareDesktop
from .models.session_host import LOST_AFTER
from .states import Reason, State, Wanted

logger = logging.getLogger(__name__)

LOOK_S = 1.0
GONE_AFTER = timedelta(minutes=10)
"""A host that was lost for so long is not waited for: its sessions fail."""

NO_ANSWER = "Its host does not answer. It goes on if the host comes back; if not, stop it and start another."
STOPPED_THERE = "Its host does not answer. When it comes back, it clears what is left of this session."


class HostWatch:
    """What one process has seen of the hosts. Used by one thread at a time."""

    def __init__(self, lifecycle: Lifecycle, own: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._lifecycle = lifecycle
        self._own = own
        self._clock = clock
        self._beats: dict[int, tuple[int, float]] = {}

    def look(self) -> None:
        """Look once at every host but one's own, and act on what has changed."""
        now = self._clock()
        for host in SessionHost.objects.exclude(name=self._own):
            beat, since = self._beats.get(host.pk, (None, now))
            if beat != host.beat:
                self._beats[host.pk] = host.beat, now
                continue
            silent = now - since
            if silent > LOST_AFTER.total_seconds() and not host.lost:
                self._lose(host, silent)
            if host.lost:
                self._settle(host, gone=silent > GONE_AFTER.total_seconds())
        for pk in DesktopSession.objects.filter(host=None, state__in=LIVING).values_list("pk", flat=True):
            self._lifecycle.finish(pk, State.FAILED, Reason.HOST_LOST, "Its host was removed.")

    def _lose(self, host: SessionHost, silent: float) -> None:
        # Only if it has not beaten since: then it was this process that slept.
        if not SessionHost.objects.filter(pk=host.pk, beat=host.beat, lost=False).update(lost=True):
            return
        logger.warning("host %s is lost: no heartbeat for %.0f s", host.name, silent)
        host.lost = True
        SpareDesktop.objects.filter(host=host).update(ready=False)
        for pk, state in _sessions_of(host).values_list("pk", "state"):
            if state == State.STARTING:
                self._lifecycle.say(pk, State.STARTING, NO_ANSWER)
            elif state in (State.RUNNING, State.RECOVERING):
                self._lifecycle.recovering(pk, NO_ANSWER, Reason.HOST_LOST)
        # One that was to take a desktop started ahead there can start anywhere.
        DesktopSession.objects.filter(host=host, state=State.REQUESTED).update(host=None)

    def _settle(self, host: SessionHost, gone: bool) -> None:
        """End what nobody wants any more, and after a long time everything."""
        for pk, wanted, reason in _sessions_of(host).values_list("pk", "wanted", "stop_reason"):
            if wanted == Wanted.STOPPED:
                why = Reason(reason or Reason.STOPPED_BY_USER)
                self._lifecycle.finish(pk, State.ENDED, why, f"{why.label} {STOPPED_THERE}")
            elif gone:
                minutes = int(GONE_AFTER.total_seconds() // 60)
                message = f"Its host has not answered for {minutes} minutes."
                self._lifecycle.finish(pk, State.FAILED, Reason.HOST_LOST, message)


def _sessions_of(host: SessionHost) -> QuerySet[DesktopSession]:
    return DesktopSession.objects.filter(host=host, state__in=LIVING)


class Turn:
    """Which process of a machine does what one is enough for: whoever holds ``path``, until it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._mine = False

    def mine(self) -> bool:
        """Whether it is this process's turn, from now on. Also where the file cannot be had: twice does no harm."""
        if self._mine:
            return True
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            logger.debug("no turns are taken: %s", error)
            return True
        self._mine = True
        return True


def watch_from_web() -> None:
    """Watch from a web process, in a daemon thread: for when no host agent is left to do it."""
    from .actions.publish import send_now

    def announce(group: str, message: dict[str, object]) -> None:
        send_now([(group, message)])

    watch, turn = HostWatch(Lifecycle(announce)), Turn(conf().runtime_dir / "hosts.lock")

    def run() -> None:
        while True:
            time.sleep(LOOK_S)
            if not turn.mine():
                continue
            try:
                close_old_connections()
                watch.look()
            except DatabaseTrouble as error:
                logger.debug("hosts are not watched: %s", error)
            except Exception:
                logger.exception("watching the hosts failed; it goes on")

    threading.Thread(target=run, name="hosts", daemon=True).start()
