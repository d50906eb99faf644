"""Signatures by a real ssh-keygen: a human at a terminal makes them, and nothing else does."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pexpect
import pytest

from orgguard_mcp import signing
from orgguard_mcp.approvers import Approvers, parse_approvers
from orgguard_mcp.errors import SigningError
from tests.approver import PASSPHRASE, PERSON, Approver, keygen

MESSAGE = b"orgguard-grants 1\n" + b"0" * 64 + b"\n"
PROMPT = "Enter passphrase"

SIGN = f"""
import sys
from pathlib import Path
from orgguard_mcp import errors, signing
key, to, *agent = sys.argv[1:]
try:
    Path(to).write_text(signing.sign({MESSAGE!r}, Path(key), through_agent=bool(agent)))
except errors.SigningError as error:
    sys.exit("\\n".join(error.lines()))
"""
MAKE = """
import sys
from pathlib import Path
from orgguard_mcp import errors, signing
try:
    signing.make_key(Path(sys.argv[1]), "ada@example.com")
except errors.SigningError as error:
    sys.exit("\\n".join(error.lines()))
"""


class Done(NamedTuple):
    """A program's end: its exit code, and what it said."""

    code: int
    said: str


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Approver:
    return Approver(tmp_path_factory.mktemp("ada"))


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """The file that a signature is written to."""
    return tmp_path / "signature"


def at_terminal(program: str, *args: str | Path, types: list[str], **environment: str) -> Done:
    """Run *program* at a pseudo-terminal of its own, whose human *types* at each prompt."""
    terminal = pexpect.spawn(
        sys.executable, ["-c", program, *map(str, args)], timeout=30, encoding="utf-8",
        env=os.environ | environment,
    )  # fmt: skip
    said = ""
    with terminal:
        for line in types:
            terminal.expect(r"passphrase[^\r\n]*: ")
            said += terminal.before + terminal.after
            terminal.sendline(line)
        terminal.expect(pexpect.EOF)
        said += terminal.before
        terminal.wait()
    return Done(terminal.exitstatus, said)


def without_terminal(program: str, *args: str | Path, **environment: str) -> Done:
    """Run *program* as an agent's tool does: in a session that has no terminal."""
    done = subprocess.run(
        [sys.executable, "-c", program, *args], stdin=subprocess.DEVNULL, capture_output=True,
        check=False, timeout=30, start_new_session=True, env=os.environ | environment,
    )  # fmt: skip
    return Done(done.returncode, done.stderr.decode())


def counts(signature: Path, approver: Approver) -> bool:
    text = signature.read_text()
    return signing.verify(MESSAGE, text, approver.person, approver.approvers)


# --- signing --------------------------------------------------------------------------------------


def test_a_locked_key_signs_once_its_passphrase_was_typed(ada: Approver, signed: Path) -> None:
    done = at_terminal(SIGN, ada.key, signed, types=[PASSPHRASE])
    assert (done.code, PROMPT in done.said) == (0, True)
    assert PASSPHRASE not in done.said
    assert counts(signed, ada)


@pytest.mark.parametrize("typed", ["", "wrong", PASSPHRASE.upper()])
def test_a_wrong_passphrase_signs_nothing(ada: Approver, signed: Path, typed: str) -> None:
    done = at_terminal(SIGN, ada.key, signed, types=[typed])
    assert done.code == 1
    assert "error: nothing was signed" in done.said
    assert "hint: answer again" in done.said
    assert not signed.exists()


def test_without_a_terminal_nothing_is_signed(ada: Approver, signed: Path) -> None:
    done = without_terminal(SIGN, ada.key, signed)
    assert done.code == 1
    assert "error: nothing was signed" in done.said
    assert not signed.exists()


def test_an_unlocked_key_is_refused(ada: Approver, signed: Path) -> None:
    done = without_terminal(SIGN, ada.unlocked, signed)
    assert done.code == 1
    assert "error: nothing was signed: the key has no passphrase" in done.said
    assert f"hint: give it one: ssh-keygen -p -f {ada.unlocked}" in done.said
    assert not signed.exists()
    assert (signing.is_locked(ada.key), signing.is_locked(ada.unlocked)) == (True, False)


