"""Spawners of others: how they are found, what they are held to, and that the agent survives what they do."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions import checks
from sessions.conf import conf
from sessions.spawners import guard, registry
from sessions.spawners.base import DesktopSpec, Display, SpawnError
from sessions.spawners.guard import GuardedSpawner
from sessions.spawners.local import LocalSpawner
from sessions.spawners.registry import SpawnerUnusable, spawner_class
from sessions.states import Reason, Stage, State

from .conftest import ROOT, Installation, children_of, wait_for
from .failing_spawner import FailingSpawner

GUIDE = ROOT / "docs" / "how-to" / "spawners.md"
SID = "ab" * 16


def spec_for(command: str) -> DesktopSpec:
    sizes = {"width": 320, "height": 200, "maximum_width": 320, "maximum_height": 200}
    fields = {"sid": SID, "kind": "application", "command": command, "network": "none", "needs_gl": False}
    return DesktopSpec(**{**fields, **sizes})


def install(directory: Path, spawners: dict[str, str], **modules: str) -> None:
    """Make an installed package of ``modules`` that offers ``spawners``."""
    for name, text in modules.items():
        (directory / f"{name}.py").write_text(text)
    number = len(list(directory.glob("*.dist-info")))
    info = directory / f"spawners_{number}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: spawners-{number}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in spawners.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{registry.GROUP}]", *lines, ""]))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of installed packages that this process sees."""
    directory = tmp_path / "packages"
    directory.mkdir()
    monkeypatch.syspath_prepend(str(directory))
    spawner_class.cache_clear()
    yield directory
    spawner_class.cache_clear()


# ---- finding one -----------------------------------------------------------------------------------------------


def test_the_one_that_comes_along_is_the_default() -> None:
    assert conf().spawner == "local"
    assert spawner_class("local") is LocalSpawner


def test_one_of_another_package_is_found_by_its_name(packages: Path) -> None:
    install(packages, {"failing": "tests.sessions.host.failing_spawner:FailingSpawner"})
    assert spawner_class("failing").__name__ == "FailingSpawner"


HALF = "from sessions.spawners.base import Spawner\nclass Half(Spawner):\n    async def start(self, *a): ...\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "There is no spawner called 'nothing'. Known are: .*local.*Install the package"),
        ("", "There is no spawner called ''"),
        ("missing", "cannot be loaded: ModuleNotFoundError: No module named 'not_there'"),
        ("bursts", "cannot be loaded: ZeroDivisionError"),
        ("nobody", "cannot be loaded: AttributeError"),
        ("plain", "is no subclass of sessions.spawners.base.Spawner"),
        ("half", "lacks: get_state, load_state, poll, stop"),
        ("twice", "Several packages offer a spawner called 'twice'"),
        ("local", "Several packages offer a spawner called 'local'"),
    ],
)
def test_one_that_cannot_be_used_is_named_with_a_remedy(packages: Path, settings: Any, name: str, words: str) -> None:
    offers = {"missing": "not_there:X", "bursts": "burst:X", "nobody": "half_a:Nobody", "plain": "half_a:dict"}
    offers |= {"half": "half_a:Half", "twice": "half_a:Half", "local": "half_a:Half"}
    install(packages, offers, burst="1 / 0", half_a=HALF + "dict = dict\n")
    install(packages, {"twice": "burst:X"})
    with pytest.raises(SpawnerUnusable, match=words) as caught:
        spawner_class(name)
    assert re.search("STRIPEDESK_SPAWNER=local|Remove all but one", str(caught.value))
    settings.STRIPEDESK = {**settings.STRIPEDESK, "SPAWNER": name}
    (found,) = checks.check_spawner(None)
    assert found.id == "desktops.E006" and found.hint and str(caught.value) in found.msg


