"""The files within a file: the members of wheels, zip files, tarballs, crates and gems, and the
texts in them. Nothing is unpacked onto a disk and no link is followed: a member's path is a label.

All of it is bounded, since a small archive may unpack to anything.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Final, NamedTuple, cast

from orgguard_mcp.lines import decode

INSIDE: Final = "!/"
"""Stands between an archive's path and the path of a member: ``dist/a.whl!/pkg/mod.py``."""

MAX_MEMBER = 16 << 20
"""Bytes read of one member."""

MAX_MEMBERS = 100_000
"""Members read of one archive, those of archives within it included."""

MAX_UNPACKED = 256 << 20
"""Bytes read of one archive, those within it included."""

MAX_RATIO = 100
"""How many times its own size an archive may unpack to, once that is over `_SMALL`."""

_SMALL = 16 << 20
_DEPTH = 2  # a tarball in a wheel is read, what is packed in that is not
_BLOCK = 512
_PRINTABLE = bytes(b if 0x20 <= b < 0x7F else 0x0A for b in range(256))
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_BROKEN = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError,
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What the standard library's readers raise for a damaged, locked or unusual archive."""

DAMAGED: Final = "damaged, locked or of an unknown kind: not all of it was read"
ENDLESS: Final = "unpacks to more than is read: not all of it was read"


class Member(NamedTuple):
    """A file within a file, with its `path` in it (empty: the file itself, which is no archive).

    A directory's path ends with a slash; a link's data is its target. `data` is None for a member
    that was not read, and for an archive that was not read to its end: then `lack` says why.
    """

    path: str
    data: bytes | None
    lack: str = ""


class Inner(NamedTuple):
    """A text within a file: the `member` that holds it (empty: the file itself). `text` is None for
    a member that was not read.
    """

    member: str
    text: str | None


def texts(data: bytes) -> Iterator[Inner]:
    """Every text within *data*, the content of a file; of a program, its words."""
    for path, content, _ in members(io.BytesIO(data)):
        if not path.endswith("/"):
            yield Inner(path, None if content is None else _words(content))


def _words(data: bytes) -> str:
    read = decode(data)
    return read.text if read else data.translate(_PRINTABLE).decode("ascii")


def members(file: IO[bytes]) -> Iterator[Member]:
    """Every member of *file*, which can seek, and of archives within it; of a file that is no
    archive itself alone.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    budget = _Budget(min(MAX_UNPACKED, max(_SMALL, MAX_RATIO * size)), MAX_MEMBERS)
    yield from _members(file, "", _DEPTH, budget)


class _SpentError(Exception):
    """The archive unpacks to more than is read."""


class _Budget:
    """What may still be read of one archive."""

    def __init__(self, size: int, count: int) -> None:
        self._size = size
        self._count = count

    def spend(self, size: int, count: int = 0) -> None:
        """Count what is about to be read, or was; `_SpentError` when it is too much."""
        self._size -= size
        self._count -= count
        if self._size < 0 or self._count < 0:
            raise _SpentError


class _Stream:
    """A decompressed *file*, whose every byte counts. A tarball is read through it from start to
    end, so that what is skipped and what is header counts, too.
    """

    def __init__(self, file: IO[bytes], budget: _Budget) -> None:
        self._file = file
        self._budget = budget

    def read(self, size: int) -> bytes:
        """At most *size* bytes."""
        data = self._file.read(size)
        self._budget.spend(len(data))
        return data


class _Found(NamedTuple):
    """A member as its archive has it."""

    name: str
    size: int
    content: IO[bytes]


def _members(file: IO[bytes], where: str, depth: int, budget: _Budget) -> Iterator[Member]:
    try:
        found = _opened(file, budget) if depth else None
        if found is None:
            data = file.read(MAX_UNPACKED + 1)
            yield Member(where, data) if len(data) <= MAX_UNPACKED else Member(where, None, ENDLESS)
            return
        for one in found:
            inside = f"{where}{INSIDE}{one.name}" if where else one.name
            budget.spend(0, count=1)
            if one.size > MAX_MEMBER:
                yield Member(inside, None, f"too large: over {MAX_MEMBER >> 20} MB")
            else:
                content = io.BytesIO(one.content.read(MAX_MEMBER))
                yield from _members(content, inside, depth - 1, budget)
    except _SpentError:
        yield Member(where, None, ENDLESS)
        if where:
            raise
    except _BROKEN:
        yield Member(where, None, DAMAGED)


def _opened(file: IO[bytes], budget: _Budget) -> Iterator[_Found] | None:
    """The members of *file*, None when it is no archive. A compressed file that is no tarball is an
    archive of one.
    """
    head = file.read(_BLOCK)
    file.seek(0)
    if head.startswith(_ZIP):
        return _zip(file, budget)
    for magic, decompressed in _DECOMPRESSED:
        if head.startswith(magic):
            unpacked = decompressed(file)
            is_tarball = _is_tar(unpacked.read(_BLOCK))
            unpacked.seek(0)
            return _tar(unpacked, budget) if is_tarball else _single(unpacked, budget)
    return _tar(file, budget) if _is_tar(head) else None


_DECOMPRESSED: Final[tuple[tuple[bytes, Callable[[IO[bytes]], IO[bytes]]], ...]] = (
    (b"\x1f\x8b", lambda file: cast("IO[bytes]", gzip.GzipFile(fileobj=file))),
    (b"BZh", lambda file: cast("IO[bytes]", bz2.BZ2File(file))),
    (b"\xfd7zXZ\0", lambda file: cast("IO[bytes]", lzma.LZMAFile(file))),  # noqa: SIM115
)


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _zip(file: IO[bytes], budget: _Budget) -> Iterator[_Found]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            budget.spend(info.file_size)
            with archive.open(info) as stream:
                yield _Found(info.filename, info.file_size, stream)


def _tar(file: IO[bytes], budget: _Budget) -> Iterator[_Found]:
    stream = cast("IO[bytes]", _Stream(file, budget))
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            if info.isdir():
                yield _Found(f"{info.name}/", 0, io.BytesIO())
            elif info.issym() or info.islnk():
                target = info.linkname.encode("utf-8", "surrogateescape")
                yield _Found(info.name, len(target), io.BytesIO(target))
            elif info.isfile() and (content := archive.extractfile(info)):
                yield _Found(info.name, info.size, content)
        rest = cast("IO[bytes]", archive.fileobj)
        while block := rest.read(_BLOCK):
            if block.strip(b"\0"):  # `tarfile` ends in silence at a header that it cannot read
                raise tarfile.ReadError


def _single(file: IO[bytes], budget: _Budget) -> Iterator[_Found]:
    data = file.read(MAX_MEMBER + 1)
    budget.spend(len(data))
    yield _Found("content", len(data), io.BytesIO(data))
