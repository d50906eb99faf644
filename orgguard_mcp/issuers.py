"""Who comes with a JSON Web Token: of the company's identity provider, or of a CI system.

A token counts when a key of an issuer that the server was told to trust signed it, for this server,
and it has not ended. Its own header chooses among the issuer's keys and nothing else: no algorithm,
no address. Whatever cannot be verified is nobody.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol
from urllib.request import Request

import jwt

from orgguard_mcp import web
from orgguard_mcp.access import Permission, Principal, parse_permission
from orgguard_mcp.errors import UsageError
from orgguard_mcp.storage.seal import Keyring

ALGORITHMS = frozenset(
    "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA".split()
)  # asymmetric ones: a key that verifies must not be one that signs
PREFIX = "orgguard:"
"""What an entry of a permissions claim begins with, beside the scopes of others."""

LEEWAY_SECONDS = 30
"""How far the issuer's clock may be off."""

FRESH_SECONDS = 600.0
"""How long keys from a URL are used before they are fetched anew."""

STALE_SECONDS = 86400.0
"""How long they are used at most, while the URL cannot be reached."""

RETRY_SECONDS = 10.0
"""How long after a fetch no other is made, whatever key a token names."""

_TIMEOUT = 5.0
_MAX_TEXT = 16_384  # characters of a token
_MAX_KEYS = 1_000_000  # bytes of a key set
_OPTIONS: Any = {"require": ["iss", "aud", "sub", "exp"], "enforce_minimum_key_length": True}
_INVALID = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError)