# ---- what one is held to ---------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"START_LIMIT": 0.6, "STOP_LIMIT": 0.3, "CALL_LIMIT": 0.2, "LET_GO": 0.1}.items():
        monkeypatch.setattr(guard, name, value)
    monkeypatch.setattr(guard, "LOOK_INTERVAL", 0.2)
    monkeypatch.setattr(guard, "POLL_INTERVAL", 0.01)


@pytest.fixture
def spawners(tmp_path: Path, hasty: None, settings: Any) -> Iterator[Any]:
    (tmp_path / "run").mkdir()
    (tmp_path / "state").mkdir()
    settings.STRIPEDESK = {**settings.STRIPEDESK, "RUNTIME_DIR": tmp_path / "run", "STATE_DIR": tmp_path / "state"}
    made: list[FailingSpawner] = []

    def make(failure: str = "") -> tuple[GuardedSpawner, FailingSpawner]:
        inner = FailingSpawner(conf(), SID, True)
        inner.failure = failure
        made.append(inner)
        return GuardedSpawner(conf(), SID, True, inner), inner

    yield make
    for inner in made:
        inner.kill()


@pytest.mark.parametrize(
    ("failure", "reason", "message"),
    [
        ("never", Reason.NO_DISPLAY, "The desktop did not come up within 1 seconds (FailingSpawner)."),
        ("never, and deaf", Reason.NO_DISPLAY, "The desktop did not come up within 1 seconds (FailingSpawner)."),
        ("raises", Reason.NO_DISPLAY, "FailingSpawner failed at starting it: Surprise: the cloud [31mis down"),
        ("refuses", Reason.NO_DISPLAY, "Not here.Notnow."),
        ("cancels", Reason.NO_DISPLAY, "FailingSpawner.start cancelled itself"),
        ("nonsense", Reason.NO_DISPLAY, "FailingSpawner started something that is no display. See its guide."),
    ],
)
async def test_a_start_that_fails_is_a_spawn_error_in_bounded_time(
    spawners: Any, failure: str, reason: Reason, message: str
) -> None:
    spawner, _ = spawners()
    stages: list[Stage] = []
    async with asyncio.timeout(5):
        with pytest.raises(SpawnError) as caught:
            await spawner.start(spec_for(failure), stages.append)
    assert caught.value.reason is reason and message in str(caught.value)
    assert stages == []
    await spawner.stop()
    assert not spawner.paths.runtime.exists()


async def test_a_start_that_is_cancelled_ends_though_its_spawner_is_deaf(spawners: Any) -> None:
    spawner, _ = spawners()
    task = asyncio.create_task(spawner.start(spec_for("never, and deaf"), lambda stage: None))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled() and time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("failure", "words"),
    [("stop hangs", "did not end it within 0 seconds: parts may be left"), ("stop raises", "Surprise: it is gone")],
)
async def test_a_stop_that_fails_ends_and_says_what_may_be_left(spawners: Any, failure: str, words: str) -> None:
    spawner, _ = spawners(failure)
    async with asyncio.timeout(5):
        await spawner.stop()
    assert words in spawner.left_behind


@pytest.mark.parametrize("screen", [lambda: time.sleep(0.4), lambda: 1 / 0, lambda: "7", lambda: True, lambda: None])
async def test_a_screen_that_is_none_is_done_without(spawners: Any, screen: Any) -> None:
    spawner, inner = spawners()
    assert await spawner.screen() is None  # what a spawner says that knows of none
    inner.screen = screen
    async with asyncio.timeout(5):
        assert await spawner.screen() is None
    inner.screen = lambda: 7
    assert await spawner.screen() == 7


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("dies", "It died."),
        ("says nonsense", "FailingSpawner can no longer tell whether the desktop lives"),
        ("poll raises", "FailingSpawner can no longer tell whether the desktop lives"),
    ],
)
async def test_an_end_is_told_honestly(spawners: Any, failure: str, message: str) -> None:
    spawner, _ = spawners(failure)
    async with asyncio.timeout(5):
        exit = await spawner.wait()
    assert exit.failed and exit.reason is Reason.DESKTOP_EXITED and message in exit.message


