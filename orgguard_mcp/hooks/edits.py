"""What an edit would add: the new lines of the file as it would be, and its path where it is new.

An edit is played on the file as it lies on disk, so that a line is read whole even when the edit
touches a word of it. What cannot be played is read as it was given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orgguard_mcp.hooks import patch
from orgguard_mcp.lines import (
    decode,
    file_lines,
    is_notebook,
    notebook_text,
    numbered,
    pieces,
    surface_of,
)
from orgguard_mcp.model import Artifact, Surface

MAX_FILE = 4 << 20
"""Bytes of a file on disk that an edit is played on."""

MAX_DEPTH = 20
"""Levels of nesting of a tool's input."""

_PATHS = frozenset(
    {"filepath", "path", "notebookpath", "targetfile", "targetnotebook", "absolutepath"}
    | {"dirpath", "file", "filename"}
)
_WHOLE = frozenset({"content", "contents", "filetext", "code", "text"})
_OLD = frozenset({"oldstring", "oldstr", "oldtext", "search"})
_NEW = frozenset({"newstring", "newstr", "newtext", "replace", "replacement", "newsource"})
_NEW_CELL = frozenset({"newsource", "newcode"})
_CELL_TYPES = frozenset({"celltype", "language"})
_TEXTS = _WHOLE | _NEW | _NEW_CELL
_LISTS = frozenset({"edits", "replacements", "changes"})
_PATCHES = frozenset({"command", "input", "patch", "patchtext"})


def edited(given: Mapping[str, Any], directory: str) -> list[Artifact]:
    """What an editing tool with the input *given* adds. Of a form that is not known every text."""
    found: list[Artifact] = []
    patches = [text for text in _values(given, _PATCHES) if patch.is_patch(text)]
    for text in patches:
        for one in patch.added(text, lambda path: _read(_joined(directory, path)).split("\n")):
            found += _in_place(_joined(directory, one.path), one.lines)
    steps: dict[str, list[Mapping[str, Any]]] = {}
    path = _one(given, _PATHS)
    for step in [given, *_several(given)]:
        if _values(step, _TEXTS):
            steps.setdefault(_one(step, _PATHS) or path, []).append(step)
    if not steps and not patches:
        return strings(given)
    for name, its in steps.items():
        found += _of_file(_joined(directory, name), its)
    return found


def _joined(directory: str, path: str) -> str:
    return os.path.join(directory, os.path.expanduser(path))  # noqa: PTH111, PTH118


def _of_file(path: str, steps: list[Mapping[str, Any]]) -> Iterator[Artifact]:
    """What *steps*, taken one after the other, add to the file *path*."""
    before = after = _read(path)
    yield from _new_path(path)
    for step in steps:
        if is_notebook(path) and _values(step, _NEW_CELL):
            yield _cell(path, step, before)
            continue
        for text in _values(step, _WHOLE):
            yield from added(path, text, before)
        old = _one(step, _OLD)
        for text in _values(step, _NEW):
            if old and old in after:
                after = after.replace(old, text)
            else:
                yield from added(path, text, f"{before}\n{old}")
    if after is not before:
        yield from added(path, after, before)


def _cell(path: str, step: Mapping[str, Any], before: str) -> Artifact:
    """What the new source of a cell adds to the notebook *path*."""
    known = {line for row in before.split("\n") for line in notebook_text(row)}
    markdown = "markdown" in _values(step, _CELL_TYPES)
    lines = numbered("\n".join(_values(step, _NEW_CELL)))
    surface = Surface.DOCS if markdown else Surface.CODE
    return Artifact(surface, path, tuple(one for one in lines if one[1] not in known))


def written(path: str, text: str) -> Iterator[Artifact]:
    """What *text*, written to the file *path* or added to it, adds."""
    yield from _new_path(path)
    yield from added(path, text, _read(path))


def added(path: str, text: str, before: str) -> Iterator[Artifact]:
    """The lines of *text* that the file *path*, which was *before*, does not have."""
    known = {line.strip() for _, line in numbered(before)}
    render = notebook_text if is_notebook(path) else pieces
    found: dict[Surface, list[tuple[int, str]]] = {}
    for surface, number, line in file_lines(path, text):
        if line.strip() not in known:
            found.setdefault(surface, []).extend((number, piece) for piece in render(line))
    for surface, lines in found.items():
        yield Artifact(surface, path, tuple(lines))


def _in_place(path: str, lines: Iterable[tuple[int, str]]) -> Iterator[Artifact]:
    """*lines* that a patch adds to the file *path*, and the path if it is new."""
    yield from _new_path(path)
    found = tuple((number, piece) for number, text in lines for piece in pieces(text))
    yield Artifact(surface_of(path), path, found)


def _new_path(path: str) -> Iterator[Artifact]:
    if not os.path.lexists(path):
        yield Artifact(Surface.PATH, path, ((0, path),))


def _read(path: str) -> str:
    """The text that *path* has now; empty when there is none."""
    try:
        file = Path(path)
        if not file.is_file() or file.stat().st_size > MAX_FILE:
            return ""
        read = decode(file.read_bytes())
    except (OSError, ValueError):
        return ""
    return read.text if read else ""


# --- what a tool was given ------------------------------------------------------------------------


def strings(given: Mapping[str, Any]) -> list[Artifact]:
    """Every text in the input of a tool that publishes. One without white space may be a branch or
    a path, and is read as data.
    """
    return [said(text) for text in _texts(given, MAX_DEPTH)]


def said(text: str) -> Artifact:
    """*text* that lies in no file."""
    surface = Surface.PR_BODY if text.split()[1:] else Surface.DATA
    lines = ((number, piece) for number, line in numbered(text) for piece in pieces(line))
    return Artifact(surface, "", tuple(lines))


def _texts(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth == 0:
        yield json.dumps(value, ensure_ascii=False)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if depth < MAX_DEPTH:  # those at the top are the tool's own words
                yield key
            yield from _texts(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, depth - 1)


def _values(given: Mapping[str, Any], keys: frozenset[str]) -> list[str]:
    """The texts under *keys*, in whatever style they are spelled; a list of lines is joined."""
    found = []
    for key, value in given.items():
        if key.replace("_", "").casefold() in keys:
            if isinstance(value, list) and all(isinstance(one, str) for one in value):
                found.append("\n".join(value))
            elif isinstance(value, str):
                found.append(value)
    return found


def _one(given: Mapping[str, Any], keys: frozenset[str]) -> str:
    return next((value for value in _values(given, keys) if value), "")


def _several(given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key, value in given.items():
        if key.casefold() in _LISTS and isinstance(value, list):
            yield from (one for one in value if isinstance(one, dict))
