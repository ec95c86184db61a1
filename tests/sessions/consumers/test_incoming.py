"""What a client may say: strictly checked, and junk never raises anything else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.consumers.events import check_event
from sessions.consumers.incoming import Ack, Allowance, Garbage, Hello, Missed, parse
from sessions.worker.messages import MessageError


def test_good_messages() -> None:
    assert parse('{"type":"hello","versions":[1,2],"codecs":["h264"],"new":1}') == Hello(
        (1, 2), frozenset({"h264"}), ""
    )
    assert parse('{"type":"ack","epoch":5,"frame":0,"decode_ms":1.5,"queue":2}') == Ack(5, 0, None, 1.5, None, 2)
    assert parse('{"type":"ack","epoch":5,"frame":0,"serial":7,"paint_ms":2}') == Ack(5, 0, 7, None, 2.0)
    missed = '{"type":"missed","epoch":5,"frame":1,"areas":[[0,1,2,3]],"streams":[15]}'
    assert parse(missed) == Missed(5, 1, ((0, 1, 2, 3),), (15,))
    for text in (
        '{"type":"input","seq":1,"events":[["release"]]}',
        '{"type":"resync","reason":"decode"}',
        '{"type":"resync"}',
        '{"type":"preset","id":3}',
        '{"type":"visibility","hidden":true}',
        '{"type":"ping","t":123.5}',
    ):
        parse(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '"hello"', '{"type":"ping","t":NaN}', "[" * 30_000])
def test_what_is_no_json_object_is_garbage(text: str) -> None:
    with pytest.raises(Garbage):
        parse(text)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "shell"},
        {"type": ["ack"]},
        {"type": "hello"},
        {"type": "hello", "versions": []},
        {"type": "hello", "versions": ["1"]},
        {"type": "hello", "versions": [1], "codecs": ["x" * 33]},
        {"type": "hello", "versions": [1], "codecs": ["x"] * 17},
        {"type": "hello", "versions": [1], "ticket": "x" * 129},
        {"type": "ack", "epoch": 1},
        {"type": "ack", "epoch": 0, "frame": 1},
        {"type": "ack", "epoch": 1, "frame": -1},
        {"type": "ack", "epoch": 1, "frame": 2**32},
        {"type": "ack", "epoch": 1.0, "frame": 1},
        {"type": "ack", "epoch": True, "frame": 1},
        {"type": "ack", "epoch": 1, "frame": 1, "decode_ms": "fast"},
        {"type": "ack", "epoch": 1, "frame": 1, "serial": -1},
        {"type": "missed", "epoch": 1, "frame": 1},
        {"type": "missed", "epoch": 1, "frame": 1, "areas": []},
        {"type": "missed", "epoch": 1, "frame": 1, "areas": [[0, 0, 8, 8]] * 65},
        {"type": "missed", "epoch": 1, "frame": 1, "areas": [[0, 0, 8]]},
        {"type": "missed", "epoch": 1, "frame": 1, "areas": [[0, 0, 0, 8]]},
        {"type": "missed", "epoch": 1, "frame": 1, "areas": [[-1, 0, 8, 8]]},
        {"type": "missed", "epoch": 1, "frame": 1, "areas": [[0, 0, 8, 8]], "streams": [16]},
        {"type": "missed", "areas": [[0, 0, 8, 8]]},
        {"type": "input", "seq": 1},
        {"type": "input", "seq": 1, "events": []},
        {"type": "input", "seq": 1, "events": [["release"]] * 65},
        {"type": "input", "seq": "1", "events": [["release"]]},
        {"type": "preset", "id": "3"},
        {"type": "visibility", "hidden": 1},
        {"type": "ping"},
        {"type": "ping", "t": 1e300},
        {"type": "resync", "reason": 5},
    ],
)
def test_wrong_messages_are_refused(message: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        parse(json.dumps(message))


def test_oversized_messages_are_refused_unread() -> None:
    for filler in ("x" * 70_000, "漢" * 25_000):
        with pytest.raises(MessageError, match="at most 65536"):
            parse(json.dumps({"type": "resync", "reason": filler}, ensure_ascii=False))


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_members = st.dictionaries(
    st.sampled_from(["versions", "codecs", "ticket", "epoch", "frame", "seq", "events", "id", "hidden", "t", "reason"]),
    _junk,
)


@given(st.sampled_from(["hello", "ack", "input", "resync", "preset", "visibility", "ping"]), _members)
def test_junk_raises_message_errors_only(kind: str, members: dict[str, Any]) -> None:
    with contextlib.suppress(MessageError):
        parse(json.dumps({"type": kind, **members}))


@given(st.text(max_size=200))
def test_any_text_raises_message_errors_only(text: str) -> None:
    with contextlib.suppress(MessageError):
        parse(text)


def test_the_allowance_is_500_a_second() -> None:
    allowance = Allowance()
    assert sum(allowance.take(10.0) for _ in range(2000)) == 500
    assert sum(allowance.take(10.5) for _ in range(2000)) == 250


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"type": "error", "code": "x"},
        {"type": "welcome"},
        {"type": "cursor"},
        {"type": "cursor", "serial": 1, "width": 300, "height": 1, "hot_x": 0, "hot_y": 0, "png": "AAAA"},
        {"type": "cursor", "serial": 1, "width": 3, "height": 1, "hot_x": 3, "hot_y": 0, "png": "AAAA"},
        {"type": "cursor", "serial": 1, "width": 3, "height": 1, "hot_x": 0, "hot_y": 0, "png": "<script>"},
        {"type": "cursor", "serial": 1, "width": 3, "height": 1, "hot_x": 0, "hot_y": 0, "png": "A" * 90_000},
        {"type": "stats", "fps": float("nan"), "kbps": 1, "viewers": 1, "mode": "jpeg"},
        {"type": "stats", "fps": 1, "kbps": 1, "viewers": "many", "mode": "jpeg"},
        {"type": "state", "state": "hacked"},
        {"type": "state", "state": "running", "stage": "moon"},
        {"type": "state", "state": "running", "message": "x" * 501},
        {"type": "preset", "id": "1", "name": "x"},
    ],
)
def test_events_that_are_not_the_protocols_are_refused(event: Any) -> None:
    with pytest.raises(MessageError):
        check_event(event)


def test_unknown_members_of_events_are_not_relayed() -> None:
    assert check_event({"type": "cursor", "serial": 1, "hidden": True, "x": 1}) == {
        "type": "cursor", "serial": 1, "hidden": True,
    }  # fmt: skip
    assert check_event({"type": "state", "state": "starting", "stage": "stream", "reason": ""}) == {
        "type": "state", "state": "starting", "stage": "stream",
    }  # fmt: skip
