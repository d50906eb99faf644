"""Attacks on the queue's file, by programs with the user's own id.

Of what the file can stand, some is held elsewhere: two decisions that race, by threads and by
processes, in `test_ledger`; kills at any instant and full disks in `test_ledger_crash`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Effect, Request
from orgguard_mcp.names import parse
from orgguard_mcp.storage.chain import EMPTY, Chain
from orgguard_mcp.storage.ledger import Ledger
from tests.ledgers import SPAWN, InFile, alter, an_ask, answer, ask
from tests.names import COINED, COINED_TOO, THIRD
from tests.simulator import Repo

NAMES = (COINED, COINED_TOO, THIRD)
TABLES = ("request", "ask", "decision", "grant_file", "entry")
CHANGING = {"pid", "started", "asked_at"}


def outsider(path: Path, *statements: str) -> None:
    """Another program that first drops what would stop it: triggers, and indexes of unique rows."""
    guards = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql > ''"
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        for kind, name in file.execute(guards).fetchall():
            file.execute(f"DROP {kind} {name}")
        for statement in statements:
            assert file.execute(statement).rowcount != 0, "nothing was attacked"


def assert_told(error: LedgerError, *parts: str) -> None:
    """It says what was not done, why and what next, and no name."""
    said = "\n".join(error.lines())
    for part in ("nothing was granted", "move ", "signed grants", *parts):
        assert part in said
    assert not any(name.lower() in said.lower() for name in NAMES)


@pytest.fixture
def place(path: Path) -> InFile:
    """These are about the file."""
    return InFile(path)


@pytest.fixture
def refused(ledger: Ledger) -> Request:
    """A name that was granted, asked for again elsewhere, and refused."""
    granted = ask(ledger)
    ledger.decide(answer(granted, Answer.GRANT), grant="a signed text")
    request = ask(ledger)
    ledger.decide(answer(request, Answer.REFUSE))
    return request


# --- rows changed behind the ledger's back --------------------------------------------------------

FORGED_GRANT = (
    "INSERT INTO decision (request_id, key, answer, scope, reason, channel, decided_by, decided_at)"
    " SELECT id, key, 'grant', '[]', '', 'review', 'somebody', created_at FROM request"
)


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM decision WHERE answer = 'refuse'"],
        ["UPDATE decision SET answer = 'grant' WHERE answer = 'refuse'"],
        ["UPDATE decision SET key = key || 'x' WHERE answer = 'refuse'"],
        ["UPDATE decision SET scope = '[\"a.py\"]' WHERE answer = 'refuse'"],
        ["DELETE FROM decision WHERE seq = 2", "DELETE FROM entry WHERE kind = 'decision'"],
        [
            "DELETE FROM decision WHERE seq = 2",
            "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)",
        ],
        ["UPDATE entry SET digest = replace(digest, 'a', 'b')"],
        ["DELETE FROM entry"],
    ],
    ids=["deleted", "turned", "renamed", "narrowed", "unlogged", "cut off", "resealed", "no log"],
)
def test_refusal_deleted_or_edited_is_never_read_as_another_answer(
    ledger: Ledger, path: Path, refused: Request, statements: list[str]
) -> None:
    """A program with the user's id, through SQL: every reader of decisions must stop, not only the
    one who verifies the whole."""
    outsider(path, *statements)
    for read in (
        lambda: ledger.decisions(refused.name.key),
        lambda: ledger.decision_on(refused.id),
        lambda: ledger.decide(answer(refused, Answer.GRANT)),
        ledger.verify,
    ):
        with pytest.raises(LedgerError) as caught:
            read()
        assert_told(caught.value)


def test_withdrawal_deleted_does_not_bring_the_grant_back(
    make_repo: Callable[..., Repo],
) -> None:
    """A program with the user's id removes the newest decision: the name must not be allowed."""
    with Guard(make_repo({"a.py": "1\n"}).path) as guard:
        guard.request(COINED, [an_ask()])
        (request,) = guard.ledger.pending()
        guard.decide(request, Answer.GRANT, channel="test")
        assert guard.check(COINED).effect is Effect.ALLOW
        guard.decide(request, Answer.WITHDRAW, channel="test")
        assert guard.check(COINED).effect is Effect.ASK
        outsider(
            guard.repository.state_dir / "ledger.sqlite3",
            "DELETE FROM decision WHERE answer = 'withdraw'",
        )
        with pytest.raises(LedgerError) as caught:
            guard.check(COINED)
        assert_told(caught.value, "a decision of 2")


