"""Places: where the candidates of a change stand, kept in columns.

A sighting made of objects takes some 400 bytes, and a large change has hundreds of thousands of
them, most of which nobody is told of. Here it is a row of 34 bytes, and its texts are written once
for many rows; the objects are made anew whenever somebody looks.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from functools import cache
from struct import Struct
from typing import Final, NamedTuple

from orgguard_mcp.detect.spans import Form, Span
from orgguard_mcp.model import Location, Surface


class Sighting(NamedTuple):
    """A span in its place: the surface, the path, the line's number and the line."""

    span: Span
    surface: Surface
    path: str
    number: int
    line: str
    cues: frozenset[str]

    @property
    def location(self) -> Location:
        """The place, for people."""
        span = self.span
        extent = span.start + 1, span.end - span.start
        return Location(self.surface, self.path, self.number, *extent, self.line)


Spot = tuple[int, int, int]
"""The line of a sighting, by a hash of 64 bits that differs from run to run, and from where to
where it stands there.
"""

Plain = tuple[bytes, bytes, bytes, list[frozenset[str]]]
"""Places in plain types, for a pipe."""

_ROW: Final = Struct("=BBqHHIIIII")
"""Surface, form, line's hash, start, end; line's number; path, line, words; cues."""

_SURFACES: Final = tuple(Surface)
_SURFACE_AT: Final = {surface: at for at, surface in enumerate(_SURFACES)}
_FORMS: Final = tuple(Form)
_FORM_AT: Final = {form: at for at, form in enumerate(_FORMS)}


class Places:
    """Rows that are added, and read by their numbers."""

    def __init__(self, plain: Plain = (b"", b"", bytes(8), [])) -> None:
        self._rows, self._texts = bytearray(plain[0]), bytearray(plain[1])
        self._ends, self._cues = array("Q", plain[2]), list(plain[3])
        self._text_at: dict[str, int] = {}
        self._said_at: dict[str, int] = {}
        self._cues_at = {cues: at for at, cues in enumerate(self._cues)}

    @property
    def plain(self) -> Plain:
        """All of it, to make the same of elsewhere."""
        return bytes(self._rows), bytes(self._texts), self._ends.tobytes(), self._cues

    def add(self, sighting: Sighting) -> int:
        """Add a row for *sighting*; return its number."""
        span, surface, path, number, line, cues = sighting
        said = self._said_at.get(span.text)
        if said is None:  # which words a text has depends on it alone
            said = self._said_at[span.text] = self._write("\0".join((*span.words, "", span.text)))
        return self._add(
            _SURFACE_AT[surface], _FORM_AT[span.form], hash((surface, path, number, line)),
            span.start, span.end, number, self._text(path), self._text(line), said, self._cue(cues),
        )  # fmt: skip

    def carrier(self, other: Places) -> Callable[[int], int]:
        """What adds the row of *other* with a number, unless it did, and returns its number here:
        of texts that *other* has once, one more is written.
        """

        @cache
        def text(number: int) -> tuple[int, int]:
            raw = other._raw(number)  # one of ours
            return self._append(raw), hash(raw)

        @cache
        def cue(number: int) -> int:
            return self._cue(other._cues[number])

        @cache
        def row(number: int) -> int:
            surface, form, _, start, end, line, *texts, cues = other._row(number)
            (path, path_hash), (full, full_hash), (said, _) = map(text, texts)
            place = hash((surface, path_hash, line, full_hash))
            return self._add(surface, form, place, start, end, line, path, full, said, cue(cues))

        return row

    def sighting(self, number: int) -> Sighting:
        """The sighting of a row."""
        surface, form, _, start, end, line, path, full, said, cues = self._row(number)
        words, _, text = self._read(said).partition("\0\0")
        span = Span(_FORMS[form], text, start, end, tuple(words.split("\0")))
        where = _SURFACES[surface], self._read(path), line, self._read(full)
        return Sighting(span, *where, self._cues[cues])

    def spot(self, number: int) -> Spot:
        """The spot of a row: one place has one, as all rows of a portion came here in one way."""
        _, _, line, start, end, *_ = self._row(number)
        return line, start, end

    def surface(self, number: int) -> Surface:
        """The surface of a row."""
        return _SURFACES[self._rows[number * _ROW.size]]

    def form(self, number: int) -> Form:
        """The form of a row's span."""
        return _FORMS[self._rows[number * _ROW.size + 1]]

    def _row(self, number: int) -> tuple[int, ...]:
        return _ROW.unpack_from(self._rows, number * _ROW.size)

    def _add(self, *row: int) -> int:
        self._rows += _ROW.pack(*row)
        return len(self._rows) // _ROW.size - 1

    def _cue(self, cues: frozenset[str]) -> int:
        at = self._cues_at.setdefault(cues, len(self._cues))
        if at == len(self._cues):
            self._cues.append(cues)
        return at

    def _text(self, text: str) -> int:
        at = self._text_at.get(text)
        if at is None:
            at = self._text_at[text] = self._write(text)
        return at

    def _write(self, text: str) -> int:
        return self._append(text.encode("utf-8", "surrogatepass"))

    def _append(self, raw: bytes) -> int:
        self._texts += raw
        self._ends.append(len(self._texts))
        return len(self._ends) - 2

    def _raw(self, number: int) -> bytes:
        return bytes(self._texts[self._ends[number] : self._ends[number + 1]])

    def _read(self, number: int) -> str:
        text = self._texts[self._ends[number] : self._ends[number + 1]]
        return text.decode("utf-8", "surrogatepass")


class Kept:
    """Some of *places*, by the *numbers* of their rows."""

    __slots__ = ("numbers", "places")

    def __init__(self, places: Places, numbers: bytes = b"") -> None:
        self.places = places
        self.numbers = array("I", numbers)

    @property
    def surfaces(self) -> Iterator[Surface]:
        """The surface of each."""
        return map(self.places.surface, self.numbers)

    @property
    def forms(self) -> Iterator[Form]:
        """The form of each."""
        return map(self.places.form, self.numbers)

    @property
    def spots(self) -> Iterator[Spot]:
        """The spot of each."""
        return map(self.places.spot, self.numbers)

    def __iter__(self) -> Iterator[Sighting]:
        return map(self.places.sighting, self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)
