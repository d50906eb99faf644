"""What counts as a whole-name mention of a name in a text, and which mentions name something.

Pure functions from text to facts. The index asks them over the few blobs that it gives as evidence,
to see *that it is there*; so a damaged or forged index can hide a name, but never establish one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import pairwise
from typing import NamedTuple

from orgguard_mcp import lexicon
from orgguard_mcp.names import PART, WORD, NameKey, fold
from orgguard_mcp.terms import SMALL, spellings


class Mention(NamedTuple):
    """One mention: its line (from 1) and whether its form shows that it is a name."""

    line: int
    distinct: bool


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