def test_a_key_that_is_not_there_signs_nothing(signed: Path, tmp_path: Path) -> None:
    assert without_terminal(SIGN, tmp_path / "none", signed).code == 1
    assert not signed.exists()


@pytest.fixture
def agent(ada: Approver) -> Iterator[str]:
    """The socket of a real ssh-agent that holds the key, unlocked."""
    directory = tempfile.mkdtemp(prefix="orgguard-")  # a socket's path must be short
    socket = f"{directory}/agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert socket.encode() in process.stdout.readline()  # it listens from here on
        subprocess.run(
            ["ssh-add", "-q", str(ada.unlocked)], check=True, timeout=30, capture_output=True,
            env=os.environ | {"SSH_AUTH_SOCK": socket},
        )  # fmt: skip
        yield socket
    finally:
        process.terminate()
        process.communicate(timeout=30)
        shutil.rmtree(directory)


def test_an_agent_that_holds_the_key_is_not_asked(ada: Approver, signed: Path, agent: str) -> None:
    done = without_terminal(SIGN, ada.key, signed, SSH_AUTH_SOCK=agent)
    assert (done.code, signed.exists()) == (1, False)
    done = at_terminal(SIGN, ada.key, signed, types=[PASSPHRASE], SSH_AUTH_SOCK=agent)
    assert (done.code, counts(signed, ada)) == (0, True)


def test_an_agent_signs_where_the_policy_lets_it(ada: Approver, signed: Path, agent: str) -> None:
    done = without_terminal(SIGN, ada.key, signed, "agent", SSH_AUTH_SOCK=agent)
    assert (done.code, done.said) == (0, "")
    assert counts(signed, ada)


@pytest.fixture
def prompter(tmp_path: Path) -> dict[str, str]:
    """Variables by which ssh-keygen asks a program, which knows the passphrase."""
    program = tmp_path / "askpass"
    program.write_text(f'#!/bin/sh\necho "{PASSPHRASE}"\n')
    program.chmod(0o700)
    return {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}


@pytest.mark.parametrize("through", [(), ("agent",)])
def test_no_program_is_asked_for_the_passphrase(
    ada: Approver, signed: Path, prompter: dict[str, str], through: tuple[str, ...]
) -> None:
    bare = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "orgguard", "-f", ada.key], input=MESSAGE,
        capture_output=True, check=False, timeout=30, start_new_session=True,
        env=os.environ | prompter,
    )  # fmt: skip
    assert bare.returncode == 0, "ssh-keygen itself would have asked it"
    done = without_terminal(SIGN, ada.key, signed, *through, **prompter)
    assert (done.code, signed.exists()) == (1, False)


# --- verifying ------------------------------------------------------------------------------------


def test_a_signature_counts_for_its_message_person_and_key(ada: Approver, tmp_path: Path) -> None:
    signature = ada.signature(MESSAGE)
    bob = Approver(tmp_path / "bob", "bob@example.com")
    both = parse_approvers(f"{ada.line}\n{bob.line}\n".encode())
    assert signing.verify(MESSAGE, signature, PERSON, ada.approvers)
    assert signing.verify(MESSAGE, signature, PERSON, both)
    assert not signing.verify(MESSAGE + b" ", signature, PERSON, both)
    assert not signing.verify(b"", signature, PERSON, both)
    assert not signing.verify(MESSAGE, signature, bob.person, both)
    assert not signing.verify(MESSAGE, signature, "nobody", both)
    assert not signing.verify(MESSAGE, signature, "", both)
    assert not signing.verify(MESSAGE, signature, "-h", both)
    assert not signing.verify(MESSAGE, signature, "*", both)
    assert not signing.verify(MESSAGE, signature, PERSON, bob.approvers)
    assert not signing.verify(MESSAGE, signature, PERSON, Approvers())
    assert not signing.verify(MESSAGE, bob.signature(MESSAGE), PERSON, both)


@pytest.mark.parametrize("namespace", ["git", "file", "orgguard2", "ORGGUARD"])
def test_a_signature_in_another_namespace_does_not_count(ada: Approver, namespace: str) -> None:
    signature = ada.signature(MESSAGE, namespace)
    assert not signing.verify(MESSAGE, signature, PERSON, ada.approvers)


