"""A warm helper in a directory of its own, and commands that say whether it ran them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil
import pytest

T = TypeVar("T")
HELPER = [sys.executable, "-P", "-m", "orgguard_mcp.helper"]

_TOLD = """
import sys
from orgguard_mcp import warm
from orgguard_mcp.cli import main
{before}
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
sys.stderr.write("cold" if "orgguard_mcp.program" in sys.modules else "warm")
sys.exit(code)
"""


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str
    where: str
    """``warm`` when a helper did it all, else ``cold``."""


@contextmanager
def runtime(patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for helpers' sockets, all of which are ended at last."""
    with tempfile.TemporaryDirectory(prefix="og", dir="/tmp") as made:  # a socket's path is short
        patch.setenv("XDG_RUNTIME_DIR", made)
        patch.delenv("ORGGUARD_WARM", raising=False)
        yield Path(made)
        for process in helpers(Path(made)):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def helpers(directory: Path) -> list[psutil.Process]:
    """The helpers that have their sockets in *directory*, and their forks."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "orgguard_mcp.helper" in process.cmdline():
                if process.environ().get("XDG_RUNTIME_DIR") == str(directory):
                    found.append(process)
    return found


def until(condition: Callable[[], T]) -> T:
    """What *condition* gives, as soon as that is something."""
    ends = time.monotonic() + 30
    while not (given := condition()):
        assert time.monotonic() < ends
    return given


def address(directory: Path) -> Path | None:
    """The helper's socket in *directory*."""
    return next((file for file in directory.rglob("*") if file.is_socket()), None)


def working(helper: psutil.Process) -> list[psutil.Process]:
    """The forks of *helper* that run a command; one more always stands by."""
    return [fork for fork in helper.children() if os.getpgid(fork.pid) == fork.pid]


@contextmanager
def started(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A helper that takes commands."""
    null = subprocess.DEVNULL
    with subprocess.Popen(HELPER, stdin=null, stdout=null, stderr=null) as process:
        try:
            until(lambda: address(directory))
            yield process
        finally:
            process.kill()


def command(*arguments: str, before: str = "") -> list[str]:
    """The command line of a command that says at last who ran it; *before* is run before it."""
    return [sys.executable, "-c", _TOLD.format(before=before), *arguments]


def run(
    where: Path, *arguments: str, stdin: bytes = b"", before: str = "", **environment: str
) -> Ran:
    """Run a command in the directory *where*."""
    done = subprocess.run(
        command(*arguments, before=before), input=stdin, cwd=where, capture_output=True,
        check=False, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip
    err = done.stderr.decode()
    return Ran(done.returncode, done.stdout.decode(), err[:-4], err[-4:])
