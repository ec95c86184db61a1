"""The consumer of one viewer's WebSocket (docs/protocol.md, section 6).

Runs on the event loop. `_serve` and `dispatch` replace Channels' own, which hops through a thread for every message:
frames, acknowledgements and input must not wait for somebody's database query. What needs the database runs in tasks
beside it. The pump alone sends; what this class sends is queued there.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import Any

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from channels.layers import get_channel_layer

from ..access import LINK_CLOSED, AccessError
from ..actions.errors import ActionError
from ..permissions import Permission, Role
from ..serving import framebus, presence
from ..serving.direct import DIRECT
from ..serving.flight import WINDOW
from ..states import State
from ..tasks import end_soon, end_tasks
from ..worker.messages import MessageError, session_group
from . import incoming
from .admission import Door, NotNow, Standing, ending, open_link, state_event
from .codes import CLOSE_CODES, TRY_AGAIN
from .delivery import Delivery
from .events import check_event
from .hearing import hear
from .inputs import Inputs
from .report import Report

logger = logging.getLogger(__name__)

VERSION = 1
HELLO_S = 5.0
HEARTBEAT_S = 10
SILENCE_S = 3 * HEARTBEAT_S
RECHECK_S = 60.0
STARTING_RECHECK_S = 3.0
TURN = 16
"""Messages of one client before everybody else has a turn."""
MOST_STRIKES = 5
"""Messages that are not even JSON before the connection is closed."""
RANKS = (Role.OWNER, Role.COLLABORATOR, Role.VIEWER, Role.OPERATOR)
"""In this order everybody here is handed a frame: first who may act on what he sees."""
STREAMING = (State.RUNNING, State.RECOVERING)


class SessionConsumer(AsyncConsumer):  # type: ignore[misc]
    """One viewer. The routes' keyword is ``session_id`` or ``link_id``."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve the connection to its end, however it ends."""
        loop = asyncio.get_running_loop()
        self.id = secrets.token_hex(5)
        self.refused: Counter[str] = Counter()
        self._door = Door(scope, **{k: str(v) for k, v in scope["url_route"]["kwargs"].items()})
        self._standing: Standing | None = None
        self._greeted = False
        self._report = Report(loop.time())
        direct = scope.get("extensions", {}).get(DIRECT)
        self._delivery = Delivery(self.id, send, self._notice, self._report.sent, direct)
        self._delivery.samples = self._report.samples
        self._pump = self._delivery.pump
        self._window = self._delivery.window
        self._inputs = Inputs(self.id, self._send_input)
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._allowance = incoming.Allowance()
        self._opened = self._heard = self._looked = loop.time()
        self._strikes = 0
        self._noticed: set[str] = set()
        try:
            await self._serve(scope, receive, send)
        except NotNow as error:
            logger.warning("a viewer was turned away for now: %s", error or type(error).__name__)
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": TRY_AGAIN})
        finally:
            await self._leave()

    async def _serve(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scope, self.base_send = scope, send
        self.channel_layer = get_channel_layer(self.channel_layer_alias)
        self.channel_name = await self.channel_layer.new_channel()
        refuse = partial(self.refused.update, ["internal"])
        hearing = self._spawn(hear(self.channel_layer, self.channel_name, self._relay, self._look_soon, refuse))
        try:
            for number in itertools.count(1):
                await self.dispatch(await receive())
                if number % TURN == 0:
                    await asyncio.sleep(0)  # a flood never makes `receive` wait
        except StopConsumer:
            pass
        finally:
            await end_tasks(hearing, again=framebus.COMMAND_S)  # it gives its channel back

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle one message of the client, without a thread."""
        match message["type"]:
            case "websocket.receive":
                await self._receive(message)
            case "websocket.connect":
                await self.send({"type": "websocket.accept"})
                self._spawn(self._keep())
            case "websocket.disconnect":
                raise StopConsumer

    # ---- from the client -----------------------------------------------------------------------------------------

    async def _receive(self, message: dict[str, Any]) -> None:
        self._heard = asyncio.get_running_loop().time()
        text = message.get("text")
        if not self._allowance.take(self._heard):
            self.refused["too-many"] += 1
            return
        try:
            if text is None:
                raise incoming.Garbage("binary messages flow from server to client only")
            said = incoming.parse(text)
        except incoming.Garbage as error:
            self.refused["garbage"] += 1
            self._strikes += 1
            if self._strikes >= MOST_STRIKES or not self._greeted:
                self._end("malformed", f"This client does not speak the protocol: {error}.")
            return
        except MessageError as error:
            self.refused["malformed"] += 1
            if not self._greeted:
                self._end("malformed", f"The greeting was refused: {error}.")
            return
        if not self._greeted:
            self._greet(said)
        elif self._standing is not None:
            await self._obey(said, self._standing)
        else:
            self.refused["early"] += 1

    def _greet(self, said: incoming.ClientMessage) -> None:
        if not isinstance(said, incoming.Hello):
            self._end("malformed", "The first message must be a hello.")
        elif VERSION not in said.versions:
            self._end("version", "This page is of another version than the server. Reload it.")
        else:
            self._greeted = True
            self._spawn(self._admit(said))

    async def _obey(self, said: incoming.ClientMessage, standing: Standing) -> None:
        match said:
            case incoming.Ack(epoch, frame, serial):
                if self._window.ack(epoch, frame, self._heard, serial):
                    self._report.acked(said)
                else:
                    self.refused["ack"] += 1
                if not self._window.rests:
                    self._pump.push()
            case incoming.Input():
                self._input(said, standing)
            case incoming.Ping(t):
                pong = {"type": "pong", "t": t, "server_us": time.monotonic_ns() // 1000}
                self._pump.text(pong, newest="pong")
            case incoming.Missed(epoch, frame, areas, streams):
                self._window.missed(epoch, frame, areas, streams)
                self._pump.wake()
            case incoming.Resync():
                self._window.resync()
                self._pump.wake()
            case incoming.Visibility(hidden):
                self._delivery.hide(hidden)
            case incoming.Preset(preset_id):
                if Permission.SETTINGS in standing.permissions:
                    self._spawn(self._set_preset(preset_id))
                else:
                    self.refused["forbidden"] += 1
                    self._notice("preset-refused", "Only the session's owner may change its quality.")
            case incoming.Hello():
                self.refused["malformed"] += 1

    def _input(self, said: incoming.Input, standing: Standing) -> None:
        if Permission.INPUT not in standing.permissions:
            self.refused["forbidden"] += 1
            if "input-refused" not in self._noticed:
                self._noticed.add("input-refused")
                self._notice("input-refused", "You may watch this session, not control it.")
        elif standing.state is State.RUNNING and not self._inputs.put(said):
            self.refused["malformed"] += 1

    async def _send_input(self, message: dict[str, Any]) -> bool:
        return self._standing is not None and await framebus.send_to_worker(self._standing.session, message)

    async def _set_preset(self, preset_id: int) -> None:
        try:
            await self._door.set_preset(preset_id)
        except ActionError as error:
            self._notice(error.code, error.message)
        except AccessError as error:
            self._end(error.code, str(error))
        except NotNow:
            self._notice(
                "preset-refused", "The database cannot be reached. The quality stays as it is; try again soon."
            )

    # ---- from the session ----------------------------------------------------------------------------------------

    def _relay(self, event: Any) -> None:
        if self._standing is None:
            self._look_soon()
            return
        try:
            checked = check_event(event)
        except MessageError as error:
            self.refused["event"] += 1
            logger.debug("session %s: event refused: %s", self._standing.session, error)
            return
        kind = checked["type"]
        if kind == "preset":
            self._look_soon()  # it may bound what he is sent
        elif kind == "state":
            self._look_soon()  # the database decides; the event only says that there is something to see
            return
        if kind == "injected":
            received = self._inputs.received_us(checked["seq"]) if checked.pop("viewer") == self.id else None
            if received is None:
                return
            checked["received_us"] = received
            self._report.injected(received, checked["injected_us"])
        elif kind == "stats":
            checked["delivery"] = self._delivery.stats()
        self._pump.text(checked, newest=kind)

    # ---- standing ------------------------------------------------------------------------------------------------

    async def _admit(self, hello: incoming.Hello) -> None:
        """Let the viewer in, or say why not."""
        try:
            if self._door.link_id:
                await open_link(self._door.link_id, hello.ticket)
            standing = await self._door.look()
            # Listen first, look again afterwards: what changes in between is not missed.
            await self.channel_layer.group_add(session_group(standing.session), self.channel_name)
            standing, members = await self._door.welcome()
        except AccessError as error:
            self._end(error.code, str(error))
            return
        except NotNow as error:
            logger.warning("a viewer was turned away for now: %s", error or type(error).__name__)
            self._pump.close(TRY_AGAIN)
            return
        self._window.references.codecs = hello.codecs
        welcome = {"type": "welcome", "version": VERSION, "viewer": self.id, "role": standing.role.value}
        welcome |= {"permissions": sorted(standing.permissions), **members}
        self._pump.text({**welcome, "heartbeat_s": HEARTBEAT_S, "window": WINDOW})
        await presence.refresh(standing.session, self.id)
        self._take_standing(standing, None)
        if self._look_again:
            self._look_soon()

    def _take_standing(self, standing: Standing, before: Standing | None) -> None:
        """Act on what may have changed since ``before``."""
        self._standing = standing
        self._looked = asyncio.get_running_loop().time()
        if state_event(standing) != (state_event(before) if before else None):
            self._pump.text(state_event(standing))
        if not standing.state.watchable:
            self._end("session-ended", ending(standing))
            return
        if before and standing.permissions != before.permissions:
            permissions = sorted(standing.permissions)
            self._pump.text({"type": "role", "role": standing.role.value, "permissions": permissions})
            if Permission.INPUT not in standing.permissions:
                self._spawn(self._inputs.release())
        self._delivery.place(RANKS.index(standing.role))
        self._delivery.bound(standing.max_kbps, standing.max_fps)
        if not self._delivery.started and standing.state in STREAMING:
            self._delivery.start(standing.session)
            self._spawn(_send(standing.session, {"type": "worker.cursor"}))

    def _look_soon(self) -> None:
        """Read the standing again; calls during a look lead to one more."""
        if self._standing is None:
            self._look_again = True  # what he is being let in with may be older
            return
        if self._looking is not None and not self._looking.done():
            self._look_again = True
            return
        self._looking = self._spawn(self._look())

    async def _look(self) -> None:
        while True:
            self._look_again = False
            try:
                self._take_standing(await self._door.look(), self._standing)
            except AccessError as error:
                self._end(error.code, str(error))
                return
            except NotNow as error:
                logger.warning("viewer %s keeps what he may do, for now: %s", self.id, error or type(error).__name__)
                self._looked += STARTING_RECHECK_S - RECHECK_S  # ask again soon
                return
            if not self._look_again:
                return

    async def _keep(self) -> None:
        """Once a second: what is due by time alone."""
        loop = asyncio.get_running_loop()
        refreshed = loop.time()
        while True:
            await asyncio.sleep(1.0)
            now = loop.time()
            standing = self._standing
            self._tell_link(standing, now)
            self._delivery.tick()
            if standing is None:
                if not self._greeted and now > self._opened + HELLO_S:
                    self._end("timeout", "The page did not introduce itself in time.")
                continue
            if now > self._heard + SILENCE_S:
                self._end("timeout", "The connection was silent for too long.")
            if standing.link_expires is not None and time.time() >= standing.link_expires.timestamp():
                self._end("link-closed", LINK_CLOSED)
            if now > self._looked + (RECHECK_S if standing.state is State.RUNNING else STARTING_RECHECK_S):
                self._looked = now
                self._look_soon()
            if now > refreshed + presence.REFRESH_S:
                refreshed = now
                refused = self.refused.total() + self._inputs.dropped
                told = self._report.as_json(now, standing.role.value, self._delivery.stats(), refused)
                await presence.refresh(standing.session, self.id, told)

    def _tell_link(self, standing: Standing | None, now: float) -> None:
        """Tell the worker what the link of someone who controls the session carries; mere viewers do not count."""
        if standing is None:
            return
        kbps: int | None
        if Permission.INPUT in standing.permissions and not self._window.hidden and standing.state in STREAMING:
            kbps = self._window.flight.link.news(now)
        else:
            kbps = 0 if self._window.flight.link.lift() else None
        if kbps is not None:
            self._spawn(_send(standing.session, {"type": "worker.link", "viewer": self.id, "kbps": kbps}))

    # ---- ending --------------------------------------------------------------------------------------------------

    def _notice(self, code: str, message: str) -> None:
        self._pump.text({"type": "notice", "code": code, "message": message}, newest=f"notice {code}")

    def _end(self, code: str, message: str) -> None:
        error = {"type": "error", "code": code, "message": message}
        self._pump.close(CLOSE_CODES.get(code, 4403), error)

    async def _leave(self) -> None:
        """Give everything back. Nothing here may fail the others."""
        await self._delivery.stop()
        await self._inputs.stop()
        # All of them: one that went on would keep him among those who watch. A thread in the database may take longer.
        await asyncio.wait([end_soon(*self._tasks)], timeout=framebus.COMMAND_S)
        if self.refused:
            logger.info("viewer %s: refused %s", self.id, dict(self.refused))
        standing = self._standing
        if standing is None:
            return
        try:
            async with asyncio.timeout(framebus.COMMAND_S):
                await self.channel_layer.group_discard(session_group(standing.session), self.channel_name)
                await presence.forget(standing.session, self.id)
                await self._inputs.release()
                if self._window.flight.link.lift():
                    await _send(standing.session, {"type": "worker.link", "viewer": self.id, "kbps": 0})
        except Exception as error:
            logger.debug("viewer %s: leaving: %s", self.id, error or type(error).__name__)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("viewer %s: %s", self.id, error, exc_info=error)
            self._pump.close(1011)


async def _send(session: str, message: dict[str, Any]) -> None:
    await framebus.send_to_worker(session, message)
