"""Text in columns: blobs side by side, and the runs of letters and digits in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orgguard_mcp import terms

BATCH_BYTES = 512 << 10
"""The text of a batch: columns of it fit a processor's cache."""

Numbers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]

OTHER, LOWER, UPPER, DIGIT = range(4)
CLASSES = bytes(
    LOWER if chr(byte) in "abcdefghijklmnopqrstuvwxyz"
    else UPPER if chr(byte) in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    else DIGIT if chr(byte) in "0123456789"
    else OTHER
    for byte in range(256)
)  # fmt: skip
"""For `bytes.translate`: the class of each byte."""

_INSIDE = bytes(CLASSES[byte] != OTHER or byte >= 0x80 for byte in range(256))
"""Runs hold everything outside ASCII, too: what of it is a letter is told by `mentions`."""

_LENGTH_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
_HIGH, _NEITHER = np.uint64(0x80), np.uint64(0x60)  # in ASCII, lower-case letters have both bits
_CONTINUES = 0xC0  # of a byte that goes on a character the high two bits are 10
_LINE_FEED = ord("\n")


class Piece(NamedTuple):
    """Text of the blob of that number, in UTF-8."""

    blob: int
    text: bytes


class Runs(NamedTuple):
    """The runs of letters and digits of a batch, a column each.

    A head is the first eight bytes as a number, a gap what lies between a run and the next one.
    """

    starts: Numbers
    ends: Numbers
    sizes: Numbers
    heads: Words
    capital: Flags  # or a digit
    foreign: Flags  # not all ASCII
    before: Bytes
    after: Bytes
    gaps: Numbers
    blobs: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.starts)


class Batch(NamedTuple):
    """Pieces of text one after the other: a line feed, then each piece with one behind it."""

    text: bytes
    raw: Bytes
    words: Words  # the eight bytes at each offset as a number
    piece_ends: Numbers
    blobs: Sequence[int]
    runs: Runs

    def written(self, starts: Numbers, sizes: Numbers, separator: bytes) -> tuple[bytes, Numbers]:
        """Stretches of the text one after the other, *separator* behind each, and where they begin
        there.
        """
        step = sizes + len(separator)
        ends = np.cumsum(step)
        at = np.arange(ends[-1] if len(ends) else 0)
        at += np.repeat(starts - (ends - step), step)
        text = self.raw[np.minimum(at, len(self.raw) - 1)]
        for back, byte in enumerate(reversed(separator), 1):
            text[ends - back] = byte
        return text.tobytes(), ends - step


def pieces(blobs: Iterable[tuple[int, bytes]]) -> Iterator[Piece]:
    """The text of *blobs* in pieces; binary files have none."""
    for number, data in blobs:
        if not data.isascii() or b"\0" in data[:8192]:
            text = terms.decoded(data)
            if text is None:
                continue
            data = text.encode("utf-8", "surrogatepass")
        for part in _cut(data.replace(b"&amp;", b"&")):
            yield Piece(number, part)


def _cut(text: bytes) -> Iterator[bytes]:
    """*text* in parts of up to `BATCH_BYTES`, by lines."""
    start = 0
    while len(text) - start > BATCH_BYTES:
        end = text.rfind(b"\n", start, start + BATCH_BYTES) + 1
        end = end if end > start else start + BATCH_BYTES
        yield text[start:end]
        start = end
    yield text[start:]


def batch(parts: Sequence[Piece]) -> Batch:
    """The batch of *parts*."""
    text = _without_long_lines(b"".join([b"\n", *(b"%b\n" % part.text for part in parts)]))
    ends = np.fromiter(accumulate(len(part.text) + 1 for part in parts), np.int64, len(parts)) + 1
    raw, words = np.frombuffer(text, np.uint8), eight_bytes(text)
    blobs = [part.blob for part in parts]
    return Batch(text, raw, words, ends, blobs, _runs(text, words, ends, blobs))


def _without_long_lines(text: bytes) -> bytes:
    """*text* with those lines blanked that have too many characters."""
    feeds = np.frombuffer(text, np.uint8) == _LINE_FEED
    # A long line covers a whole stretch of half its size: most texts have no such stretch.
    stretch = terms.MAX_LINE // 2
    stretches = feeds[: len(feeds) // stretch * stretch].reshape(-1, stretch)
    if stretches.any(axis=1).all():
        return text
    blanked = bytearray(text)
    newlines = np.flatnonzero(feeds)
    for at in np.flatnonzero(np.diff(newlines) > terms.MAX_LINE + 1).tolist():
        start, end = int(newlines[at]) + 1, int(newlines[at + 1])
        line = np.frombuffer(text, np.uint8, end - start, start)
        if np.count_nonzero((line & _CONTINUES) != _HIGH) > terms.MAX_LINE:
            blanked[start:end] = b" " * (end - start)
    return bytes(blanked)


def eight_bytes(text: bytes) -> Words:
    """The eight bytes at each offset of *text*, as a number; zeros follow its end."""
    return np.ndarray((len(text),), np.uint64, text + bytes(8), 0, (1,))


def _runs(text: bytes, words: Words, piece_ends: Numbers, blobs: Sequence[int]) -> Runs:
    raw, inside = np.frombuffer(text, np.uint8), np.frombuffer(text.translate(_INSIDE), bool)
    last = np.flatnonzero(inside[1:] != inside[:-1])  # bytes of what an edge ends
    before_starts, last_of_runs = np.ascontiguousarray(last.reshape(-1, 2).T)
    starts, ends = before_starts + 1, last_of_runs + 1
    sizes = ends - starts
    heads = words[starts]
    heads &= low_bytes(sizes)
    counts = np.diff(np.searchsorted(starts, piece_ends), prepend=0)
    return Runs(
        starts, ends, sizes, heads, _capital(heads), _foreign(text, starts),
        raw[before_starts], raw[ends],
        starts[1:] - ends[:-1], np.repeat(np.array(blobs, np.uint64), counts),
    )  # fmt: skip


def _capital(heads: Words) -> Flags:
    found: Flags = ((heads & _HIGH) == 0) & ((heads & _NEITHER) != _NEITHER)
    return found


def _foreign(text: bytes, starts: Numbers) -> Flags:
    found = np.zeros(len(starts), bool)
    if not text.isascii():
        high = np.flatnonzero(np.frombuffer(text, np.uint8) >= 0x80)
        found[np.searchsorted(starts, high, side="right") - 1] = True
    return found


def low_bytes(sizes: Numbers) -> Words:
    """What masks all but so many low bytes of a number, up to all eight."""
    return _LENGTH_MASKS.take(sizes, mode="clip")


def heads_of(words: str) -> Words:
    """The heads of *words*, sorted, for `among`."""
    return np.array(sorted(int.from_bytes(word.encode()[:8], "little") for word in words.split()),
                    np.uint64)  # fmt: skip


def among(known: Words, heads: Words) -> Flags:
    """Which of *heads* are in *known*."""
    at = np.searchsorted(known, heads)
    found: Flags = known[np.minimum(at, len(known) - 1)] == heads
    return found


def bytes_in(chars: str, *, foreign: bool = False) -> Flags:
    """For each byte, whether it is one of *chars*, or of what is *foreign* to ASCII."""
    found = np.zeros(256, bool)
    found[list(chars.encode())] = True
    found[0x80:] = foreign
    return found


BLANK = bytes_in(" \t")
