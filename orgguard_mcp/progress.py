"""Progress on one line of a terminal, for work that takes over a second; nothing elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self, TextIO

AFTER = 1.0
"""Seconds of work before anything is shown."""

_EVERY = 0.1


class Progress:
    """A counter line on *stream*, wiped at the end. A context manager."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._next = time.monotonic() + AFTER
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def of(self, what: str, unit: str) -> Callable[[int, int], None]:
        """A callback for (done, total)."""

        def told(done: int, total: int) -> None:
            if total:
                self._show(f"{what}: {done:,} of {total:,} {unit}")

        return told

    def so_far(self, what: str, unit: str) -> Callable[[int], None]:
        """A callback for the count of what is done, where the total is not known."""
        return lambda done: self._show(f"{what}: {done:,} {unit}")

    def _show(self, text: str) -> None:
        now = time.monotonic()
        if self._terminal and now >= self._next:
            self._next = now + _EVERY
            self._stream.write(f"\r{text}\x1b[K")
            self._stream.flush()
            self._shown = True
