"""Processes that read the portions of a large change: as many as the machine has processors.

Each is an interpreter of its own (see `workers`) that is given one portion at a time and asks back
which words the base holds: no database is open in two processes. What they read comes back in the
order of the portions. A portion that was given away and does not come back makes the scan fail:
what nobody read must not pass.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from selectors import EVENT_READ, DefaultSelector
from typing import Any, Final, Self, cast

from orgguard_mcp.detect.decode import Decoded
from orgguard_mcp.detect.gather import Candidate, Holds
from orgguard_mcp.detect.places import Kept, Places, Plain
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.model import NOTHING, Artifact, Held, Surface
from orgguard_mcp.portions import Portion, Reader, Shown, Stretch, Terms
from orgguard_mcp.workers import FAILED, MAX_WORKERS, Child, processors, receive, send

ALONE: Final = 2
"""Portions that are read without help: a smaller change is read before a helper has started."""

_AHEAD: Final = 2  # portions for each helper that are read, or waiting for an earlier one, at once


@dataclass(slots=True)
class _Task:
    """A portion that a helper was given, and what it shows as soon as that is known."""

    portion: Portion
    shown: Shown | None = None


class Crew:
    """Reads the portions of one change, with helpers if there are many. A context manager."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._helpers: list[_Helper] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self._helpers:
            helper.kill()
        for helper in self._helpers:
            helper.close()

    def read(
        self, portions: Iterable[Portion], terms: Callable[[], Terms]
    ) -> Iterator[tuple[Portion, Shown]]:
        """Each of *portions* with what it shows, in their order; *terms* are asked for anew for
        each. Raises `OrgGuardError` when a helper ended early.
        """
        left, own = iter(portions), Reader(self._holds)
        for portion in islice(left, ALONE if processors() > 1 else None):
            yield portion, own.read(portion, terms())
        del own  # and what it remembers
        for first in left:
            yield from self._together(first, left, terms)

    def again(self, portion: Portion, terms: Terms) -> Shown:
        """What *portion* shows, read by itself."""
        return Reader(self._holds).read(portion, terms)

    def _together(
        self, first: Portion, left: Iterator[Portion], terms: Callable[[], Terms]
    ) -> Iterator[tuple[Portion, Shown]]:
        count = min(processors(), MAX_WORKERS)
        self._helpers += [_Helper(__name__) for _ in range(count)]
        idle, tasks, busy = list(self._helpers), deque[_Task](), dict[_Helper, _Task]()
        portion: Portion | None = first
        with DefaultSelector() as answers:
            for helper in self._helpers:
                with _alive():
                    answers.register(helper.answers, EVENT_READ, helper)
            while tasks or portion:
                while portion and idle and len(tasks) < _AHEAD * count:
                    helper = idle.pop()
                    helper.send(_job(portion, terms()))
                    busy[helper] = _Task(portion)
                    tasks.append(busy[helper])
                    portion = next(left, None)
                for key, _ in answers.select():
                    if self._heard(key.data, busy):
                        idle.append(key.data)
                while tasks and (shown := tasks[0].shown):
                    yield tasks.popleft().portion, shown

    def _heard(self, helper: _Helper, busy: dict[_Helper, _Task]) -> bool:
        """Answer what *helper* asks, or note what it read: then it is idle again."""
        words, shown = cast("tuple[tuple[str, ...], _Wired]", helper.receive())
        if words:
            helper.send(tuple(self._holds(words)))
            return False
        task = busy.pop(helper)
        task.shown = _unwired(shown)
        return True


class _Helper(Child):
    """A helper; talking to one that has gone raises `OrgGuardError`."""

    def send(self, message: object) -> None:
        """Send it plain values."""
        with _alive():
            super().send(message)

    def receive(self) -> object:
        """What it answers."""
        with _alive():
            return super().receive()


@contextmanager
def _alive() -> Iterator[None]:
    try:
        yield
    except FAILED as error:
        raise OrgGuardError(
            "names were not checked: a process that read a part of the change has ended",
            cause="it was killed, ran out of memory or could not be started",
            hint="try again; on one processor alone (`taskset -c 0`) none is started",
        ) from error


# --- over the pipe --------------------------------------------------------------------------------

_Wired = tuple[Plain, list[Any], list[Any]]
"""A `Shown` in plain types."""


def _job(portion: Portion, terms: Terms) -> tuple[object, ...]:
    return tuple(terms), [(one.surface.value, one.path, one.lines) for one in portion]


def _wired(shown: Shown) -> _Wired:
    places = shown.candidates[0].kept.places if shown.candidates else Places()
    candidates = [
        (
            one.words,
            one.kept.numbers.tobytes(),
            {surface.value: count for surface, count in one.places.items()},
        )
        for one in shown.candidates
    ]
    stretches = [(at, number, tuple(said)) for at, number, said in shown.stretches]
    return places.plain, candidates, stretches


_SURFACES: Final = {surface.value: surface for surface in Surface}


def _unwired(wired: _Wired) -> Shown:
    plain, candidates, stretches = wired
    places = Places(plain)
    return Shown(
        [
            Candidate(words, Kept(places, numbers), {_SURFACES[at]: n for at, n in counts.items()})
            for words, numbers, counts in candidates
        ],
        [Stretch(at, number, Decoded(*said)) for at, number, said in stretches],
    )


# --- a helper -------------------------------------------------------------------------------------


def serve() -> None:
    """Be a helper: read portions until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks decides when it is over
    gc.disable()  # there are no cycles, only objects to look for them in
    reader = Reader(_asked)
    with suppress(EOFError, BrokenPipeError):
        while True:
            terms, artifacts = cast("tuple[Any, Any]", receive(sys.stdin.buffer))
            portion = [Artifact(_SURFACES[where], path, lines) for where, path, lines in artifacts]
            send(sys.stdout.buffer, ((), _wired(reader.read(portion, Terms(*terms)))))


def _asked(keys: Iterable[str]) -> Mapping[str, Held]:
    """Which of *keys* the base holds, by the one who asks us."""
    send(sys.stdout.buffer, (tuple(keys), None))
    return dict.fromkeys(cast("tuple[str, ...]", receive(sys.stdin.buffer)), NOTHING)
