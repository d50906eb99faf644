"""Attacks by the keeper of a shared store's database, who may do everything there without the key.

What a dump shows is searched in `test_sealed_store`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.model import Answer
from orgguard_mcp.storage.pg_ledger import PostgresLedger
from orgguard_mcp.storage.pg_log import bound_to
from orgguard_mcp.storage.seal import Keyring, Sealed
from orgguard_mcp.storage.store import EMPTY
from tests.database import Server
from tests.ledgers import KEY, InDatabase, answer, ask


@pytest.fixture
def ledger(here: InDatabase) -> Iterator[PostgresLedger]:
    with closing(here.open()) as opened:
        yield opened


COPY = (
    "INSERT INTO orgguard_entry SELECT log, number + {0}, kind, request_id, at, expires_at,"
    " commitment, digest, fingerprint, sealed_by, sealed, asker, pid, started, asked_at"
    " FROM orgguard_entry WHERE kind = 'answer'"
)


def keeper(server: Server, url: str, *statements: str) -> None:
    """Whoever may do everything in the database drops what would stop them."""
    for name in ("orgguard_once", "orgguard_by_request"):
        with suppress(psycopg.Error):
            server.execute(f"DROP INDEX {name}", url)
    for statement in statements:
        server.execute(statement, url)


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM orgguard_entry WHERE kind = 'withdrawal'"],
        ["UPDATE orgguard_entry SET kind = 'answer' WHERE kind = 'withdrawal'"],
        ["UPDATE orgguard_entry SET request_id = 'feed' WHERE kind = 'withdrawal'"],
        ["UPDATE orgguard_entry SET fingerprint = 'x' WHERE kind = 'withdrawal'"],
        ["UPDATE orgguard_entry SET commitment = 'x' WHERE kind = 'withdrawal'"],
        ["UPDATE orgguard_entry SET digest = 'x' WHERE kind = 'withdrawal'"],
        ["UPDATE orgguard_entry SET at = at + 1 WHERE kind = 'withdrawal'"],
        ["UPDATE orgguard_entry SET sealed = (SELECT sealed FROM orgguard_entry"
         " WHERE kind = 'answer') WHERE kind = 'withdrawal'"],
        [COPY.format(100), "UPDATE orgguard_log SET number = 4"],
        ["DELETE FROM orgguard_entry", "UPDATE orgguard_log SET number = 0"],
    ],
    ids=["deleted", "turned", "moved", "hidden", "recommitted", "rechained", "redated", "swapped",
         "replayed", "emptied"],
)  # fmt: skip
def test_withdrawal_taken_away_does_not_bring_the_grant_back(
    server: Server, here: InDatabase, ledger: PostgresLedger, statements: list[str]
) -> None:
    request = ask(ledger)
    ledger.decide(answer(request, Answer.GRANT))
    ledger.decide(answer(request, Answer.WITHDRAW))
    keeper(server, here.url, *statements)
    with pytest.raises(LedgerError) as caught:
        ledger.decisions(request.name.key)
    assert "altered by another program" in caught.value.message
    with pytest.raises(LedgerError):
        ledger.verify()


def rechain(server: Server, url: str) -> None:
    """What a keeper can do who knows the code: the chain's digests need no key."""
    shown = "log, number, kind, request_id, at, expires_at, commitment"
    head = EMPTY
    rows = server.execute(f"SELECT {shown} FROM orgguard_entry ORDER BY number", url)
    for row in rows:
        head = hashlib.sha256(f"{head}\n".encode() + bound_to(row)).hexdigest()
        server.execute(f"UPDATE orgguard_entry SET digest = '{head}' WHERE number = {row[1]}", url)
    server.execute(f"UPDATE orgguard_log SET number = {len(rows)}, head = '{head}'", url)


