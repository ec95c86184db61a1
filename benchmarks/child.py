"""A helper process that answers orders with lines: the engines under measurement and the witness of damage.

Used by one thread. `answer` waits, at most `ANSWER_SECONDS`; leaving the ``with`` ends the process.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

ANSWER_SECONDS = 20.0


class Child:
    """A process with a pipe each way; raises `RuntimeError` with what it said on stderr if it fails."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close(); a pipe could fill up
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError(f"no pipes to {name}")
        self._orders, self._answers = self._process.stdin, self._process.stdout

    def order(self, text: str) -> str:
        """Send an order and return the answer."""
        try:
            self._orders.write(text + "\n")
            self._orders.flush()
        except BrokenPipeError:
            raise self._failure("ended") from None
        return self.answer()

    def answer(self) -> str:
        """Return the next line."""
        if not select.select([self._answers], [], [], ANSWER_SECONDS)[0]:
            raise self._failure(f"has said nothing for {ANSWER_SECONDS:g} s")
        line = self._answers.readline()
        if not line:
            raise self._failure("ended")
        return line.strip()

    def _failure(self, what: str) -> RuntimeError:
        size = os.fstat(self._errors.fileno()).st_size
        said = os.pread(self._errors.fileno(), 2000, max(0, size - 2000)).decode("utf-8", "replace").strip()
        return RuntimeError(f"{self._name} {what}: {said}" if said else f"{self._name} {what}")

    def close(self) -> None:
        """End it: by the end of its input, or by force after 5 s. Idempotent."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._orders.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
