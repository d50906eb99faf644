"""Editing TOML in place with tomlkit, which keeps comments, order and layout. Its work is checked:
an edit that says anything else than it should leaves the file alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, MutableMapping, MutableSequence, Sequence
from copy import deepcopy
from itertools import takewhile
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from orgguard_mcp.setup.texts import Text, UnusableFileError

_NOT_EDITED = "it cannot be edited without changing what is around; add the entry by hand"


class TomlDocument:
    """One TOML document. `value` is what it holds.

    Raises `UnusableFileError` with the line when the text is no TOML, or is of a shape that tomlkit
    does not keep.
    """

    def __init__(self, text: Text) -> None:
        self._newline = text.newline
        self.text = text.text
        self.value = _parsed(self.text)
        self._edited(lambda _: None)

    def set(self, keys: Sequence[str], value: Any) -> None:  # noqa: ANN401
        """Give the entry at *keys* that value; the tables above it are made."""
        self._edit(lambda document: _set(document, keys, value))

    def append(self, keys: Sequence[str], value: Any) -> None:  # noqa: ANN401
        """Add *value* at the end of the array at *keys*, which is made."""

        def change(document: Any) -> None:  # noqa: ANN401
            held = _reach(document, keys)
            if isinstance(held, MutableSequence):
                held.append(value)
            else:
                _set(document, keys, [value])

        self._edit(change)

    def delete(self, keys: Sequence[str | int]) -> None:
        """Remove what is at *keys*."""

        def change(document: Any) -> None:  # noqa: ANN401
            del _reach(document, keys[:-1])[keys[-1]]

        self._edit(change)

    def _edit(self, change: Callable[[Any], None]) -> None:
        expected = deepcopy(self.value)
        change(expected)
        text = self._laid_out(self._edited(change))
        try:
            held = _parsed(text)
        except UnusableFileError as error:
            raise UnusableFileError(_NOT_EDITED) from error
        if _filled(held) != _filled(expected):
            raise UnusableFileError(_NOT_EDITED)
        self.text, self.value = text, held

    def _edited(self, change: Callable[[Any], None]) -> str:
        try:
            document = tomlkit.parse(self.text)
            if tomlkit.dumps(document) != self.text:
                raise UnusableFileError(_NOT_EDITED)
            change(document)
            return tomlkit.dumps(document)
        except (TOMLKitError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise UnusableFileError(_NOT_EDITED) from error

    def _laid_out(self, new: str) -> str:
        """*new* with what was added in the file's own line breaks, a blank line around it."""
        kept = _alike(self.text, new)
        kept = new.rfind("\n", 0, kept) + 1
        tail = _alike(self.text[kept:][::-1], new[kept:][::-1])
        added = new[kept : len(new) - tail].replace("\r\n", "\n")
        before, after = new[:kept], new[len(new) - tail :]
        if added.lstrip().startswith("["):
            gap = "\n" if before.strip() and not added.startswith("\n") else ""
            added = (gap if not before.endswith(("\n\n", "\r\n\r\n")) else "") + added
            if after.startswith("[") and added.endswith("\n") and not added.endswith("\n\n"):
                added += "\n"
        return before + added.replace("\n", self._newline) + after


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = str(error).rpartition("at line ")[2].partition(",")[0]
        why = str(error).partition(" (")[0]
        at = int(line) if line.isdecimal() else text.count("\n") + 1
        raise UnusableFileError(f"not valid TOML: {why}", at) from error
    except RecursionError as error:
        raise UnusableFileError("not valid TOML: too deeply nested") from error


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)


def _filled(value: Any) -> Any:  # noqa: ANN401
    """*value* without empty tables: tomlkit drops those that only their children stood for."""
    if not isinstance(value, dict):
        return value
    inner = {key: _filled(one) for key, one in value.items()}
    return {key: one for key, one in inner.items() if one != {}}


def _set(document: Any, keys: Sequence[str], value: Any) -> None:  # noqa: ANN401
    for depth, key in enumerate(keys[:-1]):
        if key not in document:
            for inner in reversed(keys[depth + 1 :]):
                value = {inner: value}
            document[key] = value
            return
        document = document[key]
    document[keys[-1]] = value


def _reach(document: Any, keys: Sequence[str | int]) -> Any:  # noqa: ANN401
    for key in keys:
        if isinstance(document, MutableMapping) and key not in document:
            return None
        document = document[key]
    return document
