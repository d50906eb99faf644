"""Bells: how a process that waits for the ledger hears of a commit at once.

A bell says that there may be something new, and not what: whoever hears one reads the ledger. So a
forged ring costs a look and grants nothing, and a lost one costs the time until the next look
(docs/adr/0015-waiting.md).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

SUFFIX = ".bell"


class Bell(Protocol):
    """What a waiting process listens to: every engine's ledger hands out one of its own."""

    def fileno(self) -> int:
        """A descriptor that can be read once the ledger may have changed."""

    def hush(self) -> None:
        """Make the descriptor wait for the next change; the ledger is looked at after this."""

    def close(self) -> None:
        """Listen no longer."""


class Watched(Protocol):
    """What a ledger of any engine offers to those who wait for it."""

    def bell(self) -> Bell | None:
        """What rings when somebody commits; None where there can be none."""

    def version(self) -> int:
        """A number that grows with every commit, whoever's it is."""

    def undecided(self, request_ids: Iterable[str]) -> frozenset[str]:
        """Those of *request_ids* that have no decision yet: when to look, and no answer."""


class _Heard:
    """What every bell here is heard by: a descriptor that does not block."""

    _reading: int

    def fileno(self) -> int:
        """See `Bell`."""
        return self._reading

    def hush(self) -> None:
        """See `Bell`."""
        with suppress(BlockingIOError):
            os.read(self._reading, 1 << 16)


class PipeBell(_Heard):
    """A bell that this process rings itself, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._reading, self._writing = os.pipe()
        for end in (self._reading, self._writing):
            os.set_blocking(end, False)

    def tell(self) -> None:
        """Ring; once it is closed, nothing: its descriptors may be another's by then."""
        with self._lock, suppress(BlockingIOError):
            if not self._closed:
                os.write(self._writing, b"\0")

    def close(self) -> None:
        """See `Bell`."""
        with self._lock:
            self._closed = True
            os.close(self._reading)
            os.close(self._writing)


class FifoBell(_Heard):
    """A named pipe in the ledger's private directory. Raises `OSError` where none can be made."""

    def __init__(self, directory: Path) -> None:
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        unheard = directory / f".{name}"
        self._path = directory / f"{name}{SUFFIX}"
        os.mkfifo(unheard, 0o600)
        try:
            self._reading = os.open(unheard, os.O_RDONLY | os.O_NONBLOCK)
            # A pipe that its last writer left could be read from then on: so this one never leaves.
            self._writing = os.open(unheard, os.O_WRONLY | os.O_NONBLOCK)
            unheard.rename(self._path)  # not before: `ring` takes a bell without listener away
        except OSError:
            unheard.unlink()
            raise

    def close(self) -> None:
        """See `Bell`."""
        self._path.unlink(missing_ok=True)
        os.close(self._reading)
        os.close(self._writing)


def ring(directory: Path) -> None:
    """Ring every bell in *directory*, and take away those of processes that were killed. Never
    waits, and never fails: what happened before it is committed.
    """
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                _ring(entry.path)


def _ring(path: str) -> None:
    try:
        bell = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody has it open
            with suppress(OSError):
                Path(path).unlink()
        return
    with suppress(OSError):  # a full pipe was rung before
        if stat.S_ISFIFO(os.fstat(bell).st_mode):
            os.write(bell, b"\0")
    os.close(bell)
