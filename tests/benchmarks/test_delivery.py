"""The delivery benchmark: what it refuses, its targets, its link, its stamps, and a short row on a real stack."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.delivery import __main__ as program
from benchmarks.delivery import browser, fanout, figures, plots, slow
from benchmarks.delivery.eye import Eye, Seen
from benchmarks.delivery.shaper import LinkShape, Shaper
from benchmarks.delivery.stamps import STAMP_BITS, STAMP_BLOCK, read_stamps, stamp_places
from benchmarks.delivery.websocket import WebSocket
from tests.sessions.fixtures_frames import snapshot

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--rows", "fan-out,nonsense"], "there is no nonsense; there are fan-out"),
        (["--rows", ","], "there is no name"),
        (["--soak-minutes", "0"], "--soak-minutes must be between 0.5 and 1440"),
    ],
)
def test_what_makes_no_sense_is_refused(line: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        program.main(line)
    assert stopped.value.code == 2 and says in capsys.readouterr().err


def test_every_row_is_measured_and_documented() -> None:
    assert set(program.MEASURES) == set(figures.ROWS)
    text = (ROOT / "docs" / "reference" / "delivery-benchmark.md").read_text()
    for name, row in figures.ROWS.items():
        assert f"| `{name}` |" in text, name
        assert len({target.figure for target in row.targets}) == len(row.targets)


def test_a_target_is_missed_above_its_bound_and_without_a_figure() -> None:
    row = dict.fromkeys((target.figure for target in figures.ROWS["join"].targets), 0.0)
    assert figures.missed({"join": row}) == []
    [late] = figures.missed({"join": {**row, "p95_ms": 200.5}})
    assert late.startswith("join: p95, from the opening of the socket: 200.50 ms, ≤ 200")
    [absent] = figures.missed({"join": {**row, "others_bytes": None}})
    assert absent == "join: bytes of pictures to others was not measured"
    assert figures.missed({"join": None}) == ["join: was not measured"]
    assert "| join | p95, from the opening of the socket | – | ≤ 200 | missed |" in figures.table({"join": None})


def test_bytes_are_compared_in_rounds_without_merged_pictures_alone() -> None:
    def spell(frames: int, size: int) -> dict[str, int]:
        return {"bytes": size, "drawn": 180, "first_frame": 11, "last_frame": 10 + frames}

    more = iter([spell(170, 1), spell(180, 1800), spell(180, 5)])
    assert slow._bytes_a_picture([spell(150, 1500), spell(179, 1791), spell(180, 1809)], lambda: next(more)) == 10
    assert slow._bytes_a_picture([spell(150, 1500)], lambda: next(more)) == 10, "a round more is waited for"
    assert slow._bytes_a_picture([], lambda: spell(150, 1500)) is None
    assert figures.percent_above(None, 10) is None and figures.percent_above(10.1, 10) == pytest.approx(1)


def test_percentiles_are_values_that_were_there() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (figures.percentile(values, 0.95), figures.percentile(values, 1)) == (95.0, 100.0)
    assert figures.percentile([], 0.5) is None and figures.median_ms([3000.0]) == 3.0


def test_the_check_names_what_was_missed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"p95_ms": 1.0, "median_ms": 1.0, "arrived_share": 1.0}
    monkeypatch.setitem(program.MEASURES, "input", lambda short: good)
    assert program.main(["--rows", "input", "--check", "--json", str(tmp_path / "r.json")]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["rows"] == {"input": good}
    monkeypatch.setitem(program.MEASURES, "input", lambda short: {**good, "p95_ms": 6.0})
    assert program.main(["--rows", "input", "--check"]) == 1
    assert "- input: p95: 6.000 ms, ≤ 5 is asked" in capsys.readouterr().out
    assert program.main(["--rows", "input"]) == 0

    def broken(short: bool) -> dict[str, float]:
        raise RuntimeError("no X server")

    monkeypatch.setitem(program.MEASURES, "input", broken)
    assert program.main(["--rows", "input"]) == 1
    assert "input: no X server" in capsys.readouterr().err


def test_plots_are_drawn_from_what_there_is(tmp_path: Path) -> None:
    results = {"web-tier": {"percent_per_viewer": 2.0, "web_percent_1": 5.0, "web_percent_50": 60.0}, "join": None}
    assert plots.shares(results) == {"web-tier: web tier for each further viewer": 2.0}
    assert plots.curve(results["web-tier"] or {}, "web_percent") == [(1, 5.0), (50, 60.0)]
    for path in plots.draw(results, tmp_path):
        assert path.read_text().startswith("<?xml")
    assert {path.name for path in tmp_path.iterdir()} == {"delivery-targets.svg", "delivery-viewers.svg"}


def test_stamps_tell_the_oldest_corner_also_when_they_are_blurred() -> None:
    picture = np.full((600, 1200, 3), 128, np.uint8)
    now = time.monotonic_ns() // 1_000_000
    for number, (x, y) in enumerate(stamp_places(1200, 600)):
        stamp = now - 100 * number
        for bit in range(STAMP_BITS):
            for row in (0, 1):
                value = 200 if (stamp >> bit & 1) != row else 60
                at = y + row * STAMP_BLOCK, x + bit * STAMP_BLOCK
                picture[at[0] : at[0] + STAMP_BLOCK, at[1] : at[1] + STAMP_BLOCK] = value
    assert read_stamps(picture) == (now - 300) * 1000
    with pytest.raises(ValueError, match="no stamp"):
        read_stamps(np.zeros((600, 1200, 3), np.uint8))


async def test_the_link_delays_thins_and_stalls() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(bytes(40_000))
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Shaper(*server.sockets[0].getsockname(), LinkShape(kbps=1600, delay=0.05)) as link:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"\n")
        await reader.readexactly(1)
        assert time.monotonic() - began > 0.1  # there and back
        link.shape.stalled = True
        await asyncio.sleep(0.1)
        passed = link.passed
        await asyncio.sleep(0.2)
        assert link.passed <= passed + 4096  # what was on its way
        link.shape.stalled = False
        await reader.readexactly(39_999)
        assert time.monotonic() - began > 40_000 / (1600 * 125)
        writer.close()


async def test_the_websocket_reads_messages_however_they_are_cut() -> None:
    sizes = [0, 125, 126, 65_535, 65_536, 300_000, 3]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        data = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
        for size in sizes:
            long = (127, 8) if size > 65_535 else (126, 2)
            head = bytes([0x82, size]) if size < 126 else bytes([0x82, long[0]]) + size.to_bytes(long[1], "big")
            data += head + bytes([size % 251]) * size
        data += bytes([0x81, 2]) + b"hi" + bytes([0x88, 2]) + (4411).to_bytes(2, "big")
        for start in range(0, len(data), 7777):
            writer.write(data[start : start + 7777])
            await writer.drain()
        await reader.read()
        writer.close()

    got: list[bytes | str] = []
    code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        client = WebSocket(lambda m: got.append(m if isinstance(m, str) else bytes(m)), code.set_result)
        await client.open(*server.sockets[0].getsockname(), "/", "", "http://localhost")
        assert await code == 4411
    assert got == [*(bytes([size % 251]) * size for size in sizes), "hi"]


def test_a_row_on_a_real_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """One joins, then ten at once: everybody sees a picture, the owner is sent nothing."""
    monkeypatch.setattr(fanout, "SETTLE_S", 0.5)
    monkeypatch.setattr(fanout, "JOIN_ROUNDS", (1, 1))
    found = fanout.join(True)
    assert found["others_bytes"] == 0
    assert 0 < found["median_ms"] < 5000 and found["together_ms"] > 0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("value", "says"), [("", "set STRIPEDESK_BENCH_SELKIES to the python"), (sys.executable, "cannot import selkies")]
)
def test_an_absent_selkies_is_named(monkeypatch: pytest.MonkeyPatch, value: str, says: str) -> None:
    monkeypatch.setenv(browser.SELKIES, value)
    with pytest.raises(browser.Absent, match=says):
        browser.find()


def test_the_program_says_what_it_can() -> None:
    command = [sys.executable, "-m", "benchmarks.delivery", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert "fan-out" in done.stdout and "--check" in done.stdout


def test_a_key_counts_until_the_block_has_another_colour_and_not_after_the_next_key() -> None:
    frames = [(0.0, 0), (90.0, 3), (130.0, 200), (140.0, 210), (320.0, 5)]
    assert browser.changes([100.0, 200.0, 300.0], frames) == [30.0, 20.0]
    assert browser.changes([-5.0], frames) == [], "what was shown before is not known"
    assert browser.changes([], frames) == []


def test_plots_without_matplotlib_are_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit) as ended:
        program.arguments(["--plot", str(tmp_path)])
    assert ended.value.code == 2 and "pip install --group bench" in capsys.readouterr().err


async def test_what_a_viewer_sees_is_decoded_in_a_process_of_its_own() -> None:
    eye = Eye()
    try:
        assert await eye.see([snapshot(1)]) == Seen(0, True, False)
        assert not (await eye.see([b"no picture"])).decoded
    finally:
        eye.close()
