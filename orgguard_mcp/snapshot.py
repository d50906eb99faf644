"""Snapshot: the files of one commit, read by path.

Git walks down from the root for each path that it is asked for: to a small file that takes longer
than to read it. So who reads many gets git's list of all files first, which names their objects.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Sequence

from orgguard_mcp.git import Git

_FEW = 1000
"""So many paths are walked to. The list of 78,000 files takes git as long as that."""

_ROW = re.compile(rb" ([0-9a-f]+)\t([^\0]+)\0")
"""The id and the path of what `ls-tree` lists."""


class Snapshot:
    """What *commit* has at its paths. Raises `RepositoryError` when git cannot answer."""

    def __init__(self, git: Git, commit: str) -> None:
        self._git = git
        self._commit = commit
        self._walked = 0
        self._rows: list[bytes] = []

    def expect_many(self) -> None:
        """Get ready to read many files: see above."""
        if not self._rows:
            listed = self._git.run("ls-tree", "-r", "-z", "--full-tree", self._commit)
            # Git sorts by path, and what comes after that must not change the order.
            self._rows = [b"%s\0%s" % row.group(2, 1) for row in _ROW.finditer(listed)]

    def read(self, paths: Sequence[str]) -> list[bytes | None]:
        """The content of each of *paths*: None when there is no such file, empty when it is larger
        than `MAX_BLOB`. A folder that is walked to is empty, too; the list has none.
        """
        self._walked += len(paths)
        if self._walked > _FEW:
            self.expect_many()
        specs = {path: spec for path in dict.fromkeys(paths) if (spec := self._spec(path))}
        found = dict(zip(specs, self._git.read(list(specs.values())), strict=True))
        return [found.get(path) for path in paths]

    def _spec(self, path: str) -> bytes:
        """What git knows the object at *path* by; empty if there is none."""
        # Of others git would read another object than a file of that path.
        if "\n" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
            return b""
        raw = os.fsencode(path)
        if not self._rows:
            return b"%s:%s" % (self._commit.encode(), raw)
        at = bisect_left(self._rows, raw + b"\0")
        found, _, oid = (self._rows[at] if at < len(self._rows) else b"").partition(b"\0")
        return oid if found == raw else b""
