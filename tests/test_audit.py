"""The audit export, of every engine: what is verified without the store, and what it discloses."""

from __future__ import annotations

import hashlib
import json
import re
import resource
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp import audit
from orgguard_mcp.audit import AlteredError
from orgguard_mcp.errors import LedgerError, OrgGuardError, UsageError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker
from orgguard_mcp.names import parse
from orgguard_mcp.storage.ledger import Ledger
from orgguard_mcp.storage.pg_ledger import PostgresLedger
from orgguard_mcp.storage.pg_log import draft
from orgguard_mcp.storage.store import EMPTY, Store
from tests.approver import Approver, approved, files_of
from tests.canary import Canary
from tests.database import Server
from tests.human import COMMAND, Human
from tests.ledgers import InDatabase, alter, an_ask, answer, ask
from tests.names import ACCENTED, COINED, COINED_TOO, NON_LATIN
from tests.simulator import Repo

WHEN = "2026-01-02T03:04:05Z"


def fill(ledger: Store) -> None:
    """A question of each outcome, and texts of every script."""
    granted, refused = ask(ledger), ask(ledger, COINED_TOO, an_ask(), an_ask("b.py:2"))
    ledger.decide(answer(granted, Answer.GRANT, f"{ACCENTED} \x9b\u202e"), "the text of a grant")
    ledger.decide(answer(refused, Answer.REFUSE))
    ledger.decide(answer(granted, Answer.WITHDRAW))
    ask(ledger, NON_LATIN)


def written(ledger: Store, *, reveal: bool) -> bytes:
    return "".join(audit.lines(ledger.export(reveal=reveal), "a repository", WHEN)).encode()


def read(export: bytes) -> audit.Verified:
    return audit.verify(export.splitlines(keepends=True))


@pytest.fixture(params=["file", "shared", "shared, revealed"])
def export(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """An export of every kind."""
    if request.param == "file":
        with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
            fill(ledger)
            return written(ledger, reveal=True)
    server = request.getfixturevalue("server")
    with closing(InDatabase(server.url, str(tmp_path)).open()) as shared:
        fill(shared)
        return written(shared, reveal="revealed" in request.param)


# --- verifying ------------------------------------------------------------------------------------


def test_export_is_whole_and_ends_with_the_ledgers_own_head(ledger: Store) -> None:
    assert read(written(ledger, reveal=True)).header["head"] == EMPTY
    fill(ledger)
    found = read(written(ledger, reveal=True)).header
    assert (found["head"], found["count"]) == (ledger.head(), 11)
    assert (found["repository"], found["exported_at"]) == ("a repository", WHEN)


def test_what_is_asked_after_an_export_began_is_not_in_it(ledger: Store) -> None:
    fill(ledger)
    begun = ledger.export(reveal=True)
    ask(ledger, f"{COINED} later")
    assert read("".join(audit.lines(begun, "", WHEN)).encode()).header["count"] == 11
    later = read(written(ledger, reveal=True)).header
    assert later["count"] == 13


def altered(export: bytes) -> int:
    """The line from which on the export is not as it was written."""
    with pytest.raises(AlteredError) as caught:
        read(export)
    return int(re.findall(r"^line (\d+)", str(caught.value))[0])


def test_any_byte_that_differs_is_told_with_its_line(export: bytes) -> None:
    begins = export.index(b"repository")  # before that it is no export at all

    @given(at=st.integers(begins, len(export) - 1), given=st.integers(0, 255), how=st.booleans())
    def differs(at: int, given: int, how: bool) -> None:
        """Another byte in a byte's place, or before it."""
        changed = export[:at] + bytes([given]) + export[at + how :]
        if changed != export:
            assert altered(changed) == export.count(b"\n", 0, at) + 1

    @given(at=st.integers(begins, len(export) - 1), size=st.integers(1, 200))
    def lacks(at: int, size: int) -> None:
        changed = export[:at] + export[at + size :]
        line = export.count(b"\n", 0, at) + 1
        assert altered(changed) in {line, line + 1}

    differs()
    lacks()
    assert altered(export + b"\n") == export.count(b"\n") + 1


def test_any_line_that_is_added_missing_or_moved_is_told(export: bytes) -> None:
    lines = export.splitlines(keepends=True)
    entries = st.integers(1, len(lines) - 1)

    @given(one=entries, other=entries)
    def changed(one: int, other: int) -> None:
        without = [*lines[:one], *lines[one + 1 :]]
        assert altered(b"".join(without)) == one + 1
        doubled = [*lines[:one], lines[other], *lines[one:]]
        assert altered(b"".join(doubled)) in {one + 1, one + 2}
        if one != other:
            swapped = list(lines)
            swapped[one], swapped[other] = lines[other], lines[one]
            assert altered(b"".join(swapped)) == min(one, other) + 1

    changed()


def respell(line: bytes, **changes: object) -> bytes:
    """A line of the same meaning to JSON, or with some other values."""
    return json.dumps(json.loads(line) | changes, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("value", [True, 1.0], ids=repr)
def test_number_that_is_equal_to_python_is_told(export: bytes, value: object) -> None:
    lines = export.splitlines(keepends=True)
    assert respell(lines[1]) == lines[1]
    assert altered(b"".join([lines[0], respell(lines[1], number=value), *lines[2:]])) == 2


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        (rb'":', b'": '),
        (rb'"number":1,', b'"number":1,"number":1,'),
        (rb'"number":1,("kind":"request",)', rb'\1"number":1,'),
        (rb'"request"', rb'"\\u0072equest"'),
        (rb'"digest":"(.)', rb'"digest":"\\u003\1'),
        (rb'"at":(.)', rb'"at":\g<1>00e-2,"at":\1'),
    ],
    ids=["spaced", "doubled", "reordered", "escaped", "odd", "renumbered"],
)
def test_line_of_the_same_meaning_in_other_words_is_told(
    export: bytes, found: bytes, instead: bytes
) -> None:
    header, first, *rest = export.splitlines(keepends=True)
    changed = re.sub(found, instead, first, count=1)
    assert changed != first
    assert altered(b"".join([header, changed, *rest])) == 2


