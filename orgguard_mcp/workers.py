"""Worker processes for tokenising, which is all computation: a large base is read by as many as the
machine has processors.

A worker is an interpreter of its own, with pipes for questions and answers; no fork, so it takes no
lock along from a process with threads, and no `multiprocessing`, which would run the caller's main
module again. It ends with its pipe, so that not even a killed build leaves one behind. Workers only
save time: what one of them fails to do is done here.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import starmap
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Self

from orgguard_mcp.tokenise import Lists, tokenise

MAX_WORKERS = 8

CHUNK_BYTES = 2 << 20
"""Blobs that a worker gets at once."""

WORTH_BYTES = 4 << 20
"""Less than that is done sooner than workers have started."""

Chunk = tuple[int, list[bytes]]
"""Blobs, and the number of the first."""

_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from orgguard_mcp.workers import serve; serve()"
_FAILED = (OSError, EOFError, ValueError, TypeError)


def tokenised(chunks: Iterable[Chunk], size: int) -> Generator[Lists]:
    """The lists of each of *chunks*, in their order; *size* is how many bytes they all have.

    Only a few chunks are taken ahead of what was asked for. Close the iterator to end the workers
    early.
    """
    count = min(_processors(), MAX_WORKERS)
    if size < WORTH_BYTES or count < 2 or not sys.executable:
        yield from starmap(tokenise, chunks)
        return
    with _Pool(count) as pool:
        yield from pool.map(chunks)


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Pool:
    """Workers, each served by a thread that waits for its answers."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._open = True
        self._workers = [_Worker() for _ in range(count)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="orgguard-tokenise")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        for worker in self._workers:
            worker.kill()  # first of all: a thread waits for it
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def map(self, chunks: Iterable[Chunk]) -> Iterator[Lists]:
        """The lists of *chunks*, in order."""
        pending: deque[Future[Lists]] = deque()
        for chunk in chunks:
            pending.append(self._threads.submit(self._work, chunk))
            if len(pending) > 2 * self._count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def _work(self, chunk: Chunk) -> Lists:
        worker = self._idle.get()
        try:
            return worker.ask(chunk)
        except _FAILED:
            worker.kill()
            return tokenise(*chunk) if self._open else {}
        finally:
            self._idle.put(worker)


class _Worker:
    """One worker process. Every method may be called after it has gone."""

    def __init__(self) -> None:
        package = str(Path(__file__).parents[1])
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):
            self._process = subprocess.Popen(
                # Isolated: nothing in the working directory, a repository, is taken for a module.
                [sys.executable, "-I", "-S", "-c", _PROGRAM, *filter(None, sys.path), package],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def ask(self, chunk: Chunk) -> Lists:
        """The lists of *chunk*; one of `_FAILED` when the worker has gone."""
        if not self._process or not self._process.stdin or not self._process.stdout:
            raise EOFError
        _send(self._process.stdin, marshal.dumps(chunk))
        answer: Lists = marshal.loads(_receive(self._process.stdout))  # noqa: S302  # our own
        return answer

    def kill(self) -> None:
        """End the process, whatever it does."""
        if self._process:
            self._process.kill()

    def close(self) -> None:
        """Let go of the pipes of a killed process."""
        if self._process:
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    if pipe:
                        pipe.close()
            self._process.wait()


def _send(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(len(data).to_bytes(8))
    pipe.write(data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    size = pipe.read(8)
    data = pipe.read(int.from_bytes(size))
    if len(size) < 8 or len(data) < int.from_bytes(size):
        raise EOFError
    return data


def serve() -> None:
    """Be a worker: answer chunks until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks decides when it is over
    gc.disable()  # there are no cycles, only a million lists to look for them in
    with suppress(EOFError, BrokenPipeError):
        while True:
            chunk: Chunk = marshal.loads(_receive(sys.stdin.buffer))  # noqa: S302  # our own
            _send(sys.stdout.buffer, marshal.dumps(tokenise(*chunk)))
