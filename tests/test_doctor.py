"""`orgguard doctor`: doors that hold are told from those that do not, by trying them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orgguard_mcp import githooks
from orgguard_mcp.repository import Repository
from tests.human import COMMAND
from tests.scanner import ORDINARY
from tests.simulator import Repo

SERVER = {"mcpServers": {"orgguard": {"command": "orgguard-mcp", "args": []}}}


def hook(command: str) -> str:
    """Claude Code's settings with *command* before each tool."""
    entry = {"matcher": "*", "hooks": [{"type": "command", "command": command, "timeout": 30}]}
    return json.dumps({"hooks": {"PreToolUse": [entry]}})


class Found(dict[str, str]):
    """What the doctor said of each door and act: its outcome. `code` is the exit code."""

    code: int
    said: str


def doctor(repo: Repo, temporary: Path) -> Found:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        [*COMMAND, "doctor"], cwd=repo.path, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path, "TMPDIR": str(temporary)}, timeout=300,
    )  # fmt: skip
    found = Found()
    for line in done.stdout.partition("\n\n")[2].splitlines():
        outcome, _, door = line.partition(" ")
        found[door.strip().partition(":")[0]] = outcome
    found.code, found.said = done.returncode, done.stdout + done.stderr
    assert list(temporary.iterdir()) == []
    return found


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    return make_repo(ORDINARY)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    return tmp_path / "temporary"


def test_a_repository_without_doors_is_told_to_install_them(repo: Repo, temporary: Path) -> None:
    found = doctor(repo, temporary)
    assert (found.code, dict(found)) == (1, {})
    assert "no door is installed: `orgguard init` installs them" in found.said


def test_doors_that_hold(repo: Repo, temporary: Path) -> None:
    repo.commit({
        ".mcp.json": json.dumps(SERVER), ".claude/settings.json": hook("orgguard hook claude"),
        ".github/workflows/names.yml": "# orgguard scan\n",
    })  # fmt: skip
    with Repository(repo.path) as repository:
        githooks.install(repository)
    head, status = repo.git("rev-parse", "HEAD"), repo.git("status", "--short")
    found = doctor(repo, temporary)
    assert found == {
        "MCP server (.mcp.json), check_name": "stopped",
        "claude hook (.claude/settings.json), a write": "stopped",
        "claude hook (.claude/settings.json), a command": "stopped",
        "git hook pre-commit, a commit": "stopped",
        "git hook commit-msg, a message": "stopped",
        "git hook pre-push, a push": "stopped",
        "scan in CI (.github/workflows/names.yml), a change": "stopped",
    }
    assert found.code == 0
    assert (repo.git("rev-parse", "HEAD"), repo.git("status", "--short")) == (head, status)


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ("true orgguard hook claude", "OPEN"),
        ("false orgguard hook claude", "OPEN"),  # exit code 1: every client goes on
        ("exit 2; orgguard hook claude", "BROKEN"),
        ("/nowhere/orgguard hook claude", "OPEN"),
    ],
    ids=["passes", "crashes", "stops everything", "is not there"],
)
def test_a_hook_that_does_not_hold(repo: Repo, temporary: Path, command: str, outcome: str) -> None:
    repo.write({".claude/settings.json": hook(command)})
    found = doctor(repo, temporary)
    assert found.code == 1
    assert set(found.values()) == {outcome}


def test_a_git_hook_that_somebody_emptied(repo: Repo, temporary: Path) -> None:
    with Repository(repo.path) as repository:
        githooks.install(repository)
        where = repository.hooks_dir()
    (where / "commit-msg").write_text("#!/bin/sh\n# orgguard was here\nexit 0\n")
    found = doctor(repo, temporary)
    assert found["git hook commit-msg, a message"] == "OPEN"
    assert found["git hook pre-commit, a commit"] == "stopped"
    assert found.code == 1


def test_a_server_that_does_not_start(repo: Repo, temporary: Path) -> None:
    broken = {"mcpServers": {"orgguard": {"command": "orgguard-mcp", "args": ["--nonsense"]}}}
    repo.write({".mcp.json": json.dumps(broken)})
    found = doctor(repo, temporary)
    assert (found.code, set(found.values())) == (1, {"BROKEN"})


def test_a_log_that_was_changed_is_said(repo: Repo, temporary: Path) -> None:
    repo.write({".mcp.json": json.dumps(SERVER)})
    state = repo.path / ".git" / "orgguard"
    state.mkdir(mode=0o700)
    (state / "ledger.sqlite3").write_bytes(b"no database")
    assert "log        BROKEN" in doctor(repo, temporary).said
