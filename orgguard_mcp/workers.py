"""Worker processes that make segments: a large base is read by as many as the machine has
processors.

A worker is an interpreter of its own, with pipes for questions and answers; no fork, so it takes no
lock along from a process with threads, and no `multiprocessing`, which would run the caller's main
module again. It reads its blobs from a git of its own and writes a file; it ends with its pipe, so
that not even a killed build leaves one behind. Workers only save time: what none of them does is
done by the caller.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, NamedTuple

from orgguard_mcp.git import Git, Lack

MAX_WORKERS = 8

FAILED = (OSError, EOFError, ValueError, TypeError)
"""What asking a process that has gone, or has gone wrong, may raise."""

_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from {} import serve; serve()"
_DONE = -1
_TOLD = 64  # blobs after which a worker tells how far it is
_TICK = 0.1  # seconds between two words on progress


class Job(NamedTuple):
    """A segment to make at *path*, of the blobs *oids* of the repository at *directory*; or, with
    *merged*, of those segments: their files, and the number of the blob that each begins with.
    """

    path: str
    directory: str
    oids: Sequence[str] = ()
    merged: Sequence[tuple[str, int]] = ()


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def pool(count: int) -> Iterator[Pool]:
    """Up to *count* workers, which end with the context."""
    workers = Pool(min(count, processors(), MAX_WORKERS))
    try:
        yield workers
    finally:
        workers.close()


class Pool:
    """Workers, each served by a thread that waits for its answers."""

    def __init__(self, count: int) -> None:
        self._workers = [_Worker() for _ in range(count)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="orgguard-segments")

    def close(self) -> None:
        """End the workers, whatever they do."""
        for worker in self._workers:
            worker.kill()  # first of all: a thread waits for it
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def done(self, jobs: Sequence[Job], progress: Callable[[int], None]) -> Iterator[bool]:
        """Whether each of *jobs* was done, in their order, as soon as that is known.

        *progress* hears how many blobs of all have been read, in the thread of the caller.
        """
        counts = [0] * len(jobs)

        def work(number: int) -> bool:
            worker = self._idle.get()
            try:
                for count in worker.do(jobs[number]):
                    counts[number] = count
            except FAILED:
                worker.kill()
                return False
            finally:
                self._idle.put(worker)
            return True

        futures = [self._threads.submit(work, number) for number in range(len(jobs))]
        for future in futures:
            yield _awaited(future, lambda: progress(sum(counts)))


def _awaited(future: Future[bool], tick: Callable[[], None]) -> bool:
    while not wait([future], timeout=_TICK).done:
        tick()
    return future.result()


class Child:
    """A process that serves *module*, over pipes. Every method may be called after it has gone."""

    def __init__(self, module: str) -> None:
        package = str(Path(__file__).parents[1])
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):
            self._process = subprocess.Popen(
                # Isolated: nothing in the working directory, a repository, is taken for a module.
                [sys.executable, "-I", "-S", "-c", _PROGRAM.format(module),
                 *filter(None, sys.path), package],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def answers(self) -> IO[bytes]:
        """Where its answers come from. Raises one of `FAILED` when it could not be started."""
        if not self._process or not self._process.stdout:
            raise EOFError
        return self._process.stdout

    def send(self, message: object) -> None:
        """Send it plain values. One of `FAILED` when that went wrong."""
        if not self._process or not self._process.stdin:
            raise EOFError
        send(self._process.stdin, message)

    def receive(self) -> object:
        """What it answers. One of `FAILED` when that went wrong."""
        return receive(self.answers)

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


class _Worker(Child):
    """A worker of this module's."""

    def __init__(self) -> None:
        super().__init__(__name__)

    def do(self, job: Job) -> Iterator[int]:
        """Do *job*; tell how many blobs have been read. One of `FAILED` when that went wrong."""
        self.send(tuple(job))
        while (count := self.receive()) != _DONE:
            yield int(count)  # type: ignore[call-overload]  # our own worker's


def send(pipe: IO[bytes], message: object) -> None:
    """Write *message*, plain values, for `receive`."""
    data = marshal.dumps(message)  # type: ignore[arg-type]  # plain types, all of them
    pipe.write(len(data).to_bytes(8))
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> object:
    """What another process of ours sent. Raises `EOFError` when it has gone."""
    size = pipe.read(8)
    data = pipe.read(int.from_bytes(size))
    if len(size) < 8 or len(data) < int.from_bytes(size):
        raise EOFError
    return marshal.loads(data)  # noqa: S302  # our own worker's, or its owner's


def serve() -> None:
    """Be a worker: make segments until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks decides when it is over
    gc.disable()  # there are no cycles, only columns to look for them in
    with suppress(EOFError, BrokenPipeError):
        while True:
            job = Job(*receive(sys.stdin.buffer))  # type: ignore[misc]
            _make(job, lambda count: send(sys.stdout.buffer, count))
            send(sys.stdout.buffer, _DONE)


def _make(job: Job, told: Callable[[int], None]) -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # starting its threads takes longer
    from orgguard_mcp.bulk import segment  # only where it is wanted: numpy takes long to import
    from orgguard_mcp.storage.segments import Segment

    if job.merged:
        segment.merge(Path(job.path), [Segment(Path(path), first) for path, first in job.merged])
        return

    def blobs() -> Iterator[tuple[int, bytes]]:
        found = Git(Path(job.directory)).objects(job.oids, "blob")
        for number, (_, data) in enumerate(found):
            yield number, _there(data)
            if number % _TOLD == 0:
                told(number)

    segment.build(Path(job.path), blobs(), len(job.oids))


def _there(data: bytes | Lack) -> bytes:
    if isinstance(data, Lack):
        raise EOFError(data.value)  # noqa: TRY004  # the caller will meet it, and say what is wrong
    return data
