"""`orgguard approver`: who may sign grants, and becoming one of them."""

from __future__ import annotations

import argparse
import base64
import hashlib
from pathlib import Path

from orgguard_mcp import agents, signing
from orgguard_mcp.approvers import PATH, Approvers, check_person, line_for, parse_approvers
from orgguard_mcp.console import Terminal, out, say
from orgguard_mcp.errors import CLEAN, ApproversError, SigningError, UsageError
from orgguard_mcp.guard import Guard
from orgguard_mcp.repository import Repository


def add(options: argparse.Namespace) -> int:
    """Make the user a key if there is none, and add its line to the working tree's approvers."""
    Terminal()  # ssh-keygen asks here for a passphrase
    agents.refuse_agents()
    with Repository(options.repo or ".") as repository:
        person = options.person or repository.setting("user.email")
        if not person:
            raise UsageError(
                "no approver was added: whose key is it?",
                hint="pass an address, as in `orgguard approver add you@example.com`",
            )
        top = repository.top_level()
    check_person(person)  # before a key is made
    key = _own_key(person, security_key=options.security_key)
    if _append(top / PATH, person, key):
        say(
            f"{person} is an approver once {PATH} is on the base's branch:\n"
            "commit it, alone, and have it reviewed by people who know whose key this is."
        )
    else:
        say(f"{PATH} has this key already.")
    out(f"{person}  {fingerprint(key)}")
    return CLEAN


def show(options: argparse.Namespace) -> int:
    """List the approvers of the base, and those of the working tree that do not count yet."""
    with Guard(options.repo or ".", options.base) as guard:
        counted = guard.approvers
        bare = guard.repository.is_bare()
        tree = Approvers() if bare else _in_tree(guard.repository.top_level() / PATH)
    mine = signing.public_key(signing.key_path())
    for line in counted.lines:
        yours = "  (your key)" if line.key == mine else ""
        out(f"{', '.join(line.people)}  {fingerprint(line.key)}{yours}")
    listed = {line.key for line in counted.lines}
    for line in tree.lines:
        if line.key not in listed:
            out(
                f"{', '.join(line.people)}  {fingerprint(line.key)}  (not on the base's branch yet)"
            )
    if not counted:
        say("the base lists no approver: `orgguard approver add` makes you one, by review")
    return CLEAN


def fingerprint(key: str) -> str:
    """The fingerprint of a public *key* (``type base64``), as ssh-keygen shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _own_key(person: str, *, security_key: bool) -> str:
    path = signing.key_path()
    if not path.exists():
        say(f"Making a key for this alone: {path}. Its passphrase is what an agent does not have.")
        signing.make_key(path, person, security_key=security_key)
    elif not signing.is_locked(path):
        raise SigningError(
            "no approver was added: the key has no passphrase",
            cause=f"{path} can be used by every program that you start",
            hint=f"give it one: ssh-keygen -p -f {path}",
        )
    key = signing.public_key(path)
    if not key:
        raise SigningError(
            "no approver was added: the key's public half is not there",
            cause=f"{path}.pub cannot be read",
            hint=f"make it again: ssh-keygen -y -f {path} > {path}.pub",
        )
    return key


def _append(file: Path, person: str, key: str) -> bool:
    """Add the line to *file*, unless it has the key already."""
    line = line_for(person, key)
    known = _in_tree(file)
    if known.person(key):
        return False
    text = file.read_text("utf-8") if known else ""
    file.parent.mkdir(exist_ok=True)
    file.write_text(text + ("\n" if text and not text.endswith("\n") else "") + line + "\n")
    return True


def _in_tree(file: Path) -> Approvers:
    if file.is_symlink() or file.parent.is_symlink():
        raise ApproversError(
            f"{PATH} of the working tree was not used: it is a symbolic link",
            hint="remove the link",
        )
    return parse_approvers(file.read_bytes()) if file.is_file() else Approvers()
