"""What a file's bytes say, as numbered lines. Pure.

A line number is the one that git and code hosts show: only a line feed ends a line. So this is no
place for `str.splitlines`, to which a form feed or U+2028 ends one, too.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from orgguard_mcp.fileclass import by_name, by_path
from orgguard_mcp.model import FileClass, Surface

MAX_LINE = 8192
"""Characters of a line that are handed on in one piece; a longer one comes in several, which
overlap by `OVERLAP`, so that no name is cut in all of them."""

OVERLAP = 256

_CHUNK = 1 << 20
_SAMPLE = 4096
_BOMS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\r\f\b\x1b"})
_HIGH = bytes(range(0x80, 0x100))
_NO_TEXT = frozenset({"Cc", "Cn", "Co", "Cs"})
_WHITE = frozenset("\t\n\r\f\x1b")


class Text(NamedTuple):
    """A file's text. `doubt` says what may be missing of it; it is empty for a sure reading."""

    text: str
    doubt: str = ""


def decode(data: bytes) -> Text | None:
    """The text in *data*, None when it is none.

    A mark or the look of UTF-16 and UTF-32 is believed; else it is UTF-8, and a byte that is not is
    read as Windows-1252: names in Latin letters are then right in every encoding that has ASCII.
    A few control characters make no binary file: one NUL must not hide a file, as it does from git.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return Text(data[len(mark) :].decode(encoding, "replace"))
    controls = len(data) - len(data.translate(None, _CONTROLS))
    binary = controls > 8 + len(data) // 32
    text = _utf8(data)
    if b"\0" in data and (binary or text is None or data.count(0) > len(data) // 4):
        if wide := _wide_encoding(data):
            return Text(data.decode(wide, "replace"))
    if binary:
        return None
    if text is not None:
        return Text(text)
    high = len(data) - len(data.translate(None, _HIGH))
    return Text(readable(data), _DOUBT if high > len(data) // 4 else "")


_DOUBT = "neither UTF-8 nor UTF-16: only names in Latin letters were scanned"


def readable(data: bytes) -> str:
    """*data* as UTF-8, and each byte that is not as Windows-1252."""
    return data.decode("utf-8", _FALLBACK)


def _utf8(data: bytes) -> str | None:
    with suppress(UnicodeDecodeError):
        return data.decode()
    return None


def _wide_encoding(data: bytes) -> str | None:
    """The encoding of two or four bytes a character in which all of *data*'s beginning is text; of
    several the one with the most ASCII, since the wrong byte order makes ideographs of that.
    """
    found = {}
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        with suppress(UnicodeDecodeError):
            sample = codecs.getincrementaldecoder(encoding)().decode(data[:_SAMPLE])
            if all(c in _WHITE or unicodedata.category(c) not in _NO_TEXT for c in sample):
                plain = len(sample.encode("ascii", "ignore"))
                if plain * 64 >= len(sample):  # in any script there are spaces or line ends
                    found[encoding] = plain
    return max(found, key=found.__getitem__, default=None)


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start : error.start + 1]
    return byte.decode("cp1252", "ignore") or byte.decode("latin-1"), error.start + 1


_FALLBACK = "orgguard-windows-1252"
codecs.register_error(_FALLBACK, _windows_1252)


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """*text*'s lines that are not blank, from 1. One with carriage returns inside comes as several
    of the same number.
    """
    number, start = 1, 0
    while start < len(text):
        end = text.find("\n", start + _CHUNK) + 1 or len(text)  # never all lines at once
        chunk = text[start:end]
        lines = chunk.split("\n")
        for offset, line in enumerate(lines):
            for part in line.split("\r") if "\r" in line else (line,):
                if part and not part.isspace():
                    yield number + offset, part
        number += len(lines) - 1
        start = end


def pieces(line: str) -> Iterator[str]:
    """*line* in overlapping pieces of at most `MAX_LINE` characters, cut between words if
    possible.
    """
    start = 0
    while len(line) - start > MAX_LINE:
        end = _word_start(line, start + MAX_LINE)
        yield line[start:end]
        start = _word_start(line, end - OVERLAP)
    yield line[start:] if start else line


def _word_start(line: str, place: int) -> int:
    """The nearest end of a gap between words at or before *place*; *place* itself when far."""
    for found in range(place, place - OVERLAP, -1):
        if not line[found - 1].isalnum():
            return found
    return place


def surface_of(path: str) -> Surface:
    """Where the lines of the file *path* land: docs, data or code, by its own name alone."""
    name = path.rpartition("/")[2]
    found = by_path(name)
    if found in {FileClass.LOCKFILE, FileClass.GENERATED}:
        found = FileClass.CONFIG if found is FileClass.LOCKFILE else by_name(name)
    if found in {FileClass.TEST, FileClass.AGENT_RULES}:  # what matters is which kind of text it is
        found = by_name("x." + name.rpartition(".")[2])
    return _SURFACES.get(found, Surface.CODE)


_SURFACES = {FileClass.DOCS: Surface.DOCS, FileClass.CONFIG: Surface.DATA}


def file_lines(path: str, text: str) -> Iterator[tuple[Surface, int, str]]:
    """The lines of the file *path*, each with where it lands."""
    if is_notebook(path):
        yield from _notebook_lines(text)
        return
    surface = surface_of(path)
    for number, line in numbered(text):
        yield surface, number, line


# --- notebooks ------------------------------------------------------------------------------------


def is_notebook(path: str) -> bool:
    """Whether *path* is a Jupyter notebook: JSON, with text in its strings."""
    return path.casefold().endswith(".ipynb")


_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)')  # unended ones, too: else quadratic
_ALONE = re.compile(rf"\s*({_STRING.pattern})\s*,?\s*")
_CELL_TYPE = re.compile(r'"cell_type"\s*:\s*"(\w+)"')
_KEY = re.compile(r'^\s*"(source|outputs|metadata|attachments)"\s*:')


def _notebook_lines(text: str) -> Iterator[tuple[Surface, int, str]]:
    """A notebook's JSON lines. Its writers put a cell's type first and each line of its source on
    one of its own, so that a line tells where it lands; in any other layout all of it is code.
    """
    source, surface = Surface.CODE, Surface.CODE
    for number, line in numbered(text):
        if found := _CELL_TYPE.search(line):
            source = Surface.CODE if found[1] == "code" else Surface.DOCS
        if found := _KEY.search(line):
            surface = source if found[1] == "source" else Surface.DATA
        yield surface, number, line


def notebook_text(line: str) -> Iterator[str]:
    """What a reader of a notebook sees of a *line* of its JSON."""
    for part in _unescaped(line).replace("\r", "\n").split("\n"):
        if part and not part.isspace():
            yield from pieces(part)


def _unescaped(line: str) -> str:
    """A line of JSON with its strings decoded, without quotes where a string is all of it."""
    alone = _ALONE.fullmatch(line)

    def decoded(found: re.Match[str]) -> str:
        with suppress(ValueError):
            text = str(json.loads(found[0], strict=False))
            return text if alone else f'"{text}"'
        return found[0]

    return _STRING.sub(decoded, alone[1] if alone else line)
