"""The files of a change: which lines it adds, and which paths.

A line counts as added when the old file does not have it and the change removes it nowhere; white
space around it aside. That needs no patch: nothing that a patch says (headers within content, a
`.gitattributes` that calls a file binary, a driver that rewrites it) can mislead it, and a file in
UTF-16 is compared like any other. Renames need no guessing either: the lines of a renamed file
were removed elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from orgguard_mcp.lines import (
    decode,
    file_lines,
    is_notebook,
    notebook_text,
    numbered,
    pieces,
    readable,
    surface_of,
)
from orgguard_mcp.model import Artifact, Surface
from orgguard_mcp.repository import (
    ABSENT,
    SUBMODULE,
    SYMLINK,
    FileChange,
    Lack,
    Repository,
    partial_clone,
)

MAX_CONTENT = 16 << 20
"""Bytes; the content of a larger file is not scanned, and said to be not."""

MAX_LINES = 5_000
"""Lines in one artifact."""

MAX_REMOVED = 1_000_000
"""Removed lines that are remembered, about 70 bytes each. After that, lines that moved are scanned
like new ones: slower and noisier, but nothing is missed."""

_AT_ONCE = 10_000
"""Files that git is asked for at once."""

Skip = Callable[[Surface, str, str], None]
"""Told of what is not scanned: on which surface, what, and why."""

_LFS = "version https://git-lfs.github.com/spec/"


class _Unread(NamedTuple):
    """Why there is no content."""

    reason: str


_Content = bytes | _Unread
_TOO_LARGE = _Unread(f"too large: over {MAX_CONTENT >> 20} MB")
_MISSING = _Unread("its content is not in this clone")
_LACKING = {Lack.LARGE: _TOO_LARGE, Lack.MISSING: _MISSING}


def read_files(
    repository: Repository, changes: Iterable[FileChange], skip: Skip
) -> Iterator[Artifact]:
    """What *changes* add, file by file: a new path, then the added lines in artifacts of at most
    `MAX_LINES`. They are iterated over several times, and of all files one at a time is in memory.
    Raises `RepositoryError` when a partial
    clone has left them all with its remote.
    """
    moved = {change.old_oid for change in changes if change.deletes}
    removed = _removed_lines(repository, changes, moved)
    present = (change for change in changes if not change.deletes)
    lost = read = 0
    for change, old, new in _contents(repository, present):
        stored = change.old_mode != ABSENT  # else both ids may be zeros, of an untracked file
        if not stored:
            path = readable(os.fsencode(change.path))
            yield Artifact(Surface.PATH, change.path, tuple((0, p) for p in pieces(path)))
        lost += new is _MISSING
        read += not isinstance(new, _Unread)
        if isinstance(new, _Unread):
            skip(surface_of(change.path), change.path, new.reason)
        elif change.new_mode == SYMLINK:
            target = readable(new).replace("\n", " ")
            yield Artifact(Surface.DATA, change.path, tuple((1, p) for p in pieces(target)))
        elif change.new_oid not in moved and not (stored and change.new_oid == change.old_oid):
            yield from read_text(change.path, new, [_lines(old), removed], skip)
    if lost and not read and repository.partial:
        raise partial_clone("none of the change's files could be read")


def read_text(
    path: str, data: bytes, present: Sequence[AbstractSet[int]], skip: Skip
) -> Iterator[Artifact]:
    """The lines of the file *path* that none of *present* has, at most `MAX_LINES` at once."""
    read = decode(data)
    if read is None:
        skip(surface_of(path), path, "binary: its name alone was scanned")
        return
    text, doubt = read
    if doubt:
        skip(surface_of(path), path, doubt)
    if text.startswith(_LFS):
        skip(surface_of(path), path, "kept in Git LFS: its content is not in the repository")
    render = notebook_text if is_notebook(path) else pieces
    waiting: dict[Surface, list[tuple[int, str]]] = {}
    for surface, number, line in file_lines(path, text):
        key = hash(line.strip())
        if any(key in lines for lines in present):
            continue
        batch = waiting.setdefault(surface, [])
        for piece in render(line):
            batch.append((number, piece))
            if len(batch) == MAX_LINES:
                yield Artifact(surface, path, tuple(batch))
                batch.clear()
    for surface, batch in waiting.items():
        if batch:
            yield Artifact(surface, path, tuple(batch))


def _removed_lines(
    repository: Repository, changes: Iterable[FileChange], moved: AbstractSet[str]
) -> set[int]:
    """The lines that some file had and has no more; *moved* is what was deleted."""
    elsewhere = {change.new_oid for change in changes if change.new_oid in moved}
    removed: set[int] = set()
    gone = (
        change
        for change in changes
        if change.old_mode not in {ABSENT, SUBMODULE}
        and change.old_oid != change.new_oid
        and not (change.deletes and change.old_oid in elsewhere)  # it moved, whole
    )
    for _, old, new in _contents(repository, gone):
        if not isinstance(new, _Unread):  # what cannot be read may still have them all
            removed |= _lines(old) - _lines(new)
        if len(removed) > MAX_REMOVED:
            break
    return removed


def _lines(content: _Content) -> set[int]:
    """The lines of *content*, as hashes of 64 bits that differ from run to run, so that nobody can
    prepare two lines that have the same.
    """
    read = None if isinstance(content, _Unread) else decode(content)
    return {hash(line.strip()) for _, line in numbered(read.text)} if read else set()


def _contents(
    repository: Repository, changes: Iterable[FileChange]
) -> Iterator[tuple[FileChange, _Content, _Content]]:
    """Each of *changes* with its old and its new content; a side that is not there is empty."""
    left = iter(changes)
    while some := list(islice(left, _AT_ONCE)):
        yield from _contents_of(repository, some)


def _contents_of(
    repository: Repository, changes: Sequence[FileChange]
) -> Iterator[tuple[FileChange, _Content, _Content]]:
    stored_ids = (oid for change in changes for oid, stored in _sides(change) if stored)
    blobs = repository.objects(stored_ids, "blob", MAX_CONTENT)
    on_disk = any(oid and not stored for change in changes for oid, stored in _sides(change))
    top = repository.top_level() if on_disk else None
    for change in changes:
        read: list[_Content] = []
        for oid, stored in _sides(change):
            if stored:
                data = next(blobs)[1]
                read.append(_LACKING[data] if isinstance(data, Lack) else data)
            else:
                read.append(_read_from_disk(top, change.path) if oid and top else b"")
        new = _unreadable(change) or read[1]
        yield change, read[0], new


def _sides(change: FileChange) -> tuple[tuple[str, bool], tuple[str, bool]]:
    """The old and the new side: the object's id, empty for none, and whether git has it stored."""
    old = "" if change.old_mode in {ABSENT, SUBMODULE} else change.old_oid
    new = "" if change.deletes or _unreadable(change) else change.new_oid
    return (old, bool(old)), (new, bool(new.strip("0")))


def _unreadable(change: FileChange) -> _Unread | None:
    if change.unmerged:
        return _Unread("in conflict: what will be committed is not known yet")
    if change.new_mode == SUBMODULE or change.path.endswith("/"):
        return _Unread("submodule: its content is another repository's")
    return None


def _read_from_disk(top: Path, path: str) -> _Content:
    """The file *path* of the working tree; a symbolic link's target."""
    place = top / path
    try:
        if place.is_symlink():
            return os.fsencode(place.readlink())
        # A pipe in the place of a file must not make us wait, nor a link lead us elsewhere.
        with open(place, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return _Unread("not a regular file")
            data = file.read(MAX_CONTENT + 1)
    except OSError as error:
        return _Unread(f"could not be read: {error.strerror}")
    return _TOO_LARGE if len(data) > MAX_CONTENT else data


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
