"""The shared store's tables in PostgreSQL, and the steps from each format to the next.

Plain SQL: no extension, trigger, function of our own or advisory lock, so that engines that speak
PostgreSQL's protocol take it, too. Two servers that start at once wait for each other at the one
row of `orgguard_format`.
"""

from __future__ import annotations

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.storage.pg_session import Connection, Session

_FORMAT_1 = (
    # A log for each repository, and its newest entry. Whoever writes locks its row.
    """
    CREATE TABLE orgguard_log (
        id text PRIMARY KEY, fingerprint text NOT NULL UNIQUE,
        sealed_by text NOT NULL, sealed bytea NOT NULL,
        number bigint NOT NULL, head text NOT NULL, commits bigint NOT NULL
    )
    """,
    # Never changed but in the last line's columns, and when it is sealed anew.
    """
    CREATE TABLE orgguard_entry (
        log text NOT NULL REFERENCES orgguard_log (id), number bigint NOT NULL,
        kind text NOT NULL, request_id text NOT NULL, at double precision NOT NULL,
        expires_at double precision NOT NULL, commitment text NOT NULL, digest text NOT NULL,
        fingerprint text NOT NULL, sealed_by text NOT NULL, sealed bytea NOT NULL,
        asker text NOT NULL, pid bigint NOT NULL, started double precision NOT NULL,
        asked_at double precision NOT NULL,
        PRIMARY KEY (log, number)
    )
    """,
    "CREATE UNIQUE INDEX orgguard_once ON orgguard_entry (log, request_id, kind)"
    " WHERE kind IN ('request', 'answer', 'withdrawal')",
    "CREATE INDEX orgguard_by_request ON orgguard_entry (log, request_id)",
    "CREATE INDEX orgguard_by_name ON orgguard_entry (log, fingerprint)",
    "CREATE INDEX orgguard_by_expiry ON orgguard_entry (log, expires_at) WHERE kind = 'request'",
    "CREATE INDEX orgguard_by_key ON orgguard_entry (log, sealed_by)",
)

_STEPS = (_FORMAT_1,)
"""From each format to the next; a step that was released is never changed."""

FORMAT = len(_STEPS)


def prepare(session: Session) -> None:
    """Bring the store to `FORMAT`. Raises `LedgerError` when it is newer than this program."""
    if not session.read(_is_ready):
        session.write(lambda db, _: _make_format(db))
        session.write(lambda db, _: _upgrade(db))


def _is_ready(db: Connection) -> bool:
    """Whether there is nothing to do: then a user without the right to make tables will do."""
    there = "SELECT 1 FROM pg_class WHERE relname = 'orgguard_format' AND pg_table_is_visible(oid)"
    if db.execute(there).fetchone() is None:
        return False
    return db.execute("SELECT format FROM orgguard_format").fetchall() == [(FORMAT,)]


def _make_format(db: Connection) -> None:
    table = "CREATE TABLE IF NOT EXISTS orgguard_format (one integer PRIMARY KEY, format integer)"
    db.execute(table)
    db.execute("INSERT INTO orgguard_format VALUES (1, 0) ON CONFLICT DO NOTHING")


def lock(db: Connection) -> int:
    """Keep others from making tables or logs until this transaction ends; the format at hand."""
    found = db.execute("SELECT format FROM orgguard_format WHERE one = 1 FOR UPDATE").fetchone()
    return int(found[0]) if found else 0


def _upgrade(db: Connection) -> None:
    found = lock(db)
    if found > FORMAT:
        raise LedgerError(
            "nothing was asked or granted: the store was made by a newer OrgGuard",
            hint="upgrade orgguard-mcp",
        )
    for step in _STEPS[found:]:
        for statement in step:
            db.execute(statement)
    db.execute("UPDATE orgguard_format SET format = %s WHERE one = 1", (FORMAT,))