def test_salt_in_other_letters_is_told(tmp_path: Path, server: Server) -> None:
    with closing(InDatabase(server.url, str(tmp_path)).open()) as ledger:
        fill(ledger)
        header, first, *rest = written(ledger, reveal=True).splitlines(keepends=True)
    shouted = respell(first, salt=json.loads(first)["salt"].upper())
    assert shouted != first
    assert altered(b"".join([header, shouted, *rest])) == 2


def test_chain_that_was_built_anew_is_told_by_a_head_that_was_signed(
    tmp_path: Path, server: Server
) -> None:
    with closing(InDatabase(server.url, str(tmp_path)).open()) as ledger:
        request = ask(ledger)
        before = ledger.head()
        ledger.decide(answer(request, Answer.REFUSE))
        header, *lines = written(ledger, reveal=False).splitlines(keepends=True)
    head, forged = EMPTY, []
    for number, line in enumerate(lines):
        entry = json.loads(line) | ({"request": []} if number == 0 else {"at": 1.0})
        shown = [entry[word] for word in audit._SHOWN]
        head = audit.chained_in_store(head, [json.loads(header)["log"], *shown])
        forged.append(respell(json.dumps(entry).encode(), digest=head))
    anew = [forged_header(header, head=head), *forged]
    assert audit.verify(anew).header["head"] == head
    assert audit.verify([header, *lines], [(request.id, before)]).signed == 1
    with pytest.raises(AlteredError):
        audit.verify(anew, [(request.id, before)])


def test_entry_whose_content_was_taken_away_is_told(ledger: Store) -> None:
    fill(ledger)
    header, first, *rest = written(ledger, reveal=True).splitlines(keepends=True)
    entry = json.loads(first)
    for word in ("salt", "content"):
        entry.pop(word, None)
    bare = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
    assert altered(b"".join([header, bare, *rest])) == 2


