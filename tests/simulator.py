"""A builder for real git repositories, so that a test reads as the history that it needs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class Repo:
    """A real repository in a temporary directory."""

    def __init__(self, path: Path, *, bare: bool = False, branch: str = "main") -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", branch, *(["--bare"] if bare else []))

    def git(self, *args: str) -> str:
        """Run git here and return what it prints."""
        done = subprocess.run(
            ["git", *args], cwd=self.path, capture_output=True, check=False, timeout=60
        )
        if done.returncode:
            raise AssertionError(f"git {args}: {done.stderr.decode(errors='replace')}")
        return os.fsdecode(done.stdout).strip()

    def write(self, files: dict[str, str | bytes]) -> Repo:
        """Write *files* into the working tree."""
        for name, content in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def commit(self, files: dict[str, str | bytes] | None = None, message: str = "Change") -> str:
        """Commit *files* on the current branch and return the commit."""
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def clone(self, path: Path, *options: str) -> Repo:
        """Clone this repository to *path*."""
        subprocess.run(
            ["git", "clone", "-q", *options, f"file://{self.path}", str(path)],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        cloned = object.__new__(Repo)
        cloned.path = path
        return cloned
