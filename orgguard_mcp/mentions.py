"""How text holds names: what counts as a whole-name mention, and which mentions name something.

Pure functions from text to facts. The index runs them over every blob once to learn *where to
look*, and again over the few blobs that it gives as evidence to see *that it is there*; so a
damaged or forged index can hide a name, but never establish one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import chain, pairwise
from typing import NamedTuple

from orgguard_mcp import lexicon
from orgguard_mcp.names import GLUED_SUFFIXES, PART, WORD, NameKey, fold, parts

MAX_LINE = 2000
"""A longer line is machine-made (minified, serialised): it establishes nothing."""

MAX_RUN = 80
"""A longer run of letters and digits is no identifier."""

MAX_KEY = 48
MAX_PARTS = 6
"""Neighbouring sub-tokens that are joined to one key."""

ENCODED_SIZE = 16
_ENCODING = bytes(
    ord("x" if char in "+/_-" or (char.isascii() and char.isalnum()) else " ")
    for char in map(chr, range(256))
)
"""For `bytes.translate`: which bytes base64, hex and the like are written in."""

_LONG_RUN = b"x" * 22
SWITCHES = 0.28
"""Sub-tokens per character above which a run of that size is encoded; camelCase has 0.1-0.2."""


Link = tuple[str, str, str]
"""A run, how the sign after it is read aloud, and the next run."""


class Mention(NamedTuple):
    """One mention: its line (from 1) and whether its form shows that it is a name."""

    line: int
    distinct: bool


# --- reading --------------------------------------------------------------------------------


def readable(data: bytes) -> str | None:
    """*data* as text with its machine-made stretches blanked, or None for a binary file.

    Lines keep their numbers.
    """
    text = decoded(data)
    return None if text is None else without_encoded(_without_long_lines(text))


def decoded(data: bytes) -> str | None:
    """*data* as text, or None for a binary file: UTF-8, UTF-16 with a byte-order mark, else
    Latin-1, which never fails.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:8192]:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _without_long_lines(text: str) -> str:
    if not _has_long_line(text):
        return text
    return "\n".join("" if len(line) > MAX_LINE else line for line in text.split("\n"))


def _has_long_line(text: str) -> bool:
    """Looks for a line feed in every so many characters, not for all of them."""
    start = 0
    while len(text) - start > MAX_LINE:
        start = text.rfind("\n", start, start + MAX_LINE + 1) + 1
        if not start:
            return True
    return False


def without_encoded(text: str) -> str:
    """*text* with base64, hex and the like blanked."""
    kept, done = [], 0
    for start, end in _long_runs(text):
        if looks_encoded(text[start:end]):
            kept += [text[done:start], " " * (end - start)]
            done = end
    return "".join([*kept, text[done:]]) if kept else text


def _long_runs(text: str) -> Iterator[tuple[int, int]]:
    """Where base64 and the like may stand: runs of its characters, then up to two signs that fill
    them up. Such a run is looked for among bytes that are of it or not, many times faster than by
    a pattern that is tried at each character.
    """
    shape = text.encode("ascii", "replace").translate(_ENCODING)
    start = shape.find(_LONG_RUN)
    while start >= 0:
        end = shape.find(b" ", start)
        end = len(shape) if end < 0 else end
        yield start, end + len(text[end : end + 2]) - len(text[end : end + 2].lstrip("="))
        start = shape.find(_LONG_RUN, end)


def looks_encoded(run: str) -> bool:
    """Whether *run* is base64, hex or the like rather than words: it changes kind too often."""
    return len(run) >= ENCODED_SIZE and _is_encoded(run, parts(run))


def _is_encoded(run: str, pieces: list[str]) -> bool:
    return len(run) >= ENCODED_SIZE and len(pieces) > SWITCHES * len(run)


# --- words: what the index keeps --------------------------------------------------------------

_LINKED = (
    # Each begins with its sign, which a search finds fast; what stands before it comes second.
    (re.compile(r"&(?:amp;)?(?= ?[A-Z0-9])"), "and"),
    (re.compile(r"\+(?<=[^\W_].)(?=[A-Z])"), "plus"),
    (re.compile(r"'(?<=[^\W\d_].)(?=[^\W\d_])"), ""),
    (re.compile(r"\u2019(?<=[^\W\d_].)(?=[^\W\d_])"), ""),
    (re.compile(r"-(?<=[^\W\d_].)(?=[^\W\d_])"), ""),
)
"""Signs that make one name of the runs beside them: ``H&M``, ``A+E``, ``L'Oréal``, ``acme-ai``."""

