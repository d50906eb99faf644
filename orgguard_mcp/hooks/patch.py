"""Patches in the form of `apply_patch`: which lines they add to which files. Pure.

What cannot be read as the form says counts as added: a lenient reader may write it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_HEADER = re.compile(r"\*\*\* (Add File|Update File|Delete File|Move to): (.*)")
_MARKERS = re.compile(r"\*\*\* (?:Begin Patch|End Patch|End of File)\s*|\s*")


class Added(NamedTuple):
    """The lines that a patch adds to the file *path*, numbered as they will be where that is known.
    A file that is only moved has none.
    """

    path: str
    lines: tuple[tuple[int, str], ...]


def is_patch(text: str) -> bool:
    """Whether *text* begins as a patch does."""
    return text.lstrip().startswith("*** Begin Patch")


def added(patch: str, before: Callable[[str], list[str]]) -> Iterator[Added]:
    """What *patch* adds, file by file; *before* tells the lines that a file has now."""
    kind = source = path = ""
    body: list[str] = []
    for line in [*patch.split("\n"), "*** Delete File: "]:
        header = _HEADER.fullmatch(line.rstrip("\r"))
        if not header:
            body.append(line)
        elif header[1] == "Move to":
            path = header[2]
        else:
            whole = kind == "Add File"
            lines = tuple(_lines(body, [] if whole else before(source), whole=whole))
            if kind != "Delete File" and (lines or whole or path != source):
                yield Added(path, lines)
            kind, source, path, body = header[1], header[2], header[2], []


def _lines(body: list[str], old: list[str], *, whole: bool) -> Iterator[tuple[int, str]]:
    """The lines of *body* that are new, with their numbers; *whole*: the file has no others."""
    known = {line.strip() for line in old}
    number, found = 0, whole
    for line in body:
        sign, text = line[:1], line[1:]
        if line.startswith("@@") and not whole:
            found = False
        elif sign in {" ", "-"} and not whole:
            if not found and text in old:
                number, found = old.index(text), True
            number += sign == " "
        elif not _MARKERS.fullmatch(line):
            number += 1
            text = text if sign == "+" else line
            if text.strip() and text.strip() not in known:
                yield number, text
