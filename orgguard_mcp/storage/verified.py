"""How a log's file stood when it was last verified: its chain is walked again when it was touched.

A walk takes 8 µs an entry, and hooks open the log before every write. The kernel alone sets the
time of a file's last change (stat(2): ctime), so that no other program changes the file unseen.
Whoever can forge this note could as well have built the whole chain anew.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_SETTLED_SECONDS = 1.0  # what changed later than this ago may change again in the same moment
_COMPANION = "-wal"


def stamp(path: Path) -> str:
    """How the log at *path* stands, to be taken before it is walked; empty when that is too young
    to be told from what comes next.
    """
    found = [f"{path}{end}" for end in ("", _COMPANION) if _holds_something(f"{path}{end}")]
    marks = [os.stat(file) for file in found]  # noqa: PTH116  # before every write of an agent
    youngest = max((max(one.st_mtime_ns, one.st_ctime_ns) for one in marks), default=0)
    if youngest > time.time_ns() - _SETTLED_SECONDS * 1e9:
        return ""
    return " ".join(
        f"{one.st_dev}:{one.st_ino}:{one.st_size}:{one.st_mtime_ns}:{one.st_ctime_ns}"
        for one in marks
    )


def is_noted(path: Path, stamp: str) -> bool:
    """Whether the log was seen to be sound when it stood as in *stamp*."""
    with suppress(OSError):
        return bool(stamp) and _note(path).read_text("ascii", "replace") == stamp
    return False


def note(path: Path, stamp: str) -> None:
    """Note that the log was seen to be sound; without a place to write it, it is walked again. Half
    a note is none, so it is written in place.
    """
    if stamp:
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(_note(path), flags, 0o600), "w", encoding="ascii") as file:
                file.write(stamp)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.verified")


def _holds_something(file: str) -> bool:
    with suppress(FileNotFoundError):
        return os.stat(file).st_size > 0  # noqa: PTH116
    return False
