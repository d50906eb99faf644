"""What the server's calls share: one guard, opened and prepared beside them.

The core blocks; here it is run in threads, so that the server answers while the base is read.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from orgguard_mcp import agents
from orgguard_mcp.errors import IndexUnavailableError, OrgGuardError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Asker

BEAT_SECONDS = 5.0
"""How often a waiting call is heard of."""

STALE_SECONDS = 1.0
"""How long the base is taken for unmoved."""

MIN_HOLD = 1.0
"""Seconds for which a call waits at least until the base is read."""

Report = Callable[[float, float | None, str | None], Awaitable[None]]
_Result = TypeVar("_Result")


class Desk:
    """What the tools share: the guard, opened and prepared in the background."""

    def __init__(
        self, directory: str, base: str | None, *, dry_run: bool, hold: float | None
    ) -> None:
        self.dry_run = dry_run
        self._hold = hold
        self._directory = directory
        self._base = base
        self._guard: Guard | None = None
        self._opening = anyio.Lock()
        self._looked = 0.0
        self._read = (0, 0)
        self._asker = agents.asking_client()

    async def guard(self) -> Guard:
        """The guard, at the newest base."""
        async with self._opening:
            if self._guard is None:
                # Not to be abandoned: a guard that nobody holds would never be closed.
                self._guard = await anyio.to_thread.run_sync(Guard, self._directory, self._base)
                self._looked = time.monotonic()
            elif time.monotonic() - self._looked > STALE_SECONDS:
                await in_thread(self._guard.refresh)
                self._looked = time.monotonic()
            return self._guard

    def hold(self, guard: Guard) -> float:
        """Seconds for which a call is held: this server's own, else the policy's."""
        return guard.policy.hold_seconds if self._hold is None else self._hold

    async def warm_up(self) -> None:
        """Build the index before anybody asks; a failure is told to those who ask."""
        try:
            guard = await self.guard()
            await in_thread(guard.prepare, self._progress)
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

    def asker(self, label: str) -> Asker:
        """The client that calls: what it calls itself, and its process."""
        return Asker(label, self._asker.pid, self._asker.started)

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


async def in_thread(call: Callable[..., _Result], *args: object) -> _Result:
    """Run a blocking call beside the event loop; a cancelled caller does not wait for it."""
    return await anyio.to_thread.run_sync(call, *args, abandon_on_cancel=True)