@pytest.mark.parametrize("logged", [False, True], ids=["alone", "with a made-up entry"])
def test_grant_row_inserted_allows_nothing(make_repo: Callable[..., Repo], logged: bool) -> None:
    """A program with the user's id writes the human's yes itself, without knowing the chain."""
    with Guard(make_repo({"a.py": "1\n"}).path) as guard:
        guard.request(COINED, [an_ask()])
        path = guard.repository.state_dir / "ledger.sqlite3"
        alter(path, FORGED_GRANT)  # no trigger stands in its way
        if logged:
            alter(path, "INSERT INTO entry (kind, row_seq, at, digest)"
                f" SELECT 'decision', 1, decided_at, '{'a' * 64}' FROM decision")  # fmt: skip
        with pytest.raises(LedgerError) as caught:
            guard.check(COINED)
        assert_told(caught.value, "a decision of 2")
        with pytest.raises(LedgerError):
            guard.ledger.verify()


def test_question_is_not_turned_into_one_about_another_name(ledger: Ledger, path: Path) -> None:
    """A program with the user's id edits an open question, so that the human who allows the name
    shown would allow another: no reader of questions may show it."""
    request = ask(ledger)
    outsider(path, f"UPDATE request SET key = '{parse(COINED_TOO).key}'")
    for read in (
        ledger.pending,
        lambda: ledger.request(request.id),
        lambda: ledger.open_request(parse(COINED_TOO).key),
        lambda: ask(ledger, COINED_TOO),
    ):
        with pytest.raises(LedgerError) as caught:
            read()
        assert_told(caught.value, "entry 1, a question of 2")


def test_words_of_an_agent_are_not_exchanged_before_the_human_reads_them(
    ledger: Ledger, path: Path
) -> None:
    """A program with the user's id makes an open question look harmless: it is not shown."""
    ask(ledger)
    outsider(path, "UPDATE ask SET place = 'tests/other.py:1'")
    with pytest.raises(LedgerError) as caught:
        ledger.pending()
    assert_told(caught.value, "entry 2, a place of a question")


def test_question_removed_with_its_entry_left_is_noticed(ledger: Ledger, path: Path) -> None:
    """A program with the user's id removes a question: the log still has it."""
    ask(ledger)
    ask(ledger, COINED_TOO)
    outsider(path, "DELETE FROM request WHERE seq = 1")
    with pytest.raises(LedgerError) as caught:
        ledger.verify()
    assert_told(caught.value, "entry 1, a question of 2", "missing")


def test_signed_grant_edited_or_added_is_not_handed_out(ledger: Ledger, path: Path) -> None:
    """A program with the user's id tampers with the texts that are kept for the tree."""
    request = ask(ledger)
    ledger.attach(request.id, "a text")
    outsider(path, "UPDATE grant_file SET text = 'another'")
    with pytest.raises(LedgerError) as caught:
        ledger.attached()
    assert_told(caught.value, "entry 3, a signed grant of 2")
    outsider(path, "UPDATE grant_file SET text = 'a text'")
    alter(
        path, f"INSERT INTO grant_file (request_id, text, added_at) VALUES ('{request.id}', '', 0)"
    )
    with pytest.raises(LedgerError) as caught:
        ledger.attached()
    assert_told(caught.value, "row 2, a signed grant of 1970-01-01 00:00 UTC")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("how", ["UPDATE {0} SET seq = seq + 9", "DELETE FROM {0}",
    "REPLACE INTO {0} SELECT * FROM {0}"])  # fmt: skip