def forged_header(line: bytes, **changes: object) -> bytes:
    """A header that is right in itself."""
    header = json.loads(line) | changes
    del header["digest"]
    digest = hashlib.sha256(json.dumps(header, separators=(",", ":")).encode()).hexdigest()
    return respell(json.dumps(header).encode(), digest=digest)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"count": 10}, 12),
        ({"count": 10**9}, 13),
        ({"head": "f" * 64}, 12),
        ({"count": -1}, 1),
        ({"count": True}, 1),
        ({"count": [1]}, 1),
        ({"engine": "other"}, 1),
        ({"columns": []}, 1),
        ({"repository": None}, 1),
        ({"revealed": []}, 2),
        ({"log": "another"}, 2),
    ],
    ids=str,
)
def test_header_that_is_right_in_itself_does_not_make_another_log(
    tmp_path: Path, server: Server, changes: dict[str, object], line: int
) -> None:
    with closing(InDatabase(server.url, str(tmp_path)).open()) as ledger:
        fill(ledger)
        header, *rest = written(ledger, reveal=True).splitlines(keepends=True)
    assert altered(b"".join([forged_header(header, **changes), *rest])) == line


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000 + b"\n",
        b"9" * 100_000 + b"\n",
        b"\xff\n",
        b"",
        b'{"number":1,"kind":[],"at":0,"content":[],"digest":"x"}\n',
        b'{"number":1,"kind":"request","at":0,"content":7,"digest":"x"}\n',
        b'{"number":1,"kind":"ask","request":{},"at":0,"expires_at":0,"commitment":[],'
        b'"digest":[],"salt":7,"content":"\\ud800"}\n',
    ],
    ids=["deep", "large", "no text", "nothing", "odd kind", "odd content", "odd salt"],
)
def test_hostile_line_is_told_like_any_other(export: bytes, line: bytes) -> None:
    header, _, *rest = export.splitlines(keepends=True)
    assert altered(b"".join([header, line, *rest])) == 2


@pytest.mark.parametrize("text", [b"", b"{}\n", b'{"format":"orgguard-audit 2","x":1}\n'])
def test_file_of_another_format_is_no_finding(text: bytes) -> None:
    with pytest.raises(OrgGuardError) as caught:
        read(text)
    assert caught.value.exit_code == 3
    assert caught.value.hint


def manual(tmp_path: Path, export: bytes) -> subprocess.CompletedProcess[str]:
    """What the verifier that the manual prints says of *export*."""
    page = (Path(__file__).parents[1] / "docs" / "audit.md").read_text()
    program, file = tmp_path / "verifier.py", tmp_path / "export.jsonl"
    program.write_text(page.partition("```python\n")[2].partition("```")[0])
    file.write_bytes(export)
    return subprocess.run(
        [sys.executable, program, file], capture_output=True, text=True, check=False, timeout=60
    )


def test_verifier_of_the_manual_agrees(export: bytes, tmp_path: Path) -> None:
    done = manual(tmp_path, export)
    assert (done.returncode, done.stderr) == (0, "")
    lines = export.splitlines(keepends=True)
    assert manual(tmp_path, b"".join(lines[:-1])).returncode == 1
    changed = [*lines[:4], respell(lines[4], kind="grant"), *lines[5:]]
    done = manual(tmp_path, b"".join(changed))
    assert (done.returncode, done.stderr[:7]) == (1, "line 5:")


# --- what it discloses ----------------------------------------------------------------------------


def test_export_without_names_discloses_none_and_confirms_no_guess(
    tmp_path: Path, server: Server
) -> None:
    with closing(InDatabase(server.url, str(tmp_path)).open()) as ledger:
        fill(ledger)
        bare, told = written(ledger, reveal=False), written(ledger, reveal=True)
        log = ledger._log
    for name in (COINED, COINED_TOO):
        assert Canary(name)(bare) == []
        assert Canary(name)(told) != []
        assert not any(one.encode() in bare for one in log.fingerprints("name", parse(name).key))
    assert read(bare).header["head"] == read(told).header["head"]


