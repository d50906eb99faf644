"""Gathering: from the artifacts of a change to candidates, each with its places and cues.

Lines are read one after the other and forgotten. What can be no candidate goes at once: ordinary
words in lower case, most of any text. The base is asked about the words of some thousand spans at
a time, and a candidate keeps so many of its places and counts the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import islice
from sys import intern
from typing import Final, NamedTuple

from orgguard_mcp.detect import grammar, shape, spans
from orgguard_mcp.detect.cues import cues
from orgguard_mcp.detect.places import Kept, Places, Sighting
from orgguard_mcp.detect.reading import Found, Reading
from orgguard_mcp.detect.spans import Form, Part, Span
from orgguard_mcp.fileclass import PROVIDER_DIRS
from orgguard_mcp.model import Artifact, Held, Surface

Holdings = Callable[[Iterable[str]], Mapping[str, Held]]
"""The base's answer for many keys at once; a key that it lacks may be missing."""

Holds = Callable[[Iterable[str]], Collection[str]]
"""Which of many keys the base holds at all: less to find out."""


_Words = tuple[str, ...]

MAX_SIGHTINGS: Final = 30
"""Places that a candidate keeps of one surface."""


class Seen(NamedTuple):
    """A candidate to look at: its words and sightings."""

    words: _Words
    sightings: Sequence[Sighting]

    @property
    def key(self) -> str:
        """The words joined: what the base is asked for."""
        return "".join(self.words)


@dataclass(slots=True)
class Candidate:
    """A name that the change may bring in: its words, some of its places (`kept`), how many it has;
    once it was weighed, its score and what speaks for that.
    """

    words: _Words
    kept: Kept
    places: dict[Surface, int] = field(default_factory=dict)
    score: float = 0.0
    why: str = ""

    @property
    def key(self) -> str:
        """The words joined: what the base is asked for."""
        return "".join(self.words)

    def seen(self) -> Seen:
        """The candidate to look at."""
        return Seen(self.words, list(self.kept))

    def has_room(self, surface: Surface, before: int = 0) -> bool:
        """Count a place on *surface*, and say whether it is to be kept, where *before* are known of
        already.
        """
        count = self.places[surface] = self.places.get(surface, 0) + 1
        return before + count <= MAX_SIGHTINGS

    def lacks(self, known: Candidate | None) -> bool:
        """Whether *known*, the same one of earlier portions, has room for places that this one was
        not told with.
        """
        before = known.places if known else {}
        kept = Counter(self.kept.surfaces)
        return any(
            kept[surface] < min(count, MAX_SIGHTINGS - before.get(surface, 0))
            for surface, count in self.places.items()
        )

    def absorb(self, later: Candidate, carried: Callable[[int], int]) -> None:
        """Add what a *later* portion says of the same name; its places are *carried* over."""
        if len(later.words) > len(self.words):
            self.words = later.words
        places = dict(self.places)
        for surface, number in zip(later.kept.surfaces, later.kept.numbers, strict=True):
            count = places[surface] = places.get(surface, 0) + 1
            if count <= MAX_SIGHTINGS:
                self.kept.numbers.append(carried(number))
        self.places = _sum(self.places, later.places)


def _sum(known: Mapping[Surface, int], more: Mapping[Surface, int]) -> dict[Surface, int]:
    """The places of both, counted as far as any are kept; equal ones are one dictionary."""
    counts = dict(known)
    for surface, count in more.items():
        counts[surface] = min(counts.get(surface, 0) + count, MAX_SIGHTINGS)
    return _counts(tuple(counts.items()))


@lru_cache(maxsize=1 << 10)
def _counts(counts: tuple[tuple[Surface, int], ...]) -> dict[Surface, int]:
    return dict(counts)


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
_MANY: Final = 1 << 15  # words or spans remembered
_MAX_WORDS: Final = 6
_SHORT_CORE: Final = 3  # letters: so few are a name only with the word beside them


MAX_CANDIDATES: Final = 50_000
"""Candidates that are kept at once; more only if they are likely names."""

_NONE: Final[Mapping[Surface, int]] = {}

Thin = Callable[[list[Candidate]], Iterable[Candidate]]
"""Chooses the candidates to be kept of too many."""


def gather(artifacts: Iterable[Artifact], holds: Holds) -> list[Candidate]:
    """The candidates of *artifacts*, unweighed."""
    return Gatherer(holds).gather(artifacts)


