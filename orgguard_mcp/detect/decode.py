r"""Seeing through encodings: what a line says once its escapes, entities and base64 are read.

A name that is written ``Zor\u0062latt``, ``Zor%62latt`` or ``Wm9yYmxhdHQ=`` is published all the
same. `decodings` gives what each encoded stretch of a line says, when that is more than what the
plain text says already; `joined_literals` does so for literals that are split.

Two kinds of encoding are read. *Inline* ones stand letter by letter within plain text, so their
stretch is the phrase around them. *Blobs* (base64, hex, lists of character codes) are a stretch
of their own, and are taken for text only if it reads like text: see `blobs.py`. What comes
out is read again, to a depth of `MAX_DEPTH`.

Cost: a decoding is no longer than what it decodes, and all that one level says has at most four
times the length of what it read (escapes, queries, blobs whole and in segments). So three levels
say at most 84 times the length of a line, whatever it holds; `bench/decode.py` has seen no more
than once its length, and time that grows with the length. No pattern here can match one text in two
ways without a bound, so that none backtracks over it.

Not read: compressed data, base32, UTF-7, Latin-1 in percent encoding, quoted-printable of a single
ASCII letter, blobs under 4 bytes (hex under 6), a number of up to 20 digits as hex, names spaced
out letter by letter or hyphenated at a line's end, and what only running the code would tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orgguard_mcp.detect import blobs, escapes, literals
from orgguard_mcp.detect.stretch import Decoded, has_news, one_line

__all__ = ["MAX_DEPTH", "MAX_LINE", "Decoded", "decodings", "joined_literals", "worth_reading"]

MAX_DEPTH = 3
"""How many encodings around each other are read: base64 of percent encoding of escapes."""

MAX_LINE = 1 << 20
"""How much of a line is decoded, in characters; of a longer one, say that the rest was not."""


def decodings(line: str) -> Iterator[Decoded]:
    """Every decoding of *line* that says something which its plain text does not.

    They come in no particular order, and stretches may overlap. Never raises.
    """
    line = line[:MAX_LINE]
    if worth_reading(line):
        yield from _read(line, MAX_DEPTH, set())


def worth_reading(line: str) -> bool:
    """Whether *line* may have something encoded: the pre-test that lets ordinary lines pass at next
    to no cost.
    """
    return escapes.hinted(line) or blobs.hinted(line)


def _read(text: str, depth: int, seen: set[str]) -> Iterator[Decoded]:
    for found, readable in _stretches(text):
        if found.text in seen:
            continue
        seen.add(found.text)
        if readable and has_news(found.text, text[found.start : found.end]):
            yield found
        if depth > 1 and worth_reading(found.text):
            for inner in _read(found.text, depth - 1, seen):
                how = found.how if inner.how == found.how else f"{inner.how} in {found.how}"
                yield Decoded(inner.text, found.start, found.end, how)


def _stretches(text: str) -> Iterator[tuple[Decoded, bool]]:
    """What each stretch of *text* says, and whether that is for people to read."""
    if escapes.hinted(text):
        for found in (*escapes.inline(text), *escapes.queries(text)):
            yield found, True
    for blob in blobs.blobs(text):
        yield Decoded(one_line(blob.text), blob.start, blob.end, blob.how), blob.readable


def joined_literals(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, Decoded]]:
    """What the split literals of *lines*, (number, text), say together and their parts do not.

    With each comes the number of the line that it begins in; if it goes on to other lines, it
    extends to the first one's end. Literals are joined over consecutive line numbers only. What
    they say together is decoded in turn. Never raises.
    """
    for number, written, joined in literals.joined([(n, text[:MAX_LINE]) for n, text in lines]):
        if has_news(joined.text, written):
            yield number, joined
        for inner in decodings(joined.text):
            how = f"{inner.how} in {joined.how}"
            yield number, Decoded(inner.text, joined.start, joined.end, how)
