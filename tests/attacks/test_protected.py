"""Those who want a protected name in: through the list, the key, a human's yes, or the spelling."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Basis
from orgguard_mcp.names import Name, parse
from orgguard_mcp.protected import ENVIRONMENT_KEY, ENVIRONMENT_KEY_FILE, PATH, Key, sealed
from tests.human import Human
from tests.names import (
    ACCENTED,
    COINED,
    COINED_TOO,
    CYRILLIC_TWIN,
    NON_LATIN,
    THIRD,
    TWO_WORDS,
    WITH_SIGN,
)
from tests.scanner import FORMATS, ORDINARY, Files, Scan, change, orgguard_scan, scan
from tests.simulator import Repo

KEY = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
PROTECTED = (COINED, TWO_WORDS, WITH_SIGN, ACCENTED, NON_LATIN)
NAMED: Files = {"src/util.py": f"LIMIT = 10  # {COINED} asked for it\n"}


def listed(*names: str, key: str = KEY) -> bytes:
    """The list of *names*."""
    return sealed([parse(name) for name in names], Key(key))


def change_of(path: Path, files: Files, message: str = "Change", branch: str = "feature") -> Repo:
    """A change of *files* to a base that has the list."""
    return change(path, files, message, base={PATH: listed(*PROTECTED)}, branch=branch)


def protected(done: Scan) -> set[str]:
    """The keys of the findings that are protected names."""
    return {key for key, one in done.findings.items() if one["basis"] == "protected"}


# --- through the list -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tampered",
    [b"", b"nonsense\n", listed(COINED_TOO), listed(COINED_TOO, key=OTHER), None],
    ids=["emptied", "damaged", "replaced", "own key", "removed"],
)
def test_a_change_to_the_list_counts_for_nothing(tmp_path: Path, tampered: bytes | None) -> None:
    repo = change_of(tmp_path / "r", NAMED)
    if tampered is None:
        (repo.path / PATH).unlink()
        repo.commit(message="Tidy up")
    else:
        repo.commit({PATH: tampered}, "Tidy up")
    done = scan(repo, ORGGUARD_PROTECTED_KEY=KEY)
    assert done.code == 1
    assert protected(done) == {COINED.lower()}


def test_a_list_of_the_change_alone_protects_nothing_and_needs_no_key(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {PATH: listed(*PROTECTED), "src/util.py": "LIMIT = 10\n"})
    done = scan(repo)
    assert (done.code, done.names) == (0, set())
    assert "not checked" not in done.said


def test_an_old_starting_point_does_not_escape_a_newer_list(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", NAMED)
    repo.git("checkout", "-q", "main")
    repo.commit({PATH: listed(COINED)}, "Protect")
    repo.git("checkout", "-q", "feature")
    done = scan(repo, ORGGUARD_PROTECTED_KEY=KEY)
    assert protected(done) == {COINED.lower()}


def test_a_damaged_list_of_the_base_is_no_pass(tmp_path: Path) -> None:
    for number, data in enumerate((b"", listed(COINED)[:-30], listed(COINED)[:500] + b"\n")):
        repo = change(tmp_path / f"r{number}", {"src/util.py": "A = 1\n"}, base={PATH: data})
        for environment in ({}, {ENVIRONMENT_KEY: KEY}):
            done = orgguard_scan(repo, **environment)
            assert (done.code, done.out) == (3, "")
            assert "cannot be used" in done.err
            assert "\nhint: " in done.err


# --- through the key ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (KEY + "\n", "ends in a line break"), (KEY + "\r\n", "ends in a line break"),
        (f" {KEY}", "white space"), (KEY[:63], "63 characters"), (KEY.upper(), "capital letters"),
        (OTHER, "not the one"), ("z" * 64, "other than"),
    ],
    ids=["newline", "crlf", "space", "short", "capitals", "wrong", "letters"],
)  # fmt: skip
def test_an_unusable_key_is_could_not_check(tmp_path: Path, given: str, cause: str) -> None:
    repo = change_of(tmp_path / "r", NAMED)
    file = tmp_path / "key"
    file.write_bytes(given.encode())
    for environment in ({ENVIRONMENT_KEY: given}, {ENVIRONMENT_KEY_FILE: str(file)}):
        done = orgguard_scan(repo, **environment)
        assert (done.code, done.out) == (3, "")
        assert cause in done.err
        assert "Traceback" not in done.err
        assert given.strip() not in done.err


def test_a_key_file_that_is_not_there_is_could_not_check(tmp_path: Path) -> None:
    repo = change_of(tmp_path / "r", {"src/util.py": "A = 1\n"})
    for path in (tmp_path / "gone", tmp_path):
        done = orgguard_scan(repo, ORGGUARD_PROTECTED_KEY_FILE=str(path))
        assert (done.code, done.out) == (3, "")
        assert "key file cannot be read" in done.err


# --- through a human's yes ------------------------------------------------------------------------


def test_a_yes_in_review_does_not_lift_the_protection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = change_of(tmp_path / "r", NAMED)
    with Guard(repo.path) as guard:  # without the key an agent can ask
        assert guard.request(COINED, [Ask("a.py:1", "", "", Asker(), 0.0)]).basis is Basis.PENDING
    with Human(repo.path, "--no-wait") as human:
        assert human.grants() == COINED
    monkeypatch.setenv(ENVIRONMENT_KEY, KEY)
    with Guard(repo.path) as guard:
        assert guard.check(COINED).basis is Basis.PROTECTED
        assert guard.request(COINED, [Ask("a.py:1", "", "", Asker(), 0.0)]).effect.value == "deny"
        assert guard.ledger.pending() == []
        assert [decision.answer for decision in guard.ledger.decisions()] == [Answer.GRANT]
    assert protected(scan(repo)) == {COINED.lower()}


# --- through the spelling -------------------------------------------------------------------------

LOWER = COINED.lower()
HALF = len(COINED) // 2
FIRST, SECOND = TWO_WORDS.split()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"def merge_{LOWER}_rows(): ...", COINED), (f"class {COINED}Client: ...", COINED),
        (f"{COINED.upper()}_KEY = 1", COINED), (f"{LOWER}gmbh = 1", COINED),
        (f'URL = "https://api.{LOWER}.io/v1"', COINED), (f"# see @{LOWER}/sdk", COINED),
        (f'A = "{COINED[:HALF]}" + "{COINED[HALF:]}"', COINED), (f"# {CYRILLIC_TWIN}", COINED),
        (f"# {COINED[:3]}\u200b{COINED[3:]}", COINED), (f"# {NON_LATIN.lower()}", NON_LATIN),
        (f'B = "{base64.b64encode(f"for {COINED} only".encode()).decode()}"', COINED),
        (f"# {ACCENTED.replace('é', 'e').replace('ü', 'u').lower()}", ACCENTED),
        (f"# {TWO_WORDS.lower()} wants it", TWO_WORDS),
        (f"{FIRST.lower()}{SECOND}Job()", TWO_WORDS),
        (f"{FIRST.upper()}_{SECOND.upper()} = 1", TWO_WORDS),
        (f"# {FIRST}\u2013{SECOND}", TWO_WORDS),
        (f"x = {FIRST.lower()}{SECOND.lower()}", TWO_WORDS),
        (f"# {WITH_SIGN.lower()}", WITH_SIGN),
        (f"<b>{WITH_SIGN.replace('&', '&amp;')}</b>", WITH_SIGN),
        (f"# {WITH_SIGN.replace('&', ' and ')}", WITH_SIGN),
    ],
)  # fmt: skip
def test_no_spelling_gets_past_the_list(tmp_path: Path, text: str, name: str) -> None:
    repo = change_of(tmp_path / "r", {"src/util.py": f"{text}\n"})
    done = scan(repo, ORGGUARD_PROTECTED_KEY=KEY)
    assert done.code == 1
    assert protected(done) == {parse(name).key}
    assert [at.line for at in done.places(name)] == [1]


def test_every_surface_is_swept(tmp_path: Path) -> None:
    files: Files = {f"src/{LOWER}.txt": "a\n", "data.json": f'{{"a": "{LOWER}"}}\n'}
    repo = change_of(tmp_path / "r", files, f"Fix it for {LOWER}", branch=f"fix/{LOWER}")
    text = tmp_path / "text"
    text.write_text(f"For {LOWER}.\n")
    repo.git("tag", f"{LOWER}-1")
    done = scan(repo, f"--pr-text={text}", ORGGUARD_PROTECTED_KEY=KEY)
    surfaces = {at.surface for at in done.places(COINED)}
    assert surfaces >= {"path", "data", "commit-message", "branch", "tag", "pr-body"}


# --- nothing is told ------------------------------------------------------------------------------

MakeRepo = Callable[..., Repo]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git that writes down its arguments before it runs."""
    git = subprocess.run(["which", "git"], capture_output=True, check=True, text=True).stdout
    folder, log = tmp_path / "bin", tmp_path / "arguments"
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {git.strip()} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


