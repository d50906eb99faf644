"""Portions: a large change is read in portions, each by itself, in this process or another.

What a portion shows depends on its text and the base alone. So it makes no difference who reads it,
and how a change falls into portions depends on the change alone: the same names are found whatever
the number of processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final, NamedTuple

from orgguard_mcp.detect.decode import Decoded, decodings, joined_literals
from orgguard_mcp.detect.gather import Candidate, Gatherer, Holds
from orgguard_mcp.model import Artifact

PORTION: Final = 1 << 18
"""Characters after which a portion ends with its artifact."""

LONGEST: Final = 2 * PORTION
"""Characters of an artifact after which it is cut, between lines; what a comment or a string that
goes on over the cut says is read as code."""

_MANY_LINES: Final = 1 << 14  # lines remembered, of up to so many characters
_SHORT_LINE: Final = 200

Portion = Sequence[Artifact]


class Terms(NamedTuple):
    """How a portion is to be read: how many decoded stretches are kept of it, and how often
    candidates of earlier portions were forgotten.
    """

    room: int
    thinned: int = 0


class Stretch(NamedTuple):
    """An encoded stretch of a portion: of which artifact, in which line, and what it says."""

    artifact: int
    number: int
    said: Decoded


class Shown(NamedTuple):
    """What a portion shows."""

    candidates: list[Candidate]
    stretches: list[Stretch]


def portions(artifacts: Iterable[Artifact]) -> Iterator[list[Artifact]]:
    """*artifacts*, some at a time."""
    portion: list[Artifact] = []
    size = 0
    for artifact, length in chain.from_iterable(map(_cut, artifacts)):
        portion.append(artifact)
        size += length
        if size >= PORTION:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _cut(artifact: Artifact) -> Iterator[tuple[Artifact, int]]:
    """*artifact* with its length, in parts if it is very long; no line is in two of them."""
    size = sum(len(text) for _, text in artifact.lines)
    if size <= LONGEST:
        yield artifact, size
        return
    start = length = 0
    for at, (number, text) in enumerate(artifact.lines):
        if length >= LONGEST // 2 and number != artifact.lines[at - 1][0]:
            yield replace(artifact, lines=artifact.lines[start:at]), length
            start, length = at, 0
        length += len(text)
    yield replace(artifact, lines=artifact.lines[start:]), length


class Reader:
    """Reads one portion after the other, and remembers what saves time."""

    def __init__(self, holds: Holds) -> None:
        self._gatherer = Gatherer(holds)
        self._thinned = 0
        self._plain: set[str] = set()
        """Lines of which nothing is encoded."""

    def read(self, portion: Portion, terms: Terms) -> Shown:
        """What *portion* shows: what it says as it is written, and decoded."""
        if terms.thinned != self._thinned:
            self._gatherer.forget()
            self._thinned = terms.thinned
        stretches: list[Stretch] = []
        candidates = self._gatherer.gather(self._decoding(portion, terms.room, stretches))
        return Shown(candidates, stretches)

    def _decoding(
        self, portion: Portion, room: int, stretches: list[Stretch]
    ) -> Iterator[Artifact]:
        """The artifacts of *portion*, each followed by what its encoded stretches say: these are
        added to *stretches*, as long as there is *room*.
        """
        seen: set[tuple[str, int, str]] = set()
        for at, artifact in enumerate(portion):
            yield artifact
            known = len(stretches)
            for number, one in self._stretches(artifact):
                place = artifact.path, number, one.text
                if len(stretches) < room and place not in seen:
                    seen.add(place)
                    stretches.append(Stretch(at, number, one))
            if said := tuple((one.number, one.said.text) for one in stretches[known:]):
                yield replace(artifact, lines=said)

    def _stretches(self, artifact: Artifact) -> Iterator[tuple[int, Decoded]]:
        for number, line in artifact.lines:
            if line in self._plain:
                continue
            said = None
            for said in decodings(line):
                yield number, said
            if not said and len(line) <= _SHORT_LINE:
                if len(self._plain) > _MANY_LINES:
                    self._plain.clear()
                self._plain.add(line)
        if artifact.surface.in_file:
            yield from joined_literals(artifact.lines)
