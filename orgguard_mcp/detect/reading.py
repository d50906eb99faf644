"""Reading: the spans of a change's lines, each text read once.

Lines repeat, and most words of a line were seen before and showed nothing. So what a line of a file
type says is remembered, and a stretch whose every word shows nothing is passed by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from orgguard_mcp.detect import locators, prose, shape
from orgguard_mcp.detect.regions import Reader, Region, Syntax, syntax_of
from orgguard_mcp.detect.spans import Span
from orgguard_mcp.model import Artifact, Surface

_PROSE = frozenset(
    {Surface.DOCS, Surface.COMMENT, Surface.COMMIT_MESSAGE, Surface.PR_BODY, Surface.PR_TITLE}
)
_REFS = frozenset({Surface.PATH, Surface.BRANCH, Surface.TAG})

_SENTENCE: Final = re.compile(r"\s*\w[\w'-]*[,.:]?(?:\s+[(\"'`]?\w[\w'-]*[\"'`)]?[,.:;?!]?){5,}\s*")
"""Words with nothing but spaces and stops between them: text, of which a hunk lacks the start."""

_DRAWN: Final = re.compile(r"(?:^|/)\.changeset/[a-z]+-[a-z]+-[a-z]+\.md$")
"""Files that a release tool names by three words drawn by lot."""

_MAX_LINE: Final = 20_000  # characters; what reads files hands on longer lines in pieces
_MANY: Final = 1 << 15  # words remembered
_MANY_LINES: Final = 1 << 14  # lines remembered, of up to so many characters
_SHORT_LINE: Final = 200


class Found(NamedTuple):
    """A span that may be a name, with what is needed to say more of it."""

    span: Span
    surface: Surface
    path: str
    number: int
    line: str
    region: str


_Said = tuple[tuple[Surface, Span, str], ...]
"""The spans of a line, each with its surface and the text of the stretch that holds it."""


class Reading:
    """Reads artifacts one after the other and remembers what it saw, to a bound."""

    def __init__(self) -> None:
        self._dull = set(shape.AFFIXES)
        self._said: dict[tuple[Surface, Syntax | None], dict[str, _Said]] = {}
        self._lines = 0

    def spans(self, artifacts: Iterable[Artifact]) -> Iterator[Found]:
        """Every span of *artifacts* that may be a name, but for identifiers that are dull."""
        for artifact in artifacts:
            if artifact.surface is not Surface.PATH or not _DRAWN.search(artifact.path):
                yield from self._artifact(artifact)

    def dulled(self, identifier: str) -> None:
        """Pass by *identifier* from now on: nothing of it may be a name."""
        if len(self._dull) > _MANY:
            self._dull = set(shape.AFFIXES)
        self._dull.add(identifier)

    def _artifact(self, artifact: Artifact) -> Iterator[Found]:
        surface, path = artifact.surface, artifact.path
        syntax = syntax_of(path) if surface.in_file else None
        reader = Reader(syntax) if syntax is not None else None
        said = self._said.setdefault((surface, syntax), {})
        last = 0
        for number, text in artifact.lines:
            if reader and number != last + 1:
                reader.forget()
            last = number
            for at in range(0, len(text), _MAX_LINE):
                line = text[at : at + _MAX_LINE]
                alone = reader is None or reader.stands_alone(line)
                known = said.get(line) if alone else None
                if known is None:
                    known = tuple(self._of_line(line, surface, reader))
                    if alone and len(line) <= _SHORT_LINE:
                        said[line] = known
                        self._count()
                for where, span, region in known:
                    yield Found(span, where, path, number, line, region)

    def _count(self) -> None:
        self._lines += 1
        if self._lines > _MANY_LINES:
            self._lines = 0
            for said in self._said.values():
                said.clear()

    def _of_line(
        self, line: str, surface: Surface, reader: Reader | None
    ) -> Iterator[tuple[Surface, Span, str]]:
        regions = [Region(surface, 0, len(line))]
        if reader and surface in {Surface.CODE, Surface.DATA}:
            regions = list(reader.regions(line))
        for span in locators.locators(line):
            if span.words:
                yield _surface_at(span.start, regions, surface), span, line
        if not line.isascii():
            for span in prose.scripts(line):
                if span.words:
                    yield _surface_at(span.start, regions, surface), span, line
        rest = locators.blank(line)
        for region in regions:
            text = rest[region.start : region.end]
            written = surface in _REFS or not _is_prose(region, text)
            read = prose.identifiers if written else prose.prose
            found = None
            for span in read(text, region.start, rest, self._dull):
                if span.words:
                    found = found or _surface_of(region, surface)
                    yield found, span, text


def _is_prose(region: Region, text: str) -> bool:
    if region.surface in _PROSE:
        return True
    if region.surface is Surface.CODE:
        return _SENTENCE.fullmatch(text) is not None
    return " " in text.strip()


def _surface_at(offset: int, regions: list[Region], surface: Surface) -> Surface:
    for region in regions:
        if region.start <= offset < region.end:
            return _surface_of(region, surface)
    return surface


def _surface_of(region: Region, surface: Surface) -> Surface:
    """Of data, only comments are told apart."""
    inner = region.surface in {Surface.CODE, Surface.STRING}
    return Surface.DATA if surface is Surface.DATA and inner else region.surface
