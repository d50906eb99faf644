"""Mirrors: bare repositories under one directory that follow their remotes' branches.

`DIRECTORY/owner/name.git` is the mirror `owner/name`. What is half-done lies in a folder whose name
begins with a dot, so that it is no mirror, until one rename puts it into its place.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orgguard_mcp.errors import RepositoryError, UsageError
from orgguard_mcp.repository import private
from orgguard_mcp.upstream import Upstream

ENVIRONMENT_MIRRORS = "ORGGUARD_MIRRORS"
"""Names their directory."""

ADD_SECONDS = 3600
"""How long the first fetch of a mirror may take."""

FETCH_SECONDS = 600
"""How long each other may take."""

_MAX_SEGMENTS = 4
_SEGMENT = re.compile(
    r"(?!.*\.\.)(?!.*\.(?:git|lock)$)[a-z0-9][a-z0-9._-]{0,99}", re.IGNORECASE | re.ASCII
)
_URL = re.compile(
    r"(?:https|ssh|git|file)://[!-~]+|(?:[\w.-]+@)?\w[\w.-]*:(?!:|//)[!-~]+", re.ASCII
)
_CREDENTIALS = re.compile(r"https://[^/?#]*@|\w+://[^/?#]*:[^/?#]*@", re.ASCII)
_SUFFIX = ".git"
_APART = ".apart-"
_STATE = "orgguard"  # as `Repository.state_dir` has it
_LOCK = "fetch.lock"


class Mirrors:
    """The mirrors under one directory; several processes may use it at once.

    A name is up to four segments of ASCII letters, digits and ``._-`` with slashes between them.
    Methods raise `UsageError` for what is no such name, `RepositoryError` when there is no mirror
    of that name, or something could not be done.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)

    def names(self) -> list[str]:
        """The names of all mirrors, in order."""
        return sorted(_names(self.directory, "", _MAX_SEGMENTS))

    def path(self, name: str) -> Path:
        """Where the mirror *name* lies."""
        place = self._place(name)
        if not _is_folder(place):
            raise RepositoryError(
                "there is no mirror of that name",
                hint="`orgguard mirror list` shows those that there are",
            )
        return place

    def add(self, name: str, url: str) -> Path:
        """Mirror *url* as *name*, and return where.

        Raises `UsageError` when *url* holds a password: git tells its own helpers the URL in their
        arguments, which everybody on the machine can read.
        """
        place = self._place(name)
        check_url(url)
        with _writing("the mirror was not added"):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _exists(place):
                raise _taken()
            with self._apart() as draft:
                upstream = Upstream(draft)
                upstream.found(url)
                upstream.follow(ADD_SECONDS)
                os.utime(draft / _STATE / _LOCK)
                _put(draft, place)
        return place

    def fetch(self, name: str) -> bool:
        """Bring the mirror up to date; whether any branch, or the default one, moved. False, having
        done nothing, while another process does this.
        """
        path = self.path(name)
        with _writing("the mirror was not fetched"), _held(path) as lock:
            if lock is None:
                return False
            upstream = Upstream(path)
            moved = upstream.follow(FETCH_SECONDS)
            os.utime(lock)
            if moved:
                upstream.tidy()
            return moved

    def fetched_at(self, name: str) -> float:
        """When the mirror was last known to have what its remote has, as seconds of the epoch."""
        lock = self.path(name) / _STATE / _LOCK
        with _writing("the mirror was not looked at"):
            return lock.stat().st_mtime

    def remove(self, name: str) -> None:
        """Delete the mirror *name*, with its index and whatever OrgGuard keeps in it."""
        path = self.path(name)
        with _writing("the mirror was not removed"), _held(path) as lock:
            if lock is None:
                raise RepositoryError(
                    "the mirror was not removed: it is being fetched", hint="try again later"
                )
            with self._apart() as apart:
                path.rename(apart / path.name)

    def _place(self, name: str) -> Path:
        """Where a mirror *name* would lie: never beyond a link, which might lead anywhere."""
        segments = name.split("/")
        if len(segments) > _MAX_SEGMENTS or not all(map(_SEGMENT.fullmatch, segments)):
            raise UsageError(
                "that is no name of a mirror",
                hint="take one like owner/name: up to four parts of letters, digits, . _ and -",
            )
        folder = self.directory
        for segment in segments[:-1]:
            folder /= segment
            if _exists(folder) and not _is_folder(folder):
                raise RepositoryError(
                    "the mirror was not looked for: what should be a folder of mirrors is none",
                    cause="there is a link or a file in its place",
                    hint="move it out of the mirrors' directory",
                )
        return folder / f"{segments[-1]}{_SUFFIX}"

    @contextmanager
    def _apart(self) -> Iterator[Path]:
        """A folder that is no mirror; it and all that others left are removed, if still there."""
        with ExitStack() as claimed:
            with _locked(self.directory / ".lock", fcntl.LOCK_EX):
                self._clear()
                apart = Path(tempfile.mkdtemp(prefix=_APART, dir=self.directory))
                claimed.enter_context(_held(apart))
            try:
                yield apart
            finally:
                shutil.rmtree(apart, ignore_errors=True)

    def _clear(self) -> None:
        """Remove what processes left behind that were killed."""
        for left in self.directory.glob(f"{_APART}*"):
            if not left.is_symlink():
                with _held(left) as lock:
                    if lock is not None:
                        shutil.rmtree(left, ignore_errors=True)


