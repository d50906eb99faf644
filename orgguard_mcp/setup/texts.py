"""A file's bytes as text and back: nothing that was not edited changes by a byte."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from orgguard_mcp.errors import OrgGuardError


class UnusableFileError(OrgGuardError):
    """A file is not what its name says, or cannot be edited safely; it was left alone. *line* is 0
    when the fault has no place.
    """

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {why}" if line else why)


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text, with what is not text of it: a byte order mark."""

    text: str
    mark: bytes = b""

    @property
    def newline(self) -> str:
        """How the file ends its lines, by its first one."""
        end = self.text.find("\n")
        return "\r\n" if end > 0 and self.text[end - 1] == "\r" else "\n"

    def encoded(self, text: str) -> bytes:
        """*text* as this file would have it."""
        return self.mark + text.encode("utf-8", "surrogateescape")


def decoded(data: bytes, *, strict: bool) -> Text:
    """The text of *data*. Unless *strict*, bytes that are no UTF-8 are carried through.

    Raises `UnusableFileError`, with the line, for a strict file that is no UTF-8.
    """
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    body = Text(data[len(mark) :].decode("utf-8", "surrogateescape"), mark)
    if strict and (at := _undecodable(body.text)) is not None:
        raise UnusableFileError("it is not UTF-8", body.text.count("\n", 0, at) + 1)
    return body


def _undecodable(text: str) -> int | None:
    found = (number for number, char in enumerate(text) if "\udc80" <= char <= "\udcff")
    return next(found, None)
