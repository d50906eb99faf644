"""Editing JSON, with or without comments, in place: text goes in or out, the rest stays.

No library on PyPI does this without Node (docs/adr/0011-init.md). The standard library's parser
does the reading: comments and trailing commas are blanked out first, in equal length, so that every
position that it tells is one of the file's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from orgguard_mcp.setup.texts import Text, UnusableFileError

_COMMENT = re.compile(r'("(?:[^"\\\r\n]|\\.)*")|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'("(?:[^"\\\r\n]|\\.)*")|,(?=[ \t\r\n]*[}\]])')
_SPACE = re.compile(r"[ \t\r\n]*")
_INDENT = re.compile(r"[ \t]*")
_DECODER = json.JSONDecoder()


class _Child(NamedTuple):
    """A member or element of a container: where it starts, and where its value does and ends."""

    key: str | int
    start: int
    value: int
    end: int


class JsonDocument:
    """One JSON document. `value` is what it holds; *comments* allows them, and trailing commas.

    Raises `UnusableFileError` with the line when the text is no JSON object.
    """

    def __init__(self, text: Text, *, comments: bool) -> None:
        self._newline = text.newline
        self._comments = comments
        self._take(text.text if text.text.strip() else "{}\n")

    def _take(self, text: str) -> None:
        self.text = text
        self._plain = _blanked(_COMMENT, text) if self._comments else text
        self._clean = _blanked(_LAST_COMMA, self._plain) if self._comments else text
        try:
            self.value: dict[str, Any] = json.loads(self._clean, parse_constant=_no_json)
        except json.JSONDecodeError as error:
            line = text.count("\n", 0, error.pos) + 1
            raise UnusableFileError(f"not valid JSON: {error.msg}", line) from error
        except (ValueError, RecursionError) as error:
            raise UnusableFileError("not valid JSON") from error
        if not isinstance(self.value, dict):
            raise UnusableFileError("not a JSON object")

    def set(self, keys: Sequence[str], value: Any) -> None:  # noqa: ANN401
        """Give the member at *keys* that value; the containers above it are made."""
        start, depth = self._deepest(keys)
        if depth == len(keys):
            child = self._child(keys)
            shown = _shown(value, self._unit(), self._indent_at(child.start), self._newline)
            self._replace((child.value, child.end, shown))
            return
        for key in reversed(keys[depth + 1 :]):
            value = {key: value}
        self._insert(start, json.dumps(keys[depth], ensure_ascii=False) + ": ", value)

    def append(self, keys: Sequence[str], value: Any) -> None:  # noqa: ANN401
        """Add *value* at the end of the array at *keys*, which is made."""
        start, depth = self._deepest(keys)
        if depth == len(keys):
            self._insert(start, "", value)
        else:
            self.set(keys, [value])

    def delete(self, keys: Sequence[str | int]) -> None:
        """Remove what is at *keys*, with its line if it has one of its own."""
        start, _ = self._deepest(keys[:-1])
        children, close = self._children(start)
        number = max(n for n, child in enumerate(children) if child.key == keys[-1])
        child = children[number]
        following = children[number + 1].start if number + 1 < len(children) else close
        comma = self._plain.find(",", child.end, following)
        edits = [self._line(child.start, comma + 1 if comma >= 0 else child.end)]
        if comma < 0 and number:
            before = self._plain.find(",", children[number - 1].end, child.start)
            edits.insert(0, (before, before + 1, ""))
        self._replace(*edits)

    # --- places -------------------------------------------------------------------------------

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._clean, at)
        return found.end() if found else at

    def _children(self, start: int) -> tuple[list[_Child], int]:
        """What is right in the container that begins at *start*, and where that is closed."""
        named = self._clean[start] == "{"
        found: list[_Child] = []
        at = self._skip(start + 1)
        while self._clean[at] not in "}]":
            key: str | int = len(found)
            first = at
            if named:
                key, at = _DECODER.raw_decode(self._clean, at)
                at = self._skip(self._skip(at) + 1)
            value = at
            _, at = _DECODER.raw_decode(self._clean, at)
            found.append(_Child(key, first, value, at))
            at = self._skip(at)
            if self._clean[at] == ",":
                at = self._skip(at + 1)
        return found, at

    def _child(self, keys: Sequence[str | int]) -> _Child:
        start, _ = self._deepest(keys[:-1])
        return [child for child in self._children(start)[0] if child.key == keys[-1]][-1]

    def _deepest(self, keys: Sequence[str | int]) -> tuple[int, int]:
        """The last value along *keys* that is there: its place, and how many keys lead to it."""
        start, depth = self._skip(0), 0
        for key in keys:
            found = [child for child in self._children(start)[0] if child.key == key]
            if not found:
                break
            start, depth = found[-1].value, depth + 1
            if self._clean[start] not in "{[":
                break
        return start, depth

    # --- layout -------------------------------------------------------------------------------

    def _indent_at(self, at: int) -> str:
        """The white space that the line of *at* begins with."""
        found = _INDENT.match(self.text, self.text.rfind("\n", 0, at) + 1)
        return found.group() if found else ""

    def _unit(self) -> str:
        """One level of the document's own indentation."""
        first = self._children(self._skip(0))[0][:1]
        alone = [c for c in first if self._begins_line(c.start)]
        return (self._indent_at(alone[0].start) if alone else "") or "  "

    def _begins_line(self, at: int) -> bool:
        line = self.text.rfind("\n", 0, at)
        return line >= 0 and not self.text[line:at].strip()

    def _insert(self, start: int, label: str, value: Any) -> None:  # noqa: ANN401
        """Put *value* behind the last child of the container at *start*."""
        children, close = self._children(start)
        outer, unit = self._indent_at(start), self._unit()
        inner = outer + unit
        if children and self._begins_line(children[-1].start):
            inner = self._indent_at(children[-1].start)
        lines = self._newline + inner + label + _shown(value, unit, inner, self._newline)
        inline = label + json.dumps(value, ensure_ascii=False)
        if children:
            self._replace(*self._behind(children[-1].end, close, lines, inline))
        elif (line := self._clean.rfind("\n", start, close)) >= 0:
            self._replace((self._before_break(line), self._before_break(line), lines))
        else:
            blank = not self.text[start + 1 : close].strip()
            begin = start + 1 if blank else close
            alone = "\n" in self.text.strip() or start == self._skip(0)
            self._replace((begin, close, lines + self._newline + outer if alone else inline))

    def _behind(self, last: int, close: int, lines: str, inline: str) -> list[tuple[int, int, str]]:
        """The edits that put another child behind the one that ends at *last*."""
        comma = self._plain.find(",", last, close)
        after = comma + 1 if comma >= 0 else last
        line = self._clean.find("\n", after, close)
        if line < 0:
            text = f" {inline}," if comma >= 0 else f", {inline}"
            return [(after, after, text)]
        at = self._before_break(line)  # behind a comment on the last child's line
        edits = [] if comma >= 0 else [(last, last, ",")]
        return [*edits, (at, at, lines + ("," if comma >= 0 else ""))]

    def _before_break(self, line: int) -> int:
        return line - 1 if self.text[line - 1] == "\r" else line

    def _line(self, start: int, end: int) -> tuple[int, int, str]:
        """The removal of that stretch, and of its whole lines when nothing else is on them."""
        begin = self.text.rfind("\n", 0, start) + 1
        line = self.text.find("\n", end)
        if line >= 0 and not self.text[begin:start].strip() and not self.text[end:line].strip():
            return begin, line + 1, ""
        return start, end, ""

    def _replace(self, *edits: tuple[int, int, str]) -> None:
        text = self.text
        for start, end, new in reversed(edits):
            text = text[:start] + new + text[end:]
        self._take(text)


def _shown(value: Any, unit: str, indent: str, newline: str) -> str:  # noqa: ANN401
    lines = json.dumps(value, indent=unit, ensure_ascii=False).split("\n")
    return (newline + indent).join(lines)


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    """*text* with what *pattern* finds outside of strings as spaces."""
    return pattern.sub(lambda found: found[1] or " " * len(found[0]), text)


def _no_json(word: str) -> None:
    raise ValueError(word)
