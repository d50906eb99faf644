"""The uses of a batch: `uses` is asked about those lines alone in which it could find something.

Each mark is what one of its patterns cannot do without, seen in the columns: a capital after a word
or a quote, a legal form, ``://``. A line too many costs time, one too few would lose a use.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

import numpy as np

from orgguard_mcp.bulk.text import BLANK, Batch, Numbers, Words, among, bytes_in, heads_of
from orgguard_mcp.tokenise import BLOB_BITS, key_hash
from orgguard_mcp.uses import (
    CREDENTIAL_WORDS,
    DEFINED,
    LEGAL_WORDS,
    TLDS,
    Uses,
    accented,
    defined,
    displayed,
    in_sentences,
    listed,
    named,
)

_AT, _UNDERSCORE, _DOT, _COMMA, _COLON, _SLASH = b"@_.,:/"
_DEFINED, _LEGAL = heads_of(" ".join(DEFINED)), heads_of(LEGAL_WORDS)
_CREDENTIAL, _TLDS = heads_of(CREDENTIAL_WORDS), heads_of(TLDS.replace("|", " "))
_HOST, _PLC = heads_of("com ai co org"), heads_of("plc")
_QUOTES = bytes_in("\"'")
_TELLING = bytes_in("abcdefghijklmnopqrstuvwxyz,'-")  # what stands before a name in a sentence
_ASSIGNING = bytes_in(":= \t\n")
_ABBREVIATING = bytes_in("./")  # S.A., A/S
_CLOSING = bytes_in("\"'`/:")
_SECOND_LOWER = np.uint64(0x6000)
_ACCENTED = slice(0xC3, 0xCA)  # how U+00C0 to U+024F begin in UTF-8
_BETWEEN = b"\n;\n"
"""What no use reaches across stands between two lines that do not follow each other."""


def pairs(batch: Batch) -> Words:
    """The pairs (`tokenise.pairs`) of the uses in *batch*, in no order."""
    if not len(batch.runs):
        return np.zeros(0, np.uint64)
    found: set[int] = set()
    for find, marks in _marks(batch):
        lines = np.unique(np.searchsorted(batch.newlines, marks))
        text, starts, blobs = _joined(batch, lines)
        for use, key, at in find(text):
            found.add(key_hash(key, use) << BLOB_BITS | blobs[bisect_right(starts, at) - 1])
    return np.fromiter(found, np.uint64, len(found))


def _joined(batch: Batch, lines: Numbers) -> tuple[str, list[int], list[int]]:
    """Those *lines* as one text, where each begins in it, and the blob that it is of."""
    first, ends = batch.newlines[lines - 1] + 1, batch.newlines[lines]
    text, starts = batch.written(first, ends - first, _BETWEEN)
    text, starts = _BETWEEN + text, starts + len(_BETWEEN)  # the first has a line before it, too
    pieces = np.searchsorted(batch.piece_ends, first, side="right")
    if not text.isascii():  # offsets in the text are those of characters
        continues = (np.frombuffer(text, np.uint8) & 0xC0) == 0x80
        starts = starts - np.cumsum(continues)[starts]
    blobs = [batch.blobs[piece] for piece in pieces.tolist()]
    return text.decode("utf-8", "replace"), starts.tolist(), blobs


def _marks(batch: Batch) -> Iterator[tuple[Callable[[str], Uses], Numbers]]:
    """Each of the ways to find uses, and where it may find some."""
    runs, raw = batch.runs, batch.raw
    capital = np.flatnonzero(runs.capital)
    before = raw[runs.starts[capital] - 1]
    after_blank, quoted = capital[BLANK[before]], capital[_QUOTES[before]]
    second_last = raw[runs.starts[after_blank] - 2]
    told = _TELLING[second_last]
    lower = (runs.heads[after_blank] & _SECOND_LOWER) == _SECOND_LOWER
    yield in_sentences, runs.starts[after_blank[told & lower]]
    yield listed, _in_lists(batch, after_blank[second_last == _COMMA])
    following = after_blank[told & (after_blank > 0)]
    yield defined, runs.starts[following[among(_DEFINED, runs.heads[following - 1])]]
    yield displayed, runs.starts[quoted[_ASSIGNING[raw[runs.starts[quoted] - 2]]]]
    yield accented, _accents(batch)
    within = capital[before == _UNDERSCORE]
    credentials = runs.starts[within[among(_CREDENTIAL, runs.heads[within])]]
    yield named, np.concatenate([credentials, *_forms(batch, after_blank), *_hosts(batch)])


def _in_lists(batch: Batch, after_comma: Numbers) -> Numbers:
    """Those that a capitalised word stands before."""
    runs = batch.runs
    before = after_comma - 1  # a comma without a word before it is of no list
    capital = runs.capital[before] | (batch.raw[runs.starts[before] - 1] == _UNDERSCORE)
    found: Numbers = runs.starts[after_comma[capital]]
    return found


def _accents(batch: Batch) -> Numbers:
    """Where letters with accents are."""
    if batch.text.isascii():
        return np.zeros(0, np.int64)
    lead = (batch.raw >= _ACCENTED.start) & (batch.raw < _ACCENTED.stop)
    return np.flatnonzero(lead)


def _forms(batch: Batch, after_blank: Numbers) -> Iterator[Numbers]:
    """Where legal forms may be."""
    runs = batch.runs
    yield runs.starts[after_blank[among(_LEGAL, runs.heads[after_blank])]]
    letter = after_blank[runs.sizes[after_blank] == 1]
    yield runs.starts[letter[_ABBREVIATING[batch.raw[runs.ends[letter]]]]]
    plc = np.flatnonzero(runs.heads == _PLC)
    yield runs.starts[plc[BLANK[batch.raw[runs.starts[plc] - 1]]]]


def _hosts(batch: Batch) -> Iterator[Numbers]:
    """Where hosts, mail addresses and scopes may be."""
    runs, raw = batch.runs, batch.raw
    yield np.flatnonzero(raw == _AT)
    yield np.flatnonzero((raw[:-2] == _COLON) & (raw[1:-1] == _SLASH) & (raw[2:] == _SLASH))
    top = np.flatnonzero(runs.sizes < 5)
    top = top[raw[runs.starts[top] - 1] == _DOT]
    top = top[among(_TLDS, runs.heads[top])]
    host = among(_HOST, runs.heads[top])
    host |= _CLOSING[raw[runs.ends[top]]]
    yield runs.starts[top[host]]
