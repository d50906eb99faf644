r"""Literals that are split over adjacent strings or lines: ``"Zor" + "blatt"``.

Where one string ends and the next begins with nothing but an operator between them, both are read
as one. So are the arguments of ``join`` and ``concat``, text put into a template, and what a
backslash at the end of a line continues. Reading is by pattern, not by any language's grammar: a
joint that is none gives words that are in no finding, for they are scanned like all other text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from orgguard_mcp.detect.stretch import Decoded, one_line

MAX_JOINED = 1 << 16
"""How long the lines of one literal are together, in characters; a longer one is read in parts."""

_SHORT = 200  # characters of a text of which it is remembered what it says, for lines repeat
_NEAR = 200  # between a call that joins and its arguments, in characters
_REACH = 1 << 13  # how far one string reaches from a joint; its other quote is looked for in it

_PREFIX = "[A-Za-z$@]{0,2}"  # f"", rb"", L"", $"", @""
_OPERATOR = r"(?:\+|\.{1,3}|&|\|\||<>|~|,)"
_MARGIN = r"[ \t]{0,200}(?:(?:\#|//|\*|--)[ \t]{0,40})?"
_SPACE = rf"[ \t]{{0,40}}(?:\\?\n{_MARGIN})?"
_JOINT = re.compile(
    rf"""
      (?P<close>["'`]){_SPACE}(?P<by>{_OPERATOR}?){_SPACE}(?:(?<!["'`]){_PREFIX})?(?P<open>["'`])
    | (?:[$\#]\{{|(?<=["'`}}\w])\{{)[ ]?["']  | ["'][ ]?\}}(?=[\w{{$])  # put into a template
    | \\\n                                                           # continued
    """,
    re.VERBOSE,
)
_COMMAS_JOIN = re.compile(
    r"""(?i)(?:""|''|``)\.join\b|\bjoin\(\s?(?:""|''|``)\s?\)|\bconcat\w{0,8}\s?\(|\bpaste0\b"""
    r"|%s%s|\{\}\{\}"
)
_QUOTED = re.compile("[\"'`]")


def joined(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str, Decoded]]:
    """Every joined literal of *lines* with the number of the line that it begins in, and as it is
    written there.
    """
    for block in _blocks(lines):
        for found in _joined_in(block.text):
            number, moved = block.place(found)
            yield number, block.text[found.start : found.end], moved


class _Block(NamedTuple):
    """Lines that may hold one literal, the first of them with its number."""

    numbers: list[int]
    starts: list[int]
    text: str

    def place(self, found: Decoded) -> tuple[int, Decoded]:
        """*found* as of the line that it begins in."""
        index = bisect_right(self.starts, found.start) - 1
        first = self.starts[index]
        last = self.starts[index + 1] - 1 if index + 1 < len(self.starts) else len(self.text)
        moved = found._replace(start=found.start - first, end=min(found.end, last) - first)
        return self.numbers[index], moved


# --- lines -----------------------------------------------------------------------------------

_ENDS_OPEN = re.compile(rf"(?:[\"'`]\s{{0,40}}{_OPERATOR}?\s{{0,40}}|\\)\\?$")
_GOES_ON = re.compile(rf"{_MARGIN}{_OPERATOR}?\s{{0,40}}{_PREFIX}[\"'`]")


def _blocks(lines: Sequence[tuple[int, str]]) -> Iterator[_Block]:
    """Runs of lines, each of which goes on where the one before it ended; most are one line."""
    numbers: list[int] = []
    texts: list[str] = []
    size = 0
    for number, text in lines:
        if texts:
            if number == numbers[-1] + 1 and size <= MAX_JOINED and _continues(texts[-1], text):
                numbers.append(number)
                texts.append(text)
                size += len(text)
                continue
            if len(texts) > 1 or _QUOTED.search(texts[0]):
                yield _block(numbers, texts)
        numbers, texts, size = [number], [text], len(text)
    if texts:
        yield _block(numbers, texts)


def _continues(before: str, text: str) -> bool:
    tail = before[-120:].rstrip()
    if tail[-1:] not in _OPENERS:
        return False
    if bool(_COMMENT.match(before)) != bool(_COMMENT.match(text)):
        return False
    if tail.endswith("\\") and _ends_in_literal(before, text):
        return True
    return bool(_ENDS_OPEN.search(tail)) and bool(_GOES_ON.match(text[:300]))


_COMMENT = re.compile(r"\s{0,200}(?:#|//|\*|--|/\*)")
_OPENERS = frozenset("\"'`+.&|~>,\\")


def _ends_in_literal(before: str, text: str) -> bool:
    """Whether a backslash at the end of *before* splits a word that goes on in *text*."""
    inside = before.count('"') % 2 or before.count("'") % 2 or before.count("`") % 2
    return bool(inside) or not text[:1].isspace()


def _block(numbers: list[int], texts: list[str]) -> _Block:
    starts = [0, *accumulate(len(text) + 1 for text in texts[:-1])]
    return _Block(numbers, starts, "\n".join(texts))


# --- joints ----------------------------------------------------------------------------------


def _joined_in(text: str) -> Iterable[Decoded]:
    return _remembered(text) if len(text) <= _SHORT else _joined(text)


@lru_cache(maxsize=1 << 13)
def _remembered(text: str) -> tuple[Decoded, ...]:
    return tuple(_joined(text))


def _joined(text: str) -> Iterator[Decoded]:
    """The joined literals of *text*, and what they say in turn if they are encoded."""
    calls: list[int] | None = None
    pieces: list[str] = []
    start = end = after = 0
    for joint in _JOINT.finditer(text):
        if joint["by"] == ",":
            if calls is None:
                calls = [call.start() for call in _COMMAS_JOIN.finditer(text)]
            if not _is_near(calls, joint):
                continue
        elif not _is_joint(text, joint):
            continue
        if pieces and joint.start() <= after:
            pieces.append(text[end : joint.start()])
        else:
            yield from _literal(text, pieces, start, end, after)
            start = _begin(text, joint, after)
            pieces = [text[start : joint.start()]]
        end = joint.end()
        after = _finish(text, joint)
    yield from _literal(text, pieces, start, end, after)


def _is_near(calls: list[int], comma: re.Match[str]) -> bool:
    """Whether *comma* is near one of the *calls* that join what commas part."""
    first = bisect_left(calls, comma.start() - _NEAR)
    return first < len(calls) and calls[first] <= comma.end() + _NEAR


def _is_joint(text: str, joint: re.Match[str]) -> bool:
    """Whether *joint* joins. Without a space in it, only letters beside its quotes tell that they
    do not hold a string: ``'Zor'.'blatt'``, but not ``"."``.
    """
    start, end = joint.span()
    if not joint["close"] or any(map(str.isspace, joint[0])):
        return True
    before, after = text[max(0, start - 2) : start].isalnum(), text[end : end + 1].isalnum()
    if joint["close"] == joint["open"] != "`":
        return before or after
    return before and after


def _begin(text: str, joint: re.Match[str], floor: int) -> int:
    """Where the literal begins that *joint* goes on with: behind the quote that opened it."""
    floor = min(max(floor, joint.start() - _REACH), joint.start())
    quotes = joint["close"] or "\"'`"
    return max(floor, *(text.rfind(quote, floor, joint.start()) + 1 for quote in quotes))


def _finish(text: str, joint: re.Match[str]) -> int:
    """Where the literal behind *joint* ends: at its own quote, else with the text."""
    end = min(len(text), joint.end() + _REACH)
    quotes = joint["open"] or "\"'`"
    ends = [at for quote in quotes if (at := text.find(quote, joint.end(), end)) >= 0]
    return min(ends, default=end)


def _literal(text: str, pieces: list[str], start: int, end: int, after: int) -> Iterator[Decoded]:
    if pieces:
        said = "".join([*pieces, text[end:after]])
        yield Decoded(one_line(said), start, after, "split literal")
