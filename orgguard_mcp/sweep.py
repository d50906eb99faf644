"""Sweeping: every piece of a change's text is read for protected names, whatever it is.

A run of letters that was seen before costs a look-up in a set; only lines that hold a protected
name, or the anchor of one, are read word by word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from orgguard_mcp.lexicon import is_ordinary
from orgguard_mcp.model import Artifact, Location
from orgguard_mcp.names import GLUED_SUFFIXES, PART, WORD, NameKey, fold, parts
from orgguard_mcp.protected import MAX_WORDS, Protected
from orgguard_mcp.terms import looks_encoded, run_keys

MAX_PLACES: Final = 1_000
"""Places kept of one name."""

_ENOUGH: Final = 1 << 18  # runs of letters remembered
_WORDS: Final = 1 << 15  # words remembered
_JOINT: Final = re.compile(r"[ \t]{1,2}|[-_.:/'`]{0,2}")
_SIGN: Final = re.compile(r"\s?(?:&|\+)\s*")
_STEM: Final = 4  # letters that a glued legal form leaves


class _Token(NamedTuple):
    """A word of a line: folded, where it stands, and whether its run is worth a closer look."""

    text: str
    start: int
    end: int
    live: bool


class Sweep:
    """Reads artifacts and remembers where they hold protected names, by their keys."""

    def __init__(self, protected: Protected) -> None:
        self.found: dict[NameKey, dict[Location, None]] = {}
        self._protected = protected
        self._known = lru_cache(maxsize=_WORDS)(self._is_known)  # runs share their words
        self._dull: set[str] = set()
        self._live: set[str] = set()

    def over(self, artifacts: Iterable[Artifact]) -> None:
        """Read *artifacts*."""
        for artifact in artifacts:
            if self._protected.key:
                self._read(artifact)

    def _read(self, artifact: Artifact) -> None:
        runs = set(WORD.findall("\n".join([text for _, text in artifact.lines])))
        for run in runs - self._dull - self._live:
            (self._live if self._is_live(run) else self._dull).add(run)
        if not self._live.isdisjoint(runs):
            self._locate(artifact)
        if len(self._dull) > _ENOUGH:
            self._dull.clear()

    def _is_live(self, run: str) -> bool:
        """Whether *run* holds a protected name, or a word by which one is found."""
        for folded in WORD.findall(fold(run)):
            words = {part.casefold() for part in parts(folded)}
            if not looks_encoded(folded) and self._knows({*words, *run_keys(folded)}):
                return True
        return False

    def _knows(self, words: Iterable[str]) -> bool:
        return any(map(self._known, words))

    def _is_known(self, word: str) -> bool:
        return any(map(self._protected.knows, _unglued((word,))))

    def _locate(self, artifact: Artifact) -> None:
        for number, line in artifact.lines:
            if not self._live.isdisjoint(WORD.findall(line)):
                for key, start, end in self._hits(line):
                    places = self.found.setdefault(key, {})
                    if len(places) < MAX_PLACES:
                        where = artifact.surface, artifact.path, number
                        places[Location(*where, start + 1, end - start, line)] = None

    # --- a line that is worth a closer look -------------------------------------------------------

    def _hits(self, line: str) -> Iterator[tuple[NameKey, int, int]]:
        """The protected names of *line*, each with its extent."""
        tokens = list(self._tokens(line))
        for first, token in enumerate(tokens):
            spelled, live = "", False
            for last in range(first, min(first + MAX_WORDS, len(tokens))):
                if last > first and not _joined(line, tokens[last - 1], tokens[last]):
                    break
                spelled += tokens[last].text.casefold()
                live = live or tokens[last].live
                if live and (last > first or _shows_name(token.text)):
                    for key in _unglued({spelled}):
                        if self._protected.holds(key):
                            yield NameKey(key), token.start, tokens[last].end

    def _tokens(self, line: str) -> Iterator[_Token]:
        """The words of *line*; a sign between two of them is read aloud."""
        end = 0
        for run in WORD.finditer(line):
            if end and (sign := _SIGN.fullmatch(line, end, run.start())):
                yield _Token("and" if "&" in sign[0] else "plus", end, run.start(), live=False)
            folded = fold(run[0])
            moved = len(folded) != len(run[0])
            for part in PART.finditer(folded):
                start, end = (0, len(run[0])) if moved else part.span()
                place = run.start() + start, run.start() + end
                yield _Token(part[0], *place, live=run[0] in self._live)
            end = run.end()


def _joined(line: str, before: _Token, after: _Token) -> bool:
    """Whether two neighbours may be words of one name."""
    return _JOINT.fullmatch(fold(line[before.end : after.start])) is not None


def _shows_name(word: str) -> bool:
    """Whether *word* alone may be a name: an ordinary one needs a capital, a number never is."""
    ordinary = word.islower() and is_ordinary(NameKey(word.casefold()))
    return not word.isdigit() and not ordinary


def _unglued(keys: Iterable[str]) -> Iterator[str]:
    """*keys*, and what is left of them without a legal form written onto them (`acmecorp`)."""
    for key in keys:
        yield key
        if key.endswith(GLUED_SUFFIXES):
            for suffix in GLUED_SUFFIXES:
                if key.endswith(suffix) and len(key) - len(suffix) >= _STEM:
                    yield key.removesuffix(suffix)
