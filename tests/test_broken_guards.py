"""Guards that others made, and what broke in them: a regression test for each failure that a scan
can have. The docstrings say what went wrong there.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import orgguard_mcp
from orgguard_mcp.model import Answer
from tests.names import COINED, COINED_TOO, FOURTH, THIRD
from tests.scanner import Files, Place, change, decide, orgguard_scan, scan
from tests.simulator import Repo

LOWER, UPPER = COINED.lower(), COINED.upper()
POLICY = ".orgguard/policy.toml"
ASKED: Files = {"docs/notes.md": f"# Notes\n\nfor the {COINED} account.\n"}


def event(path: Path, title: str = "Change", body: str = "", **fields: object) -> str:
    text = {"title": title, "body": body, "head": {"ref": "feature"}}
    path.write_text(json.dumps({"pull_request": text, **fields}))
    return str(path)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Repo:
    return change(tmp_path_factory.mktemp("clean") / "r", {"src/util.py": "LIMIT = 10\n"})


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Repo:
    return change(tmp_path_factory.mktemp("asked") / "r", ASKED)


# --- it leaked what it guarded --------------------------------------------------------------------


def test_the_guard_publishes_its_own_list(tmp_path: Path) -> None:
    """A list of customers stood in a test, a script or a workflow of the public repository."""
    repo = change(tmp_path / "r", {**ASKED, "src/b.py": f'x = "{COINED_TOO} account"\n'})
    decide(repo, COINED_TOO, Answer.REFUSE)
    before = repo.git("status", "--porcelain", "--ignored"), repo.git("for-each-ref")
    scan(repo, "--ask")
    assert (repo.git("status", "--porcelain", "--ignored"), repo.git("for-each-ref")) == before
    assert before[0] == ""
    state = repo.path / ".git" / "orgguard"
    assert [path for path in state.rglob("*") if path.stat().st_mode & 0o077] == []
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    published = repo.clone(tmp_path / "published", "--bare", "--branch=main")
    assert not (published.path / "orgguard").exists()


@pytest.mark.parametrize("output", ["human", "github"])
def test_the_match_is_echoed_in_a_public_log(output: str, tmp_path: Path) -> None:
    """CI printed what it had found, in a log that everybody could read."""
    repo = change(tmp_path / "r", ASKED, f"For {COINED}", branch=f"{LOWER}-export")
    done = orgguard_scan(repo, f"--format={output}", CI="true", GITHUB_ACTIONS="true")
    assert done.code == 1
    assert LOWER not in done.said.lower()
    assert "account" not in done.said, "nor is the line that holds it"


def test_masking_covers_one_spelling_alone(tmp_path: Path) -> None:
    """The CI system masks a secret where it is printed as it is; its other spellings are shown."""
    files: Files = {
        f"fixtures/{LOWER}_export.csv": "1\n",
        f"src/{COINED}Client.py": f"class My{COINED}Client:\n    {UPPER}_URL = '{LOWER}.com'\n",
        "docs/a.md": f"{COINED[:3]}-{COINED[3:]} or Zor\u200bblatt: {COINED}'s account.\n",
    }
    repo = change(tmp_path / "r", {**files, f"bin/{LOWER}.bin": b"\0\1\2\3" * 100})
    for output in ("human", "json", "sarif"):
        said = orgguard_scan(repo, f"--format={output}").said
        assert "zorblatt" not in "".join(filter(str.isalnum, said)).lower()


def test_a_hash_of_the_name_can_be_guessed(tmp_path: Path) -> None:
    """Salt and hashes were committed: whoever has a list of companies looks them up. Of two names
    in the same places everything that is published is the same, so that there is nothing to guess.
    """
    said = []
    for name in (COINED, COINED_TOO):
        files: Files = {
            "docs/a.md": f"for the {name} account.\n",
            "src/a.py": f'x = send("{name} account")\n',
        }
        done = orgguard_scan(change(tmp_path / name, files), "--format=sarif")
        (run,) = json.loads(done.out)["runs"]
        said.append([one["partialFingerprints"] for one in run["results"]])
    assert said[0] == said[1]
    assert len(said[0]) == 1


@pytest.mark.parametrize("output", ["human", "sarif"])
def test_the_authors_address_gives_the_name_away(output: str, tmp_path: Path) -> None:
    """An employer stands in a commit's author: that is no text of the change, and no report is to
    carry it further.
    """
    repo = change(tmp_path / "r", ASKED)
    author = f"A. Author <author@{COINED_TOO.lower()}.com>"
    repo.git("commit", "-q", "--amend", "--author", author, "-m", f"Add\n\nSigned-off-by: {author}")
    done = orgguard_scan(repo, f"--format={output}", "--reveal")
    assert done.code == 1
    assert COINED_TOO.lower() not in done.said.lower()


def test_an_error_quotes_the_text(clean: Repo, tmp_path: Path) -> None:
    """An event that could not be read was printed, with the name in it."""
    broken = tmp_path / "event.json"
    broken.write_text(f'{{"pull_request": {{"title": "For {COINED}", "body": ["{COINED}"]}}}}')
    done = orgguard_scan(clean, "--event", str(broken))
    assert done.code == 2
    assert LOWER not in done.said.lower()


# --- it did not look everywhere -------------------------------------------------------------------


def test_the_pull_requests_body_is_uncovered(clean: Repo, tmp_path: Path) -> None:
    """The guard walked the tracked files, and the pull request's own text went unread."""
    done = scan(clean, "--event", event(tmp_path / "e", body=f"for the {COINED} account."))
    assert (done.code, done.names) == (1, {LOWER})