_Keys = Mapping[str | None, jwt.PyJWK]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who is trusted to say who somebody is. *jwks* is a file of its keys, or an https URL.

    What somebody may says *permissions_claim*: a text of scopes or a list, of which those that
    begin with `orgguard:` count. Or they have *may*, in the one repository that *repository_claim*
    names. Raises `UsageError` when it cannot be so.
    """

    issuer: str
    audience: str
    jwks: str
    permissions_claim: str = "scope"
    may: tuple[Permission, ...] = ()
    repository_claim: str = ""

    def __post_init__(self) -> None:
        if not (self.issuer and self.audience and self.jwks):
            raise _unusable("it lacks its issuer, audience or jwks", "give all three")
        if "://" in self.jwks and not web.is_safe(self.jwks):
            raise _unusable("whoever is on the way could change its keys", "name an https URL")
        if bool(self.may) != bool(self.repository_claim):
            # Else everybody whom a public issuer knows would have them everywhere.
            raise _unusable(
                "`may` holds in the repository that `repository_claim` names: it needs both",
                'for example may = ["ask"] and repository_claim = "repository"',
            )

    def permissions(self, claims: Mapping[str, Any]) -> tuple[Permission, ...]:
        """What somebody with *claims* may."""
        if not self.repository_claim:
            return tuple(_permissions(claims.get(self.permissions_claim)))
        repository = claims.get(self.repository_claim)
        if not isinstance(repository, str):
            return ()
        return tuple(found for one in self.may if (found := one.within(repository)))


def _unusable(cause: str, hint: str) -> UsageError:
    return UsageError("an issuer of tokens cannot be used", cause=cause, hint=hint)


def _permissions(claim: object) -> Iterator[Permission]:
    """Those that *claim* says. What cannot be read gives none, and takes no other away."""
    entries = claim.split(" ") if isinstance(claim, str) else claim
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, str) and entry.startswith(PREFIX):
            with suppress(UsageError):
                yield parse_permission(entry.removeprefix(PREFIX))


class Issuers:
    """The *issuers* that the server trusts. `find` may be called from several threads, and blocks
    while keys are fetched.

    Ids are made with *keys*, the shared store's: so they are the same on every server, and whoever
    reads a log cannot try out subjects, which may be a person's or an organisation's name. Without
    keys they hold as long as this object.
    """

    def __init__(self, issuers: Sequence[Issuer], keys: Keyring | None = None) -> None:
        self._trusted = [(issuer, _source(issuer.jwks)) for issuer in issuers]
        self._ids = keys or Keyring([secrets.token_bytes(32)])

    def find(self, text: str) -> Principal | None:
        """Who comes with the token *text*; None when it is not valid, or cannot be verified."""
        if len(text) > _MAX_TEXT:
            return None
        with suppress(*_INVALID):
            told = jwt.decode_complete(text, options={"verify_signature": False})
            kid, named = told["header"].get("kid"), told["payload"].get("iss")
            for issuer, source in self._trusted:
                if issuer.issuer == named and (key := source.find(kid)):
                    with suppress(*_INVALID):  # another of that name may have another audience
                        return self._principal(issuer, _verified(text, issuer, key))
        return None

    def _principal(self, issuer: Issuer, claims: Mapping[str, Any]) -> Principal:
        subject = claims["sub"]
        return Principal(
            id=f"jwt:{self._ids.fingerprint('jwt', issuer.issuer, subject)[:16]}",
            label=subject,
            permissions=issuer.permissions(claims),
            expires_at=float(claims["exp"]),
        )


def _verified(text: str, issuer: Issuer, key: jwt.PyJWK) -> dict[str, Any]:
    return jwt.decode(
        text, key, algorithms=[key.algorithm_name], issuer=issuer.issuer,
        audience=issuer.audience, leeway=LEEWAY_SECONDS, options=_OPTIONS,
    )  # fmt: skip


# --- keys -----------------------------------------------------------------------------------------


class _Source(Protocol):
    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """The key *kid*; None when there is none, or nobody can say."""


def _source(jwks: str) -> _Source:
    return _Url(jwks) if "://" in jwks else _File(Path(jwks))


def _read_keys(text: bytes) -> _Keys:
    """The keys of a set that tokens may be signed with. Raises `ValueError` when it is no set."""
    if len(text) > _MAX_KEYS:
        raise ValueError("too long")
    members = json.loads(text)
    members = members.get("keys") if isinstance(members, dict) else None
    if not isinstance(members, list):
        raise ValueError("no key set")  # noqa: TRY004  # of a text, not of a value
    found: dict[str | None, jwt.PyJWK] = {}
    for member in members:
        with suppress(*_INVALID, AttributeError):  # a set may have kinds that are not known here
            if member.get("use", "sig") != "sig" or "d" in member:
                continue  # not for signatures, or private: then others have it, too
            key = jwt.PyJWK(member)
            if key.algorithm_name in ALGORITHMS:
                found[key.key_id] = key
    return found


class _File:
    """Keys in a file, read again when it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: tuple[object, _Keys] = (None, {})

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        try:
            stat = self._path.stat()
            stamp, (seen, keys) = (stat.st_mtime_ns, stat.st_ino, stat.st_size), self._held
            if stamp != seen:
                keys = _read_keys(self._path.read_bytes())
                self._held = stamp, keys
        except (OSError, ValueError):
            return None
        return keys.get(kid)


class _Url:
    """Keys at a URL, held while they are fresh. An unknown key may be a new one: then they are
    fetched, but not as often as somebody makes up keys.
    """

    def __init__(self, url: str) -> None:
        self._request = Request(url, headers={"User-Agent": "orgguard"})  # noqa: S310  # checked
        self._opener = web.opener()
        self._lock = threading.Lock()
        self._keys: _Keys = {}
        self._fetched = self._tried = float("-inf")

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        # Whose key is known does not wait for somebody else's fetch.
        if self._wants(kid) and self._lock.acquire(blocking=kid not in self._keys):
            try:
                if self._wants(kid):
                    self._fetch()
            finally:
                self._lock.release()
        return self._keys.get(kid) if self._age() < STALE_SECONDS else None

    def _age(self) -> float:
        return time.monotonic() - self._fetched

    def _wants(self, kid: str | None) -> bool:
        if time.monotonic() - self._tried < RETRY_SECONDS:
            return False
        return kid not in self._keys or self._age() > FRESH_SECONDS

    def _fetch(self) -> None:
        try:
            with self._opener.open(self._request, timeout=_TIMEOUT) as reply:
                self._keys = _read_keys(reply.read(_MAX_KEYS + 1))
            self._fetched = time.monotonic()
        except (OSError, HTTPException, ValueError):
            pass  # those at hand are used until they are stale
        finally:
            self._tried = time.monotonic()
