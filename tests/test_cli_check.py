"""`orgguard check` as a user and a CI job run it: a real process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Ask, Asker
from tests.names import ACCENTED, COINED, COINED_TOO, THIRD
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
FIELDS = {"name", "key", "effect", "basis", "evidence", "base", "base_reason"}


def orgguard(
    directory: Path, *arguments: str, python: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run `orgguard` in *directory*."""
    return subprocess.run(
        [sys.executable, *python, "-m", "orgguard_mcp", *arguments], cwd=directory,
        capture_output=True, check=False, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


def rows(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


@pytest.fixture
def repo(make_repo: MakeRepo) -> Repo:
    return make_repo({"src/a.py": f"\nclient = {COINED}Client()\n", "docs/b.md": f"{COINED_TOO}\n"})


def test_json_is_one_object_a_line_with_all_that_a_caller_needs(repo: Repo) -> None:
    done = orgguard(repo.path, "check", "--format", "json", COINED, THIRD, "Target", "example.com")
    first, second, third, fourth = rows(done)
    assert set(first) >= FIELDS
    assert first["evidence"] == [{"path": "src/a.py", "line": 2, "class": "code"}]
    assert (first["name"], first["key"]) == (COINED, COINED.casefold())
    assert (first["effect"], first["basis"]) == ("allow", "established")
    assert (second["effect"], second["basis"], second["evidence"]) == ("ask", "unknown", [])
    assert (third["effect"], third["basis"]) == ("ask", "common word")
    assert (fourth["effect"], fourth["basis"]) == ("allow", "reserved")
    assert {row["base"] for row in rows(done)} == {repo.git("rev-parse", "HEAD")}
    assert first["base_reason"] == "local default branch main (no upstream)"


def test_exit_code_is_0_when_all_are_allowed_and_1_otherwise(repo: Repo) -> None:
    assert orgguard(repo.path, "check", COINED, COINED_TOO, "team_a").returncode == 0
    done = orgguard(repo.path, "check", COINED, THIRD, COINED_TOO)
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.decode().splitlines()[0].startswith(f"allow  {COINED}: established")


def test_base_and_repository_may_be_given(repo: Repo, tmp_path: Path) -> None:
    first = repo.git("rev-parse", "HEAD")
    repo.commit({"c.py": f"{THIRD}\n"})
    done = orgguard(
        tmp_path, "check", "--format=json", "--repo", str(repo.path), "--base", first, THIRD
    )
    assert done.returncode == 1
    assert rows(done)[0]["base"] == first
    assert "--base" in str(rows(done)[0]["base_reason"])
    assert orgguard(repo.path, "check", THIRD).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [["check", ""], ["check", " \t"], ["check", "x" * 201], ["check", "--", "-.-"],
     ["check", COINED, ""], ["check"], ["check", "--format", "xml", COINED], ["chekc"], []],
)  # fmt: skip
def test_call_that_makes_no_sense_is_exit_2(repo: Repo, arguments: list[str]) -> None:
    done = orgguard(repo.path, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "policy",
    ["unknown = 1\n", "not toml", '[classes]\n"a" = "nonsense"\n', "reserved = [1]\n", b"\xff\xfe"],
)
def test_bad_policy_is_exit_2_and_says_what_why_and_what_next(
    repo: Repo, policy: str | bytes
) -> None:
    repo.commit({".orgguard/policy.toml": policy})
    done = orgguard(repo.path, "check", COINED)
    assert (done.returncode, done.stdout) == (2, b"")
    said = done.stderr.decode()
    assert said.startswith("error: names were not checked: .orgguard/policy.toml cannot be used\n")
    assert "\n  cause: at " in said
    assert "\nhint: correct .orgguard/policy.toml on the base branch" in said


def test_missing_base_is_exit_3_and_says_what_why_and_what_next(repo: Repo) -> None:
    done = orgguard(repo.path, "check", "--base", "origin/gone", COINED)
    assert (done.returncode, done.stdout) == (3, b"")
    said = done.stderr.decode()
    assert said.startswith("error: names were not checked: ")
    assert "\n  cause: " in said
    assert "\nhint: run `git fetch origin gone:refs/remotes/origin/gone`" in said
    assert COINED not in said


@pytest.mark.parametrize("directory", [".", "gone"])
def test_no_repository_is_exit_3(tmp_path: Path, directory: str) -> None:
    done = orgguard(tmp_path, "check", "--repo", directory, COINED)
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"error: names were not checked: ")
    assert b"\nhint: " in done.stderr