def test_an_edited_text_is_not_scanned(clean: Repo, tmp_path: Path) -> None:
    """`edited` was not listened to: a text changed after the review was never scanned, and one that
    had been mended stayed red.
    """
    was = {"changes": {"body": {"from": f"For {COINED_TOO}"}, "title": {"from": f"{COINED_TOO}"}}}
    worse = event(tmp_path / "a", body=f"for the {COINED} account.", action="edited", **was)
    assert scan(clean, "--event", worse).names == {LOWER}
    mended = event(tmp_path / "b", body="A longer export.", action="edited", **was)
    assert scan(clean, "--event", mended).code == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"review": {"body": f"for the {COINED} account, the {COINED_TOO} account."}},
        {"comment": {"body": f"for the {COINED} account, the {COINED_TOO} account."},
         "issue": {"title": f"Export for {THIRD}"}},
        {"issue": {"title": f"For {COINED}", "body": f"for the {COINED_TOO} account."}},
        {"merge_group": {"head_ref": f"refs/heads/{LOWER}-export"},
         "release": {"tag_name": f"{COINED_TOO.lower()}-export"}},
    ],
    ids=" ".join,
)  # fmt: skip
def test_other_verbs_are_unmatched(clean: Repo, tmp_path: Path, fields: dict[str, object]) -> None:
    """Opening a pull request was covered; a review, a comment, a merge or a release was not."""
    (tmp_path / "event.json").write_text(json.dumps({"action": "created", **fields}))
    done = scan(clean, "--event", str(tmp_path / "event.json"))
    assert done.names == {LOWER, COINED_TOO.lower()}


def test_messages_are_unscanned_while_green(clean: Repo, tmp_path: Path) -> None:
    """A scan of contents alone was green, and said nothing of the messages that it had not read."""
    repo = change(tmp_path / "r", message=f"Add export\n\nfor the {COINED} account.")
    assert scan(repo).names == {LOWER}
    staged = scan(clean, "--staged")
    assert "no commit is scanned" in staged.skipped("commit-message")[0]
    assert "not scanned: commit message: no commit is scanned" in staged.err


def test_green_means_not_on_the_list(tmp_path: Path) -> None:
    """A list holds the names that somebody thought of; nobody had listed the one that came."""
    names = (COINED, COINED_TOO, THIRD, FOURTH)
    files: Files = {
        f"docs/{n}.md": f"We export it as for the {name} account.\n" for n, name in enumerate(names)
    }
    assert scan(change(tmp_path / "r", files)).names == {name.lower() for name in names}


