"""Bearer tokens of the shared server: entries of a log of their own in the shared store.

A token is an entry and its revocation another, so who has access is sealed, chained and resealed
like what was decided. The store has no secret, only its digest. Whoever looks a token up reads the
whole log once and holds it while its head stays the same: what is then taken out of the database,
moved or hidden there changes nothing, and its absence is told.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from orgguard_mcp.access import Permission, Principal, parse_permission
from orgguard_mcp.errors import LedgerError, UsageError
from orgguard_mcp.storage.pg_log import NOW, Draft, Entry, Writer, draft, open_log
from orgguard_mcp.storage.pg_session import Connection
from orgguard_mcp.storage.seal import Keyring
from orgguard_mcp.storage.store import free_id, user

LOG = "\x1ftokens"
"""The log's repository. None has such a name: a policy's is a printable line, others `root:…`."""

MAX_LABEL = 200
"""Characters of a label."""

_TEXT = re.compile(r"ogt_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_SECRET = 32  # bytes


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token that was made, without its secret. The label is untrusted text."""

    id: str
    label: str
    permissions: tuple[Permission, ...]
    made_by: str
    created_at: float
    expires_at: float
    revoked_at: float | None = None

    @property
    def principal(self) -> Principal:
        """Who comes with it."""
        return Principal(f"token:{self.id}", self.label, self.permissions, self.expires_at)


@dataclass(frozen=True, slots=True)
class _Held:
    """The log as it was read, all of it verified, at least to the entry with the digest *head*."""

    head: str
    tokens: Mapping[str, Token]
    digests: Mapping[str, str]


class Tokens:
    """The tokens in the store at *url*. Methods may be called from several threads.

    Every method raises `LedgerError` when the store cannot be read or written, or was altered.
    """

    def __init__(self, url: str, keys: Keyring) -> None:
        self._session, self._log = open_log(url, keys, LOG)
        self._held = _Held("", {}, {})

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def add(
        self, label: str, permissions: Sequence[Permission], expires_at: float
    ) -> tuple[Token, str]:
        """Make a token; its text is known now and never again.

        Raises `UsageError` for a label that is empty or too long, or without a permission.
        """
        if not label.strip() or len(label) > MAX_LABEL or not permissions:
            raise UsageError(
                "no token was made: it has no label or no permission, or the label is too long",
                hint=f"say in up to {MAX_LABEL} characters who will use it, and what it may",
            )
        secret = secrets.token_urlsafe(_SECRET)
        made = draft("token", {
            "key": _digest(secret), "label": label, "may": [str(one) for one in permissions],
            "by": user(),
        })  # fmt: skip

        def act(db: Connection, log: Writer) -> str:
            token_id = self._free_id(db)
            log.append(token_id, made, expires_at - log.now)
            return token_id

        token_id = self._write(made, act)
        return self._current()[0].tokens[token_id], f"ogt_{token_id}_{secret}"

    def revoke(self, token_id: str) -> Token:
        """End a token now, for ever; one that was revoked before stays as it is."""
        held, _ = self._current()
        if token_id not in held.tokens:
            raise LedgerError(
                "nothing was revoked: there is no such token", hint="`orgguard token list` has all"
            )
        made = draft("revocation", {"key": held.digests[token_id], "by": user()})

        def act(db: Connection, log: Writer) -> str:
            where = "e.kind = 'revocation' AND e.request_id = %s"
            if not self._log.entries(db, where, token_id):
                log.append(token_id, made)
            return token_id

        self._write(made, act)
        return self._current()[0].tokens[token_id]

    def find(self, text: str) -> Token | None:
        """The token that *text* is; None when it is none, was revoked, or has ended by the
        database's clock.
        """
        parts = _TEXT.fullmatch(text)
        if not parts:
            return None
        held, now = self._current()
        token_id, secret = parts.groups()
        token = held.tokens.get(token_id)
        if token is None or not hmac.compare_digest(held.digests[token_id], _digest(secret)):
            return None
        return token if token.revoked_at is None and now < token.expires_at else None

    def list(self) -> Sequence[Token]:
        """Every token, oldest first, those that have ended, too."""
        return list(self._current()[0].tokens.values())

    # --- the log ------------------------------------------------------------------------------

    def _current(self) -> tuple[_Held, float]:
        """The log, read again only if it has grown, and the database's time."""

        def act(db: Connection) -> tuple[str, float]:
            self._log.expect_whole(db)
            (now,) = db.execute(f"SELECT {NOW}").fetchone() or (float("inf"),)
            return self._log.head(db), now

        (head, now), held = self._session.read(act), self._held
        if head != held.head:
            # What is read has that head or, if the log grows meanwhile, a later one.
            self._held = held = self._session.snapshot(lambda db: self._read(db, head))
        return held, now

    def _read(self, db: Connection, head: str) -> _Held:
        self._log.verify(db, ())  # a revocation that was given another kind or token is noticed
        made = self._log.entries(db, "e.kind = 'token'")
        tokens = {entry.request_id: _read_token(entry) for entry in made}
        for entry in self._log.entries(db, "e.kind = 'revocation'"):
            token_id = entry.request_id
            tokens[token_id] = replace(tokens[token_id], revoked_at=entry.at)
        digests = {entry.request_id: str(entry.content["key"]) for entry in made}
        return _Held(head, tokens, digests)

    def _free_id(self, db: Connection) -> str:
        query = "SELECT 1 FROM orgguard_entry WHERE log = %s AND request_id = %s"
        return free_id(lambda one: bool(db.execute(query, (self._log.id, one)).fetchone()))

    def _write(self, made: Draft, act: Callable[[Connection, Writer], str]) -> str:
        """Commit what *act* appends, *made*, once: a try whose end was not heard may have done so.
        The token that it is about.
        """

        def transaction(db: Connection, unsure: bool) -> str:
            with self._log.writing(db) as log:
                return (log.committed([made]) if unsure else None) or act(db, log)

        return self._session.write(transaction)


def _digest(secret: str) -> str:
    # One round will do: nobody tries out 256 random bits, as they would a password that a human
    # chose. And of the characters, not the bytes: the last character has two bits to spare.
    return sha256(secret.encode()).hexdigest()


def _read_token(entry: Entry) -> Token:
    content = entry.content
    return Token(
        id=entry.request_id, label=content["label"],
        permissions=tuple(map(parse_permission, content["may"])), made_by=content["by"],
        created_at=entry.at, expires_at=entry.expires_at,
    )  # fmt: skip
