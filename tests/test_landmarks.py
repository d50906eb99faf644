"""Landmarks: whatever may move the base is seen by the very next call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orgguard_mcp import landmarks
from orgguard_mcp.landmarks import Landmarks
from orgguard_mcp.repository import Repository
from tests import names
from tests.agent import ERAS
from tests.simulator import Repo
from tests.test_server import serving, told


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repositories of tests are never older than a second."""
    monkeypatch.setattr(landmarks, "_SETTLED_SECONDS", 0)
    monkeypatch.setattr(landmarks, "_UNLOOKED_SECONDS", 0)


def _in_place(repo: Repo) -> None:
    repo.write({".git/refs/heads/main": f"{repo.git('rev-parse', 'other')}\n"})


def _user_setting(_: Repo) -> None:
    (Path.home() / ".gitconfig").write_text("[init]\ndefaultBranch = other\n")


def _unpacked(repo: Repo) -> None:
    repo.git("update-ref", "refs/heads/packed", "other")


MOVES: dict[str, Callable[[Repo], object]] = {
    "a commit": lambda repo: repo.commit({"b.py": "2\n"}),
    "another branch": lambda repo: repo.git("checkout", "-q", "other"),
    "a reference": lambda repo: repo.git("update-ref", "refs/heads/main", "other"),
    "a reference of a remote": lambda repo: repo.git(
        "update-ref", "refs/remotes/origin/main", "other"
    ),
    "a remote's default branch": lambda repo: repo.git(
        "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/old"
    ),
    "a new folder of references": lambda repo: repo.git("branch", "a/b/c"),
    "a packed reference unpacked": _unpacked,
    "a packed reference removed": lambda repo: repo.git("branch", "-D", "packed"),
    "references packed": lambda repo: repo.git("pack-refs", "--all"),
    "a reference written in place": _in_place,
    "a remote": lambda repo: repo.git("remote", "add", "upstream", "elsewhere"),
    "a setting of the user's": _user_setting,
    "a setting of the working tree's": lambda repo: repo.git(
        "config", "--worktree", "remote.origin.url", "elsewhere"
    ),
    "references packed by another program": lambda repo: repo.write(
        {".git/packed-refs": f"{repo.git('rev-parse', 'other')} refs/heads/packed\n"}
    ),
    "references in tables": lambda repo: repo.write({".git/reftable/tables.list": "0x1.ref\n"}),
    "what was fetched last": lambda repo: repo.git("fetch", "-q", ".", "other"),
    "where HEAD was": lambda repo: repo.git("update-ref", "ORIG_HEAD", "other"),
    "history cut off": lambda repo: repo.write({".git/shallow": repo.git("rev-parse", "main")}),
    "a tag": lambda repo: repo.git("tag", "origin/main"),
}


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    repo = make_repo({"a.py": "1\n"})
    repo.git("branch", "packed")
    repo.git("update-ref", "refs/remotes/origin/old", "main")
    repo.git("pack-refs", "--all")
    repo.git("checkout", "-q", "-b", "other")
    repo.commit({"c.py": "3\n"})
    repo.git("checkout", "-q", "main")
    repo.commit({"d.py": "4\n"})
    repo.git("config", "extensions.worktreeConfig", "true")
    return repo


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("move", MOVES)
def test_what_may_move_the_base_is_seen_at_once(repo: Repo, move: str) -> None:
    before = Landmarks(Repository(repo.path))
    assert not before.moved()
    MOVES[move](repo)
    assert before.moved()
    assert not Landmarks(Repository(repo.path)).moved()


@pytest.mark.usefixtures("settled")
def test_a_move_is_seen_from_another_working_tree(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", str(tmp_path / "tree"), "other")
    before = Landmarks(Repository(tmp_path / "tree"))
    assert not before.moved()
    repo.commit({"b.py": "2\n"})
    assert before.moved()
    before = Landmarks(Repository(tmp_path / "tree"))
    repo.git("-C", str(tmp_path / "tree"), "checkout", "-q", "--detach")
    assert before.moved()


@pytest.mark.usefixtures("settled")
def test_work_that_moves_nothing_is_no_move(repo: Repo) -> None:
    before = Landmarks(Repository(repo.path))
    repo.write({"a.py": "changed\n"})
    repo.git("add", "-A")
    repo.git("status")
    repo.git("hash-object", "-w", "a.py")
    assert not before.moved()


@pytest.mark.usefixtures("settled")
def test_what_moved_stays_moved(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Landmarks(Repository(repo.path))
    repo.commit({"b.py": "2\n"})
    assert before.moved()
    monkeypatch.setattr(landmarks, "_UNLOOKED_SECONDS", 3600)
    assert before.moved()


def test_a_place_that_may_change_within_its_own_timestamp_is_not_believed(repo: Repo) -> None:
    assert Landmarks(Repository(repo.path)).moved()


@pytest.mark.usefixtures("settled")
def test_landmarks_are_believed_for_a_while_only(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Landmarks(Repository(repo.path))
    assert not before.moved()
    monkeypatch.setattr(landmarks, "LASTING_SECONDS", 0)
    assert before.moved()


@pytest.mark.asyncio
@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("era", ERAS)
async def test_the_very_next_call_knows_a_moved_base(
    make_repo: Callable[..., Repo], era: str
) -> None:
    repo = make_repo({"a.py": "1\n"})
    async with serving(repo.path, era) as client:

        async def effect() -> str:
            result = await client.call_tool("check_name", {"name": names.COINED})
            return str(told(result)["effect"])

        first = repo.git("rev-parse", "main")
        assert [await effect(), await effect()] == ["ask", "ask"]
        repo.commit({"b.py": f"class {names.COINED}Client: ...\n"})
        assert [await effect(), await effect()] == ["allow", "allow"]
        repo.git("update-ref", "refs/heads/main", first)
        assert [await effect(), await effect()] == ["ask", "ask"]
