"""The sentences that all formats share, made of a `View`; foreign text in them is harmless."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orgguard_mcp.display import plural, visible
from orgguard_mcp.model import Base, Surface
from orgguard_mcp.report.view import Entry, Place, View, readable_path

_NOUNS: Mapping[Surface, tuple[str, str]] = {
    Surface.CODE: ("code file", "code files"),
    Surface.COMMENT: ("comment", "comments"),
    Surface.STRING: ("string", "strings"),
    Surface.DOCS: ("document", "documents"),
    Surface.DATA: ("data file", "data files"),
    Surface.PATH: ("path", "paths"),
    Surface.COMMIT_MESSAGE: ("commit message", "commit messages"),
    Surface.BRANCH: ("branch name", "branch names"),
    Surface.TAG: ("tag name", "tag names"),
    Surface.PR_TITLE: ("PR title", "PR titles"),
    Surface.PR_BODY: ("PR body", "PR bodies"),
}
_WITHIN_FILES = {Surface.COMMENT, Surface.STRING}  # scanned with the code that they stand in
_FEW = 4

HIDDEN = "names are hidden here: your own terminal or `--reveal` shows them"
PEDANTIC = "`--level pedantic` shows all"


def base_line(base: Base) -> str:
    """The base in a few words: its short commit and how it was chosen."""
    reason = visible(base.reason)
    return f"{base.commit[:7]}, {reason}" if base.commit else reason


def subject(entry: Entry) -> str:
    """What a sentence on *entry* calls it: the name, or its fingerprint where names are hidden."""
    if entry.name is None:
        return f"name {visible(entry.fingerprint)}"
    return f"`{visible(entry.name)}`"


def headline(entry: Entry) -> str:
    """What is the matter, in one clause."""
    return f"{subject(entry)} {entry.rule.says}"


def where(place: Place) -> str:
    """*place* as a reader finds it."""
    path = visible(place.path)
    line = f" line {place.line}" if place.line else ""
    match place.surface:
        case Surface.PATH:
            return f"the path {path}"
        case Surface.COMMIT_MESSAGE:
            commit = f"commit {visible(place.path[:7])}" if place.path else "commit"
            return f"{commit} message{line}"
        case Surface.PR_BODY:
            return f"PR body{line}"
        case Surface.BRANCH | Surface.TAG | Surface.PR_TITLE:
            return _NOUNS[place.surface][0]
        case _:
            return f"{path}:{place.line}:{place.column}" if place.line else path


def also(entry: Entry, most: int = _FEW) -> str:
    """The places but the main one: the first few and the count of the rest; empty if none."""
    return _listed(list(dict.fromkeys(where(place) for place in entry.others)), most)


def totals(view: View) -> str:
    """How much there is, and how much is not shown."""
    places = plural(sum(len(entry.places) for entry in view.entries), "place")
    if view.entries:
        found = f"{plural(len(view.entries), 'finding')} in {places}"
    else:
        scanned = any(covered.scanned for covered in view.coverage)
        found = "no new names" if scanned else "nothing was scanned"
    rest = []
    if view.consented:
        rest.append(f"{plural(view.consented, 'name')} consented")
    if view.suppressed:
        below = plural(view.suppressed, "candidate")
        rest.append(f"{below} below the reporting level ({PEDANTIC})")
    return "; ".join(filter(None, (found, ", ".join(rest))))


def compared(view: View) -> str:
    """Which commits were compared."""
    head = f"; head {visible(view.head[:7])}" if view.head else ""
    return f"base {base_line(view.base)}{head}"


def ending(view: View) -> list[str]:
    """What ends every report: what else a reader must know, what was compared, what was scanned."""
    return [*(f"note: {note}" for note in view.notes), compared(view), *coverage(view)]


def coverage(view: View) -> list[str]:
    """What was scanned, what of it was not and why, and what this scan had no part in."""
    done = [c for c in view.coverage if c.scanned or not c.skipped]
    scanned = ", ".join(plural(c.scanned, *_NOUNS[c.surface]) for c in done)
    lines = [f"scanned: {scanned or 'nothing'}"]
    lines += [
        f"not scanned: {_listed(list(map(visible, whats)), 3)}: {visible(reason)}"
        for reason, whats in _skipped(view).items()
    ]
    given = {c.surface for c in view.coverage} | _WITHIN_FILES
    if absent := [_NOUNS[surface][1] for surface in Surface if surface not in given]:
        lines.append(f"no part of this scan: {', '.join(absent)}")
    return lines


def _skipped(view: View) -> dict[str, Iterable[str]]:
    """What was not scanned, by reason: one reason often holds for many files."""
    by_reason: dict[str, dict[str, None]] = {}
    for covered in view.coverage:
        for skipped in covered.skipped:
            by_reason.setdefault(skipped.reason, {})[readable_path(skipped.what)] = None
    return {reason: list(whats) for reason, whats in by_reason.items()}


def _listed(items: Sequence[str], most: int) -> str:
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest:,} more" if rest > 0 else "")