def test_file_that_could_confirm_a_guess_is_not_exported_without_its_names(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        fill(ledger)
        with pytest.raises(UsageError) as caught:
            ledger.export(reveal=False)
    assert "--reveal" in caught.value.hint
    assert caught.value.cause


def test_revealed_export_says_who_allowed_what(ledger: Store) -> None:
    fill(ledger)
    entries = [json.loads(line) for line in written(ledger, reveal=True).splitlines()[1:]]
    decided = [entry["content"] for entry in entries if "answer" in entry["content"]]
    assert [(one["key"], one["answer"]) for one in decided] == [
        (parse(COINED).key, "grant"), (parse(COINED_TOO).key, "refuse"),
        (parse(COINED).key, "withdraw"),
    ]  # fmt: skip
    assert decided[0]["decided_by"] == f"{ACCENTED} \x9b\u202e"
    assert written(ledger, reveal=True).isascii()  # nothing of it moves a terminal's cursor


# --- a log that is altered, and a large one -------------------------------------------------------


def test_log_that_is_altered_meanwhile_is_not_exported(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with closing(Ledger(path)) as ledger:
        fill(ledger)
        begun = ledger.export(reveal=True)
        alter(path, "DROP TRIGGER request_is_final")
        alter(path, "UPDATE request SET surface = 'x' WHERE seq = 2")
        with pytest.raises(LedgerError) as caught:
            list(audit.lines(begun, "", WHEN))
    assert "altered" in caught.value.message


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orgguard_entry SET at = at + 1 WHERE number = 3",
        "DELETE FROM orgguard_entry WHERE number = 3",
        "DELETE FROM orgguard_entry WHERE number > 9",
    ],
)
def test_store_that_is_altered_meanwhile_is_not_exported(
    server: Server, here: InDatabase, statement: str
) -> None:
    with closing(here.open()) as ledger:
        fill(ledger)
        begun = ledger.export(reveal=False)
        server.execute(statement, here.url)
        with pytest.raises(LedgerError) as caught:
            list(audit.lines(begun, "", WHEN))
    assert "altered" in caught.value.message


def grow(ledger: Store, entries: int) -> None:
    """Add *entries* at once, as no user does."""
    request = ask(ledger)
    if isinstance(ledger, Ledger):
        with ledger._writing():
            for number in range(entries):
                ledger._attach(request.id, f"text {number}")
        return
    assert isinstance(ledger, PostgresLedger)
    key = request.name.key
    made = [draft("grant", {"key": key, "text": f"text {n}"}) for n in range(entries)]

    def act(db: Any, _: bool) -> None:  # noqa: ANN401
        with ledger._log.writing(db) as log:
            for one in made:
                log.append(request.id, one)

    ledger._session.write(act)


def peak(lines: Iterator[str]) -> int:
    """The most memory that it takes to go through *lines* and to verify them, in bytes."""
    tracemalloc.start()
    try:
        audit.verify(line.encode() for line in lines)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_long_log_takes_no_more_memory_than_a_short_one(ledger: Store) -> None:
    grow(ledger, 1000)
    first = peak(audit.lines(ledger.export(reveal=True), "", WHEN))
    grow(ledger, 4000)
    export = ledger.export(reveal=True)
    assert export.count == 5002
    assert peak(audit.lines(export, "", WHEN)) < 1.3 * first
    tracemalloc.start()
    ledger.verify()
    assert tracemalloc.get_traced_memory()[1] < 1.3 * first
    tracemalloc.stop()


# --- the commands ---------------------------------------------------------------------------------


def orgguard(repo: Repo, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "audit", *arguments], cwd=repo.path, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


def refused(repo: Repo, name: str = COINED) -> str:
    """Have *name* refused in *repo*; the request's id."""
    with Guard(repo.path) as guard:
        guard.request(name, [Ask("a.py:1", "", "", Asker(), 0.0)])
        (request,) = guard.ledger.pending()
        guard.decide(request, Answer.REFUSE, channel="terminal")
        return request.id