@pytest.mark.parametrize(
    "statements",
    [
        [COPY.format(4)],
        ["DELETE FROM orgguard_entry WHERE number = 4",
         "UPDATE orgguard_entry SET number = 4 WHERE number = 5",
         "UPDATE orgguard_entry SET number = 5 WHERE number = 6"],
        ["UPDATE orgguard_entry SET request_id = (SELECT request_id FROM orgguard_entry"
         " WHERE number = 5) WHERE number = 3"],
        ["UPDATE orgguard_entry SET kind = 'grant' WHERE number = 4"],
        ["UPDATE orgguard_entry SET expires_at = expires_at + 1e6 WHERE number = 5"],
    ],
    ids=["replayed", "taken out", "given to another question", "made a grant", "never lapsing"],
)  # fmt: skip
def test_keeper_who_builds_the_chain_anew_brings_no_grant_back(
    server: Server, here: InDatabase, ledger: PostgresLedger, statements: list[str]
) -> None:
    """The seal is bound to the entry's number, question, kind and times."""
    request = ask(ledger)
    ledger.decide(answer(request, Answer.GRANT))
    ledger.decide(answer(request, Answer.WITHDRAW))
    ask(ledger)
    rechain(server, here.url)
    ledger.verify()  # nothing was changed yet
    keeper(server, here.url, *statements)
    rechain(server, here.url)
    with pytest.raises(LedgerError) as caught:
        ledger.verify()
    assert "does not fit its seal" in caught.value.cause


def test_refusal_hidden_with_its_question_is_told_by_verify(
    server: Server, here: InDatabase, ledger: PostgresLedger
) -> None:
    ledger.decide(answer(ask(ledger), Answer.REFUSE))
    keeper(server, here.url, "UPDATE orgguard_entry SET fingerprint = 'x'")
    with pytest.raises(LedgerError) as caught:
        ledger.verify()
    assert "hidden" in caught.value.cause


def test_newest_entries_cut_off_with_care_are_missed_by_who_saw_them_and_by_a_signed_head(
    server: Server, here: InDatabase, ledger: PostgresLedger
) -> None:
    request = ask(ledger)
    before = ledger.head()
    ledger.decide(answer(request, Answer.REFUSE))
    after = ledger.head()
    keeper(
        server, here.url, "DELETE FROM orgguard_entry WHERE kind = 'answer'",
        f"UPDATE orgguard_log SET number = 2, head = '{before}'",
    )  # fmt: skip
    with pytest.raises(LedgerError):
        ledger.decisions()
    with closing(here.open()) as fresh:
        fresh.verify([before])
        with pytest.raises(LedgerError) as caught:
            fresh.verify([after])
    assert "older copy" in caught.value.cause


def test_answer_of_another_repository_counts_for_none(
    server: Server, here: InDatabase, ledger: PostgresLedger
) -> None:
    with closing(here.another("of the keeper's").open()) as other:
        ask(other)
        other.decide(answer(other.pending()[0], Answer.GRANT))
        foreign, own = other._log.id, ledger._log.id
    keeper(
        server, here.url, f"UPDATE orgguard_entry SET log = '{own}' WHERE log = '{foreign}'",
        f"UPDATE orgguard_log SET number = 3 WHERE id = '{own}'",
    )  # fmt: skip
    for read in (ledger.decisions, ledger.requests, ledger.verify):
        with pytest.raises(LedgerError):
            read()


def test_holder_of_the_key_cannot_exchange_what_a_signed_head_covers(
    server: Server, here: InDatabase, ledger: PostgresLedger
) -> None:
    """With the key another content can be sealed in an entry's place: its commitment tells."""
    request = ask(ledger)
    ledger.decide(answer(request, Answer.REFUSE))
    keys = Keyring([KEY])
    query = (
        "SELECT log, number, kind, request_id, at, expires_at, commitment, sealed_by, sealed"
        " FROM orgguard_entry WHERE kind = 'answer'"
    )
    (row,) = server.execute(query, here.url)
    bound = bound_to(row[:7])
    text = keys.open(Sealed(str(row[7]), bytes(row[8])), bound)
    assert b'"refuse"' in text
    turned = keys.seal(text.replace(b'"refuse"', b'"grant"'), bound).data.hex()
    keeper(
        server, here.url, f"UPDATE orgguard_entry SET sealed = '\\x{turned}' WHERE kind = 'answer'"
    )
    with pytest.raises(LedgerError) as caught:
        ledger.decisions(request.name.key)
    assert "committed" in caught.value.cause
