"""Gathering: from the artifacts of a change to candidates, each with its places and cues.

Lines are read one after the other and forgotten. What can be no candidate goes at once: ordinary
words in lower case, most of any text. The base is asked about the words of some thousand spans at
a time, and a candidate keeps so many of its places and counts the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from orgguard_mcp.detect import grammar, shape, spans
from orgguard_mcp.detect.cues import cues
from orgguard_mcp.detect.reading import Found, Reading
from orgguard_mcp.detect.spans import Form, Part, Span
from orgguard_mcp.fileclass import PROVIDER_DIRS
from orgguard_mcp.model import Artifact, Held, Location, Surface

Holdings = Callable[[Iterable[str]], Mapping[str, Held]]
"""The base's answer for many keys at once; a key that it lacks may be missing."""


class Sighting(NamedTuple):
    """A span in its place."""

    span: Span
    location: Location
    cues: frozenset[str]


MAX_SIGHTINGS: Final = 30
"""Places that a candidate keeps of one surface."""


@dataclass(slots=True)
class Candidate:
    """A name that the change may bring in: its words, some of its places, and how many it has."""

    words: tuple[str, ...]
    sightings: list[Sighting] = field(default_factory=list)
    places: dict[Surface, int] = field(default_factory=dict)
    score: float = 0.0

    @property
    def key(self) -> str:
        """The words joined: what the base is asked for."""
        return "".join(self.words)

    def has_room(self, surface: Surface) -> bool:
        """Count a place on *surface*, and say whether it is to be kept."""
        count = self.places[surface] = self.places.get(surface, 0) + 1
        return count <= MAX_SIGHTINGS


_WHOLE = frozenset(
    {Form.PHRASE, Form.SCRIPT, Form.HOST, Form.EMAIL, Form.SCOPE, Form.OWNER, Form.HANDLE}
)
"""Forms whose words belong together."""

TRADE_WORDS: Final = frozenset(
    "cache queue retry token session worker handler schema client server login export import format"
    " validate timeout logger helper utils template filter merge parser builder".split()
)
"""Words that nearly every grown code base holds."""

_FEW: Final = len(TRADE_WORDS) // 4  # with fewer of them a base is too young to lack a term

_CHUNK: Final = 4_000  # spans about which the base is asked at once
_MANY: Final = 1 << 17  # words or spans remembered
_MAX_WORDS: Final = 6
_SHORT_CORE: Final = 3  # letters: so few are a name only with the word beside them


MAX_CANDIDATES: Final = 50_000
"""Candidates that are kept at once, about 3 kB each; more only if they are likely names."""

Thin = Callable[[list[Candidate]], Iterable[Candidate]]
"""Chooses the candidates to be kept of too many."""


def gather(
    artifacts: Iterable[Artifact], holdings: Holdings, thin: Thin | None = None
) -> list[Candidate]:
    """The candidates of a change, unweighed. Whenever there are more than `MAX_CANDIDATES`, *thin*
    says which of them to keep.
    """
    found: dict[str, Candidate] = {}
    held: dict[str, bool] = {}
    cores: dict[tuple[Form, str], tuple[tuple[str, ...], ...]] = {}
    room = MAX_CANDIDATES
    reading = Reading()
    stream = reading.spans(artifacts)
    while chunk := list(islice(stream, _CHUNK)):
        asked = {w for one in chunk for w in one.span.words if w not in held} | TRADE_WORDS
        answer = holdings(asked)
        held.update((word, word in answer) for word in asked)
        young = len(TRADE_WORDS & answer.keys()) < _FEW
        for one in chunk:
            if young and _named_by_the_trade(one):
                continue
            form, text = one.span[:2]
            shown = cores.get((form, text))
            if shown is None:
                shown = cores[form, text] = tuple(filter(_tells, _cores(one.span, held)))
                if not shown and form is Form.IDENTIFIER:
                    reading.dulled(text)
            if shown:
                _note(one, shown, found)
        if thin and len(found) > room:
            found = {candidate.key: candidate for candidate in thin([*found.values()])}
            room = max(MAX_CANDIDATES, 2 * len(found))
        for table in (held, cores):
            if len(table) > _MANY:
                table.clear()
    return list(found.values())


def _tells(core: tuple[str, ...]) -> bool:
    """Whether *core* is more than a letter or a number."""
    key = "".join(core)
    return len(key) > 1 and not key.isdigit()


def _named_by_the_trade(one: Found) -> bool:
    """Whether *one* is of a path that terms of the trade name. That a young base lacks them says
    nothing, but in a folder of providers.
    """
    return (
        one.surface is Surface.PATH
        and all(map(shape.technical, one.span.words))
        and PROVIDER_DIRS.isdisjoint(one.path.casefold().split("/"))
    )


def _note(one: Found, cores: Iterable[tuple[str, ...]], found: dict[str, Candidate]) -> None:
    """Add what *one* shows to the candidates."""
    sighting = None
    for core in cores:
        key = "".join(core)
        candidate = found.get(key)
        if candidate is None:
            candidate = Candidate(core)
        elif len(core) > len(candidate.words):
            candidate.words = core
        if candidate.has_room(one.surface):
            sighting = sighting or _sighting(one)
            if "author trailer" in sighting.cues:
                return
            candidate.sightings.append(sighting)
        found[key] = candidate


