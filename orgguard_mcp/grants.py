"""Grants: an approver's signed consent, as a small file that travels with the change.

A grant holds for one name, one repository, one scope and a time, and is signed over all of them. It
does not contain the name, nor a path or branch, which may be named after it: in their place are
HMACs under a key that is stretched from the name (scrypt, RFC 7914), and over the grant's own id.
Who has found a name can see whether the grant is about it; who has only the file must guess, at the
price of one scrypt a guess.

One signature may cover several grants: it is over the digests of their statements, and each file
carries those of the others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache

from orgguard_mcp.errors import GrantError
from orgguard_mcp.model import Place, Scope
from orgguard_mcp.names import NameKey

DIRECTORY = ".orgguard/grants"
SUFFIX, WITHDRAWN = ".grant", ".withdrawn"
MAX_BYTES = 64 << 10
NO_LOG = "0" * 64

_SCRYPT_COST = 1 << 14
"""About 45 ms and 16 MB for each name: little for a scan, much for guesses."""

_ARMOUR = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]{1,70}\n)+)-----END SSH SIGNATURE-----\n"
)
_PREAMBLE = b"SSHSIG" + (1).to_bytes(4, "big")
_HEX32, _HEX64 = r"[0-9a-f]{32}", r"[0-9a-f]{64}"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_STATEMENT = re.compile(
    rf"orgguard-grant 1\n"
    rf"id (?P<id>{_HEX32})\n"
    rf"repository (?P<repository>[^\x00-\x20\x7f][^\x00-\x1f\x7f]*)\n"
    rf"request (?P<request>[0-9a-f]{{8}})\n"
    rf"scope (?P<scope>repository|paths|change)\n"
    rf"name (?P<name>{_HEX64})\n"
    rf"(?P<within>(?:within {_HEX64}\n)*)"
    rf"(?P<lifts>lifts protection\n)?"
    rf"approver (?P<approver>[A-Za-z0-9._+@-]+)\n"
    rf"decided (?P<decided>{_TIME})\n"
    rf"expires (?P<expires>{_TIME})\n"
    rf"log (?P<log>{_HEX64})\n"
)
_BESIDE = re.compile(rf"(?:beside {_HEX64}\n)*")


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant. Times are seconds since 1970, whole; `within` are the HMACs of the paths or the
    branch that it holds for; `log` is the head of the approver's log when it was signed; `beside`
    are the digests of the statements that the same signature covers.
    """

    id: str
    repository: str
    request: str
    scope: str
    name: str
    within: tuple[str, ...]
    lifts_protection: bool
    approver: str
    decided_at: int
    expires_at: int
    log: str = NO_LOG
    beside: tuple[str, ...] = field(default=())
    signature: str = field(default="", repr=False)

    @property
    def statement(self) -> str:
        """What is signed, but for the other grants of the same signature."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield "orgguard-grant 1"
        yield f"id {self.id}"
        yield f"repository {self.repository}"
        yield f"request {self.request}"
        yield f"scope {self.scope}"
        yield f"name {self.name}"
        yield from (f"within {one}" for one in self.within)
        if self.lifts_protection:
            yield "lifts protection"
        yield f"approver {self.approver}"
        yield f"decided {_shown(self.decided_at)}"
        yield f"expires {_shown(self.expires_at)}"
        yield f"log {self.log}"

    @property
    def text(self) -> str:
        """The file."""
        beside = "".join(f"beside {digest}\n" for digest in self.beside)
        return self.statement + beside + self.signature

    @property
    def message(self) -> bytes:
        """The bytes that the signature is over."""
        return message([self.digest, *self.beside])

    @property
    def digest(self) -> str:
        """The statement's SHA-256. The id in it is random, so it tells nothing."""
        return hashlib.sha256(self.statement.encode()).hexdigest()

    @property
    def file_name(self) -> str:
        """The name of its file in `DIRECTORY`."""
        return self.id + SUFFIX

    def is_about(self, key: NameKey) -> bool:
        """Whether the name that *key* stands for is the one that was granted."""
        return hmac.compare_digest(self.name, self._seal(key)("name", key))

    def _seal(self, key: NameKey) -> _Seal:
        return _Seal(key, self.repository, self.id)

    def covers(self, key: NameKey, place: Place) -> bool:
        """Whether this is about *key* and holds at *place*."""
        if not self.is_about(key):
            return False
        if self.scope == "repository":
            return True
        where = place.path if self.scope == "paths" else place.branch
        return bool(where) and self._seal(key)(self.scope, where or "") in self.within


def draft(
    key: NameKey, scope: Scope, *, repository: str, request: str, approver: str,
    decided_at: float, days: float, log: str = NO_LOG, lifts_protection: bool = False,
) -> Grant:  # fmt: skip
    """A grant that is not signed yet."""
    salt = secrets.token_hex(16)
    seal = _Seal(key, repository, salt)
    kind = "change" if scope.branch else "paths" if scope.paths else "repository"
    where = (scope.branch,) if scope.branch else scope.paths
    return Grant(
        id=salt,
        repository=repository,
        request=request,
        scope=kind,
        name=seal("name", key),
        within=tuple(sorted({seal(kind, one) for one in where})),
        lifts_protection=lifts_protection,
        approver=approver,
        decided_at=int(decided_at),
        expires_at=int(decided_at + days * 86400),
        log=log,
    )


