"""Nothing leaks: a name is planted on every surface of a change, and every byte that OrgGuard emits
about it is read: what it prints, logs and stores, its temporary files, its children's arguments.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer
from tests.agent import ERAS, Agent
from tests.canary import Canary, witness
from tests.human import COMMAND
from tests.names import COINED, COINED_TOO
from tests.scanner import FORMATS, change, decide
from tests.simulator import Repo

LOW = COINED.lower()
PLANTED: dict[str, str | bytes] = {
    "src/client.py": f'# {COINED} asked for this\nVENDOR = "{COINED} Inc."\n{LOW}_key = 1\n',
    f"src/{LOW}/adapter.py": f"class {COINED}Client:\n    pass\n",
    "docs/guide.md": f"# Working with {COINED}\n\nCall {COINED} at https://{LOW}.com/.\n",
    "data/rows.json": f'{{"customer": "{COINED}", "note": "{COINED.upper()}"}}\n',
}


class Emitted:
    """Runs commands with a canary, in a place where everything that they leave can be found."""

    def __init__(self, folder: Path) -> None:
        self.canary = Canary(COINED)
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.summary = folder / "summary.md"
        path, self.arguments = witness(folder / "bin", "git", "ssh-keygen")
        self.environment = {
            **os.environ, "PATH": path, "TMPDIR": str(self.temporary), "CI": "true",
            "GITHUB_STEP_SUMMARY": str(self.summary), "PYTHONDEVMODE": "1",
        }  # fmt: skip

    def run(self, repo: Repo, *args: str, stdin: str = "") -> int:
        """Run `orgguard *args`; what it prints must not hold the name. Its exit code."""
        done = subprocess.run(
            [*COMMAND, *args], cwd=repo.path, input=stdin.encode(), env=self.environment,
            capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert self.canary(done.stdout) == []
        assert self.canary(done.stderr) == []
        return done.returncode

    def nothing_left(self, *folders: Path) -> None:
        """Nothing beside the output holds the name, either."""
        assert self.arguments.read_bytes(), "the witness saw no program run"
        assert self.canary(self.arguments.read_bytes()) == []
        assert self.canary(self.summary.read_bytes() if self.summary.exists() else b"") == []
        for folder in (self.temporary, *folders):
            assert self.canary.in_tree(folder) == []


@pytest.fixture
def emitted(tmp_path: Path) -> Emitted:
    folder = tmp_path / "emitted"
    folder.mkdir()
    return Emitted(folder)


@pytest.fixture
def planted(tmp_path: Path) -> Repo:
    return change(
        tmp_path / "repo", PLANTED, f"Add the client for {COINED}", branch=f"{LOW}-client"
    )


def test_the_canary_sees_what_it_looks_for() -> None:
    canary = Canary(COINED)
    for leak in (COINED, f"x{LOW}y", COINED.encode().hex(), "68"):
        assert bool(canary(leak.encode())) == (leak != "68")
    assert canary(COINED.encode("utf-16-le"))


@pytest.mark.parametrize("format_", FORMATS)
def test_no_format_of_a_scan_says_the_name(
    emitted: Emitted, planted: Repo, tmp_path: Path, format_: str
) -> None:
    event = tmp_path / "event.json"
    pull = {"title": f"Add {COINED}", "body": f"For {COINED}.", "head": {"ref": f"{LOW}-client"}}
    event.write_text(json.dumps({"pull_request": pull}))
    options = ("scan", "--format", format_, "--level", "pedantic", "--event", str(event))
    assert emitted.run(planted, *options, "--dry-run") == 1
    assert emitted.run(planted, *options) == 1
    emitted.nothing_left(planted.path / ".git/orgguard")


@pytest.mark.parametrize("what", ["--staged", "--worktree"])
def test_no_scan_of_what_is_not_committed_says_the_name(
    emitted: Emitted, planted: Repo, what: str
) -> None:
    planted.git("checkout", "-q", "main")
    planted.write(PLANTED)
    planted.git("add", "-A")
    assert emitted.run(planted, "scan", what) == 1
    emitted.nothing_left(planted.path / ".git/orgguard")


def test_no_text_that_is_scanned_is_repeated(emitted: Emitted, planted: Repo) -> None:
    text = f"Signed off for {COINED} Inc.\n"
    assert emitted.run(planted, "scan", "--text", "commit-message", stdin=text) == 1
    emitted.nothing_left(planted.path / ".git/orgguard")


@pytest.mark.parametrize(
    "args",
    [
        ["scan", "--base", f"refs/heads/{COINED}"],
        ["scan", "--head", COINED],
        ["scan", "--message-file", f"/nowhere/{COINED}"],
        ["scan", "--event", f"/nowhere/{COINED}.json"],
        ["--repo", f"/nowhere/{COINED}"],
    ],
    ids=lambda args: args[-2],
)
def test_an_error_about_what_the_caller_typed_stores_nothing(
    emitted: Emitted, planted: Repo, args: list[str]
) -> None:
    done = subprocess.run(
        [*COMMAND, *args], cwd=planted.path, env=emitted.environment, capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode in {2, 3}
    assert emitted.canary.in_tree(emitted.temporary) == []


def test_the_queue_and_the_log_hide_names(emitted: Emitted, planted: Repo) -> None:
    assert emitted.run(planted, "scan", "--ask") == 1
    decide(planted, COINED_TOO, Answer.REFUSE)
    assert emitted.run(planted, "pending") == 0
    assert emitted.run(planted, "log") == 0
    assert emitted.run(planted, "grants") == 0
    assert emitted.run(planted, "approver") == 0
    assert emitted.run(planted, "review") == 2
    assert emitted.run(planted, "withdraw", stdin=f"{COINED}\n") == 2
    with Guard(planted.path) as guard:
        (request,) = (r for r in guard.ledger.pending() if r.name.key == LOW)
        guard.decide(request, Answer.REFUSE, channel="test", reason=f"not {COINED}")
    assert emitted.run(planted, "log") == 0
    assert emitted.run(planted, "scan") == 1
    emitted.nothing_left()


def test_an_incident_is_told_without_the_name(emitted: Emitted, planted: Repo) -> None:
    assert emitted.run(planted, "incident", stdin=f"{COINED}\n") == 1
    assert emitted.run(planted, "incident", "--format", "json", stdin=f"{COINED}\n") == 1
    emitted.nothing_left()


def test_protected_names_leave_fingerprints_alone(
    emitted: Emitted, planted: Repo, tmp_path: Path
) -> None:
    names, key = tmp_path / "customers.csv", tmp_path / "key"
    names.write_text(f"name,since\n{COINED},2020\n")
    planted.git("checkout", "-q", "main")
    assert emitted.run(planted, "protect", "key", str(key)) == 0
    emitted.environment["ORGGUARD_PROTECTED_KEY_FILE"] = str(key)
    assert emitted.run(planted, "protect", "import", str(names)) == 0
    planted.commit(message="Protect names")
    planted.git("checkout", "-q", f"{LOW}-client")
    planted.git("rebase", "-q", "main")
    assert emitted.run(planted, "scan") == 1
    assert emitted.canary.in_tree(planted.path / ".orgguard") == []
    emitted.nothing_left(planted.path / ".git/orgguard")


@pytest.mark.parametrize("era", ERAS)
def test_the_server_says_names_to_its_caller_alone(
    emitted: Emitted, make_repo: Callable[..., Repo], tmp_path: Path, era: str
) -> None:
    repo, errors = make_repo({"a.py": "x = 1\n"}), tmp_path / "stderr"
    environment = {k: v for k, v in emitted.environment.items() if k not in {"CI", "PYTHONDEVMODE"}}
    with Agent(repo.path, era, serve=["--hold", "0"], errors=errors, **environment) as agent:
        agent.call("check_name", name=[COINED, f"{COINED} GmbH"])
        agent.ask(COINED, where=f"src/{LOW}.py", excerpt=f"{COINED}!", purpose=COINED)
        agent.call("check_name", name="\x00" * 5 + COINED + "x" * 10_000)
    assert emitted.canary(errors.read_bytes()) == []
    emitted.nothing_left()
