"""Built packages: the paths and lines that a wheel, an sdist, an npm tarball, a crate or a gem
would publish. They hold what no commit has: generated code, and files that git ignores.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import IO

from orgguard_mcp.archives import DAMAGED, INSIDE, members
from orgguard_mcp.diff import Skip, read_text
from orgguard_mcp.errors import OrgGuardError, UsageError
from orgguard_mcp.fileclass import by_name
from orgguard_mcp.lines import decode, pieces, readable, surface_of
from orgguard_mcp.model import Artifact, FileClass, Surface

_SHA256 = 64  # hexadecimal digits of an object's id where git counts by SHA-256


def read_packages(files: Sequence[Path], held: AbstractSet[str], skip: Skip) -> Iterator[Artifact]:
    """What *files* hold, member by member: its path, then its lines, unless its content is one of
    *held*, the ids of the blobs that are no news. A file that is no archive is read like a member,
    if it is text.

    A place is the file's name and the member's path, ``a.whl!/pkg/mod.py``. Raises `UsageError` for
    a file that cannot be opened, `OrgGuardError` for one that could not be read to its end.
    """
    for number, file in enumerate(files, 1):
        which = f"package {number} of {len(files)}"  # a file's name may be what must not be told
        try:
            with file.open("rb") as stream:
                yield from _read(file.name, stream, which, held, skip)
        except OSError as error:
            raise UsageError(
                f"names were not checked: {which} cannot be read",
                cause=f"{error.strerror}",
                hint="pass files that exist with --artifact",
            ) from error


def class_of(path: str) -> FileClass | None:
    """The class of a place within a package, None for any other: what lies in a package was
    generated, so that folders such as `dist` say nothing there.
    """
    return by_name(path.rpartition(INSIDE)[2]) if INSIDE in path else None


def _read(
    name: str, stream: IO[bytes], which: str, held: AbstractSet[str], skip: Skip
) -> Iterator[Artifact]:
    digest = hashlib.sha256 if any(len(oid) == _SHA256 for oid in held) else hashlib.sha1
    yield _path(name)
    for inside, data, lack in members(stream):
        place = f"{name}{INSIDE}{inside}" if inside else name
        if not inside and (data is None or decode(data) is None):
            raise _unread(which, lack or DAMAGED)
        if inside:
            yield _path(place)
        if data is None:
            skip(surface_of(place), place, lack)
        elif digest(b"blob %d\0" % len(data) + data).hexdigest() not in held:
            yield from read_text(place, data, (), skip)


def _path(place: str) -> Artifact:
    text = readable(os.fsencode(place))
    return Artifact(Surface.PATH, place, tuple((0, piece) for piece in pieces(text)))


def _unread(which: str, cause: str) -> OrgGuardError:
    return OrgGuardError(
        f"names were not checked: {which} could not be read",
        cause=cause,
        hint="build it again; what OrgGuard does not open, unpack and pass its files to --artifact",
    )
