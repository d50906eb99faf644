"""Landmarks: whether references or settings of a repository moved, told by stat and without git.

Git renames a new file into place whenever it moves a reference, so that the directory shows it, or
the one file that holds many. What shows nowhere here (a reflog, a file that a setting includes by a
relative path) is not waited for long: after `LASTING_SECONDS` git is asked again in any case.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from orgguard_mcp.git import Git
from orgguard_mcp.repository import Repository

LASTING_SECONDS = 10.0
"""How long landmarks are believed."""

_UNLOOKED_SECONDS = 0.002  # no program that moves a reference starts in less
_SETTLED_SECONDS = (
    1.0  # what changed later than this ago may change again within the same timestamp
)
_MAX_LOOSE = 32  # files of single references looked at: some tools write these in place
_OWN = ("HEAD", "FETCH_HEAD", "ORIG_HEAD", "config.worktree", "reftable/tables.list")
_COMMON = ("config", "packed-refs", "shallow", "reftable/tables.list")

_Mark = tuple[int, int, int, int] | None


class Landmarks:
    """How things stood: to be taken before git is asked, so that what moves meanwhile is told."""

    def __init__(self, repository: Repository) -> None:
        self._taken = self._looked = time.monotonic()
        self._places = list(_places(repository))
        self._marks = list(map(_mark, self._places))
        newest = max((max(mark[2:]) for mark in self._marks if mark), default=0)
        self._settled = newest < time.time_ns() - _SETTLED_SECONDS * 1e9

    def moved(self) -> bool:
        """Whether git has to be asked again; what has moved once stays so."""
        now = time.monotonic()
        if not self._settled or now - self._taken > LASTING_SECONDS:
            return True
        if now - self._looked > _UNLOOKED_SECONDS:
            self._looked = now
            self._settled = all(map(_stands, self._places, self._marks))
        return not self._settled


def _places(repository: Repository) -> Iterator[str]:
    git, common = Git(repository.directory), os.fspath(repository.common_dir)
    own = os.fsdecode(git.run("rev-parse", "--absolute-git-dir").rstrip(b"\n"))
    yield from (f"{own}/{name}" for name in _OWN)
    yield from (f"{common}/{name}" for name in _COMMON)
    yield from sorted({*_usual_settings(), *_settings(git)})
    trees = [list(os.walk(f"{one}/refs")) for one in dict.fromkeys((own, common))]
    folders = [folder for tree in trees for folder in tree]
    yield from (path for path, _, _ in folders)
    yield from islice(_loose(folders), _MAX_LOOSE)


def _usual_settings() -> Iterator[str]:
    """The user's files, which settings may come from one day."""
    home = os.path.expanduser("~")  # noqa: PTH111
    yield f"{home}/.gitconfig"
    yield f"{os.environ.get('XDG_CONFIG_HOME') or f'{home}/.config'}/git/config"


def _settings(git: Git) -> Iterator[str]:
    """The files that settings come from now, as far as git names them in full."""
    listed = git.run("config", "-z", "--list", "--name-only", "--show-origin").split(b"\0")
    origins = (os.fsdecode(row).removeprefix("file:") for row in listed[:-1:2])
    return (origin for origin in origins if origin.startswith("/"))


def _loose(folders: Iterable[tuple[str, list[str], list[str]]]) -> Iterator[str]:
    return (os.path.join(path, name) for path, _, files in folders for name in files)  # noqa: PTH118


def _mark(place: str) -> _Mark:
    try:
        found = os.stat(place)  # noqa: PTH116  # some dozen times in every call
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _stands(place: str, mark: _Mark) -> bool:
    # Most of the files are never there, and an exception costs three times what this does.
    return _mark(place) == mark if mark else not os.access(place, os.F_OK)