_LINKED_MOST = 40  # characters of a run that count beside a sign
_RUN_AFTER = re.compile(rf" ?([^\W_]{{1,{_LINKED_MOST}}})")

SMALL = "a and at by de for in la of on plus the to".split()
"""Words that stand in lower case within a capitalised name."""

_PHRASE = re.compile(
    r"[A-Z0-9](?<![^\W_].)(?:(?<=[A-Z])|[0-9]*[A-Za-z])[^\W_]*+(?:['\u2019][^\W_]++)*+"
    rf"(?:[ \t]{{1,2}}(?:(?:{'|'.join(SMALL)}) )*"
    r"[A-Z0-9][^\W_]*+(?:['\u2019][^\W_]++)*+){1,5}"
)
"""Capitalised words side by side, which may be a name: ``Best Buy``, ``Bank of the West``."""

_GAPS = tuple(
    # Each begins with one sign, which a search finds several times faster than one of two.
    re.compile(rf"{blank}(?=[A-Z0-9])(?:(?<=[^\W_].)|(?<=[^\W_][ \t].))")
    for blank in " \t"
)
"""What stands before the last word of a phrase."""

_BREAK = bytes(b if chr(b).isalnum() or b >= 0x80 else 0x20 for b in range(256))


def word_keys(text: str) -> set[str]:
    """Every key that stands in *text* within one run of letters (`AcmeClient`: acme, client, …), or
    within two that a sign links.
    """
    return set(chain(*map(raw_keys, runs(text)), *map(linked_keys, links(text))))


def phrase_keys(text: str) -> set[str]:
    """The keys of capitalised words side by side: names made of ordinary words are found by them,
    and need not be looked for wherever their words stand.
    """
    return set(chain(*map(span_keys, phrases(text))))


def runs(text: str) -> set[bytes]:
    """Every run of letters, digits and whatever is outside ASCII, in UTF-8."""
    return set(text.encode("utf-8", "surrogatepass").translate(_BREAK).split())


def phrases(text: str) -> set[str]:
    """Every phrase of *text*; only lines in which two such words may meet are searched."""
    found: set[str] = set()
    for blank in _GAPS:
        end = 0
        while gap := blank.search(text, end):
            start = text.rfind("\n", 0, gap.start()) + 1
            end = text.find("\n", gap.end())
            end = len(text) if end < 0 else end
            found.update(_PHRASE.findall(text, start, end))
    return found


def links(text: str) -> set[Link]:
    """Every two runs of *text* that a sign makes one name of."""
    found: set[Link] = set()
    for pattern, spoken in _LINKED:
        for match in pattern.finditer(text):
            left, right = _run_before(text, match.start()), _RUN_AFTER.match(text, match.end())
            if left and right and not (spoken and left[0].islower()):
                found.add((left, spoken, right[1]))
    return found


def _run_before(text: str, end: int) -> str:
    """The run that ends at *end*, or before a space there; empty if none does."""
    end -= text.endswith(" ", 0, end)
    start = end
    while start and end - start < _LINKED_MOST and text[start - 1].isalnum():
        start -= 1
    return text[start:end]


def linked_keys(link: Link) -> tuple[str, ...]:
    """The keys of the parts beside a sign, and of it as it is read aloud."""
    left, spoken, right = link
    pieces = [*parts(fold(left))[-2:], spoken, *parts(fold(right))[:3]]
    return joined_keys([piece.casefold() for piece in pieces if piece])


def raw_keys(raw: bytes) -> tuple[str, ...]:
    """The keys of *raw*, a run of letters, digits and whatever is outside ASCII, in UTF-8."""
    if raw.isascii():
        return run_keys(raw.decode("ascii"))
    runs = WORD.findall(fold(raw.decode("utf-8", "replace")))
    return tuple(key for run in runs for key in run_keys(run))


def run_keys(run: str) -> tuple[str, ...]:
    """The keys of one folded run: each sub-token, and neighbouring ones joined."""
    if run.isascii() and run.isalpha() and (run.islower() or run.isupper()):
        return (run.lower(),) if len(run) <= MAX_KEY else ()  # one part, as most runs are
    pieces = parts(run)
    if len(run) > MAX_RUN or _is_encoded(run, pieces):
        return ()
    return joined_keys(list(map(str.casefold, pieces)))


