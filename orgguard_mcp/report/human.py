"""A report for a reader: a block for each finding, then totals and what was scanned."""

from __future__ import annotations

import unicodedata

from orgguard_mcp.display import visible
from orgguard_mcp.report import words
from orgguard_mcp.report.view import Entry, Place, View

_BEFORE, _NAME, _AFTER = 50, 60, 60  # characters of a source line shown before, at, after a name
_TAB = "    "


def render(view: View) -> str:
    """*view* as text: error blocks, totals, notes, and the coverage that ends every report."""
    lines: list[str] = []
    for entry in view.entries:
        lines += [*_block(entry), ""]
    lines.append(words.totals(view))
    if view.hidden and view.entries:
        lines.append(words.HIDDEN)
    lines += words.ending(view)
    return "\n".join(lines) + "\n"


def _block(entry: Entry) -> list[str]:
    lines = [f"error[{entry.rule.id}]: {words.headline(entry)}"]
    place = entry.main
    pad = " " * len(str(place.line)) if place and place.line else " "
    if place:
        lines += [f"{pad}--> {words.where(place)}", *_source(place, pad)]
    return lines + [f"{pad} = {note}" for note in _notes(entry)]


def _notes(entry: Entry) -> list[str]:
    notes = [f"also: {places}"] if (places := words.also(entry)) else []
    notes.append(f"note: {visible(entry.evidence, 400)}")
    notes.append(f"note: {visible(entry.why, 400)}; confidence {entry.confidence}")
    if entry.said:
        notes.append(f'note: the human said "{visible(entry.said, 400)}"')
    return [*notes, f"help: {entry.rule.help}"]


def _source(place: Place, pad: str) -> list[str]:
    """The source line with carets under the name; nothing where no line may be shown."""
    if not place.text:
        return []
    before, name, after = _cut(place.text, max(place.column - 1, 0), place.length)
    number = str(place.line) if place.line else " "
    carets = " " * _cells(before) + "^" * max(_cells(name), 1)
    return [f"{pad} |", f"{number} | {before}{name}{after}", f"{pad} | {carets}", f"{pad} |"]


def _cut(line: str, start: int, length: int) -> tuple[str, str, str]:
    """What is shown of *line* before, at and after the name: a window, when the line is long."""
    before, name, after = line[:start], line[start : start + length], line[start + length :]
    return _end_of(before), _shown(name, _NAME), _shown(after, _AFTER)


def _end_of(text: str) -> str:
    kept = text[-_BEFORE:]
    while len(_shown(kept, 10 * _BEFORE)) > _BEFORE:  # an escape is up to ten characters
        kept = kept[1:]
    return ("…" if len(kept) < len(text) else "") + _shown(kept, _BEFORE)


def _shown(text: str, limit: int) -> str:
    return visible(text.replace("\t", _TAB), limit)


def _cells(text: str) -> int:
    """The columns that *text* takes in a terminal: two for an East Asian wide character."""
    return sum(_width(char) for char in text)


def _width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