@pytest.mark.parametrize("failure", ["says it lives", "poll hangs"])
async def test_a_desktop_that_is_dead_is_not_taken_for_alive(spawners: Any, failure: str) -> None:
    spawner, inner = spawners()
    await spawner.start(spec_for(failure), lambda stage: None)
    waiting = asyncio.create_task(spawner.wait())
    await asyncio.sleep(0.8)
    assert not waiting.done() and await spawner.poll() is None
    inner.kill()
    exit = await asyncio.wait_for(waiting, 5)
    assert exit.failed and "display is gone" in exit.message
    assert (await spawner.poll()) is not None


@pytest.mark.parametrize(
    "failure", ["huge", "no JSON", "not a number", "a NUL", "half a character", "no dict", "state raises"]
)
async def test_a_state_that_cannot_be_kept_is_not(spawners: Any, failure: str) -> None:
    spawner, inner = spawners("fine")
    assert spawner.get_state() == {"failure": "fine"}
    inner.failure = failure
    assert spawner.get_state() == {"failure": "fine"}  # the last that was one
    json.dumps(spawner.get_state())


@pytest.mark.parametrize("failure", ["load raises", "loads nonsense", "claims what is gone"])
async def test_a_desktop_that_is_gone_is_not_found_again(spawners: Any, failure: str) -> None:
    spawner, _ = spawners()
    assert spawner.load_state({"failure": failure}) is None


async def test_a_desktop_that_is_there_is_found_again(spawners: Any) -> None:
    spawner, _ = spawners()
    display = await spawner.start(spec_for("fine"), lambda stage: None)
    again, _ = spawners()
    assert again.load_state(spawner.get_state()) == display
    assert again.identity == spawner.identity


@pytest.mark.parametrize(
    "display",
    [None, "x", Display("relative", 0, "", ""), Display("/a\0b", 0, "", ""), Display("/a", "0", "", "")],  # type: ignore[arg-type]
)
def test_what_is_no_display_is_none(display: Any) -> None:
    assert not guard.is_display(display)


# ---- with a host agent -----------------------------------------------------------------------------------------

HASTE = {"TEST_START_LIMIT": "3", "TEST_STOP_LIMIT": "1", "TEST_LOOK_INTERVAL": "0.5", "TEST_DEAF": "99"}


@pytest.mark.usefixtures("root")
def test_an_agent_survives_every_one_of_them(installation: Installation, tmp_path: Path) -> None:
    install(tmp_path, {"failing": "tests.sessions.host.failing_spawner:FailingSpawner"})
    environment = {"PYTHONPATH": str(tmp_path), "STRIPEDESK_SPAWNER": "failing", **HASTE}
    failures = {
        "slow": (State.RUNNING, ""),
        "never, and deaf": (State.FAILED, "did not come up within 3 seconds"),
        "raises": (State.FAILED, "failed at starting it: Surprise"),
        "nonsense": (State.FAILED, "is no display"),
        "dies": (State.FAILED, "It died."),
        "poll raises": (State.FAILED, "can no longer tell"),
        "huge": (State.RUNNING, ""),
        "stop hangs": (State.RUNNING, ""),
    }
    rows = {failure: installation.launch(failure) for failure in failures}
    agent = installation.start_agent(**environment)
    for failure, (state, words) in failures.items():
        row = wait_for(
            lambda pk=rows[failure], state=state: (found := installation.session(pk)).state == state and found,
            30,
            lambda failure=failure: f"{failure}: {installation.session(rows[failure]).state}\n{installation.log()}",
        )
        assert words in row.message, failure
    assert agent.poll() is None
    # The display of one dies unseen by its spawner, and one cannot be ended.
    slow = installation.session(rows["slow"])
    (server,) = [p for p in Path("/proc").iterdir() if p.name.isdigit() and is_server(p, slow.sid)]
    os.kill(int(server.name), signal.SIGKILL)
    assert "display is gone" in installation.until(rows["slow"], State.FAILED, seconds=15).message
    installation.stop(rows["stop hangs"])
    row = installation.until(rows["stop hangs"], State.ENDED, seconds=15)
    assert row.reason == Reason.STOPPED_BY_USER and "parts may be left" in row.message
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and is_server(directory, row.sid):
            os.kill(int(directory.name), signal.SIGKILL)
    # Its own end does not wait for what will not end.
    agent.terminate()
    assert agent.wait(15) == 0, installation.log()