def joined_keys(pieces: list[str]) -> tuple[str, ...]:
    """Every piece, and every run of up to six neighbours joined, at most `MAX_KEY` long."""
    keys = []
    for start in range(len(pieces)):
        key = ""
        for piece in pieces[start : start + MAX_PARTS]:
            key += piece
            if len(key) > MAX_KEY:
                break
            keys.append(key)
    return tuple(keys)


@lru_cache(maxsize=1 << 16)
def span_keys(text: str) -> tuple[str, ...]:
    """The keys of a short text across its runs: of a path component (``acme-sdk.py``), a phrase."""
    runs = WORD.findall(fold(text))
    return joined_keys([part.casefold() for run in runs for part in parts(run)])


def spellings(key: NameKey) -> tuple[str, ...]:
    """*key*, and *key* with a legal form glued on as it is in `acmecorp`."""
    return (key, *(key + suffix for suffix in GLUED_SUFFIXES)) if len(key) > 3 else (key,)


def incorporated(key: NameKey) -> list[NameKey]:
    """*key* with each legal form glued on that makes a name of a word; `inc` also increments."""
    return [NameKey(spelling) for spelling in spellings(key)[1:] if not spelling.endswith("inc")]


# --- mentions: what counts as evidence --------------------------------------------------------

_JOINT = re.compile(r"[-_.'\u2018\u2019\u02bc`]|::|__|--")
_SPACE = re.compile(r"[ \t\u00a0]+")
_SIGN = re.compile(r"\s*[&+]\s*")


_Line = tuple[int, str]


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def mentions(text: str, key: NameKey, cuts: Iterable[tuple[str, ...]] = ()) -> Iterator[Mention]:
    """Every line of *text* that mentions *key* as a whole name: the plain ones first.

    *cuts* are the ways in which the key may fall into words (`("together", "ai")`).
    """
    keys = spellings(key)
    for number, line in _lines_with(text, key, tuple(cuts)):
        forms = [_distinct(line, window) for window in _windows(line, list(_tokens(line)), keys)]
        if forms:
            yield Mention(number, any(forms))


@lru_cache(maxsize=256)
def _pattern(key: NameKey, cuts: tuple[tuple[str, ...], ...], apostrophes: bool) -> re.Pattern[str]:
    """A fast net over lower-case text that lets no mention through its meshes."""
    gap = r"[^a-z0-9\n]{0,8}"
    spoken = {"and": rf"(?:and|{gap}&(?:amp;)?{gap})", "plus": rf"(?:plus|{gap}\+{gap})"}

    def spelled(piece: str) -> str:
        return re.sub("and|plus", lambda word: spoken[word[0]], re.escape(piece))

    nets = [gap.join(map(spelled, cut)) for cut in ((key,), *cuts)]
    if apostrophes:
        nets += [gap.join(map(_with_apostrophes, cut)) for cut in ((key,), *cuts)]
    return re.compile("|".join(nets))


def _with_apostrophes(piece: str) -> str:
    """*piece* with room for an apostrophe where names have one: O'Reilly, L'Oréal, McDonald's."""
    mark = "['\u2019]?"
    if len(piece) < 3:
        return re.escape(piece)
    inner = mark.join(map(re.escape, piece[:3]))
    return inner + re.escape(piece[3:-1]) + (mark + re.escape(piece[-1]) if piece[3:] else "")


def _lines_with(text: str, key: NameKey, cuts: tuple[tuple[str, ...], ...]) -> Iterator[_Line]:
    """The folded lines of *text* that may mention *key*, with their numbers. First those in which
    it is written in one; most who ask need no more, and all else takes several times as long: a
    pattern for each way to write it, and folding what is not ASCII.
    """
    plain = (text if text.isascii() else text.encode("ascii", "replace").decode("ascii")).lower()
    seen = set()
    for number, line in _caught(text, plain, lambda at: plain.find(key, at)):
        seen.add(number)
        yield number, _unescaped(fold(line))
    net = partial(_pattern, key, cuts, "'" in text or "\u2019" in text)
    if _spells(plain, key):
        for number, line in _caught(text, plain, _finder(net(), plain)):
            if number not in seen:
                seen.add(number)
                yield number, _unescaped(fold(line))
    if not text.isascii():
        for number, line in _caught(text, text, _finder(_FOREIGN, text)):
            folded = fold(line)
            lower = folded.casefold()
            if number not in seen and _spells(lower, key) and net().search(lower):
                yield number, _unescaped(folded)


_FOREIGN = re.compile(r"[^\x00-\x7f]")
_UNSPELT = bytes(code for code in range(128) if code != 0x0A and not chr(code).isalnum())


