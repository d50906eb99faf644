"""The shared server when instances and the database are killed: whoever was told that a question is
in the queue gets its answer, at any instance, and everybody gets the same one.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.guard import Guard
from orgguard_mcp.mirrors import Mirrors
from orgguard_mcp.model import Answer
from tests import database
from tests.callers import Caller, UnansweredError
from tests.database import Server
from tests.hosts import Host, make_token
from tests.names import COINED
from tests.simulator import Repo

NAME = "team/project"
AGENTS = 8
STATUS = {Answer.GRANT: "granted", Answer.REFUSE: "refused"}


@pytest.fixture
def doomed(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A database that nobody else needs, and the environment of those who use it."""
    if not database.BINARIES:
        pytest.skip(database.MISSING)
    started = Server()
    monkeypatch.setenv("ORGGUARD_STORE", started.url)
    monkeypatch.setenv("ORGGUARD_STORE_KEY_FILE", str(key_file))
    yield started
    started.close()


@pytest.fixture
def mirrors(make_repo: Callable[..., Repo], tmp_path: Path) -> Mirrors:
    made = Mirrors(tmp_path / "mirrors")
    origin = make_repo({"a.py": "1\n", ".orgguard/policy.toml": "hold_seconds = 60\n"})
    made.add(NAME, f"file://{origin.path}")
    return made


@pytest.fixture
def settings(mirrors: Mirrors, tmp_path: Path) -> Path:
    file = tmp_path / "server.toml"
    file.write_text(f'mirrors = "{mirrors.directory}"\n[limits]\nburst = 10000\n')
    return file


def wanted(name: str) -> Answer:
    """What the human says, so that who is told another thing is found."""
    return Answer.GRANT if int(name[-1]) % 2 else Answer.REFUSE


async def call(address: str, token: str, tool: str, *heard: asyncio.Event, **said: str) -> Any:  # noqa: ANN401
    """A call of an agent that comes for this one alone."""
    caller = Caller(address, token)
    try:
        return await caller.call(NAME, tool, *heard, **said)
    finally:
        caller.close()


async def all_asking(address: str, token: str, names: Sequence[str]) -> list[asyncio.Task[Any]]:
    """A call that asks about each of *names*, once all of them are in the queue and wait."""
    heard = [asyncio.Event() for _ in names]
    calls = [
        asyncio.create_task(call(address, token, "request_consent", one, name=name, where="a.py:1"))
        for name, one in zip(names, heard, strict=True)
    ]
    async with asyncio.timeout(60):
        await asyncio.gather(*(one.wait() for one in heard))
    return calls


def answer_all(mirrors: Mirrors) -> None:
    """Answer what is open, on another machine."""
    with Guard(mirrors.path(NAME)) as guard:
        for request in guard.ledger.pending():
            guard.decide(request, wanted(request.name.surface), channel="terminal")


def expect_asked_and_answered_once(mirrors: Mirrors, told: dict[str, str]) -> None:
    """Each name has one question with one answer, the one that its agent was *told*."""
    with Guard(mirrors.path(NAME)) as guard:
        guard.ledger.verify()
        names = {one.id: one.name.surface for one in guard.ledger.requests()}
        decided = [(names[one.request_id], one.answer) for one in guard.ledger.decisions()]
    assert sorted(names.values()) == sorted(told)
    assert sorted((name, STATUS[answer]) for name, answer in decided) == sorted(told.items())
    assert all(status == STATUS[wanted(name)] for name, status in told.items())


# --- each fault by itself -------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_who_waits_at_an_instance_that_is_killed_gets_the_answer_at_another(
    shared: str, settings: Path, mirrors: Mirrors
) -> None:
    _, token = make_token("ask")
    names = [f"{COINED} {number}" for number in range(AGENTS)]
    with Host(settings) as one, Host(settings) as another:
        waiting = await all_asking(one.address, token, names)
        one.process.kill()
        lost = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in lost] == [UnansweredError] * AGENTS
        waiting = await all_asking(another.address, token, names)
        await asyncio.to_thread(answer_all, mirrors)
        replies = await asyncio.gather(*waiting)
    told = dict(zip(names, (reply["status"] for reply in replies), strict=True))
    expect_asked_and_answered_once(mirrors, told)


@pytest.mark.asyncio
async def test_when_the_database_is_restarted_nobody_is_allowed_and_all_get_their_answer(
    doomed: Server, settings: Path, mirrors: Mirrors
) -> None:
    _, token = make_token("ask")
    names = [f"{COINED} {number}" for number in range(AGENTS)]
    with Host(settings) as one, Host(settings) as another:
        waiting = await all_asking(one.address, token, names)
        doomed.kill()
        checks = [call(another.address, token, "check_name", name=name) for name in names]
        meanwhile = asyncio.gather(*checks)
        await asyncio.to_thread(doomed.start)
        assert {reply["effect"] for reply in await meanwhile} <= {"ask", "deny"}
        assert not any(one.done() for one in waiting)
        await asyncio.to_thread(answer_all, mirrors)
        replies = await asyncio.gather(*waiting)
    told = dict(zip(names, (reply["status"] for reply in replies), strict=True))
    expect_asked_and_answered_once(mirrors, told)


