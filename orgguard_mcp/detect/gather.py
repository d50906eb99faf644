"""Gathering: from the artifacts of a change to candidates, each with all its places and cues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from orgguard_mcp import names
from orgguard_mcp.detect import shape, spans
from orgguard_mcp.detect.cues import cues
from orgguard_mcp.detect.regions import Reader, Region, syntax_of
from orgguard_mcp.detect.spans import Form, Span
from orgguard_mcp.model import Artifact, Held, Location, Surface


Holdings = Callable[[Iterable[str]], Mapping[str, Held]]
"""The base's answer for many keys at once; a key that it lacks may be missing."""


class Sighting(NamedTuple):
    """A span in its place."""

    span: Span
    location: Location
    cues: frozenset[str]


@dataclass(slots=True)
class Candidate:
    """A name that the change may bring in, and all that was seen of it."""

    words: tuple[str, ...]
    sightings: list[Sighting] = field(default_factory=list)
    score: float = 0.0

    @property
    def key(self) -> str:
        return "".join(self.words)


_PROSE = frozenset({Surface.DOCS, Surface.COMMENT, Surface.COMMIT_MESSAGE, Surface.PR_BODY,
                    Surface.PR_TITLE})  # fmt: skip
_REFS = frozenset({Surface.PATH, Surface.BRANCH, Surface.TAG})
MAX_LINE = 20_000


def sightings(artifact: Artifact) -> Iterator[Sighting]:
    """Every span of *artifact* that may be a name."""
    reader = Reader(syntax_of(artifact.path)) if artifact.surface.in_file else None
    last = 0
    for number, text in artifact.lines:
        if reader and number != last + 1:
            reader.forget()
        last = number
        line = text[:MAX_LINE]
        if artifact.surface is Surface.PATH and ".changeset/" in line:
            continue  # the tool of that name makes them up of random words
        for surface, span, region in _of_line(line, artifact.surface, reader):
            where = Location(surface, artifact.path, number, span.start + 1, span.end - span.start, line)
            said = frozenset(cues(span, line, surface, region))
            if "author trailer" not in said:
                yield Sighting(span, where, said)


def _of_line(
    line: str, surface: Surface, reader: Reader | None
) -> Iterator[tuple[Surface, Span, str]]:
    regions = [Region(surface, 0, len(line))]
    if surface in {Surface.CODE, Surface.DATA} and reader:
        regions = list(reader.regions(line))

    def surface_at(offset: int) -> Surface:
        found = next((r.surface for r in regions if r.start <= offset < r.end), surface)
        return Surface.DATA if surface is Surface.DATA and found in {Surface.CODE, Surface.STRING} else found

    rest = line
    if "." in line or "@" in line:
        for span in spans.locators(line):
            yield surface_at(span.start), span, line
        rest = spans.blank(line)
    elif len(line) > 15:
        rest = spans.blank(line)
    if not line.isascii():
        for span in spans.scripts(line):
            yield surface_at(span.start), span, line
    for region in regions:
        text = rest[region.start : region.end]
        found = surface_at(region.start)
        if surface in _REFS:
            read = spans.identifiers
        elif region.surface in _PROSE or " " in text.strip() and region.surface is not Surface.CODE:
            read = spans.prose
        else:
            read = spans.identifiers
        for span in read(text, region.start, rest):
            yield found, span, text


def gather(artifacts: Iterable[Artifact], holdings: Holdings) -> list[Candidate]:
    """The candidates of a change, unweighed."""
    seen = [s for artifact in artifacts for s in sightings(artifact) if s.span.words]
    words = {word for s in seen for word in s.span.words}
    held = holdings(words)

    def strange(word: str) -> bool:
        return word not in held and not shape.plain(word)

    found: dict[str, Candidate] = {}
    for sighting in seen:
        for core in _cores(sighting.span, strange):
            key = "".join(core)
            if len(key) < 2 or key.isdigit():
                continue
            candidate = found.get(key)
            if candidate is None or len(core) > len(candidate.words):
                found[key] = Candidate(core, candidate.sightings if candidate else [])
            found[key].sightings.append(sighting)
    return list(found.values())


def _cores(span: Span, strange: Callable[[str], bool]) -> Iterator[tuple[str, ...]]:
    """The words of *span* that may be the name: all of a phrase, of an identifier what is left
    when the words of the trade around it are taken away.
    """
    words = span.words
    if span.form in {Form.PHRASE, Form.SCRIPT, Form.HOST, Form.EMAIL, Form.SCOPE, Form.OWNER, Form.HANDLE}:
        yield words
        return
    if len(words) == 1:
        if span.form is Form.IDENTIFIER and words[0] in shape.AFFIXES:
            return
        if strange(words[0]) or span.text[:1].isupper() or span.form is Form.IDENTIFIER:
            yield words
        elif span.form is Form.WORD and not shape.plain(words[0]):
            yield words
        return
    yield from _inner(words, strange)


def _inner(words: tuple[str, ...], strange: Callable[[str], bool]) -> Iterator[tuple[str, ...]]:
    """The part of an identifier's *words* that may be a name: around what is strange in it, or
    what is left without the words of the trade at both ends.
    """
    odd = [i for i, word in enumerate(words) if strange(word)]
    if odd:
        start, end = odd[0], odd[-1] + 1
        if sum(len(words[i]) for i in odd) <= 3:
            start, end = max(0, start - 1), end + 1
        if end - start <= 6:
            yield words[start:end]
        return
    start, end = 0, len(words)
    while start < end and (words[start] in shape.AFFIXES or words[start].isdigit()):
        start += 1
    while end > start and (words[end - 1] in shape.AFFIXES or words[end - 1].isdigit()):
        end -= 1
    if 0 < end - start <= 4:
        yield words[start:end]