def _spells(text: str, key: NameKey) -> bool:
    """Whether a net for *key* may catch anything in lower-case *text*: of most that is looked into,
    what is left of it without all but letters, digits and line feeds tells sooner.
    """
    if not key.isascii() or "and" in key or "plus" in key:
        return True
    return key.encode() in text.encode("ascii", "replace").translate(None, _UNSPELT)


def _finder(pattern: re.Pattern[str], text: str) -> Callable[[int], int]:
    """What gives the next place of *pattern* in *text*, as `str.find` does."""

    def find(at: int) -> int:
        match = pattern.search(text, at)
        return match.start() if match else -1

    return find


def _unescaped(line: str) -> str:
    return line.replace("&amp;", "&")


def _caught(text: str, plain: str, find: Callable[[int], int]) -> Iterator[_Line]:
    """The lines of *text* in which *find* gives a place, from where it is told: in *plain*, which
    has the same places.
    """
    number, at = 1, 0
    while (place := find(at)) >= 0:
        number += plain.count("\n", at, place)
        end = plain.find("\n", place)
        line = slice(plain.rfind("\n", 0, place) + 1, end if end >= 0 else None)
        yield number, text[line]
        at = end + 1
        number += 1
        if not at:
            return


def _windows(line: str, tokens: list[_Token], keys: tuple[str, ...]) -> Iterator[list[_Token]]:
    """Every run of neighbouring *tokens* of *line* that spells one of *keys*, which all begin with
    the first.
    """
    for start, first in enumerate(tokens):
        if not keys[-1].startswith(first.text[:1].casefold()):
            continue
        spelled = ""
        for end in range(start, min(start + 12, len(tokens))):
            if end > start and not _joined(line, tokens, start, end):
                break
            spelled += tokens[end].text.casefold()
            if not any(key.startswith(spelled) for key in keys):
                break
            window = tokens[start : end + 1]
            if spelled in keys and (len(window) == 1 or _one_name(line, window)):
                yield window


def _tokens(line: str) -> Iterator[_Token]:
    """Sub-tokens in order; ``&`` and ``+`` between two of them are read aloud."""
    position = 0
    for run in WORD.finditer(line):
        if position and (sign := _SIGN.fullmatch(line, position, run.start())):
            spoken = "and" if "&" in sign[0] else "plus"
            yield _Token(spoken, sign.start(), sign.end())
        for part in PART.finditer(run[0]):
            yield _Token(part[0], run.start() + part.start(), run.start() + part.end())
        position = run.end()


def _joined(line: str, tokens: list[_Token], start: int, end: int) -> bool:
    gap = line[tokens[end - 1].end : tokens[end].start]
    return not gap or _JOINT.fullmatch(gap) is not None or _SPACE.fullmatch(gap) is not None


def _one_name(line: str, window: list[_Token]) -> bool:
    """Whether tokens with spaces between them are one name: then each has a capital or a digit.

    ``We Work`` may be a name; ``if we work on it`` is not one.
    """
    gaps = [line[a.end : b.start] for a, b in pairwise(window)]
    if not any(_SPACE.fullmatch(gap) for gap in gaps):
        return True
    first, *rest = [token.text for token in window]
    return _is_capital(first) and all(_is_capital(t) or t in SMALL for t in rest)


def _is_capital(token: str) -> bool:
    return not token[0].islower()


def _distinct(line: str, window: list[_Token]) -> bool:
    """Whether the form itself shows a name made of ordinary words: one glued word (``bestbuy``),
    or capitals (``Best Buy``, ``BestBuy``) within quotes or a sentence.
    """
    if len(window) == 1:
        # "ing" and "ups" stand in code for many things; ING and UPS do not.
        return len(window[0].text) > lexicon.SHORT_NAME or window[0].text.isupper()
    before, after = line[: window[0].start], line[window[-1].end :]
    written = line[window[0].start : window[-1].end]
    if re.search(r"[-_.]", written) or after[:1] in {"_", "("} or before.endswith("_"):
        return False
    quoted = before.endswith(('"', "'", "`")) and after.startswith(('"', "'", "`"))
    return quoted or (within_sentence(before) and not after[:1].isalnum())


def within_sentence(before: str) -> bool:
    """Whether text that ends in *before* leads up to a name rather than to a kind of thing."""
    word = re.search(r"([A-Za-z][a-z'-]*),? $", before)
    return word is not None and word[1].lower() not in lexicon.NO_NAME_AFTER
