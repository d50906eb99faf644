"""A shared store: clones on many machines have one queue, and an answer in one counts in all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from orgguard_mcp import waiting
from orgguard_mcp.errors import LedgerError, OrgGuardError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Basis, Decision, Effect
from orgguard_mcp.storage import pg_pool, pg_schema, pg_session
from orgguard_mcp.storage.pg_bell import NoticeBell
from orgguard_mcp.storage.pg_ledger import PostgresLedger
from orgguard_mcp.storage.seal import Keyring
from orgguard_mcp.waiting import Watch
from tests.agent import LEGACY, Agent
from tests.database import Server
from tests.human import Human
from tests.ledgers import KEY, OTHER_KEY, SPAWN, InDatabase, an_ask, answer, ask
from tests.names import COINED, COINED_TOO
from tests.simulator import Repo

asynchronous = pytest.mark.asyncio
NEVER = 3600.0


# --- one queue for many clones --------------------------------------------------------------------


@pytest.mark.usefixtures("shared")
def test_what_is_asked_in_one_clone_is_answered_in_another(project: Repo, tmp_path: Path) -> None:
    other = project.clone(tmp_path / "other")
    with Guard(project.path) as asking, Guard(other.path) as answering:
        assert answering.check(COINED).basis is Basis.UNKNOWN
        asked = asking.request(COINED, [an_ask("a.py:1")])
        assert answering.check(COINED).request_id == asked.request_id
        (request,) = answering.ledger.pending()
        answering.decide(request, Answer.GRANT, channel="terminal")
        assert asking.check(COINED).effect is Effect.ALLOW
        assert asking.check(COINED_TOO).effect is Effect.ASK
    assert not (project.path / ".git" / "orgguard" / "ledger.sqlite3").exists()


@pytest.mark.usefixtures("shared")
def test_repositories_that_share_a_store_know_nothing_of_each_other(
    make_repo: Callable[..., Repo],
) -> None:
    one, other = make_repo({"a.py": "1\n"}), make_repo({"b.py": "2\n"})
    with Guard(one.path) as first, Guard(other.path) as second:
        first.request(COINED, [an_ask("a.py:1")])
        first.decide(first.ledger.pending()[0], Answer.GRANT, channel="terminal")
        assert second.check(COINED).basis is Basis.UNKNOWN
        assert second.ledger.requests() == []


@pytest.mark.usefixtures("shared")
def test_agent_that_waits_hears_of_an_answer_on_another_machine(
    make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    repo = make_repo({".orgguard/policy.toml": "hold_seconds = 60\n"})
    other = repo.clone(tmp_path / "other")
    with Agent(repo.path, LEGACY) as agent, Human(other.path) as human:
        agent.send("request_consent", name=COINED, where="a.py:1")
        assert human.grants() == COINED
        assert agent.result()["structured"]["effect"] == "allow"


# --- waiting --------------------------------------------------------------------------------------


def _refuse(place: InDatabase, request_id: str) -> None:
    with closing(place.open()) as ledger:
        ledger.decide(answer(ledger.request(request_id), Answer.REFUSE))


def refuse(place: InDatabase, request_id: str) -> None:
    """Decide in another process."""
    child = SPAWN.Process(target=_refuse, args=(place, request_id), daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode == 0


def listeners(server: Server, url: str) -> int:
    name = conninfo_to_dict(url)["dbname"]
    (row,) = server.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN orgguard' AND state = 'idle'"
        f" AND datname = '{name}'"
    )
    return int(str(row[0]))


@asynccontextmanager
async def watching() -> AsyncIterator[Watch]:
    async with anyio.create_task_group() as tasks:
        yield Watch(tasks)
        tasks.cancel_scope.cancel()


async def until(holds: Callable[[], object]) -> None:
    with anyio.fail_after(30):
        while not await anyio.to_thread.run_sync(holds):  # noqa: ASYNC110  # a server decides
            await anyio.sleep(0.01)


async def expect(watch: Watch, ledger: PostgresLedger, request_id: str) -> None:
    with anyio.fail_after(30):
        await watch.until_decided(ledger, [request_id])


@asynchronous
async def test_a_decision_on_another_machine_wakes_who_waits(
    server: Server, here: InDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", NEVER)
    with closing(here.open()) as ledger:
        request_id = ask(ledger).id
        async with watching() as watch, anyio.create_task_group() as tasks:
            tasks.start_soon(expect, watch, ledger, request_id)
            await until(lambda: listeners(server, here.url))
            await anyio.to_thread.run_sync(refuse, here, request_id)
        await until(lambda: not listeners(server, here.url))  # nobody waits any more


@asynchronous
async def test_who_waits_listens_again_when_the_database_was_killed(
    here: InDatabase, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", NEVER)
    with closing(here.open()) as ledger:
        request_id = ask(ledger).id
        async with watching() as watch, anyio.create_task_group() as tasks:
            tasks.start_soon(expect, watch, ledger, request_id)
            await until(lambda: listeners(server, here.url))
            server.kill()
            await anyio.to_thread.run_sync(server.start)
            await until(lambda: listeners(server, here.url))
            await anyio.to_thread.run_sync(refuse, here, request_id)


class Deaf(PostgresLedger):
    """A ledger on an engine that has no notices, or behind a pooler that loses them."""

    def bell(self) -> None:
        return None


@asynchronous
async def test_a_decision_is_found_where_no_notice_comes(here: InDatabase) -> None:
    with closing(Deaf(here.url, Keyring([KEY]), here.repository)) as ledger:
        request_id = ask(ledger).id
        async with watching() as watch, anyio.create_task_group() as tasks:
            tasks.start_soon(expect, watch, ledger, request_id)
            await anyio.to_thread.run_sync(refuse, here, request_id)


def test_bell_of_a_store_that_is_away_is_closed_all_the_same(tmp_path: Path) -> None:
    before = threading.active_count()
    bell = NoticeBell(f"postgresql://orgguard@/none?host={tmp_path}", "log")
    bell.close()
    for thread in threading.enumerate():
        if thread.name == "orgguard-bell":
            thread.join(20)
    assert threading.active_count() == before


# --- engines of another temper --------------------------------------------------------------------


def test_transactions_that_an_engine_would_not_serialise_are_tried_again(
    here: InDatabase, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distributed engines abort one of two that meet, instead of letting it wait."""
    monkeypatch.setattr(pg_session, "_WRITE", "BEGIN ISOLATION LEVEL SERIALIZABLE")
    barrier = threading.Barrier(6, timeout=30)

    def work(me: int) -> list[Decision]:
        with closing(here.open()) as ledger:
            barrier.wait()
            requests = [ask(ledger, f"{COINED} {n}", an_ask(f"{me}.py")) for n in range(4)]
            barrier.wait()
            return [ledger.decide(answer(one, Answer.REFUSE, str(me))) for one in requests]

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(work, range(6)))
    with closing(here.open()) as ledger:
        ledger.verify()
        stands = {decision.request_id: decision for decision in ledger.decisions()}
        assert all(len(request.asks) == 6 for request in ledger.requests())
    assert len(stands) == 4
    assert all(stands[one.request_id] == one for mine in told for one in mine)
    assert b"could not serialize access" in (server.folder / "log").read_bytes()


