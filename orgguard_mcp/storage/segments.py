"""Segments: files that tell which blobs hold which keys, made once and never changed.

As in git's pack index, a fan-out table leads to the few keys that begin alike, and these are
sorted: a look-up maps the file and touches three places of it. After a header come, in the byte
order of the machine, which alone reads them:

- the lists: numbers of blobs, 16 bits each, ascending, or, where that is shorter, a bit for each
  blob. Such a bitmap has an odd number of bytes, by which it is told from numbers;
- the low 32 bits of each key's hash, ascending among those that begin alike;
- where each key's list starts, in bytes;
- the fan-out: for each 12 bits that a hash begins with, how many keys come before; then all.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

MAX_BLOBS = 1 << 16
"""Blobs of one segment."""

FAN_BITS = 12
REST_BITS = 32
_FAN = 1 << FAN_BITS
_HEADER = struct.Struct("=8sIIQ")
_MAGIC = b"orgguard" if sys.byteorder == "little" else b"draugoro"
_BITS = [tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256)]


class DamagedError(sqlite3.DatabaseError):
    """A segment is missing, cut, or holds what no segment can: as bad as a damaged database."""


class Portion(NamedTuple):
    """Some keys of a segment, ascending: how many begin with each 12 bits, 32 bits of each, where
    its list starts among all, and the lists.
    """

    fan: Sequence[int]
    keys: bytes
    starts: bytes
    lists: bytes


def write(path: Path, blobs: int, portions: Iterable[Portion]) -> None:
    """Make the file *path* of *portions*, for its owner's eyes; it is whole or not there."""
    unfinished = path.with_name(path.name + ".new")
    fan, keys, starts, size = [0] * _FAN, bytearray(), bytearray(), 0
    with open(unfinished, "wb", opener=_private) as file:
        file.write(bytes(_HEADER.size))
        for portion in portions:
            fan = [one + more for one, more in zip(fan, portion.fan, strict=True)]
            keys += portion.keys
            starts += portion.starts
            size += file.write(portion.lists)
        fan_out = array("I", accumulate(fan, initial=0))
        file.writelines((bytes(-size % 4), keys, starts, fan_out.tobytes()))
        file.seek(0)
        file.write(_HEADER.pack(_MAGIC, blobs, len(keys) // 4, size))
    unfinished.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def encode(postings: Mapping[int, Collection[int]], blobs: int) -> Portion:
    """What a segment of so many *blobs* holds of *postings*, which `tokenise.postings` gives."""
    hashes, rest = sorted(postings), (1 << REST_BITS) - 1
    fan = [0] * _FAN
    for hashed in hashes:
        fan[hashed >> REST_BITS] += 1
    keys = array("I", [hashed & rest for hashed in hashes])
    bitmap = bitmap_size(blobs)
    lists = [_packed(postings[hashed], bitmap) for hashed in hashes]
    starts = array("I", accumulate(map(len, lists), initial=0))[:-1]
    return Portion(fan, keys.tobytes(), starts.tobytes(), b"".join(lists))


def bitmap_size(blobs: int) -> int:
    """The bytes of a list that has a bit for each of *blobs*."""
    return (blobs + 7) // 8 | 1


def _packed(numbers: Collection[int], bitmap: int) -> bytes:
    """A list of *numbers*, or a bitmap of that size."""
    if 2 * len(numbers) <= bitmap:
        return array("H", sorted(numbers)).tobytes()
    bits = bytearray(bitmap)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


class Segment:
    """A segment file, mapped. Its blobs are numbered from *first* on.

    Raises `DamagedError` from every method.
    """

    def __init__(self, path: Path, first: int) -> None:
        self.first = first
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DamagedError(f"{path.name} cannot be read") from error
        self._parts()

    def _parts(self) -> None:
        if len(self._map) < _HEADER.size:
            raise DamagedError("a segment is cut")
        magic, self.blobs, keys, size = _HEADER.unpack_from(self._map)
        bounds = [_HEADER.size + size + -size % 4]
        for length in (4 * keys, 4 * keys, 4 * (_FAN + 1)):
            bounds.append(bounds[-1] + length)
        if magic != _MAGIC or bounds[-1] != len(self._map) or self.blobs > MAX_BLOBS:
            raise DamagedError("a segment is cut, or no segment")
        whole = memoryview(self._map)
        self.lists = whole[_HEADER.size : _HEADER.size + size]
        self.keys, self.starts, self.fan = (
            whole[start:end].cast("I") for start, end in pairwise(bounds)
        )
        if self.fan[_FAN] != keys:
            raise DamagedError("a segment's fan-out does not lead to its keys")

    def close(self) -> None:
        """Let go of the file."""
        for view in (self.fan, self.keys, self.starts, self.lists):
            with suppress(BufferError):  # an answer that is still being read keeps it open
                view.release()
        with suppress(BufferError):
            self._map.close()

    def forget(self) -> None:
        """Let go of the pages that were read, for whoever reads all of a segment once."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def holds(self, hashed: int) -> bool:
        """Whether a blob of this segment holds the key of that hash."""
        return self._place(hashed) >= 0

    def count(self, hashed: int) -> int:
        """About how many blobs hold the key of that hash: more than a bitmap has bytes, for one."""
        return len(self._list(hashed)) // 2

    def find(self, hashed: int) -> Iterator[int]:
        """The numbers of the blobs that hold the key of that hash, ascending."""
        found = self._list(hashed)
        if len(found) % 2:
            yield from _set_bits(found, self.first, self.blobs)
            return
        for number in found.cast("H"):
            if number >= self.blobs:
                raise DamagedError("a segment names a blob that it does not have")
            yield self.first + number

    def holding(self, hashed: int) -> Callable[[int], bool]:
        """What tells of the number of a blob whether that holds the key of that hash."""
        found, first = self._list(hashed), self.first
        if len(found) % 2:
            return lambda blob: bool(found[blob - first >> 3] >> (blob - first & 7) & 1)
        numbers = found.cast("H")

        def holds(blob: int) -> bool:
            place = bisect_left(numbers, blob - first)
            return place < len(numbers) and numbers[place] == blob - first

        return holds

    def _list(self, hashed: int) -> memoryview:
        """The list of a key: empty when no blob holds it."""
        place = self._place(hashed)
        if place < 0:
            return self.lists[:0]
        after = place + 1
        start = self.starts[place]
        end = self.starts[after] if after < len(self.starts) else len(self.lists)
        found = self.lists[start:end] if start <= end else self.lists[:0]
        if not len(found) or len(found) != end - start:
            raise DamagedError("a segment's list lies outside of it")
        if len(found) % 2 and len(found) != bitmap_size(self.blobs):
            raise DamagedError("a segment's list is not as long as it should be")
        return found

    def _place(self, hashed: int) -> int:
        """The place of a key among all, or -1."""
        part, rest = hashed >> REST_BITS, hashed & (1 << REST_BITS) - 1
        low, high = self.fan[part], self.fan[part + 1]
        if not low <= high <= len(self.keys):
            raise DamagedError("a segment's fan-out leads outside of it")
        place = bisect_left(self.keys, rest, low, high)
        return place if place < high and self.keys[place] == rest else -1


def _set_bits(bits: memoryview, first: int, blobs: int) -> Iterator[int]:
    for at, byte in enumerate(bits):
        if byte:
            start = first + 8 * at
            for bit in _BITS[byte]:
                if start + bit < first + blobs:
                    yield start + bit
