"""A shared store's names are sealed: the database's keeper reads none, and forges no answer."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Base, Effect, Request, Scope
from orgguard_mcp.names import parse
from orgguard_mcp.storage.pg_ledger import PostgresLedger
from orgguard_mcp.storage.pg_log import draft
from orgguard_mcp.storage.pg_reseal import reseal
from orgguard_mcp.storage.seal import Keyring
from tests.canary import Canary
from tests.database import Server
from tests.human import COMMAND
from tests.ledgers import DAY, KEY, OTHER_KEY, InDatabase, answer, ask, write_keys
from tests.names import COINED, COINED_TOO, THIRD
from tests.simulator import Repo


@pytest.fixture
def ledger(here: InDatabase) -> Iterator[PostgresLedger]:
    with closing(here.open()) as opened:
        yield opened


def fill(ledger: PostgresLedger) -> Request:
    """Put a name wherever one may be put."""
    text = f"for {COINED}"
    place = Ask(text, text, text, Asker(text, 7, 2.0), 3.0, text, text)
    request = ledger.ask(parse(COINED), Base("0" * 40, text), [place], DAY)
    ledger.ask(parse(COINED), Base("0" * 40, text), [replace(place, asker=Asker(text))], DAY)
    scope = Scope((f"src/{COINED}.py",))
    refusal = replace(answer(request, Answer.REFUSE, text, scope), reason=text, channel=text)
    ledger.decide(refusal)
    ledger.attach(request.id, text)
    ledger.decide(answer(request, Answer.WITHDRAW, text))
    ask(ledger, f"{COINED} GmbH")
    return request


# --- what a dump shows ----------------------------------------------------------------------------


def test_dump_of_the_database_discloses_no_name(server: Server, here: InDatabase) -> None:
    canary = Canary(COINED)
    with closing(replace(here, repository=f"github.com/{COINED}/x").open()) as ledger:
        fill(ledger)
        dump = server.dump(here.url)
    assert dump.count(b"\trequest\t") == 2  # the rows are there
    assert canary(dump) == []
    assert canary((server.folder / "log").read_bytes()) == []


def test_dump_confirms_no_guess_without_the_key(
    server: Server, here: InDatabase, ledger: PostgresLedger
) -> None:
    """Neither look-up nor the chain is a hash that somebody could try names against."""
    fill(ledger)
    log = ledger._log.id
    guesses = (log, "name", parse(COINED).key)
    dump = server.dump(here.url)
    assert Keyring([KEY]).fingerprint(*guesses).encode() in dump
    assert Keyring([OTHER_KEY]).fingerprint(*guesses).encode() not in dump
    contents = [draft("grant", {"key": parse(COINED).key, "text": f"for {COINED}"}) for _ in "ab"]
    assert len({made.commitment for made in contents}) == 2


def test_dump_does_not_show_that_two_repositories_ask_about_one_name(
    server: Server, here: InDatabase
) -> None:
    for number in range(2):
        with closing(here.another(str(number)).open()) as ledger:
            ask(ledger)
    shown = server.execute(
        "SELECT fingerprint FROM orgguard_entry WHERE kind = 'request'", here.url
    )
    assert len(set(shown)) == len(shown) == 2


def test_names_of_other_lengths_are_sealed_in_the_same_length(
    server: Server, here: InDatabase, ledger: PostgresLedger
) -> None:
    for name in (COINED, COINED_TOO * 3, THIRD[:4]):
        ask(ledger, name)
    query = "SELECT DISTINCT length(sealed) FROM orgguard_entry WHERE kind = 'request'"
    assert len(server.execute(query, here.url)) == 1


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "mode", "cause"),
    [
        (None, 0, "cannot be read"),
        (KEY.hex(), 0o640, "others may read"),
        ("", 0o600, "something else than keys"),
        (KEY.hex()[:-1], 0o600, "something else than keys"),
        (f"{KEY.hex()}\n{KEY.hex().upper()}", 0o600, "something else than keys"),
    ],
)
@pytest.mark.usefixtures("shared")
def test_without_a_usable_key_no_name_is_let_through(
    project: Repo, key_file: Path, content: str | None, mode: int, cause: str
) -> None:
    if content is None:
        key_file.unlink()
    else:
        key_file.write_text(content)
        key_file.chmod(mode)
    with Guard(project.path) as guard, pytest.raises(LedgerError) as caught:
        guard.check(COINED)
    assert cause in caught.value.cause
    assert caught.value.hint
    assert KEY.hex()[:8] not in "\n".join(caught.value.lines())


@pytest.mark.usefixtures("shared")
def test_without_any_key_a_command_ends_as_not_checked(
    project: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORGGUARD_STORE_KEY_FILE")
    done = subprocess.run(
        [*COMMAND, "check", COINED], cwd=project.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "ORGGUARD_STORE_KEY_FILE" in done.stderr
    assert COINED not in done.stderr


@pytest.mark.usefixtures("shared")
def test_with_a_foreign_key_what_was_refused_is_not_asked_anew(
    project: Repo, key_file: Path
) -> None:
    with Guard(project.path) as guard:
        guard.request(COINED, [Ask("a.py:1", "", "", Asker(), 0.0)])
        guard.decide(guard.ledger.pending()[0], Answer.REFUSE, channel="terminal")
    write_keys(key_file, OTHER_KEY)
    with Guard(project.path) as guard, pytest.raises(LedgerError) as caught:
        guard.check(COINED)
    assert "key that this machine does not have" in caught.value.cause
    write_keys(key_file, OTHER_KEY, KEY)
    with Guard(project.path) as guard:
        assert guard.check(COINED).effect is Effect.DENY


def sealing_keys(server: Server, here: InDatabase) -> set[object]:
    query = "SELECT sealed_by FROM orgguard_entry UNION SELECT sealed_by FROM orgguard_log"
    return {row[0] for row in server.execute(query, here.url)}


def test_key_is_rotated_while_machines_work(server: Server, here: InDatabase) -> None:
    """Every step of docs/scaling.md, with machines that are a step behind."""
    old, new = KEY, OTHER_KEY
    with closing(here.open()) as ledger:
        refused = fill(ledger)
        waits = ask(ledger, COINED_TOO)
        decisions, heads = ledger.decisions(), [ledger.head()]
    behind, ahead = replace(here, keys=(old, new)), replace(here, keys=(new, old))
    with closing(behind.open()) as one, closing(ahead.open()) as other:
        assert ask(other, COINED_TOO).id == waits.id  # found by the old fingerprint
        third = ask(other, THIRD)
        assert ask(one, THIRD).id == third.id  # and by the new
        assert reseal(here.url, Keyring((new, old))) > 0
        assert reseal(here.url, Keyring((new, old))) == 0
        assert ask(one, COINED_TOO).id == waits.id
        assert one.decisions(parse(COINED).key) == decisions
        one.decide(answer(waits, Answer.GRANT))
        one.decide(answer(third, Answer.GRANT), grant="a text")
        assert len(sealing_keys(server, here)) == 2  # one that is behind seals with the old
        reseal(here.url, Keyring((new, old)))
    assert sealing_keys(server, here) == {Keyring([new]).sealing}
    with closing(replace(here, keys=(new,)).open()) as after:
        after.verify(heads)
        assert after.decisions(parse(COINED).key) == decisions
        assert after.requests()[0].id == refused.id
        assert after.decision_on(waits.id)
    with pytest.raises(LedgerError):
        here.open()


def test_key_that_still_seals_something_cannot_be_taken_away_unnoticed(here: InDatabase) -> None:
    with closing(here.open()) as ledger:
        ask(ledger)
    with closing(replace(here, keys=(OTHER_KEY, KEY)).open()) as ledger:
        ask(ledger, COINED_TOO)
    with pytest.raises(LedgerError):
        replace(here, keys=(OTHER_KEY,)).open()


@pytest.mark.usefixtures("shared")
def test_reseal_command_rotates_every_repository(
    project: Repo, make_repo: Callable[..., Repo], server: Server, here: InDatabase, key_file: Path
) -> None:
    for repo in (project, make_repo({"b.py": "2\n"})):
        with Guard(repo.path) as guard:
            guard.request(COINED, [Ask("a.py:1", "", "", Asker(), 0.0)])
    write_keys(key_file, OTHER_KEY, KEY)
    done = subprocess.run(
        [*COMMAND, "reseal"], cwd=project.path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "4 entries" in done.stderr
    assert sealing_keys(server, here) == {Keyring([OTHER_KEY]).sealing}


def test_reseal_command_without_a_shared_store_says_what_it_lacks(project: Repo) -> None:
    done = subprocess.run(
        [*COMMAND, "reseal"], cwd=project.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "ORGGUARD_STORE" in done.stderr


def test_resealing_loses_nothing_to_those_who_write_meanwhile(here: InDatabase) -> None:
    both = replace(here, keys=(KEY, OTHER_KEY))
    with closing(both.open()) as ledger:
        ids = {ask(ledger, f"{COINED} {number}", lapse=DAY).id for number in range(40)}
        done = threading.Event()

        def rotate() -> None:
            while not done.is_set():
                reseal(here.url, Keyring((OTHER_KEY, KEY)))

        thread = threading.Thread(target=rotate)
        thread.start()
        for request in ledger.pending():
            ledger.decide(answer(request, Answer.REFUSE))
        done.set()
        thread.join()
        ledger.verify()
        assert {decision.request_id for decision in ledger.decisions()} == ids
