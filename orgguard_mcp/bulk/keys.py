"""The keys of a batch: of each run its parts and neighbours joined, of phrases the same.

A text repeats its words, so the *entries*, runs and phrases, are told apart by a hash first; then
only the distinct ones are cut into parts. A part's hash is a polynomial over its bytes in lower
case (`tokenise.key_hash`), so that hashes of neighbours add up to the hash of both joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from orgguard_mcp import terms
from orgguard_mcp.bulk.text import (
    BLANK,
    CLASSES,
    DIGIT,
    LOWER,
    OTHER,
    UPPER,
    Batch,
    Flags,
    Numbers,
    Words,
    among,
    bytes_in,
    heads_of,
    low_bytes,
)
from orgguard_mcp.tokenise import BLOB_BITS, FACTOR, MIXER, WORD_BITS

_PHRASE_WORDS = 6
_LARGEST = 1 << BLOB_BITS  # entries of a batch, and bytes of the distinct ones
_NUMBER = np.uint64(_LARGEST - 1)
_HASH = ~_NUMBER
_MIXER = np.uint64(MIXER)
_MODULUS = 1 << WORD_BITS

_SMALL = heads_of(" ".join(terms.SMALL))
_AMPERSAND, _PLUS, _APOSTROPHE, _HYPHEN, _SPACE, _TAB = b"&+'- \t"
_DIGITS = bytes_in("0123456789")
_KEYS_AT_ONCE = _LARGEST // (4 * terms.MAX_KEY)  # their bytes have powers in the table
_GAPS = re.compile(rb"[ \t&+'-]")
_QUOTE = "\u2019".encode()  # an apostrophe, too


def pairs(batch: Batch) -> Words:
    """The pairs (hash and blob) of the words and phrases of *batch*: sorted, each once."""
    if not len(batch.runs):
        return np.zeros(0, np.uint64)
    entries = _distinct(batch, _entries(batch))
    return unique(np.concatenate([_spread(keys, entries) for keys in _keys(batch, entries)]))


def unique(pairs: Words) -> Words:
    """*pairs* in order, each once; they are sorted in place."""
    pairs.sort()
    return pairs[changes(pairs)]


def changes(column: Words) -> Flags:
    """Where *column* has another value than before: at its first, too."""
    found = np.ones(len(column), bool)
    np.not_equal(column[1:], column[:-1], out=found[1:])
    return found


# --- runs and phrases ---------------------------------------------------------------------------


class _Entries(NamedTuple):
    """Places in a batch, the head of each, and the blob that it is in."""

    starts: Numbers
    sizes: Numbers
    heads: Words
    foreign: Flags  # not all ASCII
    blobs: Words


def _entries(batch: Batch) -> _Entries:
    """Every run, and every phrase of several runs."""
    runs = batch.runs
    first, last = _phrases(_joints(batch))
    starts = runs.starts[first]
    sizes = runs.ends[last] - starts
    foreign = np.cumsum(runs.foreign)
    among_them = runs.foreign[first] | (foreign[last] > foreign[first])
    return _Entries(
        np.concatenate((runs.starts, starts)),
        np.concatenate((runs.sizes, sizes)),
        np.concatenate((runs.heads, batch.words[starts] & low_bytes(sizes))),
        np.concatenate((runs.foreign, among_them)),
        np.concatenate((runs.blobs, runs.blobs[first])),
    )


def _joints(batch: Batch) -> Flags:
    """For each run, whether it and the next may be of one name: two capitalised words (or several,
    with small ones between them), words with an apostrophe, a hyphen, & or + between them.
    """
    runs, raw = batch.runs, batch.raw
    joined = np.zeros(len(runs), bool)
    after, alone = runs.after[:-1], runs.gaps == 1
    apostrophes = np.flatnonzero((after == _APOSTROPHE) & alone)
    joined[apostrophes] = True
    hyphens = np.flatnonzero((after == _HYPHEN) & alone)
    digits = _DIGITS[raw[runs.ends[hyphens] - 1]] | _DIGITS[raw[runs.starts[hyphens + 1]]]
    joined[hyphens[~digits]] = True
    joined[_links(batch)] = True
    capital = runs.capital.copy()
    for _ in range(2):  # O'Neil's
        capital[apostrophes + 1] |= capital[apostrophes]
    _join_phrases(batch, capital, joined)
    return joined


def _links(batch: Batch) -> Numbers:
    """The runs after which & or + joins two that are capitalised."""
    runs = batch.runs
    near = np.flatnonzero(runs.capital[:-1] & runs.capital[1:] & (runs.gaps < 4))
    sign, last = runs.after[near], runs.before[near + 1]
    sign = np.where((sign == _SPACE) & (runs.gaps[near] > 1), batch.raw[runs.ends[near] + 1], sign)
    within = (last == sign) | (last == _SPACE)  # not a line feed
    found: Numbers = near[within & ((sign == _AMPERSAND) | (sign == _PLUS))]
    return found


def _join_phrases(batch: Batch, capital: Flags, joined: Flags) -> None:
    """Mark in *joined* what lies between two capitalised words, small words included."""
    runs = batch.runs
    blank = (runs.after == _SPACE) | (runs.after == _TAB)
    first = np.flatnonzero(capital[:-1] & blank[:-1] & (runs.gaps < 3))
    first = first[BLANK[runs.before[first + 1]]]
    at = first + 1
    words = 1
    while len(at):
        ends = runs.capital[at]
        for word in range(words):
            joined[first[ends] + word] = True
        small = ~ends & (at < len(runs) - 1)
        first, at = first[small], at[small]
        small = blank[at] & (runs.gaps[at] == 1)
        first, at = first[small], at[small]
        small = among(_SMALL, runs.heads[at])
        first, at = first[small], at[small] + 1
        words += 1


def _phrases(joined: Flags) -> tuple[Numbers, Numbers]:
    """The first and the last runs of phrases: all that hang together, six at a time."""
    before = np.concatenate((joined[:1] & False, joined[:-1]))
    first, last = np.flatnonzero(joined & ~before), np.flatnonzero(~joined & before)
    more = last - first >= _PHRASE_WORDS
    if not more.any():
        return first, last
    ahead = _PHRASE_WORDS - 1
    windows = [
        (start, start + ahead)
        for begins, ends in zip(first[more].tolist(), last[more].tolist(), strict=True)
        for start in range(begins, ends - ahead + 1)
    ]
    found = np.array(windows, np.int64)
    return np.concatenate((first[~more], found[:, 0])), np.concatenate((last[~more], found[:, 1]))


# --- the distinct ones --------------------------------------------------------------------------


class _Distinct(NamedTuple):
    """Distinct entries: where one of each stands, and the blobs that have it, all in one column."""

    starts: Numbers
    sizes: Numbers
    foreign: Flags
    first: Numbers  # of its blobs
    blobs_each: Numbers
    blobs: Words


def _distinct(batch: Batch, entries: _Entries) -> _Distinct:
    """Sorting by the hash, with the entry's number in the low bits, brings equal ones together and
    keeps them in the order of the text, so that their blobs ascend.
    """
    found = _spelling(batch.words, entries) & _HASH
    found |= np.arange(len(found), dtype=np.uint64)
    found.sort()
    number = (found & _NUMBER).astype(np.int64)
    begins = changes(found & _HASH)
    blobs = entries.blobs[number]
    pair = begins.copy()
    pair[1:] |= blobs[1:] != blobs[:-1]
    first = np.flatnonzero(begins[pair])
    one = number[begins]
    count = np.diff(first, append=np.count_nonzero(pair))
    return _Distinct(
        entries.starts[one], entries.sizes[one], entries.foreign[one], first, count, blobs[pair]
    )


def _spelling(words: Words, entries: _Entries) -> Words:
    """A hash of how each entry is written, eight bytes at a time."""
    starts, sizes = entries.starts, entries.sizes
    found = _stirred(entries.heads)
    done, left = 8, np.flatnonzero(sizes > 8)
    while len(left):
        more = words[starts[left] + done] & low_bytes(sizes[left] - done)
        found[left] = _stirred(found[left] ^ more)
        done += 8
        left = left[sizes[left] > done]
    return found * _MIXER


def _stirred(column: Words) -> Words:
    column = column * _MIXER
    column ^= column >> np.uint64(32)
    return column


class _Keys(NamedTuple):
    """Hashes of keys, and the number of the distinct entry that each is of."""

    hashes: Words
    entry: Numbers


def _spread(keys: _Keys, entries: _Distinct) -> Words:
    """The pairs of *keys*: each with all blobs that have its entry."""
    count = entries.blobs_each[keys.entry]
    total = np.cumsum(count)
    at = np.arange(total[-1] if len(total) else 0)
    at += np.repeat(entries.first[keys.entry] - (total - count), count)
    return np.repeat(keys.hashes, count) | entries.blobs[at]


# --- from entries to keys -----------------------------------------------------------------------


def _powers(base: int) -> Words:
    found = np.ones(_LARGEST, np.uint64)
    size = 1
    while size < _LARGEST:
        found[size : 2 * size] = found[:size] * np.uint64(pow(base, size, _MODULUS))
        size *= 2
    return found


_POWERS, _ROOTS = _powers(FACTOR), _powers(pow(FACTOR, -1, _MODULUS))


def _polynomial(word: str) -> np.uint64:
    """The hash of a part before it is mixed."""
    terms = (byte * pow(FACTOR, at, _MODULUS) for at, byte in enumerate(word.encode()))
    return np.uint64(sum(terms) % _MODULUS)


_SPOKEN = {_AMPERSAND: ("and", _polynomial("and")), _PLUS: ("plus", _polynomial("plus"))}


def _is_edge(code: int) -> bool:
    """Whether a part begins or ends at a byte, from the classes before, of and after it."""
    before, here, after = code >> 4 & 3, code >> 2 & 3, code & 3
    if here == OTHER:
        return before != OTHER
    if before == OTHER or (before == DIGIT) != (here == DIGIT):
        return True
    return here == UPPER and (before == LOWER or after == LOWER)


_EDGES = bytes(map(_is_edge, range(256)))


class _Parts(NamedTuple):
    """The parts of distinct entries. A link is what is read aloud between a part and the next."""

    hashes: Words
    sizes: Numbers
    entry: Numbers
    joined: Flags
    link_hashes: Words
    link_sizes: Numbers


def _keys(batch: Batch, entries: _Distinct) -> Iterator[_Keys]:
    """The keys of *entries*: every part, then every two neighbours, up to six."""
    yield _foreign_keys(batch, entries, np.flatnonzero(entries.foreign))
    for some in _handfuls(np.flatnonzero(~entries.foreign), entries):
        text, starts = batch.written(entries.starts[some], entries.sizes[some], b"\n")
        parts = _parts(text, starts + entries.sizes[some])
        for keys in _joined_keys(parts):
            yield _Keys(keys.hashes, some[keys.entry])


def _foreign_keys(batch: Batch, entries: _Distinct, foreign: Numbers) -> _Keys:
    """The keys of those entries that have to be folded first, one by one."""
    keys: list[bytes] = []
    entry: list[int] = []
    for number in foreign.tolist():
        start = int(entries.starts[number])
        found = _folded_keys(batch.text[start : start + int(entries.sizes[number])])
        keys += found
        entry += [number] * len(found)
    return _Keys(_hashes(keys), np.array(entry, np.int64))


def _hashes(keys: list[bytes]) -> Words:
    """The hash of each of *keys*."""
    found = [np.zeros(0, np.uint64)]
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        sizes = np.fromiter(map(len, some), np.int64, len(some))
        ends = np.cumsum(sizes)
        found.append(_mixed(_sums(b"".join(some), ends - sizes, ends)))
    return np.concatenate(found)


@lru_cache(maxsize=1 << 16)
def _folded_keys(entry: bytes) -> tuple[bytes, ...]:
    """The keys of a run, or of a phrase: what several runs spell together."""
    phrase = _GAPS.search(entry) is not None
    keys = set() if phrase else set(terms.raw_keys(entry))
    if phrase or _QUOTE in entry:
        keys.update(terms.span_keys(entry.decode("utf-8", "replace")))
    return tuple(key.encode("utf-8", "surrogatepass") for key in keys)


def _handfuls(some: Numbers, entries: _Distinct) -> Iterator[Numbers]:
    """*some* of the entries by portions whose bytes are not too many for the table of powers."""
    total = np.cumsum(entries.sizes[some] + 1)
    start = 0
    while start < len(total):
        done = int(total[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(total, done + _LARGEST)))
        yield some[start:end]
        start = end


def _parts(text: bytes, lines: Numbers) -> _Parts:
    raw = np.frombuffer(text, np.uint8)
    kind = np.frombuffer(b"\0" + text.translate(CLASSES) + b"\0", np.uint8)
    code = (kind[:-2] << 4) | (kind[1:-1] << 2) | kind[2:]
    edges = np.flatnonzero(np.frombuffer(code.tobytes().translate(_EDGES), bool))
    at = np.flatnonzero(kind[1:][edges])
    starts, ends = edges[at], edges[at + 1]
    counts = np.diff(np.searchsorted(starts, lines), prepend=0)
    entry = np.repeat(np.arange(len(lines)), counts)
    gaps, together = starts[1:] - ends[:-1], entry[1:] == entry[:-1]
    gap = np.flatnonzero(together & (gaps > 0))
    plain = ~_encoded(lines, counts, entry[gap])[entry]
    found = _Parts(
        _sums(text, starts, ends), ends - starts, entry, np.append(together & plain[:-1], False),
        np.zeros(len(starts), np.uint64), np.zeros(len(starts), np.int64),
    )  # fmt: skip
    sign = np.where(raw[ends[gap]] == _SPACE, raw[ends[gap] + 1], raw[ends[gap]])
    for byte, (word, hashed) in _SPOKEN.items():
        found.link_hashes[gap[sign == byte]] = hashed
        found.link_sizes[gap[sign == byte]] = len(word)
    if plain.all():
        return found
    kept = np.flatnonzero(plain)
    return _Parts(
        found.hashes[kept], found.sizes[kept], found.entry[kept], found.joined[kept],
        found.link_hashes[kept], found.link_sizes[kept],
    )  # fmt: skip


def _encoded(lines: Numbers, counts: Numbers, phrases: Numbers) -> Flags:
    """Which entries are no words: too long, or base64 and the like (`terms.run_keys`)."""
    sizes = np.diff(lines, prepend=-1) - 1
    found = sizes > terms.MAX_RUN
    found |= (sizes >= terms.ENCODED_SIZE) & (counts > terms.SWITCHES * sizes)
    found[phrases] = False
    return found


def _sums(text: bytes, starts: Numbers, ends: Numbers) -> Words:
    """The polynomial over the bytes of each part, in lower case: the difference of two sums over
    all bytes, brought back to the power that its first byte has.
    """
    lower = np.frombuffer(text.lower(), np.uint8)
    sums = np.zeros(len(text) + 1, np.uint64)
    np.cumsum(lower * _POWERS[: len(text)], out=sums[1:])
    return (sums[ends] - sums[starts]) * _ROOTS[starts]


def _joined_keys(parts: _Parts) -> Iterator[_Keys]:
    yield _Keys(_mixed(parts.hashes), parts.entry)
    first = last = np.flatnonzero(parts.joined)
    hashes, sizes = parts.hashes[first], parts.sizes[first]
    for _ in range(terms.MAX_PARTS - 1):
        after = parts.link_hashes[last] + _POWERS[parts.link_sizes[last]] * parts.hashes[last + 1]
        hashes = hashes + _POWERS[sizes] * after
        sizes = sizes + parts.link_sizes[last] + parts.sizes[last + 1]
        last = last + 1
        short = sizes <= terms.MAX_KEY
        first, last, hashes, sizes = first[short], last[short], hashes[short], sizes[short]
        yield _Keys(_mixed(hashes), parts.entry[first])
        more = parts.joined[last]
        first, last, hashes, sizes = first[more], last[more], hashes[more], sizes[more]


def _mixed(hashes: Words) -> Words:
    hashes = hashes ^ (hashes >> np.uint64(32))
    hashes *= _MIXER
    hashes ^= hashes >> np.uint64(29)
    return hashes & _HASH
