"""A shared store under kill -9 of whoever uses it, of its connections, and of all of it: what was
acknowledged is in the log, once, and all who decided were told the same.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.model import Answer
from orgguard_mcp.storage import pg_session
from orgguard_mcp.storage.pg_ledger import PostgresLedger
from tests import database
from tests.agent import LEGACY, Agent
from tests.database import Server
from tests.human import Human
from tests.ledgers import InDatabase, an_ask, answer, ask
from tests.names import COINED, COINED_TOO
from tests.severed import Line
from tests.simulator import Repo

WORKERS = 3
LAPSE = 5.0


@pytest.fixture
def doomed() -> Iterator[Server]:
    """A server that nobody else needs."""
    if not database.BINARIES:
        pytest.skip(database.MISSING)
    started = Server()
    yield started
    started.close()


# --- those who ask and decide ---------------------------------------------------------------------


def _work(place: InDatabase, acknowledge: int) -> None:
    """Ask and decide about the names that the others do, too, and say so after each: `? request
    mark` asked, `! request mark` decided, with the mark of the decision that stands.
    """
    me, number = f"{os.getpid()}", 0
    ledger = _opened(place)
    while True:
        number = max(number + 1, int(time.time() * 20))
        mark = f"{me}.{number}"
        with suppress(LedgerError):  # then nothing was acknowledged
            asked = replace(an_ask(pid=os.getpid()), purpose=mark)
            request = ask(ledger, f"{COINED} {number}", asked, lapse=LAPSE)
            os.write(acknowledge, f"? {request.id} {mark}\n".encode())
            mine = replace(answer(request, Answer.REFUSE), reason=mark)
            stands = ledger.decide(mine)
            os.write(acknowledge, f"! {request.id} {stands.reason}\n".encode())


def _opened(place: InDatabase) -> PostgresLedger:
    while True:
        with suppress(LedgerError):
            return place.open()


class Crowd:
    """Processes that work at the same time, and what they acknowledged."""

    def __init__(self, place: InDatabase) -> None:
        self._place = place
        self._reading, self._writing = os.pipe()
        self.said: list[str] = []
        self._more = threading.Condition()
        self._workers = [self._start() for _ in range(WORKERS)]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _start(self) -> int:
        pid = os.fork()
        if not pid:
            try:
                os.close(self._reading)
                _work(self._place, self._writing)
            finally:
                os._exit(1)  # never back into pytest
        return pid

    def _read(self) -> None:
        with os.fdopen(self._reading) as lines:
            for line in lines:
                with self._more:
                    self.said.append(line)
                    self._more.notify()

    def works(self, count: int = 6) -> None:
        """Wait until *count* more things were acknowledged."""
        with self._more:
            wanted = len(self.said) + count
            assert self._more.wait_for(lambda: len(self.said) >= wanted, 60)

    def kill_one(self, chance: random.Random) -> None:
        """Kill a worker, whatever it does, and start another."""
        number = chance.randrange(WORKERS)
        self._end(self._workers[number])
        self._workers[number] = self._start()

    def _end(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL

    def end(self) -> None:
        """Kill all."""
        for pid in self._workers:
            self._end(pid)
        os.close(self._writing)
        self._reader.join(20)


# --- faults ---------------------------------------------------------------------------------------


def _kill_a_connection(server: Server, chance: random.Random) -> bool:
    """Kill one of the server's processes: the server then ends all, and recovers."""
    if found := server.backends():
        with suppress(psutil.NoSuchProcess):
            chance.choice(found).kill()
            return True
    return False


def _kill_the_database(server: Server) -> None:
    server.kill()
    server.start()


def run(server: Server, faults: int, seed: int) -> tuple[list[str], Counter[str]]:
    """What was acknowledged while things were killed, and how often which kind was."""
    chance = random.Random(seed)  # noqa: S311
    crowd = Crowd(InDatabase(server.url, "a repository"))
    done: Counter[str] = Counter()
    try:
        while done.total() < faults:
            crowd.works()
            until = time.perf_counter() + chance.random() * 0.02
            while time.perf_counter() < until:
                pass  # somewhere within what they do next
            kind = chance.choices(["worker", "connection", "database"], [6, 3, 1])[0]
            if kind == "worker":
                crowd.kill_one(chance)
            elif kind == "connection" and not _kill_a_connection(server, chance):
                continue
            elif kind == "database":
                _kill_the_database(server)
            done[kind] += 1
        crowd.works()
    finally:
        crowd.end()
    return crowd.said, done


def expect_nothing_lost_or_doubled(ledger: PostgresLedger, said: list[str]) -> None:
    """Every acknowledged question and decision is in the log, once, and told alike to all."""
    ledger.verify()
    decisions = ledger.decisions()
    stands = {decision.request_id: decision.reason for decision in decisions}
    assert len(stands) == len(decisions)
    requests = {request.id: request for request in ledger.requests()}
    marks = Counter(one.purpose for request in requests.values() for one in request.asks)
    assert set(marks.values()) == {1}
    for what, request_id, mark in map(str.split, said):
        if what == "!":
            assert stands[request_id] == mark
        else:
            assert mark in {one.purpose for one in requests[request_id].asks}
    acknowledged = Counter(line[0] for line in said)
    assert acknowledged["!"] > len(said) / 3