@pytest.mark.usefixtures("shared")
def test_export_is_a_new_private_file_that_is_verified_anywhere(
    project: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(project)
    file = tmp_path / "log.jsonl"
    done = orgguard(project, "export", str(file))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Canary(COINED)(file.read_bytes() + done.stderr.encode()) == []
    before = file.read_bytes()
    again = orgguard(project, "export", str(file))
    assert (again.returncode, file.read_bytes()) == (2, before)
    monkeypatch.delenv("ORGGUARD_STORE")
    monkeypatch.delenv("ORGGUARD_STORE_KEY_FILE")
    whole = orgguard(project, "verify", str(file))
    assert whole.returncode == 0, whole.stderr
    head = json.loads(before.splitlines()[-1])["digest"]
    assert whole.stdout == f"whole: 3 entries, head {head}\n"
    file.write_bytes(before.replace(b'"answer"', b'"grant"'))
    found = orgguard(project, "verify", str(file))
    assert found.returncode == 1
    assert found.stdout.startswith("altered: line 4: ")


@pytest.mark.usefixtures("shared")
def test_export_that_does_not_fit_leaves_no_part_of_itself(project: Repo, tmp_path: Path) -> None:
    refused(project)
    file = tmp_path / "log.jsonl"
    done = subprocess.run(
        [*COMMAND, "audit", "export", str(file)], cwd=project.path, capture_output=True, text=True,
        check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (999, 999)),
    )  # fmt: skip
    assert (done.returncode, file.exists()) == (3, False)
    assert "nothing was exported" in done.stderr


@pytest.mark.usefixtures("shared")
def test_names_are_shown_on_the_users_own_terminal_or_when_told(project: Repo) -> None:
    refused(project)
    bare, told = orgguard(project, "export"), orgguard(project, "export", "--reveal")
    assert COINED not in bare.stdout
    assert COINED in told.stdout
    for done in (bare, told):
        assert (done.returncode, read(done.stdout.encode()).header["count"]) == (0, 3)
    with Human(project.path, "export", command="audit") as human:
        assert human.leaves() == 0
        assert COINED in human.emitted


def test_export_with_names_does_not_lie_in_the_working_tree(project: Repo, tmp_path: Path) -> None:
    refused(project)
    done = orgguard(project, "export", "--reveal", "log.jsonl")
    assert done.returncode == 2
    assert "working tree" in done.stderr
    assert not (project.path / "log.jsonl").exists()
    assert orgguard(project, "export", str(tmp_path / "log")).returncode == 2
    assert not (tmp_path / "log").exists()
    done = orgguard(project, "export", "--reveal", str(tmp_path / "log"))
    assert (done.returncode, COINED in done.stderr) == (0, False)
    assert orgguard(project, "verify", str(tmp_path / "log")).returncode == 0


@pytest.mark.parametrize("name", ["none", ".", "a.py"])
def test_file_that_cannot_be_read_is_not_verified(project: Repo, name: str) -> None:
    done = orgguard(project, "verify", name)
    assert (done.returncode, done.stdout) == (3, "")
    assert "hint:" in done.stderr


def test_heads_that_were_signed_must_be_in_the_export(tmp_path: Path) -> None:
    ada = Approver(tmp_path / "ada")
    repo = approved(tmp_path / "repo", ada)
    request = refused(repo)
    file = tmp_path / "log.jsonl"
    assert orgguard(repo, "export", "--reveal", str(file)).returncode == 0
    head = json.loads(file.read_bytes().splitlines()[2])["digest"]
    ours = ada.grant(repo, COINED, request=request, log=head)
    elsewhere = ada.grant(repo, COINED, request="00000000", log="e" * 64)
    repo.write(files_of(ours, elsewhere))
    done = orgguard(repo, "verify", "--anchors", str(file))
    assert done.returncode == 0, done.stdout
    assert "1 head that approvers signed, of 2 at hand" in done.stderr
    repo.write(files_of(ada.grant(repo, COINED, request=request, log="f" * 64)))
    assert orgguard(repo, "verify", str(file)).returncode == 0
    done = orgguard(repo, "verify", "--anchors", str(file))
    assert done.returncode == 1
    assert "signed grant" in done.stdout
