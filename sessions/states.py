"""States of a desktop session, the moves between them, and why a session ended. The single source of truth.

Standard library only: models, host agent, consumers and documentation derive from it.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What a session is. Only the host agent moves it on; the web tier writes what is wanted."""

    REQUESTED = "requested"
    STARTING = "starting"
    RUNNING = "running"
    RECOVERING = "recovering"
    STOPPING = "stopping"
    ENDED = "ended"
    FAILED = "failed"

    @property
    def label(self) -> str:
        """Text for people."""
        return _LABELS[self]

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return not TRANSITIONS[self]

    @property
    def watchable(self) -> bool:
        """Whether a viewer may connect: there is a picture, or one will come."""
        return self in (State.REQUESTED, State.STARTING, State.RUNNING, State.RECOVERING)


_LABELS = {
    State.REQUESTED: "Waiting for a host",
    State.STARTING: "Starting",
    State.RUNNING: "Running",
    State.RECOVERING: "Recovering",
    State.STOPPING: "Stopping",
    State.ENDED: "Ended",
    State.FAILED: "Failed",
}

TRANSITIONS: dict[State, frozenset[State]] = {
    State.REQUESTED: frozenset({State.STARTING, State.STOPPING, State.ENDED, State.FAILED}),
    # Back to the queue: a start that failed for a passing reason is tried once more.
    State.STARTING: frozenset({State.RUNNING, State.REQUESTED, State.STOPPING, State.FAILED}),
    State.RUNNING: frozenset({State.RECOVERING, State.STOPPING, State.ENDED, State.FAILED}),
    State.RECOVERING: frozenset({State.RUNNING, State.STOPPING, State.ENDED, State.FAILED}),
    State.STOPPING: frozenset({State.ENDED, State.FAILED}),
    State.ENDED: frozenset(),
    State.FAILED: frozenset(),
}


class Wanted(StrEnum):
    """What a session should be. Written by the web tier, obeyed by the host agent."""

    RUNNING = "running"
    STOPPED = "stopped"


class Stage(StrEnum):
    """How far a starting session has come."""

    SANDBOX = "sandbox"
    DISPLAY = "display"
    DESKTOP = "desktop"
    STREAM = "stream"

    @property
    def label(self) -> str:
        """Text for people."""
        return _STAGE_LABELS[self]


_STAGE_LABELS = {
    Stage.SANDBOX: "Preparing a private sandbox",
    Stage.DISPLAY: "Starting the display",
    Stage.DESKTOP: "Starting the desktop",
    Stage.STREAM: "Starting the stream",
}


class Reason(StrEnum):
    """Why a session ended or failed."""

    STOPPED_BY_USER = "stopped-by-user"
    STOPPED_BY_OPERATOR = "stopped-by-operator"
    HOST_SHUT_DOWN = "host-shut-down"
    DESKTOP_EXITED = "desktop-exited"
    COMMAND_NOT_FOUND = "command-not-found"
    COMMAND_DIED = "command-died"
    NO_DISPLAY = "no-display"
    NO_SANDBOX = "no-sandbox"
    NO_STREAM = "no-stream"
    NO_HOST = "no-host"
    HOST_LOST = "host-lost"
    OUT_OF_RESOURCES = "out-of-resources"
    IDLE = "idle"
    TOO_OLD = "too-old"

    @property
    def label(self) -> str:
        """Text for people."""
        return _REASON_LABELS[self]

    @property
    def transient(self) -> bool:
        """Whether a start that failed for it may well succeed the next time."""
        return self in (Reason.NO_DISPLAY, Reason.OUT_OF_RESOURCES)


_REASON_LABELS = {
    Reason.STOPPED_BY_USER: "It was stopped by its owner.",
    Reason.STOPPED_BY_OPERATOR: "It was stopped by an administrator.",
    Reason.HOST_SHUT_DOWN: "Its host was shut down.",
    Reason.DESKTOP_EXITED: "The desktop ended by itself.",
    Reason.COMMAND_NOT_FOUND: "The template's command does not exist on this host.",
    Reason.COMMAND_DIED: "The template's command ended at once.",
    Reason.NO_DISPLAY: "The display could not be started.",
    Reason.NO_SANDBOX: "This host cannot make a sandbox for it.",
    Reason.NO_STREAM: "The stream could not be started.",
    Reason.NO_HOST: "No host has room for it.",
    Reason.HOST_LOST: "Its host is gone, and the desktop with it.",
    Reason.OUT_OF_RESOURCES: "The host ran out of disk or memory.",
    Reason.IDLE: "Nobody used it for as long as its template allows.",
    Reason.TOO_OLD: "It reached the age that its template allows.",
}


class InvalidTransition(Exception):
    """A move that the table does not allow."""


def check_transition(old: State, new: State) -> None:
    """Raise `InvalidTransition` unless a session may go from ``old`` to ``new``."""
    if new not in TRANSITIONS[old]:
        raise InvalidTransition(f"a session cannot go from {old} to {new}")
