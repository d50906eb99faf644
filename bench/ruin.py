"""What goes wrong under the load of `team.py`: killed instances, a killed database, cut connections
and full disks. Each way of it breaks things until its time is over, and notes when and how long it
took until both instances were ready again.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from bench.stage import Team

SPAWN = multiprocessing.get_context("spawn")
SOCKET = ".s.PGSQL.5432"
RECOVERY_SECONDS = 60.0
KILL_SECONDS = 1.0
DATABASE_SECONDS = 5.0
CUT_SECONDS = 2.0
FULL_SECONDS = 5.0
DATABASE_DISK, MIRRORS_DISK = "384m", "64m"


@dataclass
class Noted:
    """What was broken, when, and for how many seconds."""

    faults: list[tuple[str, float, float]] = field(default_factory=list)

    @contextmanager
    def fault(self, what: str) -> Iterator[None]:
        """Something that is broken and whole again within."""
        began = time.monotonic()
        yield
        self.faults.append((what, began, time.monotonic() - began))


Fault = Callable[["Team", float, Noted], None]
"""Breaks things until the given time."""


def ready(team: Team) -> None:
    """Wait until every instance says that it is."""
    for address in team.scene.addresses:
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not _is_ready(address):
            assert time.monotonic() < deadline, "an instance did not recover"
            time.sleep(0.05)


def _is_ready(address: str) -> bool:
    try:
        return httpx2.get(f"http://{address}/readyz", timeout=30).status_code == 200
    except httpx2.HTTPError:
        return False


def _every(seconds: float, until: float) -> Iterator[int]:
    """Count up, not sooner than every so many *seconds*."""
    for number in itertools.count():
        began = time.monotonic()
        if began > until:
            return
        yield number
        time.sleep(max(0.0, began + seconds - time.monotonic()))


# --- kills ----------------------------------------------------------------------------------------


def kill_instances(team: Team, until: float, noted: Noted) -> None:
    """One instance after the other, each begun again at once."""
    for number in _every(KILL_SECONDS, until):
        which = number % len(team.hosts)
        with noted.fault("instance killed"):
            team.hosts[which].__exit__()
            team.hosts[which] = team.started(which)
            ready(team)


def kill_database(team: Team, until: float, noted: Noted) -> None:
    """All of its processes, as by a loss of power."""
    for _ in _every(DATABASE_SECONDS, until):
        with noted.fault("database killed"):
            team.server.kill()
            team.server.start()
            ready(team)


# --- connections ----------------------------------------------------------------------------------


class Lines:
    """A socket between instances and their database, whose connections can all be cut, wherever in
    a message that is. A context manager.
    """

    def __init__(self, server: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="orgguard-lines-")
        self.folder = Path(self._folder.name)
        self._cut = SPAWN.Event()
        self._process = SPAWN.Process(
            target=_serve_lines, args=(self.folder / SOCKET, server / SOCKET, self._cut)
        )

    def __enter__(self) -> Lines:
        self._process.start()
        while not (self.folder / SOCKET).exists():
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._folder.cleanup()

    def cut(self) -> None:
        """Cut all that are there now."""
        self._cut.set()

    def breaks(self, team: Team, until: float, noted: Noted) -> None:
        """Cut them again and again."""
        for _ in _every(CUT_SECONDS, until):
            with noted.fault("connections cut"):
                self.cut()
                ready(team)


def _serve_lines(here: Path, server: Path, cut: Any) -> None:  # noqa: ANN401
    ends: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.add(writer)
        with suppress(OSError):
            while data := await reader.read(1 << 12):
                writer.write(data)
                await writer.drain()
        ends.discard(writer)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs = await asyncio.open_unix_connection(server)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, theirs[1]), pump(theirs[0], writer))

    async def serve() -> None:
        async with await asyncio.start_unix_server(connect, here):
            while True:
                await asyncio.to_thread(cut.wait)
                cut.clear()
                for end in list(ends):
                    end.transport.abort()

    asyncio.run(serve())


# --- full disks -----------------------------------------------------------------------------------


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system of *size* in memory; only root can make one."""
    with tempfile.TemporaryDirectory(prefix="orgguard-disk-") as folder:
        Path(folder).chmod(0o755)
        options = ["-o", f"size={size},mode=777"]
        subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


class Ballast:
    """What fills a disk, and can be taken off it."""

    def __init__(self, disk: Path) -> None:
        self._file = disk / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        with self._file.open("wb", buffering=0) as file:
            for block in (b"\0" * (1 << 20), b"\0" * 4096):
                try:
                    while True:
                        file.write(block)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def remove(self) -> None:
        """Give it all back."""
        self._file.unlink()


def fill_database(disk: Path) -> Fault:
    """The database's disk is full for a while; should it have ended, it is begun again."""

    def fault(team: Team, until: float, noted: Noted) -> None:
        ballast = Ballast(disk)
        for _ in _every(2 * FULL_SECONDS, until):
            ballast.fill()
            time.sleep(FULL_SECONDS)
            ended = team.server._process.poll() is not None  # type: ignore[union-attr]  # noqa: SLF001
            with noted.fault("database's disk was full" + (", it ended" if ended else "")):
                ballast.remove()
                if ended:
                    team.server.start()
                ready(team)

    return fault


def fill_mirrors(disk: Path) -> Fault:
    """The mirrors' disk is full while a remote gets a commit; whole again when that is known."""

    def fault(team: Team, until: float, noted: Noted) -> None:
        ballast = Ballast(disk)
        for number in _every(2 * FULL_SECONDS, until):
            ballast.fill()
            known = team.publish(number)
            time.sleep(FULL_SECONDS)
            assert not known(), "it was fetched to a full disk"
            with noted.fault("mirrors' disk was full"):
                ballast.remove()
                while not known():
                    time.sleep(0.1)

    return fault
