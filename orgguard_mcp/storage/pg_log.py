"""One repository's log in PostgreSQL: entries that are never changed, chained and sealed.

An entry shows its number, kind, request and times, and a *commitment*: the HMAC of its content
under a random salt that is sealed beside the content. An entry's digest chains the digest before it
to what it shows. So whoever has a dump can verify the chain, and cannot try out a name that they
guess; and content can be sealed with another key without touching the chain.

The seal is bound to all that an entry shows: without the key nobody adds an entry, changes one or
moves it. They can cut off the newest ones, which those see who read them before, and signed heads
tell; and they can hide an entry from look-up by its fingerprint, which `verify` tells.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from orgguard_mcp import audit
from orgguard_mcp.errors import LedgerError
from orgguard_mcp.model import Asker
from orgguard_mcp.storage import pg_schema
from orgguard_mcp.storage.pg_session import RESTORE, Connection, Session
from orgguard_mcp.storage.seal import Keyring, Sealed
from orgguard_mcp.storage.store import EMPTY

SALT = 32
"""Bytes before the content, within the seal."""

_PORTION = 500  # entries that are in memory at once
_FIRST = -(1 << 63)
NOW = "extract(epoch FROM clock_timestamp())::double precision"
"""The database's clock: machines need not agree on the time for a question to lapse."""

BEGUN = "extract(epoch FROM statement_timestamp())::double precision"
"""The same when the statement began: by what changes within one, no index is used."""

_SHOWN = "e.log, e.number, e.kind, e.request_id, e.at, e.expires_at, e.commitment"
_COLUMNS = f"{_SHOWN}, e.digest, e.fingerprint, e.sealed_by, e.sealed, e.pid, e.started, e.asked_at"
_ASK_WORDS = ("place", "excerpt", "purpose", "client", "worktree", "branch")


class Entry(NamedTuple):
    """An entry that fits the one before, opened. Of `asked` the last re-ask counts."""

    number: int
    request_id: str
    at: float
    expires_at: float
    content: dict[str, Any]
    pid: int
    started: float
    asked_at: float


