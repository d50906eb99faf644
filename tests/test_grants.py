"""Grants: what the file says, what it hides, where it holds, and that nothing in it can change."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgguard_mcp import grants
from orgguard_mcp.errors import GrantError
from orgguard_mcp.grants import Grant, parse_grant
from orgguard_mcp.model import Place, Scope
from orgguard_mcp.names import canonicalise
from orgguard_mcp.signing import verify
from tests.approver import Approver
from tests.names import ACCENTED, COINED, COINED_TOO, CYRILLIC_TWIN, NON_LATIN, THIRD, TWO_WORDS

KEY = canonicalise(COINED)
PATH, BRANCH = f"src/{COINED.lower()}/client.py", f"feature/{COINED.lower()}-sync"
SCOPES = {"repository": Scope(), "paths": Scope((PATH, "b.py")), "change": Scope(branch=BRANCH)}
REPOSITORY = "root:" + "2f" * 20


def armour(data: bytes) -> str:
    """*data* as ssh-keygen writes a signature."""
    text = base64.b64encode(data).decode()
    lines = "".join(f"{text[at : at + 70]}\n" for at in range(0, len(text), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}-----END SSH SIGNATURE-----\n"


def strings(*fields: bytes) -> bytes:
    """*fields* as SSH writes them, each after its length."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in fields)


def taken_apart(data: bytes) -> Iterator[bytes]:
    """The strings that *data* is made of."""
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        yield data[4:end]
        data = data[end:]


PREAMBLE = b"SSHSIG\0\0\0\1"
UNSIGNED = armour(PREAMBLE + strings(b"key", b"orgguard", b"", b"sha512", b"signature"))
"""A signature in its form alone."""


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Approver:
    return Approver(tmp_path_factory.mktemp("ada"))


@pytest.fixture(scope="module")
def alone(ada: Approver) -> Grant:
    """A grant with a signature of its own, with every kind of line but `beside`."""
    return ada.grant(REPOSITORY, COINED, SCOPES["paths"], lifts_protection=True)


@pytest.fixture(scope="module")
def batch(ada: Approver) -> list[Grant]:
    """Three grants that share a signature."""
    return ada.sign([
        ada.draft(REPOSITORY, name, scope)
        for name, scope in zip((COINED, COINED_TOO, THIRD), SCOPES.values(), strict=True)
    ])  # fmt: skip


def counts(data: bytes, ada: Approver) -> bool:
    """Whether *data* is read, and is signed by *ada*."""
    try:
        grant = parse_grant(data)
    except GrantError:
        return False
    return verify(grant.message, grant.signature, grant.approver, ada.approvers)


# --- reading and writing --------------------------------------------------------------------------

NAMES = st.sampled_from([COINED, COINED_TOO, THIRD, TWO_WORDS, ACCENTED, NON_LATIN])
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\x7f", min_codepoint=33), min_size=1
)
HEX64 = st.binary(min_size=32, max_size=32).map(bytes.hex)


@cache
def drafted(name: str, scope: str) -> Grant:
    """A draft, made once: stretching a name takes its time."""
    return grants.draft(
        canonicalise(name), SCOPES[scope], repository=REPOSITORY, request="0123abcd",
        approver="ada@example.com", decided_at=1.5e9, days=365,
    )  # fmt: skip


@st.composite
def drafts(draw: st.DrawFn) -> Grant:
    """Grants of every kind, with an unsigned signature."""
    decided = draw(st.integers(0, 4_000_000_000))
    return replace(
        drafted(draw(NAMES), draw(st.sampled_from(list(SCOPES)))),
        repository=draw(WORDS),
        request=draw(st.binary(min_size=4, max_size=4)).hex(),
        approver=draw(st.from_regex(r"[A-Za-z0-9._+@-]+", fullmatch=True)),
        lifts_protection=draw(st.booleans()),
        decided_at=decided,
        expires_at=decided + draw(st.integers(0, 4_000_000_000)),
        log=draw(HEX64),
        beside=tuple(sorted(draw(st.sets(HEX64, max_size=3)))),
        signature=UNSIGNED,
    )


