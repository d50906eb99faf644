"""Who uses the shared server in `team.py`, in processes of their own: agents that ask, approvers
that answer, and bare notices for a floor. Each tells at its end what it did, and when.

Times are of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import random
import select
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from orgguard_mcp.errors import LedgerError, OrgGuardError
from orgguard_mcp.guard import Guard
from orgguard_mcp.mirrors import Mirrors
from orgguard_mcp.model import Answer, Request
from tests.callers import Caller, UnansweredError
from tests.names import COINED

PATIENCE = 60.0
"""Seconds after which an agent takes a call for lost: longer than any is held."""

_CONFIRMED = 10  # of so many names, one is asked about once more, at any instance
_LOOK_SECONDS = 2.0  # how long a question is missed whose bell was lost


@dataclass(frozen=True)
class Scene:
    """Where everything is: instances' addresses, agents' tokens, the repositories."""

    mirrors: Path
    repositories: tuple[str, ...]
    addresses: tuple[str, ...]
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Signals:
    """What everybody is told: begin; take no more names and finish; go home."""

    begin: Any
    finish: Any
    leave: Any


class Told(NamedTuple):
    """What an agent was told about its name, and when."""

    repository: str
    name: str
    request_id: str
    status: str
    at: float


@dataclass
class Asked:
    """What some agents did."""

    told: list[Told] = field(default_factory=list)
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    """Repository and name of what a server said is in the queue."""
    checked: list[tuple[float, float]] = field(default_factory=list)
    """When, and how long a check took; likewise below."""
    stored: list[tuple[float, float]] = field(default_factory=list)
    answered: list[tuple[float, float]] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    """Calls without an answer, and errors, by kind."""
    wrong: list[str] = field(default_factory=list)
    """What must never be: an allow before anybody allowed, an answer that changed."""


class Answered(NamedTuple):
    """An approver's answer, when they began to give it, and when it was given."""

    repository: str
    request_id: str
    answer: str
    began: float
    at: float


def wanted(name: str) -> Answer:
    """What approvers answer, so that who is told the wrong thing can be found."""
    return Answer.GRANT if int(name.rpartition("x")[2]) % 2 else Answer.REFUSE


# --- agents ---------------------------------------------------------------------------------------


def agents(numbers: Sequence[int], scene: Scene, signals: Signals, told: Any) -> None:  # noqa: ANN401
    """The agents with *numbers*, as tasks of this process."""
    asked = Asked()

    async def all_of_them() -> None:
        finish = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for number in numbers:
                tasks.create_task(_Agent(number, scene, asked, finish).work())
            await asyncio.to_thread(signals.finish.wait)
            finish.set()

    signals.begin.wait()
    with suppress(TimeoutError):
        asyncio.run(_until(signals, all_of_them()))
    told.put(asked)


async def _until(signals: Signals, work: Any) -> None:  # noqa: ANN401
    """Do *work*, to its end or until all go home."""
    working = asyncio.create_task(work)
    while not working.done() and not signals.leave.is_set():
        await asyncio.wait([working], timeout=0.1)
    if working.done():
        working.result()
    working.cancel()
    await asyncio.wait([working])


class _Agent:
    def __init__(self, number: int, scene: Scene, asked: Asked, finish: asyncio.Event) -> None:
        self._number = number
        self._asked = asked
        self._finish = finish
        self._repository = scene.repositories[number % len(scene.repositories)]
        token = scene.tokens[number % len(scene.tokens)]
        self._callers = [Caller(address, token) for address in scene.addresses]

    async def work(self) -> None:
        """Take one name after the other."""
        try:
            await asyncio.sleep(random.random())  # noqa: S311
            for count in itertools.count():
                if self._finish.is_set():
                    return
                await self._settle(f"{COINED} {self._number}x{count}", count)
        finally:
            for caller in self._callers:
                caller.close()

    async def _settle(self, name: str, count: int) -> None:
        checked = await self._call("check_name", name, self._asked.checked)
        if checked["effect"] != "ask":
            self._asked.wrong.append(f"{name}: {checked['effect']} before anybody was asked")
        first: list[tuple[float, float]] | None = self._asked.answered
        while True:
            reply = await self._call("request_consent", name, first)
            first = None
            if reply["status"] != "pending":
                break
            self._acknowledge(name)
        given = reply["names"][0]
        self._asked.told.append(
            Told(self._repository, name, given.get("id", ""), reply["status"], time.monotonic())
        )
        if count % _CONFIRMED == 0:
            again = await self._call("request_consent", name, None)
            if again["status"] != reply["status"]:
                self._asked.wrong.append(f"{name}: {reply['status']}, then {again['status']}")

    async def _call(
        self, tool: str, name: str, taken: list[tuple[float, float]] | None
    ) -> dict[str, Any]:
        """The reply to a call, by whichever instance answers first to answer at all."""
        where = {"where": "src/a.py:1"} if tool == "request_consent" else {}
        while True:
            began = time.monotonic()
            caller = random.choice(self._callers)  # noqa: S311
            try:
                async with asyncio.timeout(PATIENCE):
                    reply = await self._heard(caller, tool, name, where, taken is not None)
            except UnansweredError as error:
                self._asked.troubles[f"status {error.status}" if error.status else "lost"] += 1
            except TimeoutError:
                self._asked.troubles["no answer"] += 1
            else:
                if "names" in reply:
                    if taken is not None:
                        taken.append((began, time.monotonic() - began))
                    return reply
                if reply["effect"] != "deny":
                    self._asked.wrong.append(f"{name}: an error with {reply['effect']}")
                full = "too many questions" in reply["next"]
                self._asked.troubles["queue full" if full else "error"] += 1
            await asyncio.sleep(0.05 + random.random() / 5)  # noqa: S311

    async def _heard(
        self, caller: Caller, tool: str, name: str, where: dict[str, str], timed: bool
    ) -> dict[str, Any]:
        """A reply. Meanwhile note when the server said that the question is in the queue."""
        began, heard = time.monotonic(), asyncio.Event()

        async def note() -> None:
            await heard.wait()
            self._acknowledge(name)
            if timed:
                self._asked.stored.append((began, time.monotonic() - began))

        if not where:
            return await caller.call(self._repository, tool, name=name)
        noting = asyncio.create_task(note())
        try:
            return await caller.call(self._repository, tool, heard, name=name, **where)
        finally:
            noting.cancel()

    def _acknowledge(self, name: str) -> None:
        self._asked.acknowledged.add((self._repository, name))


