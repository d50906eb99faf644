"""Waiting for a human: a decision is heard at once, and found when its bell was lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from orgguard_mcp import waiting
from orgguard_mcp.errors import LedgerError
from orgguard_mcp.model import Answer, Ask, Asker, Base, Decision, Scope
from orgguard_mcp.names import parse
from orgguard_mcp.storage.bell import FifoBell
from orgguard_mcp.storage.ledger import Ledger
from orgguard_mcp.waiting import Watch
from tests import names
from tests.agent import LEGACY, Agent
from tests.ledgers import InFile
from tests.simulator import Repo

asynchronous = pytest.mark.asyncio
NEVER = 3600.0

REFUSE = """
import sys, time
from pathlib import Path
from orgguard_mcp.model import Answer, Decision, Scope
from orgguard_mcp.storage.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in sys.argv[2:]:
    key = ledger.request(number).name.key
    ledger.decide(
        Decision(number, key, Answer.REFUSE, Scope(), "", "terminal", "somebody", time.time())
    )
"""


@pytest.fixture
def place(path: Path) -> InFile:
    """These are about the file."""
    return InFile(path)


def ask(ledger: Ledger, name: str = names.COINED) -> str:
    asks = [Ask("a.py:1", "", "", Asker(), 0.0)]
    return ledger.ask(parse(name), Base("0" * 40, "a test"), asks, 600).id


def refuse(path: Path, *requests: str) -> None:
    """Decide in another process, as a reviewer's terminal does."""
    subprocess.run([sys.executable, "-c", REFUSE, str(path), *requests], check=True, timeout=60)


def bells(path: Path) -> list[Path]:
    return sorted(path.parent.glob("*.bell"))


@asynccontextmanager
async def watching() -> AsyncIterator[Watch]:
    async with anyio.create_task_group() as tasks:
        yield Watch(tasks)
        tasks.cancel_scope.cancel()


async def elsewhere(act: Callable[..., None], *args: object) -> None:
    await anyio.to_thread.run_sync(act, *args)


async def until(holds: Callable[[], object]) -> None:
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110  # another process or a file system decides
            await anyio.sleep(0.01)


async def expect(work: Awaitable[None]) -> None:
    with anyio.fail_after(20):
        await work


@asynchronous
async def test_a_decision_in_another_process_wakes_who_waits(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", NEVER)
    request = ask(ledger)
    async with watching() as watch, anyio.create_task_group() as tasks:
        tasks.start_soon(expect, watch.until_decided(ledger, [request]))
        await until(lambda: bells(path))
        await elsewhere(refuse, path, request)


@asynchronous
async def test_a_decision_of_this_very_server_wakes_it_too(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", NEVER)
    request = ask(ledger)
    key = parse(names.COINED).key
    refusal = Decision(request, key, Answer.REFUSE, Scope(), "", "elicitation", "somebody", 1.0)
    async with watching() as watch, anyio.create_task_group() as tasks:
        tasks.start_soon(expect, watch.until_decided(ledger, [request]))
        await until(lambda: bells(path))
        await anyio.to_thread.run_sync(ledger.decide, refusal)


@asynchronous
async def test_a_decision_whose_bell_was_lost_is_found(ledger: Ledger, path: Path) -> None:
    request = ask(ledger)
    async with watching() as watch, anyio.create_task_group() as tasks:
        tasks.start_soon(expect, watch.until_decided(ledger, [request]))
        await until(lambda: bells(path))
        for bell in bells(path):
            bell.unlink()
        await elsewhere(refuse, path, request)


@asynchronous
async def test_where_no_bell_can_be_made_a_decision_is_found(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "mkfifo", refused)
    request = ask(ledger)
    async with watching() as watch, anyio.create_task_group() as tasks:
        tasks.start_soon(expect, watch.until_decided(ledger, [request]))
        await elsewhere(refuse, path, request)
    assert bells(path) == []


@asynchronous
async def test_a_decision_before_the_first_look_is_not_missed(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", NEVER)
    request = ask(ledger)
    refuse(path, request)
    async with watching() as watch:
        await expect(watch.until_decided(ledger, [request]))


class Late(Ledger):
    """A ledger in which the decision falls between a call's own look and the common one."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self.decided = threading.Event()

    def undecided(self, request_ids: Iterable[str]) -> frozenset[str]:
        found = super().undecided(request_ids)
        if not self.decided.is_set():
            refuse(self.path, *found)
            self.decided.set()
        return found

    def version(self) -> int:
        assert self.decided.wait(20)
        return super().version()


@asynchronous
async def test_a_decision_between_the_first_two_looks_is_not_missed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", NEVER)
    ledger = Late(path)
    request = ask(ledger)
    async with watching() as watch:
        await expect(watch.until_decided(ledger, [request]))
    ledger.close()


@asynchronous
async def test_many_waiting_calls_share_one_bell_and_each_hears_of_its_own(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", NEVER)
    requests = [ask(ledger, f"{names.COINED}{number}x") for number in range(30)]
    heard: list[str] = []

    async def wait(watch: Watch, request: str) -> None:
        await expect(watch.until_decided(ledger, [request]))
        heard.append(request)

    async with watching() as watch:
        async with anyio.create_task_group() as tasks:
            for request in requests:
                tasks.start_soon(wait, watch, request)
            await until(lambda: bells(path))
            assert len(bells(path)) == 1
            await elsewhere(refuse, path, requests[7])
            await until(lambda: heard)
            assert heard == [requests[7]]
            await elsewhere(refuse, path, *requests[:7], *requests[8:])
        assert sorted(heard) == sorted(requests)
        await until(lambda: not bells(path))  # nobody waits any more


@asynchronous
async def test_a_ledger_that_breaks_ends_the_wait(ledger: Ledger, path: Path) -> None:
    request = ask(ledger)
    async with watching() as watch, anyio.create_task_group() as tasks:
        tasks.start_soon(expect, watch.until_decided(ledger, [request]))
        await until(lambda: bells(path))
        ledger.close()
    with pytest.raises(LedgerError):
        ledger.undecided([request])


def test_a_killed_servers_bell_is_taken_away(make_repo: Callable[..., Repo]) -> None:
    repo = make_repo({".orgguard/policy.toml": "hold_seconds = 60\n"}).path
    ledger = repo / ".git" / "orgguard" / "ledger.sqlite3"
    with Agent(repo, LEGACY) as agent:
        agent.send("request_consent", name=names.COINED, where="a.py:1")
        agent.waits()
        while not bells(ledger):
            agent.event("progress")
        server = psutil.Process(agent.ready["server"])
        server.send_signal(signal.SIGKILL)
        server.wait(20)
    (left,) = bells(ledger)
    listening = FifoBell(ledger.parent)
    opened = Ledger(ledger)
    ask(opened, names.COINED_TOO)
    opened.close()
    assert not left.exists()
    assert len(bells(ledger)) == 1  # the one that somebody listens to
    listening.close()
