"""Bells lie where the agent's own user can write: what is put there in their place."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orgguard_mcp.model import Ask, Asker, Base, Basis
from orgguard_mcp.names import parse
from orgguard_mcp.storage.bell import FifoBell
from orgguard_mcp.storage.ledger import Ledger
from tests import names


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


def commit(ledger: Ledger, name: str = names.COINED) -> str:
    asks = [Ask("a.py:1", "", "", Asker(), 0.0)]
    return ledger.ask(parse(name), Base("0" * 40, "a test"), asks, 600).id


def test_a_file_or_link_in_place_of_a_bell_is_not_written_to(
    ledger: Ledger, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"kept")
    (tmp_path / "a.bell").symlink_to(target)
    (tmp_path / "b.bell").write_bytes(b"kept")
    (tmp_path / "c.bell").mkdir()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "d.bell").symlink_to(pipe)
    commit(ledger)
    assert (target.read_bytes(), (tmp_path / "b.bell").read_bytes()) == (b"kept", b"kept")
    assert select.select([heard], [], [], 0)[0] == []
    os.close(heard)


def test_a_bell_that_nobody_empties_holds_nobody_up(ledger: Ledger, tmp_path: Path) -> None:
    bell = FifoBell(tmp_path)
    writing = os.open(next(tmp_path.glob("*.bell")), os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"\0" * 4096)
    commit(ledger)
    assert select.select([bell], [], [], 0)[0] == [bell]
    os.close(writing)
    bell.close()


def test_a_forged_ring_decides_nothing(ledger: Ledger, tmp_path: Path) -> None:
    bell = FifoBell(tmp_path)
    request = commit(ledger)
    Path(next(tmp_path.glob("*.bell"))).write_bytes(f"{request} {Basis.CONSENTED}\n".encode())
    assert select.select([bell], [], [], 0)[0] == [bell]
    assert ledger.undecided([request]) == {request}
    assert ledger.decision_on(request) is None
    bell.close()


def test_a_bell_is_for_its_owner_alone_and_tells_nothing(ledger: Ledger, tmp_path: Path) -> None:
    bell = FifoBell(tmp_path)
    (path,) = tmp_path.glob("*.bell")
    assert path.stat().st_mode & 0o777 == 0o600
    commit(ledger)
    assert set(os.read(bell.fileno(), 4096)) == {0}
    assert names.COINED.lower() not in path.name.lower()
    bell.close()