# --- approvers ------------------------------------------------------------------------------------


def approvers(
    count: int, pace: float, repositories: Sequence[str], scene: Scene, signals: Signals,
    told: Any,  # noqa: ANN401
) -> None:  # fmt: skip
    """*count* people who answer the oldest questions of *repositories*; with a *pace*, each takes
    so many seconds for one, until nobody asks any more.
    """
    with ExitStack() as opened:
        mirrors = Mirrors(scene.mirrors)
        guards = {name: opened.enter_context(Guard(mirrors.path(name))) for name in repositories}
        queues = _Queues(guards, opened)
        given: list[Answered] = []
        people = [
            threading.Thread(target=_answer, args=(queues, pace, signals, given))
            for _ in range(count)
        ]
        signals.begin.wait()
        for person in people:
            person.start()
        while not signals.leave.is_set():
            queues.look(count)
        for person in people:
            person.join()
        told.put((given, queues.troubles))


class _Queues:
    """The open questions of some repositories, each given to one of this process's people."""

    def __init__(self, guards: dict[str, Guard], opened: ExitStack) -> None:
        self.guards = guards
        self.waiting: queue.PriorityQueue[tuple[float, str, str, Request]] = queue.PriorityQueue()
        self.troubles: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._bells = {}
        for name, guard in guards.items():
            bell = guard.ledger.bell()
            assert bell
            self._bells[bell.fileno()] = (name, opened.enter_context(closing(bell)))
        self._rung = set(guards)
        self._looked = time.monotonic()

    def look(self, count: int) -> None:
        """See whether there are new questions, unless *count* are known of anyway."""
        for bell in select.select(list(self._bells), [], [], 0.05)[0]:
            name, rung = self._bells[bell]
            rung.hush()
            self._rung.add(name)
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._rung, self._looked = set(self.guards), time.monotonic()
        for name in sorted(self._rung, key=lambda _: random.random()):  # noqa: S311
            if self.waiting.qsize() >= count:
                return
            self._read(name)

    def _read(self, name: str) -> None:
        self._rung.discard(name)
        try:
            found = self.guards[name].ledger.pending()
        except LedgerError:
            self.troubles["could not read"] += 1
            return
        for request in found:
            if request.id not in self._seen:
                self._seen.add(request.id)
                self.waiting.put((request.created_at, request.id, name, request))


def _answer(queues: _Queues, pace: float, signals: Signals, given: list[Answered]) -> None:
    while not signals.leave.is_set():
        if pace and not signals.finish.is_set():
            signals.finish.wait(pace * (0.5 + random.random()))  # noqa: S311
        try:
            created_at, request_id, repository, request = queues.waiting.get(timeout=0.2)
        except queue.Empty:
            continue
        began = time.monotonic()
        try:
            meant = wanted(request.name.surface)
            stands = queues.guards[repository].decide(request, meant, channel="terminal")
        except OrgGuardError:
            queues.troubles["could not answer"] += 1
            queues.waiting.put((created_at, request_id, repository, request))
        else:
            answer = str(stands.answer) if stands else ""
            given.append(Answered(repository, request_id, answer, began, time.monotonic()))


# --- the floor ------------------------------------------------------------------------------------


def notices(url: str, signals: Signals, told: Any) -> None:  # noqa: ANN401
    """How long a notice takes from one bare connection to another, ten times a second."""
    taken: list[tuple[float, float]] = []
    channel = f"floor_{os.getpid()}"
    with (
        psycopg.connect(url, autocommit=True) as speaking,
        psycopg.connect(url, autocommit=True) as hearing,
    ):
        hearing.execute(f"LISTEN {channel}")
        signals.begin.wait()
        while not signals.finish.wait(0.1):
            began = time.monotonic()
            speaking.execute("SELECT pg_notify(%s, '')", (channel,))
            if next(hearing.notifies(timeout=5, stop_after=1), None):
                taken.append((began, time.monotonic() - began))
    told.put(taken)