@given(drafts())
def test_what_is_written_is_read_again(grant: Grant) -> None:
    assert parse_grant(grant.text.encode()) == grant


FRAGMENTS = st.sampled_from([*drafted(COINED, "paths").text.splitlines(keepends=True), UNSIGNED])
BYTES = st.binary() | st.lists(FRAGMENTS).map(lambda lines: "".join(lines).encode())


@settings(max_examples=300)
@given(BYTES, drafts(), st.integers(0, 2000))
def test_any_bytes_are_refused_or_written_alike(data: bytes, grant: Grant, at: int) -> None:
    whole = grant.text.encode()
    for text in (data, whole[:at] + data + whole[at:], whole[:at] + data):
        try:
            read = parse_grant(text)
        except GrantError:
            continue
        assert read.text.encode() == text


def test_a_grant_says_its_times_and_terms_in_words(alone: Grant) -> None:
    lines = alone.text.splitlines()
    assert lines[0] == "orgguard-grant 1"
    assert f"repository {REPOSITORY}" in lines
    assert "lifts protection" in lines
    assert "approver ada@example.com" in lines
    assert alone.expires_at - alone.decided_at == 30 * 86400
    assert parse_grant(alone.text.encode()) == alone
    assert alone.file_name == f"{alone.id}.grant" == grants.file_name_of(alone.text)
    assert grants.file_name_of(COINED) == "damaged.grant"


# --- what the file does not tell ------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
def test_the_file_holds_neither_name_nor_place(ada: Approver, scope: Scope) -> None:
    grant = ada.grant(REPOSITORY, COINED, scope)
    text = grant.statement.lower()
    for part in ("client", "b.py", "feature", *(COINED[at : at + 3] for at in range(6))):
        assert part.lower() not in text
    signature = base64.b64decode("".join(grant.signature.split("\n")[1:-2])).lower()
    for word in (COINED, COINED.lower(), COINED.upper(), KEY, PATH, BRANCH):
        assert word.lower() not in text
        assert word.encode().hex() not in text
        assert base64.b64encode(word.encode()).decode().rstrip("=")[:-1].lower() not in text
        assert word.lower().encode() not in signature
    for unsalted in (hashlib.sha256, hashlib.sha1, hashlib.md5):
        for word in (COINED, KEY, COINED.lower(), PATH, BRANCH):
            assert unsalted(word.encode()).hexdigest() not in text


def test_two_grants_for_one_name_and_place_share_nothing(ada: Approver) -> None:
    one, two = (ada.draft(REPOSITORY, COINED, SCOPES["paths"]) for _ in range(2))
    assert one.id != two.id
    assert not {one.name, *one.within} & {two.name, *two.within}


def test_the_name_is_not_repeated_as_a_place(ada: Approver) -> None:
    """The same word is sealed otherwise as name, as path and as branch."""
    branch = ada.draft(REPOSITORY, COINED, Scope(branch=KEY))
    paths = ada.draft(REPOSITORY, COINED, Scope((KEY,)))
    assert branch.name not in branch.within
    assert paths.name not in paths.within
    relabelled = replace(branch, scope="paths")
    assert branch.covers(KEY, Place(None, KEY))
    assert not relabelled.covers(KEY, Place(KEY, KEY))


# --- where it holds -------------------------------------------------------------------------------

PLACES = {
    "nowhere": Place(),
    "its path": Place(PATH),
    "its branch": Place(None, BRANCH),
    "both": Place(PATH, BRANCH),
    "another path": Place("a.py", "main"),
    "path and branch exchanged": Place(BRANCH, PATH),
}
HOLDS = {
    "repository": set(PLACES),
    "paths": {"its path", "both"},
    "change": {"its branch", "both"},
}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_grant_holds_where_its_scope_says(scope: str) -> None:
    grant = drafted(COINED, scope)
    assert {what for what, at in PLACES.items() if grant.covers(KEY, at)} == HOLDS[scope]
    for other in (COINED_TOO, f"{COINED}s", CYRILLIC_TWIN[:-1], TWO_WORDS):
        assert not any(grant.covers(canonicalise(other), at) for at in PLACES.values())


