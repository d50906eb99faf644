"""What of a report may be shown. Here, and nowhere else, names are hidden: the formats are given
a `View`, and a view that hides holds no name to leak.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orgguard_mcp.model import (
    Base,
    Confidence,
    Coverage,
    Effect,
    Finding,
    Level,
    Location,
    Report,
    Skipped,
    Surface,
)
from orgguard_mcp.report.rules import Rule, rule_of
from orgguard_mcp.report.veil import Veil

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Options:
    """How to report. `reveal` shows names: on the user's own terminal, or when asked to.

    `token` ends a GitHub log's stop-commands; empty for a new random one.
    """

    reveal: bool = False
    token: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A `Location` as it may be shown. `file` is the true path of a line that a code host can
    annotate: empty on other surfaces, and where the path itself holds a hidden name. `text` is
    None where names are hidden, for then no source line is shown.
    """

    surface: Surface
    path: str
    file: str
    line: int
    column: int
    length: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A `Finding` as it may be shown. `name` is None and `said`, the words with which a human
    refused, is empty where names are hidden. `evidence` says what the base has.
    """

    rule: Rule
    name: str | None
    fingerprint: str
    basis: str
    effect: Effect
    confidence: Confidence
    level: Level
    score: float
    why: str
    evidence: str
    said: str
    places: tuple[Place, ...]

    @property
    def main(self) -> Place | None:
        """The place to show first: one in a file if there is any."""
        return self.attached or next(iter(self.places), None)

    @property
    def attached(self) -> Place | None:
        """The first place that a code host can annotate."""
        return next((place for place in self.places if place.file), None)

    @property
    def others(self) -> tuple[Place, ...]:
        """The places but the main one, in order."""
        main = self.main
        return tuple(place for place in self.places if place is not main)


@dataclass(frozen=True, slots=True)
class View:
    """A `Report` as it may be shown; its entries come in the order of their weight."""

    hidden: bool
    base: Base
    head: str
    entries: tuple[Entry, ...]
    coverage: tuple[Coverage, ...]
    suppressed: int
    consented: int
    notes: tuple[str, ...]
    unchecked: str


def view(report: Report, *, reveal: bool) -> View:
    """*report* as it may be shown: with every name covered, unless *reveal*."""
    veil = Veil() if reveal else Veil(_spellings(report))
    entries = [_entry(finding, veil, reveal=reveal) for finding in report.findings]
    return View(
        hidden=not reveal,
        base=Base(report.base.commit, veil.cover(report.base.reason), veil.cover(report.base.ref)),
        head=report.head,
        entries=tuple(sorted(entries, key=_weight)),
        coverage=tuple(_coverage(covered, veil) for covered in report.coverage),
        suppressed=report.suppressed,
        consented=report.consented,
        notes=report.notes,
        unchecked=report.unchecked,
    )


def readable_path(path: str) -> str:
    """*path* as valid text: bytes that are no UTF-8 are shown as escapes."""
    return path_bytes(path).decode("utf-8", "backslashreplace")


def path_bytes(path: str) -> bytes:
    """*path* as git has it. What cannot have come from a file system does not fail."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogatepass")


def _spellings(report: Report) -> Iterator[str]:
    """Every way in which the report's names are written."""
    for finding in report.findings:
        yield finding.verdict.name.surface
        yield finding.verdict.name.key
        for place in finding.locations:
            start = max(place.column - 1, 0)
            yield place.text[start : start + place.length]


def _entry(finding: Finding, veil: Veil, *, reveal: bool) -> Entry:
    verdict = finding.verdict
    return Entry(
        rule=rule_of(verdict.basis),
        name=verdict.name.surface if reveal else None,
        fingerprint=finding.fingerprint,
        basis=verdict.basis.value,
        effect=verdict.effect,
        confidence=finding.confidence,
        level=finding.level,
        score=finding.score,
        why=veil.cover(finding.why),
        evidence=veil.cover(verdict.why),
        said=verdict.reason if reveal else "",
        places=tuple(_place(location, veil, reveal=reveal) for location in finding.locations),
    )


def _place(location: Location, veil: Veil, *, reveal: bool) -> Place:
    # A commit's id is no spelling of a name, even where its digits happen to read as one.
    is_id = location.surface is Surface.COMMIT_MESSAGE and _COMMIT.fullmatch(location.path)
    path = location.path if is_id else veil.cover(location.path)
    can_attach = location.surface.in_file and location.line > 0 and path == location.path
    return Place(
        surface=location.surface,
        path=readable_path(path),
        file=path if can_attach else "",
        line=location.line,
        column=location.column,
        length=location.length,
        text=location.text if reveal else None,
    )


def _coverage(covered: Coverage, veil: Veil) -> Coverage:
    # A reason is made of this program's own words: a name that is an ordinary one would garble it.
    skipped = tuple(Skipped(veil.cover(s.what), s.reason) for s in covered.skipped)
    return Coverage(covered.surface, covered.scanned, skipped)


def _weight(entry: Entry) -> tuple[bool, float, str, int, str]:
    place = entry.main
    where = (place.path, place.line) if place else ("", 0)
    return (entry.effect is not Effect.DENY, -entry.score, *where, entry.fingerprint)
