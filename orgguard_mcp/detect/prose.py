"""Words in a stretch of text: of prose with its phrases and subjects, of code as identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import NamedTuple

from orgguard_mcp.detect import shape
from orgguard_mcp.detect.grammar import AGENTIVE, FUNCTION_WORDS, SUBORDINATORS
from orgguard_mcp.detect.spans import Form, Span, span, words_of

_INVISIBLE = "\u200b-\u200f\u2060\ufeff\u00ad"
_LETTERS = rf"(?:[^\W_]|[{_INVISIBLE}])+"
_RUN = re.compile(rf"{_LETTERS}(?:(?:_+[^\W_]+)+|['\u2019](?=[^\W_])[^\W_]+)?")
_IDENTIFIER = re.compile(rf"{_LETTERS}(?:[_-]+[^\W_]+)*")
_FOREIGN = (
    "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0590-\u05ff\u0600-\u06ff\u0900-\u0dff\u0e00-\u0e7f"
)
_SCRIPT = re.compile(f"[{_FOREIGN}][{_FOREIGN}\u30fb]+")
_LONGEST_SCRIPT = 24
_SMALL = frozenset(
    "of the and de la le du des di da do del van von der den for in on at y e et und na & + - a an"
    " like to".split()
)
"""Words that stand in lower case within a capitalised name."""

_CONTRACTION = re.compile(
    r"\w+n['\u2019]t|\w+['\u2019](?:re|ve|ll|d|m)|(?:it|that|let|there|what|here|he|she)['\u2019]s",
    re.IGNORECASE,
)
_ENDING = re.compile(r"['\u2019](?!t\b)[^\W\dA-Z\u00c0-\u00de]+$")  # Acme's; in Turkish, Acme'nin
_NUMBERED = re.compile(r"(?:^|\s)\d+$")
_GAPS = frozenset({" ", "-", " & ", "&", ". ", "+", " + "})
_MAX_PHRASE = 6
_MAX_SUBJECT = 3
_NO_NOUN = ("ing", "ed", "ly")  # endings of verbs and adverbs
_CALENDAR = frozenset(
    "january february march april may june july august september october november december jan feb"
    " mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday"
    " sunday".split()
)
"""Capitalised in English, and nobody's name."""

_OPENERS = frozenset(
    "add added adds allow allows adjust announce announcing apply avoid backport bring build bump"
    " change changed changes check clarify clean cleanup close"
    " closes configure convert copy correct"
    " create defaults define delete deprecate describe detect disable display document drop"
    " enable encode ensure enforce expand export expose extend extract filter fix fixed fixes force"
    " format generate get give handle hide ignore implement implemented import improve improved"
    " include increase initial inline insert install introduce issue keep let limit link list load"
    " log lower make mark merge merged migrate mock move moved"
    " new normalize note only open optimize"
    " override parse pass patch pin prefer prepare prevent print process provide publish pull push"
    " put raise re-add read rebase record reduce refactor refactored reference release remove"
    " removed rename renamed reorder replace replaced report require reset resolve resolves restore"
    " restrict return revert reverts rework rewrite run save see select"
    " send separate set setup show"
    " simplify skip sort speed split start stop store strip support supports swap switch sync test"
    " tests the this throw tidy todo trim try turn tweak unify update updated updates upgrade use"
    " used uses using validate verify warn when with wrap write a an in on for from if and or but"
    " our we you it is are as at by to of all any also both each no not so some such that these"
    " they those then there thus".split()
)
"""Words that open a sentence or a commit's subject: a name that follows begins after them."""


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def scripts(line: str) -> Iterator[Span]:
    """Runs of letters that are neither Latin, Greek nor Cyrillic."""
    for match in _SCRIPT.finditer(line):
        if len(match[0]) <= _LONGEST_SCRIPT:
            yield span(Form.SCRIPT, line, match.start(), match.end())


def script_runs(text: str) -> int:
    """How many such runs *text* has."""
    return sum(1 for _ in _SCRIPT.finditer(text))


def identifiers(
    text: str, offset: int, line: str, dull: AbstractSet[str] = frozenset()
) -> Iterator[Span]:
    """Every identifier of *text* that is not *dull*, with its words."""
    for match in _IDENTIFIER.finditer(text):
        if match[0] not in dull:
            yield span(Form.IDENTIFIER, line, offset + match.start(), offset + match.end())


def prose(
    text: str, offset: int, line: str, dull: AbstractSet[str] = frozenset()
) -> Iterator[Span]:
    """Words, phrases and bare subjects of *text*, a stretch of *line* that begins at *offset*, and
    its identifiers that are not *dull*.
    """
    tokens = []
    for match in _RUN.finditer(text):
        word = match[0]
        if not word.isalnum():
            if "_" in word:
                if word not in dull:
                    yield span(Form.IDENTIFIER, line, offset + match.start(), offset + match.end())
                continue
            if _CONTRACTION.fullmatch(word):
                continue
            word = _ENDING.sub("", word)
        start = offset + match.start()
        tokens.append(_Token(word, start, start + len(word)))
    yield from _subjects(tokens, line)
    at = 0
    while at < len(tokens):
        end = at + 1
        if _capital(tokens[at].text) and not _opens(tokens[at], line):
            end = _phrase_end(tokens, at, line)
        if end > at + 1:
            yield from _phrase(tokens[at:end], line)
        form = Form.MEMBER if end > at + 1 else Form.WORD
        for token in tokens[at:end]:
            if not _says_nothing(token.text):
                yield span(form, line, token.start, token.end)
        at = end