@pytest.mark.usefixtures("root")
def test_an_x_server_that_dies_unseen_is_noticed_by_its_silence(installation: Installation) -> None:
    """The shell that waits for it was killed before; the application draws nothing and lives on."""
    installation.start_agent()
    pk = installation.launch("sleep 90")
    script = installation.until(pk, State.RUNNING).spawner_state["script"]["pid"]
    watcher, server = next(
        (child, grandchild)
        for child in children_of(script)
        for grandchild in children_of(child)
        if Path(f"/proc/{grandchild}/comm").read_text() == "Xvfb\n"
    )
    os.kill(watcher, signal.SIGKILL)
    time.sleep(0.3)
    assert installation.session(pk).state == State.RUNNING
    os.kill(server, signal.SIGKILL)
    row = wait_for(lambda: (row := installation.session(pk)).state == State.FAILED and row, 15, installation.log)
    assert row.reason == Reason.DESKTOP_EXITED and "display is gone" in row.message
    assert installation.processes_of(pk) == [] and not installation.paths(pk).runtime.exists()


def is_server(directory: Path, sid: str) -> bool:
    try:
        return f":{25_000 + int(sid[:4], 16) % 5000}".encode() in (directory / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


@pytest.mark.usefixtures("root")
def test_the_guides_example_runs_stops_and_is_found_again(installation: Installation, tmp_path: Path) -> None:
    text = GUIDE.read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (offer,) = re.findall(r"stripedesk\.spawners\"\]\n(\w+) = \"(.*?)\"", text)
    install(tmp_path, dict([offer]), **{offer[1].partition(":")[0]: example})
    environment = {"PYTHONPATH": str(tmp_path), "STRIPEDESK_SPAWNER": offer[0]}
    agent = installation.start_agent(**environment)
    pk, refused = installation.launch("xterm"), installation.launch("xterm", kind="desktop")
    installation.until(pk, State.RUNNING)
    row = installation.until(refused, State.FAILED)
    assert row.reason == Reason.NO_SANDBOX and "single applications without a network only" in row.message
    pid = installation.session(pk).spawner_state["pid"]
    agent.terminate()
    agent.wait(10)
    installation.start_agent(**environment)
    wait_for(lambda: installation.log().count("found again") == 1, 30, installation.log)
    assert installation.session(pk).state == State.RUNNING and Path(f"/proc/{pid}").exists()
    installation.stop(pk)
    installation.until(pk, State.ENDED)
    wait_for(lambda: not any(f"-{pid}-" in line for line in groups()), 5, "its processes to end")
    assert not installation.paths(pk).runtime.exists() and list(installation.runtime.glob("uids/*")) == []


def groups() -> list[str]:
    """Process groups of everything that lives, as ``-PGID-``."""
    found = []
    for directory in Path("/proc").iterdir():
        try:
            if directory.name.isdigit():
                state, _, group = (directory / "stat").read_text().rpartition(")")[2].split()[:3]
                if state != "Z":
                    found.append(f"-{group}-")
        except OSError:
            continue
    return found


@pytest.mark.usefixtures("root")
def test_an_agent_with_an_unknown_spawner_says_so_and_ends(installation: Installation) -> None:
    agent = installation.start_agent(STRIPEDESK_SPAWNER="clouds")
    assert agent.wait(20) != 0
    assert "There is no spawner called 'clouds'" in installation.log()