# --- tables ---------------------------------------------------------------------------------------


def _open(place: InDatabase, at_once: Any, told: Any) -> None:  # noqa: ANN401
    at_once.wait()
    try:
        with closing(place.open()) as ledger:
            told.put(ask(ledger, COINED, an_ask(label=str(os.getpid()))).id)
    except LedgerError as error:
        told.put("\n".join(error.lines()))


@pytest.mark.parametrize("format_", [None, 0], ids=["nothing", "an unfinished start"])
def test_servers_that_start_at_once_on_an_empty_database_make_one_log(
    here: InDatabase, server: Server, format_: int | None
) -> None:
    if format_ is not None:
        server.execute(
            "CREATE TABLE orgguard_format (one integer PRIMARY KEY, format integer)", here.url
        )
    at_once, told = SPAWN.Barrier(6), SPAWN.Queue()
    children = [
        SPAWN.Process(target=_open, args=(here, at_once, told), daemon=True) for _ in range(6)
    ]
    for child in children:
        child.start()
    answers = {told.get(timeout=60) for _ in children}
    for child in children:
        child.join()
    with closing(here.open()) as ledger:
        (request,) = ledger.requests()
        ledger.verify()
    assert answers == {request.id}
    assert len(request.asks) == 6
    assert server.execute("SELECT * FROM orgguard_format", here.url) == [(1, pg_schema.FORMAT)]


