"""Which words are ordinary, so that their mere occurrence says nothing of an organisation.

The word list is Hunspell's en_US (SCOWL), which writes proper nouns with a capital: ``target`` is
a `STEM` of the knowledge, ``Nokia`` is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from orgguard_mcp import knowledge
from orgguard_mcp.knowledge import Kind
from orgguard_mcp.names import NameKey

SHORT = 2
"""Keys of up to this many characters are ordinary: ``x``, ``hp`` and ``ge`` stand everywhere."""

SHORT_NAME = 3
"""Keys of up to this many letters need a mention whose form shows a name: `ing`, `ups`, `cvs`."""

NO_NAME_AFTER = frozenset(
    # After these a capital marks a class or a thing of that kind, not a name.
    "a an the this that these those each every any some no one new same single its their his her"
    " our your my another given current import class return returns raise raises throw throws"
    " extends implements instanceof isinstance type struct enum interface case def func fn const"
    " let var static public private final of-type".split()
)

_ALWAYS_NAMES = frozenset({"acme"})  # a word for "peak", but in programs the stock company
_CALENDAR = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june"
    " july august september october november december".split()
)
"""Hunspell writes them with a capital, but no organisation owns them."""

_UNIT = re.compile(r"\d+[a-z]{1,2}|[a-z]\d+")  # 3m, 10k, v2, s3: quantities and versions
_STEM = int(Kind.STEM)
_ENDINGS = ("s", "es", "d", "ed", "r", "er", "ing", "ly", "y")


@lru_cache(maxsize=1 << 16)
def is_ordinary(key: NameKey) -> bool:
    """Whether *key* is also an ordinary word, a quantity, or too short to tell."""
    return (
        (len(key) <= SHORT and key.isascii())
        or _UNIT.fullmatch(key) is not None
        or key in _CALENDAR
        or (key not in _ALWAYS_NAMES and _is_inflection(key))
    )


@lru_cache(maxsize=1 << 16)
def is_compound(key: NameKey) -> bool:
    """Whether *key* falls into ordinary words (``bestbuy``): their neighbourhood proves little."""
    return next(_word_splits(key), None) is not None


def compounds(key: NameKey) -> list[tuple[str, ...]]:
    """The ways in which *key* falls into two or three ordinary words."""
    return list(_word_splits(key))


def _word_splits(key: NameKey) -> Iterator[tuple[str, ...]]:
    return splits(key, _is_word, limit=3)


def needs_distinction(key: NameKey) -> bool:
    """Whether a plain mention of *key* shows no name: it is short, ordinary, or made of words."""
    short = len(key) <= SHORT_NAME and key.isascii()
    return short or is_ordinary(key) or is_compound(key)


def splits(key: str, accepts: Callable[[str], bool], limit: int = 4) -> Iterator[tuple[str, ...]]:
    """Every way to cut *key* into 2 to *limit* pieces, each of which *accepts* takes."""
    for end in range(1, len(key)):
        if not accepts(key[:end]):
            continue
        if accepts(key[end:]):
            yield key[:end], key[end:]
        if limit > 2:
            for rest in splits(key[end:], accepts, limit - 1):
                yield key[:end], *rest


@lru_cache(maxsize=1 << 16)
def _is_word(piece: str) -> bool:
    if len(piece) <= SHORT:
        return piece in LINKS and len(piece) > 1
    return _is_inflection(piece)


LINKS = frozenset(
    "a ai an and at by db de for hq in io la me my of on one the to tv up us we".split()
)
"""Short words that names are made with, as in ``Together AI`` or ``Code for All``."""


def _is_inflection(word: str) -> bool:
    """Whether *word* is in the dictionary, or may be inflected from what is."""
    return any(knowledge.bits(stem) & _STEM for stem in _stems(word))


def _stems(word: str) -> Iterator[str]:
    """*word* and what it may be inflected from: a rough cut of Hunspell's affix rules."""
    yield word
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= SHORT:
            yield stem
            if ending in {"ing", "y"}:
                yield stem + "e"
            if len(stem) > SHORT + 1 and stem[-1] == stem[-2]:
                yield stem[:-1]
    if word.endswith(("ies", "ied")):
        yield word[:-3] + "y"