@pytest.mark.parametrize(
    "spelling", [f"{COINED} GmbH", COINED.upper(), f"{COINED.lower()}.com", CYRILLIC_TWIN]
)
def test_a_grant_is_about_every_spelling_of_the_name(spelling: str) -> None:
    assert drafted(COINED, "repository").is_about(canonicalise(spelling))


def test_a_path_that_is_no_text_is_a_place_like_any_other(ada: Approver) -> None:
    odd = "src/\udcff.py"
    grant = ada.grant(REPOSITORY, COINED, Scope((odd,)))
    assert grant.covers(KEY, Place(odd))
    assert not grant.covers(KEY, Place("src/\ufffd.py"))


# --- nothing of it can be changed -----------------------------------------------------------------


def changes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """*data* with one byte changed, removed or inserted, at every position."""
    for at, byte in enumerate(data):
        for other in {byte ^ 1, byte ^ 32}:
            yield at, data[:at] + bytes([other]) + data[at + 1 :]
        yield at, data[:at] + data[at + 1 :]
        yield at, data[:at] + bytes([byte]) + data[at:]
        yield at, data[:at] + b"0" + data[at:]


@pytest.mark.parametrize("kind", ["alone", "one of three"])
def test_no_byte_can_be_changed(ada: Approver, alone: Grant, batch: list[Grant], kind: str) -> None:
    data = (alone if kind == "alone" else batch[1]).text.encode()
    assert counts(data, ada)
    read: dict[bytes, int] = {}
    for at, changed in changes(data):
        try:
            if changed != data:
                parse_grant(changed)
                read.setdefault(changed, at)
        except GrantError:
            continue
    # The parser takes a changed number for a number; of each place one such is put to ssh-keygen.
    one_each = {at: changed for changed, at in read.items()}
    assert len(one_each) > 300
    assert [at for at, changed in one_each.items() if counts(changed, ada)] == []


@pytest.mark.parametrize("field", range(5))
def test_nothing_can_be_slipped_into_the_signature(ada: Approver, alone: Grant, field: int) -> None:
    data = base64.b64decode("".join(alone.signature.split("\n")[1:-2]))
    fields = list(taken_apart(data.removeprefix(PREAMBLE)))
    assert armour(PREAMBLE + strings(*fields)) == alone.signature
    said = f"{COINED} is a customer".encode()
    for slipped in (fields[field] + said, said + fields[field], said):
        changed = [*fields[:field], slipped, *fields[field + 1 :]]
        text = replace(alone, signature=armour(PREAMBLE + strings(*changed))).text
        assert not counts(text.encode(), ada)
    for changed_data in (data + said, strings(*fields), data[:-1]):
        assert not counts(replace(alone, signature=armour(changed_data)).text.encode(), ada)


def test_a_signature_has_one_spelling(alone: Grant) -> None:
    """ssh-keygen reads more than it writes: lines of other lengths, and bits that nothing uses."""
    head, *lines, last, tail, _ = alone.signature.split("\n")
    text = "".join([*lines, last])
    letters = last.rstrip("=")
    assert last != letters
    for respelt in (
        [text], [text[at : at + 64] for at in range(0, len(text), 64)],
        [*lines, letters[:-1] + chr(ord(letters[-1]) + 1) + last[len(letters) :]],
        [*lines, letters],
    ):  # fmt: skip
        with pytest.raises(GrantError) as raised:
            parse_grant(alone.text.replace("\n".join([*lines, last]), "\n".join(respelt)).encode())
        assert raised.value.cause == "it does not end with a signature"
    assert (head, tail) == ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----")


