"""One object as `git cat-file --batch` prints it: taken from the pipe, and proven by its id."""

from __future__ import annotations

import hashlib
from typing import IO

from orgguard_mcp.gitfaults import unreadable

_PIECE = 4 << 20  # bytes that are held at once of what is passed over


def content(stdout: IO[bytes], size: int, limit: int | None) -> bytes | None:
    """The *size* bytes of one object. What is larger than *limit* is passed over without ever
    holding more than a piece of it.

    Raises `OSError` when git has gone.
    """
    data = None
    if limit is None or size <= limit:
        data = _take(stdout, size)
    else:
        for start in range(0, size, _PIECE):
            _take(stdout, min(_PIECE, size - start))
    _take(stdout, 1)
    return data


def verify(oid: str, kind: str, data: bytes) -> None:
    """Raise `RepositoryError` unless *data* is what *oid* stands for: git does not look when it
    reads, so that a file put into its store could make the base say anything.
    """
    name = "sha256" if len(oid) == 64 else "sha1"
    digest = hashlib.new(name, b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
    digest.update(data)
    if digest.hexdigest() != oid:
        raise unreadable(f"object {oid} is not what its id says")


def _take(stdout: IO[bytes], size: int) -> bytes:
    data = stdout.read(size)
    if len(data) != size:
        raise OSError("git cat-file ended")
    return data