@pytest.mark.parametrize("output", FORMATS)
def test_name_key_and_list_stand_in_no_output_and_no_argument(
    tmp_path: Path, recorded: Path, output: str
) -> None:
    text = f"A = 1  # {COINED}, {TWO_WORDS.lower()}\n"
    repo = change_of(tmp_path / "r", {f"src/{LOWER}.py": text})
    recorded.unlink()
    prints = listed(*PROTECTED).decode().split()[4:-2]
    done = orgguard_scan(repo, f"--format={output}", ORGGUARD_PROTECTED_KEY=KEY)
    assert done.code == 1
    assert "protected" in done.said
    for secret in (LOWER, FIRST.lower(), KEY, *prints):
        assert secret not in done.said.lower()
        assert secret not in recorded.read_text().lower()
    assert "cat-file" in recorded.read_text()


def test_an_import_tells_no_name_and_no_key(tmp_path: Path, recorded: Path) -> None:
    repo = change(tmp_path / "r", {}, base=ORDINARY)
    names, key = tmp_path / "names.txt", tmp_path / "key"
    names.write_text(f"{COINED}\n{THIRD}\x00\n{TWO_WORDS}\n{COINED} GmbH\n")
    key.write_text(KEY)
    command: list[Any] = [sys.executable, "-m", "orgguard_mcp", "protect", "import", names]
    done = subprocess.run(
        [*command, "--key-file", key], cwd=repo.path, capture_output=True, check=True,
        timeout=60, text=True,
    )  # fmt: skip
    said = (done.stdout + done.stderr + recorded.read_text()).lower()
    assert "line 2" in said
    for secret in (COINED, THIRD, FIRST, KEY):
        assert secret.lower() not in said
    written = (repo.path / PATH).read_bytes()
    assert written == sealed([Name(COINED, parse(COINED).key), parse(TWO_WORDS)], Key(KEY))
    assert COINED.lower().encode() not in written.lower()