def message(digests: Iterable[str]) -> bytes:
    """What one signature over the statements with *digests* is made of."""
    return "".join(f"{digest}\n" for digest in ("orgguard-grants 1", *sorted(digests))).encode()


def signed(drafts: Sequence[Grant], signature: str) -> list[Grant]:
    """*drafts* with the one *signature* that was made over all of them."""
    digests = sorted(one.digest for one in drafts)
    return [
        replace(one, beside=tuple(d for d in digests if d != one.digest), signature=signature)
        for one in drafts
    ]


def withdrawal(grant: Grant) -> str:
    """What a log says when *grant* is taken back; in a tree an empty file says it."""
    return f"orgguard-withdrawal 1\nid {grant.id}\n"


def file_name_of(text: str) -> str:
    """The name of the file that *text*, a grant's or a withdrawal's, belongs into; a grant need not
    be whole.
    """
    if withdrawn := re.fullmatch(rf"orgguard-withdrawal 1\nid ({_HEX32})\n", text):
        return withdrawn[1] + WITHDRAWN
    match = re.match(rf"orgguard-grant 1\nid ({_HEX32})\n", text)
    return (match[1] if match else "damaged") + SUFFIX


def parse_grant(data: bytes) -> Grant:
    """Read a grant's file.

    Raises `GrantError` for every text that `Grant.text` would not have written, byte for byte, so
    that nothing about it can be changed that the signature does not cover.
    """
    try:
        text = data.decode("ascii") if data.isascii() else data.decode("utf-8")
    except ValueError as error:
        raise _damaged("it is no text") from error
    head = _STATEMENT.match(text)
    if not head or len(data) > MAX_BYTES:
        raise _damaged("it does not begin with a statement of this version")
    beside = _BESIDE.match(text, head.end())
    end = beside.end() if beside else head.end()
    grant = Grant(
        id=head["id"],
        repository=head["repository"],
        request=head["request"],
        scope=head["scope"],
        name=head["name"],
        within=_hexes(head["within"]),
        lifts_protection=bool(head["lifts"]),
        approver=head["approver"],
        decided_at=_seconds(head["decided"]),
        expires_at=_seconds(head["expires"]),
        log=head["log"],
        beside=_hexes(text[head.end() : end]),
        signature=_armour(text[end:]),
    )
    if list(grant.beside) != sorted(set(grant.beside)) or grant.digest in grant.beside:
        raise _damaged("its list of other grants is not in order")
    if (grant.scope == "repository") == bool(grant.within) or grant.text != text:
        raise _damaged("its fields do not agree")
    return grant


def _hexes(lines: str) -> tuple[str, ...]:
    return tuple(line.split(" ")[1] for line in lines.splitlines())


def _armour(text: str) -> str:
    """*text*, when it is an armoured signature in the one way in which ssh-keygen writes it."""
    match = _ARMOUR.fullmatch(text)
    try:
        data = base64.b64decode(match[1].replace("\n", ""), validate=True) if match else b""
    except binascii.Error:
        data = b""
    encoded = base64.b64encode(data).decode()
    lines = "".join(f"{encoded[at : at + 70]}\n" for at in range(0, len(encoded), 70))
    if not match or lines != match[1] or not _is_signature(data):
        raise _damaged("it does not end with a signature")
    return text


def _is_signature(data: bytes) -> bool:
    """Whether *data* begins as a signature does (OpenSSH, PROTOCOL.sshsig), with nothing in its
    reserved field: no signature covers that, so anybody could write a name there.
    """
    at = len(_PREAMBLE)
    for _ in ("public key", "namespace"):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return data.startswith(_PREAMBLE) and data[at : at + 4] == bytes(4)


def _damaged(cause: str) -> GrantError:
    return GrantError("the file is no grant", cause=cause, hint="sign it again: `orgguard review`")


def _shown(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str) -> int:
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())
    except ValueError as error:
        raise _damaged("its time is none") from error


class _Seal:
    """Puts texts of one grant under the key that is stretched from a name."""

    def __init__(self, key: NameKey, repository: str, salt: str) -> None:
        self._stretched = _stretched(key, repository)
        self._salt = salt

    def __call__(self, kind: str, text: str) -> str:
        said = "\0".join((self._salt, kind, text)).encode("utf-8", "surrogateescape")
        return hmac.new(self._stretched, said, "sha256").hexdigest()


@lru_cache(maxsize=4096)
def _stretched(key: NameKey, repository: str) -> bytes:
    """Salted by the repository, so that a name costs once, however many grants there are."""
    salt = hashlib.sha256(repository.encode()).digest()
    return hashlib.scrypt(
        key.encode(), salt=salt, n=_SCRYPT_COST, r=8, p=1, maxmem=64 << 20, dklen=32
    )