def _sighting(one: Found) -> Sighting:
    span = one.span
    extent = span.end - span.start
    where = Location(one.surface, one.path, one.number, span.start + 1, extent, one.line)
    return Sighting(span, where, _cues(span, one.line, one.surface, one.region))


@lru_cache(maxsize=1 << 12)
def _cues(span: Span, line: str, surface: Surface, region: str) -> frozenset[str]:
    return frozenset(cues(span, line, surface, region))


# --- cores ---------------------------------------------------------------------------------


def _cores(span: Span, held: Mapping[str, bool]) -> Iterator[tuple[str, ...]]:
    """The words of *span* that may be the name: all of a phrase; of an identifier what is left
    when the words of the trade around it are taken away.
    """
    words = span.words
    if span.form in _WHOLE:
        yield words
    elif span.form is Form.SUBJECT:
        if _subject(words, held):
            yield words
    elif len(words) > 1:
        yield from _inner(spans.parts_of(span.text), held, span.form)
    elif not _is_ordinary(words[0], held, span.form):
        yield words


def _is_ordinary(word: str, held: Mapping[str, bool], form: Form) -> bool:
    """Whether one word can name nobody here: the trade's or grammar's, or an ordinary one in code
    that the base has, too.
    """
    if form is Form.IDENTIFIER:
        return word in shape.AFFIXES or (held[word] and shape.plain(word))
    return word in grammar.FUNCTION_WORDS


def _strange(word: str, held: Mapping[str, bool]) -> bool:
    """Whether neither the base nor the knowledge has *word*."""
    return not held[word] and not shape.plain(word)


def _subject(words: tuple[str, ...], held: Mapping[str, bool]) -> bool:
    """Whether a bare subject may be a name: the base lacks a word of it, or it ends like one."""
    news = any(not held[word] for word in words)
    return news or (len(words) > 1 and words[-1] in shape.ORG_WORDS)


def _inner(
    parts: tuple[Part, ...], held: Mapping[str, bool], form: Form
) -> Iterator[tuple[str, ...]]:
    """The words of an identifier that may be a name: around what is strange in it, or what is left
    without the words of the trade at both ends.
    """
    words = tuple(part.word for part in parts)
    odd = [at for at, word in enumerate(words) if _strange(word, held)]
    if not odd:
        start, end = _trimmed(parts)
        if 0 < end - start <= 4:
            yield words[start:end]
        return
    start, end = odd[0], odd[-1] + 1
    if sum(len(words[at]) for at in odd) <= _SHORT_CORE:
        start, end = max(0, start - 1), end + 1
    start, end = _with_glued(parts, start, min(end, len(words)), _belongs)
    if end - start <= _MAX_WORDS:
        yield words[start:end]
    wide = _with_glued(parts, start, end, _may_belong, once=True)
    if wide != (start, end) and wide[1] - wide[0] <= _MAX_WORDS:
        yield words[wide[0] : wide[1]]


def _trimmed(parts: tuple[Part, ...]) -> tuple[int, int]:
    """Where the words of the trade at both ends of an identifier stop; digits written onto a word
    are part of it (`Zorb24`).
    """
    start, end = 0, len(parts)
    while start < end and _is_trade(parts, start, end):
        start += 1
    while end > start and _is_trade(parts, end - 1, end):
        end -= 1
    return start, end


def _is_trade(parts: tuple[Part, ...], at: int, end: int) -> bool:
    """Whether the word at *at* is one of the trade, or digits that stand by themselves."""
    word, beside = parts[at].word, []
    if parts[at].glued:
        beside.append(parts[at - 1].word)
    if at + 1 < end and parts[at + 1].glued:
        beside.append(parts[at + 1].word)
    if word.isdigit():
        return not beside
    return word in shape.AFFIXES and not any(map(str.isdigit, beside))


def _with_glued(
    parts: tuple[Part, ...],
    start: int,
    end: int,
    takes: Callable[[str], bool],
    once: bool = False,
) -> tuple[int, int]:
    """*start* and *end* widened over what is written onto the words between them; or by *once*,
    over one more word on each side, written onto them or not.
    """
    low, high = start, end
    while low > 0 and (once or parts[low].glued) and takes(parts[low - 1].word):
        low -= 1
        if once:
            break
    while high < len(parts) and (once or parts[high].glued) and takes(parts[high].word):
        high += 1
        if once:
            break
    return low, high


def _belongs(word: str) -> bool:
    """Whether *word* is part of the name that it is written onto: digits, a letter or two."""
    return word.isdigit() or len(word) == 1


def _may_belong(word: str) -> bool:
    """Whether *word* may be part of a name that it stands beside: it is no word of the trade."""
    return not (word.isdigit() or word in shape.AFFIXES or word in grammar.BELONGINGS)
