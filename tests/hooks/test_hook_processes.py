"""How many processes a hook starts: each costs as much as the judging."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.guard import Guard
from orgguard_mcp.repository import Repository
from tests.hooks.hooked import Answered, claude, guarded
from tests.names import COINED
from tests.simulator import Repo

Started = Callable[[], list[str]]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """What git was started for, from now on."""
    log = tmp_path / "log"
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {shutil.which("git")} "$@"\n')
    git.chmod(0o755)

    def so_far() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")
    return so_far


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A clone with nothing of its own."""
    guarded(tmp_path / "origin").git("checkout", "-q", "main")
    return Repo(tmp_path / "origin").clone(tmp_path / "repo")


def _write(repo: Repo, text: str) -> Answered:
    return claude(repo, "Write", {"file_path": str(repo.path / "src/new.py"), "content": text})


def test_a_write_starts_one_process(repo: Repo, started: Started) -> None:
    assert _write(repo, "def load(path):\n    pass\n").code == 0  # reads the base
    started()
    for text, code in (("def load(path):\n    pass\n", 0), (f"# for {COINED} Ltd\n", 2)):
        assert _write(repo, text).code == code
        assert len(started()) == 1


def test_what_is_not_judged_starts_none(repo: Repo, started: Started, tmp_path: Path) -> None:
    assert claude(repo, "Read", {"file_path": str(repo.path / "a.py")}).code == 0
    elsewhere = {"file_path": str(tmp_path / "a.py"), "content": f"# for {COINED} Ltd\n"}
    assert claude(repo, "Write", elsewhere).code == 0
    assert started() == []


def test_questions_that_were_begun_for_nothing_leave_no_process(repo: Repo, tmp_path: Path) -> None:
    before = psutil.Process().children()
    with Repository(repo.path, judged=True):
        assert len(psutil.Process().children()) > len(before)
    with pytest.raises(RepositoryError, match="not a git repository"):
        Repository(tmp_path, judged=True)
    (repo.path / ".git" / "orgguard").write_text("in the way")
    with pytest.raises(RepositoryError, match="own directory"):
        Guard(repo.path)
    assert psutil.Process().children() == before


def test_a_repository_without_git_cannot_be_judged(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RepositoryError, match="git is not installed"):
        Repository(repo.path, judged=True)
