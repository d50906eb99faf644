"""Whatever goes wrong stops the agent with exit code 2: clients let an act through on any other."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from orgguard_mcp.hooks import HOOKS
from tests.hooks.hooked import claude, command, guarded, hook
from tests.names import COINED
from tests.simulator import Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return guarded(tmp_path / "repo")


def _payload(repo: Repo) -> bytes:
    given = {"file_path": f"{repo.path}/a.md", "content": "Rates are read daily.\n"}
    event = {"hook_event_name": "PreToolUse", "tool_name": "Write", "tool_input": given}
    return json.dumps(event).encode()


@pytest.mark.parametrize("agent", HOOKS)
@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"{}", b'{"hook_event_name": "Surprise"}',
     b'{"hook_event_name": ["PreToolUse"]}'],
    ids=["empty", "cut", "list", "bytes", "deep", "no event", "other event", "no text"],
)  # fmt: skip
def test_a_payload_that_is_not_understood_is_stopped(agent: str, payload: bytes) -> None:
    answered = hook(agent, payload)
    assert answered.code == 2
    assert answered.err.startswith("OrgGuard stopped this: ")


@pytest.mark.parametrize(
    "given",
    [{}, [], None, 3, "text", {"file_path": 3}, {"file_path": "a\0b", "content": "x"},
     {"file_path": "a" * 5000, "content": COINED + " asked for this."}],
    ids=["empty", "list", "none", "number", "text", "number path", "nul", "long path"],
)  # fmt: skip
def test_an_odd_input_is_judged_or_stopped_never_a_crash(repo: Repo, given: object) -> None:
    payload = {
        "hook_event_name": "PreToolUse", "cwd": str(repo.path), "tool_name": "Write",
        "tool_input": given,
    }  # fmt: skip
    assert hook("claude", payload).code in {0, 2}


def test_an_unreadable_base_is_stopped(repo: Repo) -> None:
    (repo.path / ".git" / "HEAD").write_text("nonsense\n")
    answered = hook("claude", _payload(repo), where=repo.path)
    assert answered.code == 2
    assert "not checked" in answered.err


def test_state_that_cannot_be_kept_is_stopped(repo: Repo) -> None:
    repo.write({".git/orgguard": "in the way"})
    assert hook("claude", _payload(repo), where=repo.path).code == 2


def test_outside_a_repository_there_is_nothing_to_guard(tmp_path: Path) -> None:
    given = {"file_path": str(tmp_path / "a.md"), "content": f"{COINED} asked for this.\n"}
    payload = {"hook_event_name": "PreToolUse", "tool_name": "Write", "tool_input": given}
    silent = hook("claude", payload, where=tmp_path)
    assert (silent.code, silent.out, silent.err) == (0, "", "")
    assert "not inside a git repository" in hook("claude", payload, "--explain", where=tmp_path).err


def test_an_agent_that_is_not_known_is_stopped() -> None:
    assert hook("nobody", {}).code == 2


def test_a_command_line_that_is_not_understood_is_stopped() -> None:
    for options in (("--deadline", "0"), ("--deadline", "nan"), ("--surprise",)):
        assert hook("claude", {}, *options).code == 2


# --- deadlines and crashes ------------------------------------------------------------------------


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(repo: Repo) -> Iterator[Start]:
    """Starts a hook and leaves its standard input open."""
    with ExitStack() as stack:

        def started(*options: str, **environment: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                command("claude", *options), cwd=repo.path, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment},
            )  # fmt: skip
            return stack.enter_context(process)

        yield started


def _child(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The process that does the work."""
    while True:
        if children := psutil.Process(process.pid).children():
            return children[0]
        assert process.poll() is None


def test_an_agent_that_never_ends_its_payload_is_stopped(start: Start) -> None:
    process = start("--deadline", "1")
    child = _child(process)
    assert process.wait(timeout=20) == 2
    assert process.stderr
    assert b"longer than 1 s" in process.stderr.read()
    assert psutil.wait_procs([child], timeout=10)[1] == []


def test_a_git_that_hangs_is_stopped_with_all_that_was_started(
    repo: Repo, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "git"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    slow.chmod(0o755)
    process = start("--deadline", "2", PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    _, said = process.communicate(_payload(repo), timeout=20)
    assert process.returncode == 2
    assert b"longer than 2 s" in said
    hanging = int((tmp_path / "pid").read_text())
    gone = time.monotonic() + 10
    while psutil.pid_exists(hanging) and psutil.Process(hanging).status() != "zombie":
        assert time.monotonic() < gone


def test_a_worker_that_dies_is_stopped(start: Start) -> None:
    process = start()
    _child(process).send_signal(signal.SIGKILL)
    assert process.wait(timeout=20) == 2
    assert process.stderr
    assert b"OrgGuard itself failed" in process.stderr.read()


def test_a_base_that_is_still_being_read_is_stopped_and_read_to_its_end(
    repo: Repo, start: Start
) -> None:
    state = repo.path / ".git" / "orgguard"
    state.mkdir(mode=0o700)
    with (state / "index.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start("--deadline", "3")
        child = _child(process)
        _, said = process.communicate(_payload(repo), timeout=30)
        assert process.returncode == 2
        assert b"still being read; try again" in said
        assert child.is_running()
        assert not (state / "index.sqlite3").exists()
    assert psutil.wait_procs([child], timeout=60)[1] == []
    assert (state / "index.sqlite3").exists()
    assert hook("claude", _payload(repo), where=repo.path).code == 0


def test_a_broken_installation_is_stopped(repo: Repo, tmp_path: Path) -> None:
    broken = tmp_path / "path" / "orgguard_mcp"
    broken.parent.mkdir()
    source = Path(__file__).parents[2] / "orgguard_mcp"
    subprocess.run(["cp", "-r", str(source), str(broken)], check=True)
    for module in ("hooks/supervise.py", "commands/hook.py"):
        (broken / module).write_text("raise ImportError\n")
        answered = hook("claude", _payload(repo), where=repo.path, PYTHONPATH=str(broken.parent))
        assert answered.code == 2


def test_a_reader_that_has_gone_does_not_change_the_exit_code(repo: Repo) -> None:
    given = {"file_path": f"{repo.path}/a.md", "content": f"{COINED} asked for this.\n"}
    payload = {"hook_event_name": "preToolUse", "tool_name": "Write", "tool_input": given}
    done = subprocess.run(
        ["sh", "-c", '"$@" 1>&- 2>&-', "sh", *command("cursor")],
        input=json.dumps(payload).encode(), cwd=repo.path, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2


def test_reading_opens_no_guard(repo: Repo) -> None:
    assert claude(repo, "Read", {"file_path": f"{repo.path}/{COINED}.md"}).code == 0
    assert not (repo.path / ".git" / "orgguard").exists()
