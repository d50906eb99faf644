"""A hall of desks: one for each repository that a shared server serves, opened when first visited.

A mirror is fetched when its desk is opened, and then again and again as long as it is open; nobody
waits for a fetch but who opens it. Desks that nobody has visited for the longest time are closed,
so that a thousand repositories do not want a thousand readers.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio
from anyio.abc import TaskGroup

from orgguard_mcp.access import Role
from orgguard_mcp.desk import Caller, Desk, Visit
from orgguard_mcp.errors import IndexUnavailableError, OrgGuardError
from orgguard_mcp.logs import WARNING, event
from orgguard_mcp.model import Asker
from orgguard_mcp.telemetry import Telemetry, Waiting
from orgguard_mcp.waiting import in_thread

if TYPE_CHECKING:
    from orgguard_mcp.guard import Guard
    from orgguard_mcp.notices import Notices

FIRST_FETCH_SECONDS = 10.0
"""How long who opens a desk waits for the fetch; it goes on after that."""

MAX_FETCHES = 4
"""Mirrors that are fetched at the same time."""


class Repositories(Protocol):
    """The repositories that are served, by name. Methods raise `OrgGuardError`."""

    def names(self) -> list[str]:
        """All of them."""

    def path(self, name: str) -> Path:
        """Where the repository lies."""

    def fetch(self, name: str) -> bool:
        """Bring it up to date; whether it moved."""

    def fetched_at(self, name: str) -> float:
        """When it was last known to be up to date, as seconds of the epoch."""


class Hall:
    """`desk.Host` over *repositories*, with the desks of at most *size* of them open.

    A call is held for *hold* seconds (None: as the repository's policy says). What was not fetched
    for *stale_seconds* is not judged by any more.
    """

    def __init__(
        self, tasks: TaskGroup, repositories: Repositories, telemetry: Telemetry, notices: Notices,
        *, hold: float | None, size: int, fetch_seconds: float, stale_seconds: float,
    ) -> None:  # fmt: skip
        self._tasks = tasks
        self._repositories = repositories
        self._telemetry = telemetry
        self._notices = notices
        self._hold = hold
        self._size = size
        self._fetch_seconds = fetch_seconds
        self._stale_seconds = stale_seconds
        self.leaving = anyio.Event()
        """Set when the server is to end: nobody should wait on."""
        self._seats: dict[str, _Seat] = {}  # the one that was visited last comes last
        self._fetching = anyio.CapacityLimiter(MAX_FETCHES)

    @asynccontextmanager
    async def visit(self, caller: Caller) -> AsyncIterator[Visit]:
        """See `Host`."""
        name, who = caller.repository, caller.principal
        seat = self._seat(name)
        seat.visitors += 1
        try:
            with anyio.move_on_after(FIRST_FETCH_SECONDS):
                await seat.fetched.wait()
            seat.fetched.set()  # nobody else waits for one that takes longer
            self._expect_fresh(name)
            answers = who is not None and who.may(Role.ANSWER, name)
            # Who it is, the token says; what the client calls itself, it may change at will.
            asker = Asker(who.label if who else caller.client)
            reporter = _Reporter(name, self._telemetry, self._notices)
            yield Visit(seat.desk, asker, answers, self.leaving, reporter)
        finally:
            seat.visitors -= 1
            self._close_unvisited()

    async def fetch(self, name: str) -> bool:
        """Bring a repository up to date now; whether it moved. Raises `OrgGuardError`."""
        async with self._fetching:
            moved = await in_thread(self._repositories.fetch, name)
        if moved and (seat := self._seats.get(name)):
            guard = await seat.desk.guard()
            await in_thread(guard.prepare)
        self._telemetry.fetched("changed" if moved else "unchanged", name)
        return moved

    def close(self) -> None:
        """See `Host`: every desk is closed by the task that follows its repository."""

    def waiting(self) -> Mapping[str, Waiting]:
        """The questions that wait, of the repositories whose desks are open."""
        guards = {name: seat.desk.opened for name, seat in list(self._seats.items())}
        return {name: _waiting(guard) for name, guard in guards.items() if guard}

    # --- desks --------------------------------------------------------------------------------

    def _seat(self, name: str) -> _Seat:
        seat = self._seats.pop(name, None)
        if seat is None:
            directory = self._repositories.path(name)
            desk = Desk(self._tasks, str(directory), None, dry_run=False, hold=self._hold)
            seat = _Seat(desk)
            self._tasks.start_soon(self._follow, name, seat)
        self._seats[name] = seat
        return seat

    def _close_unvisited(self) -> None:
        unvisited = [name for name, seat in self._seats.items() if not seat.visitors]
        for name in unvisited[: max(0, len(self._seats) - self._size)]:
            self._seats.pop(name).follower.cancel()

    async def _follow(self, name: str, seat: _Seat) -> None:
        """Fetch the repository again and again; close its desk at the end."""
        try:
            with seat.follower:
                while True:
                    await self._try_to_fetch(name)
                    seat.fetched.set()
                    await anyio.sleep(self._fetch_seconds)
        finally:
            seat.desk.close()

    async def _try_to_fetch(self, name: str) -> None:
        try:
            await self.fetch(name)
        except OrgGuardError as error:
            event("fetch", WARNING, repository=name, outcome="failed", cause=error)
            self._telemetry.fetched("failed", name)

    def _expect_fresh(self, name: str) -> None:
        age = time.time() - self._repositories.fetched_at(name)
        if age > self._stale_seconds:
            raise IndexUnavailableError(
                "the name was not checked: what the server has of this repository is too old",
                cause=f"it was last fetched {age / 3600:.0f} hours ago",
                hint="whoever runs the server finds the reason in its log (event `fetch`)",
            )


class _Seat:
    """One repository's desk, and who is at it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.visitors = 0
        self.fetched = anyio.Event()
        self.follower = anyio.CancelScope()


class _Reporter:
    """`desk.Reporter` of one repository."""

    def __init__(self, name: str, telemetry: Telemetry, notices: Notices) -> None:
        self._name = name
        self._telemetry = telemetry
        self._notices = notices

    async def asked(self, guard: Guard) -> None:
        """See `desk.Reporter`."""
        event("asked", repository=self._name)
        if self._notices.has_services:
            self._notices.waits(self._name, await in_thread(lambda: len(guard.ledger.pending())))

    def decided(self, seconds: float) -> None:
        """See `desk.Reporter`."""
        event("decided", repository=self._name, seconds=round(seconds, 3))
        self._telemetry.decided(seconds, self._name)


def _waiting(guard: Guard) -> Waiting:
    requests = guard.ledger.pending() if guard.has_ledger else []
    oldest = min((one.created_at for one in requests), default=time.time())
    return Waiting(len(requests), max(0.0, time.time() - oldest))
