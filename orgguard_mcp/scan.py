"""Scan: the names that a change brings in, judged by the same guard as every other door.

A change is read into artifacts (`change`), these into candidates with their weight (`detect`), and
each candidate at or above the reporting level is put to the guard, which knows the base, the
reserved markers and what humans decided. What the guard does not allow is a finding.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from orgguard_mcp import names
from orgguard_mcp.change import Change, Sources, read_change
from orgguard_mcp.crew import Crew
from orgguard_mcp.detect.gather import Candidate, Gathered, Thin, gather
from orgguard_mcp.detect.weigh import PEDANTIC, REGULAR, Weighed, likely, weigh
from orgguard_mcp.display import plural
from orgguard_mcp.errors import InvalidNameError
from orgguard_mcp.fingerprints import fingerprinted, written
from orgguard_mcp.grants import DIRECTORY as GRANTS
from orgguard_mcp.guard import Guard
from orgguard_mcp.lines import surface_of
from orgguard_mcp.model import (
    Artifact,
    Basis,
    Confidence,
    Effect,
    FileClass,
    Finding,
    Level,
    Location,
    Place,
    Report,
    Surface,
    Trust,
    Verdict,
    path_of,
)
from orgguard_mcp.names import Name, NameKey
from orgguard_mcp.packages import class_of
from orgguard_mcp.portions import Portion, Stretch, Terms, portions
from orgguard_mcp.sweep import Sweep
from orgguard_mcp.written import without_ours

MAX_DECODED = 100_000
"""Encoded stretches read in one change; more of them are no text that somebody wrote."""

Progress = Callable[[int], None]
"""Hears how many files, messages and the like were read."""


class Judged(NamedTuple):
    """What came of some artifacts: findings, the verdicts on all names that were put to the guard,
    how many candidates stayed below the reporting level, and what is to be said of it all.
    """

    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    suppressed: int
    note: str = ""


def scan(
    guard: Guard, sources: Sources, level: Level | None = None, progress: Progress | None = None
) -> Report:
    """What the change that *sources* name would publish; *guard* was opened for the same head.

    *level* is the policy's unless given. Raises `OrgGuardError` when anything of it could not be
    checked as a whole; what was passed over in part is in the report's coverage.
    """
    change = read_change(guard.repository, guard.base, sources)
    guard.consider(change.branch, change.folder(GRANTS))
    with _without_collection():
        judged = judge(guard, change, level, progress)
    lack, fails = _lack_of_key(guard, change.forked)
    return Report(
        base=guard.base,
        head=change.head,
        findings=judged.findings,
        coverage=change.coverage,
        suppressed=judged.suppressed,
        consented=sum(verdict.basis is Basis.CONSENTED for verdict in judged.verdicts),
        notes=(
            *_rules_changed(change),
            *_grants_said(guard, judged.verdicts),
            *filter(None, [lack, judged.note]),
        ),
        unchecked=lack if fails else "",
    )


@contextmanager
def _without_collection() -> Iterator[None]:
    """Do not look for cycles meanwhile: a scan keeps many objects, and makes no cycles of them."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def judge(
    guard: Guard,
    artifacts: Iterable[Artifact],
    level: Level | None = None,
    progress: Progress | None = None,
) -> Judged:
    """The names in *artifacts* that the guard does not allow, at the policy's level unless another
    is given. Raises `OrgGuardError` when they could not be judged.
    """
    floor = PEDANTIC() if (level or guard.policy.level) is Level.PEDANTIC else REGULAR()
    sweep, decoded = Sweep(guard.protected), _Decoded()
    told, thinning = guard.told(), _Thinning(guard)
    candidates = _gathered(guard, _wanted(guard, artifacts, progress), thinning, sweep, decoded)
    least = 0.0 if told else PEDANTIC()
    suppressed, judged, narrow = 0, list[tuple[Finding | None, Verdict]](), guard.grants.narrow
    for one in weigh(candidates, guard.holdings, thinning.file_class, least):
        suppressed += PEDANTIC() <= one.score < floor
        judged += _judged(guard, one, floor, told, narrow, decoded)
    findings = _with_protected(guard, [one for one, _ in judged if one], sweep, decoded)
    return Judged(
        findings=tuple(fingerprinted(findings)),
        verdicts=tuple(verdict for _, verdict in judged),
        suppressed=suppressed,
        note=thinning.note,
    )


def unchecked(guard: Guard) -> str:
    """What the policy wants checked and could not be, here where nobody is a fork's job: empty when
    nothing.
    """
    lack, fails = _lack_of_key(guard, forked=False)
    return lack if fails else ""


def _rules_changed(change: Change) -> Iterator[str]:
    if change.rules:
        listed = ", ".join(change.rules)
        yield f"this change edits {listed}: that counts once it is on the base's branch"


