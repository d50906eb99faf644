"""Scan: the names that a change brings in, judged by the same guard as every other door.

A change is read into artifacts (`change`), these into candidates with their weight (`detect`), and
each candidate at or above the reporting level is put to the guard, which knows the base, the
reserved markers and what humans decided. What the guard does not allow is a finding.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from orgguard_mcp import names
from orgguard_mcp.change import Change, Sources, read_change
from orgguard_mcp.detect.decode import Decoded, decodings, joined_literals
from orgguard_mcp.detect.gather import gather
from orgguard_mcp.detect.weigh import PEDANTIC, REGULAR, Weighed, weigh
from orgguard_mcp.errors import InvalidNameError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import (
    Artifact,
    Basis,
    Confidence,
    Effect,
    Finding,
    Level,
    Location,
    Report,
    Surface,
    Verdict,
)

MAX_DECODED = 100_000
"""Encoded stretches read in one change; more of them are no text that somebody wrote."""

Progress = Callable[[int], None]
"""Hears how many files, messages and the like were read."""


def scan(
    guard: Guard, sources: Sources, level: Level | None = None, progress: Progress | None = None
) -> Report:
    """What the change that *sources* name would publish; *guard* was opened for the same head.

    *level* is the policy's unless given. Raises `OrgGuardError` when anything of it could not be
    checked as a whole; what was passed over in part is in the report's coverage.
    """
    reporting = level or guard.policy.level
    change = read_change(guard.repository, guard.base, sources)
    reading = _Reading(progress)
    candidates = gather(reading.artifacts(change), guard.holdings)
    weighed = weigh(candidates, guard.holdings, guard.classify)
    floor = PEDANTIC() if reporting is Level.PEDANTIC else REGULAR()
    judged = _judged(guard, weighed, floor, reading)
    findings = [finding for finding, _ in judged if finding]
    return Report(
        base=guard.base,
        head=change.head,
        findings=tuple(_fingerprinted(findings)),
        coverage=change.coverage,
        suppressed=sum(PEDANTIC() <= one.score < floor for one in weighed),
        consented=sum(basis is Basis.CONSENTED for _, basis in judged),
    )


# --- reading ----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
    """Hands artifacts on, with what their encoded stretches say, and remembers where those are."""

    progress: Progress | None
    decoded: dict[tuple[str, int, str], Location] = field(default_factory=dict)

    def artifacts(self, change: Change) -> Iterator[Artifact]:
        for count, artifact in enumerate(change, 1):
            yield artifact
            if said := tuple(self._said(artifact)):
                yield replace(artifact, lines=said)
            if self.progress:
                self.progress(count)

    def _said(self, artifact: Artifact) -> Iterator[tuple[int, str]]:
        texts = dict(artifact.lines)
        found: Iterable[tuple[int, Decoded]] = (
            (number, one) for number, line in artifact.lines for one in decodings(line)
        )
        joined = joined_literals(artifact.lines) if artifact.surface.in_file else ()
        for number, one in (*found, *joined):
            place = artifact.path, number, one.text
            if len(self.decoded) < MAX_DECODED and place not in self.decoded:
                self.decoded[place] = Location(
                    artifact.surface, artifact.path, number, one.start + 1, one.end - one.start,
                    texts[number],
                )  # fmt: skip
                yield number, one.text

    def written(self, location: Location) -> Location:
        """*location* as it stands in the change, if it lies in what was decoded."""
        stretch = self.decoded.get((location.path, location.line, location.text))
        return replace(stretch, surface=location.surface) if stretch else location


# --- judging ----------------------------------------------------------------------------------


def _judged(
    guard: Guard, weighed: Iterable[Weighed], floor: float, reading: _Reading
) -> list[tuple[Finding | None, Basis | None]]:
    """Each weighed name that is reported or that a human spoke on, as a finding or its basis."""
    told = guard.told()
    judged: list[tuple[Finding | None, Basis | None]] = []
    for one in weighed:
        spoken_on = names.canonicalise(one.text) in told
        if one.score < floor and not spoken_on:
            continue
        try:
            verdict = guard.check(one.text)
        except InvalidNameError:
            continue
        locations = _written_places(one, reading)
        if spoken_on:
            verdict, locations = _narrowed(guard, verdict, locations)
        if verdict.effect is Effect.ALLOW:
            judged.append((None, verdict.basis))
        elif one.score >= floor or verdict.basis not in {Basis.UNKNOWN, Basis.COMMON_WORD}:
            judged.append((_finding(one, verdict, locations), verdict.basis))
    return judged


def _written_places(one: Weighed, reading: _Reading) -> tuple[Location, ...]:
    return tuple(dict.fromkeys(reading.written(sighting.location) for sighting in one.sightings))


def _narrowed(
    guard: Guard, verdict: Verdict, locations: tuple[Location, ...]
) -> tuple[Verdict, tuple[Location, ...]]:
    """*verdict* and the places that it is about, when a human spoke on the name: a grant may hold
    in some files only.
    """
    if verdict.effect is Effect.ALLOW or verdict.basis is Basis.REFUSED:
        return verdict, locations
    by_path = {
        path: guard.check(verdict.name.surface, path)
        for path in dict.fromkeys(loc.path for loc in locations if _in_tree(loc.surface))
    }
    held = {path for path, said in by_path.items() if said.effect is Effect.ALLOW}
    left = tuple(loc for loc in locations if not (_in_tree(loc.surface) and loc.path in held))
    if not left:
        return next(iter(by_path.values())), locations
    return verdict, left


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


# --- fingerprints -----------------------------------------------------------------------------


def _fingerprinted(findings: list[Finding]) -> Iterator[Finding]:
    """*findings* with an identity that outlives moved lines and tells nothing of the name.

    It is made of the places with every found name taken out, never of the name: whoever has a list
    of names could look up a hash of it.
    """
    extents = _extents(findings)
    names_found = sorted({_written(at) for one in findings for at in one.locations}, key=len)[::-1]
    seen: dict[str, int] = {}
    for finding in findings:
        places = sorted({_bare(location, extents, names_found) for location in finding.locations})
        digest = hashlib.sha256("\n".join(places).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        count = seen[digest] = seen.get(digest, 0) + 1
        yield replace(finding, fingerprint=digest if count == 1 else f"{digest}-{count}")


def _written(location: Location) -> str:
    start = location.column - 1
    return location.text[start : start + location.length]


_Line = tuple[Surface, str, str]


def _extents(findings: Iterable[Finding]) -> dict[_Line, list[tuple[int, int]]]:
    found: dict[_Line, list[tuple[int, int]]] = {}
    for finding in findings:
        for at in finding.locations:
            place = (at.surface, at.path, at.text)
            found.setdefault(place, []).append((at.column - 1, at.column - 1 + at.length))
    return found


def _bare(
    location: Location,
    extents: Mapping[_Line, list[tuple[int, int]]],
    names_found: Iterable[str],
) -> str:
    """A place without names: its surface, and its line with every found name cut out. Its path is
    left out: a folder may be named after the organisation, too.
    """
    text = location.text
    for start, end in sorted(extents[location.surface, location.path, text], reverse=True):
        text = text[:start] + "\0" + text[end:]
    for name in names_found:
        text = re.sub(re.escape(name), "\0", text, flags=re.IGNORECASE)
    return f"{location.surface.value}\0{text.strip()}"
