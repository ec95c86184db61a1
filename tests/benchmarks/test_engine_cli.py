"""The command line, which engines are there, and the true picture: what can go wrong before a run."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import engine, engines, plots
from benchmarks.child import Child
from benchmarks.display import map_framebuffer, rgb
from benchmarks.engines import PEER_PYTHON, Spec, Unavailable
from benchmarks.figures import Spread
from benchmarks.report import document, read, table


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--workloads", "typing,golf"], "there is no golf; there are idle, typing"),
        (["--workloads", ","], "there is no name"),
        (["--modes", "fast"], "'stripedesk:fast' is not an engine; there are stripedesk:auto"),
        (["--against", "pixelflux"], "'pixelflux' is not an engine"),
        (["--candidate", "x"], "not an engine"),
        (["--rounds", "0"], "--rounds must be between 1 and 100"),
        (["--size", "10x10"], "--size must be between"),
        (["--size", "big"], "not enough values"),
    ],
)
def test_arguments_that_make_no_sense(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.engine", *arguments])
    with pytest.raises(SystemExit) as stopped:
        engine.arguments()
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_plots_without_matplotlib_are_refused_before_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RuntimeError, match="dependency|--group bench"):
        plots.load_matplotlib()
    monkeypatch.setattr(sys, "argv", ["benchmarks.engine", "--plot", "somewhere"])
    with pytest.raises(SystemExit):
        engine.arguments()
    assert "pip install --group bench" in capsys.readouterr().err


def test_engines_that_are_not_there_say_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PEER_PYTHON, raising=False)
    with pytest.raises(Unavailable, match=f"pip install pixelflux.*{PEER_PYTHON}"):
        Spec.parse("pixelflux:jpeg").version()
    monkeypatch.setenv(PEER_PYTHON, "/nonexistent/python")
    with pytest.raises(Unavailable, match="no working pixelflux"):
        Spec.parse("pixelflux:jpeg").version()
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unavailable, match="apt-get install ffmpeg"):
        Spec.parse("ffmpeg:x264").version()


def test_a_mode_that_the_engine_does_not_have_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    able, versions, absent = engine.available([Spec("stripedesk", "jpeg"), Spec("stripedesk", "sketch")])
    assert list(able) == list(versions) == ["stripedesk:jpeg"]
    assert "has no mode sketch" in absent["stripedesk:sketch"]
    assert "stripedesk:sketch is left out" in capsys.readouterr().err


def test_every_mode_has_a_name_that_parses() -> None:
    for name, modes in engines.MODES.items():
        for mode in modes:
            assert Spec.parse(f"{name}:{mode}") == Spec(name, mode)
    assert all(Spec.parse(name).name == name for name in engines.PEERS)


def test_a_child_that_dies_is_quoted() -> None:
    code = "import sys; input(); sys.exit('no such screen')"
    with Child("engine", [sys.executable, "-c", code], {}) as child:
        with pytest.raises(RuntimeError, match="engine ended: no such screen"):
            child.order("mark")
        with pytest.raises(RuntimeError, match="engine ended"):
            child.order("mark")


def xwd(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], depth: int = 24) -> Path:
    """Write BGRX pixels as Xvfb does: header, colour map, rows with some padding."""
    height, width = pixels.shape[:2]
    stride = width * 4 + 16
    words = [0] * 25
    words[0], words[1], words[3], words[4], words[5] = 160, 7, depth, width, height
    words[11], words[12], words[19] = 32, stride, 2
    rows = b"".join(row.tobytes() + bytes(16) for row in pixels)
    path.write_bytes(struct.pack(">25I", *words).ljust(160, b"\0") + bytes(2 * 12) + rows)
    return path


def test_the_framebuffer_is_read_from_the_server_s_file(tmp_path: Path) -> None:
    pixels = np.arange(4 * 6 * 4, dtype=np.uint8).reshape(4, 6, 4)
    mapped = map_framebuffer(xwd(tmp_path / "screen", pixels))
    assert np.array_equal(mapped, pixels)
    assert rgb(mapped)[0, 0].tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match="depth 16"):
        map_framebuffer(xwd(tmp_path / "screen", pixels, depth=16))


def test_the_table_marks_the_reference_and_shows_the_spread() -> None:
    text = table(
        {
            "stripedesk:auto": {"cpu_cores": Spread(0.1, 0.05, 0.2), "rss_mb": Spread(36.4, 30, 40)},
            "pixelflux:jpeg": {"cpu_cores": Spread(0.3, 0.3, 0.3), "bytes": Spread(1, 1, 1), "psnr": None},
        }
    )
    lines = text.splitlines()
    assert lines[2].startswith("| stripedesk:auto | 0.1000 (0.0500–0.2000) |") and "| 36 |" in lines[2]
    assert lines[3].startswith("| pixelflux:jpeg ← | 0.3000 | – |")


def test_plots_are_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figures = {"cpu_cores": Spread(0.1, 0.05, 0.2), "kbps": None}
    written = plots.draw({"typing": {"stripedesk:auto": figures}, "idle": {}}, tmp_path / "plots")
    assert {path.name for path in written} >= {"cpu.svg", "bytes.svg", "latency.svg"}
    assert all(path.read_text(encoding="utf-8").lstrip().startswith("<?xml") for path in written)


def test_a_result_can_be_read_again(tmp_path: Path) -> None:
    results = {
        "typing": {"pixelflux:jpeg": {"cpu_cores": Spread(0.1, 0.05, 0.2), "bytes": Spread(1, 1, 1), "psnr": None}}
    }
    path = tmp_path / "result.json"
    path.write_text(json.dumps(document(results, {}, {"rounds": 3})), encoding="utf-8")
    assert read(path) == results
    assert json.loads(path.read_text(encoding="utf-8"))["references"] == {"typing": "pixelflux:jpeg"}
    for text in ("{", "[]", '{"medians": {"typing": 3}}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="not a result"):
            read(path)
