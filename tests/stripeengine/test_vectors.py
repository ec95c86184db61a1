"""The Python reader against the published vectors, and the vectors against their generator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stripeengine import wire
from stripeengine.decode import Decoder
from stripeengine.errors import DecodeError, WireError

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
MANIFEST = json.loads((VECTORS / "manifest.json").read_text(encoding="utf-8"))["vectors"]


def _read(vector: dict[str, Any]) -> list[bytes]:
    return [(VECTORS / name).read_bytes() for name in vector["messages"]]


@pytest.mark.parametrize("vector", [v for v in MANIFEST if v["valid"]], ids=lambda v: v["name"])
def test_valid_sequence_gives_the_expected_picture(vector: dict[str, Any]) -> None:
    decoder = Decoder()
    for message in _read(vector):
        decoder.apply(message)
    expected = np.frombuffer((VECTORS / vector["expected"]["file"]).read_bytes(), np.uint8)
    expected = expected.reshape(vector["height"], vector["width"], 3)
    error = np.abs(decoder.picture.astype(int) - expected)
    assert error.mean() <= vector["expected"]["mean_error"]
    assert error.max() <= vector["expected"]["max_error"]
    assert (decoder.epoch, decoder.frame_id) == (vector["epoch"], vector["frame_id"])
    assert decoder.missed == []


@pytest.mark.parametrize("vector", [v for v in MANIFEST if not v["valid"]], ids=lambda v: v["name"])
def test_malformed_message_is_refused_whole(vector: dict[str, Any]) -> None:
    decoder = Decoder()
    *before, bad = _read(vector)
    for message in before:
        decoder.apply(message)
    picture = decoder.picture.copy()
    if vector["stage"] == "parse":
        with pytest.raises(WireError, match=rf"^{vector['error']}:".replace("[", r"\[")):
            decoder.apply(bad)
        assert decoder.frame_id == 0
    else:
        wire.parse_message(bad)
        with pytest.raises(DecodeError, match=rf"^{vector['error']}:"):
            decoder.apply(bad)
        assert decoder.needs_snapshot
    assert np.array_equal(decoder.picture, picture)


def test_every_op_kind_and_stage_is_covered() -> None:
    kinds = {
        op.kind
        for vector in MANIFEST
        if vector["valid"]
        for message in _read(vector)
        for op in wire.parse_message(message).ops
    }
    assert kinds == set(wire.OP_NAMES)
    assert {vector["stage"] for vector in MANIFEST if not vector["valid"]} == {"parse", "decode"}


def test_committed_vectors_are_what_the_generator_makes(tmp_path: Path) -> None:
    copy = tmp_path / "tests" / "vectors"
    shutil.copytree(
        VECTORS, copy, ignore=shutil.ignore_patterns("messages", "pictures", "manifest.json", "__pycache__")
    )
    (tmp_path / "stripeengine").symlink_to(VECTORS.parent.parent / "stripeengine")
    subprocess.run([sys.executable, "generate.py"], cwd=copy, check=True, capture_output=True, timeout=120)
    assert json.loads((copy / "manifest.json").read_text(encoding="utf-8"))["vectors"] == MANIFEST
    for vector in MANIFEST:
        for name in vector["messages"]:
            if vector["valid"] or vector["stage"] == "parse":
                assert (copy / name).read_bytes() == (VECTORS / name).read_bytes(), name
    made = {path.relative_to(copy) for path in copy.rglob("*.bin")}
    assert made == {path.relative_to(VECTORS) for path in VECTORS.rglob("*.bin")}
