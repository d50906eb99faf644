"""Signatures by OpenSSH: `ssh-keygen -Y`, as git signs commits with it (OpenSSH, PROTOCOL.sshsig).

There is no cryptography here, and neither key nor passphrase passes through this
process: `ssh-keygen` asks for it at the terminal, or for a touch of the hardware.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orgguard_mcp.approvers import NAMESPACE, Approvers
from orgguard_mcp.errors import SigningError

ENVIRONMENT_KEY = "ORGGUARD_KEY"
VERIFY_SECONDS = 30
"""How long one verification may take; signing waits for a human and has no limit."""

_AGENT = ("SSH_AUTH_SOCK", "SSH_AGENT_PID")
_PROMPTERS = ("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY", "WAYLAND_DISPLAY", "SSH_SK_HELPER")
"""Variables by which another program would be asked instead of the human at this terminal."""


def key_path() -> Path:
    """Where the user's own key is: `ORGGUARD_KEY`, else in ``~/.ssh``."""
    given = os.environ.get(ENVIRONMENT_KEY)
    return Path(given) if given else Path.home() / ".ssh" / "orgguard_ed25519"


def public_key(key: Path) -> str | None:
    """The public half of *key* (``type base64``), or None when there is none."""
    try:
        fields = key.with_name(key.name + ".pub").read_text("utf-8").split()
    except (OSError, ValueError):
        return None
    return " ".join(fields[:2]) if len(fields) > 1 else None


def make_key(key: Path, person: str, *, security_key: bool = False) -> None:
    """Have `ssh-keygen` make *key*; it asks for the passphrase, or the hardware for a touch.

    Raises `SigningError` when it made none, or one that anybody could use: that is removed again.
    """
    kind = "ed25519-sk" if security_key else "ed25519"
    key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = _run(["-q", "-t", kind, "-C", person, "-f", str(key)], ask=True)
    if done.returncode:
        raise SigningError("no key was made", cause="ssh-keygen made none", hint="try again")
    if not is_locked(key):
        key.unlink()
        key.with_name(key.name + ".pub").unlink()
        raise SigningError(
            "no key was kept: it had no passphrase",
            cause="without one, every program that you start could sign with it",
            hint="try again, and type a passphrase",
        )


def is_locked(key: Path) -> bool:
    """Whether *key* cannot be used without a human: it has a passphrase, or lives in hardware."""
    if (public_key(key) or "").startswith("sk-"):
        return True
    return _run(["-y", "-P", "", "-f", str(key)]).returncode != 0


def sign(message: bytes, key: Path, *, through_agent: bool = False) -> str:
    """The armoured signature of *message* with *key*.

    `ssh-keygen` would ask an ssh-agent first, which signs for every program of the user: it gets to
    see one with *through_agent* alone. Raises `SigningError` when nothing was signed.
    """
    if not through_agent and not is_locked(key):
        raise SigningError(
            "nothing was signed: the key has no passphrase",
            cause=f"{key} can be used by every program that you start",
            hint=f"give it one: ssh-keygen -p -f {key}",
        )
    done = _run(
        ["-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)],
        message, ask=True, hide=_PROMPTERS if through_agent else (*_AGENT, *_PROMPTERS),
    )  # fmt: skip
    if done.returncode:
        raise SigningError(
            "nothing was signed",
            cause="ssh-keygen did not sign: a wrong passphrase, or no touch",
            hint="answer again; the question is still in the queue",
        )
    return done.stdout.decode("ascii", "replace")


def verify(message: bytes, signature: str, person: str, approvers: Approvers) -> bool:
    """Whether *signature* is that of *person*, listed by *approvers* now, over *message*.

    Raises `SigningError` when `ssh-keygen` cannot be asked.
    """
    with tempfile.TemporaryDirectory(prefix="orgguard-") as directory:
        signers, signed = Path(directory, "approvers"), Path(directory, "signature")
        signers.write_text(approvers.text, "ascii")
        signed.write_text(signature, "ascii", "replace")
        done = _run(
            ["-q", "-Y", "verify", "-n", NAMESPACE, "-I", person,
             "-f", str(signers), "-s", str(signed)],
            message,
        )  # fmt: skip
    return done.returncode == 0


def _run(
    args: Sequence[str],
    stdin: bytes = b"",
    *,
    ask: bool = False,
    hide: Sequence[str] = (*_AGENT, *_PROMPTERS),
) -> subprocess.CompletedProcess[bytes]:
    """`ssh-keygen *args`. With *ask* a human is at the terminal, to read and to answer."""
    environment = {k: v for k, v in os.environ.items() if k not in hide}
    piped = ask and not stdin  # making a key asks twice; signing reads the message
    try:
        return subprocess.run(
            ["ssh-keygen", *args], input=None if piped else stdin, env=environment, check=False,
            stdout=subprocess.PIPE if stdin or not ask else None,
            stderr=None if ask else subprocess.DEVNULL,
            timeout=None if ask else VERIFY_SECONDS, start_new_session=not ask,
        )  # fmt: skip
    except (FileNotFoundError, PermissionError) as error:
        raise SigningError(
            "no signature was made or checked: ssh-keygen is not installed",
            hint="install OpenSSH 8.2 or newer",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SigningError(
            f"no signature was checked: ssh-keygen gave no answer within {VERIFY_SECONDS} s"
        ) from error
