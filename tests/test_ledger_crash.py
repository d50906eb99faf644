"""The ledger under kill -9 and on a full disk: what was acknowledged is there, and nothing else."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.model import Answer, Request
from orgguard_mcp.storage.ledger import Ledger
from orgguard_mcp.storage.store import MAX_OPEN
from tests.ledgers import SPAWN, an_ask, answer, ask
from tests.names import COINED, COINED_TOO, THIRD

KILLS = 60


def _write_for_ever(path: Path, acknowledge: int, child: int) -> None:
    """Ask and decide, and say so only after each commit: `? id` asked, `! id` decided."""
    ledger = Ledger(path)
    many = [an_ask(f"{place:02}" * 1000) for place in range(20)]  # one commit writes many pages
    number = 0
    while True:
        number += 1
        request = ask(ledger, f"{COINED} {child}x{number}", *many)
        os.write(acknowledge, f"? {request.id}\n".encode())
        ledger.decide(answer(request, Answer.GRANT))
        os.write(acknowledge, f"! {request.id}\n".encode())


def _killed_writer(path: Path, child: int, chance: random.Random) -> list[str]:
    """What a child acknowledged before it was killed at a random instant."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            _write_for_ever(path, writing, child)
        finally:
            os._exit(1)  # never back into pytest
    os.close(writing)
    with os.fdopen(reading) as lines:
        said = [lines.readline() for _ in range(chance.randrange(12))]
        until = time.perf_counter() + chance.random() * 0.01
        while time.perf_counter() < until:
            pass  # somewhere within the child's next commits
        os.kill(pid, signal.SIGKILL)
        said += lines.readlines()
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    return [line for line in said if line.endswith("\n")]


def test_killed_writers_lose_nothing_that_they_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    chance = random.Random(20260102)  # noqa: S311
    said: list[str] = []
    for child in range(KILLS):
        said += _killed_writer(path, child, chance)
        with sqlite3.connect(path) as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            asked = {f"? {row[0]}\n" for row in file.execute("SELECT id FROM request")}
            decided = {f"! {row[0]}\n" for row in file.execute("SELECT request_id FROM decision")}
        file.close()
        ledger = Ledger(path)
        ledger.verify()
        ledger.close()
        assert set(said) <= asked | decided
        assert len(asked | decided) - len(set(said)) <= child + 1  # a commit not yet said, each
    assert sum(line.startswith("!") for line in said) > KILLS


def _ask_and_leave(path: Path) -> None:
    ledger = Ledger(path)
    ask(ledger, COINED_TOO)
    ledger.close()


def test_second_opening_in_one_process_does_not_drop_the_firsts_locks(tmp_path: Path) -> None:
    """Closing any descriptor of a file drops a process's POSIX locks on it: without them the next
    process to leave takes itself for the last one, and deletes the log that the first writes to.
    """
    path = tmp_path / "ledger.sqlite3"
    first, second = Ledger(path), Ledger(path)
    ask(first, COINED)
    other = SPAWN.Process(target=_ask_and_leave, args=(path,), daemon=True)
    other.start()
    other.join()
    acknowledged = ask(first, THIRD)
    with sqlite3.connect(path) as file:
        stored = {row[0] for row in file.execute("SELECT id FROM request")}
    file.close()
    assert acknowledged.id in stored
    assert len(stored) == 3
    first.close()
    second.close()


# --- a full disk ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a file system can be mounted by root only")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


def decide_until_it_fails(
    ledger: Ledger, requests: list[Request]
) -> tuple[int, LedgerError | None]:
    """How many grants were acknowledged, and the error that ended them."""
    for number, request in enumerate(requests):
        try:
            ledger.decide(answer(request, Answer.GRANT))
        except LedgerError as error:
            return number, error
    return len(requests), None


def test_full_disk_grants_nothing_and_loses_nothing(small_disk: Path) -> None:
    path = small_disk / "ledger.sqlite3"
    ledger = Ledger(path)
    requests = [ask(ledger, f"{COINED} {number}") for number in range(40)]
    ballast = fill(small_disk)
    granted, error = decide_until_it_fails(ledger, requests)
    assert error is not None
    assert error.message.startswith("nothing was granted")
    assert "free disk space" in error.hint
    for held in (ledger, Ledger(path)):
        assert len(held.decisions()) == granted < len(requests)
        assert held.decision_on(requests[granted].id) is None
        assert {request.id for request in held.pending()} == {r.id for r in requests[granted:]}
    with pytest.raises(LedgerError):
        ask(ledger, COINED, *(an_ask(f"{place:02}" * 1000) for place in range(20)))
    ballast.unlink()
    assert decide_until_it_fails(ledger, requests[granted:]) == (len(requests) - granted, None)
    ledger.close()


def test_file_cannot_be_made_on_a_full_disk(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(LedgerError) as caught:
        Ledger(small_disk / "ledger.sqlite3")
    assert caught.value.hint


def test_file_that_may_not_grow_grants_nothing_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path)
    requests = [ask(ledger, f"{COINED} {n}", an_ask(pid=n)) for n in range(1, MAX_OPEN + 1)]
    ledger.close()
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (96 << 10, 96 << 10))
            granted, error = decide_until_it_fails(Ledger(path), requests)
            hint = error.hint if error else "no error"
            os.write(writing, f"{granted}\n{hint}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        told, hint = lines.read().splitlines()
    os.waitpid(pid, 0)
    assert hint not in {"", "no error"}
    reopened = Ledger(path)
    assert len(reopened.decisions()) == int(told) < len(requests)
    assert len(reopened.pending()) == len(requests) - int(told)
    reopened.close()
