"""A scan beside a list of protected names: what it finds, and what it says without the key."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from orgguard_mcp.model import Artifact, Surface
from orgguard_mcp.names import parse
from orgguard_mcp.protected import ENVIRONMENT_KEY, PATH, Key, load, sealed
from orgguard_mcp.sweep import MAX_PLACES, Sweep
from tests.names import COINED, COINED_TOO, THIRD, TWO_WORDS
from tests.scanner import FORMATS, Files, Place, change, orgguard_scan, scan
from tests.simulator import Repo

KEY = "0123456789abcdef" * 4
ORDINARY_NAME = "Target"
POLICY = ".orgguard/policy.toml"
GAP = "the protected names were not checked"


def listed(*names: str, key: str = KEY) -> bytes:
    return sealed([parse(name) for name in names], Key(key))


def found(text: str, *names: str) -> list[tuple[str, str]]:
    """The protected *names* that a sweep finds in the one line *text*, with what it points at."""
    sweep = Sweep(load(listed(*names), Key(KEY)))
    artifact = Artifact(Surface.CODE, "a.py", ((1, text),))
    sweep.over([artifact])
    return [
        (key, text[at.column - 1 : at.column - 1 + at.length])
        for key, places in sweep.found.items()
        for at in places
    ]


# --- what is found --------------------------------------------------------------------------------

FIRST, SECOND = TWO_WORDS.split()


@pytest.mark.parametrize(
    ("text", "name", "written"),
    [
        (f"x {COINED}.", COINED, COINED), (f"the{COINED}Row", COINED, COINED),
        (f"{COINED.lower()}corp", COINED, f"{COINED.lower()}corp"),
        (f"({TWO_WORDS.lower()})", TWO_WORDS, TWO_WORDS.lower()),
        (f"{FIRST}{SECOND}s", TWO_WORDS, None), (f"{FIRST}, {SECOND}", TWO_WORDS, None),
        (f"{FIRST}() {SECOND}", TWO_WORDS, None), (f"{COINED}ing", COINED, None),
        (f"pre{COINED.lower()}", COINED, None), ("a target of", ORDINARY_NAME, None),
        ("a Target of", ORDINARY_NAME, "Target"), ("TARGET_ID", ORDINARY_NAME, "TARGET"),
        ("in 1440 rows", "1440", None), ("dGhlIHdvcmxkIGlzIGZ1bGwgb2YgaXQ0", "Hdvcmxk", None),
        (f"{COINED}\u3000{THIRD}", f"{COINED} {THIRD}", f"{COINED}\u3000{THIRD}"),
    ],
)  # fmt: skip
def test_whole_names_are_found_where_they_stand(text: str, name: str, written: str | None) -> None:
    assert found(text, name) == ([(parse(name).key, written)] if written else [])


def test_a_name_within_a_longer_one_is_found_as_well() -> None:
    names = {key for key, _ in found(TWO_WORDS, TWO_WORDS, SECOND)}
    assert names == {parse(TWO_WORDS).key, parse(SECOND).key}


def test_a_name_that_stands_everywhere_keeps_so_many_places() -> None:
    sweep = Sweep(load(listed(COINED), Key(KEY)))
    lines = tuple((number, COINED) for number in range(1, MAX_PLACES + 50))
    sweep.over([Artifact(Surface.DOCS, "a.md", lines)])
    assert len(sweep.found[parse(COINED).key]) == MAX_PLACES


def test_a_protected_name_is_one_finding_with_all_its_places(tmp_path: Path) -> None:
    files: Files = {
        "a.py": f"# {COINED} asked\nx = fetch{COINED}Rows()\n",
        "b.txt": f"1,{COINED.lower()},2\n",
    }
    repo = change(tmp_path / "r", files, base={PATH: listed(COINED)})
    done = scan(repo, ORGGUARD_PROTECTED_KEY=KEY)
    (finding,) = done.document["findings"]
    assert finding["basis"] == "protected"
    assert (finding["effect"], finding["confidence"], finding["level"]) == (
        "deny",
        "high",
        "regular",
    )
    places = sorted((at.path, at.line, at.column) for at in done.places(COINED))
    assert places == [("a.py", 1, 3), ("a.py", 2, 10), ("b.txt", 1, 3)]


def test_what_reads_as_no_name_and_what_the_base_has_is_found(tmp_path: Path) -> None:
    base: Files = {PATH: listed(TWO_WORDS, THIRD), "old.py": f"import {THIRD}\n"}
    files: Files = {"a.py": f"x = {TWO_WORDS.lower().replace(' ', '_')}\ny = {THIRD}()\n"}
    repo = change(tmp_path / "r", files, base=base)
    done = scan(repo, ORGGUARD_PROTECTED_KEY=KEY)
    assert done.code == 1
    assert done.places(TWO_WORDS) == [Place("code", "a.py", 1, 5)]
    assert done.places(THIRD) == [Place("code", "a.py", 2, 5)]


def test_adding_a_list_is_no_finding(tmp_path: Path) -> None:
    data = listed(*(f"{COINED}{number}x {THIRD}{number}y" for number in range(1500)))
    for base in ({}, {PATH: listed(COINED_TOO)}):
        repo = change(tmp_path / f"r{len(base)}", {PATH: data}, base=base)
        done = scan(repo, ORGGUARD_PROTECTED_KEY=KEY)
        assert (done.code, done.names) == (0, set())


def test_a_protected_name_is_not_asked_about(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {"a.py": f"# {COINED} asked\n"}, base={PATH: listed(COINED)})
    done = orgguard_scan(repo, "--ask", ORGGUARD_PROTECTED_KEY=KEY)
    assert done.code == 1
    assert "asked about" not in done.said


# --- without the key ------------------------------------------------------------------------------


def clean(path: Path, **files: str) -> Repo:
    """A change without a name to a base that has the list."""
    return change(path, {"src/util.py": "LIMIT = 10\n"}, base={PATH: listed(COINED), **files})


def event(path: Path, head: object) -> str:
    """A pull request from the repository *head*."""
    sides = {"head": {"ref": "feature", "repo": head}, "base": {"repo": {"full_name": "o/r"}}}
    path.write_text(json.dumps({"pull_request": {"title": "Change", "body": "", **sides}}))
    return f"--event={path}"


@pytest.mark.parametrize("output", FORMATS)
def test_a_missing_key_is_could_not_check_in_every_format(tmp_path: Path, output: str) -> None:
    repo = clean(tmp_path / "r")
    for environment in ({}, {ENVIRONMENT_KEY: ""}):
        done = orgguard_scan(repo, f"--format={output}", "--exit-zero", **environment)
        assert done.code == 3
        assert f"error: {GAP}: no key was given" in done.err
        assert (
            f"note: {GAP}" in (done.err if output == "gitlab" else done.out.replace("\\", ""))
            or output == "json"
        )


def test_each_format_marks_what_was_not_checked(tmp_path: Path) -> None:
    repo = clean(tmp_path / "r")
    assert scan(repo).document["unchecked"].startswith(GAP)
    sarif = json.loads(orgguard_scan(repo, "--format=sarif").out)
    assert sarif["runs"][0]["invocations"][0]["executionSuccessful"] is False
    suite = ElementTree.fromstring(orgguard_scan(repo, "--format=junit").out)[0]  # noqa: S314
    assert suite.get("errors") == "1"
    assert len(suite.findall("testcase/error")) == 1
    assert f"::error title=orgguard::{GAP}" in orgguard_scan(repo, "--format=github").out


def test_findings_come_before_a_missing_key(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {"a.py": f"# {COINED} asked\n"}, base={PATH: listed(COINED)})
    done = scan(repo)
    assert (done.code, done.findings[COINED.lower()]["basis"]) == (1, "unknown")
    assert GAP in done.err


def test_the_policy_may_let_a_scan_pass_without_the_key(tmp_path: Path) -> None:
    repo = clean(tmp_path / "r", **{POLICY: 'protected = "if-key"\n'})
    done = orgguard_scan(repo)
    assert done.code == 0
    assert f"note: {GAP}: no key was given" in done.out
    assert orgguard_scan(repo, ORGGUARD_PROTECTED_KEY="0" * 64).code == 3


@pytest.mark.parametrize(
    ("head", "code"),
    [({"full_name": "o/r"}, 3), ({"full_name": "fork/r"}, 0), (None, 0)],
    ids=["own", "fork", "deleted fork"],
)
def test_a_fork_goes_on_without_the_key_and_says_so(
    tmp_path: Path, head: object, code: int
) -> None:
    repo = clean(tmp_path / "r")
    given = event(tmp_path / "event.json", head)
    done = orgguard_scan(repo, given, ORGGUARD_PROTECTED_KEY="")
    assert done.code == code
    assert f"note: {GAP}" in done.out
    checked = orgguard_scan(repo, given, ORGGUARD_PROTECTED_KEY=KEY)
    assert (checked.code, GAP in checked.said) == (0, False)


def test_a_fork_still_fails_by_what_is_found_and_by_a_wrong_key(tmp_path: Path) -> None:
    repo = change(tmp_path / "r", {"a.py": f"# {COINED} asked\n"}, base={PATH: listed(COINED)})
    given = event(tmp_path / "event.json", {"full_name": "fork/r"})
    assert orgguard_scan(repo, given).code == 1
    assert orgguard_scan(repo, given, ORGGUARD_PROTECTED_KEY="0" * 64).code == 3
