"""Commit messages: what a commit object says, and what git will keep of a message being written.

Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from orgguard_mcp.lines import readable

_SCISSORS = re.compile(r"^.{1,8} -{24} >8 -{24}$")
_COMMENT_CHARACTERS = "#;@!$%^&|:"
"""Those that git chooses from where `core.commentChar` is ``auto``."""

_ENCODING = re.compile(rb"^encoding (\S+)$", re.MULTILINE)
_ASCII_SUPERSETS = re.compile(
    r"(iso-?8859|latin|windows-?12|cp(125\d|932|936|949|950|866)$|shift|s-?jis|euc|gb|big5|koi8)",
    re.IGNORECASE,
)
"""What a commit's `encoding` header is believed in: others could make ASCII say something else."""


class Cleanup(NamedTuple):
    """How git cleans up the message being written: which lines it drops as comments (those that
    begin with `comment`; none if empty), and whether it drops the scissors line and what follows.
    """

    comment: str = ""
    scissors: bool = False


def cleanup(*, editor: bool, mode: str, comment: str) -> Cleanup:
    """What git surely drops. *editor*: the message came from an editor that git had started; *mode*
    and *comment* are the settings `commit.cleanup` and `core.commentChar`, empty where not set.

    Of a message given by `-m` or `-F` git keeps lines that begin with ``#``.
    """
    strips = mode == "strip" or (editor and mode in {"", "default"})
    cuts = editor or mode == "scissors"
    return Cleanup((comment or "#") if strips else "", cuts)


def written(text: str, how: Cleanup) -> str:
    """The message in *text*, a file such as ``COMMIT_EDITMSG``: what git drops is blank, so that
    the lines keep their numbers.
    """
    lines = text.split("\n")
    if how.scissors:
        cut = next((n for n, line in enumerate(lines) if _SCISSORS.match(line)), len(lines))
        del lines[cut:]
    comment = how.comment
    if comment == "auto":  # git writes its own comments last
        last = next((line[0] for line in reversed(lines) if line.strip()), "")
        comment = last if last and last in _COMMENT_CHARACTERS else ""
    return "\n".join("" if comment and line.startswith(comment) else line for line in lines)


def message(commit: bytes) -> str:
    """The message in a *commit* object, or an annotated tag's."""
    header, _, body = commit.partition(b"\n\n")
    found = _ENCODING.search(header)
    if found and _ASCII_SUPERSETS.match(encoding := found[1].decode("ascii", "replace")):
        try:
            return body.decode(encoding)
        except (LookupError, UnicodeDecodeError):
            pass
    return readable(body)
