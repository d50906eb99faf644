"""A real `orgguard init` in a child process, on a machine that has no agent but those that a test
installs; and what a working tree holds, byte for byte.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.simulator import Repo

AGENTS = ("claude", "cursor", "codex", "gemini", "qwen", "copilot", "opencode")

FILES = {
    "claude": {".claude/settings.json"},
    "cursor": {".cursor/mcp.json", ".cursor/hooks.json"},
    "codex": {".codex/config.toml"},
    "gemini": {".gemini/settings.json"},
    "qwen": {".qwen/settings.json"},
    "copilot": {".vscode/mcp.json", ".github/hooks/orgguard.json"},
    "opencode": {"opencode.json", ".opencode/plugins/orgguard.js"},
}
"""What each agent gets."""

ALWAYS = {".mcp.json", "AGENTS.md", ".orgguard/policy.toml"}
"""What every repository gets."""

EVERY_AGENT = [option for name in AGENTS for option in ("--agent", name)]


class Run(NamedTuple):
    """One run's exit code and what it said."""

    code: int
    out: str
    err: str

    def row(self, path: str) -> list[str]:
        """The plan's row on *path*: what happens to it, and why."""
        rows = [re.split(r"\s{2,}", line.strip()) for line in self.out.splitlines()]
        return next([row[0], row[2]] for row in rows if row[1:2] == [path] and row[2:])


def machine(folder: Path, *programs: str) -> str:
    """A PATH with git and *programs* alone."""
    folder.mkdir(parents=True, exist_ok=True)
    git = shutil.which("git")
    assert git
    if not (folder / "git").exists():
        (folder / "git").symlink_to(git)
    for program in programs:
        (folder / program).write_text("#!/bin/sh\n")
        (folder / program).chmod(0o755)
    return str(folder)


def init(repo: Repo, *options: str, path: str = "", **environment: str) -> Run:
    """Run `orgguard init` in *repo*."""
    bare = machine(repo.path.parent / "bin")
    done = subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "init", *options],
        cwd=repo.path, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
        env={**os.environ, "PATH": path or bare, **environment},
    )  # fmt: skip
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())


def held(top: Path) -> dict[str, bytes | str]:
    """Everything below *top* but git's own: files' content, links' targets, directories."""
    found: dict[str, bytes | str] = {}
    for folder, folders, files in os.walk(top):
        folders[:] = [one for one in folders if one != ".git"]
        for one in (*folders, *files):
            path = Path(folder) / one
            name = str(path.relative_to(top))
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            elif path.is_dir():
                found[name] = "a directory"
            else:
                found[name] = path.read_bytes()
    return found
