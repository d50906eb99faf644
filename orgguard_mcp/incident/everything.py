"""Everything that a repository keeps: all its objects, references, reflogs, its ignored files. For
looking, where `repository.py` is for judging; as read-only as that.

No argument of git holds more than object ids: what is searched for never stands in a process list.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from orgguard_mcp.git import Git

_BATCH = 2_000
"""Commits that are compared with their parents by one process."""

_NO_PATH = "000000"
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://(?:[^@/]*@)?(?P<host>[^/:]*)", re.IGNORECASE)
_SCP = re.compile(r"^(?:[^@/]*@)?(?P<host>[^/:]+):")


class Ref(NamedTuple):
    """A reference by its full name: what it points at, and the commit that it peels to."""

    name: str
    oid: str
    commit: str


class Logged(NamedTuple):
    """One entry of the reflog of `ref`."""

    ref: str
    commit: str
    message: str


class Added(NamedTuple):
    """A file as `commit` has it and none of its parents; `new`: none of them has the path."""

    commit: str
    path: str
    oid: str
    new: bool


class Everything:
    """All that the repository at *directory* keeps; `RepositoryError` when git cannot answer."""

    def __init__(self, directory: Path) -> None:
        self._git = Git(directory)

    def bare(self) -> bool:
        """Whether there is no working tree."""
        return self._git.run("rev-parse", "--is-bare-repository").strip() == b"true"

    def objects(self) -> dict[str, list[str]]:
        """The id of every object in the store by its kind, reachable or not, as the packs have
        them: read in this order they cost least.
        """
        listed = self._git.run(
            "cat-file", "--batch-all-objects", "--unordered",
            "--batch-check=%(objectname) %(objecttype)",
        )  # fmt: skip
        found: dict[str, list[str]] = {kind: [] for kind in ("blob", "tree", "commit", "tag")}
        for row in listed.decode().splitlines():
            oid, _, kind = row.partition(" ")
            found.setdefault(kind, []).append(oid)
        return found

    def refs(self) -> list[Ref]:
        """Every reference, and HEAD where it is detached."""
        rows = self._git.run(
            "for-each-ref", "--format=%(objectname) %(*objectname) %(symref) %(refname)"
        )
        found = []
        for row in os.fsdecode(rows).split("\n")[:-1]:
            oid, peeled, symref, name = row.split(" ", 3)
            if not symref:
                found.append(Ref(name, oid, peeled or oid))
        if not self._git.run("symbolic-ref", "--quiet", "HEAD", check=False):
            head = self._git.run("rev-parse", "--verify", "--quiet", "HEAD", check=False)
            found += [Ref("HEAD", oid, oid) for oid in head.decode().split()]
        return found

    def reflogs(self) -> list[Logged]:
        """Every entry of every reflog."""
        rows = self._git.run("reflog", "show", "--all", "-z", "--format=%H %gD%n%gs", check=False)
        found = []
        for row in os.fsdecode(rows).split("\0"):
            head, _, message = row.partition("\n")
            commit, _, place = head.partition(" ")
            if commit:
                found.append(Logged(place.rpartition("@{")[0], commit, message))
        return found

    def added(self, commits: Sequence[str]) -> Iterator[Added]:
        """What each of *commits* has that its parents have not, by path. A merge adds only what it
        has otherwise than all of its parents.
        """
        options = "-r", "-c", "--root", "-z", "--raw", "--no-abbrev", "--no-renames"
        for start in range(0, len(commits), _BATCH):
            asked = "\n".join(commits[start : start + _BATCH]).encode() + b"\n"
            yield from _added(self._git.run("diff-tree", "--stdin", *options, stdin=asked))

    def ignored(self) -> list[str]:
        """The files of the working tree that git is told to ignore."""
        rows = self._git.run(
            "ls-files", "--others", "--ignored", "--exclude-standard", "-z", "--full-name",
            "--", ":/",
        )  # fmt: skip
        return [path for path in os.fsdecode(rows).split("\0") if path]

    def worktrees(self) -> int:
        """How many working trees the repository has."""
        listed = self._git.run("worktree", "list", "--porcelain")
        return sum(row.startswith(b"worktree ") for row in listed.splitlines())

    def hosts(self) -> dict[str, str]:
        """The remotes, each with the host that it is on: empty for a directory."""
        rows = self._git.run("config", "-z", "--get-regexp", r"^remote\..*\.url$", check=False)
        found = {}
        for row in os.fsdecode(rows).split("\0")[:-1]:
            key, _, url = row.partition("\n")
            place = _SCHEME.match(url) or _SCP.match(url)
            remote = key.removeprefix("remote.").removesuffix(".url")
            found[remote] = place["host"].casefold() if place else ""
        return found


def _added(listed: bytes) -> Iterator[Added]:
    commit, fields = "", iter(listed.split(b"\0"))
    for field in fields:
        if not field.startswith(b":"):
            commit = field.decode()
            continue
        parents = len(field) - len(field.lstrip(b":"))
        meta = field.decode().lstrip(":").split(" ")
        old, oid = meta[:parents], meta[2 * parents + 1]
        path = os.fsdecode(next(fields))
        if meta[parents] != _NO_PATH:
            yield Added(commit, path, oid, set(old) == {_NO_PATH})
