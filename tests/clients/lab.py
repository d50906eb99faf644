"""One client's run: a repository that `orgguard init` has set up, a home of its own, a scripted
model, and nothing else of this machine's user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.clients.model import FakeModel
from tests.simulator import Repo

# Read at import: the tests' own seal removes the variable.
CACHE = Path(
    os.environ.get("ORGGUARD_CLIENTS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orgguard-clients"
)
"""Where the clients are installed: `ORGGUARD_CLIENTS`, else a folder in the user's cache."""

NODE = CACHE / "node22" / "node_modules" / ".bin"
PATIENCE = 120
"""Seconds that a client may take; they start slowly on a machine with other work."""

PROMPT = "Add the customer note."


class Lab:
    """A place for one client. `repo` is its repository, `home` its HOME, `model` its model."""

    def __init__(self, repo: Repo, home: Path, model: FakeModel) -> None:
        self.repo, self.home, self.model = repo.path, home, model
        home.mkdir()

    def has(self, path: str, settings: dict[str, Any] | str) -> None:
        """Lay a file with *settings* into the home."""
        target = self.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(settings if isinstance(settings, str) else json.dumps(settings))

    def environment(self, **more: str) -> dict[str, str]:
        """All variables that the client gets: none is inherited but the search path."""
        own = Path(sys.executable).parent
        return {
            "PATH": os.pathsep.join([str(own), str(NODE), os.environ["PATH"]]),
            "HOME": str(self.home), "USER": "tester", "LANG": "C.UTF-8", "TERM": "xterm-256color",
            "TMPDIR": str(self.home), "DO_NOT_TRACK": "1", **more,
        }  # fmt: skip

    def start(self, command: list[str], **variables: str) -> Run:
        """Start the client with *command* in the repository."""
        return Run(command, self.repo, self.environment(**variables), self.home / "output.log")

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until *holds*, which another process brings about."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, "it never came about"
            time.sleep(0.05)


class Run:
    """A running client: a context manager. Nothing that it started survives it."""

    def __init__(
        self, command: list[str], directory: Path, environment: dict[str, str], log: Path
    ) -> None:
        self._log, self._home = log, environment["HOME"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Run:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        while survivors := started_with(self._home):  # a killed process takes a moment to go
            for process in survivors:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()
        if error:
            error.add_note(f"the client said: {self.output[-3000:]}")

    @property
    def output(self) -> str:
        """What the client has printed."""
        return self._log.read_text(errors="replace")

    def ends(self) -> int:
        """Wait for the client's end; its exit code."""
        return self._process.wait(PATIENCE)


def started_with(home: str) -> list[psutil.Process]:
    """The processes whose HOME is *home*: the client's, whatever has become of their parents."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("HOME") == home:
                found.append(process)
    return found
