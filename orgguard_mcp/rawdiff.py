"""What git says of the paths that differ, read when somebody comes to it: a large change has
hundreds of thousands of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from sys import intern
from typing import Final, NamedTuple

ABSENT, SUBMODULE, SYMLINK = "000000", "160000", "120000"


class FileChange(NamedTuple):
    """One path that differs between two trees, or a tree and the index or working tree.

    Modes are git's six octal digits, `ABSENT` where that side has no such path. An object id of
    zeros on the new side stands for what the working tree holds. `unmerged`: the index has several
    versions, so that there is no new one.
    """

    path: str
    old_mode: str
    new_mode: str
    old_oid: str
    new_oid: str
    unmerged: bool = False

    @property
    def deletes(self) -> bool:
        """Whether the new side has no such path."""
        return self.new_mode == ABSENT and not self.unmerged


class Changes:
    """The paths that differ, as `git diff --raw -z` wrote them; to iterate over, many times."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def __iter__(self) -> Iterator[FileChange]:
        for row in _ROW.finditer(self._raw):
            old_mode, new_mode, old_oid, new_oid, status = row[1].decode().split(" ")
            modes = intern(old_mode), intern(new_mode)  # thousands of files share a few
            yield FileChange(os.fsdecode(row[2]), *modes, old_oid, new_oid, status == "U")


_ROW: Final = re.compile(rb":([^\0]*)\0([^\0]*)\0")
