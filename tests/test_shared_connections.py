"""What a process of many repositories asks of a shared store: few connections, one that hears."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.model import Answer
from orgguard_mcp.storage import pg_pool
from orgguard_mcp.storage.bell import Bell
from orgguard_mcp.storage.pg_ledger import PostgresLedger
from tests.database import Server
from tests.human import COMMAND
from tests.ledgers import InDatabase, answer, ask
from tests.names import COINED
from tests.simulator import Repo

MANY = 12


def connections(server: Server, url: str, state: str = "") -> int:
    """How many connections of OrgGuard's there are."""
    name = conninfo_to_dict(url)["dbname"]
    (row,) = server.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orgguard'"
        f" AND datname = '{name}' {state}"
    )
    return int(str(row[0]))


def listeners(server: Server, url: str) -> int:
    return connections(server, url, "AND query = 'LISTEN orgguard' AND state = 'idle'")


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():  # a server decides
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def many(here: InDatabase) -> Iterator[list[PostgresLedger]]:
    """The ledgers of many repositories, in one process."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(here.another(str(n)).open())) for n in range(MANY)]


def at_once(*acts: Callable[[], object]) -> None:
    """Call all of *acts*, each in a thread of its own, at the same time."""
    barrier = threading.Barrier(len(acts), timeout=30)

    def run(act: Callable[[], object]) -> object:
        barrier.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(run, acts))


def settle(ledger: PostgresLedger) -> None:
    for number in range(3):
        ledger.decide(answer(ask(ledger, f"{COINED} {number}"), Answer.REFUSE))
        ledger.verify()


# --- few connections ------------------------------------------------------------------------------


def test_ledgers_that_are_used_in_turn_share_one_connection(
    server: Server, here: InDatabase, many: list[PostgresLedger]
) -> None:
    for ledger in many:
        settle(ledger)
    assert connections(server, here.url) == 1
    for ledger in many[1:]:
        ledger.close()
    settle(many[0])  # the others' end is not this one's
    assert connections(server, here.url) == 1
    many[0].close()
    until(lambda: connections(server, here.url) == 0)


@pytest.mark.parametrize("given", ["", "2"])
def test_ledgers_that_are_used_at_once_have_no_more_connections_than_told(
    server: Server, here: InDatabase, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given:
        monkeypatch.setenv("ORGGUARD_STORE_CONNECTIONS", given)
    seen = []

    def look() -> None:
        for _ in range(20):
            seen.append(connections(server, here.url))  # noqa: PERF401  # one after the other

    with ExitStack() as stack:
        opened = [stack.enter_context(closing(here.another(str(n)).open())) for n in range(MANY)]
        at_once(look, *(lambda own=own: settle(own) for own in opened))  # type: ignore[misc]
        seen.append(connections(server, here.url))
    assert 1 < max(seen) <= int(given or 8)


@pytest.mark.parametrize("given", ["0", "x", "-1", "1" * 5000])
def test_number_of_connections_that_is_none_is_told(
    here: InDatabase, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORGGUARD_STORE_CONNECTIONS", given)
    with pytest.raises(LedgerError) as caught:
        here.open()
    assert "ORGGUARD_STORE_CONNECTIONS" in caught.value.cause
    assert caught.value.hint


def test_threads_read_one_log_at_once(
    server: Server, here: InDatabase, many: list[PostgresLedger]
) -> None:
    ledger = many[0]
    together = threading.Barrier(4, timeout=30)

    def read() -> None:
        ledger._session.snapshot(lambda _: together.wait())

    at_once(*[read] * 4)
    assert connections(server, here.url) == 4


def test_what_is_not_needed_is_hung_up(
    server: Server, here: InDatabase, many: list[PostgresLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    test_threads_read_one_log_at_once(server, here, many)
    monkeypatch.setattr(pg_pool, "IDLE_SECONDS", 0.0)
    many[0].pending()
    until(lambda: connections(server, here.url) == 1)


def test_logs_of_others_go_on_while_all_threads_wait_for_one(
    here: InDatabase, many: list[PostgresLedger]
) -> None:
    held, other = many[:2]
    request = ask(held)
    with psycopg.connect(here.url) as holder, ThreadPoolExecutor(10) as pool:
        holder.execute("SELECT FROM orgguard_log WHERE id = %s FOR UPDATE", (held._log.id,))
        blocked = [
            pool.submit(held.decide, answer(request, Answer.REFUSE, str(n))) for n in range(10)
        ]
        settle(other)
        assert not any(one.done() for one in blocked)
        holder.rollback()
        assert len({one.result().decided_by for one in blocked}) == 1


def test_log_that_grows_while_it_is_read_never_looks_shorter(many: list[PostgresLedger]) -> None:
    ledger, grown = many[0], threading.Event()

    def grow() -> None:
        try:
            for number in range(40):
                ledger.decide(answer(ask(ledger, f"{COINED} {number}"), Answer.REFUSE))
        finally:
            grown.set()

    def look() -> None:
        while not grown.is_set():
            ledger.verify()
            ledger.head()

    at_once(grow, *[look] * 4)
    assert len(ledger.decisions()) == 40


def test_connections_that_broke_are_replaced_at_once(
    server: Server, here: InDatabase, many: list[PostgresLedger]
) -> None:
    test_threads_read_one_log_at_once(server, here, many)
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orgguard'"
    )
    tries = []
    many[0]._session.read(lambda db: (tries.append(1), db.execute("SELECT 1")))
    assert len(tries) == 2  # not one for each of those that broke
    assert connections(server, here.url) == 1


def test_forked_child_has_connections_of_its_own(
    server: Server, here: InDatabase, many: list[PostgresLedger]
) -> None:
    request = ask(many[0])
    assert connections(server, here.url) == 1
    pid = os.fork()
    if not pid:
        try:
            with closing(here.another("0").open()) as own:
                own.decide(answer(request, Answer.REFUSE))
                os._exit(connections(server, here.url))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert [one.answer for one in many[0].decisions()] == [Answer.REFUSE]
    settle(many[1])


@pytest.mark.usefixtures("shared")
def test_command_connects_once(project: Repo, server: Server, here: InDatabase) -> None:
    name = conninfo_to_dict(here.url)["dbname"]
    query = f"SELECT sessions FROM pg_stat_database WHERE datname = '{name}'"

    def sessions() -> int:
        (row,) = server.execute(query)
        return int(str(row[0]))

    with closing(here.open()):
        pass  # the tables are there
    until(lambda: connections(server, here.url) == 0)
    before = sessions()
    done = subprocess.run(
        [*COMMAND, "log"], cwd=project.path, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    until(lambda: connections(server, here.url) == 0)
    assert sessions() == before + 1


# --- one that hears -------------------------------------------------------------------------------


def rings(bell: Bell, seconds: float = 30) -> bool:
    """Whether *bell* is heard; it is hushed then."""
    heard = bool(select.select([bell], [], [], seconds)[0])
    if heard:
        bell.hush()
    return heard


@pytest.fixture
def bells(many: list[PostgresLedger]) -> Iterator[list[Bell]]:
    """A bell for each of *many*; they are connected, and none has rung since."""
    with ExitStack() as stack:
        made: list[Bell] = []
        for ledger in many:
            bell = ledger.bell()
            assert bell
            made.append(stack.enter_context(closing(bell)))
            if len(made) == 1:
                assert rings(bell)  # later ones are added to what listens, and do not ring at first
        yield made


def test_bells_of_many_logs_share_one_connection_and_ring_for_their_own(
    server: Server, here: InDatabase, many: list[PostgresLedger], bells: list[Bell]
) -> None:
    assert listeners(server, here.url) == 1
    ask(many[3])
    assert rings(bells[3])
    ask(many[7])
    assert rings(bells[7])  # notices come in order: those of others would have come
    assert not any(rings(bell, 0) for bell in bells)


def test_bells_of_one_log_all_ring(many: list[PostgresLedger], bells: list[Bell]) -> None:
    other = many[0].bell()
    assert other
    with closing(other):
        ask(many[0])
        assert rings(bells[0])
        assert rings(other)
    ask(many[0])
    assert rings(bells[0])  # the other one's end is not this one's


def test_all_bells_ring_when_the_database_is_back_and_then_as_before(
    server: Server, here: InDatabase, many: list[PostgresLedger], bells: list[Bell]
) -> None:
    server.kill()
    server.start()
    assert all(rings(bell) for bell in bells)  # something may have been missed
    assert listeners(server, here.url) == 1
    ask(many[5])
    assert rings(bells[5])


def test_nothing_listens_after_the_last_bell(
    server: Server, here: InDatabase, many: list[PostgresLedger]
) -> None:
    for _ in range(2):
        first, last = many[0].bell(), many[1].bell()
        assert first
        assert last
        assert rings(last)
        first.close()
        assert listeners(server, here.url) == 1
        last.close()
        until(lambda: not listeners(server, here.url))
        until(lambda: "orgguard-bell" not in {one.name for one in threading.enumerate()})
