"""A real approver: a key that ssh-keygen made, what is signed with it, and where that counts."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orgguard_mcp import grants
from orgguard_mcp.approvers import NAMESPACE, PATH, Approvers, line_for, parse_approvers
from orgguard_mcp.grants import DIRECTORY, Grant
from orgguard_mcp.model import Scope
from orgguard_mcp.names import canonicalise
from tests.scanner import ORDINARY, Files
from tests.simulator import Repo

PASSPHRASE = "a test's passphrase"
PERSON = "ada@example.com"


class Approver:
    """A person with a key in *folder*: `key` is locked with `PASSPHRASE`; its unlocked twin signs
    here without a terminal. `line` is the one that makes them an approver.
    """

    def __init__(self, folder: Path, person: str = PERSON) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.person = person
        self.key, self.unlocked = folder / "locked", folder / "unlocked"
        keygen("-q", "-t", "ed25519", "-N", "", "-C", "", "-f", self.unlocked)
        shutil.copy(self.unlocked, self.key)
        shutil.copy(f"{self.unlocked}.pub", f"{self.key}.pub")
        keygen("-q", "-p", "-a", "1", "-P", "", "-N", PASSPHRASE, "-f", self.key)
        self.public = Path(f"{self.key}.pub").read_text().strip()
        self.line = line_for(person, self.public)

    @property
    def approvers(self) -> Approvers:
        """A list with this one alone."""
        return parse_approvers(self.line.encode())

    def signature(self, message: bytes, namespace: str = NAMESPACE) -> str:
        """The armoured signature of *message*."""
        return keygen("-q", "-Y", "sign", "-n", namespace, "-f", self.unlocked, stdin=message)

    def draft(
        self, where: Repo | str, name: str, scope: Scope | None = None, **changes: object
    ) -> Grant:
        """What a grant for *name* in *where*, a repository or what one calls itself, says."""
        said: dict[str, Any] = {
            "repository": identity(where) if isinstance(where, Repo) else where,
            "request": "0123abcd", "approver": self.person, "decided_at": time.time(), "days": 30,
        }  # fmt: skip
        return grants.draft(canonicalise(name), scope or Scope(), **(said | changes))

    def sign(self, drafts: Sequence[Grant], namespace: str = NAMESPACE) -> list[Grant]:
        """*drafts*, with one signature over all of them."""
        message = grants.message(one.digest for one in drafts)
        return grants.signed(drafts, self.signature(message, namespace))

    def grant(
        self, where: Repo | str, name: str, scope: Scope | None = None, **changes: object
    ) -> Grant:
        """A signed grant for *name* in *where*; *changes* are arguments of `grants.draft`."""
        return self.sign([self.draft(where, name, scope, **changes)])[0]


def keygen(*args: str | Path, stdin: bytes = b"") -> str:
    """Run ssh-keygen and return what it prints."""
    done = subprocess.run(
        ["ssh-keygen", *args], input=stdin, capture_output=True, check=False, timeout=60
    )
    if done.returncode:
        raise AssertionError(f"ssh-keygen {args}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def identity(repo: Repo) -> str:
    """What *repo* is called in a grant, when its policy gives it no name."""
    return "root:" + repo.git("rev-list", "--first-parent", "--max-parents=0", "HEAD")


def files_of(*signed: Grant) -> Files:
    """The files of *signed* grants."""
    return {f"{DIRECTORY}/{one.file_name}": one.text for one in signed}


def approved(path: Path, *approvers: Approver, base: Files | None = None) -> Repo:
    """A repository at *path* whose main lists *approvers*, with a branch "feature" checked out."""
    repo = Repo(path)
    lines = "".join(f"{one.line}\n" for one in approvers)
    repo.commit({**ORDINARY, PATH: lines, **(base or {})}, "Start")
    repo.git("checkout", "-q", "-b", "feature")
    return repo


def ci(repo: Repo, path: Path, *options: str, branch: str = "feature") -> Repo:
    """A fresh clone of *repo* at *path*, on *branch*, as a CI job has it."""
    clone = repo.clone(path, "--branch", branch, *options)
    clone.git("remote", "set-head", "origin", "main")  # not the one that `repo` is on
    return clone