class Gatherer:
    """Gathers the candidates of one portion of a change after the other.

    What it remembers saves time alone, but for this: it keeps no place of a candidate of which it
    has told `MAX_SIGHTINGS` before, until it is to `forget`.
    """

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._reading = Reading()
        self._held: dict[str, bool] = {}
        self._cores: dict[tuple[Form, str], tuple[_Words, ...]] = {}
        self._told: dict[str, dict[Surface, int]] = {}

    def forget(self) -> None:
        """Tell of each candidate's places anew."""
        self._told.clear()

    def gather(self, artifacts: Iterable[Artifact]) -> list[Candidate]:
        """The candidates of *artifacts*, with all their places but those that are not kept."""
        found, places = dict[str, Candidate](), Places()
        stream = self._reading.spans(artifacts)
        while chunk := list(islice(stream, _CHUNK)):
            young = self._ask({word for one in chunk for word in one.span.words})
            for one in chunk:
                if young and _named_by_the_trade(one):
                    continue
                if cores := self._cores_of(one.span):
                    _note(one, cores, found, self._told, places)
            for table in (self._held, self._cores):
                if len(table) > _MANY:
                    table.clear()
        self._remember(found)
        return list(found.values())

    def _ask(self, words: set[str]) -> bool:
        """Learn which of *words* the base holds, and whether it is too young to tell."""
        if asked := (words | TRADE_WORDS) - self._held.keys():
            answer = self._holds(asked)
            self._held.update((word, word in answer) for word in asked)
        return sum(self._held[word] for word in TRADE_WORDS) < _FEW

    def _cores_of(self, span: Span) -> tuple[_Words, ...]:
        form, text = span[:2]
        cores = self._cores.get((form, text))
        if cores is None:
            cores = tuple(filter(_tells, _cores(span, self._held)))
            self._cores[form, text] = cores
            if not cores and form is Form.IDENTIFIER:
                self._reading.dulled(text)
        return cores

    def _remember(self, found: Mapping[str, Candidate]) -> None:
        """Note how many places of each candidate have been told."""
        if len(self._told) > MAX_CANDIDATES:  # those with many places matter most
            full = {key: t for key, t in self._told.items() if max(t.values()) >= MAX_SIGHTINGS}
            self._told = full if len(full) < MAX_CANDIDATES // 2 else {}
        for key, candidate in found.items():
            told: dict[Surface, int] = {
                surface: count
                for surface, count in candidate.places.items()
                if surface is not Surface.COMMIT_MESSAGE  # an author's line has no room to take
            }
            if told:
                self._told[key] = _sum(self._told.get(key, _NONE), told)


class Gathered:
    """The candidates of all portions, joined in their order. Whenever there are more than
    `MAX_CANDIDATES`, *thin* says which of them to keep.
    """

    def __init__(self, thin: Thin) -> None:
        self.thinned = 0
        self._thin = thin
        self._places = Places()
        self._found: dict[str, Candidate] = {}
        self._room = MAX_CANDIDATES

    @property
    def candidates(self) -> list[Candidate]:
        """All candidates so far."""
        return list(self._found.values())

    def lacks(self, candidates: Iterable[Candidate]) -> bool:
        """Whether a place would be kept that one of *candidates* was not told with: who told of
        them did not know that its earlier places were forgotten.
        """
        return self.thinned > 0 and any(one.lacks(self._found.get(one.key)) for one in candidates)

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Join the *candidates* of the next portion, those of the first as they are."""
        if self._found:
            self._join(candidates)
        else:
            self._found = {one.key: one for one in candidates}
            self._places = next((one.kept.places for one in candidates), self._places)
        if len(self._found) > self._room:
            left = list(self._thin(self.candidates))
            self._places, self._found = Places(), {}
            self._join(left)
            self._room = max(MAX_CANDIDATES, 2 * len(self._found))
            self.thinned += 1

    def _join(self, candidates: Iterable[Candidate]) -> None:
        carrier = cache(self._places.carrier)  # all of a portion have their places together
        for one in candidates:
            known = self._found.get(one.key)
            if known is None:
                words = tuple(map(intern, one.words))
                known = self._found[one.key] = Candidate(words, Kept(self._places))
            known.absorb(one, carrier(one.kept.places))


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


def _note(
    one: Found,
    cores: Iterable[_Words],
    found: dict[str, Candidate],
    told: Mapping[str, Mapping[Surface, int]],
    places: Places,
) -> None:
    """Add what *one* shows to the candidates; how many places were *told* of before is known."""
    row = None
    for core in cores:
        key = "".join(core)
        candidate = found.get(key)
        if candidate is None:
            candidate = Candidate(core, Kept(places))
        elif len(core) > len(candidate.words):
            candidate.words = core
        if candidate.has_room(one.surface, told.get(key, _NONE).get(one.surface, 0)):
            if row is None:
                shown = _cues(one.span, one.line, one.surface, one.region)
                if "author trailer" in shown:
                    return
                row = places.add(Sighting(*one[:5], shown))
            candidate.kept.numbers.append(row)
        found[key] = candidate


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
