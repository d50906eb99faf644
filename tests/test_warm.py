"""The warm helper: it answers as a process of its own would, and ends when it should."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from orgguard_mcp import warm
from orgguard_mcp.model import Answer
from orgguard_mcp.program import unanswered
from tests import warmth
from tests.hooks.hooked import guarded
from tests.names import COINED
from tests.scanner import decide
from tests.simulator import Repo

if sys.platform != "linux":
    pytest.skip("there is no helper", allow_module_level=True)

ROOT = Path(__file__).parents[1]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = guarded(tmp_path / "repo")
    made.write({"src/more.py": f"# {COINED} Ltd asked for this\n"})
    return made


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with warmth.runtime(monkeypatch) as made:
        yield made


@pytest.fixture
def helper(runtime: Path) -> Iterator[psutil.Process]:
    with warmth.started(runtime) as process:
        yield psutil.Process(process.pid)


def _payload(repo: Repo, text: str) -> bytes:
    given = {"file_path": str(repo.path / "a.md"), "content": text}
    event = {"hook_event_name": "PreToolUse", "tool_name": "Write", "tool_input": given}
    return json.dumps({**event, "cwd": str(repo.path)}).encode()


# --- start ------------------------------------------------------------------------------------


def test_a_hook_starts_a_helper_for_the_next(repo: Repo, runtime: Path) -> None:
    payload = _payload(repo, f"{COINED} Ltd asked for this.\n")
    first = warmth.run(repo.path, "hook", "claude", stdin=payload, ORGGUARD_PROTECTED_KEY="a" * 64)
    assert first.where == "cold"
    warmth.until(lambda: warmth.address(runtime))
    second = warmth.run(repo.path, "hook", "claude", stdin=payload)
    assert second.where == "warm"
    assert second[:3] == first[:3]
    assert second.code == 2
    assert COINED in second.err


def test_a_helper_holds_nothing_of_who_started_it(repo: Repo, runtime: Path) -> None:
    secret = {"ORGGUARD_PROTECTED_KEY": "a" * 64}
    reading, writing = os.pipe()
    subprocess.run(
        warmth.command("hook", "claude"), input=_payload(repo, ""), cwd=repo.path, check=True,
        pass_fds=[writing], env={**os.environ, **secret}, capture_output=True,
    )  # fmt: skip
    warmth.until(lambda: warmth.address(runtime))
    helper = warmth.helpers(runtime)[0]
    assert not secret.keys() & helper.environ().keys()
    assert helper.cwd() == "/"
    os.close(writing)
    assert os.read(reading, 1) == b""  # nobody else has the other end
    os.close(reading)


@pytest.mark.parametrize("variable", ["ORGGUARD_WARM=0", "CI=true"])
def test_no_helper_is_started_where_none_is_wanted(
    repo: Repo, runtime: Path, variable: str
) -> None:
    name, _, value = variable.partition("=")
    warmth.run(repo.path, "hook", "claude", stdin=_payload(repo, ""), **{name: value})
    assert warmth.helpers(runtime) == []


def test_a_helper_that_is_there_is_not_used_where_none_is_wanted(
    repo: Repo, helper: psutil.Process
) -> None:
    del helper
    assert warmth.run(repo.path, "check", COINED, ORGGUARD_WARM="0").where == "cold"


@pytest.mark.usefixtures("runtime")
def test_nothing_that_decides_is_for_the_helper() -> None:
    for command in ("review", "serve", "withdraw", "approver", "init", "grants", "protect"):
        assert not warm.helps([command])
    assert not warm.helps(["hook", "claude", "--deadline=5"])


def test_a_second_helper_leaves_the_first_alone(runtime: Path, repo: Repo) -> None:
    with warmth.started(runtime) as first:
        place = warmth.address(runtime)
        assert place
        before = place.stat()
        subprocess.run(warmth.HELPER, check=True, timeout=20)
        assert place.stat() == before
        assert first.poll() is None
        assert warmth.run(repo.path, "check", COINED).where == "warm"


# --- the same answers -------------------------------------------------------------------------

COMMANDS = [
    ["check", COINED],
    ["check", "--format=json", COINED, "Quimbrel"],
    ["check", "Quimbrel"],
    ["check", ""],
    ["scan", "--worktree"],
    ["scan", "--worktree", "--format=sarif"],
    ["scan", "--text=pr-body"],
    ["scan", "--surprise"],
    ["scan", "--help"],
    ["git-hook", "pre-commit"],
    ["git-hook", "commit-msg", "message"],
    ["hook", "nobody"],
    ["hook", "claude"],
    ["hook", "cursor"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("helper")
def test_a_helper_answers_as_a_cold_process_does(repo: Repo, arguments: list[str]) -> None:
    repo.write({"message": f"Add what {COINED} Ltd asked for\n"})
    piped = _payload(repo, f"{COINED} Ltd asked for this.\n")
    asked = warmth.run(repo.path, *arguments, stdin=piped)
    assert asked.where == "warm"
    told = warmth.run(repo.path, *arguments, stdin=piped, ORGGUARD_WARM="0")
    assert told.where == "cold"
    assert asked[:3] == told[:3]


@pytest.mark.usefixtures("helper")
def test_environment_and_directory_are_those_of_who_asks(repo: Repo, tmp_path: Path) -> None:
    other = guarded(tmp_path / "other")
    assert warmth.run(repo.path, "check", COINED).code == 1
    other.commit({"src/clients.py": f'{COINED.upper()}_URL = "https://{COINED.lower()}.com"\n'})
    assert warmth.run(other.path, "check", COINED).code == 1
    based = warmth.run(other.path, "check", COINED, ORGGUARD_BASE="feature")
    assert (based.code, based.where) == (0, "warm")


@pytest.mark.usefixtures("helper")
def test_files_are_made_with_the_umask_of_who_asks(repo: Repo, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    told = warmth.run(
        repo.path, "scan", "--worktree", "--format=github", GITHUB_STEP_SUMMARY=str(summary),
        before="import os; os.umask(0o027)",
    )  # fmt: skip
    assert told.where == "warm"
    assert summary.stat().st_mode & 0o777 == 0o640


@pytest.mark.usefixtures("helper")
def test_a_helper_remembers_nothing(repo: Repo) -> None:
    assert warmth.run(repo.path, "check", COINED).code == 1
    decide(repo, COINED, Answer.GRANT)
    assert warmth.run(repo.path, "check", COINED)[0::3] == (0, "warm")
    repo.commit({"src/x.py": "1\n"})
    decide(repo, "Vexomar", Answer.REFUSE)
    assert "refused" in warmth.run(repo.path, "check", "Vexomar").out


@pytest.mark.usefixtures("helper")
def test_another_interpreter_is_not_for_the_helper(repo: Repo) -> None:
    other = warmth.run(repo.path, "check", COINED, PYTHONIOENCODING="latin-1")
    assert (other.code, other.where) == (1, "cold")


# --- failures ---------------------------------------------------------------------------------

UNANSWERED = [(["hook", "claude"], 2), (["check", COINED], 3), (["scan"], 3)]


def _hanging(tmp_path: Path) -> dict[str, str]:
    """A git that hangs, and says so; two of them may run at once."""
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "git"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/$$\nmv {tmp_path}/$$ {tmp_path}/pid\n"
                    "exec sleep 600\n")  # fmt: skip
    slow.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}


@contextmanager
def _begun(repo: Repo, tmp_path: Path, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command in the helper, hanging in git; it ends with the test."""
    with subprocess.Popen(
        warmth.command(*arguments), cwd=repo.path, env=_hanging(tmp_path),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stdin
            process.stdin.write(_payload(repo, f"{COINED} Ltd asked for this.\n"))
            process.stdin.close()
            process.stdin = None
            warmth.until((tmp_path / "pid").exists)
            yield process
        finally:
            process.kill()


def _ended(number: int) -> bool:
    try:
        return psutil.Process(number).status() == "zombie"
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(("arguments", "code"), UNANSWERED)
def test_a_fork_that_dies_lets_nothing_through(
    repo: Repo, helper: psutil.Process, tmp_path: Path, arguments: list[str], code: int
) -> None:
    with _begun(repo, tmp_path, arguments) as process:
        (fork,) = warmth.working(helper)
        fork.kill()
        _, said = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"names were not checked" in said
    assert b"the helper's process ended" in said
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_an_agent_hears_in_its_own_way_that_there_was_no_answer(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert unanswered(["hook", "copilot"], "it ended") == 2
    said = capfd.readouterr()
    assert "it ended" in said.err
    assert "it ended" in str(json.loads(said.out))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize(("arguments", "code"), UNANSWERED[:2])
def test_what_was_begun_ends_with_who_asked(
    repo: Repo, helper: psutil.Process, tmp_path: Path, arguments: list[str], code: int,
    number: signal.Signals,
) -> None:  # fmt: skip
    with _begun(repo, tmp_path, arguments) as process:
        (fork,) = warmth.working(helper)
        process.send_signal(number)
        assert process.wait(timeout=20) == (code if number is signal.SIGINT else -number)
    warmth.until(lambda: _ended(fork.pid))
    warmth.until(lambda: _ended(int((tmp_path / "pid").read_text())))
    assert helper.is_running()


@pytest.mark.usefixtures("helper")
def test_a_hook_that_takes_too_long_is_stopped(repo: Repo, tmp_path: Path) -> None:
    payload = _payload(repo, "Rates are read daily.\n")
    environment = {"PATH": _hanging(tmp_path)["PATH"]}
    before = "warm.HOOK_SECONDS = -1"
    late = warmth.run(
        repo.path, "hook", "claude", stdin=payload, before=before, **environment
    )  # fmt: skip
    assert late.code == 2
    assert "no answer in time" in late.err
    warmth.until(lambda: _ended(int((tmp_path / "pid").read_text())))


# --- side by side -----------------------------------------------------------------------------


def test_a_command_does_not_wait_for_another(
    repo: Repo, helper: psutil.Process, tmp_path: Path
) -> None:
    with _begun(repo, tmp_path, ["check", COINED]) as process:
        for _ in range(2):
            assert warmth.run(repo.path, "check", COINED)[0::3] == (1, "warm")
        warmth.until(lambda: len(warmth.working(helper)) == 1)  # a process takes a while to end
        assert process.poll() is None


def test_the_fork_that_stands_by_ends_with_the_helper(helper: psutil.Process) -> None:
    (standing,) = warmth.until(helper.children)
    helper.kill()
    warmth.until(lambda: _ended(standing.pid))


def test_a_helper_whose_fork_ends_without_a_command_ends(
    runtime: Path, helper: psutil.Process
) -> None:
    (standing,) = warmth.until(helper.children)
    standing.kill()
    helper.wait(timeout=20)
    assert not warmth.address(runtime)


def test_a_script_ends_with_the_helpers_code(repo: Repo, helper: psutil.Process) -> None:
    del helper
    command = [sys.executable, "-m", "orgguard_mcp", "check"]
    for name, code in ((COINED, 1), ("example.com", 0)):
        done = subprocess.run([*command, name], cwd=repo.path, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (code, b"")
        assert name.encode() in done.stdout


@pytest.mark.usefixtures("helper")
@pytest.mark.parametrize(("wanted", "said"), [("1", "one runs"), ("0", "none runs")])
def test_the_doctor_says_whether_one_runs(repo: Repo, wanted: str, said: str) -> None:
    told = warmth.run(repo.path, "doctor", ORGGUARD_WARM=wanted)
    assert said in next(line for line in told.out.splitlines() if line.startswith("helper"))


# --- rehearsals -------------------------------------------------------------------------------


def _stage(runtime: Path) -> Path:
    return Path(f"{warmth.address(runtime)}.stage")


@pytest.mark.usefixtures("helper")
def test_a_rehearsal_judges_in_a_repository_of_its_own(runtime: Path) -> None:
    stage = _stage(runtime)
    warmth.until((stage / ".git/orgguard/index.sqlite3").exists)
    assert stage.stat().st_mode & 0o777 == 0o700
    assert not list(stage.glob(".git/orgguard/ledger*"))


@pytest.mark.usefixtures("helper")
def test_a_rehearsal_that_fails_is_in_nobodys_way(runtime: Path, repo: Repo) -> None:
    stage = _stage(runtime)
    warmth.until((stage / ".git/orgguard/index.sqlite3").exists)
    (stage / ".git").rename(stage / "gone")
    for _ in range(3):
        warmth.until(lambda: warmth.run(repo.path, "check", COINED)[0::3] == (1, "warm"))
    (stage / ".git").write_text("in the way")
    warmth.until(lambda: warmth.run(repo.path, "check", COINED)[0::3] == (1, "warm"))


def test_a_helper_that_finds_no_git_does_without(
    runtime: Path, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        process = subprocess.Popen(warmth.HELPER)
    with process:
        warmth.until(lambda: warmth.address(runtime))
        assert warmth.run(repo.path, "check", COINED)[0::3] == (1, "warm")
        process.kill()


# --- end --------------------------------------------------------------------------------------


def test_a_helper_ends_when_the_installation_changed(
    repo: Repo, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "path" / "orgguard_mcp"
    package.parent.mkdir()
    subprocess.run(["cp", "-r", ROOT / "orgguard_mcp", package], check=True)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    with warmth.started(runtime) as process:
        assert warmth.run(repo.path, "check", COINED).where == "warm"
        (package / "names.py").touch()
        assert warmth.run(repo.path, "check", COINED)[0::3] == (1, "cold")
        process.wait(timeout=20)
    assert not warmth.address(runtime)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_helper_ends_without_its_socket(
    runtime: Path, helper: psutil.Process, replaced: bool
) -> None:
    place = warmth.address(runtime)
    assert place
    place.unlink()
    if replaced:
        place.touch()
    helper.wait(timeout=60)
    assert place.exists() == replaced


def test_a_helper_ends_when_nobody_needs_it(runtime: Path) -> None:
    code = "from orgguard_mcp import helper; helper.IDLE = helper._LOOK = 0.2; helper.main()"
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=60)
    assert not warmth.address(runtime)