def _faults(server: Server, faults: int, seed: int) -> Counter[str]:
    said, done = run(server, faults, seed)
    with closing(InDatabase(server.url, "a repository").open()) as ledger:
        expect_nothing_lost_or_doubled(ledger, said)
        contested = Counter(line.split()[1] for line in said if line[0] == "!")
    assert max(contested.values()) > 1, "nobody was ever second"
    print(f"{len(said)} acknowledged, {done}")  # noqa: T201  # shown by `pytest -s`
    return done


def test_nothing_that_was_acknowledged_is_lost_or_doubled_when_things_are_killed(
    doomed: Server,
) -> None:
    assert _faults(doomed, 25, 20260102).total() == 25


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_or_doubled_over_hundreds_of_kills(doomed: Server, seed: int) -> None:
    done = _faults(doomed, 150, seed)
    assert set(done) == {"worker", "connection", "database"}


def test_agent_gets_its_answer_though_the_database_and_its_server_were_killed(
    doomed: Server, key_file: Path, make_repo: Callable[..., Repo], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("ORGGUARD_STORE", doomed.url)
    monkeypatch.setenv("ORGGUARD_STORE_KEY_FILE", str(key_file))
    repo = make_repo({".orgguard/policy.toml": "hold_seconds = 60\n"})
    other = repo.clone(tmp_path / "other")
    with Agent(repo.path, LEGACY) as agent:
        agent.send("request_consent", name=COINED, where="a.py:1")
        agent.waits()
        _kill_the_database(doomed)
        with Human(other.path) as human:
            assert human.grants() == COINED
        assert agent.result()["structured"]["effect"] == "allow"
        agent.send("request_consent", name=COINED_TOO, where="a.py:1")
        agent.waits()
        agent.kill_server()
        with Human(other.path) as human:
            assert human.grants() == COINED_TOO
    with Agent(repo.path, LEGACY) as again:
        assert again.ask(COINED_TOO)["effect"] == "allow"


# --- a connection that dies between commit and reply ----------------------------------------------


@pytest.fixture
def line(server: Server) -> Iterator[Line]:
    with Line(server.folder) as laid:
        yield laid


@pytest.fixture
def severed(line: Line, here: InDatabase) -> InDatabase:
    """`here`, over a line that can be cut."""
    return replace(here, url=here.url.partition("host=")[0] + f"host={line.folder}")


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_decides_learns_that_it_won_when_the_connection_died_at_the_commit(
    line: Line, severed: InDatabase, when: str
) -> None:
    with closing(severed.open()) as ledger:
        request = ask(ledger)
        mine = answer(request, Answer.GRANT)
        line.cut(when)
        assert ledger.decide(mine, grant="a text") is mine
        assert line.cuts == 1
        assert ledger.decisions() == [mine]
        assert ledger.attached() == [(request.id, "a text")]
        ledger.verify()


@pytest.mark.parametrize(("when", "first"), [("before", "theirs"), ("after", "mine")])
def test_who_decides_learns_who_won_when_another_decided_before_it_could_ask(
    line: Line, severed: InDatabase, here: InDatabase, when: str, first: str
) -> None:
    with closing(severed.open()) as ledger, closing(here.open()) as other:
        request = ask(ledger)
        mine = replace(answer(request, Answer.GRANT), reason="mine")
        theirs = replace(answer(request, Answer.REFUSE), reason="theirs")
        line.cut(when, lambda: other.decide(theirs))
        assert ledger.decide(mine, grant="a text").reason == first
        assert [decision.reason for decision in other.decisions()] == [first]
        assert len(other.attached()) == (first == "mine")
        other.verify()


@pytest.mark.parametrize("when", ["before", "after"])
def test_question_and_grant_are_stored_once_when_the_connection_died_at_the_commit(
    line: Line, severed: InDatabase, when: str
) -> None:
    with closing(severed.open()) as ledger:
        line.cut(when)
        request = ask(ledger)
        line.cut(when)
        ledger.attach(request.id, "a text")
        assert line.cuts == 2
        assert ledger.requests() == [request]
        assert len(request.asks) == 1
        assert ledger.attached() == [(request.id, "a text")]
        ledger.verify()


def test_question_that_was_answered_before_its_asker_knew_of_it_is_not_asked_twice(
    line: Line, severed: InDatabase, here: InDatabase
) -> None:
    with closing(severed.open()) as ledger, closing(here.open()) as other:

        def refuse() -> None:
            other.decide(answer(other.pending()[0], Answer.REFUSE))

        line.cut("after", refuse)
        asked = ask(ledger)
        assert ledger.requests() == [asked]
        assert ledger.pending() == []


def test_when_the_store_stays_away_who_decides_is_told_that_it_is_not_known(
    line: Line, severed: InDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(severed.open()) as ledger:
        request = ask(ledger)
        monkeypatch.setattr(pg_session, "BUSY_SECONDS", 0.2)
        line.cut("after", line.end)
        with pytest.raises(LedgerError) as caught:
            ledger.decide(answer(request, Answer.GRANT))
    assert "not known whether" in caught.value.message
    assert "orgguard log" in caught.value.hint
