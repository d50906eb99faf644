"""What a word is known to be, besides an organisation: English, a software term, a first name, …

The knowledge is one file, ``data/knowledge.txt``, which `bench/build_knowledge.py` makes from
published word lists; it holds no list of organisations. It is never loaded: a look-up maps it into
memory and searches it there, since this runs before every write of an agent.

The file is UTF-8, its lines end in a line feed:

- first its version, a space and its own size in bytes, ten digits wide;
- then a line a word, sorted by bytes. A word is digits, lower-case letters and what is outside
  ASCII. Three signs follow, each a number from ``A`` (0) to the grave accent (31): the low five
  bits of its kinds, the high five bits, and its frequency, in quarters of a step of the Zipf scale.

So ``buildDAT`` says that *build* is a WORD (1) and TECH (2), of Zipf value 19/4. No such sign is
part of a word, so the first one ends it; in the order of bytes they stand after the digits and
before the letters, and ``@`` just before them.
"""

from __future__ import annotations

import mmap
import re
from bisect import bisect_left
from collections.abc import Mapping
from enum import IntFlag
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Final

from orgguard_mcp.errors import OrgGuardError


class Kind(IntFlag):
    """What a word is known to be: several things, or nothing."""

    WORD = 1
    """An ordinary English word, which a dictionary has in lower case, or an inflection of one."""
    TECH = 2
    """Software: a keyword, a command, a format, a protocol, an abbreviation common in code."""
    GIVEN = 4
    """A person's given name."""
    FAMILY = 8
    """A person's family name; of a given one, too, where the source does not tell them apart."""
    PLACE = 16
    """A country, region, city, nationality, language or time zone."""
    FOREIGN = 32
    """An ordinary word of another language; lorem ipsum."""
    LICENCE = 64
    """A licence, by its SPDX identifier."""
    STANDARD = 128
    """A standard, a body that sets them, a currency, a unit."""
    PROPER = 256
    """The English dictionary has it with a capital: ``Monday``, ``Einstein``, but firms, too."""
    STEM = 512
    """The dictionary of American English lists it in lower case: no inflection, no proper noun."""


FILE: Final = Path(__file__).parent / "data" / "knowledge.txt"
"""The knowledge that this package ships."""

LONGEST: Final = 80
"""Bytes that a word may have."""

_VERSION: Final = b"orgguard-knowledge-1"
_HEADER: Final = len(_VERSION) + 12  # a space, ten digits, a line feed
_LINE: Final = LONGEST + 4  # bytes
_PAGE: Final = 256  # bytes: so few are searched through sooner than halved further
_MANY: Final = 500  # searches: whoever makes more gains by reading where every page begins
_BITS: Final = 5
_ZERO: Final = ord("A")
_TOP: Final = _ZERO + (1 << _BITS)
_NOTHING: Final = b"AAA"
_WORD_LINE: Final = re.compile(rb"\n([a-z]+)[BDFHJLNPRTVXZ\\^`][A-`]([B-`])(?=\n)")  # WORD is bit 1


def kinds(word: str) -> Kind:
    """What *word*, folded as `names.fold` does and in lower case, is known to be."""
    return Kind(bits(word))


def bits(word: str) -> int:
    """The same as a number: for those who ask about every word of a text."""
    return _look_up(word)[0]


def frequency(word: str) -> int:
    """How common *word* is in English: ten times its Zipf value, in steps of 2.5; 0 for unknown.

    30 is once in a million words, 50 once in ten thousand; ``the`` has 77. Words that are known
    only as something else than English have one where the list of frequencies has them.
    """
    return _look_up(word)[1]


@cache
def spoken(least: int) -> frozenset[str]:
    """Each WORD in ASCII of at least this `frequency`; slow, as some thousand look-ups are."""
    words = map(re.Match.groups, re.finditer(_WORD_LINE, _shipped().data))
    return frozenset(
        word.decode() for word, level in words if (level[0] - _ZERO) * 10 // 4 >= least
    )


def expect_many() -> None:
    """Get ready for many look-ups, at a time of one's own choice."""
    _shipped().expect_many()


@lru_cache(maxsize=1 << 16)
def _look_up(word: str) -> tuple[int, int]:
    return _meaning(_shipped().find(word))


@cache
def _meaning(value: bytes) -> tuple[int, int]:
    low, high, level = (sign - _ZERO for sign in value)
    return low | high << _BITS, level * 10 // 4


@cache
def _shipped() -> Lines:
    return opened(FILE)


# --- the file ------------------------------------------------------------------------------


def opened(path: Path) -> Lines:
    """The knowledge at *path*, mapped. Raises `OrgGuardError` unless it is whole."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise _unusable(f"{path.name} cannot be read: {type(error).__name__}") from error
    if data[:_HEADER] != _header(len(data)) or data[-1:] != b"\n":
        raise _unusable(f"{path.name} is damaged, or of another version")
    return Lines(data)


class Lines:
    """The lines of a knowledge that is mapped, searched by pages of it."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self._pages = range((len(data) - 1) // _PAGE + 1)
        self._first = cache(self._first_line)
        self._searches = 0

    def find(self, word: str) -> bytes:
        """The three signs that stand for *word*; those of nothing when it has no line.

        Raises `OrgGuardError` when the lines are not as they should be.
        """
        key = word.encode("utf-8", "replace")
        start = self._page(key) * _PAGE
        lines = self.data[start : start + _PAGE + _LINE]
        at = lines.find(b"\n" + key)
        while at >= 0:
            value = lines[at + 1 + len(key) : at + 5 + len(key)]
            if value[3:] == b"\n" and _ZERO <= value[0] < _TOP:
                return value[:3]
            at = lines.find(b"\n" + key, at + 1)  # "cat5" stands before "cat"
        return _NOTHING

    def expect_many(self) -> None:
        """Read where every page begins."""
        self._searches = max(self._searches, _MANY)
        _ = self._first_lines

    def _page(self, key: bytes) -> int:
        """The page in which the line of *key* begins, if it has one; its sign stands before "a"."""
        self._searches += 1
        if self._searches < _MANY:
            found = bisect_left(self._pages, key + b"a", key=self._first)
        else:
            found = bisect_left(self._first_lines, key + b"a")
        return max(found - 1, 0)

    @cached_property
    def _first_lines(self) -> list[bytes]:
        return list(map(self._first_line, self._pages))

    def _first_line(self, page: int) -> bytes:
        """The first line that follows a line feed of *page*; what is after all lines if none."""
        start = page * _PAGE
        at = self.data.find(b"\n", start, start + _LINE)
        if at < 0:
            raise _unusable("its lines are not as they should be")
        return self.data[at + 1 : at + 1 + _LINE] or b"\xff"


def render(words: Mapping[str, tuple[Kind, int]]) -> bytes:
    """The file of *words*, each with its kinds and its frequency in quarters."""
    lines = []
    for word, (kind, level) in words.items():
        numbers = (kind % (1 << _BITS), kind >> _BITS, level)
        lines.append(word.encode() + bytes(_ZERO + number for number in numbers) + b"\n")
    body = b"".join(sorted(lines))
    return _header(_HEADER + len(body)) + body


def _header(size: int) -> bytes:
    return b"%s %010d\n" % (_VERSION, size)


def _unusable(cause: str) -> OrgGuardError:
    return OrgGuardError(
        "names were not looked for: the knowledge of words cannot be used",
        cause=cause,
        hint="reinstall orgguard-mcp",
    )
