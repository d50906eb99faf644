"""The book of grants: which files count, and why the others do not."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orgguard_mcp import grants
from orgguard_mcp.approvers import Approvers
from orgguard_mcp.errors import SigningError
from orgguard_mcp.grantbook import CLOCKS_DIFFER, GrantBook, Rules, withdrawals
from orgguard_mcp.grants import Grant
from orgguard_mcp.model import Place, Scope
from orgguard_mcp.names import canonicalise
from tests.approver import Approver
from tests.names import COINED, COINED_TOO, THIRD

KEY = canonicalise(COINED)
HERE, ELSEWHERE = "this", f"{THIRD}/repository"
DAY = 86400
ANYWHERE = Place()


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Approver:
    return Approver(tmp_path_factory.mktemp("ada"))


@pytest.fixture(scope="module")
def grant(ada: Approver) -> Grant:
    """A grant that counts."""
    return ada.grant(HERE, COINED)


@pytest.fixture(scope="module")
def for_change(ada: Approver) -> Grant:
    """One that holds on a branch."""
    return ada.grant(HERE, COINED, Scope(branch="feature"))


def book(ada: Approver, *files: Grant | tuple[str, bytes], **rules: object) -> GrantBook:
    """A book of *files*, by rules under which *ada* approves in `HERE`."""
    said = {"approvers": ada.approvers, "repository": HERE} | rules
    named = [(f.file_name, f.text.encode()) if isinstance(f, Grant) else f for f in files]
    return GrantBook(dict(named), Rules(**said))


def refusal(refused: GrantBook) -> str:
    """Why the only grant of *refused* does not count."""
    assert refused.find(KEY, Place("a.py", "feature")) is None
    assert (refused.grants, refused.about(KEY), refused.narrow) == ([], [], False)
    (fault,) = refused.faults
    for name in (COINED, COINED_TOO, THIRD):
        assert name.lower() not in str(fault).lower()
    assert str(fault).endswith(f" does not count: {fault.why}")
    return fault.why


def test_a_grant_that_an_approver_signed_counts(ada: Approver, grant: Grant) -> None:
    counted = book(ada, grant)
    assert counted
    assert counted.grants == [grant]
    assert counted.find(KEY, ANYWHERE) == grant
    assert counted.find(canonicalise(COINED_TOO), ANYWHERE) is None
    assert (counted.about(KEY), counted.faults, counted.narrow) == ([grant], [], False)


def test_an_empty_book_says_no(ada: Approver) -> None:
    empty = book(ada, ("README.md", b"# Grants\n"), (f"{'0' * 32}.withdrawn", b""))
    assert not empty
    assert (empty.grants, empty.faults) == ([], [])
    assert empty.find(KEY, ANYWHERE) is None


def test_a_grant_for_a_place_holds_there_alone(ada: Approver, for_change: Grant) -> None:
    counted = book(ada, for_change)
    assert counted.narrow
    assert counted.find(KEY, Place("a.py", "feature")) == for_change
    assert counted.find(KEY, Place("a.py", "feature2")) is None
    assert counted.about(KEY) == [for_change]


def test_the_one_that_holds_is_found_among_several(
    ada: Approver, grant: Grant, for_change: Grant
) -> None:
    other = ada.grant(HERE, COINED_TOO)
    counted = book(ada, other, for_change, grant)
    assert len(counted.grants) == 3
    assert counted.find(KEY, ANYWHERE) == grant
    assert counted.find(canonicalise(COINED_TOO), ANYWHERE) == other


# --- what does not count --------------------------------------------------------------------------

ID = "0" * 32


def test_a_copy_under_another_name_does_not_count(ada: Approver, grant: Grant) -> None:
    copied = book(ada, (f"{ID}.grant", grant.text.encode()))
    assert refusal(copied) == "it is a copy under another name"
    assert copied.faults[0].id == ID
    assert str(copied.faults[0]).startswith("the grant 00000000 ")


@pytest.mark.parametrize(
    "file",
    [f"{COINED}.grant", ".grant", f"{ID.upper()[1:]}A.grant", f"{ID}0.grant", f"{ID}\n.grant"],
)
def test_a_files_own_name_is_not_repeated(ada: Approver, grant: Grant, file: str) -> None:
    copied = book(ada, (file, grant.text.encode()))
    assert refusal(copied) == "it is a copy under another name"
    assert str(copied.faults[0]).startswith("a file among the grants ")


def test_a_grant_for_another_repository_does_not_count(ada: Approver, grant: Grant) -> None:
    assert (
        refusal(book(ada, ada.grant(ELSEWHERE, COINED))) == "it was signed for another repository"
    )
    assert refusal(book(ada, grant, repository="root:0")) == "it was signed for another repository"


@pytest.mark.parametrize("where", ["the tree", "the base"])
def test_a_withdrawn_grant_does_not_count(ada: Approver, grant: Grant, where: str) -> None:
    if where == "the tree":
        withdrawn = book(ada, grant, (f"{grant.id}.withdrawn", b""))
    else:
        withdrawn = book(ada, grant, withdrawn=frozenset({grant.id}))
    assert refusal(withdrawn) == "it was withdrawn"
    assert withdrawn.faults[0].over


def test_a_mark_with_text_withdraws_all_the_same(ada: Approver, grant: Grant) -> None:
    assert refusal(book(ada, grant, (f"{grant.id}.withdrawn", b"words"))) == "it was withdrawn"


def test_a_change_that_is_merged_is_over(ada: Approver, grant: Grant, for_change: Grant) -> None:
    merged = book(ada, for_change, merged=frozenset({for_change.id}))
    assert refusal(merged) == "it was for one change, which is merged"
    assert merged.faults[0].over
    assert book(ada, grant, merged=frozenset({grant.id})).find(KEY, ANYWHERE) == grant


def test_an_expired_grant_does_not_count(ada: Approver) -> None:
    expired = book(ada, ada.grant(HERE, COINED, decided_at=time.time() - 31 * DAY, days=30))
    assert refusal(expired) == "it has expired"
    assert expired.faults[0].over
    lasting = ada.grant(HERE, COINED, decided_at=time.time() - 29 * DAY, days=30)
    assert book(ada, lasting).find(KEY, ANYWHERE) == lasting


def test_a_grant_expires_while_a_book_lives_on(ada: Approver, grant: Grant) -> None:
    counted = book(ada, grant)
    assert counted.find(KEY, ANYWHERE) == grant
    counted.grants[0] = replace(grant, expires_at=int(time.time()))  # as if its time had come
    assert counted.find(KEY, ANYWHERE) is None


def test_a_grant_of_the_future_does_not_count(ada: Approver) -> None:
    early = ada.grant(HERE, COINED, decided_at=time.time() + CLOCKS_DIFFER / 2)
    assert book(ada, early).find(KEY, ANYWHERE) == early
    future = book(ada, ada.grant(HERE, COINED, decided_at=time.time() + 2 * CLOCKS_DIFFER))
    assert refusal(future) == "it was signed in the future"
    assert not future.faults[0].over


UNSIGNED = "its signature is not that of an approver whom the base lists"


def test_a_signature_of_nobody_who_is_listed_does_not_count(
    ada: Approver, grant: Grant, tmp_path: Path
) -> None:
    eve = Approver(tmp_path / "eve")  # who says that she is Ada
    other = ada.grant(HERE, COINED)
    for forged in (
        eve.grant(HERE, COINED),
        ada.grant(HERE, COINED, approver=THIRD),
        replace(grant, signature=other.signature),
        replace(grant, beside=(other.digest,)),
        replace(grant, lifts_protection=True),
        *ada.sign([ada.draft(HERE, COINED)], namespace="git"),
    ):
        assert refusal(book(ada, forged)) == UNSIGNED
    assert refusal(book(eve, grant)) == UNSIGNED
    assert refusal(book(ada, grant, approvers=Approvers())) == UNSIGNED


PARSER: dict[str, Callable[[bytes], bytes]] = {
    "it is no text": lambda text: text + b"\xff",
    "it does not begin with a statement of this version": lambda text: text.replace(b"1", b"2", 1),
    "it does not end with a signature": lambda text: text[: text.index(b"-----END")],
    "its fields do not agree": lambda text: text.replace(b"scope repository", b"scope paths"),
    "its time is none": lambda text: re.sub(rb"(decided \d{4})-\d\d", rb"\1-13", text),
    "its list of other grants is not in order": lambda text: text.replace(
        b"-----BEGIN", (b"beside " + b"1" * 64 + b"\n") * 2 + b"-----BEGIN"
    ),
}


@pytest.mark.parametrize(("why", "damage"), PARSER.items())
def test_a_damaged_file_does_not_count(
    ada: Approver, grant: Grant, why: str, damage: Callable[[bytes], bytes]
) -> None:
    damaged = book(ada, (grant.file_name, damage(grant.text.encode())))
    assert refusal(damaged) == why
    assert damaged.faults[0].id == grant.id
    assert not damaged.faults[0].over


def test_a_damaged_file_does_not_spoil_the_others(ada: Approver, grant: Grant) -> None:
    counted = book(ada, (f"{ID}.grant", COINED.encode()), grant, ("f.grant", b""))
    assert counted.find(KEY, ANYWHERE) == grant
    assert len(counted.faults) == 2


def test_a_thousand_files_of_junk_are_set_aside_at_once(ada: Approver, grant: Grant) -> None:
    text = grant.text.encode()
    junk = [(f"{n:032x}.grant", text[: n % 700] + os.urandom(300)) for n in range(1000)]
    started = time.process_time()
    counted = book(ada, *junk, (f"{'f' * 32}.grant", text + b"0" * (5 << 20)), grant)
    assert counted.find(KEY, ANYWHERE) == grant
    assert len(counted.faults) == 1001
    assert time.process_time() - started < 5


def test_what_cannot_be_verified_is_neither_yes_nor_no(
    ada: Approver,
    grant: Grant,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    unchecked = book(ada, grant, (f"{ID}.grant", b""))
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        for call in (lambda: unchecked.find(KEY, ANYWHERE), unchecked.plain_files):
            with pytest.raises(SigningError):
                call()
    assert unchecked.find(KEY, ANYWHERE) == grant
    assert [fault.id for fault in unchecked.faults] == [ID]


# --- files without a name -------------------------------------------------------------------------


def test_files_that_hold_no_name_are_marks_and_grants_that_count(
    ada: Approver, grant: Grant, for_change: Grant
) -> None:
    forged = replace(ada.grant(HERE, COINED), log="1" * 64)
    elsewhere = ada.grant(ELSEWHERE, COINED)
    mark, worded = f"{ID}.withdrawn", f"{'1' * 32}.withdrawn"
    found = book(
        ada, grant, for_change, forged, elsewhere, (f"{ID}.grant", grant.text.encode()),
        (mark, b""), (worded, COINED.encode()), (f"{COINED}.withdrawn", b""),
        (f"{COINED}.grant", b""), ("README.md", b""),
    ).plain_files()  # fmt: skip
    assert found == {grant.file_name, for_change.file_name, mark}


def test_nothing_is_plain_where_nobody_approves(ada: Approver, grant: Grant) -> None:
    assert book(ada, grant, approvers=Approvers()).plain_files() == frozenset()


def test_withdrawals_are_known_by_their_files() -> None:
    files = ["a.withdrawn", "b.grant", "withdrawn", "README.md"]
    assert withdrawals(files) == {"a"}
    assert grants.WITHDRAWN == ".withdrawn"
