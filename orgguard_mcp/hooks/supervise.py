"""Supervision: work is done in a process of its own, so that nothing that befalls it lets an act
through. It may crash, hang in git or in a pattern, be killed for its memory: the one who waits here
always has an answer in time. A fork of the warm helper is such a process already.

A child that is still reading the base when its time is up is left to finish that, by itself and
within limits: the next call then finds the work done.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from orgguard_mcp.hooks.action import Answer

MAX_BUILD = 600
"""Seconds after which a process that still reads the base ends itself."""

LATE = "it took longer than {seconds:g} s"
BUILDING = "the base is still being read; try again in a few seconds"
CRASHED = "OrgGuard itself failed"

Building = Callable[[bool], None]
Work = Callable[[Building], Answer]

_BEGUN, _ENDED, _DONE = b"+", b"-", b"="

_watched = False


class Unanswered(Exception):  # noqa: N818  # it says what happened
    """The work gave no answer, for the reason that it names."""


class _MustBuild(BaseException):  # no failure of the work
    """The base has to be read first."""


def watched() -> None:
    """Take note that whoever waits for this process answers in its place, whatever befalls it."""
    global _watched
    _watched = True


def supervised(work: Work, seconds: float) -> Answer:
    """The answer of *work*, which reports on its reading of the base to what it is given.

    Raises `Unanswered` when there is none within *seconds*. *work* may be begun twice.
    """
    if _watched:
        with suppress(_MustBuild):
            return work(_build_elsewhere)
    return _forked(work, seconds)


def _build_elsewhere(begins: bool) -> None:
    """Reading the base may outlast this process: that is for a fork."""
    if begins:
        raise _MustBuild


def _forked(work: Work, seconds: float) -> Answer:
    ends = time.monotonic() + seconds
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _serve(work, writing)
    os.close(writing)
    said = b""
    while select.select([reading], [], [], max(0.0, ends - time.monotonic()))[0]:
        more = os.read(reading, 1 << 16)
        if not more:
            return _answer(said)
        said += more
    if said.endswith(_BEGUN):
        raise Unanswered(BUILDING)
    _kill(child)
    raise Unanswered(LATE.format(seconds=seconds))


def _answer(said: bytes) -> Answer:
    try:
        return Answer(*marshal.loads(said.partition(_DONE)[2]))  # noqa: S302  # our own child's
    except (EOFError, ValueError, TypeError) as error:
        raise Unanswered(CRASHED) from error


def _serve(work: Work, pipe: int) -> NoReturn:
    """Be the child: do *work*, hand its answer to *pipe* and end."""
    try:
        os.setsid()  # its children die with it, and a terminal's interrupt does not reach a build
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)  # what waits for the end of our output must not wait for a build
        os.dup2(null, 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(MAX_BUILD)
        answer = work(lambda begins: _write(pipe, _BEGUN if begins else _ENDED))
        _write(pipe, _DONE + marshal.dumps(tuple(answer)))
    finally:
        os._exit(0)


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def _kill(child: int) -> None:
    """End *child* and all that it started."""
    for end in (os.killpg, os.kill):  # it may not have its own group yet
        with suppress(ProcessLookupError, PermissionError):
            end(child, signal.SIGKILL)
