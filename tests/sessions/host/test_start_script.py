"""The start script with a real X server: language, keyboard, resolution, input method, and kiosks that go on."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions.spawners import xauth
from sessions.spawners.base import DesktopSpec
from sessions.spawners.report import read_report
from sessions.spawners.variables import split_layouts, variables_of
from sessions.states import Reason, Stage
from sessions.worker.injector import Injector
from stripeengine.x11 import X11Input
from tests.sessions.worker.test_typing import Terminal, stroke

from .conftest import ROOT, wait_for

DESKTOP = ROOT / "sessions" / "desktop"
BASE = {"kind": "application", "command": "", "network": "none", "needs_gl": False}


def spec(**values: Any) -> DesktopSpec:
    sizes = {"width": 640, "height": 480, "maximum_width": 640, "maximum_height": 480}
    return DesktopSpec(**{"sid": "0" * 32, **BASE, **sizes, **values})


class Started:
    """A start script that runs, in a directory of its own and outside of any sandbox."""

    def __init__(
        self,
        directory: Path,
        kind: str,
        command: list[str],
        variables: dict[str, str],
        script: Path,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.directory, self.cookie = directory, xauth.make_cookie()
        self.report, self.log = directory / "report", directory / "log"
        self.report.touch()
        authority = directory / "authority"
        authority.write_bytes(xauth.pack(self.cookie, None))
        runtime = directory / "run"
        runtime.mkdir()
        self.environment = {
            "HOME": str(directory),
            "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
            "XAUTHORITY": str(authority),
            "XDG_RUNTIME_DIR": str(runtime),
            "USER": "user",
            **variables,
        }
        line = ["/bin/sh", str(script), str(self.report), kind, "640", "480", "800", "600", "no-gl", "any", *command]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                line, stdin=stdin, stdout=log, stderr=log, env=self.environment, start_new_session=True
            )

    def until_ready(self) -> int:
        wait_for(lambda: read_report(self.report).stage is Stage.STREAM, 15, lambda: self.said())
        number = read_report(self.report).display
        assert number is not None
        return number

    def output(self, *line: str) -> str:
        """What a program says that runs on the display."""
        environment = {**self.environment, "DISPLAY": f":{self.until_ready()}"}
        return subprocess.run(line, capture_output=True, text=True, timeout=10, env=environment, check=True).stdout

    def said(self) -> str:
        return self.report.read_text() + self.log.read_text(errors="replace")

    def close(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            time.sleep(0.1)
        self.process.wait(5)
        for entry in Path("/proc").iterdir():  # what made a session of its own, as D-Bus does
            try:
                if entry.name.isdigit() and str(self.directory).encode() in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
            except (OSError, ProcessLookupError):
                continue


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Started] = []

    def begin(command: str = "exec sleep 60", kind: str = "application", script: Path | None = None, **values: Any):  # type: ignore[no-untyped-def]
        words = ["sh", "-c", command]
        made = Started(tmp_path, kind, words, variables_of(spec(**values)), script or DESKTOP / "start.sh")
        started.append(made)
        return made

    yield begin
    for made in started:
        made.close()


@pytest.mark.parametrize(
    ("text", "layouts"),
    [
        ("us", ("us", "")),
        ("de(nodeadkeys)", ("de", "nodeadkeys")),
        ("de(nodeadkeys),ru", ("de,ru", "nodeadkeys,")),
        ("us,il(phonetic)", ("us,il", ",phonetic")),
    ],
)
def test_layouts_are_split_as_setxkbmap_takes_them(text: str, layouts: tuple[str, str]) -> None:
    assert split_layouts(text) == layouts


def test_what_the_platform_says_goes_before_a_template(start: Start) -> None:
    variables = variables_of(spec(environment={"LANG": "x", "STRIPEDESK_DPI": "$(reboot)", "A": "1"}))
    assert variables == {
        **{"A": "1", "LANG": "C.UTF-8", "STRIPEDESK_DPI": "96"},
        **{"STRIPEDESK_LAYOUT": "us", "STRIPEDESK_VARIANT": ""},
    }


def server_line(made: Started) -> list[bytes]:
    """The command line of the X server."""
    lines = [path.read_bytes().split(b"\0") for path in Path("/proc").glob("[0-9]*/cmdline")]
    (server,) = [line for line in lines if line[0] == b"Xvfb" and str(made.directory).encode() in b" ".join(line)]
    return server


def test_who_draws_gives_way_soon(start: Start) -> None:
    made = start("exec sleep 60")
    made.until_ready()
    server = server_line(made)
    assert server[server.index(b"-schedInterval") + 1] == b"1"


def test_programs_get_the_templates_variables_and_its_resolution(start: Start, tmp_path: Path) -> None:
    value = "two  words; $(id) `id` \"'*"
    made = start("env >$HOME/seen; exec sleep 60", environment={"GREETING": value}, dpi=144)
    assert "resolution:    144x14" in made.output("xdpyinfo")
    resources = made.output("xrdb", "-query")
    assert "Xft.dpi:\t144" in resources and "Xcursor.size:\t36" in resources and "XTerm*utf8" in resources
    seen = wait_for((tmp_path / "seen").read_text, 5, "the environment")
    assert f"GREETING={value}\n" in seen and "LANG=C.UTF-8\n" in seen
    assert "STRIPEDESK_" not in seen


def test_a_locale_that_is_not_there_is_named_and_utf8_stays(start: Start, tmp_path: Path) -> None:
    made = start("locale charmap >$HOME/seen; exec sleep 60", locale="tlh_AA.UTF-8")
    made.until_ready()
    wait_for(lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_text(), 5, "the locale")
    assert (tmp_path / "seen").read_text() == "UTF-8\n"
    assert "no locale 'tlh_AA.UTF-8'" in made.said() and "locales-all" in made.said()


def test_a_locale_that_is_there_is_taken(start: Start, tmp_path: Path) -> None:
    shutil.copytree("/usr/lib/locale/C.utf8", tmp_path / "locales" / "tlh_AA.utf8")
    variables = {"LOCPATH": str(tmp_path / "locales")}
    made = start("echo $LANG >$HOME/seen; exec sleep 60", locale="tlh_AA.UTF-8", environment=variables)
    made.until_ready()
    wait_for(lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_text(), 5, "the locale")
    assert (tmp_path / "seen").read_text() == "tlh_AA.UTF-8\n"
    assert "no locale" not in made.said()


def test_an_unknown_layout_is_named_and_the_desktop_starts(start: Start) -> None:
    made = start(keyboard_layout="zz(nothing)")
    assert "keycode  38 = a A" in made.output("xmodmap", "-pke")
    assert "no keyboard layout 'zz' with variant 'nothing'" in made.said()


@pytest.mark.parametrize(
    ("layout", "on_the_a_key"),
    [
        ("de(nodeadkeys)", "a A"),
        ("fr", "q Q"),
        ("us,ru", "a A Cyrillic_ef"),
        ("ru", "Cyrillic_ef"),
        ("gr", "Greek_alpha"),
    ],
)
async def test_what_viewers_type_arrives_with_any_layout(
    start: Start, tmp_path: Path, layout: str, on_the_a_key: str
) -> None:
    script = "stty -echo; : >$HOME/typed; touch $HOME/ready; exec cat >>$HOME/typed"
    made = start(f"exec xterm -u8 -geometry 100x30+0+0 -e sh -c '{script}'", keyboard_layout=layout)
    assert f"keycode  38 = {on_the_a_key}" in made.output("xmodmap", "-pke")
    wait_for((tmp_path / "ready").exists, 10, "the terminal")
    terminal = Terminal.__new__(Terminal)
    terminal.path, terminal._seq = tmp_path / "typed", 0
    number = made.until_ready()
    terminal.injector = Injector(X11Input(socket=f"/tmp/.X11-unix/X{number}", auth=(xauth.AUTH_NAME, made.cookie)))
    task = asyncio.create_task(terminal.injector.run())
    await terminal.send(["move", 200, 150])
    await asyncio.sleep(0.2)
    await terminal.send(
        *stroke("KeyQ", "a"),
        ["key", "ShiftLeft", "Shift", True],
        *stroke("KeyY", "Z"),
        *stroke("Digit7", "/"),
        ["key", "ShiftLeft", "Shift", False],
        ["key", "AltRight", "AltGraph", True],
        *stroke("KeyQ", "@"),
        *stroke("KeyE", "€"),
        ["key", "AltRight", "AltGraph", False],
        *stroke("Minus", "ß"),
        *stroke("KeyF", "ф"),
        *stroke("KeyA", "α"),
        ["text", "Grüße, мир! שלום 漢 1.5"],
    )
    assert await terminal.line() == "aZ/@€ßфαGrüße, мир! שלום 漢 1.5"
    task.cancel()
    await asyncio.wait([task])
    terminal.injector.close()


@pytest.mark.parametrize(("program", "method"), [("ibus-daemon", "ibus"), ("fcitx5", "fcitx"), (None, "")])
def test_an_input_method_is_started_where_there_is_one(
    start: Start, tmp_path: Path, program: str | None, method: str
) -> None:
    """The daemons are stand-ins: what counts is who is started, and what programs are told."""
    (tmp_path / "bin").mkdir()
    if program != "ibus-daemon" and any(map(shutil.which, ("ibus-daemon", "fcitx5", "fcitx"))):
        pytest.skip("this machine has an input method")
    if program is not None:
        (tmp_path / "bin" / program).write_text(f'#!/bin/sh\necho "{program} $DISPLAY" >$HOME/started\n')
        (tmp_path / "bin" / program).chmod(0o755)
    made = start("env >$HOME/seen; exec sleep 60")
    number = made.until_ready()
    wait_for(lambda: (tmp_path / "seen").exists() and "PWD" in (tmp_path / "seen").read_text(), 5, "the environment")
    seen = (tmp_path / "seen").read_text()
    assert (f"XMODIFIERS=@im={method}\n" in seen) is bool(program)
    assert (f"GTK_IM_MODULE={method}\n" in seen) is (f"QT_IM_MODULE={method}\n" in seen) is bool(program)
    if program is not None:
        assert (tmp_path / "started").read_text() == f"{program} :{number}\n"


def test_a_template_may_do_without_an_input_method(start: Start, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ibus-daemon").write_text("#!/bin/sh\ntouch $HOME/started\n")
    (tmp_path / "bin" / "ibus-daemon").chmod(0o755)
    start(environment={"XMODIFIERS": "@im=none"}).until_ready()
    assert not (tmp_path / "started").exists()


def test_a_kiosk_starts_its_application_again_and_waits_longer_each_time(start: Start, tmp_path: Path) -> None:
    made = start("cat /proc/uptime >>$HOME/starts; exit 3", kind="kiosk")
    starts = tmp_path / "starts"
    wait_for(lambda: starts.exists() and starts.read_text().count("\n") >= 4, 15, made.said)
    times = [float(line.split()[0]) for line in starts.read_text().splitlines()]
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert gaps[0] < 0.9 < gaps[1] < 1.9 < gaps[2], gaps
    assert "ended (status 3) and is started again after 2 s." in made.said()
    assert read_report(made.report).end is None and made.process.poll() is None


def hastened(tmp_path: Path, steady: int) -> Path:
    """The start script with other times."""
    shutil.copytree(DESKTOP, tmp_path / "desktop")
    script = tmp_path / "desktop" / "start.sh"
    text = script.read_text()
    assert "steady=1000" in text and 'sleep "$pause"' in text
    script.write_text(text.replace("steady=1000", f"steady={steady}").replace('sleep "$pause"', "sleep 0"))
    return script


def test_a_kiosk_whose_application_cannot_live_gives_up_and_says_why(start: Start, tmp_path: Path) -> None:
    made = start("echo x >>$HOME/starts; exit 3", kind="kiosk", script=hastened(tmp_path, 1000))
    assert made.process.wait(15) == 0
    end = read_report(made.report).end
    assert end is not None and end.failed and end.reason is Reason.COMMAND_DIED
    assert "'sh' ended 6 times in a row soon after it began (status 3)" in end.message
    assert "correct the template" in end.message
    assert (tmp_path / "starts").read_text().count("x") == 6


def test_a_kiosk_forgives_what_lived_long_enough(start: Start, tmp_path: Path) -> None:
    """Whoever closes the application of a kiosk once an hour must not use it up."""
    made = start("echo x >>$HOME/starts; sleep 0.15", kind="kiosk", script=hastened(tmp_path, 10))
    starts = tmp_path / "starts"
    wait_for(lambda: starts.exists() and starts.read_text().count("x") > 8, 15, made.said)
    assert made.process.poll() is None


def outside(tmp_path: Path) -> Path:
    """The desktop with its own menu, which the sandbox has at another place."""
    shutil.copytree(DESKTOP, tmp_path / "desktop")
    settings = tmp_path / "desktop" / "openbox" / "desktop.xml"
    text = settings.read_text()
    assert "/opt/stripedesk/" in text
    settings.write_text(text.replace("/opt/stripedesk/", f"{tmp_path}/desktop/"))
    return tmp_path / "desktop" / "start.sh"


def test_the_desktop_asks_before_it_logs_out(start: Start, tmp_path: Path) -> None:
    """The menu takes the first letter of an item for a choice, so whoever types at it means something else."""
    made = start(kind="desktop", script=outside(tmp_path))

    def tree() -> str:
        return made.output("xwininfo", "-root", "-tree")

    def asked() -> bool:
        return '"Execute": ' in tree()  # the title that Openbox gives a question before a command

    def choose_log_out(x: int, y: int) -> None:
        made.output("xdotool", "mousemove", str(x), str(y), "click", "1")
        wait_for(lambda: f"  +{x}+{y}\n" in tree(), 10, "the menu")
        made.output("xdotool", "key", "l")
        wait_for(asked, 10, made.said)

    choose_log_out(300, 100)
    made.output("xdotool", "key", "Return")  # the answer that is offered is no
    wait_for(lambda: not asked(), 10, made.said)
    choose_log_out(200, 150)
    assert read_report(made.report).end is None and made.process.poll() is None
    made.output("xdotool", "key", "Right", "Return")
    assert made.process.wait(15) == 0
    end = read_report(made.report).end
    assert end is not None and not end.failed and "logged out" in end.message


def test_an_application_that_is_no_kiosk_ends_its_session(start: Start) -> None:
    made = start("sleep 2.2")
    assert made.process.wait(15) == 0
    end = read_report(made.report).end
    assert end is not None and not end.failed and end.reason is Reason.DESKTOP_EXITED
