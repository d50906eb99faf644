"""Worker processes: they change how long a build takes, never what it finds, and none is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue

import psutil
import pytest

from orgguard_mcp import build, workers
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Basis
from orgguard_mcp.tokenise import Lists, tokenise
from orgguard_mcp.workers import Chunk, tokenised
from tests.names import COINED, COINED_TOO
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
SPAWN = multiprocessing.get_context("spawn")


def use_workers(count: int = 2) -> None:
    """Let even the smallest build have *count* workers, and each of them its share."""
    workers.WORTH_BYTES = build.CHUNK_BYTES = 1
    workers._processors = lambda: count


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (workers, "WORTH_BYTES"), (workers, "_processors"), (build, "CHUNK_BYTES"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, getattr(module, name))
    use_workers()


def chunks(count: int) -> list[Chunk]:
    return [(n, [f"{COINED} {n}\n".encode(), f"x{n} {COINED_TOO}\n".encode()])
            for n in range(1, 2 * count, 2)]  # fmt: skip


def expected(count: int) -> list[Lists]:
    return [tokenise(*chunk) for chunk in chunks(count)]


def children() -> list[psutil.Process]:
    """The workers of this process."""
    return [
        child for child in psutil.Process().children() if "serve()" in " ".join(_command(child))
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.ZombieProcess:  # git, which has said all
        return []


def test_answers_are_those_of_one_process_in_their_order() -> None:
    with closing(tokenised(chunks(40), 1)) as answers:
        first = next(answers)
        started = children()
        assert [first, *answers] == expected(40)
    assert len(started) == 2
    assert children() == []


def test_chunks_are_taken_only_as_they_are_needed() -> None:
    taken: list[int] = []

    def watched() -> Iterator[Chunk]:
        for chunk in chunks(100):
            taken.append(chunk[0])
            yield chunk

    with closing(tokenised(watched(), 1)) as answers:
        for _ in range(3):
            next(answers)
        assert len(taken) <= 3 + 2 * 2 + 1


@pytest.mark.parametrize(("size", "processors"), [(9, 4), (10, 1)])
def test_small_work_and_one_processor_start_nothing(
    monkeypatch: pytest.MonkeyPatch, size: int, processors: int
) -> None:
    monkeypatch.setattr(workers, "WORTH_BYTES", 10)
    monkeypatch.setattr(workers, "_processors", lambda: processors)
    with closing(tokenised(chunks(3), size)) as answers:
        first = next(answers)
        assert children() == []
        assert [first, *answers] == expected(3)


def test_iterator_that_is_closed_early_leaves_no_process_and_no_thread() -> None:
    before = threading.active_count()
    with closing(tokenised(chunks(40), 1)) as answers:
        next(answers)
        started = children()
        assert len(started) == 2
    assert not any(child.is_running() for child in started)
    assert threading.active_count() == before


def test_work_of_a_worker_that_died_is_done_here() -> None:
    with closing(tokenised(chunks(40), 1)) as answers:
        found = [next(answers)]
        for child in children():
            child.kill()
            found.append(next(answers))
        assert [*found, *answers] == expected(40)


@pytest.mark.parametrize("executable", ["/nonexistent/python", "/bin/true", ""])
def test_interpreter_that_cannot_be_started_costs_time_alone(
    monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert list(tokenised(chunks(10), 1)) == expected(10)


def test_several_threads_may_have_workers_at_once() -> None:
    results: Queue[list[Lists]] = Queue()
    threads = [
        threading.Thread(target=lambda: results.put(list(tokenised(chunks(20), 1))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results.get_nowait() for _ in threads] == [expected(20)] * 3


def test_no_module_of_the_working_directory_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    spy = f"open({str(mark)!r}, 'w').close()\n"
    for module in ("sitecustomize.py", "usercustomize.py", "marshal.py", "re.py", "signal.py"):
        (tmp_path / module).write_text(spy)
    (tmp_path / "orgguard_mcp").mkdir()
    (tmp_path / "orgguard_mcp" / "__init__.py").write_text(spy)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend("")
    with closing(tokenised(chunks(4), 1)) as answers:
        first = next(answers)
        assert len(children()) == 2
        assert [first, *answers] == expected(4)
    assert not mark.exists()


# --- builds ---------------------------------------------------------------------------------------


def rows(repo: Repo) -> list[tuple[object, ...]]:
    """Which blob holds which key how, whatever the segments."""
    with closing(sqlite3.connect(repo.path / ".git" / "orgguard" / "index.sqlite3")) as cache:
        oids = dict(cache.execute("SELECT id, oid FROM blob"))
        return sorted(
            (key, use, oids[segment + int.from_bytes(blobs[at : at + 4], sys.byteorder)])
            for key, use, segment, blobs in cache.execute("SELECT * FROM posting")
            for at in range(0, len(blobs), 4)
        )


def prepared(repo: Repo) -> list[tuple[object, ...]]:
    for path in (repo.path / ".git" / "orgguard").glob("index.*"):
        path.unlink()
    with Guard(repo.path) as guard:
        guard.prepare()
    return rows(repo)


def files(count: int) -> dict[str, str]:
    words = [COINED, COINED_TOO, "Target", "https://api.target.com", "we use Target.", "class Foo:"]
    return {f"f{n}.py": f"{n} {words[n % 6]}\n{words[n // 6 % 6]}\n" for n in range(count)}


@pytest.mark.parametrize(("chunk", "segment"), [(1, 1), (1, 200), (300, 200), (90, 1000)])
def test_index_is_the_same_however_it_was_built(
    make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch, chunk: int, segment: int
) -> None:
    repo = make_repo(files(60))
    monkeypatch.setattr(build, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(build, "_SEGMENT_BYTES", segment)
    several = prepared(repo)
    monkeypatch.undo()
    assert several == prepared(repo)
    assert len(several) > 300


def _build_until(directory: Path, at: int, number: int, told: object) -> None:
    use_workers()
    build._SEGMENT_BYTES = 1

    def stop(done: int, _: int) -> None:
        if done == at:
            told.put([child.pid for child in children()])  # type: ignore[attr-defined]
            told.close()  # type: ignore[attr-defined]
            told.join_thread()  # type: ignore[attr-defined]
            os.kill(os.getpid(), number)

    with Guard(directory) as guard:
        guard.prepare(stop)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_build_that_was_stopped_leaves_no_process_and_goes_on_later(
    make_repo: MakeRepo, number: signal.Signals
) -> None:
    repo = make_repo(files(120))
    told = SPAWN.Queue()
    builder = SPAWN.Process(target=_build_until, args=(repo.path, 70, number, told))
    builder.start()
    pids = told.get(timeout=30)
    builder.join()
    assert builder.exitcode == (1 if number is signal.SIGINT else -number)
    assert len(pids) == 2
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    assert psutil.wait_procs(left, timeout=30)[1] == []
    counts: list[tuple[int, int]] = []
    with Guard(repo.path) as guard:
        guard.prepare(lambda done, total: counts.append((done, total)))
        assert guard.check(COINED).basis is Basis.ESTABLISHED
    assert counts[-1] == (50, 50)


_INTERRUPTED = """
import sys, time
from tests.test_workers import use_workers, children
from orgguard_mcp.guard import Guard
use_workers()
def wait(done, total):
    print(*[child.pid for child in children()], flush=True)
    time.sleep(60)
with Guard(sys.argv[1]) as guard:
    guard.prepare(wait)
"""


def test_interrupt_from_the_terminal_ends_a_build_cleanly(make_repo: MakeRepo) -> None:
    repo = make_repo(files(60))
    builder = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, str(repo.path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    with builder:
        assert builder.stdout
        pids = [int(word) for word in builder.stdout.readline().split()]
        os.killpg(builder.pid, signal.SIGINT)  # as ^C does: to every process of the terminal
        _, said = builder.communicate(timeout=60)
    assert len(pids) == 2
    assert said.count("Traceback") == 1
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert not any(psutil.pid_exists(pid) for pid in pids)
