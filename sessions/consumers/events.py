"""Events for a session's viewers, checked before they are relayed: a worker is not trusted. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..states import Reason, Stage, State
from ..worker.messages import (
    MAX_CURSOR_PNG,
    MAX_CURSOR_SIDE,
    MAX_SEQ,
    MAX_VIEWER,
    MessageError,
    check_int,
    check_number,
    check_text,
)

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def check_event(event: Any) -> dict[str, Any]:
    """Return the event with the members the protocol knows and no others; raise `MessageError`."""
    kind = event.get("type") if isinstance(event, Mapping) else None
    build = _EVENTS.get(kind) if isinstance(kind, str) else None
    if build is None:
        raise MessageError(f"unknown event {kind!r:.40}")
    return {"type": kind, **build(event)}


def _cursor(event: Mapping[str, Any]) -> dict[str, Any]:
    serial = check_int(event.get("serial"), "serial", 0, 2**32 - 1)
    if event.get("hidden") is True:
        return {"serial": serial, "hidden": True}
    png = check_text(event.get("png"), "png", MAX_CURSOR_PNG * 4 // 3 + 4)
    if not png or not _BASE64.issuperset(png):
        raise MessageError("png must be base64")
    width = check_int(event.get("width"), "width", 1, MAX_CURSOR_SIDE)
    height = check_int(event.get("height"), "height", 1, MAX_CURSOR_SIDE)
    return {
        "serial": serial,
        "width": width,
        "height": height,
        "hot_x": check_int(event.get("hot_x"), "hot_x", 0, width - 1),
        "hot_y": check_int(event.get("hot_y"), "hot_y", 0, height - 1),
        "png": png,
    }


def _stats(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "fps": check_number(event.get("fps"), "fps", 0, 1e6),
        "kbps": check_number(event.get("kbps"), "kbps", 0, 1e9),
        "viewers": check_int(event.get("viewers"), "viewers", 0, 10**6),
        "mode": check_text(event.get("mode"), "mode", 16),
        **({"engine": _engine(event["engine"])} if "engine" in event else {}),
    }


def _engine(value: Any) -> dict[str, Any]:
    """The engine's part of the statistics: damage → published of its last frames, in ms, and captures put off."""
    latency = value.get("latency_ms") if isinstance(value, Mapping) else None
    if not isinstance(latency, list) or len(latency) != 2:
        raise MessageError("engine.latency_ms must be two numbers")
    return {
        "latency_ms": [check_number(number, "latency_ms", 0, 1e9) for number in latency],
        "dropped": check_int(value.get("dropped"), "dropped", 0, 2**63 - 1),
    }


def _injected(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "viewer": check_text(event.get("viewer"), "viewer", MAX_VIEWER),
        "seq": check_int(event.get("seq"), "seq", 0, MAX_SEQ),
        "injected_us": check_int(event.get("injected_us"), "injected_us", 0, 2**63 - 1),
    }


def _state(event: Mapping[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {"state": _choice(event.get("state"), "state", State)}
    for name, choices in (("stage", Stage), ("reason", Reason)):
        if event.get(name):
            checked[name] = _choice(event[name], name, choices)
    if event.get("message"):
        checked["message"] = check_text(event["message"], "message", 500)
    return checked


def _ending(event: Mapping[str, Any]) -> dict[str, Any]:
    """A countdown; without a reason it is off. What is shown is a courtesy: the host agent decides."""
    if "reason" not in event:
        return {}
    reason = event["reason"]
    if reason not in (Reason.IDLE, Reason.TOO_OLD):
        raise MessageError("reason is none of the known ones")
    return {"reason": str(reason), "left_s": check_int(event.get("left_s"), "left_s", 0, 10**9)}


def _choice(value: Any, name: str, choices: type[State] | type[Stage] | type[Reason]) -> str:
    if value not in [choice.value for choice in choices]:
        raise MessageError(f"{name} is none of the known ones")
    return str(value)


def _preset(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": check_int(event.get("id"), "id", 0, 2**63 - 1),
        "name": check_text(event.get("name"), "name", 60),
    }


_EVENTS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "cursor": _cursor,
    "stats": _stats,
    "injected": _injected,
    "state": _state,
    "preset": _preset,
    "ending": _ending,
}
