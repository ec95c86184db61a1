"""Fixtures of the delivery tests."""

from __future__ import annotations

from tests.sessions.fixtures_redis import private_redis, redis_server, redis_url

__all__ = ["private_redis", "redis_server", "redis_url"]