def test_a_key_that_has_expired_does_not_count(ada: Approver) -> None:
    line = ada.line.replace('"orgguard"', '"orgguard",valid-before="20200101"')
    approvers = parse_approvers(line.encode())
    assert not signing.verify(MESSAGE, ada.signature(MESSAGE), PERSON, approvers)


@pytest.mark.parametrize(
    "signature", ["", "\n", "garbage", "é\n", "-----BEGIN SSH SIGNATURE-----\n"]
)
def test_what_is_no_signature_does_not_count(ada: Approver, signature: str) -> None:
    assert not signing.verify(MESSAGE, signature, PERSON, ada.approvers)


def test_verifying_leaves_nothing_behind(
    ada: Approver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert signing.verify(MESSAGE, ada.signature(MESSAGE), PERSON, ada.approvers)
    assert not list(tmp_path.iterdir())


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_with_a_passphrase_is_made_and_kept(tmp_path: Path) -> None:
    key = tmp_path / "ssh" / "key"
    done = at_terminal(MAKE, key, types=[PASSPHRASE, PASSPHRASE])
    assert (done.code, PASSPHRASE in done.said) == (0, False)
    assert signing.is_locked(key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    public = signing.public_key(key)
    assert public == " ".join(keygen("-y", "-P", PASSPHRASE, "-f", key).split()[:2])


def test_a_key_without_a_passphrase_is_not_kept(tmp_path: Path) -> None:
    key = tmp_path / "key"
    done = at_terminal(MAKE, key, types=["", ""])
    assert done.code == 1
    assert "error: no key was kept: it had no passphrase" in done.said
    assert not list(tmp_path.iterdir())


def test_a_key_that_nobody_gave_a_passphrase_to_is_not_kept(tmp_path: Path) -> None:
    assert without_terminal(MAKE, tmp_path / "key").code == 1
    assert not list(tmp_path.iterdir())


def test_a_public_key_is_read_without_its_comment(ada: Approver, tmp_path: Path) -> None:
    assert signing.public_key(ada.key) == ada.public
    key = tmp_path / "key"
    for text in (None, b"", b"ssh-ed25519", b"\xff\xfe \xff"):
        if text is not None:
            key.with_name("key.pub").write_bytes(text)
        assert signing.public_key(key) is None
    key.with_name("key.pub").write_text(f"{ada.public} a comment\n")
    assert signing.public_key(key) == ada.public


def test_the_own_key_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert signing.key_path() == Path.home() / ".ssh" / "orgguard_ed25519"
    monkeypatch.setenv("ORGGUARD_KEY", "/keys/mine")
    assert signing.key_path() == Path("/keys/mine")


# --- ssh-keygen itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("there", ["not there", "no program"])
def test_without_ssh_keygen_nothing_is_signed_or_checked(
    ada: Approver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    signature = ada.signature(MESSAGE)
    if there == "no program":
        (tmp_path / "ssh-keygen").write_text("no program")
    monkeypatch.setenv("PATH", str(tmp_path))
    for call in (
        lambda: signing.sign(MESSAGE, ada.key),
        lambda: signing.sign(MESSAGE, ada.key, through_agent=True),
        lambda: signing.verify(MESSAGE, signature, PERSON, ada.approvers),
        lambda: signing.make_key(tmp_path / "key", PERSON),
        lambda: signing.is_locked(ada.key),
    ):
        with pytest.raises(SigningError) as raised:
            call()
        assert raised.value.lines() == [
            "error: no signature was made or checked: ssh-keygen is not installed", "",
            "hint: install OpenSSH 8.2 or newer",
        ]  # fmt: skip


def test_an_ssh_keygen_that_gives_no_answer_checks_nothing(
    ada: Approver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = ada.signature(MESSAGE)
    program = tmp_path / "ssh-keygen"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(signing, "VERIFY_SECONDS", 0.3)
    with pytest.raises(SigningError, match="no signature was checked"):
        signing.verify(MESSAGE, signature, PERSON, ada.approvers)
