"""The texts within a file, packed or not: the members of wheels, zip files and tarballs, the words
of a program. Bounded, since a small archive may unpack to anything.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

from orgguard_mcp.lines import decode

MAX_MEMBER = 4 << 20
"""Bytes read of one member."""

MAX_UNPACKED = 256 << 20
"""Bytes read of one archive, those within it included."""

_DEPTH = 2  # a tarball in a wheel is read, what is packed in that is not
_PRINTABLE = bytes(b if 0x20 <= b < 0x7F else 0x0A for b in range(256))
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_BY_COMPRESSION = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_BROKEN = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError,
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What the standard library's readers raise for a damaged, locked or unusual archive."""


class Inner(NamedTuple):
    """A text within a file: the `member` that holds it (empty: the file itself). `text` is None for
    a member that was not read.
    """

    member: str
    text: str | None


_Member = tuple[str, int, IO[bytes]]


def texts(data: bytes) -> Iterator[Inner]:
    """Every text within *data*, the content of a file."""
    yield from _texts(data, "", _DEPTH, [MAX_UNPACKED])


def _texts(data: bytes, where: str, depth: int, left: list[int]) -> Iterator[Inner]:
    if depth and data.startswith(_ZIP):
        yield from _members(_zip(data), where, depth, left)
    elif depth and (data.startswith(_TAR_BY_COMPRESSION) or data[257:262] == b"ustar"):
        yield from _members(_tar(data), where, depth, left)
    else:
        read = decode(data)
        yield Inner(where, read.text if read else data.translate(_PRINTABLE).decode("ascii"))


def _members(
    members: Iterator[_Member], where: str, depth: int, left: list[int]
) -> Iterator[Inner]:
    try:
        for name, size, stream in members:
            inside = f"{where}!{name}" if where else name
            left[0] -= size
            if left[0] < 0:
                yield Inner(where, None)
                return
            if size > MAX_MEMBER:
                yield Inner(inside, None)
            else:
                yield from _texts(stream.read(MAX_MEMBER), inside, depth - 1, left)
    except _BROKEN:
        yield Inner(where, None)


def _zip(data: bytes) -> Iterator[_Member]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as stream:
                    yield info.filename, info.file_size, stream


def _tar(data: bytes) -> Iterator[_Member]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
        for info in archive:
            if info.isfile() and (stream := archive.extractfile(info)):
                with stream:
                    yield info.name, info.size, stream
