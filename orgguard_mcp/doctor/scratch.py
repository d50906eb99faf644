"""A scratch clone to try doors in: what is written there is seen by nobody, and gone at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from orgguard_mcp.base import ENVIRONMENT_BASE
from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.repository import Repository

SECONDS = 60
"""How long one door may take; one that takes longer would be passed by its client."""

_SYLLABLES = "bra cro dru fla gri kle plo qua ske stu tri vlo wre zmi".split()
_PERSON = {
    "GIT_AUTHOR_NAME": "OrgGuard", "GIT_AUTHOR_EMAIL": "doctor@example.com",
    "GIT_COMMITTER_NAME": "OrgGuard", "GIT_COMMITTER_EMAIL": "doctor@example.com",
}  # fmt: skip


def invented_name() -> str:
    """A word that nobody is called, another at each time."""
    return "".join(secrets.choice(_SYLLABLES) for _ in range(4)).capitalize()


class Scratch:
    """A clone of a repository at its base, with the same hooks and the same index. A context
    manager. `name` is the invented name to plant.

    Raises `RepositoryError` when the clone cannot be made.
    """

    def __init__(self, repository: Repository, base: str) -> None:
        self.name = invented_name()
        self._folder = Path(tempfile.mkdtemp(prefix="orgguard-doctor-"))
        self.path = self._folder / "clone"
        self._base = base
        try:
            self._make(repository)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, repository: Repository) -> None:
        top = repository.top_level()
        hooks = repository.hooks_dir()
        remote = self._folder / "remote.git"
        self._expect("clone", "-q", "--shared", "--no-checkout", str(top), str(self.path), at=top)
        self._expect("init", "-q", "--bare", str(remote))
        self._expect("remote", "remove", "origin")  # and with it what it had fetched
        self._expect("remote", "add", "origin", str(remote))
        self._expect("update-ref", "refs/remotes/origin/main", self._base)
        self._expect("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
        self._expect("checkout", "-q", "-B", "main", self._base)
        if hooks.is_dir():
            if hooks.is_relative_to(top):  # tracked, or made by a tool in the working tree
                hooks_here = self.path / hooks.relative_to(top)
                self._expect("config", "core.hooksPath", str(hooks_here))
            else:
                hooks_here = self.path / ".git" / "hooks"
            shutil.copytree(hooks, hooks_here, dirs_exist_ok=True, symlinks=True)
        state = self.path / ".git" / "orgguard"
        state.mkdir(mode=0o700)
        for file in repository.state_dir.glob("index*"):
            shutil.copy(file, state)

    def _expect(self, *args: str, at: Path | None = None) -> None:
        done = self.run(["git", *args], at=at or (self.path if self.path.exists() else None))
        if done.returncode:
            raise RepositoryError(
                "no door was tried: a scratch clone cannot be made",
                cause=f"git {args[0]} exited {done.returncode}",
                hint=f"check that {self._folder.parent} can be written",
            )

    def plant(self, path: str, text: str) -> None:
        """Write *text* to *path* in the clone."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")

    def reset(self) -> None:
        """Bring the clone back to the base."""
        self.run(["git", "-c", "core.hooksPath=/dev/null", "reset", "-q", "--hard", self._base])
        self.run(["git", "clean", "-qfd"])

    def run(
        self, command: Sequence[str] | str, stdin: str = "", *, at: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run *command* (a string: by the shell, as clients do) in the clone.

        One that takes longer than `SECONDS` ends with exit code 124, as `timeout` says it.
        """
        try:
            return subprocess.run(
                command, shell=isinstance(command, str), cwd=at or self.path, input=stdin,
                env=self._environment(), capture_output=True, text=True, errors="replace",
                check=False, timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", "it took too long")
        except OSError as error:
            return subprocess.CompletedProcess(command, 127, "", error.strerror or "")

    def converse(self, command: Sequence[str], lines: Sequence[str], until: str) -> str:
        """Start *command*, send it *lines*, and return the first line of its answer that has
        *until* in it; empty when none came within `SECONDS`.
        """
        try:
            process = subprocess.Popen(
                command, cwd=self.path, env=self._environment(), text=True, errors="replace",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError:
            return ""
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        try:
            with process, suppress(BrokenPipeError):
                if process.stdin and process.stdout:
                    process.stdin.write("".join(f"{line}\n" for line in lines))
                    process.stdin.flush()
                    return next((line for line in process.stdout if until in line), "")
            return ""
        finally:
            process.kill()
            timer.cancel()

    def _environment(self) -> dict[str, str]:
        """As the user has it, but for git's own variables and what names the place."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        kept.pop(ENVIRONMENT_BASE, None)
        return {**kept, **_PERSON, "CLAUDE_PROJECT_DIR": str(self.path)}
