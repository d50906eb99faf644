"""The ledger's file: what it refuses by itself, its formats, and files that cannot be used."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Scope
from orgguard_mcp.names import parse
from orgguard_mcp.storage import ledger as engine
from orgguard_mcp.storage.ledger import Ledger
from tests.ledgers import SPAWN, InFile, alter, an_ask, answer, ask
from tests.names import COINED, COINED_TOO, THIRD
from tests.simulator import Repo


@pytest.fixture
def place(path: Path) -> InFile:
    """These are about the file."""
    return InFile(path)


def test_a_name_that_nobody_knew_is_known_as_soon_as_somebody_else_commits(
    ledger: Ledger, path: Path
) -> None:
    key = parse(COINED).key
    for one in (COINED, COINED_TOO):
        assert not ledger.decisions(parse(one).key)
        assert ledger.open_request(parse(one).key) is None
    with closing(Ledger(path)) as other:
        request = ask(other)
        assert ledger.open_request(key) == request
        assert not ledger.decisions(key)
        refused = other.decide(answer(request, Answer.REFUSE))
    assert ledger.decisions(key) == [refused]
    assert ledger.open_request(key) is None
    alter(path, "DROP TRIGGER decision_is_final")
    alter(path, f"UPDATE decision SET key = '{parse(COINED_TOO).key}'")
    with pytest.raises(LedgerError):
        ledger.decisions(parse(COINED_TOO).key)


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


def test_file_stays_small_whatever_is_asked(ledger: Ledger, path: Path) -> None:
    long = "x" * 1_000_000
    ask(ledger, COINED, Ask(long, long, long, Asker(long, 1, 2.0), 3.0, long, long))
    ledger.close()
    assert path.stat().st_size < 200_000


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


def test_an_id_that_is_taken_is_not_given_out_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter(["0000000a", "0000000a", "0000000b"])
    monkeypatch.setattr("orgguard_mcp.storage.store.secrets.token_hex", lambda _: next(ids))
    with closing(Ledger(path)) as ledger:
        assert [ask(ledger, name).id for name in (COINED, COINED_TOO)] == ["0000000a", "0000000b"]
