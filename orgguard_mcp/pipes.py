"""The client's pipes, read and written on the event loop.

The SDK's own transport hands every line to a thread and back, three times a call; on a busy machine
that is most of what a call costs. It takes other streams than its own: these (docs/adr/0015).
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

import anyio

_CHUNK = 1 << 16


class Lines:
    """The lines that come in by the descriptor *source*, as an asynchronous iterator."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._whole: deque[bytes] = deque()
        self._begun: list[bytes] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while not self._whole:
            await anyio.wait_readable(self._source)
            if not (data := os.read(self._source, _CHUNK)):
                if not any(self._begun):
                    raise StopAsyncIteration
                data = b"\n"  # the last line was not ended
            first, *rest = data.split(b"\n")
            self._begun.append(first)
            if rest:
                self._whole += [b"".join(self._begun), *rest[:-1]]
                self._begun = [rest[-1]]
        return self._whole.popleft().decode("utf-8", "replace")


class Out:
    """What is written goes out by the descriptor *target*."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._ready = select.poll()
        self._ready.register(target, select.POLLOUT)

    async def write(self, text: str) -> None:
        """Write *text*; the loop goes on while the client does not read."""
        left = memoryview(text.encode())
        while left:
            if not self._ready.poll(0):
                await anyio.wait_writable(self._target)
            # So much goes into a pipe that can be written, without waiting.
            left = left[os.write(self._target, left[: select.PIPE_BUF]) :]

    async def flush(self) -> None:
        """Nothing is kept back."""


class Pipes(NamedTuple):
    """Both directions of one client."""

    lines: Lines
    out: Out


def usable() -> bool:
    """Whether standard input and output are pipes or sockets: of a file no loop can tell when it
    can be read.
    """
    kinds = [os.fstat(number).st_mode for number in (0, 1)]
    return all(stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) for kind in kinds)


@contextmanager
def standard() -> Iterator[Pipes]:
    """Standard input and output. Meanwhile whatever else reads finds nothing there, and whatever
    else prints goes to standard error: neither can break in on the client's lines.
    """
    wires = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) for number in (0, 1)]
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    try:
        yield Pipes(Lines(wires[0]), Out(wires[1]))
    finally:
        for number, wire in enumerate(wires):
            os.dup2(wire, number)
            os.close(wire)
