"""Ways to wake a process that waits for another one's commit: the figures of docs/adr/0015.

    python bench/waking.py [--commits N] [--idle SECONDS]

A writer commits to SQLite and wakes; a waiter on an event loop hears of it and reads. Each way's
commits alternate with the others', so that all see the same machine. inotify is called by ctypes,
the least that it can cost.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median

import anyio

from orgguard_mcp.storage.bell import FifoBell, ring

WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import sqlite3, waking
directory = Path(sys.argv[1])
db = sqlite3.connect(directory / "db", isolation_level=None)
for line in sys.stdin:
    began = time.monotonic()
    db.execute("INSERT INTO row VALUES (1)")
    waking.WAKE[line.strip()](directory)
    print(began, flush=True)
"""


def datagram(directory: Path) -> None:
    """A datagram to every waiting process's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        for one in directory.glob("*.sock"):
            with suppress(OSError):
                out.sendto(b"\0", str(one))


WAKE: dict[str, Callable[[Path], object]] = {
    "look every 100 ms": lambda _: None,
    "look every second": lambda _: None,
    "named pipe": ring,
    "unix datagram": datagram,
    "inotify on the log": lambda _: None,
}


def listener(way: str, directory: Path) -> Callable[[], Awaitable[None]]:
    """What waits in one of the ways."""
    if way.startswith("look"):
        return partial(anyio.sleep, 0.1 if "100" in way else 1)
    if way == "named pipe":
        number = FifoBell(directory).fileno()
    elif way == "unix datagram":
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        bound.bind(str(directory / "waiter.sock"))
        number = bound.detach()
    else:
        libc = ctypes.CDLL(None)
        number = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        libc.inotify_add_watch(number, os.fsencode(directory / "db-wal"), 0x2)  # IN_MODIFY

    async def heard() -> None:
        with anyio.move_on_after(1):
            await anyio.wait_readable(number)
            os.read(number, 1 << 16)

    return heard


def databases(root: Path) -> Iterator[tuple[str, Path, sqlite3.Connection]]:
    """A directory and a database for each way."""
    for number, way in enumerate(WAKE):
        directory = root / str(number)
        directory.mkdir()
        db = sqlite3.connect(directory / "db", isolation_level=None)
        db.executescript("PRAGMA journal_mode = WAL; CREATE TABLE row (n)")
        yield way, directory, db


def looker(db: sqlite3.Connection) -> Callable[[], int]:
    """What tells whether *db* changed."""
    return lambda: int(db.execute("PRAGMA data_version").fetchone()[0])


async def measure(root: Path, commits: int, idle: float) -> None:
    """Print a line for each way."""
    print("| way | n | p50 ms | p99 ms | CPU % of a core, idle |\n| --- | --- | --- | --- | --- |")
    taken: dict[str, list[float]] = {way: [] for way in WAKE}
    ready = {}
    for way, directory, db in databases(root):
        look = looker(db)
        writer = subprocess.Popen(  # noqa: ASYNC220  # before anything is measured
            [sys.executable, "-c", WRITER, str(directory), str(Path(__file__).parent)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        ready[way] = (listener(way, directory), look, writer)
    for _ in range(commits + 1):
        for way, (heard, look, writer) in ready.items():
            assert writer.stdin
            assert writer.stdout
            seen = look()
            writer.stdin.write(f"{way}\n")
            while look() == seen:
                await heard()
            got = time.monotonic()
            taken[way].append(got - float(writer.stdout.readline()))
    for way, (heard, look, writer) in ready.items():
        assert writer.stdin
        writer.stdin.close()
        writer.wait()
        used, until = time.process_time(), time.monotonic() + idle
        while time.monotonic() < until:
            await heard()
            look()
        percent = 100 * (time.process_time() - used) / idle
        some = sorted(taken[way][1:])
        p50, p99 = median(some) * 1000, some[int(len(some) * 0.99)] * 1000
        print(f"| {way} | {len(some)} | {p50:.2f} | {p99:.2f} | {percent:.3f} |")


def main() -> None:
    """Measure all ways."""
    parser = argparse.ArgumentParser(description="ways to wake a waiting process")
    parser.add_argument("--commits", type=int, default=60)
    parser.add_argument("--idle", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        anyio.run(measure, Path(root), options.commits, options.idle)


if __name__ == "__main__":
    main()
