"""A real PostgreSQL server of a test's own, started from the installed binaries, and killed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
BINARIES = FOUND[-1].parent if FOUND else None
MISSING = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
_USERS = ("postgres", "nobody")


class Server:
    """One server in a directory of its own. It listens on a socket there, not on the network."""

    def __init__(self) -> None:
        assert BINARIES, MISSING
        # Not in pytest's directory: that is root's alone, and the server will not run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="orgguard-pg-"))
        self._user = _unprivileged()
        if self._user:
            shutil.chown(self.folder, self._user)
        self._data = self.folder / "data"
        self._run("initdb", "-D", str(self._data), "-U", "orgguard", "-A", "trust", "-N",
            "-E", "UTF8", "--no-locale")  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """The database that is always there."""
        return self.database("postgres")

    def database(self, name: str, user: str = "orgguard") -> str:
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def create(self, name: str) -> str:
        """A new database; its URL."""
        self.execute(f"CREATE DATABASE {name}")
        return self.database(name)

    def execute(self, statement: str, url: str = "") -> list[tuple[object, ...]]:
        """Run *statement*, as somebody would who may do everything."""
        with psycopg.connect(url or self.url, autocommit=True) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def dump(self, url: str) -> bytes:
        """What pg_dump says of a database."""
        assert BINARIES
        done = subprocess.run([BINARIES / "pg_dump", url], check=True, capture_output=True)
        return done.stdout

    def _run(self, program: str, *arguments: str) -> None:
        assert BINARIES
        command = [str(BINARIES / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd="/")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert BINARIES
        command = [
            BINARIES / "postgres", "-D", self._data, "-k", self.folder,
            "-c", "listen_addresses=", "-c", "max_connections=200",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._user, cwd="/"
            )
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
                assert time.monotonic() < until
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """Kill every process of it at once, as a machine that loses its power."""
        assert self._process
        main = psutil.Process(self._process.pid)
        with suppress(psutil.NoSuchProcess):
            family = [main, *main.children(recursive=True)]
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, 20)
        self._process.wait(20)

    def backends(self) -> list[psutil.Process]:
        """Its processes that serve a client."""
        assert self._process
        rows = self.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'orgguard'")
        found = []
        for (pid,) in rows:
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(str(pid))))
        return found

    def close(self) -> None:
        """Kill it, and remove what it wrote."""
        self.kill()
        shutil.rmtree(self.folder)


def _unprivileged() -> str | None:
    if os.geteuid():
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return next(user for user in _USERS if user in known)