class Link(NamedTuple):
    """An entry with what holds it in the chain."""

    entry: Entry
    kind: str
    commitment: str
    digest: str
    salt: bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry to be: made once, however often its transaction is done again."""

    kind: str
    content: dict[str, Any]
    text: bytes
    commitment: str
    asker: Asker
    asked_at: float


def draft(
    kind: str, content: dict[str, Any], asker: Asker | None = None, asked_at: float = 0.0
) -> Draft:
    """An entry of *content*. Raises `LedgerError` when it cannot be stored."""
    try:
        text = audit.content_text(content)
    except UnicodeEncodeError as error:
        raise LedgerError(
            "nothing was granted: the text could not be stored",
            cause="it has half a character in it",
            hint="give it in UTF-8",
        ) from error
    salt = secrets.token_bytes(SALT)
    commitment = hmac.digest(salt, text, "sha256").hex()
    return Draft(kind, content, salt + text, commitment, asker or Asker(), asked_at)


def found_by(kind: str, content: dict[str, Any]) -> tuple[str, ...]:
    """The words that an entry is looked up by."""
    if kind == "ask":
        return (kind, *(content[word] for word in _ASK_WORDS))
    return ("name", content["key"])


def who(asker: Asker) -> tuple[str, ...]:
    """What tells one client from another."""
    if asker.pid:
        return ("process", str(asker.pid), str(float(asker.started)))
    return ("client", asker.label)


class Log:
    """The log of one repository, read and written through the caller's connection."""

    def __init__(self, session: Session, keys: Keyring, repository: str) -> None:
        self._keys = keys
        found = session.read(lambda db: self._find(db, repository))
        self.id = found or session.write(lambda db, _: self._make(db, repository))
        self._seen = 0
        self._seeing = threading.Lock()

    def _find(self, db: Connection, repository: str) -> str | None:
        query = "SELECT id FROM orgguard_log WHERE fingerprint = ANY(%s)"
        row = db.execute(query, (self._keys.fingerprints("log", repository),)).fetchone()
        return str(row[0]) if row else None

    def _make(self, db: Connection, repository: str) -> str:
        pg_schema.lock(db)
        if found := self._find(db, repository):
            return found
        # By other keys it may be there, and its refusals must not be passed over.
        foreign = "SELECT 1 FROM orgguard_log WHERE sealed_by <> ALL(%s) LIMIT 1"
        if db.execute(foreign, (self._keys.ids,)).fetchone():
            raise LedgerError(
                "nothing was granted: the store cannot be read",
                cause="it is sealed with a key that this machine does not have",
                hint="use the key file of the other machines",
            )
        made = secrets.token_hex(8)
        by, sealed = self._keys.seal(repository.encode(), made.encode())
        fingerprint = self._keys.fingerprint("log", repository)
        db.execute(
            "INSERT INTO orgguard_log VALUES (%s, %s, %s, %s, 0, %s, 0)",
            (made, fingerprint, by, sealed, EMPTY),
        )
        return made

    def fingerprints(self, *words: str) -> list[str]:
        """What *words* may be found by in this log."""
        return self._keys.fingerprints(self.id, *words)

    # --- writing ------------------------------------------------------------------------------

    @contextmanager
    def writing(self, db: Connection) -> Iterator[Writer]:
        """Append to the log. Whoever else would waits for the end of the transaction."""
        query = f"SELECT number, head, {NOW} FROM orgguard_log WHERE id = %s FOR UPDATE"
        number, head, now = self._row(db, query)
        writer = Writer(db, self, self._keys, number, head, now)
        yield writer
        db.execute(
            "UPDATE orgguard_log SET number = %s, head = %s, commits = commits + 1 WHERE id = %s",
            (writer.number, writer.head, self.id),
        )

    def _row(self, db: Connection, query: str, seen: int | None = None) -> tuple[Any, ...]:
        """The log's own row, its number first: no less than was *seen* before this moment of it."""
        seen = self._seen if seen is None else seen
        row = db.execute(query, (self.id,)).fetchone()
        if row is None or row[0] < seen:
            raise _altered("the log is shorter than it was")
        with self._seeing:
            self._seen = max(self._seen, row[0])
        return row

    # --- reading ------------------------------------------------------------------------------

    def commits(self, db: Connection) -> int:
        """How often something was committed."""
        return int(self._row(db, "SELECT number, commits FROM orgguard_log WHERE id = %s")[1])

    def head(self, db: Connection) -> str:
        """The newest entry's digest."""
        return str(self._row(db, "SELECT number, head FROM orgguard_log WHERE id = %s")[1])

    def entries(self, db: Connection, where: str, *values: object) -> list[Entry]:
        """The entries that *where* holds for, oldest first, each seen to fit."""
        found = db.execute(
            f"SELECT {_COLUMNS}, b.digest FROM orgguard_entry AS e LEFT JOIN orgguard_entry AS b"
            " ON b.log = e.log AND b.number = e.number - 1"
            f" WHERE e.log = %s AND ({where}) ORDER BY e.number",
            (self.id, *values),
        ).fetchall()
        return [self._link(row[:-1], EMPTY if row[1] == 1 else row[-1]).entry for row in found]

    def expect_whole(self, db: Connection) -> None:
        """Raise `LedgerError` when the log has not as many entries as it gave numbers."""
        count = "(SELECT count(*) FROM orgguard_entry WHERE log = id)"
        number, found = self._row(db, f"SELECT number, {count} FROM orgguard_log WHERE id = %s")
        if number != found:
            raise _altered(f"the log has {found} entries, and {number} were written")

    def verify(self, db: Connection, anchors: Iterable[str]) -> None:
        """Walk the whole log as of one moment; *anchors* are heads that it must have had."""
        missing, seen = set(anchors) - {EMPTY}, self._seen
        head, last = EMPTY, 0
        for link in self.walk(lambda first: self.portion(db, first)):
            head, last = link.digest, link.entry.number
            missing.discard(head)
        number, stored = self._row(db, "SELECT number, head FROM orgguard_log WHERE id = %s", seen)
        if (number, stored) != (last, head):
            raise _altered(f"the log ends with entry {last}, and {number} were written")
        if missing:
            raise _altered(
                "the log lacks an entry that a signed grant was made after:"
                " the store was built anew, or is an older copy"
            )

    def walk(self, portion: Callable[[int], Sequence[Sequence[Any]]]) -> Iterator[Link]:
        """The whole log, oldest first, each entry seen to fit the one before. *portion* reads what
        `portion` does: entries never change, so their portions need not be of one moment.
        """
        head, last = EMPTY, 0
        while rows := portion(last + 1 if last else _FIRST):
            for row in rows:
                last += 1
                if row[1] != last:
                    raise _altered(f"entry {last} is missing")
                link = self._link(row, head)
                head = link.digest
                yield link

    def portion(self, db: Connection, first: int) -> list[tuple[Any, ...]]:
        """The rows of some entries, from the number *first* on."""
        query = (
            f"SELECT {_COLUMNS} FROM orgguard_entry AS e WHERE e.log = %s AND e.number >= %s"
            f" ORDER BY e.number LIMIT {_PORTION}"
        )
        return db.execute(query, (self.id, first)).fetchall()

    def end(self, db: Connection) -> tuple[int, str]:
        """How many entries the log has, and the newest one's digest."""
        number, head = self._row(db, "SELECT number, head FROM orgguard_log WHERE id = %s")
        return number, head

    def _link(self, row: Sequence[Any], before: object) -> Link:
        shown, (digest, fingerprint, by, sealed, pid, started, asked_at) = row[:7], row[7:]
        _, number, kind, request_id, at, expires_at, commitment = shown
        if digest != audit.chained_in_store(before, shown):
            raise _altered(f"entry {number} does not fit what was sealed")
        try:
            text = self._keys.open(Sealed(by, sealed), bound_to(shown))
        except ValueError:
            raise _altered(f"entry {number} does not fit its seal") from None
        salt, content = text[:SALT], text[SALT:]
        if commitment != hmac.digest(salt, content, "sha256").hex():
            raise _altered(f"entry {number} is not what was committed to")
        opened = json.loads(content)
        if fingerprint not in self.fingerprints(*found_by(kind, opened)):
            raise _altered(f"entry {number} was hidden from look-up")
        entry = Entry(number, request_id, at, expires_at, opened, pid, started, asked_at)
        return Link(entry, kind, commitment, digest, salt)


