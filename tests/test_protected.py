"""The list of protected names, its key, and `orgguard protect`, which makes both."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Ask, Asker, Basis, Effect
from orgguard_mcp.names import parse
from orgguard_mcp.protected import (
    ENVIRONMENT_KEY,
    ENVIRONMENT_KEY_FILE,
    PATH,
    Key,
    anchors,
    find_key,
    load,
    sealed,
)
from orgguard_mcp.replies import NEUTRAL, consent
from tests.names import COINED, COINED_TOO, FOURTH, THIRD, TWO_WORDS, WITH_SIGN
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]
KEY = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4


def refusal(call: Callable[[], object]) -> OrgGuardError | None:
    """The error that *call* ends with, None if with none; any other error is the test's failure."""
    try:
        call()
    except OrgGuardError as error:
        return error
    return None


def listed(*names: str, key: str = KEY) -> bytes:
    return sealed([parse(name) for name in names], Key(key))


class Done(NamedTuple):
    code: int
    out: str
    err: str


def protect(repo: Repo, *arguments: str | Path) -> Done:
    """Run `orgguard protect`."""
    done = subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "protect", *map(str, arguments)],
        cwd=repo.path, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_KEY, KEY)


# --- the list -------------------------------------------------------------------------------------


def test_a_list_holds_its_names_in_every_spelling_and_no_others() -> None:
    protected = load(listed(COINED, f"{TWO_WORDS} Ltd"), Key(KEY))
    for name in (COINED, COINED.upper(), f"{COINED} GmbH", f"{COINED}.com", TWO_WORDS):
        assert protected.holds(parse(name).key)
    for name in (COINED_TOO, *TWO_WORDS.split(), f"{COINED} {COINED_TOO}"):
        assert not protected.holds(parse(name).key)


def test_the_same_names_make_the_same_list_in_any_order() -> None:
    assert listed(COINED, TWO_WORDS) == listed(TWO_WORDS, COINED)


def test_another_key_makes_another_list() -> None:
    one, other = (set(listed(COINED, key=key).splitlines()[1:]) for key in (KEY, OTHER))
    assert not one & other


def test_decoys_hide_how_many_names_there_are() -> None:
    lengths = {len(listed(*names)) for names in ([COINED], [COINED, THIRD], [COINED, TWO_WORDS])}
    assert len(lengths) == 1
    many = listed(*(f"{COINED}{letter}x" for letter in "abcdefghijklmnopqrstuvwxyz" * 3), COINED)
    lines = listed(*(f"{COINED}{n}x" for n in range(65))).splitlines()
    assert (len(many.splitlines()) - 3) % 64 == 0
    assert (len(lines) - 3) % 64 == 0
    assert len(lines) > len(many.splitlines())


def test_a_name_of_several_words_is_found_by_its_rarest() -> None:
    assert anchors(parse(COINED)) == set()
    assert anchors(parse(f"The {COINED} Company of {THIRD}")) <= {COINED.lower(), THIRD.lower()}
    assert anchors(parse(WITH_SIGN)) == {"fennigan"}


def test_without_its_key_a_list_holds_nothing_and_says_so() -> None:
    protected = load(listed(COINED), None)
    assert protected.unchecked
    assert not protected.holds(parse(COINED).key)