def _lack_of_key(guard: Guard, forked: bool) -> tuple[str, bool]:
    """What is to be said where the protected names were not checked, and whether that fails."""
    if not guard.protected.unchecked:
        return "", False
    why = "a fork's pull request is given no key" if forked else "no key was given"
    required = guard.policy.protected == "required" and not forked
    return f"the protected names were not checked: {why}", required


def _grants_said(guard: Guard, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """What is to be said of the grants at hand: those that do not count, and those that lack."""
    yield from map(str, guard.grants.faults)
    here = sum(v.basis is Basis.CONSENTED and v.trust is not Trust.SIGNED for v in verdicts)
    if here and guard.approvers:
        yield (
            f"{plural(here, 'name is', 'names are')} allowed on this machine only: other machines"
            " ask for an approver's signature (`orgguard review`)"
        )


def names_in(guard: Guard, said: Iterable[tuple[str, str]]) -> list[str]:
    """The names in what is *said* of some places that the guard does not allow there."""
    artifacts = [
        Artifact(surface_of(path_of(where)), path_of(where), tuple(enumerate(text.splitlines(), 1)))
        for where, text in said
    ]
    weighed = weigh(gather(artifacts, guard.holds), guard.holdings, guard.classify)
    found = [one.text for one in weighed if one.score >= REGULAR()]
    return [name for name in found if _undecided(guard, name)]


def _undecided(guard: Guard, name: str) -> bool:
    try:
        return guard.check(name).effect is not Effect.ALLOW
    except InvalidNameError:
        return False


# --- reading ----------------------------------------------------------------------------------


def _wanted(
    guard: Guard, artifacts: Iterable[Artifact], progress: Progress | None
) -> Iterator[Artifact]:
    """*artifacts* without what OrgGuard itself writes."""
    spared = frozenset(f"{GRANTS}/{one}" for one in guard.grants.plain_files())
    for count, artifact in enumerate(artifacts, 1):
        if artifact.path not in spared and (left := without_ours(artifact)).lines:
            yield left
        if progress:
            progress(count)


def _gathered(
    guard: Guard, artifacts: Iterable[Artifact], thin: Thin, sweep: Sweep, decoded: _Decoded
) -> list[Candidate]:
    """The candidates in *artifacts*. *sweep* hears all of their text, and *decoded* where what was
    decoded of it stands.
    """
    gathered = Gathered(thin)

    def terms() -> Terms:
        return Terms(MAX_DECODED - len(decoded.places), gathered.thinned)

    with Crew(guard.holds) as crew:
        for portion, shown in crew.read(portions(artifacts), terms):
            if len(shown.stretches) > terms().room or gathered.lacks(shown.candidates):
                shown = crew.again(portion, terms())  # it was given away before that was known
            gathered.add(shown.candidates)
            sweep.over(decoded.along(portion, shown.stretches))
    return gathered.candidates


@dataclass(slots=True)
class _Decoded:
    """Where the encoded stretches of a change stand, by what they say."""

    places: dict[tuple[str, int, str], Location] = field(default_factory=dict)

    def along(self, portion: Portion, stretches: Iterable[Stretch]) -> Iterator[Artifact]:
        """The artifacts of *portion*, each followed by what its *stretches* say, if anything."""
        said = {at: list(group) for at, group in groupby(stretches, attrgetter("artifact"))}
        for at, artifact in enumerate(portion):
            yield artifact
            if at in said:
                texts = dict(artifact.lines)
                for _, number, one in said[at]:
                    self.places.setdefault(
                        (artifact.path, number, one.text),
                        Location(
                            artifact.surface, artifact.path, number, one.start + 1,
                            one.end - one.start, texts[number],
                        ),
                    )  # fmt: skip
                yield replace(artifact, lines=tuple((n, one.text) for _, n, one in said[at]))

    def written(self, location: Location) -> Location:
        """*location* as it stands in the change, if it lies in what was decoded."""
        stretch = self.places.get((location.path, location.line, location.text))
        return replace(stretch, surface=location.surface) if stretch else location


@dataclass(slots=True)
class _Thinning:
    """Keeps the candidates of a very large change few, by judging it in parts."""

    guard: Guard
    parts: int = 1

    def __call__(self, candidates: list[Candidate]) -> Iterator[Candidate]:
        self.parts += 1
        told = self.guard.told()
        kept = {one.key for one in likely(candidates, self.guard.holdings, self.file_class)}
        yield from (one for one in candidates if one.key in kept or one.key in told)

    def file_class(self, path: str) -> FileClass:
        """The class of *path*, in the repository or in a package."""
        return class_of(path) or self.guard.classify(path)

    @property
    def note(self) -> str:
        """What a reader must know; empty when the change was judged as a whole."""
        if self.parts == 1:
            return ""
        return (
            f"the change has so many words that it was judged in {self.parts} parts: a word that"
            " reads as a name only by what several of them say of it may be missing"
        )


# --- judging ----------------------------------------------------------------------------------


def _judged(
    guard: Guard,
    one: Weighed,
    floor: float,
    told: AbstractSet[NameKey],
    narrow: bool,
    decoded: _Decoded,
) -> Iterator[tuple[Finding | None, Verdict]]:
    """A weighed name that is reported or that a human was *told* of, as a finding or allowed; by
    *narrow*, a grant may hold in some places only.
    """
    spoken_on = bool(told) and names.canonicalise(one.text) in told
    if one.score < floor and not spoken_on:
        return
    try:
        verdict = guard.check(one.text)
    except InvalidNameError:
        return
    locations = _written_places(one, decoded)
    if spoken_on or narrow:
        verdict, locations = _narrowed(guard, verdict, locations)
    if verdict.effect is Effect.ALLOW:
        yield None, verdict
    elif one.score >= floor or verdict.basis not in {Basis.UNKNOWN, Basis.COMMON_WORD}:
        yield _finding(one, verdict, locations), verdict


def _written_places(one: Weighed, decoded: _Decoded) -> tuple[Location, ...]:
    return tuple(dict.fromkeys(decoded.written(sighting.location) for sighting in one.sightings))


def _narrowed(
    guard: Guard, verdict: Verdict, locations: tuple[Location, ...]
) -> tuple[Verdict, tuple[Location, ...]]:
    """*verdict* and the places that it is about, when a human spoke on the name: a grant may hold
    in some files only.
    """
    if verdict.effect is Effect.ALLOW or verdict.basis is Basis.REFUSED:
        return verdict, locations
    said = {at: guard.judge(verdict.name, at) for at in dict.fromkeys(map(_at, locations))}
    left = tuple(loc for loc in locations if said[_at(loc)].effect is not Effect.ALLOW)
    if not left:
        return next(iter(said.values())), locations
    open_ = [said[_at(loc)] for loc in left]
    return next((one for one in open_ if one.basis is not Basis.PENDING), open_[0]), left


def _at(location: Location) -> Place:
    """The file that *location* is in; the path is empty where there is none."""
    return Place(location.path or None) if _in_tree(location.surface) else Place("")


def _in_tree(surface: Surface) -> bool:
    return surface.in_file or surface is Surface.PATH


def _finding(one: Weighed, verdict: Verdict, locations: tuple[Location, ...]) -> Finding:
    regular = one.score >= REGULAR()
    sure = regular and one.score >= (1 + REGULAR()) / 2
    confidence = (
        Confidence.HIGH if sure else Confidence.MEDIUM if regular else Confidence.LOW
    )  # fmt: skip
    return Finding(
        verdict=verdict,
        score=one.score,
        confidence=confidence,
        level=Level.REGULAR if regular else Level.PEDANTIC,
        why=one.why,
        locations=locations,
        fingerprint="",
    )


# --- protected names --------------------------------------------------------------------------


def _with_protected(
    guard: Guard, findings: Iterable[Finding], sweep: Sweep, decoded: _Decoded
) -> list[Finding]:
    """*findings*, with every place of each protected name, whether it reads as a name or not."""
    findings = list(findings)
    kept = [one for one in findings if one.verdict.basis is not Basis.PROTECTED]
    found = [(f.verdict, f.locations) for f in findings if f.verdict.basis is Basis.PROTECTED]
    for key, places in sweep.found.items():
        name = Name(written(next(iter(places))), key)
        spots = tuple(map(decoded.written, places))
        verdict, left = _narrowed(guard, guard.judge(name), spots)
        if verdict.effect is not Effect.ALLOW:
            found.append((verdict, left))
    by_key: dict[str, Finding] = {}
    for verdict, locations in found:
        known = by_key.setdefault(verdict.name.key, _protected(verdict))
        by_key[known.verdict.name.key] = replace(
            known, locations=_joined(known.locations, locations)
        )
    denied = [place for finding in by_key.values() for place in finding.locations]
    return [*(one for one in kept if not _lies_in(one, denied)), *by_key.values()]


def _lies_in(finding: Finding, denied: Sequence[Location]) -> bool:
    """Whether *finding* is a longer reading of protected names alone (`fetchAcme`)."""
    return bool(denied) and all(
        any(_overlap(at, other) for other in denied) for at in finding.locations
    )


def _protected(verdict: Verdict) -> Finding:
    why = "its fingerprint is on the list"
    return Finding(verdict, 1.0, Confidence.HIGH, Level.REGULAR, why, (), fingerprint="")


def _joined(known: Iterable[Location], more: Iterable[Location]) -> tuple[Location, ...]:
    """*known* places, and those of *more* that lie in none of them."""
    joined = list(known)
    for place in more:
        if not any(_overlap(place, other) for other in joined):
            joined.append(place)
    return tuple(joined)


def _overlap(one: Location, other: Location) -> bool:
    same_surface = one.surface is other.surface or (one.surface.in_file and other.surface.in_file)
    same_line = (one.path, one.line, one.text) == (other.path, other.line, other.text)
    apart = one.column + one.length <= other.column or other.column + other.length <= one.column
    return same_surface and same_line and not apart
