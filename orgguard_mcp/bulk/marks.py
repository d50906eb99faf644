"""The uses of a batch: `uses` is asked about those lines alone in which it could find something.

Each mark is what one of its patterns cannot do without, seen in the columns: a capital after a word
or a quote, a legal form, ``://``. A line too many costs time, one too few would lose a use.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate

import numpy as np

from orgguard_mcp import lexicon
from orgguard_mcp.bulk.text import (
    BLANK,
    Batch,
    Flags,
    Numbers,
    Runs,
    Words,
    among,
    bytes_in,
    heads_of,
    low_bytes,
)
from orgguard_mcp.tokenise import BLOB_BITS, key_hash
from orgguard_mcp.uses import (
    CREDENTIAL_ENDS,
    CREDENTIAL_WORDS,
    DEFINED,
    LEGAL_WORDS,
    TLDS,
    Use,
    Uses,
    accented,
    defined,
    displayed,
    in_sentences,
    listed,
    named,
    tells,
)

_HEAD = 8  # bytes
_AT, _UNDERSCORE, _DOT, _COMMA, _COLON, _SLASH, _SPACE, _TAB = b"@_.,:/ \t"
_QUOTE, _APOSTROPHE, _HYPHEN = b"\"'-"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BLANKS = " \t\n\r\v\f\x1c\x1d\x1e\x1f"
_DEFINED, _LEGAL = heads_of(" ".join(DEFINED)), heads_of(LEGAL_WORDS)
_CREDENTIAL, _CREDENTIAL_ENDS = heads_of(CREDENTIAL_WORDS), heads_of(CREDENTIAL_ENDS)
_TOKEN, _TLDS = heads_of("TOKEN"), heads_of(TLDS.replace("|", " "))
_HOST, _PLC = heads_of("com ai co org"), heads_of("plc")
_ABBREVIATED = heads_of("S N B A L")  # S.A, N.V, B.V, A/S, L.L.C
_NO_NAME_AFTER = heads_of(" ".join(word for word in lexicon.NO_NAME_AFTER if len(word) <= _HEAD))
_LOWER = bytes_in(_LETTERS)
_TELLING = bytes_in(_LETTERS + ",'-")  # what stands before a name in a sentence
_ENDING = bytes_in(".,;:!?)'" + _BLANKS)  # what stands after it
_OPENING = bytes_in("#*\"'.( \n")  # what stands before the first word of a sentence
_WITHIN = bytes_in(" '-")  # and before another one
_ASSIGNING = bytes_in(":= \t\n")
_ABBREVIATING = bytes_in("./")  # S.A., A/S
_CLOSING = bytes_in("\"'`/:")
_IN_MAIL = bytes_in(_LETTERS + _LETTERS.upper() + "0123456789_.+-")
_OWNER = bytes_in(_LETTERS + _LETTERS.upper() + "0123456789_&'-,", foreign=True)
_BEFORE_SCOPE = bytes_in("\"'`/" + _BLANKS, foreign=True)
_UNDERSCORES = 8  # so many within a word of a list are looked behind
_FIRST, _FIRST_LOWER, _CAPITAL_A = np.uint64(0xFF), np.uint64(0x20), np.uint64(ord("A"))
_EACH, _EACH_BUT_FIRST = np.uint64(0x0101010101010101), np.uint64(0x0101010101010100)
_BIT_5, _BIT_6, _BIT_7 = map(np.uint64, (5, 6, 7))  # in ASCII, small letters alone have 5 and 6
_ACCENTED = slice(0xC3, 0xCA)  # how U+00C0 to U+024F begin in UTF-8
_BETWEEN = "\n;\n"
"""What no use reaches across stands between two lines that do not follow each other."""


def pairs(batch: Batch) -> Words:
    """The pairs (hash and blob, see `tokenise.BLOB_BITS`) of the uses in *batch*, in no order."""
    if not len(batch.runs):
        return np.zeros(0, np.uint64)
    found: set[int] = set()
    for find, marks in _marks(batch):
        text, starts, blobs = _joined(batch, marks)
        for use, key, at in find(text):
            found.add(key_hash(key, use) << BLOB_BITS | blobs[bisect_right(starts, at) - 1])
    return np.fromiter(found, np.uint64, len(found))


def _joined(batch: Batch, marks: Numbers) -> tuple[str, list[int], list[int]]:
    """The lines with *marks* as one text, where each begins in it, and the blob that it is of."""
    lines, firsts, end = [""], [], 0  # the first has a line before it, too
    for mark in np.sort(marks).tolist():
        if mark >= end:
            first = batch.text.rfind(b"\n", 0, mark) + 1
            end = batch.text.find(b"\n", mark)
            firsts.append(first)
            lines.append(batch.text[first:end].decode("utf-8", "replace"))
    starts = list(accumulate(len(line) + len(_BETWEEN) for line in lines[:-1]))
    pieces = np.searchsorted(batch.piece_ends, np.array(firsts, np.int64), side="right")
    return _BETWEEN.join(lines), starts, [batch.blobs[piece] for piece in pieces.tolist()]


def _marks(batch: Batch) -> Iterator[tuple[Callable[[str], Uses], Numbers]]:
    """Each of the ways to find uses, and where it may find some."""
    runs, raw = batch.runs, batch.raw
    blank = (runs.before == _SPACE) | (runs.before == _TAB)
    after_blank = np.flatnonzero((runs.capital & blank)[1:]) + 1  # another run is before it
    second_last = raw[runs.starts[after_blank] - 2]
    told = after_blank[_TELLING[second_last]]
    yield in_sentences, _in_sentences(batch, told)
    yield listed, _in_lists(batch, after_blank[second_last == _COMMA])
    yield defined, runs.starts[told[among(_DEFINED, runs.heads[told - 1])]]
    yield displayed, _displayed(batch)
    yield accented, _accents(batch)
    owned = after_blank[_OWNER[second_last]]
    yield named, np.concatenate([_credentials(batch), *_forms(batch, owned), *_hosts(batch)])


def _in_sentences(batch: Batch, told: Numbers) -> Numbers:
    """Those of *told* that may be a name: after two small words, or the first of a sentence."""
    runs = batch.runs
    told = told[_letter(runs, told) & (runs.sizes[told] > 1)]
    whole = _small(runs, told, _EACH_BUT_FIRST) & _ENDING[runs.after[told]]
    name = told[whole | runs.foreign[told]]
    name = name[_after_small_words(runs, name) | _after_opening(batch, name)]
    return runs.starts[name[_telling(batch, name)]]


def _after_small_words(runs: Runs, names: Numbers) -> Flags:
    """Which of *names* two words in lower case may stand before."""
    last, second = names - 1, names - 2
    found: Flags = _small(runs, last, _EACH) & _WITHIN[runs.before[last]]
    found &= (runs.before[last] != _SPACE) | (  # the first run of "don't" is not looked for
        (_small(runs, second, _EACH) | runs.foreign[second])
        & ~(_no_name_after(runs, last) & ((runs.gaps[last] == 1) | (runs.after[last] == _COMMA)))
    )
    return found


def _after_opening(batch: Batch, names: Numbers) -> Flags:
    """Which of *names* the first word of a sentence may stand before."""
    runs, last = batch.runs, names - 1
    second_next = batch.raw[np.minimum(runs.ends[names] + 1, len(batch.raw) - 1)]
    goes_on = (runs.after[names] == _SPACE) & _LOWER[second_next] | runs.foreign[names]
    found: Flags = runs.capital[last] & (runs.gaps[last] == 1) & _OPENING[runs.before[last]]
    found &= goes_on & ~_no_name_after(runs, last)
    return found


def _no_name_after(runs: Runs, some: Numbers) -> Flags:
    return among(_NO_NAME_AFTER, runs.heads[some] | _FIRST_LOWER) & (runs.sizes[some] <= _HEAD)


def _telling(batch: Batch, some: Numbers) -> Flags:
    """Which of *some* may tell something as `Use.PROPER`."""
    text, runs = batch.text, batch.runs
    bounds = zip(runs.starts[some].tolist(), runs.ends[some].tolist(), strict=True)
    return np.fromiter((_may_tell(text[start:end]) for start, end in bounds), bool, len(some))


@lru_cache(maxsize=1 << 16)
def _may_tell(word: bytes) -> bool:
    return not word.isascii() or tells(Use.PROPER, word.decode()) is not None


def _in_lists(batch: Batch, after_comma: Numbers) -> Numbers:
    """Those that are of a list, like the word before them."""
    runs = batch.runs
    before = after_comma - 1
    near = (runs.gaps[before] == 2) | (runs.after[before] == _UNDERSCORE)
    item = after_comma[near & _listable(runs, after_comma)]
    first = item - 1
    for _ in range(_UNDERSCORES):  # back to where FOO_BAR begins
        within = runs.before[first] == _UNDERSCORE
        first = first - within
        joined = ~within | (runs.after[first] == _UNDERSCORE)
        item, first = item[joined], first[joined]
    begins = _listable(runs, first) | (runs.before[first] == _UNDERSCORE) | runs.foreign[first]
    found: Numbers = runs.starts[item[begins]]
    return found


def _listable(runs: Runs, some: Numbers) -> Flags:
    """Which of *some* begin with a capital and go on."""
    longer = (runs.sizes[some] > 1) | (runs.after[some] == _UNDERSCORE)
    found: Flags = longer & _letter(runs, some)
    return found


def _letter(runs: Runs, capital: Numbers) -> Flags:
    """Which of *capital* begin with a letter, not with a digit."""
    found: Flags = ((runs.heads[capital] & _FIRST) >= _CAPITAL_A) & runs.capital[capital]
    return found


def _small(runs: Runs, some: Numbers, bytes_of: np.uint64) -> Flags:
    """Which of *some* have neither capitals nor digits in those bytes of their heads."""
    heads = runs.heads[some] | ~low_bytes(runs.sizes[some])
    bits = (heads >> _BIT_5) & (heads >> _BIT_6) | (heads >> _BIT_7)
    found: Flags = (bits & bytes_of) == bytes_of
    return found


def _displayed(batch: Batch) -> Numbers:
    """What is quoted after a colon or an equals sign."""
    runs = batch.runs
    quoted = (runs.before == _QUOTE) | (runs.before == _APOSTROPHE)
    quoted &= (runs.after == _QUOTE) | (runs.after == _APOSTROPHE)
    starts = runs.starts[quoted & runs.capital]
    found: Numbers = starts[_ASSIGNING[batch.raw[starts - 2]]]
    return found


def _accents(batch: Batch) -> Numbers:
    """Where letters with accents are."""
    if batch.text.isascii():
        return np.zeros(0, np.int64)
    lead = (batch.raw >= _ACCENTED.start) & (batch.raw < _ACCENTED.stop)
    return np.flatnonzero(lead)


def _credentials(batch: Batch) -> Numbers:
    """Where credentials may be."""
    runs = batch.runs
    word = np.flatnonzero(runs.capital & (runs.before == _UNDERSCORE))
    word = word[among(_CREDENTIAL, runs.heads[word])]
    last = (runs.heads[word] == _TOKEN) & (runs.after[word] != _UNDERSCORE)
    after = runs.heads[np.minimum(word + 1, len(runs) - 1)]
    found: Numbers = runs.starts[word[last | among(_CREDENTIAL_ENDS, after)]]
    return found


def _forms(batch: Batch, owned: Numbers) -> Iterator[Numbers]:
    """Where legal forms may be: of those *owned*."""
    runs = batch.runs
    yield runs.starts[owned[among(_LEGAL, runs.heads[owned]) | runs.foreign[owned]]]
    letter = owned[_ABBREVIATING[runs.after[owned]]]
    yield runs.starts[letter[among(_ABBREVIATED, runs.heads[letter])]]
    plc = np.flatnonzero(runs.heads == _PLC)
    yield runs.starts[plc[BLANK[runs.before[plc]]]]


def _signs(batch: Batch) -> Numbers:
    """Where @ stands in a mail address, or before a scope."""
    runs, raw = batch.runs, batch.raw
    at = np.flatnonzero(raw == _AT)
    label = np.minimum(np.searchsorted(runs.starts, at), len(runs) - 1)
    hyphen = raw[at + 1] == _HYPHEN
    after = runs.after[label]
    mail = _IN_MAIL[raw[at - 1]] & ((after == _DOT) | (after == _HYPHEN) | hyphen)
    scope = _BEFORE_SCOPE[raw[at - 1]] & ((after == _SLASH) | (after == _HYPHEN))
    found: Numbers = at[(mail | scope) & (hyphen | (runs.starts[label] == at + 1))]
    return found


def _hosts(batch: Batch) -> Iterator[Numbers]:
    """Where hosts, mail addresses and scopes may be."""
    runs, raw = batch.runs, batch.raw
    yield _signs(batch)
    yield np.flatnonzero((raw[:-2] == _COLON) & (raw[1:-1] == _SLASH) & (raw[2:] == _SLASH))
    top = np.flatnonzero((runs.before == _DOT) & (runs.sizes < 5))
    top = top[among(_TLDS, runs.heads[top])]
    host = among(_HOST, runs.heads[top])
    host |= _CLOSING[runs.after[top]]
    yield runs.starts[top[host]]