def test_store_of_a_newer_version_is_left_alone(here: InDatabase, server: Server) -> None:
    with closing(here.open()) as ledger:
        request = ask(ledger)
    server.execute("UPDATE orgguard_format SET format = 99", here.url)
    with pytest.raises(LedgerError) as caught:
        here.open()
    assert "upgrade" in caught.value.hint
    server.execute(f"UPDATE orgguard_format SET format = {pg_schema.FORMAT}", here.url)
    with closing(here.open()) as ledger:
        assert ledger.pending() == [request]


def test_step_that_fails_leaves_the_store_at_the_format_before(
    here: InDatabase, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (*pg_schema._STEPS, ("CREATE TABLE orgguard_more (a integer)", "CREATE TABLE ?"))
    with closing(here.open()) as ledger:
        request = ask(ledger)
    with monkeypatch.context() as patch:
        patch.setattr(pg_schema, "_STEPS", steps)
        patch.setattr(pg_schema, "FORMAT", len(steps))
        with pytest.raises(LedgerError):
            here.open()
    assert server.execute("SELECT to_regclass('orgguard_more')", here.url) == [(None,)]
    with closing(here.open()) as ledger:
        assert ledger.pending() == [request]


def at_once(places: list[InDatabase]) -> list[str]:
    """Open all of *places* at the same time, each in a thread; the logs that they came to."""
    barrier = threading.Barrier(len(places), timeout=30)

    def come(place: InDatabase) -> str:
        barrier.wait()
        with closing(place.open()) as ledger:
            return ledger._log.id

    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(come, places))


