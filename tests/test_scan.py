"""`orgguard scan` as a user, a hook and a CI job run it: a real process on real repositories."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Scope, Surface
from orgguard_mcp.names import canonicalise
from tests.human import Human
from tests.names import (
    ACCENTED,
    COINED,
    COINED_TOO,
    CYRILLIC_TWIN,
    FOURTH,
    NON_LATIN,
    THIRD,
    TWO_WORDS,
)
from tests.scanner import FORMATS, Files, Place, Scan, change, decide, orgguard_scan, scan
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
POLICY = ".orgguard/policy.toml"
every_format = pytest.mark.parametrize("output", FORMATS)


def broken(why: str) -> pytest.MarkDecorator:
    """The mark of a known bug: its test fails, and fails the run when the bug is gone."""
    return pytest.mark.xfail(strict=True, reason=f"BUG: {why}")


LOWER = COINED.lower()
ASKED: Files = {"docs/notes.md": f"# Notes\n\nfor the {COINED} account.\n"}
"""A change that names one organisation in one place."""


def pull_request(path: Path, title: str = "Change", body: str | None = "", **fields: object) -> str:
    """The file of an event, as GitHub writes it."""
    text = {"title": title, "body": body, "head": {"ref": "feature"}}
    path.write_text(json.dumps({"action": "opened", "pull_request": text, **fields}))
    return str(path)


def pending(repo: Repo) -> list[str]:
    """The rows of `orgguard pending`."""
    done = subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "pending", "--reveal"],
        cwd=repo.path, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.decode().splitlines()


# --- exit codes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Repo:
    return change(tmp_path_factory.mktemp("clean") / "r", {"src/util.py": "LIMIT = 10\n"})


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Repo:
    return change(tmp_path_factory.mktemp("asked") / "r", ASKED)


@every_format
def test_the_exit_code_is_the_same_in_every_format(output: str, clean: Repo, asked: Repo) -> None:
    given = f"--format={output}"
    assert orgguard_scan(clean, given).code == 0
    assert orgguard_scan(asked, given).code == 1
    unusable = orgguard_scan(asked, given, "--event=gone.json")
    assert (unusable.code, unusable.out) == (2, "")
    unchecked = orgguard_scan(asked, given, "--base=origin/gone")
    assert (unchecked.code, unchecked.out) == (3, "")
    assert unchecked.err.startswith("error: names were not checked: ")
    assert "\nhint: " in unchecked.err


def test_findings_are_no_failure_with_exit_zero_and_what_was_not_checked_is_still_one(
    asked: Repo,
) -> None:
    done = scan(asked, "--exit-zero")
    assert (done.code, done.names) == (0, {LOWER})
    assert orgguard_scan(asked, "--exit-zero", "--base=origin/gone").code == 3
    assert orgguard_scan(asked, "--exit-zero", "--event=gone.json").code == 2


def test_a_clean_change_is_told_in_words_with_what_was_and_was_not_scanned(clean: Repo) -> None:
    done = orgguard_scan(clean)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("no new names\nbase ")
    assert "\nscanned: 1 code file, " in done.out
    assert "\nnot scanned: pr title: no event was given" in done.out


@pytest.mark.parametrize(
    "options",
    [
        ["--head=HEAD", "--staged"], ["--head=HEAD", "--worktree"], ["--staged", "--worktree"],
        ["--ask", "--dry-run"], ["--text=nowhere"], ["--format=xml"], ["--level=strict"],
        ["--event=gone.json"], ["--pr-text=gone.md"], ["--message-file=gone"], ["--event=."],
        ["--pr-text"], ["HEAD"], ["--frmt=json"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_call_that_makes_no_sense_is_exit_2_and_prints_no_report(
    asked: Repo, options: list[str]
) -> None:
    done = orgguard_scan(asked, *options)
    assert (done.code, done.out) == (2, "")
    assert "error: " in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", ["--head", "--base"])
def test_a_commit_that_the_clone_does_not_have_is_exit_3(asked: Repo, name: str) -> None:
    done = orgguard_scan(asked, name, "feature/gone")
    assert (done.code, done.out) == (3, "")
    assert "\nhint: run `git fetch feature gone`" in done.err or "\nhint: run `git " in done.err


def test_outside_a_repository_nothing_is_checked(tmp_path: Path) -> None:
    done = orgguard_scan(tmp_path)
    assert (done.code, done.out) == (3, "")
    assert "not a git repository" in done.err


def test_an_unusable_summary_file_is_no_clean_scan(clean: Repo) -> None:
    done = orgguard_scan(clean, "--format=github", GITHUB_STEP_SUMMARY="/dev/null/summary")
    assert done.code in {2, 3}
    assert "Traceback" not in done.err


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_bytes_that_are_no_text_keep_no_name_from_being_found(clean: Repo, encoding: str) -> None:
    text = f"\udcff for the {COINED} account, {ACCENTED} too.".encode("utf-8", "surrogateescape")
    done = scan(clean, "--text=docs", stdin=text, PYTHONIOENCODING=encoding)
    assert done.code == 1
    assert LOWER in done.names


@pytest.mark.parametrize("options", [[], ["--staged"], ["--text=docs"]], ids=" ".join)
def test_a_closed_standard_input_is_no_crash(clean: Repo, options: list[str]) -> None:
    command = [sys.executable, "-m", "orgguard_mcp", "scan", *options]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command],
        cwd=clean.path, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == (2 if "--text=docs" in options else 0)
    assert b"Traceback" not in done.stderr


# --- surfaces -------------------------------------------------------------------------------------

IN_FILES: list[tuple[Files, Place]] = [
    ({"src/a.py": f"\n\nclass {COINED}Client:\n    pass\n"}, Place("code", "src/a.py", 3, 7)),
    ({"src/a.js": f"\nnew {COINED}Client();\n"}, Place("code", "src/a.js", 2, 5)),
    ({"src/a.py": f"x = 1  # for the {COINED} account\n"}, Place("comment", "src/a.py", 1, 18)),
    (
        {"src/a.go": f"package a\n\n// for the {COINED} account\n"},
        Place("comment", "src/a.go", 3, 12),
    ),
    ({"src/a.py": f'x = send("{COINED} account")\n'}, Place("string", "src/a.py", 1, 11)),
    (
        {"src/a.py": f'def f():\n    """for the {COINED} account."""\n'},
        Place("comment", "src/a.py", 2, 16),
    ),
    ({"docs/a.md": f"# A\n\nfor the {COINED} account.\n"}, Place("docs", "docs/a.md", 3, 9)),
    ({"d/a.json": f'{{\n  "customer": "{COINED}"\n}}\n'}, Place("data", "d/a.json", 2, 16)),
    ({"d/a.csv": f"id,customer\n1,{COINED}\n"}, Place("data", "d/a.csv", 2, 3)),
    ({"d/a.yaml": f"customers:\n  - name: {COINED}\n"}, Place("data", "d/a.yaml", 2, 11)),
    ({f"fixtures/{LOWER}/a.csv": "1\n"}, Place("path", f"fixtures/{LOWER}/a.csv", 0, 10)),
    ({f"d/{LOWER}_export.csv": "1\n"}, Place("path", f"d/{LOWER}_export.csv", 0, 3)),
]


@pytest.mark.parametrize(
    ("files", "place"), IN_FILES, ids=[f"{p.surface}-{p.path}" for _, p in IN_FILES]
)
def test_a_name_in_a_file_is_found_in_its_place(tmp_path: Path, files: Files, place: Place) -> None:
    done = scan(change(tmp_path / "r", files))
    assert done.code == 1
    assert done.names == {LOWER}
    assert place in done.places(COINED)
    assert {at.path for at in done.places(COINED)} == {place.path}


def test_a_name_in_a_commit_message_is_found_in_its_commit_and_line(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {"a.py": "1\n"}, f"Add export\n\nfor the {COINED} account.")
    first = repo.git("rev-parse", "HEAD")
    repo.commit(message="Go on")
    done = scan(repo)
    assert (done.code, done.names) == (1, {LOWER})
    assert done.places(COINED) == [Place("commit-message", first, 3, 9)]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("plugin.yml", f"author: {COINED}"),
        ("plugin.yml", f"cc: {COINED}"),
        ("docs/a.md", f"Signed-off-by: the {COINED} account"),
        ("src/a.py", f"author: str = '{COINED} account'"),
    ],
)
def test_a_trailer_outside_a_message_hides_no_name(tmp_path: Path, path: str, line: str) -> None:
    done = scan(change(tmp_path / "r", {path: f"{line}\n"}), "--level=pedantic")
    assert LOWER in done.names


def test_a_name_in_the_branch_is_found(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", branch=f"feature/{LOWER}-export")
    assert scan(repo).places(COINED) == [Place("branch", "", 0, 9)]
    assert scan(repo, "--branch=feature/export").code == 0
    assert scan(repo, f"--branch={LOWER}-export").places(COINED) == [Place("branch", "", 0, 1)]


def test_a_name_in_a_tag_and_its_note_is_found(tmp_path: Path) -> None:
    repo = change(tmp_path / "r")
    repo.git("tag", f"{LOWER}-export")
    repo.git("tag", "-a", "v1", "-m", f"First release\n\nfor the {COINED_TOO} account.")
    done = scan(repo)
    assert done.places(COINED) == [Place("tag", "", 0, 1)]
    note = repo.git("rev-parse", "v1")
    assert done.places(COINED_TOO) == [Place("commit-message", note, 3, 9)]
    assert done.names == {LOWER, COINED_TOO.lower()}


def test_a_name_in_the_pull_requests_title_and_body_is_found(tmp_path: Path, clean: Repo) -> None:
    event = pull_request(
        tmp_path / "e.json", f"Export for {COINED}", f"Why:\n\nfor the {COINED_TOO} account."
    )
    done = scan(clean, "--event", event)
    assert done.places(COINED) == [Place("pr-title", "", 1, 12)]
    assert done.places(COINED_TOO) == [Place("pr-body", "", 3, 9)]


def test_a_name_in_the_pull_requests_text_and_a_message_is_found(
    tmp_path: Path, clean: Repo
) -> None:
    (tmp_path / "body.md").write_text(f"Why:\n\nfor the {COINED} account.\n")
    (tmp_path / "message").write_text(f"Add export\n\nfor the {COINED_TOO} account.\n")
    done = scan(clean, "--pr-text", str(tmp_path / "body.md"))
    assert done.places(COINED) == [Place("pr-body", "", 3, 9)]
    done = scan(clean, "--message-file", str(tmp_path / "message"))
    assert done.places(COINED_TOO) == [Place("commit-message", "", 3, 9)]


@pytest.mark.parametrize("surface", Surface)
def test_a_name_in_a_text_of_any_surface_is_found(clean: Repo, surface: Surface) -> None:
    line = f"class {COINED}Client:" if surface == "code" else f"for {COINED}"
    line = f"{LOWER}-export" if surface in {"branch", "tag", "path"} else line
    done = scan(clean, "--text", surface.value, stdin=line.encode())
    assert (done.code, done.names) == (1, {LOWER})
    assert {at.surface for at in done.places(COINED)} == {surface.value}
    assert {at.path for at in done.places(COINED)} == {""}


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> tuple[Repo, str]:
    """A change with one name on every surface, a binary file of that name, and another name that a
    human has refused; and the event of its pull request.
    """
    path = tmp_path_factory.mktemp("everywhere")
    repo = change(
        path / "r",
        {
            "src/a.py": f"# for the {COINED} account\nclass {COINED}Client:\n"
            f'    x = "{COINED} account"\n',
            "src/b.py": f'x = "{COINED_TOO} account"\n',
            "docs/a.md": f"for the {COINED} account, the {COINED.upper()} account too.\n",
            f"fixtures/{LOWER}/a.json": f'{{"customer": "{COINED}"}}\n',
            f"fixtures/{LOWER}.bin": b"\0\1\2\3" * 100,
        },
        f"Add export for {COINED}\n\nfor the {COINED_TOO} account, too.",
        branch=f"feature/{LOWER}-export",
    )
    repo.git("tag", f"{LOWER}-1.0")
    decide(repo, COINED_TOO, Answer.REFUSE, reason=f"{COINED_TOO} stays confidential")
    event = pull_request(path / "event.json", f"Export for {COINED}", f"for the {COINED} account.")
    return repo, event


def test_a_name_is_one_finding_with_all_its_places(everywhere: tuple[Repo, str]) -> None:
    repo, event = everywhere
    done = scan(repo, "--event", event, f"--branch={LOWER}-export")
    assert done.names == {LOWER, COINED_TOO.lower()}
    assert len(done.document["findings"]) == 2
    places = done.places(COINED)
    assert len(set(places)) == len(places), "no place is listed twice"
    assert {at.surface for at in places} == set(Surface)
    head = repo.git("rev-parse", "HEAD")
    assert {
        ("comment", "src/a.py", 1, 11), ("code", "src/a.py", 2, 7), ("string", "src/a.py", 3, 10),
        ("docs", "docs/a.md", 1, 9), ("docs", "docs/a.md", 1, 31),
        ("path", f"fixtures/{LOWER}.bin", 0, 10), ("commit-message", head, 1, 16),
    } <= set(places)  # fmt: skip


# --- what is quiet --------------------------------------------------------------------------------


def test_a_name_that_the_base_has_is_quiet(tmp_path: Path) -> None:
    base = {"src/client.py": f"class {COINED}Client:\n    pass\n"}
    files = {**ASKED, "src/b.py": f"x = {COINED}Client()\n", f"d/{LOWER}.csv": f"{COINED_TOO}\n"}
    done = scan(change(tmp_path / "r", files, f"Fix {COINED} export", base=base))
    assert COINED.lower() not in done.names


def test_lines_that_moved_or_were_indented_are_quiet(tmp_path: Path) -> None:
    # A file that is too large to establish names, so that lines alone make the difference.
    pad = [f"{number} {'word ' * 1500}" for number in range(600)]
    line = f"for the {COINED} account."
    held = "\n".join([*pad, line])
    repo = change(tmp_path / "r", {"d.md": "\n".join([f"    {line}", *pad])}, base={"d.md": held})
    assert (scan(repo).code, scan(repo).document["coverage"][1]["scanned"]) == (0, 0)
    repo.commit({"d.md": "\n".join([*pad, f"{line} Twice."])})
    assert scan(repo).names == {LOWER}, "the name itself is not established"
    repo.git("mv", "d.md", "e.md")
    repo.commit({"e.md": held})
    assert scan(repo).code == 0, "nor is an old line news in a new file"


@pytest.mark.parametrize(
    "text",
    [
        "Mail test@example.com or see https://example.com/docs for team_a, user_1 and tenant_x.",
        "Connect to localhost:8080 or 127.0.0.1, or 192.0.2.7.",
        "for the Xyzzy account, and with the Plugh team.",
    ],
)
def test_reserved_markers_are_quiet(tmp_path: Path, text: str) -> None:
    files = {"docs/a.md": f"{text}\n", "d/a.json": json.dumps({"note": text}) + "\n"}
    done = scan(change(tmp_path / "r", files, f"Say where\n\n{text}"))
    assert (done.code, done.names) == (0, set())


@broken("the detector cuts a placeholder in words of its own")
def test_a_reserved_placeholder_of_two_words_is_quiet(tmp_path: Path) -> None:
    files: Files = {"docs/a.md": "The export is for Customer A and Tenant 7, not for Vendor B.\n"}
    assert scan(change(tmp_path / "r", files)).names == set()


def test_adding_the_guards_own_policy_is_quiet(tmp_path: Path) -> None:
    assert scan(change(tmp_path / "r", {POLICY: 'level = "regular"\n'})).names == set()


# --- which change ---------------------------------------------------------------------------------


def test_the_change_is_what_came_since_the_merge_base(fork: Repo, project: Repo) -> None:
    project.commit({"theirs.md": f"for the {COINED_TOO} account.\n"})
    fork.git("fetch", "-q")
    fork.commit({"docs/a.md": f"for the {COINED} account.\nfor the {COINED_TOO} account, too.\n"})
    done = scan(fork)
    assert {LOWER, COINED_TOO.lower()} <= done.names, "what came later to the base is no base yet"
    assert {at.path for at in done.places(COINED_TOO)} == {"docs/a.md"}
    assert done.document["base"] == fork.git("merge-base", "HEAD", "origin/main")
    assert done.document["head"] == fork.git("rev-parse", "HEAD")
    fork.git("merge", "-q", "-m", "Follow", "origin/main")
    assert COINED_TOO.lower() not in scan(fork).names, "merged, it is the base's"


def test_a_head_may_be_given_in_a_bare_repository(asked: Repo, tmp_path: Path) -> None:
    bare = asked.clone(tmp_path / "bare", "--bare")
    assert scan(bare, "--head=main").code == 0
    done = scan(bare, "--head=feature")
    assert (done.code, done.names) == (1, {LOWER})
    assert done.document["head"] == asked.git("rev-parse", "feature")
    worktree = orgguard_scan(bare, "--worktree")
    assert (worktree.code, worktree.out) == (3, "")


def test_the_staging_area_is_scanned_without_what_is_not_staged(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {"docs/old.md": f"for the {FOURTH} account.\n"})
    repo.write({"docs/a.md": f"for the {COINED} account.\n"})
    repo.git("add", "-A")
    repo.write(
        {
            "docs/a.md": f"for the {COINED_TOO} account.\n",
            "docs/b.md": f"for the {THIRD} account.\n",
        }
    )
    done = scan(repo, "--staged")
    assert (done.code, done.names) == (1, {LOWER})
    assert done.document["head"] == ""


def test_the_working_tree_is_scanned_tracked_and_untracked_without_ignored(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", base={".gitignore": "ignored.md\n"})
    repo.write(
        {
            "docs/guide.md": f"# Guide\n\nfor the {COINED} account.\n",
            "new/b.md": f"for the {COINED_TOO} account.\n",
            "ignored.md": f"for the {THIRD} account.\n",
        }
    )
    done = scan(repo, "--worktree")
    assert (done.code, done.names) == (1, {LOWER, COINED_TOO.lower()})
    assert done.places(COINED) == [Place("docs", "docs/guide.md", 3, 9)]
    assert done.places(COINED_TOO) == [Place("docs", "new/b.md", 1, 9)]


def test_a_first_commit_is_scanned_before_it_is_made(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "r").write(ASKED)
    repo.git("add", "-A")
    done = scan(repo, "--staged")
    assert (done.code, done.names) == (1, {LOWER})
    assert done.document["base"] == ""
    assert scan(repo).skipped("docs") == ["the repository has no commit yet: pass --staged"]


def of_the_branch_alone(fork: Repo, path: Path) -> Repo:
    """A clone as CI systems make it by default: one commit of one branch."""
    host = fork.clone(path / "host", "--bare")
    host.git("symbolic-ref", "HEAD", "refs/heads/main")
    return host.clone(path / "shallow", "--depth=1", "--branch=feature")


def test_a_shallow_clone_without_the_base_is_not_checked_and_says_how_to_mend_it(
    fork: Repo, tmp_path: Path
) -> None:
    shallow = of_the_branch_alone(fork, tmp_path)
    done = orgguard_scan(shallow)
    assert (done.code, done.out) == (3, "")
    assert "in GitHub Actions set `fetch-depth: 0`" in done.err
    command = "git fetch --unshallow origin main:refs/remotes/origin/main"
    assert f"\nhint: run `{command}`" in done.err


def test_the_mending_command_mends_a_shallow_clone(fork: Repo, tmp_path: Path) -> None:
    shallow = of_the_branch_alone(fork, tmp_path)
    hint = re.search(r"`git ([^`]*)`", orgguard_scan(shallow).err)
    assert hint
    shallow.git(*hint[1].split())
    done = scan(shallow)
    assert done.code == 1
    assert done.document["base"] == fork.git("merge-base", "feature", "main")


# --- the base's policy ----------------------------------------------------------------------------

BINARY: Files = {"src/util.py": "LIMIT = 10\n", "docs/logo.png": b"\0\1\2\3" * 100}


def test_the_bases_level_holds_and_the_command_lines_goes_before_it(tmp_path: Path) -> None:
    files = {"src/a.py": f"harbor_finch = 1\nx = {LOWER}\n"}
    plain = change(tmp_path / "plain", files)
    strict = change(tmp_path / "strict", files, base={POLICY: 'level = "pedantic"\n'})
    regular, pedantic = scan(plain), scan(strict)
    assert pedantic.names > regular.names
    assert scan(strict, "--level=regular").names == regular.names


def test_the_bases_reserved_names_are_quiet(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", ASKED, base={POLICY: f'reserved = ["{COINED}"]\n'})
    assert scan(repo).code == 0


def test_what_could_not_be_read_fails_where_the_base_says_so(tmp_path: Path) -> None:
    strict = {POLICY: 'unscanned = "fail"\n'}
    done = scan(change(tmp_path / "told", BINARY))
    assert (done.code, done.err.count("not scanned: docs/logo.png: binary")) == (0, 1)
    done = scan(change(tmp_path / "failed", BINARY, base=strict))
    assert (done.code, done.names) == (3, set())
    assert "error: not everything could be checked" in done.err
    assert scan(change(tmp_path / "text", {"src/util.py": "LIMIT = 10\n"}, base=strict)).code == 0
    assert scan(change(tmp_path / "named", {**BINARY, **ASKED}, base=strict)).code == 1
    assert scan(tmp_path / "named", "--exit-zero").code == 3


def test_the_bases_classes_say_what_establishes(tmp_path: Path) -> None:
    base: Files = {"lists/clients.py": f"class {COINED}Client:\n    pass\n"}
    files: Files = {
        **ASKED,
        "d/a.json": f'{{"customer": "{COINED}"}}\n',
        "src/b.py": f'x = send("{COINED} account")  # for the {COINED} account\n',
    }
    repo = change(tmp_path / "plain", files, f"Export for {COINED}", base=base)
    assert LOWER not in scan(repo).names
    base |= {POLICY: '[classes]\n"lists/**" = "generated"\n'}
    repo = change(tmp_path / "listed", files, f"Export for {COINED}", base=base)
    assert LOWER in scan(repo).names


@broken("the detector takes what stands anywhere in the base for known, the guard does not")
@pytest.mark.parametrize("path", ["vendor/client.py", "package-lock.json"])
def test_what_establishes_nothing_keeps_no_name_quiet(tmp_path: Path, path: str) -> None:
    text = f'{{"name": "{LOWER}"}}\n' if path.endswith("json") else f"class {COINED}Client: ...\n"
    assert scan(change(tmp_path / "r", ASKED, base={path: text})).names == {LOWER}


@pytest.mark.parametrize("source", ["committed", "--staged", "--worktree"])
def test_a_policy_that_the_change_brings_does_nothing(tmp_path: Path, source: str) -> None:
    policy = f'reserved = ["{COINED}"]\nlevel = "pedantic"\nunscanned = "fail"\nbase = "HEAD"\n'
    files = {**ASKED, POLICY: policy}
    repo = change(tmp_path / "r", files if source == "committed" else {})
    if source != "committed":
        repo.write(files).git("add", "-A")
    done = scan(repo, *([] if source == "committed" else [source]))
    assert done.code == 1
    assert LOWER in done.names, "its reserved name is none"
    assert {one["level"] for one in done.findings.values()} == {"regular"}
    repo.write({POLICY: "no policy at all"})
    repo.commit()
    assert scan(repo).code == 1, "nor does one that cannot be read"


@pytest.mark.parametrize(
    "policy", ['level = "strict"', 'unscanned = "ignore"', "unscanned = true", 'allow = ["x"]']
)
def test_an_unknown_value_in_the_bases_policy_is_exit_2(tmp_path: Path, policy: str) -> None:
    done = orgguard_scan(change(tmp_path / "r", base={POLICY: f"{policy}\n"}))
    assert (done.code, done.out) == (2, "")
    assert f"at {policy.split()[0]}: " in done.err


# --- who sees names -------------------------------------------------------------------------------


def spellings(name: str) -> set[str]:
    """Ways to write *name* that a hash of it may have been made from."""
    lower = name.lower()
    return {name, lower, name.upper(), f"{name}\n", f"{lower}\n", f"{name}Client", f" {name}"}


def assert_hidden(text: str, *names: str) -> None:
    """Neither the *names* nor a hash of them is in *text*."""
    lowered = text.lower()
    for name in names:
        assert name.lower() not in lowered
        for spelling in spellings(name):
            raw = spelling.encode()
            assert base64.b64encode(raw).decode().rstrip("=") not in text
            for make in (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.sha512, hashlib.blake2b,
                         hashlib.blake2s):  # fmt: skip
                assert make(raw).hexdigest()[:8] not in lowered
            for size in (4, 8, 12, 16, 20, 32):
                assert hashlib.blake2b(raw, digest_size=size).hexdigest()[:8] not in lowered


@every_format
def test_names_are_hidden_on_both_outputs_and_what_was_found_is_counted(
    output: str, everywhere: tuple[Repo, str], tmp_path: Path
) -> None:
    repo, event = everywhere
    given = [f"--format={output}", "--event", event, "--branch", f"{LOWER}-export"]
    summary = tmp_path / "summary.md"
    done = orgguard_scan(repo, *given, GITHUB_STEP_SUMMARY=str(summary))
    assert done.code == 1
    kept = summary.read_text() if output == "github" else ""
    assert_hidden(done.said + kept, COINED, COINED_TOO)
    assert "confidential" not in done.said + kept, "a human's words may hold the name"
    assert "2 findings in " in done.said
    assert "names are hidden here" in done.said
    assert "not scanned: fixtures/" in done.said
    assert ("findings in " in done.out) == (output in {"human", "github", "sarif", "junit"})
    shown = orgguard_scan(repo, *given, "--reveal")
    assert shown.code == 1
    assert COINED in shown.said
    assert COINED_TOO in shown.said


def test_names_are_shown_on_the_users_own_terminal(asked: Repo) -> None:
    with Human(asked.path, command="scan") as human:
        assert human.leaves() == 1
        assert f"`{COINED}` is not in the base and has no consent" in human.emitted
        assert f"3 | for the {COINED} account." in human.emitted


@pytest.mark.parametrize("output", ["human", "json"])
def test_a_terminal_of_a_ci_system_and_a_machines_format_hide_names(
    asked: Repo, output: str
) -> None:
    ci = {"CI": "1"} if output == "human" else {}
    with Human(asked.path, f"--format={output}", command="scan", **ci) as human:
        assert human.leaves() == 1
        assert "docs/notes.md" in human.emitted
        assert_hidden(human.emitted, COINED)


def test_on_a_terminal_nothing_of_the_change_is_written_raw(tmp_path: Path) -> None:
    line = f'x = "{COINED} account\x1b[2J\x1b]0;x\x07\u202e"\r\n'
    repo = change(tmp_path / "r", {"src/a.py": line, f"d/\x1b[2J{LOWER}.csv": "1\n"})
    with Human(repo.path, command="scan") as human:
        assert human.leaves() == 1
        shown = human.emitted
    assert COINED in shown
    assert not re.search("\x1b\\[2J|\x1b\\]0;|\x07|\u202e", shown)


@pytest.mark.parametrize(
    "options", [["--head", "gone/x"], ["--base", "gone/x"], ["--event", "gone.json"]], ids=" ".join
)
def test_an_error_tells_no_name_of_the_change(
    everywhere: tuple[Repo, str], options: list[str]
) -> None:
    done = orgguard_scan(everywhere[0], *options)
    assert done.code in {2, 3}
    assert_hidden(done.said, COINED, COINED_TOO)


# --- asking and deciding --------------------------------------------------------------------------


def test_asking_puts_each_finding_into_the_queue_once(tmp_path: Path) -> None:
    files = {
        "docs/a.md": f"for the {COINED} account.\n",
        "src/b.py": f'x = "{COINED_TOO} account"\n',
    }
    repo = change(tmp_path / "r", files, f"Add export for {COINED}")
    done = scan(repo, "--ask")
    assert (done.code, done.names) == (1, {LOWER, COINED_TOO.lower()})
    assert "asked about 2 names; answer with `orgguard review`" in done.err
    rows = pending(repo)
    assert len(rows) == 2
    (row,) = (row for row in rows if COINED in row)
    assert "docs/a.md:1" in row
    assert "commit message" in row
    again = scan(repo, "--ask")
    assert (again.code, len(pending(repo))) == (1, 2)
    assert {row.split()[0] for row in pending(repo)} == {row.split()[0] for row in rows}
    assert {one["basis"] for one in again.findings.values()} == {"pending"}


def test_asking_hides_names_as_well(asked: Repo, tmp_path: Path) -> None:
    repo = asked.clone(tmp_path / "r")
    repo.git("fetch", "-q", "origin", "main:main")
    repo.git("remote", "remove", "origin")
    done = orgguard_scan(repo, "--ask")
    assert "asked about 1 name" in done.err
    assert_hidden(done.said, COINED)


def test_a_scan_that_asks_nothing_leaves_no_queue_and_an_untouched_working_tree(
    tmp_path: Path,
) -> None:
    repo = change(tmp_path / "r", ASKED)
    for options in ([], ["--dry-run"], ["--worktree"], ["--staged"]):
        orgguard_scan(repo, *options)
    left = {path.name for path in (repo.path / ".git" / "orgguard").iterdir()}
    assert not any(name.startswith("ledger") for name in left)
    assert repo.git("status", "--porcelain", "--ignored") == ""


def test_a_consented_name_is_quiet_and_counted(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {**ASKED, "d/a.json": f'{{"customer": "{COINED_TOO}"}}\n'})
    before = scan(repo).document
    assert (len(before["findings"]), before["consented"]) == (2, 0)
    decide(repo, COINED, Answer.GRANT)
    done = scan(repo)
    assert (done.code, done.names, done.document["consented"]) == (1, {COINED_TOO.lower()}, 1)
    decide(repo, COINED_TOO, Answer.GRANT)
    done = orgguard_scan(repo)
    assert done.code == 0
    assert done.out.startswith("no new names; 2 names consented")


def test_a_grant_for_one_path_leaves_the_other_places(tmp_path: Path) -> None:
    files = {**ASKED, f"d/{LOWER}.csv": f"id,customer\n1,{COINED}\n"}
    repo = change(tmp_path / "r", files, f"Add export for {COINED}")
    decide(repo, COINED, Answer.GRANT, f"d/{LOWER}.csv")
    done = scan(repo)
    assert done.code == 1
    assert {at.surface for at in done.places(COINED)} == {"docs", "commit-message"}
    assert {at.path for at in done.places(COINED)} == {
        "docs/notes.md", repo.git("rev-parse", "HEAD")
    }  # fmt: skip
    repo.git("commit", "-q", "--amend", "-m", "Add export")
    decide(repo, COINED, Answer.GRANT, "docs/notes.md")
    done = scan(repo)
    assert (done.code, done.document["consented"]) == (0, 1)


def test_a_refused_name_is_reported_where_the_detector_alone_would_be_quiet(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {"src/a.py": f"x = {LOWER}\n"})
    assert scan(repo).code == 0
    decide(repo, COINED, Answer.REFUSE)
    done = scan(repo)
    assert done.code == 1
    assert done.findings[LOWER]["basis"] == "refused"
    assert done.findings[LOWER]["effect"] == "deny"
    assert "error[refused-name]: " in done.err


def test_a_dry_run_judges_by_the_base_alone(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {**ASKED, "src/a.py": f"x = {COINED_TOO.lower()}\n"})
    untouched = scan(repo, "--dry-run")
    decide(repo, COINED, Answer.GRANT)
    decide(repo, COINED_TOO, Answer.REFUSE)
    ledger = repo.path / ".git" / "orgguard" / "ledger.sqlite3"
    before = ledger.read_bytes()
    done = scan(repo, "--dry-run")
    assert done.code == 1
    assert done.document == untouched.document
    assert done.findings[LOWER]["basis"] == "unknown"
    assert ledger.read_bytes() == before
    assert scan(repo).findings.keys() == {COINED_TOO.lower()}


def test_an_unusable_ledger_is_no_pass(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", ASKED)
    state = repo.path / ".git" / "orgguard"
    state.mkdir(mode=0o700)
    (state / "ledger.sqlite3").write_bytes(b"no database\n" * 500)
    done = orgguard_scan(repo)
    assert (done.code, done.out) == (3, "")
    assert_hidden(done.said, COINED)


# --- fingerprints ---------------------------------------------------------------------------------


def fingerprints(done: Scan) -> dict[str, str]:
    return {key: str(finding["fingerprint"]) for key, finding in done.findings.items()}


def test_a_fingerprint_stays_when_lines_move_and_tells_two_names_apart(tmp_path: Path) -> None:
    files = {"docs/a.md": f"for the {COINED} account.\n\nfor the {COINED_TOO} account.\n"}
    repo = change(tmp_path / "r", files)
    first = fingerprints(scan(repo))
    assert len(set(first.values())) == 2
    repo.commit({"docs/a.md": f"# More\n\n\n{files['docs/a.md']}\nThe end.\n"}, "Go on")
    assert fingerprints(scan(repo)) == first


@pytest.mark.parametrize(
    "text",
    [
        "for the {0} account.\n\n{1} = 1\n",
        "{2}.example.com is for {0}.\n",
    ],
)
def test_a_fingerprint_is_not_made_of_the_name(tmp_path: Path, text: str) -> None:
    made = []
    for name in (COINED, COINED_TOO):
        text_of = text.format(name, name.upper(), name.lower())
        done = scan(change(tmp_path / name, {"docs/a.md": text_of}), "--level=pedantic")
        made.append([one["fingerprint"] for one in done.document["findings"]])
    assert made[0] == made[1] != []


def test_a_fingerprint_is_not_made_of_the_name_of_the_folder(tmp_path: Path) -> None:
    made = []
    for name in (COINED, COINED_TOO):
        files: Files = {f"fixtures/{name.lower()}/a.json": f'{{"customer": "{name}"}}\n'}
        made.append(fingerprints(scan(change(tmp_path / name, files)))[name.lower()])
    assert made[0] == made[1]


def test_the_same_scan_says_the_same_every_time(everywhere: tuple[Repo, str]) -> None:
    repo, event = everywhere
    runs = [
        orgguard_scan(repo, "--format=sarif", "--event", event, PYTHONHASHSEED=seed)
        for seed in ("1", "2")
    ]
    assert len({run.said for run in runs}) == 1


# --- encodings ------------------------------------------------------------------------------------

BASE64 = base64.b64encode(f"for the {COINED} account".encode()).decode()
ENCODED = {
    "escapes-json": ("d/a.json", '{"customer": "Zor\\u0062latt", "n": 1}', 15),
    "escapes-code": ("src/a.py", 'customer = "Zor\\x62latt"', 13),
    "base64-json": ("d/a.json", f'{{"customer": "{BASE64}"}}', 15),
    "base64-code": ("src/a.py", f'note = "{BASE64}"', 9),
    "base64-comment": ("src/a.py", f"# {BASE64}", 3),
    "percent-json": ("d/a.json", '{"url": "https://example.com/?customer=Zor%62latt"}', 40),
    "percent-docs": ("docs/a.md", "for the Zor%62latt account.", 1),
    "entities-docs": ("docs/a.md", "for the Zor&#98;latt account.", 1),
    "entities-html": ("src/a.html", "<p>for the Zor&#98;latt account.</p>", 4),
    "split": ("src/a.py", 'customer = "Zor" + "blatt"', 13),
    "zero-width": ("docs/a.md", "for the Zor\u200bblatt account.", 9),
    "look-alike": ("docs/a.md", f"for the {CYRILLIC_TWIN} account.", 9),
    "capitals": ("docs/a.md", "for the ZORBLATT account.", 9),
}


@pytest.mark.parametrize("how", ENCODED)
def test_an_encoded_name_is_found_at_its_place_in_the_line(tmp_path: Path, how: str) -> None:
    path, line, column = ENCODED[how]
    assert COINED not in line
    done = scan(change(tmp_path / "r", {path: f"\n{line}\n"}), "--level=pedantic")
    assert done.code == 1
    assert LOWER in done.names
    assert (path, 2, column) in {at[1:] for at in done.places(COINED)}


@broken(
    "portions.Reader: what is decoded in code is read as code, not as the string or comment that it"
    " stands in, so that nothing speaks for a name; and its fragments are found in its stead"
)
def test_an_encoded_name_weighs_as_much_as_a_plain_one(tmp_path: Path) -> None:
    for how in ("split", "escapes-json", "escapes-code", "base64-code", "base64-comment"):
        path, line, _ = ENCODED[how]
        assert scan(change(tmp_path / how, {path: f"{line}\n"})).names == {LOWER}


def test_an_encoded_name_is_found_beside_the_commit_and_the_pull_request(
    tmp_path: Path, clean: Repo
) -> None:
    event = pull_request(tmp_path / "e.json", "Change", f"Why:\n\n{BASE64}")
    assert Place("pr-body", "", 3, 1) in scan(clean, "--event", event).places(COINED)


@pytest.mark.parametrize("text", ["for-{1},for-{0}", "for the {0} account.,for the {1} account."])
def test_two_texts_of_one_surface_do_not_hide_each_other(tmp_path: Path, text: str) -> None:
    one, other = text.format(LOWER, COINED_TOO.lower()).split(",")
    repo = change(tmp_path / "r")
    if "-" in one:
        repo.git("tag", one)
        repo.git("tag", other)
        done = scan(repo)
    else:
        (tmp_path / "body").write_text(other.capitalize())
        event = pull_request(tmp_path / "e.json", body=one.capitalize())
        done = scan(repo, "--event", event, "--pr-text", str(tmp_path / "body"))
    assert done.names == {LOWER, COINED_TOO.lower()}


def test_an_encoded_name_is_not_taken_for_another_in_its_line(tmp_path: Path) -> None:
    line = f'{{"{COINED}": "for the %51uimbrel account"}}\n'
    repo = change(tmp_path / "r", {"d/a.json": line})
    decide(repo, COINED, Answer.GRANT)
    assert COINED_TOO.lower() in scan(repo).names


@pytest.mark.parametrize("name", [ACCENTED, NON_LATIN, TWO_WORDS])
def test_a_name_of_any_script_is_found(tmp_path: Path, name: str) -> None:
    done = scan(change(tmp_path / "r", {"docs/a.md": f"for the {name} account.\n"}))
    assert done.code == 1
    assert any(key in canonicalise(name) for key in done.names)


# --- one name and another -------------------------------------------------------------------------


@broken("weigh.merged: a phrase that a consented name stands in is taken for that name")
def test_consent_for_a_name_does_not_hold_for_a_longer_one(tmp_path: Path) -> None:
    lines = ["for the {0} account.", "- For {0} account", "- from {0} customer", "- by {0} team",
             "- with {0} contract", "See {0} {1} there."]  # fmt: skip
    text = "\n".join(lines).format(COINED, COINED_TOO)
    files: Files = {"docs/a.md": f"{text}\n", "d/a.json": f'{{"vendor": "{COINED}"}}\n'}
    repo = change(tmp_path / "r", files)
    decide(repo, COINED, Answer.GRANT)
    assert any(COINED_TOO.lower() in key for key in scan(repo).names)


@broken("weigh.merged: the longer name's verdict is given to the places of the refused one")
def test_a_refused_name_is_refused_beside_a_longer_one(tmp_path: Path) -> None:
    text = f"for the {COINED} account.\n\nThen {COINED} {COINED_TOO} agreed.\n"
    repo = change(tmp_path / "r", {"docs/a.md": text})
    decide(repo, COINED, Answer.REFUSE)
    assert "refused" in {finding["basis"] for finding in scan(repo).findings.values()}


@broken("a word that opens the sentence becomes part of the name that a human is asked about")
def test_the_word_that_opens_a_sentence_is_no_part_of_the_name(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {"docs/a.md": f"Because for the {COINED} account.\n"})
    assert scan(repo).names == {LOWER}


@pytest.mark.parametrize(
    "text",
    [
        f"{COINED} is a customer.",
        f"{COINED} is our largest customer.",
        f"We asked {COINED}, a vendor.",
    ],
)
def test_who_is_called_a_customer_or_vendor_is_found(tmp_path: Path, text: str) -> None:
    repo = change(tmp_path / "r", {"docs/notes.md": f"{text}\n"})
    assert LOWER in scan(repo).names


def test_putting_a_name_into_several_files_does_not_hide_it(tmp_path: Path) -> None:
    files: Files = {f"src/{letter}.py": f"# {COINED} asked for this.\n" for letter in "abcdef"}
    repo = change(tmp_path / "r", files)
    assert LOWER in scan(repo).names


@broken("a name in three strings of one file is less sure than in one of them")
def test_repeating_a_name_does_not_hide_it(tmp_path: Path) -> None:
    lines = [f'x{number} = "{COINED} account"' for number in range(6)]
    repo = change(tmp_path / "r", {"src/a.py": "\n".join([*lines, ""])})
    assert scan(repo).names == {LOWER}


@broken("the scope that the review offers has `commit message` for a path, and is not understood")
def test_a_grant_for_the_places_asked_about_holds_in_all_of_them(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", ASKED, f"Add export for {COINED}")
    scan(repo, "--ask")
    with Guard(repo.path) as guard:
        (request,) = guard.ledger.pending()
        guard.decide(request, Answer.GRANT, scope=Scope(request.paths), channel="test")
    assert scan(repo).code == 0


# --- level and coverage ---------------------------------------------------------------------------


def test_pedantic_reports_more_and_all_that_regular_does(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {**ASKED, "src/a.py": f"x = {COINED_TOO.lower()}\n"})
    regular, pedantic = scan(repo), scan(repo, "--level=pedantic")
    assert regular.names < pedantic.names
    levels = {key: finding["level"] for key, finding in pedantic.findings.items()}
    assert (levels[LOWER], levels[COINED_TOO.lower()]) == ("regular", "pedantic")
    assert regular.document["suppressed"] >= len(pedantic.names) - len(regular.names)
    assert pedantic.document["suppressed"] == 0
    assert "below the reporting level (`--level pedantic` shows all)" in regular.err


def test_the_coverage_has_each_surface_and_why_nothing_of_it_was_scanned(clean: Repo) -> None:
    surfaces = {s.value for s in Surface} - {"comment", "string"}
    done = scan(clean)
    rows = {row["surface"]: row for row in done.document["coverage"]}
    assert rows.keys() == surfaces
    counts = {surface: row["scanned"] for surface, row in rows.items() if row["scanned"]}
    assert counts == {"code": 1, "path": 1, "commit-message": 1, "branch": 1}
    assert done.skipped("pr-title") == ["no event was given with --event"]
    assert "no file with --pr-text" in done.skipped("pr-body")[0]
    staged = scan(clean, "--staged")
    assert "no message was given" in staged.skipped("commit-message")[0]
    text = scan(clean, "--text=docs", stdin=b"Nothing.\n")
    assert all("only the given text was" in text.skipped(s)[0] for s in surfaces - {"docs"})


# --- formats --------------------------------------------------------------------------------------


def test_sarif_has_results_in_files_and_tells_the_rest(everywhere: tuple[Repo, str]) -> None:
    repo, event = everywhere
    document = json.loads(orgguard_scan(repo, "--format=sarif", "--event", event).out)
    (run,) = document["runs"]
    assert {result["ruleId"] for result in run["results"]} == {"new-name", "refused-name"}
    uris = {
        place["physicalLocation"]["artifactLocation"]["uri"]
        for result in run["results"]
        for place in result["locations"]
    }
    assert {"src/a.py", "src/b.py", "docs/a.md"} <= uris
    assert all((repo.path / uri).exists() for uri in uris)


def test_sarif_tells_a_name_that_is_in_no_file(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", branch=f"{LOWER}-export")
    done = orgguard_scan(repo, "--format=sarif")
    (run,) = json.loads(done.out)["runs"]
    assert (done.code, run["results"]) == (1, [])
    told = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert any(text.startswith("new-name: ") and "branch name" in text for text in told)


def test_junit_gitlab_and_github_can_be_read(everywhere: tuple[Repo, str]) -> None:
    repo = everywhere[0]
    suite = ElementTree.fromstring(orgguard_scan(repo, "--format=junit").out)  # noqa: S314
    assert [case.get("type") for case in suite.iter("failure")] == ["refused-name", "new-name"]
    rows = json.loads(orgguard_scan(repo, "--format=gitlab").out)
    assert {row["check_name"] for row in rows} == {"orgguard/new-name", "orgguard/refused-name"}
    assert len({row["fingerprint"] for row in rows}) == len(rows) == 2
    assert all((repo.path / row["location"]["path"]).exists() for row in rows)
    lines = orgguard_scan(repo, "--format=github").out.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    commands = lines[lines.index(f"::{token}::") + 1 :]
    assert len(commands) == 2
    assert all(re.match(r"::error file=[\w/.]+,line=\d+,col=\d+,", line) for line in commands)


def test_the_job_summary_is_appended_where_github_asks_for_it(asked: Repo, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("### Before\n")
    given = {"GITHUB_STEP_SUMMARY": str(summary)}
    orgguard_scan(asked, "--format=github", **given)
    orgguard_scan(asked, "--format=github", **given)
    text = summary.read_text()
    assert text.startswith("### Before\n### OrgGuard: 1 finding in 1 place")
    assert text.count("### OrgGuard: ") == 2
    orgguard_scan(asked, "--format=json", **given)
    assert summary.read_text() == text


def test_scanning_imports_no_heavy_library(asked: Repo) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orgguard_mcp", "scan"],
        cwd=asked.path, capture_output=True, check=False, timeout=60, env=os.environ,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "orgguard_mcp.scan" in imported
    assert not imported & {"mcp", "pydantic", "anyio", "psutil", "asyncio", "xml.etree"}