def test_a_word_boundary_misses_an_identifier(tmp_path: Path) -> None:
    r"""`\bname\b` matched the name alone, neither `NameClient` nor `myNameX`."""
    forms = (
        "class {0}Client:", "class My{0}X:", "def get_{1}_token():", "{2}_URL = 1", "my{0}X = 1",
        "class {0}2Client:", "import {1}_sdk", "use{0}Export()", "x.{1}Client.send()",
        "class HTTP{0}Error(Exception):",
    )  # fmt: skip
    lines = [form.format(COINED, LOWER, UPPER) for form in forms]
    done = scan(change(tmp_path / "r", {"src/a.py": "\n".join([*lines, ""])}))
    assert done.code == 1
    found = {at.line for key in done.names if LOWER in key for at in done.places(key)}
    assert found == set(range(1, len(lines) + 1))


def test_running_in_a_subdirectory_sees_that_alone(asked: Repo) -> None:
    """Started below the top, the guard listed the files below it, and saw nothing of the rest."""
    done = scan(asked.path / "src")
    assert done.places(COINED) == [Place("docs", "docs/notes.md", 3, 9)]
    done = scan(asked.path.parent, "--repo", str(asked.path / "src"))
    assert done.names == {LOWER}


@pytest.mark.parametrize("change_of", ["committed", "--staged", "--worktree"])
def test_a_worktree_is_skipped_in_silence(tmp_path: Path, change_of: str) -> None:
    """The path of a private file was made from the top of the working tree: in every linked one it
    was not there, and the guard skipped.
    """
    repo = change(tmp_path / "r")
    repo.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"), "main")
    side = object.__new__(Repo)
    side.path = tmp_path / "side"
    side.write(
        {
            "docs/a.md": f"for the {COINED} account.\n",
            "docs/b.md": f"for the {COINED_TOO} account.\n",
        }
    )
    side.git("add", "-A")
    if change_of == "committed":
        side.git("commit", "-q", "-m", "Add notes")
    decide(repo, COINED_TOO, Answer.GRANT)
    done = scan(side, *([] if change_of == "committed" else [change_of]))
    assert done.code == 1
    assert LOWER in done.names
    assert COINED_TOO.lower() not in done.names
    assert done.document["consented"] == 1, "humans' answers are those of the main working tree"


