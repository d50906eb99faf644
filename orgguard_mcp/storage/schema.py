"""The ledger's tables, and the steps from each format of them to the next: forward only."""

from __future__ import annotations

import sqlite3

from orgguard_mcp.storage.chain import Chain

_FORMAT_1 = """
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


def _append_only(table: str, columns: str = "") -> str:
    """Triggers by which *table* takes new rows alone, and no change *columns* (all, or OF some)."""
    refuse = "BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;"
    return f"""
CREATE TRIGGER {table}_is_final BEFORE UPDATE {columns} ON {table} {refuse}
CREATE TRIGGER {table}_is_first BEFORE INSERT ON {table}
    WHEN EXISTS (SELECT 1 FROM {table} WHERE seq = NEW.seq) {refuse}
CREATE TRIGGER {table}_stays BEFORE DELETE ON {table} {refuse}
"""


_FORMAT_2 = f"""
ALTER TABLE ask ADD COLUMN worktree TEXT NOT NULL DEFAULT '';
ALTER TABLE ask ADD COLUMN branch TEXT NOT NULL DEFAULT '';
CREATE INDEX request_by_expiry ON request (expires_at);
CREATE INDEX decision_by_request ON decision (request_id);
CREATE TABLE grant_file (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL REFERENCES request (id),
    text TEXT NOT NULL, added_at REAL NOT NULL
);
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, row_seq INTEGER NOT NULL,
    at REAL NOT NULL, digest TEXT NOT NULL, UNIQUE (kind, row_seq)
);
{_append_only("request")}
{_append_only("ask", "OF seq, request_id, place, excerpt, purpose, client, worktree, branch")}
{_append_only("grant_file")}
{_append_only("entry")}
"""

_STEPS = (_FORMAT_1, _FORMAT_2)
"""From each format to the next; a step that was released is never changed."""

FORMAT = len(_STEPS)


def version(db: sqlite3.Connection) -> int:
    """The format of the file, 0 for an empty one."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def upgrade(db: sqlite3.Connection, log: Chain) -> None:
    """Bring the file to `FORMAT`, in the caller's transaction. One of a newer format stays."""
    for step in _STEPS[version(db) :]:
        _run(db, step)
        if step is _FORMAT_2:
            log.append_all()
        db.execute(f"PRAGMA user_version = {version(db) + 1}")


def _run(db: sqlite3.Connection, script: str) -> None:
    """Run *script* in the open transaction (sqlite3's executescript would commit it)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
