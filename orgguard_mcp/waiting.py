"""Waiting for a human: one look at the ledger serves all calls that wait.

A bell wakes it as soon as any process has committed something. A slow look beside it finds what no
bell told: one that was lost, or a file system without bells. With nobody waiting it does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from orgguard_mcp.errors import LedgerError

if TYPE_CHECKING:  # the database's driver is not needed to greet a client
    from orgguard_mcp.storage.bell import Bell, Watched

LOOK_SECONDS = 2.0
"""How long a decision is missed at most when its bell was lost."""

_Result = TypeVar("_Result")


class Watch:
    """Tells the calls of one server when their requests are decided."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._waiting: dict[anyio.Event, frozenset[str]] = {}
        self._looking = anyio.CancelScope()

    async def until_decided(self, ledger: Watched, requests: Iterable[str]) -> None:
        """Return when all *requests* are decided, or *ledger* cannot be read: who waited reads it,
        and is told.
        """
        mine = frozenset(requests)
        with self._registered(ledger, mine) as decided:
            # After registering: what comes later is seen by the common look.
            if await in_thread(ledger.undecided, mine):
                await decided.wait()

    @contextmanager
    def _registered(self, ledger: Watched, requests: frozenset[str]) -> Iterator[anyio.Event]:
        decided = anyio.Event()
        if not self._waiting:
            self._looking = anyio.CancelScope()
            self._tasks.start_soon(self._look, ledger, self._looking)
        self._waiting[decided] = requests
        try:
            yield decided
        finally:
            del self._waiting[decided]
            if not self._waiting:
                self._looking.cancel()

    async def _look(self, ledger: Watched, scope: anyio.CancelScope) -> None:
        """Wake whoever can go on, at first and whenever the ledger has changed."""
        with scope, _listening(ledger) as bell:
            seen: int | None = None
            while True:
                now = await _or_none(ledger.version)
                if now is None or now != seen:
                    seen = now
                    await self._wake(ledger)
                await _next_ring(bell)

    async def _wake(self, ledger: Watched) -> None:
        waiting = dict(self._waiting)
        wanted = frozenset().union(*waiting.values())
        undecided = await _or_none(ledger.undecided, wanted) or frozenset()
        for decided, requests in waiting.items():
            if not requests & undecided:
                decided.set()


async def until_changed(ledger: Watched, seen: int) -> int:
    """The version of *ledger*, as soon as it is another than *seen*. Raises `LedgerError` when it
    cannot be read.
    """
    with _listening(ledger) as bell:
        while (now := await in_thread(ledger.version)) == seen:
            await _next_ring(bell)
        return now


@contextmanager
def _listening(ledger: Watched) -> Iterator[Bell | None]:
    bell = ledger.bell()
    try:
        yield bell
    finally:
        if bell:
            bell.close()


async def _next_ring(bell: Bell | None) -> None:
    """Wait for *bell*, and no longer than `LOOK_SECONDS`."""
    if bell is None:
        await anyio.sleep(LOOK_SECONDS)
        return
    with anyio.move_on_after(LOOK_SECONDS):
        await anyio.wait_readable(bell)
        bell.hush()


async def _or_none(read: Callable[..., _Result], *args: object) -> _Result | None:
    try:
        return await in_thread(read, *args)
    except LedgerError:
        return None


async def in_thread(call: Callable[..., _Result], *args: object) -> _Result:
    """Run a blocking call beside the event loop; a cancelled caller does not wait for it."""
    return await anyio.to_thread.run_sync(call, *args, abandon_on_cancel=True)
