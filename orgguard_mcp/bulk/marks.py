"""The uses of a batch: `uses` is asked about those lines alone in which it could find something.

Each mark is what one of its patterns cannot do without, seen in the columns: a capital after a word
or a quote, a legal form, ``://``. A line too many costs time, one too few would lose a use.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

import numpy as np

from orgguard_mcp.bulk.text import BLANK, Batch, Numbers, Words, among, bytes_in, heads_of
from orgguard_mcp.tokenise import BLOB_BITS, key_hash
from orgguard_mcp.uses import CREDENTIAL_WORDS, DEFINED, LEGAL_WORDS, TLDS, uses

_AT, _UNDERSCORE, _DOT, _COMMA = b"@_.,"
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
_BETWEEN = "\n;\n"
"""What no use reaches across stands between two lines that do not follow each other."""


def pairs(batch: Batch) -> Words:
    """The pairs (`tokenise.pairs`) of the uses in *batch*, in no order."""
    if not len(batch.runs):
        return np.zeros(0, np.uint64)
    marks = np.concatenate([*_capitals(batch), *_hosts(batch), _accents(batch)])
    lines = np.unique(np.searchsorted(batch.newlines, marks))
    found = {
        key_hash(key, use) << BLOB_BITS | blob
        for text, starts, blobs in [_joined(batch, lines)]
        for use, key, at in uses(text)
        for blob in [blobs[bisect_right(starts, at) - 1]]
    }
    return np.fromiter(found, np.uint64, len(found))


def _accents(batch: Batch) -> Numbers:
    """Where letters with accents are: `uses` reads a capitalised word with one as a name."""
    if batch.text.isascii():
        return np.zeros(0, np.int64)
    lead = (batch.raw >= _ACCENTED.start) & (batch.raw < _ACCENTED.stop)
    return np.flatnonzero(lead)


def _joined(batch: Batch, lines: Numbers) -> tuple[str, list[int], list[int]]:
    """Those *lines* as one text, where each begins in it, and the blob that it is of."""
    starts, ends = batch.newlines[lines - 1] + 1, batch.newlines[lines]
    pieces = np.searchsorted(batch.piece_ends, starts, side="right")
    texts = [
        batch.text[start:end].decode("utf-8", "replace")
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    begins = list(accumulate((len(text) + len(_BETWEEN) for text in texts), initial=0))
    return _BETWEEN.join(texts), begins[:-1], [batch.blobs[piece] for piece in pieces.tolist()]


def _capitals(batch: Batch) -> Iterator[Numbers]:
    """Where a capitalised run, by what is around it, may be used as a name."""
    runs, raw = batch.runs, batch.raw
    capital = np.flatnonzero(runs.capital)
    before = raw[runs.starts[capital] - 1]
    after_blank, quoted = capital[BLANK[before]], capital[_QUOTES[before]]
    told = after_blank[_TELLING[raw[runs.starts[after_blank] - 2]]]
    lower = (runs.heads[told] & _SECOND_LOWER) == _SECOND_LOWER
    listed = raw[runs.starts[told] - 2] == _COMMA
    listed &= runs.capital[told - 1] | (raw[runs.starts[told - 1] - 1] == _UNDERSCORE)
    lower |= listed
    yield runs.starts[told[lower]]
    others = told[~lower & (told > 0)]
    yield runs.starts[others[among(_DEFINED, runs.heads[others - 1])]]
    yield runs.starts[quoted[_ASSIGNING[raw[runs.starts[quoted] - 2]]]]
    yield runs.starts[after_blank[among(_LEGAL, runs.heads[after_blank])]]
    letter = after_blank[runs.sizes[after_blank] == 1]
    yield runs.starts[letter[_ABBREVIATING[raw[runs.ends[letter]]]]]
    within = capital[before == _UNDERSCORE]
    yield runs.starts[within[among(_CREDENTIAL, runs.heads[within])]]


def _hosts(batch: Batch) -> Iterator[Numbers]:
    """Where hosts, mail addresses and scopes may be, and legal forms in lower case."""
    runs, raw = batch.runs, batch.raw
    yield np.flatnonzero(raw == _AT)
    address = np.flatnonzero(runs.gaps > 2) + 1
    for back, byte in enumerate(b"//:", 1):
        address = address[raw[runs.starts[address] - back] == byte]
    yield runs.starts[address]
    small = np.flatnonzero(runs.sizes < 5)
    before = raw[runs.starts[small] - 1]
    top = small[before == _DOT]
    top = top[among(_TLDS, runs.heads[top])]
    host = among(_HOST, runs.heads[top])
    host |= _CLOSING[raw[runs.ends[top]]]
    yield runs.starts[top[host]]
    form = small[BLANK[before]]
    yield runs.starts[form[runs.heads[form] == _PLC]]
