"""What each hot command costs in starts of bare Python, without and with the warm helper.

    python bench/startup.py [--repo DIR] [--rounds 15]

All run in turn, round after round, and a ratio is that of two medians of wall time: other work on
the machine slows all, though a chain of processes more than a single one, so *least* is the ratio
of the two shortest runs. The repository is made here, unless one is given: then its index must
have been built, and the hooks speak of a file that would be new in it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

PYTHON = Path(sys.executable)
ORGGUARD = str(PYTHON.with_name("orgguard"))
NOTHING = "def load(path):\n    return open(path).read()\n"
CANDIDATE = f"# for Zorblatt Ltd\n{NOTHING}"
_TELLING = ("CI", "ORGGUARD_BASE", "ORGGUARD_WARM", "PYTHONDONTWRITEBYTECODE")
_GIT = {
    "GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@example.com",
    "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@example.com",
}  # fmt: skip
_MADE = (
    "init -q -b main", "add -A", "commit -q -m Start", "remote add origin .", "fetch -q origin",
    "remote set-head origin main",
)  # fmt: skip


class Case(NamedTuple):
    """A command, what is piped into it, and the goal in starts of bare Python."""

    name: str
    arguments: list[str]
    goal: float
    piped: str = ""


def cases(repo: Path) -> list[Case]:
    """What is measured in *repo*."""
    file = {"file_path": str(repo / "src/new.py")}
    write = {**file, "content": NOTHING}
    return [
        _hook(repo, "hook: Read", "Read", file, 2),
        _hook(repo, "hook: Bash", "Bash", {"command": "make test"}, 2),
        _hook(repo, "hook: Write, nothing novel", "Write", write, 2),
        _hook(repo, "hook: Write, a candidate", "Write", {**file, "content": CANDIDATE}, 3),
        Case("--version", ["--version"], 3),
        Case("check", ["check", "Zorblatt"], 4),
        Case("scan, 10 lines", ["scan", "--worktree"], 6),
        Case("git-hook pre-commit", ["git-hook", "pre-commit"], 6),
    ]


def _hook(repo: Path, name: str, tool: str, given: Mapping[str, str], goal: float) -> Case:
    event = {"hook_event_name": "PreToolUse", "cwd": str(repo), "tool_name": tool}
    return Case(name, ["hook", "claude"], goal, json.dumps({**event, "tool_input": given}))


def made(repo: Path) -> None:
    """Make a clone of a hundred files, with ten more lines in the working tree."""
    for number in range(100):
        file = repo / f"src/part{number % 10}/file{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(NOTHING * 10)
    for command in _MADE:
        subprocess.run(["git", *command.split()], cwd=repo, check=True, env={**os.environ, **_GIT})
    (repo / "src/more.py").write_text(NOTHING * 5)


def seconds(command: list[str], repo: Path, piped: str, environment: Mapping[str, str]) -> float:
    """How long *command* takes."""
    began = time.perf_counter()
    subprocess.run(
        command, input=piped.encode(), cwd=repo, env=environment, check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began


@contextmanager
def helper(repo: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A helper in a directory of its own, started as a hook does."""
    hook = cases(repo)[0]
    folder = Path(environment["XDG_RUNTIME_DIR"])
    seconds([ORGGUARD, *hook.arguments], repo, hook.piped, environment)
    deadline = time.monotonic() + 30
    while not (found := [file for file in folder.rglob("*") if file.is_socket()]):
        if time.monotonic() > deadline:
            sys.exit("no helper was started")
        time.sleep(0.05)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(found[0]))
        process = int.from_bytes(
            peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder
        )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)


def measured(repo: Path, rounds: int) -> Mapping[str, list[float]]:
    """Seconds of each case, cold and warm, and of a bare start, by name."""
    with tempfile.TemporaryDirectory(prefix="og", dir="/tmp") as runtime:  # short
        clean = {k: v for k, v in os.environ.items() if k not in _TELLING}
        warm = {**clean, "XDG_RUNTIME_DIR": runtime}
        cold = {**clean, "ORGGUARD_WARM": "0"}
        took: dict[str, list[float]] = {}
        with helper(repo, warm):
            for _ in range(rounds + 1):
                bare = seconds([str(PYTHON), "-c", "pass"], repo, "", cold)
                took.setdefault("", []).append(bare)
                for case in cases(repo):
                    for kind, environment in (("cold", cold), ("warm", warm)):
                        command = [ORGGUARD, *case.arguments]
                        one = seconds(command, repo, case.piped, environment)
                        took.setdefault(f"{case.name} {kind}", []).append(one)
    return {name: all_of[1:] for name, all_of in took.items()}  # the first round built the index


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repo", type=Path)
    options.add_argument("--rounds", type=int, default=15)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        repo = given.repo or Path(scratch) / "repo"
        if not given.repo:
            made(repo)
        took = measured(repo.resolve(), given.rounds)
        bare = median(took[""])
        print(f"python -c pass: {bare * 1000:.1f} ms (median of {given.rounds})\n")
        print("| command | cold | warm | warm, least | goal |\n| --- | --- | --- | --- | --- |")
        for case in cases(repo):
            cold, warm = (took[f"{case.name} {kind}"] for kind in ("cold", "warm"))
            ratios = [median(cold) / bare, median(warm) / bare, min(warm) / min(took[""])]
            print(f"| {case.name} | {' | '.join(f'{one:.2f}' for one in ratios)} | {case.goal} |")


if __name__ == "__main__":
    main()
