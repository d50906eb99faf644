"""The ledger: append-only, the first decision wins, and nothing acknowledged is ever lost."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Base, Basis, Decision, Effect, Request, Scope
from orgguard_mcp.names import parse
from orgguard_mcp.storage import ledger as engine
from orgguard_mcp.storage.ledger import MAX_ASKS, Ledger
from tests.names import COINED, COINED_TOO
from tests.simulator import Repo

SPAWN = multiprocessing.get_context("spawn")
BASE = Base("0" * 40, "a test")
DAY = 86400.0


def an_ask(where: str = "src/a.py:7", label: str = "client") -> Ask:
    return Ask(where, "an excerpt", "a purpose", Asker(label, 1, 2.0), time.time())


def ask(ledger: Ledger, name: str = COINED, *asks: Ask, lapse: float = DAY) -> Request:
    return ledger.ask(parse(name), BASE, asks or [an_ask()], lapse)


def answer(request: Request, given: Answer, by: str = "somebody") -> Decision:
    return Decision(request.id, request.name.key, given, Scope(), "", "test", by, time.time())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path)
    yield opened
    opened.close()


def alter(path: Path, statement: str) -> None:
    """Change the file behind the ledger's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(statement)
    finally:
        connection.close()


# --- append-only ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decision SET answer = 'grant'",
        "UPDATE OR REPLACE decision SET answer = 'grant'",
        "UPDATE decision SET key = 'other'",
        "DELETE FROM decision",
        "REPLACE INTO decision SELECT seq, request_id, key, 'grant', scope, reason, channel,"
        " decided_by, decided_at FROM decision",
        "REPLACE INTO decision (request_id, key, answer, scope, reason, channel, decided_by,"
        " decided_at) SELECT request_id, key, 'grant', scope, reason, channel, decided_by,"
        " decided_at FROM decision",
    ],
)
def test_file_itself_refuses_to_change_or_drop_a_decision(
    ledger: Ledger, path: Path, statement: str
) -> None:
    request = ask(ledger)
    refused = ledger.decide(answer(request, Answer.REFUSE))
    with pytest.raises(sqlite3.IntegrityError):
        alter(path, statement)
    assert ledger.decisions() == [refused]


def test_decisions_of_one_request_follow_each_other_in_one_order_only(ledger: Ledger) -> None:
    request = ask(ledger)
    granted = ledger.decide(answer(request, Answer.GRANT))
    assert ledger.decide(answer(request, Answer.REFUSE)) == granted
    withdrawn = ledger.decide(answer(request, Answer.WITHDRAW))
    assert ledger.decide(answer(request, Answer.GRANT)) == withdrawn
    assert ledger.decisions(parse(COINED).key) == [granted, withdrawn]
    assert ledger.decision_on(request.id) == granted


def test_decision_on_a_request_that_does_not_exist_is_refused(ledger: Ledger) -> None:
    stray = answer(Request("feed", parse(COINED), BASE, 0, 0, ()), Answer.GRANT)
    with pytest.raises(LedgerError) as caught:
        ledger.decide(stray)
    assert "damaged" not in caught.value.hint  # the file is well
    assert ledger.decisions() == []


# --- the first decision wins ----------------------------------------------------------------------


def test_of_many_threads_one_decision_stands_and_all_are_told_which(ledger: Ledger) -> None:
    requests = [ask(ledger, f"{COINED} {letter}{letter}{letter}") for letter in "abcdefgh"]
    answers = [
        answer(request, given, f"{given} {number}")
        for request in requests
        for number in range(8)
        for given in (Answer.GRANT, Answer.REFUSE)
    ]
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(ledger.decide, answers))
    stands = {request.id: ledger.decision_on(request.id) for request in requests}
    assert [stands[given.request_id] for given in answers] == told
    assert len(ledger.decisions()) == len(requests)


def _decide(path: Path, request: Request, at_once: Any, told: Any) -> None:  # noqa: ANN401
    ledger = Ledger(path)
    given = Answer.GRANT if os.getpid() % 2 else Answer.REFUSE
    at_once.wait()
    told.put(ledger.decide(answer(request, given, f"process {os.getpid()}")))
    ledger.close()


