"""``python -m stripeengine capture`` as people and scripts run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stripeengine.decode import Decoder
from stripeengine.dump import read_dump
from tests.stripeengine.fixtures_x11 import Painter, XServer, have_xvfb

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "stripeengine", "capture", *arguments]


def capture(server: XServer | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) if server is None else server.environment
    if server is None:
        environment.pop("DISPLAY", None)
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def start(server: XServer, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("--display", server.display, *arguments),
        cwd=ROOT,
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def grown(path: Path, size: int) -> None:
    """Wait until a dump has more than ``size`` bytes: the capture is under way then."""
    deadline = time.monotonic() + 10
    while not path.exists() or path.stat().st_size <= size:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def check_report(figures: dict[str, Any], mode: str) -> None:
    assert figures["mode"] == mode
    assert figures["frames"] >= 1
    assert figures["ops"] >= 1
    assert figures["kbps"] == pytest.approx(figures["bytes"] * 8 / 1000 / figures["seconds"], rel=0.01)
    assert 0 < figures["cpu_cores"] < 2
    assert 10 < figures["rss_mb"] < 100
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p95"] <= figures["latency_ms"]["p99"]


@pytest.mark.parametrize("mode", ["jpeg", "h264"])
def test_json_is_one_line_with_every_figure(server: XServer, mode: str) -> None:
    done = capture(server, "--display", server.display, "--mode", mode, "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    check_report(json.loads(done.stdout), mode)


def test_readable_line_and_display_from_the_environment(server: XServer) -> None:
    done = capture(server, "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    assert "% of a core" in done.stdout
    assert "MB resident" in done.stdout


def test_settings_reach_the_engine(server: XServer, tmp_path: Path) -> None:
    """The picture of quality 1 is far smaller than the one of quality 100."""
    sizes = []
    with Painter(server) as painter:
        painter.image(0, 0, 640, 480, bytes(i * i // 7 % 251 for i in range(640 * 480 * 4)))
    for quality in ("1", "100"):
        done = capture(
            server, "--seconds", "0.6", "--json", "--set", f"jpeg_quality={quality}", "--set", "paint_over=off"
        )
        sizes.append(json.loads(done.stdout)["bytes"])
    assert sizes[0] * 4 < sizes[1]


def test_dump_decodes_to_the_screen(server: XServer, tmp_path: Path) -> None:
    path = tmp_path / "session.dump"
    process = start(server, "--dump", str(path), "--json", "--set", "jpeg_quality=100", "--set", "chroma=444")
    try:
        grown(path, 80)
        with Painter(server) as painter:
            before = path.stat().st_size
            painter.fill(0, 0, 640, 480, 0x3060C0)
            painter.fill(100, 50, 40, 30, 0xF0E010)
            grown(path, before)
            time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err) == (0, "")
    records = list(read_dump(path))
    figures = json.loads(out)
    assert figures["frames"] == len(records)
    assert figures["bytes"] == sum(len(record.message) for record in records)
    times = [record.time_us for record in records]
    assert times == sorted(times)
    decoder = Decoder()
    for record in records:
        decoder.apply(record.message)
    picture = decoder.picture
    assert picture.shape == (480, 640, 3)
    for x, y, colour in ((0, 0, (0x30, 0x60, 0xC0)), (639, 479, (0x30, 0x60, 0xC0)), (120, 65, (0xF0, 0xE0, 0x10))):
        assert all(abs(int(a) - b) <= 3 for a, b in zip(picture[y, x], colour, strict=True))


@pytest.mark.parametrize(
    ("part", "size"), [(("--rect", "200x100+300+400"), (200, 80)), (("--monitor", "CORNER"), (160, 120))]
)
def test_a_part_of_the_screen_is_captured(
    server: XServer, tmp_path: Path, part: tuple[str, str], size: tuple[int, int]
) -> None:
    path = tmp_path / "part.dump"
    server.run("xrandr", "--setmonitor", "CORNER", "160/40x120/30+480+360", "none")
    try:
        done = capture(server, *part, "--dump", str(path), "--seconds", "0.5", "--json")
    finally:
        server.run("xrandr", "--delmonitor", "CORNER")
    assert (done.returncode, done.stderr) == (0, "")
    decoder = Decoder()
    for record in read_dump(path):
        decoder.apply(record.message)
    assert decoder.picture.shape == (size[1], size[0], 3)


def test_a_monitor_that_is_not_there_is_one_line_and_code_2(server: XServer) -> None:
    done = capture(server, "--monitor", "NONE", "--seconds", "0.5")
    assert done.returncode == 2
    assert "has no monitor 'NONE'; it has: screen" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_with_a_report(server: XServer, tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "dump"
    process = start(server, "--json", "--dump", str(path))
    grown(path, 80)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert err == ""
    check_report(json.loads(out), "jpeg")


def test_a_dying_server_is_one_line_and_a_report(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    with XServer((320, 240)) as server:
        process = start(server, "--json", "--dump", str(path))
        grown(path, 80)
        server.kill()
        out, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert json.loads(out)["frames"] >= 1
    assert err == "stripeengine capture: the X server went away\n"


def test_idle_screen_costs_next_to_nothing(server: XServer, tmp_path: Path) -> None:
    """After the first picture and its paint-over nothing is sent and nothing wakes but the scan."""
    path = tmp_path / "dump"
    process = start(server, "--json", "--dump", str(path), "--set", "verify_interval_ms=500")
    grown(path, 80)
    time.sleep(1)
    size = path.stat().st_size
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    figures = json.loads(out)
    assert path.stat().st_size == size
    assert 6 <= figures["scans"] <= 9
    # Start, first events and paint-over take a few wake-ups; sixty a second would be 240.
    assert figures["wakeups"] <= figures["scans"] + 12


def test_capture_does_not_import_numpy(server: XServer) -> None:
    code = (
        "import sys\n"
        "from stripeengine.__main__ import main\n"
        f"code = main(['capture', '--display', '{server.display}', '--seconds', '0.3', '--json'])\n"
        "heavy = {'numpy', 'av', 'xxhash', 'turbojpeg', 'django'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=server.environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--display", ":4999"], "there is no X server :4999"),
        (["--display", "nonsense"], "'nonsense' is not the name of an X display"),
        ([], "name one with --display :0 or set DISPLAY"),
        (["--display", ":4999", "--mode", "mpeg"], "mode must be one of jpeg, h264, auto, lossless, not 'mpeg'"),
        (["--display", ":4999", "--set", "no_such=1"], "there is no setting called 'no_such'"),
        (["--display", ":4999", "--set", "framerate=0"], "framerate must be between 1 and 240"),
        (["--display", ":4999", "--set", "framerate=fast"], "framerate must be a whole number"),
        (["--display", ":4999", "--set", "framerate"], "--set needs NAME=VALUE"),
        (["--display", ":4999", "--seconds", "0"], "--seconds must be more than 0"),
        (["--display", ":4999", "--seconds", "nan"], "--seconds must be more than 0"),
        (["--display", ":4999", "--seconds", "soon"], "invalid float value: 'soon'"),
        (["--display", ":4999", "--rect", "10,10,20,20"], "--rect needs WIDTHxHEIGHT+X+Y"),
        (["--display", ":4999", "--rect", "0x10+0+0"], "at least one pixel"),
        (["--display", ":4999", "--rect", "1x1+0+0", "--monitor", "A"], "not allowed with argument --rect"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_impossible_requests_are_one_line_and_code_2(arguments: list[str], text: str) -> None:
    done = capture(None, *arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_dump_that_cannot_be_written_is_one_line_and_code_2(server: XServer) -> None:
    done = capture(server, "--seconds", "1", "--dump", "/no/such/folder/dump")
    assert done.returncode == 2
    assert "No such file or directory: '/no/such/folder/dump'" in done.stderr
    assert done.stderr.count("\n") == 1
