"""Showing text that somebody else wrote: nothing of it reaches a terminal raw.

Whatever could move the cursor, reorder, hide or pile up characters is shown as its escape; long
text is cut with a count; a name that mixes scripts is shown with its code points.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime

MAX_SHOWN = 160
"""Characters of foreign text shown at most in one place."""

_HIDING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS = frozenset({"Mn", "Me", "Mc"})
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
_MAX_MARKS = 2  # on one letter; more of them paint over the lines around
_ONE_SCRIPT = dict.fromkeys(
    ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "IDEOGRAPHIC", "BOPOMOFO"), "CJK"
)
_NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, limit: int = MAX_SHOWN) -> str:
    """*text* on one line, harmless: control, bidi, zero-width and unassigned characters escaped,
    cut after *limit* characters with the count of what is missing.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown, taken, marks = "", 0, 0
    for char in text[:limit]:
        category = unicodedata.category(char)
        marks = marks + 1 if category in _MARKS else 0
        hidden = category in _HIDING or marks > _MAX_MARKS or (category == "Zs" and char != " ")
        piece = _escape(char) if hidden or _is_filler(char) else char
        if len(shown) + len(piece) > limit:
            break
        shown += piece
        taken += 1
    missing = len(text) - taken
    return shown + (f" … (+{missing} characters)" if missing else "")


def _escape(char: str) -> str:
    code = ord(char)
    if char in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[char]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_filler(char: str) -> bool:
    """Letters without ink, and variation selectors, which are marks of category Mn."""
    selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return selector or char in _FILLERS


def code_points(name: str) -> str:
    """What a reader must know of *name*'s letters, or nothing: its characters outside ASCII by
    code point, when it mixes scripts or is in another script than it may seem.
    """
    scripts = {_script(char) for char in name if char.isalpha()}
    if len(scripts) < 2 and scripts <= {"LATIN", "CJK"}:
        return ""
    foreign = dict.fromkeys(char for char in name if not char.isascii())
    listed = [f"{visible(c)} U+{ord(c):04X} {unicodedata.name(c, '?').title()}" for c in foreign]
    heading = "mixed scripts" if len(scripts) > 1 else "not Latin script"
    return f"{heading}: " + ", ".join(listed[:12]) + (" …" if len(listed) > 12 else "")


def _script(char: str) -> str:
    first = unicodedata.name(char, "UNKNOWN").split()[0]
    first = "LATIN" if first == "FULLWIDTH" else first
    return _ONE_SCRIPT.get(first, first)


def plural(count: int, one: str, many: str = "") -> str:
    """``1 file``, ``1,284 files``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def ago(then: float, now: float) -> str:
    """The time since *then* in words."""
    seconds = max(0, int(now - then))
    for unit, length in (("day", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{plural(count, unit)} ago" if unit == "day" else f"{count} {unit} ago"
    return f"{seconds} s ago"


def clock(moment: float, now: float) -> str:
    """*moment* as a local time; with the date when it is not today."""
    local = datetime.fromtimestamp(moment).astimezone()
    today = datetime.fromtimestamp(now).astimezone().date()
    return local.strftime("%H:%M" if local.date() == today else "%Y-%m-%d %H:%M")
