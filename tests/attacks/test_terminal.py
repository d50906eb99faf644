"""Answering in the human's stead: what `orgguard review` refuses, and what it takes from whoever
has this user id.

An answer that is taken is recorded as one typed in a terminal. That is no proof of a human, and
each test here that sees one taken also sees that it ends at this machine: what checks a clone of
the branch finds the name as before. Signed grants, which do travel, need an approver's key.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer
from tests.agent import LEGACY, Agent
from tests.human import COMMAND, QUESTION
from tests.names import COINED
from tests.scanner import change, scan
from tests.simulator import Repo
from tests.test_review import ask

LOWER = COINED.lower()
needs_script = pytest.mark.skipif(not shutil.which("script"), reason="script is not installed")
needs_tmux = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")


@pytest.fixture
def branch(tmp_path: Path) -> Repo:
    """A branch that brings in the name, and a question about it that waits."""
    files: dict[str, str | bytes] = {"docs/a.md": f"# A\n\nfor the {COINED} account.\n"}
    base: dict[str, str | bytes] = {".orgguard/policy.toml": "hold_seconds = 0.1\n"}
    repo = change(tmp_path / "r", files, base=base)
    ask(repo.path, where="docs/a.md:3")
    return repo


def assert_undecided(repo: Repo) -> None:
    with Guard(repo.path) as guard:
        assert guard.ledger.decisions() == []
        assert [asked.name.surface for asked in guard.ledger.pending()] == [COINED]


def assert_taken_as_typed_and_no_further(repo: Repo) -> None:
    """The yes counts here as one from a terminal, and nowhere else."""
    with Guard(repo.path) as guard:
        (decision,) = guard.ledger.decisions()
    assert (decision.answer, decision.channel) == (Answer.GRANT, "terminal")
    assert scan(repo).names == set()
    assert not (repo.path / ".orgguard/grants").exists()
    fresh = repo.clone(repo.path.parent / "fresh", "--branch=feature")
    assert scan(fresh, "--base=origin/main", "--dry-run").names == {LOWER}


def review(repo: Repo, *around: str) -> list[str]:
    return [*around, *COMMAND, "review", "--no-wait", "--repo", str(repo.path)]


def answers(terminal: pexpect.spawn[str]) -> None:
    """Give the answer that a human would, and wait for the end."""
    terminal.expect(QUESTION)
    terminal.sendline("y")
    terminal.expect("Type the name")
    terminal.sendline(COINED)
    terminal.expect("Allowed")
    terminal.expect(pexpect.EOF)


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["stdin", "stdout"])
def test_a_pipe_is_refused(branch: Repo, end: str) -> None:
    """A local agent pipes its answer in, or has a terminal for its keys alone: refused."""
    keys = f"y\n{COINED}\n".encode()
    if end == "stdin":
        done = subprocess.run(
            review(branch), input=keys, capture_output=True, check=False, timeout=60
        )
        assert (done.returncode, COINED.encode() in done.stdout + done.stderr) == (2, False)
    else:
        ours, theirs = os.openpty()
        os.write(ours, keys)
        done = subprocess.run(
            review(branch), stdin=theirs, capture_output=True, check=False, timeout=60
        )
        os.close(ours)
        os.close(theirs)
        assert (done.returncode, b"interactive terminal" in done.stderr) == (2, True)
    assert_undecided(branch)


def test_a_terminal_beneath_the_asking_client_is_refused(branch: Repo) -> None:
    """The agent that asked makes a terminal for itself, with its markers taken away: refused, by
    the processes above it.
    """
    with Agent(branch.path, LEGACY) as agent:
        agent.ask(COINED, "docs/b.md:1")
        agent.send("review")
        assert agent.event("review")["status"] == 2
    assert_undecided(branch)


@pytest.mark.parametrize("around", ["script", "pty"])
def test_a_terminal_of_the_agents_own_making_is_refused_by_its_marker(
    branch: Repo, around: str
) -> None:
    """An agent whose shell is marked makes a terminal for itself: refused."""
    if around == "script":
        if not shutil.which("script"):
            pytest.skip("script is not installed")
        command = scripted(branch)
    else:
        command = spawned(branch)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
        env={**os.environ, "AI_AGENT": "1"},
    )  # fmt: skip
    assert b"this terminal belongs to an agent" in done.stdout
    assert COINED.encode() not in done.stdout
    assert_undecided(branch)


def scripted(repo: Repo) -> list[str]:
    """A review on the terminal that `script` makes."""
    return ["script", "-qec", " ".join(review(repo)), "/dev/null"]


def spawned(repo: Repo) -> list[str]:
    """A review on the terminal that Python's `pty` makes."""
    return [sys.executable, "-c", f"import pty; pty.spawn({review(repo)!r})"]


