"""The ledger: append-only, the first decision wins, and nothing acknowledged is ever lost."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Base, Basis, Decision, Effect, Request, Scope
from orgguard_mcp.names import parse
from orgguard_mcp.storage import ledger as engine
from orgguard_mcp.storage.chain import EMPTY
from orgguard_mcp.storage.ledger import MAX_ASKS, MAX_WORDS, Ledger
from tests.names import COINED, COINED_TOO, THIRD
from tests.simulator import Repo

SPAWN = multiprocessing.get_context("spawn")
BASE = Base("0" * 40, "a test")
DAY = 86400.0


def an_ask(where: str = "src/a.py:7", label: str = "client", pid: int = 1) -> Ask:
    asker = Asker(label, pid, 2.0)
    return Ask(where, "an excerpt", "a purpose", asker, time.time(), "/home/a/tree", "feature")


def ask(ledger: Ledger, name: str = COINED, *asks: Ask, lapse: float = DAY) -> Request:
    return ledger.ask(parse(name), BASE, asks or [an_ask()], lapse)


def answer(
    request: Request, given: Answer, by: str = "somebody", scope: Scope | None = None
) -> Decision:
    return Decision(
        request.id, request.name.key, given, scope or Scope(), "", "test", by, time.time()
    )


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


def test_texts_of_a_question_are_kept_to_a_length_and_marked(ledger: Ledger, path: Path) -> None:
    long = "x" * 1_000_000
    endless = Ask(long, long, long, Asker(long, 1, 2.0), 3.0, long, long)
    request = ask(ledger, COINED, endless)
    (kept,) = request.asks
    cut = f"{long[:MAX_WORDS]}… (998000 characters cut)"
    assert kept == Ask(cut, cut, cut, Asker(cut, 1, 2.0), 3.0, cut, cut)
    named = replace(parse(COINED_TOO), surface=long)
    assert len(ledger.ask(named, BASE, [endless], DAY).name.surface) < 300
    assert ask(ledger, COINED, endless).asks == (kept,)
    ledger.close()
    assert path.stat().st_size < 200_000


def test_question_keeps_where_it_was_asked_from(ledger: Ledger) -> None:
    here = an_ask()
    places = (here, replace(here, branch="other"), replace(here, worktree="/home/a/other"))
    assert ask(ledger, COINED, *places, here).asks == places


@pytest.mark.parametrize(
    "scope", [Scope(), Scope(("src/a.py", "b é.py")), Scope(branch="feature/x")]
)
def test_scope_of_a_decision_is_kept(ledger: Ledger, scope: Scope) -> None:
    given = answer(ask(ledger), Answer.GRANT, scope=scope)
    ledger.decide(given)
    assert ledger.decisions() == [given]


# --- signed grants --------------------------------------------------------------------------------


def test_signed_grants_are_kept_in_order_and_may_be_renewed(ledger: Ledger) -> None:
    first, second = ask(ledger), ask(ledger, COINED_TOO)
    assert ledger.attached() == []
    for request, text in ((first, "one"), (second, "two"), (first, "three")):
        ledger.attach(request.id, text)
    assert ledger.attached() == [(first.id, "one"), (second.id, "two"), (first.id, "three")]
    with pytest.raises(LedgerError):
        ledger.attach("feed", "four")
    assert len(ledger.attached()) == 3


def test_grant_is_attached_only_to_the_decision_that_stands(ledger: Ledger) -> None:
    request = ask(ledger)
    ledger.decide(answer(request, Answer.GRANT), grant="the first")
    ledger.decide(answer(request, Answer.GRANT, "somebody else"), grant="too late")
    assert ledger.attached() == [(request.id, "the first")]


def test_grant_that_cannot_be_stored_leaves_no_decision(ledger: Ledger) -> None:
    request = ask(ledger)
    with pytest.raises(LedgerError):
        ledger.decide(answer(request, Answer.GRANT), grant="\ud800")
    assert ledger.decisions() == []
    ledger.verify()


# --- the chain ------------------------------------------------------------------------------------


def test_head_moves_with_everything_that_is_added_and_is_an_anchor_ever_after(
    ledger: Ledger,
) -> None:
    heads = [ledger.head()]
    request = ask(ledger)
    for add in (
        lambda: ask(ledger, COINED, an_ask("src/b.py:1")),
        lambda: ledger.decide(answer(request, Answer.GRANT)),
        lambda: ledger.attach(request.id, "a grant"),
        lambda: ledger.decide(answer(request, Answer.WITHDRAW)),
    ):
        heads.append(ledger.head())
        add()
    heads.append(ledger.head())
    assert heads[0] == EMPTY
    assert len(set(heads)) == len(heads)
    ledger.verify(heads)
    with pytest.raises(LedgerError):
        ledger.verify([*heads, "f" * 64])


def test_asking_the_same_again_adds_nothing_to_the_log(ledger: Ledger) -> None:
    ask(ledger, COINED, an_ask(pid=7))
    head = ledger.head()
    again = ask(ledger, COINED, an_ask(pid=8))
    assert again.asks[0].asker.pid == 8
    assert ledger.head() == head
    ledger.verify()


# --- a file of format 1 ---------------------------------------------------------------------------


@pytest.fixture
def old(path: Path) -> Path:
    """A file that the first release wrote: a grant, a refusal taken back, an open question."""
    with closing(sqlite3.connect(path)) as file:
        file.executescript((Path(__file__).parent / "golden" / "ledger_format_1.sql").read_text())
    return path


def test_file_of_format_1_keeps_its_questions_and_decisions_and_gets_its_chain(old: Path) -> None:
    ledger = Ledger(old)
    grant, refusal, withdrawal = ledger.decisions()
    assert (grant.answer, grant.scope) == (Answer.GRANT, Scope(("src/a.py", "src/b.py")))
    assert (refusal.answer, refusal.scope, refusal.reason) == (Answer.REFUSE, Scope(), "not yet")
    assert (withdrawal.answer, withdrawal.request_id) == (Answer.WITHDRAW, refusal.request_id)
    assert [given.where for given in ledger.request(grant.request_id).asks] == [
        "src/a.py:7", "src/b.py:1",
    ]  # fmt: skip
    (waiting,) = ledger.pending()
    asker = Asker("client 1.0", 77, 1767000000.5)
    assert waiting.name == parse(THIRD)
    assert waiting.asks == (
        Ask("docs/c.md:3", "an excerpt", "a purpose", asker, 1767323340.25, "", ""),
    )
    head = ledger.head()
    ledger.decide(answer(waiting, Answer.GRANT))
    ledger.close()
    reopened = Ledger(old)
    reopened.verify([head])
    assert [d.answer for d in reopened.decisions(parse(THIRD).key)] == [Answer.GRANT]
    reopened.close()


def _open(path: Path, at_once: Any, told: Any) -> None:  # noqa: ANN401
    at_once.wait()
    ledger = Ledger(path)
    ledger.verify()
    told.put(ledger.head())
    ledger.close()


def test_processes_that_find_format_1_at_once_give_it_one_chain(old: Path) -> None:
    at_once, told = SPAWN.Barrier(4), SPAWN.Queue()
    children = [
        SPAWN.Process(target=_open, args=(old, at_once, told), daemon=True) for _ in range(4)
    ]
    for child in children:
        child.start()
    heads = {told.get(timeout=60) for _ in children}
    for child in children:
        child.join()
    assert len(heads) == 1
    with closing(sqlite3.connect(old)) as file:
        assert file.execute("SELECT count(*) FROM entry").fetchone() == (10,)


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


@pytest.mark.parametrize(
    "values", ["'maybe', '[]'", "'grant', '{'", "'grant', '7'", "'grant', '{}'"]
)
def test_decision_that_cannot_be_read_is_an_error_never_a_crash(
    ledger: Ledger, values: str
) -> None:
    request = ask(ledger)
    ledger._db.execute(
        "INSERT INTO decision (request_id, key, answer, scope, reason, channel, decided_by,"
        f" decided_at) VALUES ('{request.id}', '{request.name.key}', {values}, '', '', '', 0)",
    )
    ledger._chain.append("decision", 1)
    with pytest.raises(LedgerError) as caught:
        ledger.decisions()
    assert "damaged" in caught.value.hint


def test_file_of_a_newer_version_is_left_alone(ledger: Ledger, path: Path) -> None:
    request = ask(ledger)
    ledger.close()
    alter(path, "PRAGMA user_version = 3")
    with pytest.raises(LedgerError) as caught:
        Ledger(path)
    assert "upgrade" in caught.value.hint
    alter(path, "PRAGMA user_version = 2")
    assert Ledger(path).pending() == [request]


def test_unusable_ledger_lets_no_name_through(make_repo: Callable[..., Repo]) -> None:
    with Guard(make_repo({"a.py": "1\n"}).path) as guard:
        guard.prepare()
        (guard.repository.state_dir / "ledger.sqlite3").write_bytes(b"no database\n" * 500)
        with pytest.raises(LedgerError):
            guard.check(COINED)
