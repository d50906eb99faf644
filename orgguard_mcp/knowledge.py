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
from collections.abc import Mapping
from enum import IntFlag
from functools import cache, lru_cache
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


FILE: Final = Path(__file__).parent / "data" / "knowledge.txt"
"""The knowledge that this package ships."""

LONGEST: Final = 80
"""Bytes that a word may have."""

_VERSION: Final = b"orgguard-knowledge-1"
_HEADER: Final = len(_VERSION) + 12  # a space, ten digits, a line feed
_NEAR: Final = 1024  # bytes: so few are searched through sooner than halved further
_BITS: Final = 5
_ZERO: Final = ord("A")
_TOP: Final = _ZERO + (1 << _BITS)
_NOTHING: Final = b"AAA"


def kinds(word: str) -> Kind:
    """What *word*, folded as `names.fold` does and in lower case, is known to be."""
    return _look_up(word)[0]


def frequency(word: str) -> int:
    """How common *word* is in English: ten times its Zipf value, in steps of 2.5; 0 for unknown.

    30 is once in a million words, 50 once in ten thousand; ``the`` has 77. Words that are known
    only as something else than English have one where the list of frequencies has them.
    """
    return _look_up(word)[1]


@lru_cache(maxsize=1 << 14)
def _look_up(word: str) -> tuple[Kind, int]:
    return _meaning(find(_shipped(), word))


@cache
def _meaning(value: bytes) -> tuple[Kind, int]:
    low, high, level = (sign - _ZERO for sign in value)
    return Kind(low | high << _BITS), level * 10 // 4


@cache
def _shipped() -> mmap.mmap:
    return opened(FILE)


# --- the file ------------------------------------------------------------------------------


def opened(path: Path) -> mmap.mmap:
    """The knowledge at *path*, mapped. Raises `OrgGuardError` unless it is whole."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise _unusable(f"{path.name} cannot be read: {type(error).__name__}") from error
    if data[:_HEADER] != _header(len(data)) or data[-1:] != b"\n":
        raise _unusable(f"{path.name} is damaged, or of another version")
    return data


def find(data: mmap.mmap, word: str) -> bytes:
    """The three signs that *data* has for *word*; those of nothing when it has no such line."""
    key = word.encode("utf-8", "replace")
    wanted = key + b"@"
    low, high = _HEADER, len(data)  # each begins a line; the word's line is not outside of them
    while high - low > _NEAR:
        middle = data.rfind(b"\n", low, (low + high) // 2) + 1
        if not middle:
            raise _unusable("its lines are not as they should be")
        if data[middle : middle + len(wanted)] < wanted:
            low = middle
        else:
            high = middle
    lines = data[low - 1 : high + LONGEST + 4]
    at = lines.find(b"\n" + key)
    while at >= 0:
        value = lines[at + 1 + len(key) : at + 5 + len(key)]
        if value[3:] == b"\n" and _ZERO <= value[0] < _TOP:
            return value[:3]
        at = lines.find(b"\n" + key, at + 1)  # "cat5" stands before "cat"
    return _NOTHING


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
