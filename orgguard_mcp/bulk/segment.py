"""Segments made of many blobs, and of several segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orgguard_mcp.bulk import keys, marks
from orgguard_mcp.bulk.text import BATCH_BYTES, Bytes, Numbers, Piece, Words, batch, pieces
from orgguard_mcp.storage.segments import FAN_BITS, REST_BITS, Portion, Segment, bitmap_size, write
from orgguard_mcp.tokenise import BLOB_BITS

_FAN = 1 << FAN_BITS
_PORTIONS = 64
"""Merging holds only so small a part of all pairs at once."""


def pairs(blobs: Iterable[tuple[int, bytes]]) -> Words:
    """The pairs (hash and blob) of what `tokenise.postings` gives, for blobs with their numbers."""
    found: list[Words] = []
    waiting: list[Piece] = []
    size = 0
    for piece in pieces(blobs):
        waiting.append(piece)
        size += len(piece.text)
        if size >= BATCH_BYTES:
            found += _columns(waiting)
            waiting, size = [], 0
    found += _columns(waiting) if waiting else []
    together = np.concatenate(found or [np.zeros(0, np.uint64)])
    found.clear()  # what is sorted and encoded next takes several times as much
    return keys.unique(together)


def _columns(some: Sequence[Piece]) -> tuple[Words, Words]:
    columns = batch(some)
    return keys.pairs(columns), marks.pairs(columns)


def build(path: Path, blobs: Iterable[tuple[int, bytes]], count: int) -> None:
    """Write the segment of *count* blobs, of which *blobs* are there; each has its number."""
    write(path, count, [_encoded(pairs(blobs), count)])


def merge(path: Path, segments: Sequence[Segment]) -> None:
    """Write what *segments* hold, whose blobs follow each other, as one segment."""
    first = segments[0].first
    count = segments[-1].first + segments[-1].blobs - first
    columns = [_decoded(segment, segment.first - first) for segment in segments]
    write(path, count, _portions(zip(*columns, strict=True), count))


def _portions(columns: Iterable[Sequence[Words]], count: int) -> Iterator[Portion]:
    """What each of *columns*, together, is encoded as."""
    start = 0
    for some in columns:
        yield (portion := _encoded(keys.unique(np.concatenate(some)), count, start))
        start += len(portion.lists)


def _encoded(pairs: Words, blobs: int, start: int = 0) -> Portion:
    """What `segments.encode` makes of *pairs*, whose lists follow *start* bytes of others."""
    hashes = pairs >> np.uint64(BLOB_BITS)
    first = np.flatnonzero(keys.changes(hashes))
    counts = np.diff(first, append=len(pairs))
    numbers = pairs.astype(np.uint16)  # their low bits: a segment has no more blobs
    bitmap = bitmap_size(blobs)
    many = np.flatnonzero(2 * counts > bitmap)
    lists, done = [], 0
    for key in many.tolist():
        begins, end = int(first[key]), int(first[key] + counts[key])
        lists += [numbers[done:begins].tobytes(), _bitmap(numbers[begins:end], bitmap)]
        done = end
    sizes = 2 * counts
    sizes[many] = bitmap
    starts = start + np.cumsum(sizes) - sizes
    distinct = hashes[first]
    fan = np.bincount((distinct >> np.uint64(REST_BITS)).astype(np.int64), minlength=_FAN)
    return Portion(
        fan.tolist(), distinct.astype(np.uint32).tobytes(), starts.astype(np.uint32).tobytes(),
        b"".join([*lists, numbers[done:].tobytes()]),
    )  # fmt: skip


def _bitmap(numbers: NDArray[np.uint16], size: int) -> bytes:
    bits = np.zeros(8 * size, bool)
    bits[numbers] = True
    return np.packbits(bits, bitorder="little").tobytes()


def _decoded(segment: Segment, shift: int) -> Iterator[Words]:
    """The pairs of *segment* in portions, their blobs' numbers shifted."""
    fan = np.frombuffer(segment.fan, np.uint32)
    for part in range(0, _FAN, _FAN // _PORTIONS):
        bounds = fan[part : part + _FAN // _PORTIONS + 1]
        yield _pairs_of(segment, part, bounds.astype(np.int64), shift)
        segment.forget()


def _pairs_of(segment: Segment, part: int, bounds: Numbers, shift: int) -> Words:
    low, high = int(bounds[0]), int(bounds[-1])
    rests = np.frombuffer(segment.keys, np.uint32)[low:high].astype(np.uint64)
    parts = np.repeat(np.arange(part, part + len(bounds) - 1, dtype=np.uint64), np.diff(bounds))
    hashes = parts << np.uint64(REST_BITS) | rests
    places = np.frombuffer(segment.starts, np.uint32)[low : high + 1].astype(np.int64)
    if high == len(segment.starts):
        places = np.append(places, len(segment.lists))
    sizes = np.diff(places)
    numbers, counts, done = [], sizes // 2, int(places[0])
    for key in np.flatnonzero(sizes % 2).tolist():  # bitmaps
        start, end = int(places[key]), int(places[key + 1])
        held = np.flatnonzero(np.unpackbits(_bytes(segment, start, end), bitorder="little"))
        numbers += [_bytes(segment, done, start).view(np.uint16), held]
        counts[key] = len(held)
        done = end
    rest = _bytes(segment, done, int(places[-1])).view(np.uint16)
    blobs = np.concatenate([*numbers, rest]).astype(np.uint64) + np.uint64(shift)
    return np.repeat(hashes, counts) << np.uint64(BLOB_BITS) | blobs


def _bytes(segment: Segment, start: int, end: int) -> Bytes:
    """A copy of some of the lists: a bitmap has an odd size, and what follows it odd places."""
    return np.frombuffer(segment.lists[start:end], np.uint8).copy()