def test_what_was_typed_before_the_review_began_decides_nothing(branch: Repo) -> None:
    """A local agent types the whole answer into a terminal in which a human then starts the review:
    dropped.
    """
    shell = f"read go; {' '.join(review(branch))}"
    with pexpect.spawn("/bin/sh", ["-c", shell], encoding="utf-8", timeout=30) as terminal:
        terminal.send(f"go\ny\n{COINED}\n")
        terminal.expect(QUESTION)
        terminal.sendline("q")
        terminal.expect(pexpect.EOF)
    assert_undecided(branch)


# --- taken, and worth no more than this machine ---------------------------------------------------


def test_a_pseudo_terminal_is_taken_for_a_terminal(branch: Repo) -> None:
    """A local agent that is not above the question answers on a pseudo-terminal: taken."""
    command = review(branch)
    with pexpect.spawn(command[0], command[1:], encoding="utf-8", timeout=30) as terminal:
        answers(terminal)
    assert_taken_as_typed_and_no_further(branch)


def test_an_agent_that_takes_its_marker_away_is_taken_for_a_human(branch: Repo) -> None:
    """A local agent starts the review without the variable that tells of it: taken."""
    command = review(branch, "env", "-u", "AI_AGENT")
    with pexpect.spawn(
        command[0], command[1:], encoding="utf-8", timeout=30, env={**os.environ, "AI_AGENT": "1"}
    ) as terminal:
        answers(terminal)
    assert_taken_as_typed_and_no_further(branch)


@pytest.mark.parametrize(
    "around", [pytest.param(scripted, marks=needs_script), spawned], ids=["script", "pty"]
)
def test_a_program_that_makes_a_terminal_is_taken_for_a_human(
    branch: Repo, around: Callable[[Repo], list[str]]
) -> None:
    """A local agent has a program make the terminal, and feeds it through a pipe: taken."""
    with subprocess.Popen(around(branch), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin
        assert program.stdout
        for shown, keys in (("public repository? [", "y"), ("Type the name", COINED)):
            read_until(program.stdout.fileno(), shown.encode())
            program.stdin.write(f"{keys}\n".encode())
            program.stdin.flush()
        read_until(program.stdout.fileno(), b"Allowed")
        program.stdin.close()
        program.stdout.read()
    assert_taken_as_typed_and_no_further(branch)


def read_until(source: int, text: bytes) -> None:
    """Read from *source* until it has shown *text*."""
    shown = b""
    while text not in shown:
        got = os.read(source, 4096)
        assert got, shown
        shown += got


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """A tmux server of the test's own, which is no descendant of the test."""
    socket = str(tmp_path / "tmux")

    def run(*args: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", socket, "-f", "/dev/null", *args], capture_output=True, check=True,
            timeout=30,
        )  # fmt: skip
        return done.stdout.decode()

    yield run
    run("kill-server")


@needs_tmux
def test_keys_sent_by_the_asking_client_to_another_terminal_are_taken_for_a_humans(
    branch: Repo, tmux: Callable[..., str]
) -> None:
    """The agent that asked sends its keys to a terminal that is not beneath it, be it the human's
    own: taken. Neither its markers nor its processes are to be seen there.
    """
    shell = " ".join(review(branch))
    tmux("new-session", "-d", "-s", "human", "-x", "200", "-y", "50", f"{shell}; exec sleep 600")
    with Agent(branch.path, LEGACY) as agent:
        agent.ask(COINED, "docs/b.md:1")
        for shown, keys in (("public repository? [", "y"), ("Type the name", COINED)):
            screen_shows(tmux, shown)
            tmux("send-keys", "-t", "human", keys, "Enter")
        screen_shows(tmux, "Allowed")
    assert_taken_as_typed_and_no_further(branch)


def screen_shows(tmux: Callable[..., str], text: str) -> None:
    """Wait until the screen holds *text*."""
    deadline = time.monotonic() + 30
    while text not in (screen := tmux("capture-pane", "-p", "-t", "human")):
        assert time.monotonic() < deadline, screen
