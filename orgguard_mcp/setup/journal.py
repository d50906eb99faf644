"""What init changed in a working tree, with the originals: enough to take it back byte for byte.

It lies beside the other state, in git's own directory, so it never enters the tree. A step is
written before the file that it is about; one that did not come to pass changes nothing when undone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orgguard_mcp.errors import RepositoryError

_STEPS = "steps.json"


@dataclass(frozen=True, slots=True)
class Step:
    """One file's change: the digests of what it held (None: there was none), and what it holds now;
    the directories that were made for it.
    """

    path: str
    before: str | None
    after: str | None
    folders: tuple[str, ...] = ()


class Journal:
    """The steps of one working tree, oldest first, in *folder*.

    Raises `RepositoryError` when they cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.steps: list[Step] = []
        self.git_hooks = False
        try:
            if (folder / _STEPS).exists():
                self._read(json.loads((folder / _STEPS).read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _refusal(folder, error) from error

    def _read(self, document: dict[str, Any]) -> None:
        self.git_hooks = bool(document["git_hooks"])
        for one in document["steps"]:
            self.steps.append(Step(one["path"], one["before"], one["after"], (*one["folders"],)))

    def original(self, key: str | None) -> bytes | None:
        """The content whose digest is *key*."""
        if key is None:
            return None
        try:
            data = (self._folder / key).read_bytes()
        except OSError as error:
            raise _refusal(self._folder, error) from error
        if digest(data) != key:
            raise _refusal(self._folder, ValueError())
        return data

    def add(
        self, path: str, before: bytes | None, after: bytes | None, folders: Sequence[str]
    ) -> None:
        """Note that *path* is about to be changed, and keep what it holds."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if before is not None:
                _write(self._folder / str(digest(before)), before)
        except OSError as error:
            raise _refusal(self._folder, error) from error
        self.steps.append(Step(path, digest(before), digest(after), tuple(folders)))
        self.save()

    def save(self) -> None:
        """Write the steps down; without any the journal is removed."""
        document = {"git_hooks": self.git_hooks, "steps": [asdict(step) for step in self.steps]}
        try:
            if not self.steps and not self.git_hooks:
                shutil.rmtree(self._folder, ignore_errors=True)
                with suppress(OSError):  # other working trees have records there, too
                    self._folder.parent.rmdir()
                return
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self._folder / _STEPS, json.dumps(document, indent=1).encode())
        except OSError as error:
            raise _refusal(self._folder, error) from error


def digest(data: bytes | None) -> str | None:
    """What *data* is known by; None for no file."""
    return None if data is None else hashlib.sha256(data).hexdigest()


def _write(file: Path, data: bytes) -> None:
    made = file.with_suffix(".new")
    number = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    made.replace(file)


def _refusal(folder: Path, error: Exception) -> RepositoryError:
    why = error.strerror if isinstance(error, OSError) else "it is damaged"
    return RepositoryError(
        "init's own record cannot be used, so nothing was changed",
        cause=f"{folder}: {why}",
        hint="move that directory away; git itself can show and restore what was committed",
    )
