"""The ledger in SQLite: the queue of questions, and the append-only list of decisions.

One file in the repository's state directory, mode 0600, WAL, every commit synced. The first
decision on a request wins by one guarded INSERT, across threads, processes and reviewers. Rows of
decisions cannot be changed or deleted, not even by this program: triggers refuse it.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from orgguard_mcp import consent
from orgguard_mcp.errors import LedgerError
from orgguard_mcp.model import Answer, Ask, Asker, Base, Decision, Request, Scope
from orgguard_mcp.names import Name, NameKey

FORMAT = 1
BUSY_SECONDS = 10
"""How long a locked file is waited for."""

MAX_ASKS = 20
"""Places kept for one question; an agent that asks again for the same place adds none."""

_SCHEMA = """
CREATE TABLE request (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL, surface TEXT NOT NULL, base TEXT NOT NULL, base_reason TEXT NOT NULL,
    created_at REAL NOT NULL, expires_at REAL NOT NULL
);
CREATE INDEX request_by_key ON request (key);
CREATE TABLE ask (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL REFERENCES request (id),
    place TEXT NOT NULL, excerpt TEXT NOT NULL, purpose TEXT NOT NULL,
    client TEXT NOT NULL, pid INTEGER NOT NULL, started REAL NOT NULL, asked_at REAL NOT NULL
);
CREATE INDEX ask_by_request ON ask (request_id);
CREATE TABLE decision (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL REFERENCES request (id),
    key TEXT NOT NULL, answer TEXT NOT NULL, scope TEXT NOT NULL, reason TEXT NOT NULL,
    channel TEXT NOT NULL, decided_by TEXT NOT NULL, decided_at REAL NOT NULL
);
CREATE INDEX decision_by_key ON decision (key);
CREATE UNIQUE INDEX one_answer ON decision (request_id) WHERE answer <> 'withdraw';
CREATE UNIQUE INDEX one_withdrawal ON decision (request_id) WHERE answer = 'withdraw';
CREATE TRIGGER decision_is_final BEFORE UPDATE ON decision
    BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decision_is_first BEFORE INSERT ON decision
    WHEN EXISTS (
        SELECT 1 FROM decision WHERE seq = NEW.seq OR
        (request_id = NEW.request_id AND (answer = 'withdraw') = (NEW.answer = 'withdraw'))
    )
    BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decision_stays BEFORE DELETE ON decision
    BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
"""

_OPEN = """
    NOT EXISTS (SELECT 1 FROM decision WHERE decision.request_id = request.id)
    AND request.expires_at > ?
