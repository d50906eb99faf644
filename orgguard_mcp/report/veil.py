"""Hiding names in a text: every spelling of them is covered, the rest stays readable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from orgguard_mcp.names import PART, fold

MASK = "•••"
"""What stands for a hidden name, however long it is."""

_SHORT = 4  # letters; a shorter name is covered only where it is a word of its own


class Veil:
    """Covers names, in whatever case, script or separation they are spelled.

    Whatever word a name is found within is covered whole: what is left of it would tell the name.
    """

    def __init__(self, spellings: Iterable[str] = ()) -> None:
        # By their first letters: a report of many names and many paths is not quadratic.
        self._needles: dict[str, set[str]] = {}
        for text in spellings:
            needle = _letters(text)[0]
            self._needles.setdefault(needle[:_SHORT], set()).add(needle)
        self._covered: dict[str, str] = {}

    def cover(self, text: str) -> str:
        """*text* with `MASK` in place of each name, and otherwise as it was."""
        if text not in self._covered:
            self._covered[text] = self._cover(text)
        return self._covered[text]

    def _cover(self, text: str) -> str:
        covered, end = "", 0
        for start, stop in sorted(self._extents(text)):
            if stop > end:
                covered += text[end:start] + MASK if start >= end else ""
                end = stop
        return covered + text[end:]

    def _extents(self, text: str) -> Iterator[tuple[int, int]]:
        letters, places = _letters(text)
        found = list(self._found(letters))
        words = _words(text) if found else []
        for at, size in found:
            start, stop = places[at], places[at + size - 1] + 1
            wide = _widened(start, stop, words)
            if size >= _SHORT or wide == (start, stop):
                yield wide

    def _found(self, letters: str) -> Iterator[tuple[int, int]]:
        """Where names stand in *letters*, and how many letters they have."""
        for at in range(len(letters)):
            for size in range(1, _SHORT + 1):
                for needle in self._needles.get(letters[at : at + size], ()):
                    if letters.startswith(needle, at):
                        yield at, len(needle)


def _letters(text: str) -> tuple[str, list[int]]:
    """*text*'s letters and digits, folded one by one, and where in *text* each of them stands."""
    letters = [(c, place) for place, char in enumerate(text) for c in _folded(char)]
    return "".join(c for c, _ in letters), [place for _, place in letters]


@lru_cache(maxsize=4096)
def _folded(char: str) -> str:
    return "".join(filter(str.isalnum, fold(char).casefold()))


def _words(text: str) -> list[tuple[int, int]]:
    """The extents of *text*'s sub-tokens, which end where camelCase, digits and signs say."""
    pieces = [fold(char) for char in text]
    owner = [place for place, piece in enumerate(pieces) for _ in piece]
    return [(owner[m.start()], owner[m.end() - 1] + 1) for m in PART.finditer("".join(pieces))]


def _widened(start: int, stop: int, words: list[tuple[int, int]]) -> tuple[int, int]:
    touched = [word for word in words if word[0] < stop and word[1] > start]
    starts, stops = [start, *(w[0] for w in touched)], [stop, *(w[1] for w in touched)]
    return min(starts), max(stops)