def test_of_many_processes_one_decision_stands_and_all_are_told_which(
    ledger: Ledger, path: Path
) -> None:
    request = ask(ledger)
    at_once, told = SPAWN.Barrier(6), SPAWN.Queue()
    children = [
        SPAWN.Process(target=_decide, args=(path, request, at_once, told), daemon=True)
        for _ in range(6)
    ]
    for child in children:
        child.start()
    answers = [told.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    assert answers == ledger.decisions() * 6
    assert len(ledger.decisions()) == 1


def _open_and_ask(directory: Path, at_once: Any, told: Any) -> None:  # noqa: ANN401
    for number in range(20):
        at_once.wait()
        try:
            ledger = Ledger(directory / f"{number}.sqlite3")
            told.put(ask(ledger, COINED, an_ask(label=str(os.getpid()))).id)
            ledger.close()
        except LedgerError as error:
            told.put(error.cause)


def test_processes_that_make_the_file_at_once_join_one_request(tmp_path: Path) -> None:
    at_once, told = SPAWN.Barrier(4), SPAWN.Queue()
    children = [
        SPAWN.Process(target=_open_and_ask, args=(tmp_path, at_once, told), daemon=True)
        for _ in range(4)
    ]
    for child in children:
        child.start()
    answers = [told.get(timeout=60) for _ in range(80)]
    for child in children:
        child.join()
    stored = []
    for number in range(20):
        ledger = Ledger(tmp_path / f"{number}.sqlite3")
        stored += [request.id for request in ledger.pending() for _ in request.asks]
        ledger.close()
    assert sorted(answers) == sorted(stored)


# --- the queue ------------------------------------------------------------------------------------


def test_asking_twice_joins_one_request(ledger: Ledger) -> None:
    first = ask(ledger, COINED)
    again = ask(ledger, f"{COINED.upper()} GmbH", an_ask("src/b.py:1"), an_ask())
    assert again.id == first.id
    assert [request.id for request in ledger.pending()] == [first.id]
    assert [given.where for given in again.asks] == ["src/a.py:7", "src/b.py:1"]
    assert ask(ledger, COINED_TOO).id != first.id


def test_request_keeps_a_bounded_number_of_places(ledger: Ledger) -> None:
    request = ask(ledger, COINED, *(an_ask(f"f{n}.py") for n in range(MAX_ASKS + 5)))
    assert len(request.asks) == MAX_ASKS


def test_request_lapses_and_asking_again_opens_another(ledger: Ledger) -> None:
    lapsed = ask(ledger, lapse=0)
    assert ledger.pending() == []
    assert ledger.open_request(parse(COINED).key) is None
    again = ask(ledger)
    assert again.id != lapsed.id
    assert ledger.pending() == [again]


def test_lapsed_request_leaves_the_name_unknown(make_repo: Callable[..., Repo]) -> None:
    with Guard(make_repo({"a.py": "1\n"}).path) as guard:
        guard.ledger.ask(parse(COINED), guard.base, [an_ask()], 0)
        verdict = guard.check(COINED)
    assert (verdict.basis, verdict.effect) == (Basis.UNKNOWN, Effect.ASK)


def test_decided_request_is_open_no_more(ledger: Ledger) -> None:
    request = ask(ledger)
    ledger.decide(answer(request, Answer.REFUSE))
    assert ledger.pending() == []
    assert ask(ledger).id != request.id


def test_state_is_private_whatever_the_umask(make_repo: Callable[..., Repo]) -> None:
    before = os.umask(0)
    try:
        with Guard(make_repo({"a.py": "1\n"}).path) as guard:
            guard.request(COINED, [an_ask()])
            state = guard.repository.state_dir
            modes = {file.name: file.stat().st_mode & 0o777 for file in state.iterdir()}
    finally:
        os.umask(before)
    assert state.stat().st_mode & 0o777 == 0o700
    assert {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"} <= set(modes)
    assert set(modes.values()) == {0o600}


# --- files that cannot be used --------------------------------------------------------------------


def test_locked_file_is_an_error_that_says_what_to_do(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(ledger)
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    waiting = Ledger(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    grant = answer(request, Answer.GRANT)
    for write in (lambda: ask(waiting, COINED_TOO), lambda: waiting.decide(grant)):
        with pytest.raises(LedgerError) as caught:
            write()
        assert "another process holds the queue" in caught.value.hint
        assert caught.value.message.startswith("nothing was granted")
    assert waiting.decisions() == []
    holder.execute("ROLLBACK")
    holder.close()
    assert waiting.decide(grant) == ledger.decision_on(request.id) == grant
    waiting.close()


@pytest.mark.parametrize("content", [b"no database\n" * 500, b"SQLite format 3\0" + bytes(4080)])
def test_damaged_file_is_an_error_and_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerError) as caught:
        Ledger(path)
    assert caught.value.hint
    assert path.read_bytes() == content


def test_file_cut_short_is_an_error_at_the_latest_when_it_is_read(
    ledger: Ledger, path: Path
) -> None:
    for number in range(30):
        ask(ledger, f"{COINED} {number}")
    ledger.close()
    path.write_bytes(path.read_bytes()[:8192])
    with pytest.raises(LedgerError) as caught:
        ask(Ledger(path))
    assert "damaged" in caught.value.hint


@pytest.mark.parametrize("values", ["'maybe', '[]'", "'grant', '{'", "'grant', '7'"])
def test_decision_that_cannot_be_read_is_an_error_never_a_crash(
    ledger: Ledger, path: Path, values: str
) -> None:
    request = ask(ledger)
    alter(path, "INSERT INTO decision (request_id, key, answer, scope, reason, channel, decided_by,"
        f" decided_at) VALUES ('{request.id}', '{request.name.key}', {values}, '', '', '', 0)",
    )  # fmt: skip
    with pytest.raises(LedgerError) as caught:
        ledger.decisions()
    assert caught.value.hint


def test_file_of_a_newer_version_is_left_alone(ledger: Ledger, path: Path) -> None:
    request = ask(ledger)
    ledger.close()
    alter(path, "PRAGMA user_version = 2")
    with pytest.raises(LedgerError) as caught:
        Ledger(path)
    assert "upgrade" in caught.value.hint
    alter(path, "PRAGMA user_version = 1")
    assert Ledger(path).pending() == [request]


def test_unusable_ledger_lets_no_name_through(make_repo: Callable[..., Repo]) -> None:
    with Guard(make_repo({"a.py": "1\n"}).path) as guard:
        guard.prepare()
        (guard.repository.state_dir / "ledger.sqlite3").write_bytes(b"no database\n" * 500)
        with pytest.raises(LedgerError):
            guard.check(COINED)
