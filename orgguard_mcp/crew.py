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
from orgguard_mcp.detect.gather import Candidate, Holds, Sighting, shared
from orgguard_mcp.detect.spans import Form, Span
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.model import NOTHING, Artifact, Held, Location, Surface
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
        self._own = Reader(holds)
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
        left = iter(portions)
        for portion in islice(left, ALONE if processors() > 1 else None):
            yield portion, self._own.read(portion, terms())
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
        task.shown = _unwired(shown, task.portion)
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

_Wired = tuple[list[Any], list[Any]]
"""A `Shown` in plain types."""


def _job(portion: Portion, terms: Terms) -> tuple[object, ...]:
    return tuple(terms), [(one.surface.value, one.path, one.lines) for one in portion]


def _wired(shown: Shown) -> _Wired:
    candidates = [
        (
            one.words,
            [(surface.value, count) for surface, count in one.places.items()],
            [
                (
                    s.span.form.value, s.span.text, s.span.start, s.span.end, s.span.words,
                    s.location.surface.value, s.location.path, s.location.line, s.location.text,
                    s.cues,
                )
                for s in one.sightings
            ],
        )
        for one in shown.candidates
    ]  # fmt: skip
    return candidates, [(at, number, tuple(said)) for at, number, said in shown.stretches]


_FORMS: Final = {form.value: form for form in Form}
_SURFACES: Final = {surface.value: surface for surface in Surface}


def _unwired(wired: _Wired, portion: Portion) -> Shown:
    candidates = [
        Candidate(
            shared(words),
            [_sighting(*one) for one in sightings],
            {_SURFACES[surface]: count for surface, count in places},
        )
        for words, places, sightings in wired[0]
    ]
    return Shown(candidates, [Stretch(at, number, Decoded(*said)) for at, number, said in wired[1]])


def _sighting(
    form: str, text: str, start: int, end: int, words: tuple[str, ...],
    surface: str, path: str, number: int, line: str, cues: frozenset[str],
) -> Sighting:  # fmt: skip
    where = Location(_SURFACES[surface], path, number, start + 1, end - start, line)
    span = Span(_FORMS[form], shared(text), start, end, shared(words))
    return Sighting(span, where, shared(cues))


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