def open_log(url: str, keys: Keyring, repository: str) -> tuple[Session, Log]:
    """The log of *repository* in the store at *url*, made if it is not there, and the session that
    it is read and written through.
    """
    session = Session(url)
    try:
        pg_schema.prepare(session)
        return session, Log(session, keys, repository)
    except BaseException:
        session.close()
        raise


class Writer:
    """Appends to a log that is locked. `now` is the database's time."""

    def __init__(
        self, db: Connection, log: Log, keys: Keyring, number: int, head: str, now: float
    ) -> None:
        self.number = number
        self.head = head
        self.now = now
        self._db = db
        self._log = log
        self._keys = keys

    def committed(self, drafts: Iterable[Draft]) -> str | None:
        """The request that one of *drafts* is about, if it was committed before."""
        query = "SELECT request_id FROM orgguard_entry WHERE log = %s AND commitment = ANY(%s)"
        values = (self._log.id, [made.commitment for made in drafts])
        row = self._db.execute(query, values).fetchone()
        return str(row[0]) if row else None

    def append(self, request_id: str, made: Draft, lapse_seconds: float = 0.0) -> None:
        """Append *made* as the newest entry."""
        self.number += 1
        expires_at = self.now + lapse_seconds
        shown = (
            self._log.id, self.number, made.kind, request_id, self.now, expires_at,
            made.commitment,
        )  # fmt: skip
        self.head = audit.chained_in_store(self.head, shown)
        found, bound = self._fingerprint(*found_by(made.kind, made.content)), bound_to(shown)
        self._db.execute(
            f"INSERT INTO orgguard_entry VALUES ({', '.join(['%s'] * 15)})",
            (*shown, self.head, found, *self._keys.seal(made.text, bound), *self._asked(made)),
        )

    def asked_again(self, number: int, made: Draft) -> None:
        """Note who asked the question of entry *number* last."""
        self._db.execute(
            "UPDATE orgguard_entry SET asker = %s, pid = %s, started = %s, asked_at = %s"
            " WHERE log = %s AND number = %s",
            (*self._asked(made), self._log.id, number),
        )

    def _asked(self, made: Draft) -> tuple[object, ...]:
        asker = made.asker
        return (self._fingerprint(*who(asker)), asker.pid, asker.started, made.asked_at)

    def _fingerprint(self, *words: str) -> str:
        return self._keys.fingerprint(self._log.id, *words)


def bound_to(shown: Sequence[Any]) -> bytes:
    """What an entry's seal is bound to: all that it shows and that never changes."""
    return json.dumps(list(shown), separators=(",", ":")).encode()


def _altered(cause: str) -> LedgerError:
    return LedgerError(
        "nothing was granted: the store was altered by another program", cause=cause, hint=RESTORE
    )