def check_url(url: str) -> None:
    """Raise `UsageError` unless *url* is one that can be mirrored; it is not repeated there."""
    if _CREDENTIALS.match(url):
        raise UsageError(
            "the mirror was not added: its URL holds a user or a password",
            cause="everybody on this machine can see the arguments of a process",
            hint="leave it out, and set a credential helper for that host (`git help credentials`)",
        )
    if not _URL.fullmatch(url):
        raise UsageError(
            "the mirror was not added: that is no URL that can be mirrored",
            hint="it begins with https://, ssh://, git:// or file://, or is user@host:path",
        )


def _names(folder: Path, prefix: str, depth: int) -> Iterator[str]:
    try:
        found = [one for one in os.scandir(folder) if one.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    except OSError as error:
        raise RepositoryError(
            "the mirrors were not listed: their directory cannot be read",
            cause=error.strerror or "",
        ) from error
    for one in found:
        name = one.name.removesuffix(_SUFFIX)
        if not _SEGMENT.fullmatch(name):
            continue
        if name != one.name:
            yield prefix + name
        elif depth > 1:
            yield from _names(Path(one), f"{prefix}{name}/", depth - 1)


def _put(draft: Path, place: Path) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        draft.rename(place)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise _taken() from error
        raise


def _taken() -> RepositoryError:
    return RepositoryError(
        "the mirror was not added: there is one of that name",
        hint="`orgguard mirror fetch` brings it up to date, `orgguard mirror remove` deletes it",
    )


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


@contextmanager
def _writing(undone: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RepositoryError(
            f"{undone}: the mirrors' directory cannot be used",
            cause=error.strerror or type(error).__name__,
            hint="look at its owner, its permissions and the free disk space",
        ) from error


@contextmanager
def _held(mirror: Path) -> Iterator[int | None]:
    """The lock of *mirror*, which the kernel frees when its holder dies; None if another has it."""
    state = mirror / _STATE
    state.mkdir(mode=0o700, exist_ok=True)
    private(state)
    with _locked(state / _LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB) as lock:
        yield lock


@contextmanager
def _locked(file: Path, how: int) -> Iterator[int | None]:
    lock = os.open(file, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, how)
            held = True
        except BlockingIOError:
            held = False
        yield lock if held else None
    finally:
        os.close(lock)