def test_servers_that_upgrade_at_once_take_each_step_once(
    here: InDatabase, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(here.open()) as ledger:
        request = ask(ledger)
    for number in range(5):
        step = (f"ALTER TABLE orgguard_log ADD COLUMN more{number} integer NOT NULL DEFAULT 1",)
        monkeypatch.setattr(pg_schema, "_STEPS", (*pg_schema._STEPS, step))
        monkeypatch.setattr(pg_schema, "FORMAT", len(pg_schema._STEPS))
        assert len(set(at_once([here] * 8))) == 1
    assert server.execute("SELECT format FROM orgguard_format", here.url) == [(6,)]
    with closing(here.open()) as ledger:
        assert ledger.pending() == [request]


def test_machines_whose_keys_are_in_another_order_make_one_log(here: InDatabase) -> None:
    with closing(here.open()):
        pass  # the tables are there
    for number in range(5):
        place = here.another(str(number))
        orders = [replace(place, keys=keys) for keys in ((KEY, OTHER_KEY), (OTHER_KEY, KEY))]
        assert len(set(at_once(orders * 4))) == 1


RIGHTS = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text()
RIGHTS = RIGHTS.partition("```sql\n")[2].partition("```")[0]


def test_rights_that_the_manual_names_suffice_and_forbid_to_change_what_was_decided(
    here: InDatabase, server: Server
) -> None:
    with closing(here.open()):
        pass  # whoever owns the tables made them
    server.execute("DROP ROLE IF EXISTS orgguard_server")
    for statement in filter(str.strip, RIGHTS.split(";")):
        server.execute(statement, here.url)
    url = server.database(str(conninfo_to_dict(here.url)["dbname"]), "orgguard_server")
    with closing(InDatabase(url, "another repository").open()) as ledger:
        request = ask(ledger)
        assert ask(ledger, COINED, an_ask(pid=8)).asks[0].asker.pid == 8
        refusal = ledger.decide(answer(request, Answer.REFUSE))
        ledger.verify()
        for attack in (
            "DELETE FROM orgguard_entry", "UPDATE orgguard_entry SET request_id = 'feed'",
            "UPDATE orgguard_entry SET sealed = ''", "TRUNCATE orgguard_entry",
            "DELETE FROM orgguard_log", "DROP TABLE orgguard_entry",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                server.execute(attack, url)
        assert ledger.decisions() == [refusal]
    server.execute("DROP OWNED BY orgguard_server", here.url)
    server.execute("DROP ROLE orgguard_server")


# --- stores that cannot be used -------------------------------------------------------------------


def assert_told(error: OrgGuardError) -> None:
    said = "\n".join(error.lines())
    assert "nothing was granted" in said
    assert error.cause
    assert error.hint
    for word in (COINED, "geheim", KEY.hex()):
        assert word.lower() not in said.lower()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://orgguard:geheim@/postgres?host=/nowhere",
        "postgresql://orgguard:geheim@localhost:1/postgres",
        "postgresql://orgguard:geheim@[/postgres",
        "postgresql://orgguard:geheim@/postgres?geheim=1",
        "mysql://orgguard:geheim@localhost/x",
        "geheim",
    ],
)
@pytest.mark.usefixtures("shared")
def test_store_that_is_away_lets_no_name_through_and_tells_no_password(
    project: Repo, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORGGUARD_STORE", url)
    monkeypatch.setattr(pg_session, "BUSY_SECONDS", 0.1)
    with Guard(project.path) as guard:
        for use in (
            lambda: guard.check(COINED),
            lambda: guard.request(COINED, [an_ask()]),
            lambda: guard.ledger.pending(),
        ):
            with pytest.raises(LedgerError) as caught:
                use()
            assert_told(caught.value)


def test_database_and_user_that_do_not_exist_are_told_at_once(
    server: Server, here: InDatabase
) -> None:
    for url in (server.database("none"), server.database("postgres", "nobody_known")):
        with pytest.raises(LedgerError) as caught:
            InDatabase(url, here.repository).open()
        assert_told(caught.value)


def test_question_that_another_transaction_holds_is_an_error_that_says_what_to_do(
    here: InDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_pool, "_SETTINGS", ("SET statement_timeout = '100ms'",))
    with closing(here.open()) as ledger, psycopg.connect(here.url) as holder:
        request = ask(ledger)
        holder.execute("SELECT * FROM orgguard_log FOR UPDATE")
        with pytest.raises(LedgerError) as caught:
            ledger.decide(answer(request, Answer.GRANT))
        assert_told(caught.value)
        assert "moment" in caught.value.hint
        holder.rollback()
        assert ledger.decisions() == []
        ledger.decide(answer(request, Answer.GRANT))


@pytest.mark.parametrize("missing", ["psycopg", "cryptography"])
def test_without_the_extra_a_shared_store_is_an_error_that_says_what_to_install(
    shared: str, project: Repo, missing: str
) -> None:
    assert shared
    code = f"import sys; sys.modules[{missing!r}] = None; from orgguard_mcp import cli"
    code += "; sys.exit(cli.main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "check", COINED], cwd=project.path, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert "orgguard-mcp[postgres]" in done.stderr


def test_ledger_that_was_closed_is_an_error_and_opens_nothing(here: InDatabase) -> None:
    ledger = here.open()
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError):
        ledger.pending()