def test_without_git_nothing_is_checked(repo: Repo, tmp_path: Path) -> None:
    done = orgguard(repo.path, "check", COINED, PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"git is not installed" in done.stderr


def test_unusable_ledger_is_exit_3_for_a_name_that_it_might_refuse(repo: Repo) -> None:
    state = repo.path / ".git" / "orgguard"
    state.mkdir(mode=0o700)
    (state / "ledger.sqlite3").write_bytes(b"no database\n" * 500)
    done = orgguard(repo.path, "check", THIRD)
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"\n  cause: " in done.stderr
    assert b"\nhint: " in done.stderr


def test_checking_leaves_no_ledger_and_an_untouched_working_tree(repo: Repo) -> None:
    assert orgguard(repo.path, "check", COINED, THIRD).returncode == 1
    left = {path.name for path in (repo.path / ".git" / "orgguard").iterdir()}
    assert "index.sqlite3" in left
    assert not any(name.startswith("ledger") for name in left)
    assert repo.git("status", "--porcelain", "--ignored") == ""


def test_decision_and_pending_question_show_in_the_answer(repo: Repo) -> None:
    with Guard(repo.path) as guard:
        guard.request(THIRD, [Ask("src/a.py:1", "", "", Asker(), 0.0)])
    (row,) = rows(orgguard(repo.path, "check", "--format=json", THIRD))
    assert (row["effect"], row["basis"]) == ("ask", "pending")


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "latin-1:strict"])
@pytest.mark.parametrize("output", ["human", "json"])
def test_output_survives_every_name_path_and_encoding(
    repo: Repo, encoding: str, output: str
) -> None:
    odd = os.fsencode(repo.path) + f"/{COINED}-".encode() + b"\xff.py"
    Path(os.fsdecode(odd)).write_text("1\n")
    repo.commit()
    done = orgguard(
        repo.path, "check", "--format", output, COINED, ACCENTED, "日本",
        PYTHONIOENCODING=encoding,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    assert done.returncode == 1
    assert b"established" in done.stdout
    if output == "json":
        assert [row["basis"] for row in rows(done)] == ["established", "unknown", "unknown"]


def test_name_with_control_characters_reaches_no_terminal_raw(repo: Repo) -> None:
    done = orgguard(repo.path, "check", f"{COINED}\x1b[2J\u202e\r\n")
    assert b"\x1b" not in done.stdout
    assert b"\r" not in done.stdout
    assert b"\\x1b[2J\\u202e\\r\\n" in done.stdout


def test_path_with_control_characters_reaches_no_terminal_raw(make_repo: MakeRepo) -> None:
    repo = make_repo({f"x\x1b[2J/{COINED}.py": "1\n"})
    done = orgguard(repo.path, "check", COINED)
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout


def test_check_imports_no_heavy_library(repo: Repo) -> None:
    done = orgguard(repo.path, "check", COINED, THIRD, python=("-X", "importtime"))
    assert done.returncode == 1
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert {"orgguard_mcp.guard", "sqlite3"} <= imported
    assert not imported & {"mcp", "git", "pydantic", "anyio", "psutil", "asyncio"}


def test_version_imports_no_more_than_the_command_line(repo: Repo) -> None:
    done = orgguard(repo.path, "--version", python=("-X", "importtime"))
    assert done.stdout.startswith(b"orgguard ")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "orgguard_mcp.cli" in imported
    assert not imported & {"orgguard_mcp.guard", "orgguard_mcp.index", "sqlite3", "pathspec"}
