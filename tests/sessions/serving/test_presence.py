"""Who watches, also over a clock that was set: nobody stays for ever, nobody is missed for long."""

from __future__ import annotations

import pytest
import redis

from sessions.serving import presence
from sessions.worker.messages import viewers_key

SESSION = "e" * 32
HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_a_jump_of_the_clock_heals_with_the_next_refresh(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(presence, "time", clock)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        for viewer in ("dead", "living"):
            await presence.refresh(SESSION, viewer)
        assert set(client.zrange(viewers_key(SESSION), 0, -1)) == {"dead", "living"}
        clock.now += jump
        await presence.refresh(SESSION, "living")
        assert client.zrange(viewers_key(SESSION), 0, -1, withscores=True) == [("living", clock.now)]
        assert client.zcount(viewers_key(SESSION), clock.now - presence.COUNTED_S, "+inf") == 1
