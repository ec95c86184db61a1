"""Whose link bounds the engine."""

from __future__ import annotations

import pytest

from sessions.worker import messages
from sessions.worker.links import MOST_LINKS, Links
from stripeengine.settings import EngineSettings


def test_the_smaller_bound_counts() -> None:
    links = Links(EngineSettings(mode="auto"))
    assert links.settings.max_kbps == 0
    assert links.set("a", 3000).max_kbps == 3000
    assert links.use(EngineSettings(mode="auto", max_kbps=1500)).max_kbps == 1500
    assert links.set("a", 800).max_kbps == 800
    assert links.set("a", 0).max_kbps == 1500
    assert links.use(EngineSettings(mode="lossless")).mode == "lossless"


def test_who_gave_input_last_controls() -> None:
    links = Links(EngineSettings(mode="auto"))
    links.set("slow", 300)
    links.set("quick", 9000)
    assert links.controlled_by("slow") and not links.controlled_by("slow")
    assert links.settings.max_kbps == 300
    assert links.set("quick", 8000).max_kbps == 300
    assert links.controlled_by("other")
    assert links.settings.max_kbps == 0  # nothing is known of his link
    assert sorted(links.viewers()) == ["quick", "slow"]
    links.controlled_by("slow")
    assert links.set("slow", 0).max_kbps == 0


def test_until_somebody_gives_input_a_slow_one_bounds_nobody_else() -> None:
    links = Links(EngineSettings(mode="auto"))
    assert links.watched_by(1).max_kbps == 0
    assert links.set("slow", 300).max_kbps == 300  # he alone looks
    assert links.watched_by(2).max_kbps == 0  # nothing is known of the other's link: it is quick
    assert links.set("other", 5000).max_kbps == 5000
    assert links.set("slow", 400).max_kbps == 5000
    assert links.watched_by(3).max_kbps == 0
    links.controlled_by("slow")
    assert links.settings.max_kbps == 400


def test_links_are_bounded() -> None:
    links = Links(EngineSettings(mode="auto"))
    for i in range(MOST_LINKS + 5):
        links.set(f"v{i}", 500)
    assert len(links.viewers()) == MOST_LINKS
    assert "v0" not in links.viewers()


def test_the_message_is_checked() -> None:
    message = {"type": "worker.link", "viewer": "abc", "kbps": 256}
    assert messages.parse_worker_message(message) == messages.Link("abc", 256)
    assert messages.parse_worker_message({**message, "kbps": 0}) == messages.Link("abc", 0)
    for kbps in (-1, 1, 255, 1_000_001, 300.0, True, "300", None):
        with pytest.raises(messages.MessageError, match="kbps"):
            messages.parse_worker_message({**message, "kbps": kbps})
    with pytest.raises(messages.MessageError, match="viewer"):
        messages.parse_worker_message({**message, "viewer": "a b"})
