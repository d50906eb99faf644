"""The commits and trees of a repository, and what reaches them. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from orgguard_mcp.repository import SUBMODULE as SUBMODULE
from orgguard_mcp.repository import Lack

_TREE = "040000"
_ENTRY = re.compile(rb"(\d{5,6}) ([^\0]+)\0")
_PERSON = re.compile(rb"^(?:author|committer|tagger) (.*) (\d+) [+-]\d{4}$", re.MULTILINE)
_PARENT = re.compile(rb"^parent ([0-9a-f]+)$", re.MULTILINE)


Objects = Callable[[list[str]], Iterable[tuple[str, bytes | Lack]]]
"""A reader of objects by their ids."""


class Commit(NamedTuple):
    """What a commit object says beside its message."""

    tree: str
    parents: tuple[str, ...]
    when: int


class Entry(NamedTuple):
    """One entry of a tree."""

    mode: str
    name: str
    oid: str


def parse_commit(data: bytes) -> Commit:
    """The commit in the object *data*."""
    header = data.partition(b"\n\n")[0]
    parents = tuple(oid.decode() for oid in _PARENT.findall(header))
    return Commit(header[5 : header.find(b"\n")].decode(), parents, written(data))


def people(data: bytes) -> str:
    """Who wrote the commit or tag in the object *data*: a name and address a line."""
    found = _PERSON.findall(data.partition(b"\n\n")[0])
    return "\n".join(person.decode("utf-8", "replace") for person, _ in found)


def written(data: bytes) -> int:
    """When the commit or tag in the object *data* was made, in seconds."""
    times = [int(when) for _, when in _PERSON.findall(data.partition(b"\n\n")[0])]
    return times[-1] if times else 0


def entries(data: bytes, id_size: int) -> Iterator[Entry]:
    """The entries of the tree object *data*, whose ids have *id_size* bytes."""
    at = 0
    while found := _ENTRY.match(data, at):
        at = found.end() + id_size
        yield Entry(
            found[1].decode().rjust(6, "0"), os.fsdecode(found[2]), data[found.end() : at].hex()
        )


class History:
    """The graph of commits, with labels on some of them that hold for all before them."""

    def __init__(self) -> None:
        self.commits: dict[str, Commit] = {}
        self._labels: dict[str, int] = {}
        self._roots: dict[str, int] = {}
        self._reach: dict[str, int] = {}

    def label(self, commit: str, label: str) -> None:
        """Say that *label* reaches *commit* and all before it."""
        if commit in self.commits:
            bit = 1 << self._labels.setdefault(label, len(self._labels))
            self._roots[commit] = self._roots.get(commit, 0) | bit

    def spread(self) -> None:
        """Take the labels to everything that they reach: each commit once, after its children."""
        waiting = dict.fromkeys(self.commits, 0)
        for commit in self.commits.values():
            for parent in self._known(commit.parents):
                waiting[parent] += 1
        ready = [oid for oid, count in waiting.items() if not count]
        self._reach = dict(self._roots)
        while ready:
            oid = ready.pop()
            reach = self._reach.get(oid, 0)
            for parent in self._known(self.commits[oid].parents):
                self._reach[parent] = self._reach.get(parent, 0) | reach
                waiting[parent] -= 1
                if not waiting[parent]:
                    ready.append(parent)

    def _known(self, parents: Iterable[str]) -> Iterator[str]:
        return (parent for parent in parents if parent in self.commits)

    def labels(self, commit: str) -> list[str]:
        """The labels that reach *commit*, in the order in which they were given."""
        reach = self._reach.get(commit, 0)
        return [label for label, place in self._labels.items() if reach >> place & 1]


class Tips:
    """The trees of the references' commits: of the files in them only what *keeps* takes."""

    def __init__(self, keeps: Callable[[Entry], bool]) -> None:
        self._keeps = keeps
        self._trees: dict[str, list[Entry]] = {}
        self._found: dict[str, list[tuple[str, Entry]]] = {}
        self.top: set[str] = set()
        """The names in the root trees."""

    def read(self, roots: set[str], objects: Objects) -> None:
        """Read each tree from *roots* down once, a level at a time."""
        level, at_top = roots, True
        while level:
            below: set[str] = set()
            for oid, data in objects(sorted(level)):
                if isinstance(data, Lack):
                    continue
                found = list(entries(data, len(oid) // 2))
                if at_top:
                    self.top.update(entry.name for entry in found)
                self._trees[oid] = [e for e in found if e.mode == _TREE or self._keeps(e)]
                below.update(entry.oid for entry in found if entry.mode == _TREE)
            level, at_top = below - self._trees.keys(), False

    def files(self, tree: str) -> list[tuple[str, Entry]]:
        """What was kept of *tree*, by path; a directory that is kept stands for all in it."""
        if tree not in self._found:
            found = []
            for entry in self._trees.get(tree, ()):
                if entry.mode != _TREE or self._keeps(entry):
                    found.append((entry.name, entry))
                else:
                    inner = self.files(entry.oid)
                    found += [(f"{entry.name}/{path}", file) for path, file in inner]
            self._found[tree] = found
        return self._found[tree]
