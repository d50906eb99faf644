"""A base of which this clone lacks files: what is there counts, what is missing says nothing."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Basis, Effect, Verdict
from orgguard_mcp.policy import PATH as POLICY
from tests.names import COINED, COINED_TOO, FOURTH, THIRD
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
BIG = "".join(f"{n}\n" for n in range(3000))


def check(repo: Repo, name: str) -> Verdict:
    with Guard(repo.path) as guard:
        return guard.check(name)


def loose(repo: Repo, path: str) -> Path:
    oid = repo.git("rev-parse", f"HEAD:{path}")
    return repo.path / ".git" / "objects" / oid[:2] / oid[2:]


def moved(repo: Repo, text: str) -> None:
    """A commit with *text* in `a.py`, whatever is missing."""
    (repo.path / "a.py").write_text(text)
    repo.git("add", "a.py")
    tree = repo.git("write-tree", "--missing-ok")
    repo.git("reset", "-q", "--soft", repo.git("commit-tree", tree, "-p", "HEAD", "-m", "more"))


@pytest.fixture(params=["incomplete", "partial"])
def lacking(request: pytest.FixtureRequest, make_repo: MakeRepo, tmp_path: Path) -> Repo:
    """A clone without `big.md` and `FOURTH.bin`: a copy that lost them, a partial clone."""
    repo = make_repo(
        {
            "a.py": f"{COINED}\n", "b.py": f"{THIRD}\n", "c.py": "3\n",
            "big.md": f"{COINED_TOO}\n{BIG}", f"{FOURTH}.bin": BIG,
        }
    )  # fmt: skip
    if request.param == "incomplete":
        for path in ("big.md", f"{FOURTH}.bin"):
            loose(repo, path).unlink()
        return repo
    repo.git("config", "uploadpack.allowFilter", "true")
    return repo.clone(tmp_path / "partial", "--filter=blob:limit=1k", "--no-checkout")


@pytest.mark.parametrize("name", [COINED, THIRD])
def test_files_that_are_there_establish_names(lacking: Repo, name: str) -> None:
    assert check(lacking, name).basis is Basis.ESTABLISHED


def test_missing_files_establish_nothing_and_are_counted(lacking: Repo) -> None:
    verdict = check(lacking, COINED_TOO)
    assert verdict.effect is Effect.ASK
    assert "5 files (not read: 2 missing files)" in verdict.why


def test_path_of_a_missing_file_establishes_nothing(lacking: Repo) -> None:
    assert check(lacking, FOURTH).effect is Effect.ASK


def test_holdings_are_those_of_the_files_that_are_there(lacking: Repo) -> None:
    with Guard(lacking.path) as guard:
        assert set(guard.holdings([COINED.casefold(), COINED_TOO.casefold()])) == {
            COINED.casefold()
        }


def test_nothing_is_left_behind(
    lacking: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with Guard(lacking.path) as guard:
        guard.check(FOURTH)
        guard.repository.close()  # and it can be used again
        assert guard.check(COINED).basis is Basis.ESTABLISHED
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_was_missing_is_read_when_it_comes(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n", "b.py": f"{COINED}\n", "c.py": f"{THIRD}\n", "d.py": "4\n"})
    kept = {path: loose(repo, path).read_bytes() for path in ("b.py", "c.py")}
    for path in kept:
        loose(repo, path).unlink()
    assert check(repo, COINED).effect is check(repo, THIRD).effect is Effect.ASK
    loose(repo, "b.py").write_bytes(kept["b.py"])
    assert check(repo, COINED).basis is Basis.ESTABLISHED
    assert "1 missing file)" in check(repo, THIRD).why
    loose(repo, "c.py").write_bytes(kept["c.py"])
    assert check(repo, THIRD).basis is Basis.ESTABLISHED
    assert "missing" not in check(repo, COINED_TOO).why


def test_base_that_lacks_files_may_move(make_repo: MakeRepo) -> None:
    repo = make_repo(
        {"a.py": "1\n", "b.py": f"{THIRD}\n", "c.py": f"{COINED_TOO}\n", "d.py": "4\n"}
    )
    kept = {path: loose(repo, path).read_bytes() for path in ("b.py", "c.py")}
    for path in kept:
        loose(repo, path).unlink()
    assert "4 files (not read: 2 missing files)" in check(repo, COINED).why
    moved(repo, f"{COINED}\n")
    assert check(repo, COINED).basis is Basis.ESTABLISHED
    assert "4 files (not read: 2 missing files)" in check(repo, FOURTH).why
    with closing(sqlite3.connect(repo.path / ".git" / "orgguard" / "index.sqlite3")) as cache:
        assert cache.execute("SELECT path FROM file WHERE since = 2").fetchall() == [(b"a.py",)]
    repo.git("rm", "-q", "--cached", "b.py")
    moved(repo, "5\n")
    assert "3 files (not read: 1 missing file)" in check(repo, FOURTH).why
    loose(repo, "c.py").write_bytes(kept["c.py"])
    moved(repo, "6\n")
    assert check(repo, COINED_TOO).basis is Basis.ESTABLISHED
    assert "missing" not in check(repo, FOURTH).why


def test_base_that_is_mostly_missing_could_not_be_checked(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": f"{COINED}\n", "b.py": "2\n", "c.py": "3\n"})
    for path in ("b.py", "c.py"):
        loose(repo, path).unlink()
    for _ in range(2):
        with pytest.raises(RepositoryError) as caught:
            check(repo, COINED)
        assert "2 of 3 files" in caught.value.cause
        assert "--refetch" in caught.value.hint


@pytest.mark.parametrize("path", [POLICY, ".gitattributes", "src/.gitattributes"])
def test_base_without_the_file_that_says_what_counts_could_not_be_checked(
    make_repo: MakeRepo, path: str
) -> None:
    repo = make_repo({"a.py": f"{COINED}\n", "b.py": "2\n", "src/c.py": "3\n", path: "\n"})
    loose(repo, path).unlink()
    with pytest.raises(RepositoryError) as caught:
        check(repo, COINED)
    assert path in caught.value.cause
