"""What the server's calls share: one guard, opened and prepared beside them.

The core blocks; here it is run in threads, so that the server answers while the base is read. It is
imported there as well: a client's greeting does not wait for it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from orgguard_mcp.errors import IndexUnavailableError, OrgGuardError
from orgguard_mcp.model import Asker
from orgguard_mcp.waiting import Watch, in_thread

if TYPE_CHECKING:
    from orgguard_mcp.access import Principal
    from orgguard_mcp.guard import Guard
    from orgguard_mcp.landmarks import Landmarks

BEAT_SECONDS = 15.0
"""How often a waiting call is heard of."""

GREETING_SECONDS = 1.0
"""How long a client may take to ask for the tools before the base is read all the same."""

MAX_ASKING = 2
"""Calls that put questions at the same time. A log has one writer: more would each hold a thread
while they wait for it, and the calls about other repositories would find none."""

MAX_LASTING = 1000
"""Answers that are kept until the base moves."""

MIN_HOLD = 1.0
"""Seconds for which a call waits at least until the base is read."""

Report = Callable[[float, float | None, str | None], Awaitable[None]]


class Caller(NamedTuple):
    """Who calls: what the client calls itself; over HTTP also the repository that it is about, and
    whose token came with it.
    """

    client: str = ""
    repository: str = ""
    principal: Principal | None = None


class Reporter(Protocol):
    """Who wants to hear of the questions of one repository."""

    async def asked(self, guard: Guard) -> None:
        """A question was put that nobody had put before."""

    def decided(self, seconds: float) -> None:
        """A call heard of a decision so long after it was made."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One call, at the desk of its repository. `asker` is what the queue knows the caller by;
    `may_answer` tells whether a form that this caller sends back is an answer.
    """

    desk: Desk
    asker: Asker
    may_answer: bool
    leaving: anyio.Event
    """Set when the server is to end."""
    reporter: Reporter | None = None


class Host(Protocol):
    """What serves a server's calls."""

    def visit(self, caller: Caller) -> AbstractAsyncContextManager[Visit]:
        """The visit of *caller*, whose desk stays open as long as it lasts."""

    def close(self) -> None:
        """Let go of files and processes."""


class Desk:
    """What the tools share: the guard, opened and prepared in the background."""

    def __init__(
        self, tasks: TaskGroup, directory: str, base: str | None, *, dry_run: bool,
        hold: float | None,
    ) -> None:  # fmt: skip
        self.watch = Watch(tasks)
        self.asking = anyio.CapacityLimiter(MAX_ASKING)
        self.lasting: dict[tuple[str, ...], Any] = {}
        self.dry_run = dry_run
        self._hold = hold
        self._directory = directory
        self._base = base
        self._guard: Guard | None = None
        self._opening = anyio.Lock()
        self._landmarks: Landmarks | None = None
        self._read = (0, 0)
        self._asker = Asker()

    @asynccontextmanager
    async def visit(self, caller: Caller) -> AsyncIterator[Visit]:
        """See `Host`: of the one client that started this server."""
        await self.guard()  # which finds out who that is
        asker = Asker(caller.client, self._asker.pid, self._asker.started)
        yield Visit(self, asker, True, anyio.Event())

    @property
    def opened(self) -> Guard | None:
        """The guard, if it was opened."""
        return self._guard

    async def guard(self) -> Guard:
        """The guard, at the newest base."""
        if self._guard and not self._moved():
            return self._guard
        # Neither is to be abandoned: a guard that nobody holds would never be closed.
        async with self._opening:
            if self._guard is None:
                self._guard = await anyio.to_thread.run_sync(self._open)
            elif self._moved():
                await anyio.to_thread.run_sync(self._follow, self._guard)
            return self._guard

    def _moved(self) -> bool:
        return self._landmarks is None or self._landmarks.moved()

    def _follow(self, guard: Guard) -> None:
        from orgguard_mcp.landmarks import Landmarks

        landmarks, base = Landmarks(guard.repository), guard.base
        guard.refresh()
        if guard.base is not base:
            self.lasting.clear()
        self._landmarks = landmarks

    def _open(self) -> Guard:
        from orgguard_mcp import agents
        from orgguard_mcp.guard import Guard

        self._asker = agents.asking_client()
        return Guard(self._directory, self._base)

    def hold(self, guard: Guard) -> float:
        """Seconds for which a call is held: this server's own, else the policy's."""
        return guard.policy.hold_seconds if self._hold is None else self._hold

    async def warm_up(self, greeted: anyio.Event) -> None:
        """Build the index before anybody asks; a failure is told to those who ask. Not before the
        client was *greeted*, which it waits for: this would hold that up.
        """
        with anyio.move_on_after(GREETING_SECONDS):
            await greeted.wait()
        try:
            guard = await self.guard()
            await in_thread(guard.prepare, self._progress)
            await in_thread(guard.expect_many)
        except OrgGuardError:
            pass

    def _progress(self, done: int, total: int) -> None:
        self._read = (done, total)

    async def ready(self, report: Report) -> Guard:
        """The guard with its index built, waited for with progress told to *report*.

        Raises `IndexUnavailableError` when that takes longer than a request may be held.
        """
        guard = await self.guard()
        if guard.ready:
            return guard
        hold = self.hold(guard)
        with anyio.move_on_after(max(hold, MIN_HOLD)):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(beat, report, hold, "reading the base")
                await in_thread(guard.prepare, self._progress)
                tasks.cancel_scope.cancel()
        if not guard.ready:
            done, total = self._read
            raise IndexUnavailableError(
                f"the name was not checked: the base is still being read ({done} of {total} files)",
                hint="call again in a few seconds, and do not write the name meanwhile",
            )
        return guard

    def remember(self, names: tuple[str, ...], answer: object) -> None:
        """Keep *answer* about *names* until the base moves."""
        if len(self.lasting) >= MAX_LASTING:
            self.lasting.clear()
        self.lasting[names] = answer

    def close(self) -> None:
        """Let go of files and processes."""
        if self._guard:
            self._guard.close()


async def beat(report: Report, seconds: float, message: str) -> None:
    """Report progress until cancelled: some clients wait longer for a call that they hear of."""
    started = time.monotonic()
    while True:
        await report(time.monotonic() - started, seconds, message)
        await anyio.sleep(BEAT_SECONDS)
