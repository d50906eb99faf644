"""Worker processes: they change how long a build takes, never what it finds, and none is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from queue import Queue

import psutil
import pytest

from orgguard_mcp import build, workers
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Basis
from orgguard_mcp.storage.segments import Segment
from orgguard_mcp.tokenise import key_hash
from orgguard_mcp.uses import Use
from tests.names import COINED, COINED_TOO
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
SPAWN = multiprocessing.get_context("spawn")
KEYS = (COINED.casefold(), COINED_TOO.casefold(), "target", "we", "foo", "api", "class")


def use_workers(count: int = 2) -> None:
    """Let even the smallest build have *count* workers, and each of them its share."""
    build.WORTH_BYTES, build.SEGMENT_BYTES = 1, 200
    setattr(build, "processors", lambda: count)  # noqa: B010
    workers.processors = lambda: count


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (build, "WORTH_BYTES"), (build, "SEGMENT_BYTES"), (build, "MAX_SEGMENTS"),
        (build, "processors"), (workers, "processors"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, getattr(module, name))
    use_workers()


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


# --- builds ---------------------------------------------------------------------------------------


def state(repo: Repo) -> Path:
    return repo.path / ".git" / "orgguard"


def holders(repo: Repo) -> dict[tuple[str, int], list[str]]:
    """Which blobs hold which of `KEYS` how, whatever the segments."""
    with closing(sqlite3.connect(state(repo) / "index.sqlite3")) as cache:
        oids = dict(cache.execute("SELECT id, hex(oid) FROM blob"))
        rows = cache.execute("SELECT first, number FROM segment").fetchall()
    segments = [Segment(state(repo) / f"index-{number}.segment", first) for first, number in rows]
    return {
        (key, use): sorted(
            oids[blob] for segment in segments for blob in segment.find(key_hash(key, use))
        )
        for key in KEYS
        for use in Use
    }


def prepared(repo: Repo) -> dict[tuple[str, int], list[str]]:
    for path in state(repo).glob("index*"):
        path.unlink()
    with Guard(repo.path) as guard:
        guard.prepare()
    return holders(repo)


def files(count: int) -> dict[str, str]:
    words = [COINED, COINED_TOO, "Target", "https://api.target.com", "we use Target.", "class Foo:"]
    return {f"f{n}.py": f"{n} {words[n % 6]}\n{words[n // 6 % 6]}\n" for n in range(count)}


@pytest.fixture
def repo(make_repo: MakeRepo) -> Repo:
    return make_repo(files(60))


@pytest.fixture
def alone(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, int], list[str]]:
    """What a build in one process finds."""
    with monkeypatch.context() as patch:
        patch.setattr(build, "WORTH_BYTES", 1 << 20)
        found = prepared(repo)
    assert sum(map(len, found.values())) >= 200
    return found


@pytest.mark.parametrize(("segment", "count"), [(1, 2), (90, 2), (300, 1), (300, 4), (9999, 2)])
def test_index_is_the_same_however_it_was_built(
    repo: Repo, alone: object, monkeypatch: pytest.MonkeyPatch, segment: int, count: int
) -> None:
    use_workers(count)
    monkeypatch.setattr(build, "SEGMENT_BYTES", segment)
    assert prepared(repo) == alone
    assert len(list(state(repo).glob("index-*.segment"))) == 1  # they were merged
    assert children() == []


@pytest.mark.parametrize("executable", ["/nonexistent/python", "/bin/true", "/bin/cat"])
def test_interpreter_that_cannot_be_started_costs_time_alone(
    repo: Repo, alone: object, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert prepared(repo) == alone


def test_work_of_a_worker_that_died_is_done_here(repo: Repo, alone: object) -> None:
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        for child in children():
            child.kill()
            killed.append(child.pid)

    for path in state(repo).glob("index*"):
        path.unlink()
    with Guard(repo.path) as guard:
        guard.prepare(kill)
    assert killed
    assert holders(repo) == alone


def test_segments_are_merged_when_there_are_many(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "WORTH_BYTES", 1 << 20)
    monkeypatch.setattr(build, "MAX_SEGMENTS", 3)
    most = 0
    with Guard(repo.path) as reader:
        assert reader.check(COINED).basis is Basis.ESTABLISHED
        for number in range(9):
            repo.commit({"new.py": f"{number} {COINED_TOO}\n"})
            with Guard(repo.path) as guard:
                assert guard.check(COINED).basis is Basis.ESTABLISHED
            most = max(most, len(list(state(repo).glob("index-*.segment"))))
        assert reader.check(COINED).basis is Basis.ESTABLISHED  # of files that are gone
    assert most == 3


def test_what_a_move_of_the_base_reads_is_not_merged_with_all_before(repo: Repo) -> None:
    prepared(repo)
    built = list(state(repo).glob("index-*.segment"))
    repo.commit({f"new{n}.py": f"{n} {COINED_TOO}\n" for n in range(40)})
    with Guard(repo.path) as guard:
        assert guard.check(COINED_TOO).basis is Basis.ESTABLISHED
    assert set(built) < set(state(repo).glob("index-*.segment"))


def test_several_threads_may_have_workers_at_once(make_repo: MakeRepo) -> None:
    results: Queue[Basis] = Queue()

    def check(one: Repo) -> None:
        with Guard(one.path) as guard:
            results.put(guard.check(COINED).basis)

    threads = [threading.Thread(target=check, args=(make_repo(files(20)),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results.get_nowait() for _ in threads] == [Basis.ESTABLISHED] * 3


def test_no_module_of_the_working_directory_is_run(
    repo: Repo, alone: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    spy = f"open({str(mark)!r}, 'w').close()\n"
    for module in ("sitecustomize.py", "usercustomize.py", "marshal.py", "re.py", "numpy.py"):
        (tmp_path / module).write_text(spy)
    (tmp_path / "orgguard_mcp").mkdir()
    (tmp_path / "orgguard_mcp" / "__init__.py").write_text(spy)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend("")
    assert prepared(repo) == alone
    assert not mark.exists()


def _build_until(directory: Path, number: int, told: object) -> None:
    use_workers()

    def stop(done: int, _: int) -> None:
        pids = [child.pid for child in children()]
        if done and pids:
            told.put(pids)  # type: ignore[attr-defined]
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
    builder = SPAWN.Process(target=_build_until, args=(repo.path, number, told))
    builder.start()
    pids = told.get(timeout=30)
    builder.join()
    assert builder.exitcode == (1 if number is signal.SIGINT else -number)
    assert len(pids) == 2
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    assert psutil.wait_procs(left, timeout=30)[1] == []
    with Guard(repo.path) as guard:
        assert guard.check(COINED).basis is Basis.ESTABLISHED
    assert not list(state(repo).glob("*.new"))


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
