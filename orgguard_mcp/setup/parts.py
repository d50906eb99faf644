"""What init puts into one file: entries of a settings file, a block of Markdown, a whole file.

A part knows how to come into a file and how to leave it. What is there already under its name and
differs is left alone, and told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from orgguard_mcp.setup.jsonc import JsonDocument
from orgguard_mcp.setup.texts import Text, UnusableFileError, decoded
from orgguard_mcp.setup.toml import TomlDocument

MARK = "orgguard hook "
"""What every hook's command has, and no other's."""

BEGIN, END = "<!-- orgguard:begin -->", "<!-- orgguard:end -->"


class Merged(NamedTuple):
    """A file with a part in it, and what of the part was not put in, since another was there."""

    data: bytes
    kept: tuple[str, ...] = ()


class Part(Protocol):
    """One file's share of the installation."""

    def merge(self, data: bytes | None, *, force: bool) -> Merged:
        """The file with this part; *force* replaces what differs.

        Raises `UnusableFileError` when the file cannot be read as what it should be.
        """

    def strip(self, data: bytes, *, made: bool) -> bytes | None:
        """The file without this part as init writes it: None when it was *made* by init and holds
        nothing else. Raises as `merge` does.
        """


@dataclass(frozen=True, slots=True)
class Member:
    """A named entry. One that is *shared* says nothing of OrgGuard: any value of it is right, and
    it stays when OrgGuard leaves.
    """

    keys: tuple[str, ...]
    value: Any
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """An element of a list, known as ours by `MARK`."""

    keys: tuple[str, ...]
    value: Any


Entry = Member | Item


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of a file in *format*: "json", "jsonc" (with comments), or "toml"."""

    format: str
    entries: tuple[Entry, ...]

    def merge(self, data: bytes | None, *, force: bool) -> Merged:
        """See `Part`: each entry that is not there goes behind its neighbours."""
        text, document = self._open(data or b"")
        kept = tuple(".".join(e.keys) for e in self.entries if not _put(document, e, force=force))
        return Merged(text.encoded(document.text), kept)

    def strip(self, data: bytes, *, made: bool) -> bytes | None:
        """See `Part`: entries that somebody changed stay."""
        text, document = self._open(data)
        for entry in self.entries:
            if not isinstance(entry, Member) or not entry.shared:
                _take_out(document, entry)
        shared = {e.keys[0] for e in self.entries if isinstance(e, Member) and e.shared}
        if made and document.value.keys() <= shared:
            return None
        return text.encoded(document.text)

    def _open(self, data: bytes) -> tuple[Text, JsonDocument | TomlDocument]:
        text = decoded(data, strict=True)
        if self.format == "toml":
            return text, TomlDocument(text)
        return text, JsonDocument(text, comments=self.format == "jsonc")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of a Markdown file between two markers; what is between them is OrgGuard's alone."""

    body: str

    def merge(self, data: bytes | None, *, force: bool) -> Merged:
        """See `Part`: a block that is there is brought up to date where it stands."""
        text = decoded(data or b"", strict=False)
        block = f"{BEGIN}\n{self.body.strip()}\n{END}"
        if found := _marked(text.text):
            start, end = found
            block = block.replace("\n", Text(text.text[start:end]).newline)
            return Merged(text.encoded(text.text[:start] + block + text.text[end:]))
        block = block.replace("\n", text.newline)
        gap = "" if not text.text else text.newline
        if text.text and not text.text.endswith("\n"):
            gap += text.newline
        return Merged(text.encoded(text.text + gap + block + text.newline))

    def strip(self, data: bytes, *, made: bool) -> bytes | None:
        """See `Part`: the blank line before the block goes, too."""
        text = decoded(data, strict=False)
        if found := _marked(text.text):
            start, end = found
            before, after = text.text[:start], text.text[end:].removeprefix("\r").removeprefix("\n")
            if before.endswith(("\n\n", "\n\r\n")):
                before = before[:-1].removesuffix("\r")
            data = text.encoded(before + after)
        return None if made and not data.strip() else data


@dataclass(frozen=True, slots=True)
class Whole:
    """A file of OrgGuard's own. A *starter* is the user's from then on: one that is there, whatever
    it says, is right.
    """

    data: bytes
    starter: bool = False

    def merge(self, data: bytes | None, *, force: bool) -> Merged:
        """See `Part`."""
        if data is None or (force and not self.starter):
            return Merged(self.data)
        differs = data != self.data and not self.starter
        return Merged(data, ("the file",) if differs else ())

    def strip(self, data: bytes, *, made: bool) -> bytes | None:
        """See `Part`."""
        return None if made and data == self.data else data


def _put(document: JsonDocument | TomlDocument, entry: Entry, *, force: bool) -> bool:
    """Put *entry* into *document*: False when another one is there, and stays."""
    held = _held(document.value, entry.keys)
    if isinstance(entry, Member):
        differs = held is not None and not entry.shared and not _same(held, entry.value)
        if held is None or (differs and force):
            document.set(entry.keys, entry.value)
        return force or not differs
    if held is not None and not isinstance(held, list):
        raise UnusableFileError(f"{'.'.join(entry.keys)} is no list")
    ours = _ours(held or [])
    if any(_same((held or [])[number], entry.value) for number in ours) and len(ours) == 1:
        return True
    if ours and not force:
        return False
    for number in reversed(ours):
        document.delete((*entry.keys, number))
    document.append(entry.keys, entry.value)
    return True


def _take_out(document: JsonDocument | TomlDocument, entry: Entry) -> None:
    """Remove *entry* where it is as init wrote it, and the containers that it leaves empty."""
    held = _held(document.value, entry.keys)
    if isinstance(entry, Member):
        if held is None or not _same(held, entry.value):
            return
        document.delete(entry.keys)
    else:
        same = [n for n, one in enumerate(held or []) if _same(one, entry.value)]
        for number in reversed(same):
            document.delete((*entry.keys, number))
        if not same:
            return
    for size in range(len(entry.keys), 0, -1):
        if _held(document.value, entry.keys[:size]) in ({}, []):
            document.delete(entry.keys[:size])


def _held(value: Any, keys: Sequence[str]) -> Any:  # noqa: ANN401
    """What is at *keys*; None when nothing is. Anything but a table on the way is an error."""
    for depth, key in enumerate(keys):
        if not isinstance(value, dict):
            raise UnusableFileError(f"{'.'.join(keys[:depth])} is no table of entries")
        if key not in value:
            return None
        value = value[key]
    return value


def _ours(items: list[Any]) -> list[int]:
    return [number for number, one in enumerate(items) if MARK in json.dumps(one, default=str)]


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401
    """Whether both say the same; Python would take `true` for 1."""
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(other, sort_keys=True)


_MARKER = re.compile(rf"^(?:({re.escape(BEGIN)})|({re.escape(END)}))[ \t]*\r?$", re.MULTILINE)


def _marked(text: str) -> tuple[int, int] | None:
    """Where the block is, markers included; None when there is none.

    Raises `UnusableFileError` when the markers are not one pair.
    """
    marks = list(_MARKER.finditer(text))
    if not marks:
        return None
    if len(marks) != 2 or not marks[0][1] or not marks[1][2]:
        line = text.count("\n", 0, marks[0].start()) + 1
        raise UnusableFileError("the markers of OrgGuard's block are not one pair", line)
    return marks[0].start(1), marks[1].end(2)
