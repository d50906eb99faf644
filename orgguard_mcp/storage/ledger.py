"""The ledger in SQLite: the queue of questions, and the append-only list of decisions.

One file in the repository's state directory, mode 0600, WAL, every commit synced. The first
decision on a request wins by one guarded INSERT, across threads, processes and reviewers. Rows of
decisions cannot be changed or deleted, not even by this program: triggers refuse it. Another
program can drop them; then the chain shows what it changed, unless it built the whole chain anew:
`chain` says what that can and cannot show.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from orgguard_mcp import audit, consent
from orgguard_mcp.errors import LedgerError, UsageError
from orgguard_mcp.model import Answer, Ask, Asker, Base, Decision, Request
from orgguard_mcp.names import MAX_LENGTH, Name, NameKey
from orgguard_mcp.storage import schema, store, verified
from orgguard_mcp.storage.bell import Bell, FifoBell, ring
from orgguard_mcp.storage.chain import COLUMNS, Chain, start_anew
from orgguard_mcp.storage.store import MAX_ASKS, cut

BUSY_SECONDS = 10
"""How long a locked file is waited for."""

_OPEN = """
    NOT EXISTS (SELECT 1 FROM decision WHERE decision.request_id = request.id)
    AND request.expires_at > ?
"""


class Ledger:
    """`store.Store` in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._known: tuple[int, frozenset[str]] = -1, frozenset()
        with self._errors("opened"):
            # Never opened but to make it: closing any descriptor of a file drops all locks that
            # this process holds on it, another Ledger's among them (fcntl(2)).
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
            for companion in ("", "-wal", "-shm", "-journal"):
                _make_private(path.with_name(path.name + companion))
            self._db = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._use_write_ahead_log()
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._chain = Chain(self._db, path)
            self._migrate()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _use_write_ahead_log(self) -> None:
        """Switch the journal mode. SQLite does not wait for a lock here, so this does."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def _migrate(self) -> None:
        if schema.version(self._db) == schema.FORMAT:
            return
        with self._writing():
            schema.upgrade(self._db, self._chain)
        if schema.version(self._db) != schema.FORMAT:
            raise LedgerError(
                "nothing was asked or granted: the queue was written by a newer OrgGuard",
                hint="upgrade orgguard-mcp",
            )

    # --- the queue ----------------------------------------------------------------------------

    def ask(
        self, name: Name, base: Base, asks: Sequence[Ask], lapse_seconds: float,
        known: Collection[str] | None = None,
    ) -> Request:  # fmt: skip
        """See `Store`."""
        now = time.time()
        with self._errors("stored"), self._writing():
            row = self._db.execute(
                f"SELECT id FROM request WHERE key = ? AND {_OPEN}", (name.key, now)
            ).fetchone()
            if row:
                request_id = str(row[0])
            elif answered := self._answered_since(name.key, known):
                return self.request(answered)
            else:
                self._expect_room(asks[0].asker if asks else Asker(), now)
                request_id = self._open(name, base, now, now + lapse_seconds)
            for ask in asks:
                self._join(request_id, ask)
        return self.request(request_id)

    def _answered_since(self, key: NameKey, known: Collection[str] | None) -> str | None:
        if known is None:
            return None
        row = self._db.execute(
            "SELECT request_id FROM decision WHERE key = ? AND answer <> 'withdraw'"
            " AND request_id NOT IN (SELECT value FROM json_each(?)) ORDER BY seq DESC LIMIT 1",
            (key, json.dumps(list(known))),
        ).fetchone()
        return str(row[0]) if row else None

    def _expect_room(self, asker: Asker, now: float) -> None:
        """Raise `LedgerError` unless *asker* may open another question. Whose a question is, its
        first place tells.
        """
        same = "ask.pid = ? AND ask.started = ?" if asker.pid else "ask.pid = 0 AND ask.client = ?"
        who = (asker.pid, asker.started) if asker.pid else (cut(asker.label),)
        everybodys, own = self._db.execute(
            f"SELECT count(*), count(CASE WHEN {same} THEN 1 END) FROM request LEFT JOIN ask"
            " ON ask.seq = (SELECT min(seq) FROM ask AS first WHERE first.request_id = request.id)"
            f" WHERE {_OPEN}",
            (*who, now),
        ).fetchone()
        store.expect_room(everybodys, own)

    def _open(self, name: Name, base: Base, now: float, expires_at: float) -> str:
        taken = "SELECT 1 FROM request WHERE id = ?"
        request_id = store.free_id(lambda one: bool(self._db.execute(taken, (one,)).fetchone()))
        inserted = self._db.execute(
            "INSERT INTO request (id, key, surface, base, base_reason, created_at, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                request_id, name.key, cut(name.surface, MAX_LENGTH), base.commit, base.reason, now,
                expires_at,
            ),
        )  # fmt: skip
        self._chain.append("request", inserted.lastrowid)
        return request_id

    def _join(self, request_id: str, ask: Ask) -> None:
        texts = (ask.where, ask.excerpt, ask.purpose, ask.asker.label, ask.worktree, ask.branch)
        words = (request_id, *map(cut, texts))
        same = self._db.execute(
            "SELECT seq FROM ask WHERE request_id = ? AND place = ? AND excerpt = ?"
            " AND purpose = ? AND client = ? AND worktree = ? AND branch = ?",
            words,
        ).fetchone()
        asked = (ask.asker.pid, ask.asker.started, ask.asked_at)
        if same:
            self._db.execute(
                "UPDATE ask SET pid = ?, started = ?, asked_at = ? WHERE seq = ?", (*asked, same[0])
            )
            return
        inserted = self._db.execute(
            "INSERT INTO ask (request_id, place, excerpt, purpose, client, worktree, branch,"
            " pid, started, asked_at) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
            " WHERE (SELECT count(*) FROM ask WHERE request_id = ?) < ?",
            (*words, *asked, request_id, MAX_ASKS),
        )
        if inserted.rowcount:
            self._chain.append("ask", inserted.lastrowid)

    def request(self, request_id: str) -> Request:
        """The request *request_id*; `LedgerError` when there is none."""
        found = self._requests("WHERE id = ?", (request_id,))
        if not found:
            raise store.no_such_request()
        return found[0]

    def keys(self) -> frozenset[NameKey]:
        """The keys of every request, open or not."""
        with self._errors("read"), self._lock:
            rows = self._db.execute("SELECT DISTINCT key FROM request").fetchall()
            return frozenset(NameKey(row[0]) for row in rows)

    def requests(self) -> list[Request]:
        """Every request, oldest first."""
        return self._requests("", ())

    def pending(self) -> list[Request]:
        """Every open request, oldest first."""
        return self._requests(f"WHERE {_OPEN}", (time.time(),))

    def open_request(self, key: NameKey) -> Request | None:
        """The open request about *key*, or None."""
        if not self._knows(key):
            return None
        found = self._requests(f"WHERE key = ? AND {_OPEN}", (key, time.time()))
        return found[0] if found else None

    def _requests(self, where: str, values: tuple[object, ...]) -> list[Request]:
        with self._errors("read"), self._lock:
            return [
                Request(
                    id=row[0], name=Name(row[1], NameKey(row[2])), base=Base(row[3], row[4]),
                    created_at=row[5], expires_at=row[6], asks=self._asks(row[0]),
                )
                for row in self._chain.rows("request", where, values)
            ]  # fmt: skip

    def _asks(self, request_id: str) -> tuple[Ask, ...]:
        rows = self._chain.rows("ask", "WHERE request_id = ?", (request_id,))
        return tuple(
            Ask(
                where=place, excerpt=excerpt, purpose=purpose, asker=Asker(client, pid, started),
                asked_at=asked_at, worktree=worktree, branch=branch,
            )
            for _, place, excerpt, purpose, client, worktree, branch, pid, started, asked_at in rows
        )  # fmt: skip

    # --- decisions ----------------------------------------------------------------------------

    def decide(self, decision: Decision, grant: str = "") -> Decision:
        """Append *decision* unless the request has one already; return the one that stands.

        One guarded INSERT decides who was first; the loser gets the winner's decision back. The
        text of a signed *grant* is attached if the decision stands.
        """
        with self._errors("decided"), self._writing():
            self.request(decision.request_id)
            decisions = self.decisions(decision.key)
            mine = [d for d in decisions if d.request_id == decision.request_id]
            last = mine[-1].answer if mine else None
            if not consent.may_follow(last, decision.answer):
                return mine[-1]
            inserted = self._db.execute(
                "INSERT INTO decision (request_id, key, answer, scope, reason, channel,"
                " decided_by, decided_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    decision.request_id, decision.key, decision.answer,
                    store.scope_text(decision.scope), decision.reason, decision.channel,
                    decision.decided_by, decision.decided_at,
                ),
            )  # fmt: skip
            self._chain.append("decision", inserted.lastrowid)
            if grant:
                self._attach(decision.request_id, grant)
            return decision

    def decisions(self, key: NameKey | None = None) -> list[Decision]:
        """Every decision, or those on *key*, oldest first."""
        # By its request, too: one whose key was changed must be seen, and fail.
        by_key = "WHERE key = ? OR request_id IN (SELECT id FROM request WHERE request.key = ?)"
        where, values = (by_key, (key, key)) if key is not None else ("", ())
        if key is not None and not self._knows(key):
            return []
        with self._errors("read"), self._lock:
            self._expect_whole()
            return [
                Decision(
                    request_id=row[0], key=NameKey(row[1]), answer=Answer(row[2]),
                    scope=store.read_scope(row[3]), reason=row[4], channel=row[5],
                    decided_by=row[6], decided_at=row[7],
                )
                for row in self._chain.rows("decision", where, values)
            ]  # fmt: skip

    def _knows(self, key: NameKey) -> bool:
        """Whether anybody asked or spoke about *key*: most names are new, and as long as nobody
        commits anything, the log need not be read to tell.
        """
        with self._errors("read"), self._lock:
            version = self.version()  # before the keys: what comes between is read again
            if version != self._known[0]:
                self._expect_whole()
                rows = self._db.execute("SELECT key FROM request UNION SELECT key FROM decision")
                self._known = version, frozenset(row[0] for row in rows.fetchall())
            return key in self._known[1]

    def _expect_whole(self) -> None:
        if not self._chain.is_whole("decision"):
            self.verify()

    def decision_on(self, request_id: str) -> Decision | None:
        """The grant or refusal that *request_id* has, or None while it is open."""
        key = self.request(request_id).name.key
        found = (d for d in self.decisions(key) if d.request_id == request_id)
        return next((d for d in found if d.answer is not Answer.WITHDRAW), None)

    # --- signed grants and the chain ----------------------------------------------------------

    def attach(self, request_id: str, text: str) -> None:
        """Append the *text* of a signed grant for the request; it may have several."""
        with self._errors("stored"), self._writing():
            self.request(request_id)
            self._attach(request_id, text)

    def _attach(self, request_id: str, text: str) -> None:
        inserted = self._db.execute(
            "INSERT INTO grant_file (request_id, text, added_at) VALUES (?, ?, ?)",
            (request_id, text, time.time()),
        )
        self._chain.append("grant_file", inserted.lastrowid)

    def attached(self) -> list[tuple[str, str]]:
        """The signed grants, oldest first: the request's id, and the text."""
        with self._errors("read"), self._lock:
            return [(row[0], row[1]) for row in self._chain.rows("grant_file", "", ())]

    def head(self) -> str:
        """The digest of the newest entry of the log; 64 zeros when it is empty."""
        with self._errors("read"), self._lock:
            return self._chain.head()

    def verify(self, anchors: Iterable[str] = (), *, if_touched: bool = False) -> None:
        """See `Store`."""
        with self._errors("verified"):
            stands = verified.stamp(self._path)
            if if_touched and verified.is_noted(self._path, stands):
                return
            with self._reading():
                self._chain.verify(anchors)
            verified.note(self._path, stands)

    def export(self, *, reveal: bool) -> audit.Export:
        """See `Store`. The chain is over names: who has its digests can try names against them."""
        if not reveal:
            raise UsageError(
                "nothing was exported: this queue's log cannot be shown without its names",
                cause="its digests are made of them, so whoever has those can try out names",
                hint="add --reveal, and keep the export where the names may be; the log of a"
                " shared store can be exported without them",
            )
        with self._errors("read"), self._lock:
            head, size = self._chain.head(), self._chain.size()
        return audit.Export(audit.IN_FILE, "", head, size, True, COLUMNS, self._entries(size))

    def _entries(self, count: int) -> Iterator[audit.Entry]:
        links = islice(self._chain.walk(), count)
        while True:
            with self._errors("read"), self._lock:
                link = next(links, None)
            if link is None:
                return
            content = dict(zip(COLUMNS[link.kind], link.row, strict=True))
            yield {
                "number": link.number, "kind": link.kind, "at": link.at, "content": content,
                "digest": link.digest,
            }  # fmt: skip

    # --- waiting for a change -----------------------------------------------------------------

    def version(self) -> int:
        """A number that grows with every commit, whoever's it is: the cheap way to see a change."""
        with self._errors("read"), self._lock:
            others = self._db.execute("PRAGMA data_version").fetchone()[0]
            return int(others) + self._db.total_changes

    def undecided(self, request_ids: Iterable[str]) -> frozenset[str]:
        """Those of *request_ids* that have no decision yet: when to look, and no answer."""
        asked = frozenset(request_ids)
        query = (
            "SELECT request_id FROM decision WHERE request_id IN (SELECT value FROM json_each(?))"
        )
        with self._errors("read"), self._lock:
            rows = self._db.execute(query, (json.dumps(sorted(asked)),)).fetchall()
        return asked - {row[0] for row in rows}

    def bell(self) -> Bell | None:
        """What rings when somebody commits, None where there can be none: then only `version`
        tells. To be closed by the caller.
        """
        with suppress(OSError):
            return FifoBell(self._path.parent)
        return None

    # --- transactions and errors --------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, written or not at all. BEGIN IMMEDIATE: readers never turn writers.
        Then those who wait are told.
        """
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        ring(self._path.parent)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One moment of the file for several reads; a transaction that is open already is one."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError, LookupError) as error:
            raise LedgerError(
                f"nothing was granted: the queue could not be {done}",
                cause=f"{type(error).__name__}: {error}",
                hint=_next_step(error, self._path),
            ) from error


def _make_private(path: Path) -> None:
    """Take from others what they may do with *path*, unless it is theirs or elsewhere."""
    with suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise LedgerError(
                "nothing was asked or granted: the queue is no file of this user's",
                cause=f"{path} is another user's, a symbolic link or a directory",
                hint=f"see who put it there, then move {path} away and ask again",
            )
        if found.st_mode & 0o077:
            path.chmod(0o600)


_MACHINE = ("unable to open", "readonly", "disk I/O")


def _next_step(error: Exception, path: Path) -> str:
    text = str(error)
    if "locked" in text:
        return "another process holds the queue; try again in a moment"
    if "full" in text or "No space" in text:
        return "free disk space, then try again"
    if isinstance(error, OSError) or any(words in text for words in _MACHINE):
        return f"check that {path.parent} can be written"
    return start_anew(path)