@pytest.mark.usefixtures("refused")
def test_file_itself_refuses_to_change_what_is_sealed(
    ledger: Ledger, path: Path, table: str, how: str
) -> None:
    """A mistake of this program's own, or a careless one of another's: the triggers stop it."""
    with pytest.raises(sqlite3.IntegrityError):
        alter(path, how.format(table))
    ledger.verify()


def _build(ledger: Ledger, steps: list[tuple[str, int]]) -> None:
    for what, number in steps:
        name = NAMES[number % 3]
        if what == "ask":
            ask(ledger, name, an_ask(f"src/{number}.py:1"))
            continue
        given_last = [d.request_id for d in ledger.decisions(parse(name).key)]
        found = ledger.open_request(parse(name).key)
        if what == "attach" and given_last:
            ledger.attach(given_last[-1], f"grant {number}")
        elif what == "withdraw" and given_last:
            ledger.decide(answer(ledger.request(given_last[-1]), Answer.WITHDRAW))
        elif what in {"grant", "refuse"} and found:
            ledger.decide(answer(found, Answer(what)), grant="text" if number % 2 else "")
        ledger.verify()


def _changes(file: sqlite3.Connection, table: str) -> list[str]:
    """What changes a row of *table*: an UPDATE of any sealed column, or a DELETE."""
    different = {"INTEGER": "{0} + 1000", "REAL": "{0} + 0.001", "TEXT": "{0} || 'x'"}
    columns = [row[1:3] for row in file.execute(f"PRAGMA table_info({table})")]
    changes = [f"DELETE FROM {table}"]
    for column, kind in columns:
        if table != "ask" or column not in CHANGING:
            changes.append(f"UPDATE {table} SET {column} = {different[kind].format(column)}")
        if kind == "TEXT":
            changes.append(f"UPDATE {table} SET {column} = CAST({column} AS BLOB)")
    return changes


@pytest.mark.parametrize("table", TABLES)
def test_every_column_that_lasts_is_sealed(
    ledger: Ledger, path: Path, tmp_path: Path, table: str
) -> None:
    """A program with the user's id changes any one field of the newest row of any kind, or removes
    it: the whole log no longer verifies."""
    request = ask(ledger)
    ledger.decide(answer(request, Answer.GRANT), grant="a text")
    ledger.close()
    copy = tmp_path / "copy"
    with closing(sqlite3.connect(path)) as file:
        changes = _changes(file, table)
    for change in changes:
        shutil.copy(path, copy)
        outsider(copy, f"{change} WHERE seq = (SELECT max(seq) FROM {table})")
        with closing(Ledger(copy)) as altered, pytest.raises(LedgerError) as caught:
            altered.verify()
        assert "away and ask again" in caught.value.hint, change


def _attack(file: sqlite3.Connection, draw: st.DataObject) -> str:
    """One change of one row."""
    filled = [t for t in TABLES if file.execute(f"SELECT count(*) FROM {t}").fetchone()[0]]
    table = draw.draw(st.sampled_from(filled))
    seqs = [row[0] for row in file.execute(f"SELECT seq FROM {table}")]
    change = draw.draw(st.sampled_from(_changes(file, table)))
    return f"{change} WHERE seq = {draw.draw(st.sampled_from(seqs))}"


STEP = st.tuples(
    st.sampled_from(["ask", "grant", "refuse", "withdraw", "attach"]), st.integers(0, 8)
)


