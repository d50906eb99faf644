"""What a stretch of a line says once it is decoded, and whether that is news."""

from __future__ import annotations

import re
from typing import NamedTuple

from orgguard_mcp.names import fold


class Decoded(NamedTuple):
    """What the stretch of a line from `start` to `end` says; `text` has no line breaks.

    `how` names the encoding, for people; encodings around each other read inside out, as in
    ``percent encoding in base64``.
    """

    text: str
    start: int
    end: int
    how: str


LETTER = r"A-Za-z0-9\x80-\U0010ffff"
_PHRASE = re.compile(rf"[{LETTER}]+(?:[ &+'.@_/-]{{1,3}}[{LETTER}]+)*")
"""Words with what may stand between the words of a name."""

_BREAKS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " ")


def has_news(said: str, written: str) -> bool:
    """Whether *said* has words, or words side by side, that *written* has not."""
    if len(said) > _MAX_FOLDED and not said.isascii():
        return True
    plain = set(_PHRASE.findall(fold(written)))
    return any(phrase not in plain for phrase in _PHRASE.findall(fold(said)))


_MAX_FOLDED = 10_000  # `fold` remembers what it folds


def one_line(text: str) -> str:
    """*text* with a space for each control character, line breaks among them."""
    return text.translate(_BREAKS)