@lru_cache(maxsize=1 << 14)
def _says_nothing(word: str) -> bool:
    """Whether *word* can be no name where it stands: a month, a word of grammar, or an ordinary
    word in lower case, as most of any text is.
    """
    if word.casefold() in _CALENDAR or (word.islower() and shape.plain(word)):
        return True
    return FUNCTION_WORDS.issuperset(words_of(word)) and len(words_of(word)) == 1


def opening(line: str, start: int) -> bool:
    """Whether a sentence or an item begins at *start*, so that a capital there says little."""
    before = line[max(0, start - 40) : start].rstrip(" \t*_`\"'([#>/-+~|")
    if not before or before[-1] in ".:!?;{}=":
        return True
    return before[-1].isdigit() and _NUMBERED.search(before) is not None


def _opens(token: _Token, line: str) -> bool:
    return token.text.casefold() in _OPENERS and opening(line, token.start)


# --- phrases ------------------------------------------------------------------------------


def _phrase(chain: list[_Token], line: str) -> Iterator[Span]:
    """A chain of capitalised words: the whole, and without a first word that opens a sentence."""
    if len(chain) > _MAX_PHRASE:
        return
    while len(chain) > 1 and chain[-1].text.isdigit():
        chain = chain[:-1]
    if len(chain) < 2:
        return
    yield span(Form.PHRASE, line, chain[0].start, chain[-1].end)
    if not opening(line, chain[0].start):
        return
    rest = chain[1:]
    while rest and rest[0].text in _SMALL:
        rest = rest[1:]
    if len(rest) > 1:
        yield span(Form.PHRASE, line, rest[0].start, rest[-1].end)


def _phrase_end(tokens: list[_Token], at: int, line: str) -> int:
    """The end of the chain of capitalised words that begins with the one at *at*."""
    first = tokens[at].text
    if first.isdigit() and (len(first) > 3 or line[tokens[at].start - 1 : tokens[at].start] == "#"):
        return at + 1
    end = at + 1
    while end < len(tokens):
        step = _step(tokens, end, line)
        if not step:
            break
        end += step
    return end


def _step(tokens: list[_Token], end: int, line: str) -> int:
    """How many tokens go on with the phrase: the next one, or small words and the next capital."""
    gap = line[tokens[end - 1].end : tokens[end].start]
    if _capital(tokens[end].text):
        return int(gap in _GAPS and not (gap == ". " and len(tokens[end - 1].text) > 2))
    ahead = end
    while ahead < len(tokens) and ahead < end + 2 and tokens[ahead].text in _SMALL:
        if line[tokens[ahead - 1].end : tokens[ahead].start] != " ":
            return 0
        ahead += 1
    if ahead in {end, len(tokens)} or line[tokens[ahead - 1].end : tokens[ahead].start] != " ":
        return 0
    word = tokens[ahead].text
    return ahead - end + 1 if _capital(word) and not word.isdigit() else 0


@lru_cache(maxsize=1 << 14)
def _capital(word: str) -> bool:
    """Whether *word* is written as a name may be; a month or a day never is."""
    return not word.islower() and word.casefold() not in _CALENDAR


# --- subjects in lower case -----------------------------------------------------------------


def _subjects(tokens: list[_Token], line: str) -> Iterator[Span]:
    """Bare nouns in lower case before a verb that somebody does: `once acme has moved`.

    English wants an article before a thing (`once the cache has filled`), and none before a name.
    """
    if AGENTIVE.isdisjoint([token.text for token in tokens]):
        return
    for at, token in enumerate(tokens):
        if at and token.text in AGENTIVE:
            start = at
            while (
                start
                and at - start < _MAX_SUBJECT
                and _bare(tokens[start - 1], tokens[start], line)
            ):
                start -= 1
            if start < at and _clause_begins(tokens, start, line):
                yield span(Form.SUBJECT, line, tokens[start].start, tokens[at - 1].end)


def _bare(token: _Token, following: _Token, line: str) -> bool:
    word = token.text
    return (
        word.islower()
        and word not in FUNCTION_WORDS
        and not word.endswith(_NO_NOUN)
        and line[token.end : following.start] in {" ", " & "}
    )


def _clause_begins(tokens: list[_Token], start: int, line: str) -> bool:
    if not start:
        return True
    gap = line[tokens[start - 1].end : tokens[start].start]
    return gap != " " or tokens[start - 1].text.casefold() in SUBORDINATORS
