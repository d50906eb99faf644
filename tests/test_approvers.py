"""Who may sign: `.orgguard/approvers` is read strictly, and as ssh-keygen reads it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.approvers import KEY_TYPES, check_person, line_for, parse_approvers
from orgguard_mcp.errors import ApproversError
from orgguard_mcp.signing import verify
from tests.approver import PERSON, Approver, keygen
from tests.names import COINED

MESSAGE = b"a message\n"


def key(kind: str, *strings: bytes) -> str:
    """A public key of *kind* that is made of *strings*, as SSH writes it."""
    data = b"".join(len(one).to_bytes(4, "big") + one for one in (kind.encode(), *strings))
    return f"{kind} {base64.b64encode(data).decode()}"


ED25519 = key("ssh-ed25519", b"k" * 32)
HARDWARE = key("sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:")
HARDWARE_TOO = key("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"k" * 65, b"ssh:")
FOR_THIS = 'namespaces="orgguard"'


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Approver:
    return Approver(tmp_path_factory.mktemp("ada"))


@pytest.mark.parametrize("public", [ED25519, HARDWARE, HARDWARE_TOO])
def test_a_key_with_a_passphrase_or_in_hardware_is_an_approvers(public: str) -> None:
    approvers = parse_approvers(f"{PERSON} {FOR_THIS} {public}\n".encode())
    assert approvers.person(public) == PERSON
    assert public.split()[0] in KEY_TYPES


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("", []),
        ("\n  \n# nobody yet\n  # and still nobody\n\u00a0\x1c\n", []),
        (f"{PERSON} {FOR_THIS} {ED25519}", [(PERSON,)]),
        (f"  {PERSON}\t{FOR_THIS}   {ED25519} a comment of words\r\n", [(PERSON,)]),
        (f"a@b.c,ada.l+x@b-c.d,Ada {FOR_THIS} {ED25519}", [("a@b.c", "ada.l+x@b-c.d", "Ada")]),
        (f'a {FOR_THIS},valid-before="20300101" {ED25519}', [("a",)]),
        (f'a valid-after="202001011200Z",{FOR_THIS} {ED25519}', [("a",)]),
        (f"a {FOR_THIS} {ED25519}\n# more\nb {FOR_THIS} {HARDWARE}\n", [("a",), ("b",)]),
    ],
)  # fmt: skip
def test_good_lines_are_read(text: str, people: list[tuple[str, ...]]) -> None:
    approvers = parse_approvers(text.encode())
    assert [line.people for line in approvers.lines] == people
    assert bool(approvers) == bool(people)
    assert parse_approvers(approvers.text.encode()) == approvers


RSA = key("ssh-rsa", b"\1\0\1", b"k" * 256)
BAD = {
    "a wildcard": f"*@{COINED}.com {FOR_THIS} {ED25519}",
    "a single wildcard": f"{COINED}? {FOR_THIS} {ED25519}",
    "a negation": f"!{COINED} {FOR_THIS} {ED25519}",
    "a quoted person": f'"{COINED}" {FOR_THIS} {ED25519}',
    "nobody between commas": f"{COINED},,b {FOR_THIS} {ED25519}",
    "a person beyond ASCII": f"{COINED}\u0430 {FOR_THIS} {ED25519}",
    "a person who is too long": f"{COINED}{'x' * 200} {FOR_THIS} {ED25519}",
    "no options": f"{COINED} {ED25519} {COINED}",
    "no namespaces": f'{COINED} valid-before="20300101" {ED25519}',
    "every namespace": f'{COINED} namespaces="*" {ED25519}',
    "git's namespace": f'{COINED} namespaces="git" {ED25519}',
    "two namespaces": f'{COINED} namespaces="orgguard,git" {ED25519}',
    "namespaces twice": f'{COINED} namespaces="git",{FOR_THIS} {ED25519}',
    "no quotes": f"{COINED} namespaces=orgguard {ED25519}",
    "an authority": f"{COINED} cert-authority,{FOR_THIS} {ED25519}",
    "another option": f'{COINED} {FOR_THIS},{COINED}="1" {ED25519}',
    "a time in words": f'{COINED} {FOR_THIS},valid-before="{COINED}" {ED25519}',
    "a time with a break": f'{COINED} {FOR_THIS},valid-before="2030-01-01" {ED25519}',
    "an RSA key": f"{COINED} {FOR_THIS} {RSA}",
    "a key of another type than said": f"{COINED} {FOR_THIS} ssh-ed25519 {RSA.split()[1]}",
    "a key that was cut": f"{COINED} {FOR_THIS} {ED25519[:-20]}",
    "a type without a key": f"{COINED} {FOR_THIS} {key('ssh-ed25519')}",
    "a key that is no base64": f"{COINED} {FOR_THIS} ssh-ed25519 {COINED}!",
    "no key": f"{COINED} {FOR_THIS} ssh-ed25519",
    "a person alone": COINED,
    "bytes that are no text": f"{COINED}\udcff {FOR_THIS} {ED25519}",
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
def test_a_bad_line_refuses_the_whole_file_and_is_named_without_its_words(line: str) -> None:
    text = f"# first\n{PERSON} {FOR_THIS} {ED25519}\n{line}\n".encode(errors="surrogateescape")
    with pytest.raises(ApproversError) as raised:
        parse_approvers(text)
    said = "\n".join(raised.value.lines())
    assert "at line 3: " in said
    assert COINED.lower() not in said.lower()
    assert (raised.value.message, bool(raised.value.hint)) == (
        "no signature was checked: .orgguard/approvers cannot be used", True,
    )  # fmt: skip


def test_a_line_that_would_be_none_is_not_made() -> None:
    assert parse_approvers(line_for(PERSON, ED25519).encode()).person(ED25519) == PERSON
    for person, public in ((f"*.{COINED}", ED25519), (PERSON, RSA), (f"a {COINED}", ED25519)):
        with pytest.raises(ApproversError) as raised:
            line_for(person, public)
        assert COINED not in str(raised.value.lines())
    with pytest.raises(ApproversError):
        check_person("a,b")


def test_nobody_is_found_for_a_key_that_is_not_listed() -> None:
    assert parse_approvers(f"{PERSON} {FOR_THIS} {ED25519}".encode()).person(HARDWARE) is None


PIECES = st.sampled_from(
    [PERSON, "a,b", "*", "#", " ", "\t", "\n", "\r\n", "\u00a0", "\x1c", "\x85", ",", '"', "\0",
     FOR_THIS, 'namespaces="git"', "cert-authority", 'valid-before="20300101"', ED25519, HARDWARE]
)  # fmt: skip
LINES = st.one_of(st.binary(), st.text().map(str.encode)) | st.lists(PIECES).map(
    lambda pieces: " ".join(pieces).encode()
)


@given(LINES)
def test_any_text_is_read_or_refused(text: bytes) -> None:
    try:
        approvers = parse_approvers(text)
    except ApproversError:
        return
    assert parse_approvers(approvers.text.encode("ascii")) == approvers


# --- as ssh-keygen reads it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [
        "{line}",
        "# a comment\r\n{line} with a comment\r\n",
        "someone.else {for_this} {other}\n{line}\n",
        "\n\n  {line}  ",
    ],
)
def test_ssh_keygen_takes_what_was_read(ada: Approver, file: str) -> None:
    text = file.format(line=ada.line, for_this=FOR_THIS, other=ED25519)
    approvers = parse_approvers(text.encode())
    signature = ada.signature(MESSAGE)
    assert verify(MESSAGE, signature, PERSON, approvers)
    assert not verify(MESSAGE + b"!", signature, PERSON, approvers)


def test_each_of_several_people_of_a_line_may_sign_and_no_other(ada: Approver) -> None:
    approvers = parse_approvers(f"{PERSON},bob {FOR_THIS} {ada.public}".encode())
    signature = ada.signature(MESSAGE)
    signed_by = [
        one for one in (PERSON, "bob", "eve") if verify(MESSAGE, signature, one, approvers)
    ]
    assert signed_by == [PERSON, "bob"]


@pytest.mark.parametrize(
    ("option", "counts"),
    [
        ('valid-before="20200101"', False),
        ('valid-before="22000101"', True),
        ('valid-after="20200101"', True),
        ('valid-after="22000101"', False),
        ('valid-after="20200101",valid-before="20210101"', False),
    ],
)
def test_a_key_counts_while_its_line_says(ada: Approver, option: str, counts: bool) -> None:
    approvers = parse_approvers(f"{PERSON} {FOR_THIS},{option} {ada.public}".encode())
    assert verify(MESSAGE, ada.signature(MESSAGE), PERSON, approvers) is counts


def test_two_lines_of_one_person_both_count(ada: Approver, tmp_path: Path) -> None:
    older = Approver(tmp_path / "older")
    approvers = parse_approvers(f"{older.line}\n{ada.line}\n".encode())
    for one in (ada, older):
        assert verify(MESSAGE, one.signature(MESSAGE), PERSON, approvers)


def test_an_rsa_key_of_ssh_keygens_own_making_is_refused(tmp_path: Path) -> None:
    keygen("-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", tmp_path / "rsa")
    public = " ".join((tmp_path / "rsa.pub").read_text().split()[:2])
    with pytest.raises(ApproversError, match="no signature was checked"):
        line_for(PERSON, public)