LIST = listed(COINED, TWO_WORDS)
LINES = LIST.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "empty"), (LIST[:-1], "end is missing"), (LIST[:-30], "end is missing"),
        (b"".join(LINES[:40]), "end is missing"), (LIST.replace(b" 1\n", b" 2\n"), "version"),
        (b"".join([LINES[0], *LINES[2:]]), "canary is missing"), (LINES[0], "canary is missing"),
        (b"".join([*LINES[:9], b"# note\n", *LINES[9:]]), "line 10 is no fingerprint"),
        (b"".join([*LINES[:9], b"\n", *LINES[9:]]), "line 10 is no fingerprint"),
        (b"".join([*LINES[:2], LINES[3], LINES[2], *LINES[4:]]), "not in order"),
        (b"".join([*LINES[:2], LINES[2], *LINES[2:]]), "not in order"),
        (LIST.replace(b"\n", b"\r\n"), "version"), (b"\xef\xbb\xbf" + LIST, "first line"),
        (LIST + b"\n", "line 67 is no fingerprint"), (b"\xff\xfe\0\0", "first line"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", [KEY, None])
def test_a_damaged_list_is_could_not_check(data: bytes, cause: str, key: str | None) -> None:
    with pytest.raises(OrgGuardError) as caught:
        load(data, Key(key) if key else None)
    assert cause in caught.value.cause
    assert (caught.value.exit_code, bool(caught.value.hint)) == (3, True)


@pytest.mark.parametrize("missing", [2, 30, 65])
def test_a_list_that_lacks_a_line_is_could_not_check(missing: int) -> None:
    with pytest.raises(OrgGuardError) as caught:
        load(b"".join([*LINES[:missing], *LINES[missing + 1 :]]), Key(KEY))
    assert "not those that were written" in caught.value.cause


def test_a_list_of_another_key_is_could_not_check() -> None:
    with pytest.raises(OrgGuardError) as caught:
        load(LIST, Key(OTHER))
    assert "the key is not the one" in caught.value.cause
    assert caught.value.exit_code == 3


@given(st.binary(max_size=400) | st.lists(st.sampled_from(LINES)).map(b"".join))
@example(LIST)
def test_any_bytes_are_a_list_or_a_clear_error(data: bytes) -> None:
    for key in (Key(KEY), None):
        error = refusal(lambda key=key: load(data, key))  # type: ignore[misc]
        assert (error is None) == (data == LIST)
        if error:
            assert (error.exit_code, bool(error.cause), bool(error.hint)) == (3, True, True)


# --- the key --------------------------------------------------------------------------------------


@given(st.text(max_size=80) | st.text("0123456789abcdefA \n\r", min_size=62, max_size=66))
@example(KEY)
@example(f"{KEY}\n")
@example("\u0660" * 64)
def test_any_text_is_a_key_or_a_clear_error_that_does_not_repeat_it(text: str) -> None:
    error = refusal(lambda: Key(text))
    assert (error is None) == (len(text) == 64 and set(text) <= set("0123456789abcdef"))
    if error:
        said = error.message + error.cause + error.hint
        assert (error.exit_code, bool(error.cause), bool(error.hint)) == (3, True, True)
        assert len(text) < 30 or text.strip() not in said


def test_the_key_comes_from_the_file_given_else_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text(OTHER)

    def found(given: str | None = None) -> str:
        key = find_key(given)
        return "" if key is None else {Key(k).line("a"): k for k in (KEY, OTHER)}[key.line("a")]

    assert found() == ""
    monkeypatch.setenv(ENVIRONMENT_KEY, "")  # what GitHub gives to a fork
    assert found() == ""
    monkeypatch.setenv(ENVIRONMENT_KEY_FILE, str(file))
    assert found() == OTHER
    monkeypatch.setenv(ENVIRONMENT_KEY, KEY)
    assert found() == KEY
    assert found(str(file)) == OTHER
    assert KEY not in repr(find_key())


def test_a_key_is_made_once_for_its_owner_alone(project: Repo, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    made = protect(project, "key", file)
    text = file.read_text()
    assert made.code == 0
    assert Key(text)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert text not in made.out + made.err
    again = protect(project, "key", file)
    assert (again.code, file.read_text()) == (2, text)
    assert "no key was made" in again.err


@pytest.mark.parametrize("inside", ["key", ".git/key", "sub/../key"])
def test_no_key_and_no_list_of_names_in_the_working_tree(project: Repo, inside: str) -> None:
    file = project.path / inside
    assert protect(project, "key", file).code == 2
    assert not file.exists()
    project.write({"names.txt": COINED})
    link = project.path.parent / "link"
    link.symlink_to(project.path / "names.txt")
    for given_file in (project.path / "names.txt", link):
        done = protect(project, "import", given_file)
        assert (done.code, "working tree" in done.err) == (2, True)
    assert not (project.path / PATH).exists()


# --- import ---------------------------------------------------------------------------------------


def imported(repo: Repo, aside: Path, data: bytes, name: str, *options: str) -> Done:
    file = aside / name
    file.write_bytes(data)
    return protect(repo, "import", file, *options)


def held(repo: Repo) -> set[str]:
    """Which of the tests' names the list of the working tree has."""
    protected = load((repo.path / PATH).read_bytes(), Key(KEY))
    names = (COINED, COINED_TOO, THIRD, FOURTH, TWO_WORDS, "Name", "1", "2")
    return {name for name in names if protected.holds(parse(name).key)}


TABLE = f'id,Name\n1,{COINED}\n2,"{TWO_WORDS}, Ltd."\n'


@pytest.mark.usefixtures("keyed")
@pytest.mark.parametrize(
    ("data", "name", "options", "expected"),
    [
        (f"{COINED}\n\n {TWO_WORDS} \n".encode(), "a.txt", [], {COINED, TWO_WORDS}),
        (f"\ufeff{COINED}\r\n{THIRD}\r\n".encode(), "a.txt", [], {COINED, THIRD}),
        (f"{COINED}\r{THIRD}".encode("utf-16"), "a.txt", [], {COINED, THIRD}),
        (TABLE.encode(), "a.csv", ["--column=Name"], {COINED, TWO_WORDS}),
        (TABLE[3:].encode("utf-8-sig"), "a.csv", [], {"1", "2"}),
        (TABLE.encode(), "a.txt", ["--column", "Name"], {COINED, TWO_WORDS}),
        (f"Name;id\r\n{COINED};1\r\n{THIRD};2\r\n".encode(), "A.CSV", [], {COINED, THIRD}),
        (f'Name\tid\n"{COINED}"\t1\n'.encode(), "a.tsv", [], {COINED}),
        (f'Name\n"{COINED_TOO}\nx"\n{COINED}\n'.encode(), "a.csv", [], {COINED}),
        (f"Name\n{'x' * 1_000_000}\n{COINED}\n".encode(), "a.csv", [], {COINED}),
        (f"{'x' * 1_000_000}\n{COINED}\n".encode(), "a.txt", [], {COINED}),
        (f"{THIRD}\0\n{COINED}\n".encode(), "a.txt", [], {COINED}),
        (f'Name\n{COINED}\n"{THIRD}\n'.encode(), "a.csv", [], {COINED}),
    ],
)  # fmt: skip
def test_an_import_reads_what_spreadsheets_write(
    project: Repo, tmp_path: Path, data: bytes, name: str, options: list[str], expected: set[str]
) -> None:
    done = imported(project, tmp_path, data, name, *options)
    assert (done.code, held(project)) == (0, expected)
    assert done.out.startswith(f"{len(expected)} name")


@pytest.mark.usefixtures("keyed")
def test_an_import_tells_what_it_took(make_repo: MakeRepo, tmp_path: Path) -> None:
    repo = make_repo({"src/a.py": f"import {THIRD}\n{THIRD}Client()\n"})
    lines = [
        COINED,
        "---",
        f"{COINED} GmbH",
        THIRD,
        "x" * 201,
        " ".join("abcdefghijklmno"),
        "Target",
    ]
    done = imported(repo, tmp_path, "\n".join(lines).encode(), "a.txt")
    assert done.out.startswith("3 names in .orgguard/protected")
    for said in (
        "1 line doubled",
        "3 lines not taken: unreadable: line 2, 5, 6",
        "1 name of these",
    ):
        assert said in done.err
    assert "1 name of one ordinary word" in done.err
    assert held(repo) == {COINED, THIRD}
    imported(repo, tmp_path, COINED_TOO.encode(), "a.txt")
    assert held(repo) == {COINED_TOO}


@pytest.mark.usefixtures("keyed")
@pytest.mark.parametrize(
    ("data", "name", "options", "cause"),
    [
        (b"", "a.txt", [], ""), (b"\n \n", "a.txt", [], ""), (b"", "a.csv", [], ""),
        (b"Name\n", "a.csv", [], ""), (b"---\n", "a.txt", [], "unreadable: line 1"),
        (TABLE.encode(), "a.csv", ["--column=Nmae"], "no column"),
        ("Wélb".encode("latin-1"), "a.txt", [], "not UTF-8"),
        (COINED.encode("utf-16-le"), "a.txt", [], "unreadable: line 1"),
        (COINED.encode("utf-16")[:-1], "a.txt", [], "not UTF-8"),
    ],
)  # fmt: skip
def test_an_import_of_nothing_leaves_the_list_as_it_was(
    project: Repo, tmp_path: Path, data: bytes, name: str, options: list[str], cause: str
) -> None:
    project.write({PATH: "as it was"})
    done = imported(project, tmp_path, data, name, *options)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: nothing was imported")
    assert cause in done.err
    assert (project.path / PATH).read_text() == "as it was"


def test_an_import_without_a_key_is_refused(project: Repo, tmp_path: Path) -> None:
    done = imported(project, tmp_path, COINED.encode(), "a.txt")
    assert (done.code, (project.path / PATH).exists()) == (3, False)
    assert "orgguard protect key" in done.err


@given(data=st.binary(max_size=300), table=st.booleans())
@example(data=b'Name\n"a', table=True)
@example(data=b'"a\r\n"x', table=True)
@example(data=b"\xff\xfea", table=False)
def test_any_file_is_read_or_refused_clearly(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, table: bool
) -> None:
    from orgguard_mcp.commands.protect import _rows, _taken

    file = tmp_path_factory.mktemp("names") / ("a.csv" if table else "a.txt")
    file.write_bytes(data)
    error = refusal(lambda: sealed(_taken(_rows(file, None)).names.values(), Key(KEY)))
    if error:
        assert (error.exit_code, bool(error.hint)) == (2, True)


# --- check ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("keyed")
def test_a_protected_name_is_denied_whatever_else_is_true_of_it(make_repo: MakeRepo) -> None:
    names = (COINED, THIRD, "Initech")
    policy = 'reserved = ["Initech"]\n'
    repo = make_repo({
        PATH: listed(*names), "a.py": f"import {THIRD}\n", ".orgguard/policy.toml": policy,
    })  # fmt: skip
    with Guard(repo.path) as guard:
        for name in names:
            verdict = guard.check(name)
            assert (verdict.basis, verdict.effect) == (Basis.PROTECTED, Effect.DENY)
        assert guard.check(FOURTH).basis is Basis.UNKNOWN
        verdict = guard.request(COINED, [Ask("a.py:1", "", "", Asker(), 0.0)])
        assert guard.ledger.pending() == []
    reply = consent([verdict])
    assert (reply.status, reply.effect, reply.next) == ("refused", "deny", NEUTRAL)


def test_without_the_key_a_check_goes_on_and_says_so(make_repo: MakeRepo) -> None:
    repo = make_repo({PATH: listed(COINED), "a.py": f"import {THIRD}\n"})
    with Guard(repo.path) as guard:
        for name, basis in ((COINED, Basis.UNKNOWN), (THIRD, Basis.ESTABLISHED)):
            verdict = guard.check(name)
            assert verdict.basis is basis
            assert verdict.why.endswith("; the protected names were not checked: no key")


def test_a_wrong_key_is_no_verdict_but_the_queue_still_opens(
    make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo({PATH: listed(COINED)})
    monkeypatch.setenv(ENVIRONMENT_KEY, OTHER)
    with Guard(repo.path) as guard:
        with pytest.raises(OrgGuardError, match="not checked"):
            guard.check(COINED)
        assert guard.ledger.pending() == []


def test_a_repository_without_a_list_needs_no_key(
    make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_KEY, "no key")
    with Guard(make_repo({"a.py": "1\n"}).path) as guard:
        assert "protected" not in guard.check(COINED).why