@settings(max_examples=80)
@given(st.lists(STEP, max_size=12), st.data())
def test_whatever_was_done_verifies_and_any_one_change_of_it_does_not(
    steps: list[tuple[str, int]], draw: st.DataObject
) -> None:
    """A program with the user's id changes one thing, anywhere, that was meant to last."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.sqlite3"
        with closing(Ledger(path)) as ledger:
            ask(ledger)
            _build(ledger, steps)
            ledger.verify([ledger.head(), EMPTY])
            with closing(sqlite3.connect(path)) as file:
                statement = _attack(file, draw)
            outsider(path, statement)
            with pytest.raises(LedgerError) as caught:
                ledger.verify()
            assert caught.value.hint


# --- the log as a whole ---------------------------------------------------------------------------

CUT_OFF = (
    "DELETE FROM decision WHERE answer = 'refuse'",
    "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)",
)


@pytest.mark.usefixtures("refused")
def test_newest_entries_cut_off_are_missed(ledger: Ledger, path: Path) -> None:
    """A program with the user's id cuts the log where it suits it: SQLite remembers how many
    entries there were."""
    outsider(path, *CUT_OFF)
    with pytest.raises(LedgerError) as caught:
        ledger.verify()
    assert_told(caught.value, "ends with entry 6, and 7 were written")


@pytest.mark.usefixtures("refused")
def test_newest_entries_cut_off_with_care_are_missed_by_a_signed_head_alone(
    ledger: Ledger, path: Path
) -> None:
    """A program with the user's id that knows the file well: what nobody signed is lost to it."""
    signed = ledger.head()
    outsider(path, *CUT_OFF, "UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'entry'")
    ledger.verify()
    with pytest.raises(LedgerError) as caught:
        ledger.verify([signed])
    assert_told(caught.value, "older copy")


def test_older_copy_put_in_place_is_noticed_by_a_head_signed_since(
    ledger: Ledger, path: Path, tmp_path: Path
) -> None:
    """A program with the user's id brings back the file from before a refusal."""
    request = ask(ledger)
    before = ledger.head()
    ledger.close()
    shutil.copy(path, tmp_path / "copy")
    with closing(Ledger(path)) as later:
        later.decide(answer(request, Answer.REFUSE))
        after = later.head()
    shutil.copy(tmp_path / "copy", path)
    with closing(Ledger(path)) as restored:
        restored.verify([before])
        with pytest.raises(LedgerError) as caught:
            restored.verify([before, after])
    assert_told(caught.value, "older copy")


@pytest.mark.usefixtures("refused")
def test_chain_built_anew_is_noticed_by_a_signed_head(ledger: Ledger, path: Path) -> None:
    """A program with the user's id turns the refusal and seals everything again."""
    signed = ledger.head()
    outsider(path, "UPDATE decision SET answer = 'grant'", "DELETE FROM entry",
        "DELETE FROM sqlite_sequence WHERE name = 'entry'")  # fmt: skip
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        Chain(file, path).append_all()
    ledger.verify()
    with pytest.raises(LedgerError) as caught:
        ledger.verify([signed])
    assert_told(caught.value, "built anew")


@pytest.mark.parametrize("faked", [-1, 0, 1, 3])
def test_faked_format_neither_seals_anew_nor_opens(
    ledger: Ledger, path: Path, refused: Request, faked: int
) -> None:
    """A program with the user's id turns a refusal and claims an old format, so that the file
    would be migrated, and sealed, once more."""
    head = ledger.head()
    ledger.close()
    outsider(path, "UPDATE decision SET answer = 'grant' WHERE answer = 'refuse'")
    alter(path, f"PRAGMA user_version = {faked}")
    with pytest.raises(LedgerError) as caught:
        Ledger(path)
    assert caught.value.hint
    alter(path, "PRAGMA user_version = 2")
    with closing(Ledger(path)) as reopened:
        assert reopened.head() == head
        with pytest.raises(LedgerError):
            reopened.decision_on(refused.id)


# --- death at the wrong moment --------------------------------------------------------------------


def _decide_and_die(path: Path, request: Request, told: Any) -> None:  # noqa: ANN401
    ledger = Ledger(path)
    stands = ledger.decide(answer(request, Answer.REFUSE, "the one who died"))
    os.kill(os.getpid(), signal.SIGKILL)
    told.put(stands)


def test_decision_of_a_process_killed_before_it_could_reply_stands(
    ledger: Ledger, path: Path
) -> None:
    """An agent kills the reviewer's terminal at the moment of a no: the next yes comes too late,
    and is told so."""
    request = ask(ledger)
    told = SPAWN.Queue()
    child = SPAWN.Process(target=_decide_and_die, args=(path, request, told), daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert told.empty()
    stands = ledger.decide(answer(request, Answer.GRANT, "somebody else"))
    assert (stands.answer, stands.decided_by) == (Answer.REFUSE, "the one who died")
    assert ledger.decisions() == [stands]
    ledger.verify()
