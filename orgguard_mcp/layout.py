"""What a repository shows of itself on disk, by gitrepository-layout(5), so that git need not be
started to tell it: a start of git is a tenth of what a hook costs.

Only what every version of git lays down the same is read. Anything else is unknown, and git is
asked. A commit is never read here: git alone says what a reference leads to.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

_HEAD = re.compile(rb"ref: refs/.+\n?|(?:[0-9a-f]{40}|[0-9a-f]{64})\n?")
_SYMBOLIC = re.compile(rb"ref: (refs/[!-~]+)\n")
_LONGEST = 4096  # bytes of a path


def common_dir(directory: Path) -> Path | None:
    """The git directory, shared by all worktrees, of the repository that *directory* lies in, as
    `git rev-parse --git-common-dir` gives it; None where git has to be asked.
    """
    with suppress(OSError, ValueError):
        real = Path(os.path.realpath(directory, strict=True))
        device = real.stat().st_dev
        for folder in (real, *real.parents):
            # Git goes no further than the file system, and takes a bare repository as it is.
            if folder.stat().st_dev != device or (folder / "HEAD").exists():
                return None
            git = folder / ".git"
            if os.path.lexists(git):
                own = _followed(git)
                return _common(own) if _is_ours(folder, git, own) else None
    return None


def symbolic(common: Path, ref: str) -> str | None:
    """The reference that the symbolic reference *ref* names, empty where *ref* names none; None
    where git has to be asked, as in a repository with another store of references than files.
    """
    if not (common / "refs/heads").is_dir():
        return None
    try:
        found = _SYMBOLIC.fullmatch(_text(common / ref))
    except FileNotFoundError:
        return ""  # packed references are never symbolic
    except OSError:
        return None
    return found[1].decode() if found else None


def _is_ours(*places: Path) -> bool:
    """Whether all *places* are this user's: git has its own thoughts on those of others."""
    return {place.lstat().st_uid for place in places} == {os.geteuid()}


def _followed(git: Path) -> Path:
    """The git directory that *git* is, or that the file *git* names, as in a linked worktree.

    Raises `ValueError` for any other kind of file.
    """
    mode = git.lstat().st_mode
    if stat.S_ISDIR(mode):
        return git
    text = _text(git) if stat.S_ISREG(mode) else b""
    if not text.startswith(b"gitdir: ") or b"\0" in text:
        raise ValueError
    return git.parent / os.fsdecode(text.removeprefix(b"gitdir: ").rstrip(b"\r\n"))


def _common(own: Path) -> Path | None:
    """What the git directory *own* shares with other worktrees; None if it is not sound, since git
    would look further up then.
    """
    common = own
    if (own / "commondir").exists():
        common = own / os.fsdecode(_text(own / "commondir").rstrip(b"\r\n"))
    sound = (common / "objects").is_dir() and (common / "refs").is_dir()
    if sound and not (own / "HEAD").is_symlink() and _HEAD.fullmatch(_text(own / "HEAD")):
        return Path(os.path.realpath(common, strict=True))
    return None


def _text(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST)
