"""Spans: the stretches of text that may be a name, and the words in them.

Three shapes of text hold names differently. *Locators* (hosts, addresses, package scopes, owners on
code hosts) name an organisation by their form. *Prose* has words, and capitalised words side by
side. *Identifiers* have names within them, next to words of the trade (`AcmeClient`, `acme_rows`).
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from orgguard_mcp import names
from orgguard_mcp.names import WORD, fold


class Form(StrEnum):
    """What a span looks like."""

    HOST = "host"
    EMAIL = "address"
    OWNER = "owner"
    SCOPE = "scope"
    HANDLE = "handle"
    PHRASE = "phrase"
    WORD = "word"
    MEMBER = "word of a phrase"
    SUBJECT = "subject"
    IDENTIFIER = "identifier"
    SCRIPT = "script"

    __hash__ = str.__hash__  # an enum's own takes five times as long


class Span(NamedTuple):
    """A stretch of a line: its text as written, where it is, and its words in lower case."""

    form: Form
    text: str
    start: int
    end: int
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """The words joined: what the base is asked for."""
        return "".join(self.words)


LONGEST = 120
"""Characters of a span; longer ones are data that a machine wrote."""

_PLURAL = re.compile(r"(?<=[A-Z]{2})s\b")


class Part(NamedTuple):
    """A word within a short text: in lower case, where it stands, and whether it is written onto
    the word before it (`Acme` and `API` in `AcmeAPI`, but not in `acme_api`).
    """

    word: str
    start: int
    end: int
    glued: bool


def span(form: Form, line: str, start: int, end: int) -> Span:
    """The span of *line* from *start* to *end*."""
    text = line[start:end]
    return Span(form, text, start, end, words_of(text))


@lru_cache(maxsize=1 << 14)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a short text in lower case, each run cut at its inner boundaries."""
    return tuple(part.word for part in parts_of(text))


@lru_cache(maxsize=1 << 12)
def parts_of(text: str) -> tuple[Part, ...]:
    """The words of a short text, in order; all of them have its extent where folding moves its
    letters.
    """
    if len(text) > LONGEST:
        return ()
    folded = fold(text)
    plural = {match.start() for match in _PLURAL.finditer(folded)} if "s" in folded else set()
    kept = [at for at, char in enumerate(folded) if char != "'" and at not in plural]
    bare = "".join([folded[at] for at in kept])
    moved = len(folded) != len(text)
    found = []
    for run in WORD.finditer(bare):
        for piece in names.PART.finditer(run[0]):
            start, end = run.start() + piece.start(), run.start() + piece.end()
            place = (0, len(text)) if moved else (kept[start], kept[end - 1] + 1)
            found.append(Part(piece[0].casefold(), *place, piece.start() > 0))
    return tuple(found)