@pytest.mark.asyncio
async def test_two_instances_that_are_asked_about_a_name_at_once_make_one_question(
    shared: str, settings: Path, mirrors: Mirrors
) -> None:
    _, token = make_token("ask")
    names = [f"{COINED} {number}" for number in range(AGENTS)]
    with Host(settings) as one, Host(settings) as another:
        everywhere = [all_asking(host.address, token, names) for host in (one, another) * 2]
        waiting = [one for each in await asyncio.gather(*everywhere) for one in each]
        await asyncio.to_thread(answer_all, mirrors)
        replies = await asyncio.gather(*waiting)
    told = {(reply["names"][0]["name"], reply["status"]) for reply in replies}
    assert len(told) == AGENTS
    expect_asked_and_answered_once(mirrors, dict(told))


# --- all of it, again and again -------------------------------------------------------------------


class Team:
    """Two instances, agents that take one name after the other at either, and a human."""

    def __init__(self, stack: ExitStack, settings: Path, mirrors: Mirrors) -> None:
        self._stack = stack
        self._settings = settings
        self._mirrors = mirrors
        self._token = make_token("ask")[1]
        self._ports = [_free_port(), _free_port()]
        self._hosts: list[Host | None] = [None, None]
        self._over = threading.Event()
        self._more = threading.Condition()
        self.told: dict[str, str] = {}
        self.unanswered = 0
        for which in (0, 1):
            self.restart(which)

    def restart(self, which: int) -> None:
        """Kill an instance, if it runs, and begin it again at its address."""
        if host := self._hosts[which]:
            host.__exit__()
        address = f"127.0.0.1:{self._ports[which]}"
        self._hosts[which] = Host(self._settings, "--listen", address).__enter__()

    def works(self, count: int = 3) -> None:
        """Wait until *count* more names are settled."""
        with self._more:
            wanted = len(self.told) + count
            assert self._more.wait_for(lambda: len(self.told) >= wanted, 120)

    def close(self) -> None:
        """Kill both."""
        for host in self._hosts:
            if host:
                host.__exit__()

    async def work(self, breaks: Callable[[], object]) -> None:
        """Ask and answer while something *breaks* again and again, and until all were told."""
        human = threading.Thread(target=self._answer)
        human.start()
        try:
            async with asyncio.timeout(600), asyncio.TaskGroup() as tasks:
                finish = asyncio.Event()
                for number in range(AGENTS):
                    tasks.create_task(self._ask(number, finish))
                await asyncio.to_thread(breaks)
                finish.set()
        finally:
            self._over.set()
            await asyncio.to_thread(human.join)

    async def _ask(self, number: int, finish: asyncio.Event) -> None:
        callers = [Caller(f"127.0.0.1:{port}", self._token) for port in self._ports]
        for count in itertools.count():
            if finish.is_set():
                break
            name = f"{COINED} {number}x{count}"
            status = await self._settled(callers, name)
            with self._more:
                self.told[name] = status
                self._more.notify()
        for caller in callers:
            caller.close()

    async def _settled(self, callers: Sequence[Caller], name: str) -> str:
        while True:
            caller = random.choice(callers)  # noqa: S311
            with suppress(UnansweredError):
                reply = await caller.call(NAME, "request_consent", name=name, where="a.py:1")
                if reply.get("status") in STATUS.values():
                    return str(reply["status"])
                assert reply["effect"] in {"ask", "deny"}
            self.unanswered += 1
            await asyncio.sleep(0.05)  # as an agent does meanwhile

    def _answer(self) -> None:
        with Guard(self._mirrors.path(NAME)) as guard:
            while not self._over.is_set():
                with suppress(LedgerError):
                    for request in guard.ledger.pending():
                        guard.decide(request, wanted(request.name.surface), channel="terminal")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.mark.faults
@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_or_doubled_over_hundreds_of_kills_of_instances_and_database(
    doomed: Server, settings: Path, mirrors: Mirrors, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    done: Counter[str] = Counter()

    def breaks() -> None:
        while done.total() < 60:
            team.works()
            kind = chance.choices(["instance", "database"], [3, 1])[0]
            if kind == "instance":
                team.restart(chance.randrange(2))
            else:
                doomed.kill()
                doomed.start()
            done[kind] += 1

    with ExitStack() as stack:
        team = Team(stack, settings, mirrors)
        stack.callback(team.close)
        await team.work(breaks)
    print(f"{len(team.told)} settled, {team.unanswered} calls without an answer, {done}")  # noqa: T201
    assert team.unanswered
    expect_asked_and_answered_once(mirrors, team.told)
