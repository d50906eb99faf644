"""Shell commands: every text in one, and every file that it names. Pure.

No flag is parsed: whatever a program makes of its arguments, each piece of the text is read once,
as prose where it has white space within quotes or is a heredoc, else as code. A mistaken quote
moves text from one reading to the other and loses none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from orgguard_mcp.hooks import edits
from orgguard_mcp.lines import numbered, pieces
from orgguard_mcp.model import Artifact, Surface

MAX_WORDS = 5_000
"""Words of a command that are tried as the names of files."""

_HEREDOC = re.compile(
    r"<<-?[ \t]*(?P<quote>['\"\\]?)(?P<tag>[\w.-]+)['\"]?(?P<rest>[^\n]*)\n"
    r"(?P<body>(?:.*\n)*?)[ \t]*(?P=tag)(?=\s|\)|$)"
)
_TARGET = re.compile(r"(?:>>?\|?|\btee\b(?:\s+-a)?)\s*(?P<q>[\"']?)(?P<path>[^\s\"'|&;<>]+)(?P=q)")
_WORD = re.compile(
    r"(?P<comment>(?<![^\s;])\#[^\n]*)"
    r"|(?:\\.|'[^']*(?:'|\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|[^\s'\"\\|&;<>()`])+",
    re.DOTALL,
)
_QUOTED = re.compile(r"\\(\n?)(.?)|'([^']*)'?|\"((?:[^\"\\]|\\.)*+)\"?", re.DOTALL)
_PLACE = re.compile(r"[\w@%+~.-]*(?:/[\w@%+~.-]+)+/?|[\w-]+\.\w{1,8}")
_REFS = re.compile(
    r"\bgit\b[^\n|&;]*?\s(?:checkout|switch|branch|tag|push|worktree)\b(?P<names>[^\n|&;'\"]*)"
)
"""Where git may be given the names of branches and tags, which are read as such, too."""


class Heredoc(NamedTuple):
    """A text within a command, and the file that its line seems to write it to."""

    body: str
    target: str


def artifacts(command: str, directory: str) -> Iterator[Artifact]:
    """Every text of *command*, run in *directory*."""
    rest, heredocs = _apart(command)
    for text in heredocs:
        if text.target:
            path = os.path.join(directory, os.path.expanduser(text.target))  # noqa: PTH111, PTH118
            yield from edits.written(path, text.body)
        else:
            yield _lines(Surface.COMMIT_MESSAGE, text.body)
    words: list[Artifact] = []

    def apart(found: re.Match[str]) -> str:
        word = _unquoted(found[0])
        if word.split()[1:]:
            words.append(_lines(Surface.COMMIT_MESSAGE, word))
            return re.sub(r"[^\n]", " ", found[0])
        glued = word not in found[0]  # of several quotes
        if glued or (_PLACE.fullmatch(word) and not _exists(word, directory)):
            words.append(_lines(Surface.DATA, word))
        return found[0]

    yield _lines(Surface.CODE, _WORD.sub(apart, rest))
    yield from words
    for found in _REFS.finditer(rest):
        for name in re.findall(r"(?<![\w./-])[\w.][\w./-]*", found["names"]):
            yield _lines(Surface.BRANCH, name)


def named(command: str, directory: str) -> tuple[set[str], set[str]]:
    """The directories (that of the command among them) and files that *command* may name: those of
    its words, or of their parts, that are there.
    """
    words = list(dict.fromkeys(islice(_candidates(command, 2), MAX_WORDS)))
    start = os.path.realpath(directory)
    folders = {start}
    for word in words:
        if (path := _resolved(start, word)) and os.path.isdir(path):  # noqa: PTH112
            folders.add(path)
    tried = (_resolved(folder, word) for folder in folders for word in words)
    return folders, {path for path in tried if path and os.path.isfile(path)}  # noqa: PTH113


def _candidates(command: str, depth: int) -> Iterator[str]:
    """What in *command* may be a path: its words, what follows a sign or a short option in them,
    and the same of the commands within.
    """
    rest, heredocs = _apart(command)
    for found in _WORD.finditer(rest):
        word = _unquoted(found[0])
        yield word
        yield from (word[at + 1 :] for at, sign in enumerate(word[:4096]) if sign in "=@:,")
        if re.match(r"-\w.", word):
            yield word[2:]
        if depth and word.split()[1:]:
            yield from _candidates(word, depth - 1)
    for text in heredocs if depth else ():
        yield from _candidates(text.body, depth - 1)


def _resolved(folder: str, word: str) -> str:
    if not word or len(word) > 4096 or "\0" in word:
        return ""
    expanded = os.path.expandvars(os.path.expanduser(word))  # noqa: PTH111
    return os.path.realpath(os.path.join(folder, expanded))  # noqa: PTH118


def _exists(word: str, directory: str) -> bool:
    return os.path.lexists(_resolved(directory, word))


def _apart(command: str) -> tuple[str, list[Heredoc]]:
    """*command* with its heredocs blanked, and these."""
    found: list[Heredoc] = []

    def blanked(match: re.Match[str]) -> str:
        start = command.rfind("\n", 0, match.start()) + 1
        line = command[start : match.start()] + match["rest"]
        target = _TARGET.search(line)
        found.append(Heredoc(match["body"], target["path"] if target else ""))
        return match["rest"] + "\n" * match["body"].count("\n")

    return _HEREDOC.sub(blanked, command), found


def _unquoted(word: str) -> str:
    """*word* as the shell hands it on."""
    if word.startswith("#"):
        return word

    def plain(match: re.Match[str]) -> str:
        if match[4] is not None:
            return re.sub(r"\\([\"$`\\\n])", r"\1", match[4])
        return match[3] if match[3] is not None else match[2]

    return _QUOTED.sub(plain, word)


def _lines(surface: Surface, text: str) -> Artifact:
    lines: Iterable[tuple[int, str]] = numbered(text)
    return Artifact(surface, "", tuple((n, piece) for n, line in lines for piece in pieces(line)))
