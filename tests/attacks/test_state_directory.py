"""Attacks on where the state lies: other users of the machine, and what was put there before."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orgguard_mcp.errors import LedgerError, RepositoryError
from orgguard_mcp.repository import Repository, private
from orgguard_mcp.storage.ledger import Ledger
from tests.ledgers import ask
from tests.names import COINED
from tests.simulator import Repo

NOBODY = 65534
COMPANIONS = ["", "-wal", "-shm", "-journal"]


def foreign(made: Path, standing: str) -> Path:
    """Something that is another user's: *made* given away, which only root can do; else
    *standing*, which is root's.
    """
    if os.geteuid():
        return Path(standing)
    os.chown(made, NOBODY, NOBODY)
    return made


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Path:
    return make_repo({"a.py": "1\n"}).path


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_state_is_not_kept_behind_a_link(repo: Path, tmp_path: Path, target: str) -> None:
    """Whoever can write the git directory once points the state at a directory that others see:
    nothing is written there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (repo / ".git" / "orgguard").symlink_to(tmp_path / target)
    with Repository(repo) as opened, pytest.raises(RepositoryError) as caught:
        _ = opened.state_dir
    assert "symbolic link" in caught.value.cause
    assert caught.value.hint
    assert list(elsewhere.iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_file_in_the_place_of_the_directory_is_an_error(repo: Path) -> None:
    """Something else lies where the state belongs: it is left alone."""
    (repo / ".git" / "orgguard").write_text("mine")
    with Repository(repo) as opened, pytest.raises(RepositoryError) as caught:
        _ = opened.state_dir
    assert caught.value.hint
    assert (repo / ".git" / "orgguard").read_text() == "mine"


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o705, 0o740, 0o701])
def test_directory_open_to_others_is_closed_to_them(repo: Path, mode: int) -> None:
    """Another user could read or exchange the files in a directory that was made with other
    rights: it is made private before anything is read from it."""
    state = repo / ".git" / "orgguard"
    state.mkdir()
    state.chmod(mode)
    with Repository(repo) as opened:
        assert opened.state_dir == state
    assert state.stat().st_mode & 0o7777 == 0o700


def test_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    """Another user made the directory beforehand and can exchange what is in it."""
    made = tmp_path / "orgguard"
    made.mkdir(mode=0o777)
    directory = foreign(made, "/")
    before = directory.stat().st_mode
    with pytest.raises(RepositoryError) as caught:
        private(directory)
    assert "another user" in caught.value.message
    assert caught.value.hint
    assert directory.stat().st_mode == before


# --- the queue's file -----------------------------------------------------------------------------


@pytest.mark.parametrize("companion", COMPANIONS)
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_queue_behind_a_link_is_refused(tmp_path: Path, companion: str, there: bool) -> None:
    """Whoever could write the directory once left a link in the place of the queue, or of a file
    that SQLite keeps beside it: what it points at stays as it is."""
    path, target = tmp_path / "ledger.sqlite3", tmp_path / "target"
    if there:
        target.write_bytes(b"precious")
    path.with_name(path.name + companion).symlink_to(target)
    with pytest.raises(LedgerError) as caught:
        Ledger(path)
    assert "symbolic link" in caught.value.cause
    assert caught.value.hint
    assert target.exists() == there
    assert not there or target.read_bytes() == b"precious"


def test_queue_of_another_user_is_refused(tmp_path: Path) -> None:
    """Another user left a queue in which the answers are already given."""
    made = tmp_path / "ledger.sqlite3"
    with closing(Ledger(made)) as ledger:
        ask(ledger, COINED)
    path = foreign(made, "/etc/passwd")
    before = path.stat().st_mode, path.read_bytes()
    with pytest.raises(LedgerError) as caught:
        Ledger(path)
    assert "another user" in caught.value.cause
    assert (path.stat().st_mode, path.read_bytes()) == before


def test_queue_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    """Another user could read the names in a file that was copied back with other rights."""
    path = tmp_path / "ledger.sqlite3"
    with closing(Ledger(path)) as ledger:
        request = ask(ledger)
        for companion in COMPANIONS[:3]:
            path.with_name(path.name + companion).chmod(0o666)
        with closing(Ledger(path)) as again:
            assert again.pending() == [request]
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(
        ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"), 0o600
    )
