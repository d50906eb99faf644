"""Approvers: the people whose signature makes a grant, as `.orgguard/approvers` lists them.

The file has OpenSSH's format of allowed signers (ssh-keygen(1), ALLOWED SIGNERS), narrowed so that
nobody approves by accident: every line names people in full, has one key made for this, and says
`namespaces="orgguard"`, since a key that signs commits as well is one that agents can reach.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from orgguard_mcp.errors import ApproversError

PATH = ".orgguard/approvers"
NAMESPACE = "orgguard"

KEY_TYPES = frozenset(
    {"ssh-ed25519", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"}
)
"""A key with a passphrase, or one that lives in hardware and asks for a touch."""

_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,127}")
_TIME = r"\d{8}(?:\d{4}(?:\d\d)?)?Z?"
_OPTION = re.compile(
    rf'(namespaces|valid-(?:after|before)(?=="{_TIME}"))="([A-Za-z0-9]+)"', re.ASCII
)


@dataclass(frozen=True, slots=True)
class Approver:
    """One line: the people that it names, its options, and the public key (``type base64``)."""

    people: tuple[str, ...]
    options: str
    key: str


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who may sign grants."""

    lines: tuple[Approver, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lines)

    @property
    def text(self) -> str:
        """The file as `ssh-keygen -Y verify` takes it: of what was read, nothing else."""
        rows = (f"{','.join(one.people)} {one.options} {one.key}\n" for one in self.lines)
        return "".join(rows)

    def person(self, key: str) -> str | None:
        """The first person whom the public *key* (``type base64``) is listed for."""
        return next((line.people[0] for line in self.lines if line.key == key), None)


def parse_approvers(text: bytes) -> Approvers:
    """Read *text*; raises `ApproversError`, naming the line, when any of it cannot be used."""
    found = []
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = raw.decode("utf-8", "replace").strip()
        if line and not line.startswith("#"):
            found.append(_approver(line, number))
    return Approvers(tuple(found))


def check_person(person: str, line: int = 1) -> None:
    """Raise `ApproversError` unless *person* is a name or address that a line can have."""
    if not _PERSON.fullmatch(person):
        raise _refusal(line, "expected full names or addresses, without wildcards, as in a@b.c")


def line_for(person: str, key: str) -> str:
    """The line that makes *person* an approver with the public *key* (``type base64``).

    Raises `ApproversError` when it would be none.
    """
    line = f'{person} namespaces="{NAMESPACE}" {key}'
    parse_approvers(line.encode())
    return line


def _approver(line: str, number: int) -> Approver:
    fields = line.split()
    people = tuple(fields[0].split(","))
    for person in people:
        check_person(person, number)
    if len(fields) < 4:
        raise _refusal(number, f'expected `PERSON namespaces="{NAMESPACE}" KEY-TYPE KEY`')
    if _options(fields[1], number).get("namespaces") != NAMESPACE:
        raise _refusal(number, f'the key must be for this alone: namespaces="{NAMESPACE}"')
    kind, key = fields[2:4]
    if kind not in KEY_TYPES or not _is_key(kind, key):
        raise _refusal(number, f"expected a public key of type {', '.join(sorted(KEY_TYPES))}")
    return Approver(people, fields[1], f"{kind} {key}")


def _options(text: str, number: int) -> dict[str, str]:
    options: dict[str, str] = {}
    for option in text.split(","):
        match = _OPTION.fullmatch(option)
        if not match or match[1] in options:
            raise _refusal(
                number,
                "known options are namespaces, and valid-after and valid-before with a time as"
                " YYYYMMDD or YYYYMMDDHHMM, each once and in quotes",
            )
        options[match[1]] = match[2]
    return options


def _is_key(kind: str, key: str) -> bool:
    """Whether *key* is base64 of a whole key that says itself that it is a *kind* (RFC 4253, 6.6).
    At a person's line that it cannot use, ssh-keygen stops and does not see their next one.
    """
    try:
        data = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return False
    end, strings = 0, []
    while end < len(data):
        start = end + 4
        end = start + int.from_bytes(data[end:start], "big")
        strings.append(data[start:end])
    return end == len(data) and len(strings) > 1 and strings[0] == kind.encode()


def _refusal(number: int, cause: str) -> ApproversError:
    return ApproversError(
        f"no signature was checked: {PATH} cannot be used",
        cause=f"at line {number}: {cause}",
        hint=f"correct {PATH} on the base branch; `orgguard approver add` writes such a line",
    )