# --- it passed what it could not check ------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--base=origin/gone"], 3), (["--head=gone"], 3), (["--event=gone.json"], 2),
        (["--event=docs/notes.md"], 2), (["--event=/dev/null"], 2), (["--pr-text=gone.md"], 2),
        (["--message-file=gone"], 2), (["--repo=gone"], 3), (["--base="], 3), (["--head="], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_wrong_setting_matches_nothing_and_prints_pass(
    clean: Repo, options: list[str], code: int
) -> None:
    """With the wrong salt, be it for a line end, nothing matched, and the guard said PASS."""
    repo = clean.path
    (repo / "docs").mkdir(exist_ok=True)
    (repo / "docs/notes.md").write_text("no event\n")
    done = orgguard_scan(repo, *options)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: ")


def test_a_policy_that_cannot_be_read_prints_pass(tmp_path: Path) -> None:
    """The same, for the settings that the base has."""
    done = orgguard_scan(change(tmp_path / "r", base={POLICY: "level = strict\n"}))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: names were not checked: ")


@pytest.mark.parametrize("damaged", ["weights.txt", "knowledge.txt"])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_lost_data_matches_nothing_and_prints_pass(
    clean: Repo, tmp_path: Path, damaged: str, how: str
) -> None:
    """The same, for what the detection itself rests on."""
    package = tmp_path / "orgguard_mcp"
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(orgguard_mcp.__file__).parent, package, ignore=skip)
    data = package / "data" / damaged
    whole = data.read_bytes()
    data.unlink()
    if how != "gone":
        data.write_bytes(whole[: len(whole) // 2])
    done = orgguard_scan(clean, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: names were not ")


def test_without_git_nothing_is_found_and_pass_is_printed(clean: Repo, tmp_path: Path) -> None:
    """The same, for the program that the guard runs."""
    done = orgguard_scan(clean, PATH=str(tmp_path))
    assert (done.code, done.out) == (3, "")


def test_a_fork_without_the_secret_goes_red(asked: Repo, clean: Repo, tmp_path: Path) -> None:
    """The list was a secret that forks do not get, so that every outsider's change failed."""
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C"}
    for repo, code in ((clean, 0), (asked, 1)):
        done = subprocess.run(
            [sys.executable, "-m", "orgguard_mcp", "scan", "--dry-run"], cwd=repo.path,
            env={**bare, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == code


# --- it was misled by how it was called -----------------------------------------------------------


@pytest.mark.parametrize("stdin", ["null", "closed", "pipe", "file"])
def test_isatty_decides_what_is_read(asked: Repo, tmp_path: Path, stdin: str) -> None:
    """The guard took a standard input that is no terminal for the text to scan; git redirects the
    one of its hooks, so that a real change passed.
    """
    (tmp_path / "text").write_text("Nothing of note.\n")
    redirected = {"null": "</dev/null", "closed": "<&-", "pipe": "", "file": '<"$0"'}[stdin]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', str(tmp_path / "text"),
         sys.executable, "-m", "orgguard_mcp", "scan"],
        cwd=asked.path, input=b"Nothing of note.\n", capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert b"error[new-name]: " in done.stdout


HOOK = """#!/bin/sh
exec "{python}" -m orgguard_mcp scan {options}
"""


def install(repo: Repo, hook: str, options: str) -> None:
    path = repo.path / ".git" / "hooks" / hook
    path.parent.mkdir(exist_ok=True)
    path.write_text(HOOK.format(python=sys.executable, options=options))
    path.chmod(0o755)


def commit(repo: Repo, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", "commit", "-q", *options], cwd=repo.path, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip


def test_a_hook_scans_another_index_or_repository(tmp_path: Path, asked: Repo) -> None:
    """Git tells its hooks its own variables, and by these the guard read something else."""
    repo = change(tmp_path / "r")
    install(repo, "pre-commit", "--staged")
    repo.write({"docs/guide.md": f"# Guide\n\nfor the {COINED} account.\n"})
    for options in (["-a"], ["docs/guide.md"]):
        done = commit(repo, *options, "-m", "Add notes")
        assert done.returncode == 1
        assert b"error[new-name]: " in done.stderr + done.stdout
    repo.write({"docs/guide.md": "# Guide\n\nA longer export.\n"})
    assert commit(repo, "-a", "-m", "Add notes").returncode == 0


def test_gits_variables_turn_the_scan_to_another_repository(clean: Repo, asked: Repo) -> None:
    """`git -C`, `--git-dir` and their variables led the guard to a clean repository."""
    other = str(clean.path / ".git")
    for variables in (
        {"GIT_DIR": other}, {"GIT_DIR": other, "GIT_WORK_TREE": str(clean.path)},
        {"GIT_INDEX_FILE": f"{other}/index"}, {"GIT_OBJECT_DIRECTORY": f"{other}/objects"},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.worktree",
         "GIT_CONFIG_VALUE_0": str(clean.path)},
    ):  # fmt: skip
        done = scan(asked, **variables)
        assert (done.code, done.names) == (1, {LOWER}), variables
    done = scan(clean.path, "--repo", str(asked.path), GIT_DIR=other)
    assert done.names == {LOWER}


def test_a_foreign_index_hides_what_is_staged(clean: Repo, tmp_path: Path) -> None:
    """The same, for the staging area of another repository: what was not read is said."""
    repo = change(tmp_path / "r").write(ASKED)
    repo.git("add", "-A")
    done = scan(repo, "--staged", GIT_INDEX_FILE=str(clean.path / ".git" / "index"))
    assert (done.code, done.names) == (1, {LOWER})
    assert any("not in this repository's git directory" in why for why in done.skipped("code"))


def test_a_message_hook_reads_the_branch_instead(tmp_path: Path) -> None:
    """A guard on contents was installed for messages, too, and never read the message."""
    repo = change(tmp_path / "r")
    install(repo, "commit-msg", '--message-file "$1"')
    for options in (["-m", f"For {COINED}"], ["-m", "Add", "-m", f"for the {COINED} account."]):
        done = commit(repo, "--allow-empty", *options)
        assert done.returncode == 1
        assert LOWER not in (done.stdout + done.stderr).decode().lower()
    assert commit(repo, "--allow-empty", "-m", "Add a longer export").returncode == 0


def test_a_body_that_is_given_as_a_file_is_taken_for_its_path(clean: Repo, tmp_path: Path) -> None:
    """The path of the body's file was scanned and posted instead of what the file holds."""
    (tmp_path / "body.md").write_text(f"for the {COINED} account.\n")
    assert scan(clean, "--pr-text", str(tmp_path / "body.md")).names == {LOWER}
    (tmp_path / f"{LOWER}.md").write_text("A longer export.\n")
    assert scan(clean, "--pr-text", str(tmp_path / f"{LOWER}.md")).code == 0
    missing = orgguard_scan(clean, "--pr-text", f"@{tmp_path}/body.md")
    assert (missing.code, missing.out) == (2, "")


def test_a_quoted_argument_fails_open(clean: Repo, tmp_path: Path) -> None:
    """A file name in quotes, or with a space, was not understood, and the guard let it pass."""
    odd = tmp_path / "a 'body' \"of\" $HOME; -- x.md"
    odd.write_text(f"for the {COINED} account.\n")
    for options in ([f"--pr-text={odd}"], ["--pr-text", str(odd)], [f"--message-file={odd}"]):
        assert scan(clean, *options).names == {LOWER}


def test_a_sign_in_the_text_cuts_the_scan(clean: Repo, tmp_path: Path) -> None:
    """A literal ` -- ` in the text ended what the guard read of it."""
    signs = "Add export -- see below.\n\n---\n\nEOF\n\0\n\x1a\n```\n<!--\n__END__\n# "
    for surface in ("pr-body", "commit-message", "code"):
        text = f"{signs}for the {COINED} account.\nclass {COINED}Client:\n"
        assert LOWER in scan(clean, f"--text={surface}", stdin=text.encode()).names
    (tmp_path / "text").write_text(text)
    for option in ("--pr-text", "--message-file"):
        assert LOWER in scan(clean, option, str(tmp_path / "text")).names


# --- it could be told to look away ----------------------------------------------------------------

IGNORES = (
    "orgguard:ignore", "orgguard: allow", "noqa", "noqa: orgguard", "nosec", "gitleaks:allow",
    "pragma: allowlist secret", "skip-orgguard", "type: ignore", "eslint-disable-line", "fmt: skip",
)  # fmt: skip


def test_an_inline_comment_is_obeyed(tmp_path: Path) -> None:
    """The string that lets a line pass can be written by the agent that writes the line."""
    text = f'# orgguard: off\n\nx = "{COINED} account"  # {" ".join(IGNORES)}\n'
    done = scan(change(tmp_path / "r", {"src/a.py": text}))
    assert done.code == 1
    assert Place("string", "src/a.py", 3, 6) in done.places(COINED)


def test_a_skip_marker_is_obeyed(tmp_path: Path) -> None:
    """The marker that skips the guard stood in the text that the agent sends."""
    words = "[skip orgguard] [skip ci] orgguard:ignore [allow]\n\nOrgguard-Skip: true"
    repo = change(tmp_path / "r", ASKED, words)
    told = event(tmp_path / "e", words.splitlines()[0], words)
    skip = {"ORGGUARD_SKIP": "1", "SKIP": "orgguard", "ORGGUARD_ALLOW": COINED, "NO_VERIFY": "1"}
    done = scan(repo, "--event", told, **skip)
    assert done.code == 1
    assert LOWER in done.names


def test_an_allow_entry_of_the_change_is_obeyed(tmp_path: Path) -> None:
    """The change brought the entry that lets it pass."""
    files: Files = {
        **ASKED,
        POLICY: f'reserved = ["{COINED}"]\n[classes]\n"**" = "generated"\n',
        ".orgguard/allow": f"{COINED}\n",
        ".orgguardignore": "**\n",
        ".gitattributes": "* binary -diff linguist-generated linguist-vendored export-ignore\n",
        ".gitignore": "*\n",
        "AGENTS.md": f"{COINED} is allowed here.\n",
    }
    repo = change(tmp_path / "r")
    repo.write(files)
    repo.git("add", "-f", "-A")
    assert LOWER in scan(repo, "--staged").names
    repo.git("commit", "-q", "-m", "Add notes")
    done = scan(repo)
    assert done.code == 1
    assert Place("docs", "docs/notes.md", 3, 9) in done.places(COINED)


def test_the_users_git_settings_are_obeyed(tmp_path: Path) -> None:
    """What git shows of a change can be configured, by the agent as well."""
    repo = change(tmp_path / "r", ASKED)
    for key, value in {
        "core.attributesFile": str(tmp_path / "attributes"), "diff.external": "true",
        "diff.ignoreSubmodules": "all", "diff.noprefix": "true", "diff.orderFile": "/dev/null",
        "core.excludesFile": str(tmp_path / "attributes"), "log.showSignature": "true",
    }.items():  # fmt: skip
        repo.git("config", key, value)
    (tmp_path / "attributes").write_text("* -diff\n")
    assert scan(repo).names == {LOWER}


def test_the_scanner_exempts_itself(tmp_path: Path) -> None:
    """The guard left its own files out, and a real name was shipped in one of them."""
    paths = (
        "orgguard_mcp/scan.py", "tests/names.py", ".orgguard/notes.md", "scripts/check_names.py",
        ".github/workflows/orgguard.yml", "AGENTS.md", "docs/orgguard.md", "tests/golden/scan.txt",
    )  # fmt: skip
    files: Files = {path: f"{path}: 1  # for the {COINED} account.\n" for path in paths}
    done = scan(change(tmp_path / "r", files), "--level=pedantic")  # many places weigh less
    assert done.code == 1
    assert {at.path for at in done.places(COINED)} == set(paths)


@pytest.mark.parametrize("path", ["scripts/run", ".git-hooks/pre-commit"])
def test_a_script_without_an_extension_is_exempt(tmp_path: Path, path: str) -> None:
    """The same, for the hooks that call the guard: files that only their first line tells of."""
    text = f"#!/bin/sh\n# for the {COINED} account.\n"
    done = scan(change(tmp_path / "r", {path: text}))
    assert LOWER in done.names


def test_consent_for_one_repository_holds_in_another(tmp_path: Path) -> None:
    """An answer was kept for the user, so that a private repository's yes held in public."""
    one, other = change(tmp_path / "one", ASKED), change(tmp_path / "other", ASKED)
    decide(one, COINED, Answer.GRANT)
    assert scan(one).code == 0
    assert scan(other).code == 1


# --- it was noise ---------------------------------------------------------------------------------

LICENCE = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute, and to
permit persons to whom the Software is furnished to do so, subject to the following conditions:

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE.
"""
LOCK = """\
[[package]]
name = "attrs"
version = "23.2.0"
description = "Classes Without Boilerplate"
files = [
    {file = "attrs-23.2.0.tar.gz", hash = "sha256:935dc3b529c262f6cf76e50877d35a4bd3c1de194fd41f4"},
]
"""
CODE = '''\
"""Read settings from a JSON or YAML file, with defaults."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

DEFAULT_TIMEOUT = 30  # seconds
MAX_RETRIES = 3


@dataclass
class HttpClientConfig:
    """How the client connects. Defaults are for a local server."""

    base_url: str = "http://localhost:8080/api/v1"
    timeout: float = DEFAULT_TIMEOUT
    verify_tls: bool = True


def parse_settings(path: Path) -> HttpClientConfig:
    # An empty file is fine: the defaults hold.
    try:
        raw = json.loads(path.read_text(encoding="utf-8") or "{}")
    except ValueError as error:
        raise RuntimeError(f"Cannot parse settings: {error}") from error
    return HttpClientConfig(**raw)
'''
DOCS = """\
## Settings

The client reads its settings from a file. Every value has a default, so an empty file is fine.

1. Create the file in your home directory.
2. Set `base_url` to the address of the server, and run the tests with Python 3.11 on Linux.

| Key | Type | Default |
| --- | --- | --- |
| `timeout` | number | 30 |

Note that HTTP and JSON are used throughout; see the README. Thanks to Alice Smith and Bob Jones.
"""
MESSAGE = """\
Read settings from a file

Before, every value had to be passed on the command line. Now a JSON file may hold them, and the
command line wins over it. Fixes #123.

Co-authored-by: Carol Miller <carol@example.com>
"""
ORDINARY_CHANGE: dict[str, Files] = {
    "code": {"src/settings.py": CODE, "tests/test_settings.py": "def test_defaults():\n    pass\n"},
    "docs": {"docs/settings.md": DOCS, "CHANGELOG.md": "# Changelog\n\n- Settings from a file.\n"},
    "licence": {"LICENSE": LICENCE},
    "lockfile": {"poetry.lock": LOCK},
    "workflow": {
        ".github/workflows/ci.yml": "name: CI\non: [push]\njobs:\n  test:\n"
        "    runs-on: ubuntu-latest\n    steps:\n      - run: make test\n"
    },
}


NOISY = {
    "code": "BUG: words of the trade that this small base lacks are found",
    "docs": "BUG: acronyms joined by `and` are found, and a family name alone",
    "lockfile": "BUG: the lock file's own name is found",
    "workflow": "BUG: `.github` and `ubuntu-latest` are found",
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind, marks=pytest.mark.xfail(strict=True, reason=NOISY[kind]) if kind in NOISY else ()
        )
        for kind in ORDINARY_CHANGE
    ],
)
def test_a_gate_that_is_mostly_noise_stops_being_read(tmp_path: Path, kind: str) -> None:
    """Twenty-four hits on a change, and none of them was a customer."""
    repo = change(tmp_path / "r", ORDINARY_CHANGE[kind], MESSAGE, branch="feature/read-settings")
    told = event(tmp_path / "e", "Read settings from a file", "## Why\n\nFewer arguments to pass.")
    done = scan(repo, "--event", told)
    assert (done.code, done.names) == (0, set())


def test_a_counter_example_in_the_docs_is_flagged(tmp_path: Path) -> None:
    """A guard flagged the documentation that shows what not to write. Made of reserved markers, an
    example is quiet; quotes around a name exempt nothing, for an agent can write them as well.
    """
    docs = (
        'Do not write "https://shop.example.com/team_a", `tenant_x` or `user_1` in a fixture.\n\n'
        "```json\n"
        '{"customer": "foobar", "mail": "test@example.com", "url": "http://localhost/"}\n'
        "```\n"
    )
    assert scan(change(tmp_path / "a", {"docs/a.md": docs})).names == set()
    quoted = (
        f'Do not write "for the {COINED} account" here.\n\n```py\nclass {COINED_TOO}Client:\n```\n'
    )
    done = scan(change(tmp_path / "b", {"docs/a.md": quoted}), "--level=pedantic")
    assert {LOWER, COINED_TOO.lower()} <= done.names


def test_the_text_of_the_change_that_removes_a_name_is_flagged(tmp_path: Path) -> None:
    """The pull request that took a leaked name out was stopped for naming what it removed."""
    repo = change(tmp_path / "r", base={"src/a.py": f"class {COINED}Client:\n    pass\n"})
    repo.git("rm", "-q", "src/a.py")
    repo.git("commit", "-q", "-m", f"Remove {COINED}Client")
    told = event(tmp_path / "e", f"Remove {COINED}", f"The {COINED} client goes.")
    assert scan(repo, "--event", told).code == 0


def test_a_name_that_was_taken_out_again_locks_the_branch(tmp_path: Path) -> None:
    """Every commit's contents were scanned, so that a branch that may not be rewritten stayed red
    for ever. What counts is what the change adds to the base, and its messages.
    """
    repo = change(tmp_path / "r", ASKED)
    repo.git("rm", "-q", "docs/notes.md")
    repo.git("commit", "-q", "-m", "Remove the notes")
    assert scan(repo).code == 0
