"""A real `orgguard hook` in a child process, and what it answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.names import COINED_TOO
from tests.scanner import ORDINARY, Files
from tests.simulator import Repo

ESTABLISHED = COINED_TOO
"""The one name that the base of these tests has."""

BASE: Files = {
    **ORDINARY,
    "src/clients.py": f'{ESTABLISHED.upper()}_URL = "https://{ESTABLISHED.lower()}.com"\n',
    "docs/partners.md": f"# Partners\n\nWe ask {ESTABLISHED} for rates.\n",
    "book.ipynb": json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}),
}


class Answered(NamedTuple):
    """What a hook answered."""

    code: int
    out: str
    err: str

    @property
    def reason(self) -> str:
        """All that reaches the agent."""
        return self.err + self.out.encode().decode("unicode_escape")


def guarded(path: Path) -> Repo:
    """A repository whose base has one name, with an empty branch on top."""
    repo = Repo(path)
    repo.commit(BASE, "Start")
    repo.git("checkout", "-q", "-b", "feature")
    return repo


def command(agent: str, *options: str) -> list[str]:
    """The hook's command line."""
    return [sys.executable, "-m", "orgguard_mcp", "hook", agent, *options]


def hook(
    agent: str, payload: object, *options: str, where: Path | None = None, **environment: str
) -> Answered:
    """Run the hook of *agent* with *payload*: bytes, or what JSON is made of."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    done = subprocess.run(
        command(agent, *options), input=data, cwd=where, capture_output=True, check=False,
        timeout=60, env={**os.environ, **environment},
    )  # fmt: skip
    return Answered(done.returncode, done.stdout.decode(), done.stderr.decode())


def bash(repo: Repo, command: str, **more: object) -> Answered:
    """Ask Claude Code's hook about a shell *command* in *repo*."""
    return claude(repo, "Bash", {"command": command}, **more)


def claude(repo: Repo, tool: str, given: dict[str, Any], **more: object) -> Answered:
    """Ask Claude Code's hook about a call of *tool* in *repo*."""
    payload = {
        "hook_event_name": "PreToolUse", "cwd": str(repo.path),
        "tool_name": tool, "tool_input": given,
    }  # fmt: skip
    return hook("claude", {**payload, **more})