def test_a_file_has_a_limit(alone: Grant) -> None:
    largest, larger = (replace(alone, within=("0" * 64,) * count) for count in (890, 920))
    assert parse_grant(largest.text.encode()) == largest
    with pytest.raises(GrantError):
        parse_grant(larger.text.encode())


def test_lines_cannot_be_left_out_repeated_or_exchanged(
    ada: Approver, alone: Grant, batch: list[Grant]
) -> None:
    for grant in (alone, batch[0]):
        lines = grant.text.splitlines(keepends=True)
        for at in range(len(lines)):
            dropped = [*lines[:at], *lines[at + 1 :]]
            twice = [*lines[:at], lines[at], *lines[at:]]
            turned = [*lines[: at - 1], lines[at], lines[at - 1], *lines[at + 1 :]] if at else []
            for changed in (lines[:at], dropped, twice, turned):
                assert not counts("".join(changed).encode(), ada)


def test_a_second_file_or_other_line_ends_are_no_grant(alone: Grant, batch: list[Grant]) -> None:
    one, two = alone.text.encode(), batch[0].text.encode()
    for text in (
        one + two, one + one, one + b"\n", b"\n" + one, one + b" ", one[:-1], b"\xef\xbb\xbf" + one,
        one.replace(b"\n", b"\r\n"), one.replace(b"\n", b"\r"), one.decode().encode("utf-16"), b"",
        one + b"\0", one.replace(b"2026-", "２０２６-".encode()), one + b"x" * (5 << 20),
    ):  # fmt: skip
        with pytest.raises(GrantError):
            parse_grant(text)


def test_a_grant_cannot_borrow_the_signature_of_another(
    ada: Approver, alone: Grant, batch: list[Grant]
) -> None:
    stranger = ada.draft(REPOSITORY, TWO_WORDS)
    digests = sorted((one.digest for one in batch), key=str)
    for forged in (
        replace(stranger, signature=alone.signature),
        replace(stranger, beside=(alone.digest,), signature=alone.signature),
        replace(stranger, beside=tuple(digests), signature=batch[0].signature),
        replace(stranger, beside=tuple(digests[1:]), signature=batch[0].signature),
        replace(batch[0], beside=(), signature=batch[0].signature),
        replace(batch[0], beside=alone.beside, signature=alone.signature),
    ):
        assert not counts(forged.text.encode(), ada)


def test_a_scope_cannot_be_widened(ada: Approver, batch: list[Grant]) -> None:
    change = batch[2]
    assert change.scope == "change"
    for forged in (
        replace(change, scope="repository", within=()),
        replace(change, scope="repository"),
        replace(change, within=()),
        replace(change, within=(*change.within, "0" * 64)),
        replace(change, expires_at=change.expires_at + 86400),
        replace(change, lifts_protection=True),
    ):
        assert not counts(forged.text.encode(), ada)


# --- several at once ------------------------------------------------------------------------------


def test_each_file_of_a_batch_counts_alone(ada: Approver, batch: list[Grant]) -> None:
    assert [counts(one.text.encode(), ada) for one in batch] == [True, True, True]
    assert len({one.signature for one in batch}) == len({one.message for one in batch}) == 1
    digests = {one.digest for one in batch}
    for one in batch:
        assert list(one.beside) == sorted(digests - {one.digest})
        assert one.message.decode().splitlines() == ["orgguard-grants 1", *sorted(digests)]


def test_the_list_of_the_others_has_one_order(batch: list[Grant]) -> None:
    first = batch[0]
    for beside in (
        first.beside[::-1], (*first.beside, first.beside[-1]),
        tuple(sorted((*first.beside, first.digest))),
    ):  # fmt: skip
        with pytest.raises(GrantError) as raised:
            parse_grant(replace(first, beside=beside).text.encode())
        assert raised.value.cause == "its list of other grants is not in order"
