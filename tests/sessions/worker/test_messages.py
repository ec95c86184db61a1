"""Worker messages and input events: what is taken, and that nothing else is."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.worker import messages
from sessions.worker.messages import MessageError, parse_events, parse_worker_message

GOOD_EVENTS = [
    ["move", 10, 20],
    ["button", 0, True],
    ["wheel", 0.25, -3],
    ["key", "KeyA", "a", True],
    ["text", "漢字"],
    ["release"],
]


def test_every_event_of_the_protocol_is_taken() -> None:
    assert [event[0] for event in parse_events(GOOD_EVENTS)] == ["move", "button", "wheel", "key", "text", "release"]


@pytest.mark.parametrize(
    "event",
    [
        [],
        ["nonsense"],
        [["move"], 1, 2],
        ["move", 1],
        ["move", 1, 2, 3],
        ["move", "1", 2],
        ["move", float("nan"), 2],
        ["move", float("inf"), 2],
        ["move", True, 2],
        ["move", 10**9, 2],
        ["button", 5, True],
        ["button", -1, True],
        ["button", 1.0, True],
        ["button", 1, "yes"],
        ["button", 1, 2],
        ["wheel", 101, 0],
        ["wheel", 0, float("-inf")],
        ["key", "K" * 33, "a", True],
        ["key", "KeyA", "a" * 33, True],
        ["key", None, "a", True],
        ["key", "KeyA", "\ud800", True],
        ["text", ""],
        ["text", "x" * 257],
        ["text", b"bytes"],
        ["text", "\udfff"],
        ["release", 1],
    ],
)
def test_a_wrong_event_is_refused(event: list[Any]) -> None:
    with pytest.raises(MessageError):
        parse_events([["move", 1, 1], event])


@pytest.mark.parametrize("events", [None, [], {}, "move", [["release"]] * 65])
def test_a_wrong_list_of_events_is_refused(events: Any) -> None:
    with pytest.raises(MessageError, match="events must be"):
        parse_events(events)


GOOD_REPAIR: dict[str, Any] = {
    "type": "worker.repair",
    "viewer": "ab12",
    "bus": "f" * 32,
    "token": 7,
    "width": 200,
    "height": 136,
    "tiles": b"\xff\x0f",
    "shrink": 2,
    "quality": 0,
}


def test_every_worker_message_is_taken() -> None:
    taken = [
        parse_worker_message({"type": "worker.input", "viewer": "ab12", "seq": 0, "events": GOOD_EVENTS}),
        parse_worker_message({"type": "worker.release", "viewer": "ab12"}),
        parse_worker_message({"type": "worker.alive", "viewer": "ab12"}),
        parse_worker_message({"type": "worker.settings", "settings": {"mode": "jpeg", "framerate": 30}}),
        parse_worker_message({"type": "worker.snapshot", "viewer": "ab12", "bus": "f" * 32}),
        parse_worker_message(GOOD_REPAIR),
        parse_worker_message({"type": "worker.watch", "bus": "f" * 32, "viewers": 3}),
        parse_worker_message({"type": "worker.key_frames"}),
        parse_worker_message({"type": "worker.cursor"}),
        parse_worker_message({"type": "worker.stop"}),
    ]
    assert [type(message).__name__ for message in taken] == [
        "Input", "Release", "Alive", "Settings", "Snapshot", "Repair", "Watch", "KeyFrames", "Cursor", "Stop",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("worker.stop", "map"),
        ({}, "unknown worker message None"),
        ({"type": "worker.shell"}, "worker.shell"),
        ({"type": ["worker.stop"]}, "unknown worker message"),
        ({"type": "worker.stop", "now": True}, "unknown member 'now'"),
        ({"type": "worker.release"}, "no member viewer"),
        ({"type": "worker.release", "viewer": "x" * 17}, "viewer"),
        ({"type": "worker.release", "viewer": "a b"}, "viewer"),
        ({"type": "worker.release", "viewer": ""}, "viewer"),
        ({"type": "worker.snapshot", "viewer": "a", "bus": "../x"}, "bus"),
        ({"type": "worker.snapshot", "viewer": "a", "bus": "b", "small": 1}, "small must be true or false"),
        ({"type": "worker.snapshot", "viewer": "a", "bus": "b", "large": True}, "unknown member 'large'"),
        ({"type": "worker.snapshot", "viewer": "a", "bus": "b" * 33}, "bus"),
        ({**GOOD_REPAIR, "tiles": b"\xff"}, "tiles must be 2 bytes"),
        ({**GOOD_REPAIR, "tiles": "\xff\xff"}, "tiles must be 2 bytes"),
        ({**GOOD_REPAIR, "tiles": b"\0\0"}, "at least one tile"),
        ({**GOOD_REPAIR, "tiles": b"\0\x10"}, "none outside"),
        ({**GOOD_REPAIR, "shrink": 3}, "shrink must be 1, 2 or 4"),
        ({**GOOD_REPAIR, "shrink": True}, "shrink must be 1, 2 or 4"),
        ({**GOOD_REPAIR, "quality": 101}, "quality"),
        ({**GOOD_REPAIR, "width": 0}, "width"),
        ({"type": "worker.watch", "bus": "b", "viewers": -1}, "viewers"),
        ({"type": "worker.input", "viewer": "a", "seq": -1, "events": [["release"]]}, "seq"),
        ({"type": "worker.input", "viewer": "a", "seq": True, "events": [["release"]]}, "seq"),
        ({"type": "worker.settings", "settings": []}, "settings"),
        ({"type": "worker.settings", "settings": {"mode": ["jpeg"]}}, "mode"),
        ({"type": "worker.settings", "settings": {b"mode": "jpeg"}}, "plain value"),
    ],
)
def test_a_wrong_worker_message_is_refused_by_name(message: Any, names: str) -> None:
    with pytest.raises(MessageError, match=names):
        parse_worker_message(message)


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


_MEMBERS = sorted({name for _, members in messages._SHAPES.values() for name in members} | {"x"})


@given(st.sampled_from(sorted(messages._SHAPES)), st.dictionaries(st.sampled_from(_MEMBERS), _junk))
def test_junk_raises_nothing_but_message_error(kind: str, members: dict[str, Any]) -> None:
    with contextlib.suppress(MessageError):
        parse_worker_message({**members, "type": kind})


@given(_junk)
def test_junk_events_raise_nothing_but_message_error(value: Any) -> None:
    with contextlib.suppress(MessageError):
        parse_events([value])
