"""The working tree's files as init reads and writes them: never outside of the repository, never
one that its owner has write-protected, each in one step.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from orgguard_mcp.setup.texts import UnusableFileError

MAX_BYTES = 4 << 20


class WorkingTree:
    """The files below *top*.

    Every method raises `UnusableFileError` for a path that leads out of the repository or into
    git's own directory, or that cannot be read or written.
    """

    def __init__(self, top: Path) -> None:
        self.top = top.resolve()

    def find(self, path: str) -> Path:
        """The file that *path* stands for, links followed."""
        try:
            file = (self.top / path).resolve()
        except (OSError, RuntimeError) as error:  # links in a circle
            raise UnusableFileError("its symbolic links lead nowhere") from error
        if not file.is_relative_to(self.top) or ".git" in file.relative_to(self.top).parts:
            raise UnusableFileError("a symbolic link leads out of the working tree")
        return file

    def read(self, file: Path) -> bytes | None:
        """What *file* holds; None when there is none."""
        try:
            found = file.stat()
            if not stat.S_ISREG(found.st_mode):
                raise UnusableFileError("it is no file")
            if found.st_size > MAX_BYTES:
                raise UnusableFileError("it is too large for a settings file")
            return file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnusableFileError(f"it cannot be read: {error.strerror}") from error

    def check_writable(self, file: Path) -> None:
        """See that *file* may be changed; its owner's write permission counts for every user."""
        with suppress(FileNotFoundError):
            if not file.stat().st_mode & stat.S_IWUSR or not os.access(file, os.W_OK):
                raise UnusableFileError("it is read-only")

    def missing_folders(self, file: Path) -> list[str]:
        """The directories that writing *file* would make, the outermost first."""
        above = [one for one in file.parents if one.is_relative_to(self.top) and not one.exists()]
        return [str(one.relative_to(self.top)) for one in reversed(above)]

    def write(self, file: Path, before: bytes | None, after: bytes | None) -> None:
        """Replace what *file* holds, *before*, by *after*; None is no file. What somebody else
        wrote there since is left alone.
        """
        if self.find(str(file.relative_to(self.top))) != file or self.read(file) != before:
            raise UnusableFileError("it was changed in the meantime; run this again")
        try:
            if after is None:
                file.unlink()
                return
            file.parent.mkdir(parents=True, exist_ok=True)
            _replace(file, after)
        except OSError as error:
            raise UnusableFileError(f"it cannot be written: {error.strerror}") from error

    def remove_empty(self, folders: Iterable[str]) -> None:
        """Remove those of *folders* that hold nothing, the innermost first."""
        for folder in sorted(folders, key=len, reverse=True):
            with suppress(OSError, UnusableFileError):
                if not (self.top / folder).is_symlink():
                    self.find(folder).rmdir()


def _replace(file: Path, data: bytes) -> None:
    """Let *file* hold *data*, in one step, with the permissions that it has or would get."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    number, name = tempfile.mkstemp(dir=file.parent, prefix=".orgguard-")
    try:
        with os.fdopen(number, "wb") as made:
            made.write(data)
            os.fchmod(made.fileno(), mode)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