"""


class Ledger:
    """One repository's queue and decisions. Methods may be called from several threads.

    Every method raises `LedgerError` when the file cannot be read or written; then nothing was
    granted, and what was committed before is still there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        with self._errors("opened"):
            # Never opened but to make it: closing any descriptor of a file drops all locks that
            # this process holds on it, another Ledger's among them (fcntl(2)).
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
            self._db = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._use_write_ahead_log()
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
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
        if self._version() == FORMAT:
            return
        with self._writing():
            if self._version() == 0:
                self._run_script(_SCHEMA)
        if self._version() != FORMAT:
            raise LedgerError(
                "nothing was asked or granted: the queue was written by a newer OrgGuard",
                hint="upgrade orgguard-mcp",
            )

    def _run_script(self, script: str) -> None:
        """Run *script* in the open transaction (sqlite3's executescript would commit it)."""
        statement = ""
        for line in script.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                self._db.execute(statement)
                statement = ""
        self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    # --- the queue ----------------------------------------------------------------------------

    def ask(self, name: Name, base: Base, asks: Sequence[Ask], lapse_seconds: float) -> Request:
        """Commit a question about *name*, or join the open one, and return it.

        The same question from the same asker for the same place is kept once.
        """
        now = time.time()
        with self._errors("stored"), self._writing():
            row = self._db.execute(
                f"SELECT id FROM request WHERE key = ? AND {_OPEN}", (name.key, now)
            ).fetchone()
            if row:
                request_id = str(row[0])
            else:
                request_id = secrets.token_hex(4)
                self._db.execute(
                    "INSERT INTO request (id, key, surface, base, base_reason, created_at,"
                    " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        request_id, name.key, name.surface, base.commit, base.reason, now,
                        now + lapse_seconds,
                    ),
                )  # fmt: skip
            for ask in asks:
                self._join(request_id, ask)
        return self.request(request_id)

    def _join(self, request_id: str, ask: Ask) -> None:
        words = (request_id, ask.where, ask.excerpt, ask.purpose, ask.asker.label)
        same = self._db.execute(
            "SELECT seq FROM ask WHERE request_id = ? AND place = ? AND excerpt = ?"
            " AND purpose = ? AND client = ?",
            words,
        ).fetchone()
        asked = (ask.asker.pid, ask.asker.started, ask.asked_at)
        if same:
            self._db.execute(
                "UPDATE ask SET pid = ?, started = ?, asked_at = ? WHERE seq = ?", (*asked, same[0])
            )
            return
        self._db.execute(
            "INSERT INTO ask (request_id, place, excerpt, purpose, client, pid, started, asked_at)"
            " SELECT ?, ?, ?, ?, ?, ?, ?, ?"
            " WHERE (SELECT count(*) FROM ask WHERE request_id = ?) < ?",
            (*words, *asked, request_id, MAX_ASKS),
        )

    def request(self, request_id: str) -> Request:
        """The request *request_id*; `LedgerError` when there is none."""
        found = self._requests("WHERE id = ?", (request_id,))
        if not found:
            raise LedgerError("there is no such request", hint="`orgguard pending` lists them")
        return found[0]

    def keys(self) -> frozenset[NameKey]:
        """The keys of every request, open or not."""
        with self._errors("read"), self._lock:
            rows = self._db.execute("SELECT DISTINCT key FROM request").fetchall()
            return frozenset(NameKey(row[0]) for row in rows)

    def pending(self) -> list[Request]:
        """Every open request, oldest first."""
        return self._requests(f"WHERE {_OPEN}", (time.time(),))

    def open_request(self, key: NameKey) -> Request | None:
        """The open request about *key*, or None."""
        found = self._requests(f"WHERE key = ? AND {_OPEN}", (key, time.time()))
        return found[0] if found else None

    def _requests(self, where: str, values: tuple[object, ...]) -> list[Request]:
        with self._errors("read"), self._lock:
            rows = self._db.execute(
                "SELECT id, surface, key, base, base_reason, created_at, expires_at"
                f" FROM request {where} ORDER BY seq",
                values,
            ).fetchall()
            return [
                Request(
                    id=row[0], name=Name(row[1], NameKey(row[2])), base=Base(row[3], row[4]),
                    created_at=row[5], expires_at=row[6], asks=self._asks(row[0]),
                )
                for row in rows
            ]  # fmt: skip

    def _asks(self, request_id: str) -> tuple[Ask, ...]:
        rows = self._db.execute(
            "SELECT place, excerpt, purpose, client, pid, started, asked_at"
            " FROM ask WHERE request_id = ? ORDER BY seq",
            (request_id,),
        )
        return tuple(Ask(row[0], row[1], row[2], Asker(*row[3:6]), row[6]) for row in rows)

    # --- decisions ----------------------------------------------------------------------------

    def decide(self, decision: Decision) -> Decision:
        """Append *decision* unless the request has one already; return the one that stands.

        One guarded INSERT decides who was first; the loser gets the winner's decision back.
        """
        with self._errors("decided"), self._writing():
            self.request(decision.request_id)
            decisions = self.decisions(decision.key)
            mine = [d for d in decisions if d.request_id == decision.request_id]
            last = mine[-1].answer if mine else None
            if consent.may_follow(last, decision.answer):
                self._db.execute(
                    "INSERT INTO decision (request_id, key, answer, scope, reason, channel,"
                    " decided_by, decided_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        decision.request_id, decision.key, decision.answer,
                        json.dumps(decision.scope.paths), decision.reason, decision.channel,
                        decision.decided_by, decision.decided_at,
                    ),
                )  # fmt: skip
                return decision
            return mine[-1]

    def decisions(self, key: NameKey | None = None) -> list[Decision]:
        """Every decision, or those on *key*, oldest first."""
        where, values = ("WHERE key = ?", (key,)) if key is not None else ("", ())
        with self._errors("read"), self._lock:
            rows = self._db.execute(
                "SELECT request_id, key, answer, scope, reason, channel, decided_by, decided_at"
                f" FROM decision {where} ORDER BY seq",
                values,
            ).fetchall()
            return [
                Decision(
                    request_id=row[0], key=NameKey(row[1]), answer=Answer(row[2]),
                    scope=Scope(tuple(json.loads(row[3]))), reason=row[4], channel=row[5],
                    decided_by=row[6], decided_at=row[7],
                )
                for row in rows
            ]  # fmt: skip

    def decision_on(self, request_id: str) -> Decision | None:
        """The grant or refusal that *request_id* has, or None while it is open."""
        key = self.request(request_id).name.key
        found = (d for d in self.decisions(key) if d.request_id == request_id)
        return next((d for d in found if d.answer is not Answer.WITHDRAW), None)

    def version(self) -> int:
        """A number that changes with every commit of another connection (`PRAGMA data_version`):
        the cheap way to wait for a change.
        """
        with self._errors("read"), self._lock:
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    # --- transactions and errors --------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, written or not at all. BEGIN IMMEDIATE: readers never turn writers."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            raise LedgerError(
                f"nothing was granted: the queue could not be {done}",
                cause=f"{type(error).__name__}: {error}",
                hint=_next_step(error, self._path),
            ) from error


def _next_step(error: Exception, path: Path) -> str:
    text = str(error)
    if "locked" in text:
        return "another process holds the queue; try again in a moment"
    if "full" in text or "No space" in text:
        return "free disk space, then try again"
    if not isinstance(error, OSError | sqlite3.OperationalError):
        return f"the file is damaged: move {path} away and ask again (its decisions are lost)"
    return f"check that {path.parent} can be written"
