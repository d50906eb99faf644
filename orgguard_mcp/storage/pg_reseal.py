"""Key rotation: what older keys sealed in a shared store is sealed with the first one.

The chain covers commitments, not seals, so it stays as it is. Whoever works meanwhile with all of
the keys notices nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orgguard_mcp.model import Asker
from orgguard_mcp.storage import pg_schema
from orgguard_mcp.storage.pg_log import SALT, bound_to, found_by, who
from orgguard_mcp.storage.pg_session import Connection, Session
from orgguard_mcp.storage.seal import Keyring, Sealed

_AT_ONCE = 200  # entries in one transaction
_SHOWN = "log, number, kind, request_id, at, expires_at, commitment"


def reseal(url: str, keys: Keyring) -> int:
    """Seal every repository's entries with the first key; how many were sealed with another.

    Raises `LedgerError` when some were sealed with none of *keys*.
    """
    session = Session(url)
    try:
        pg_schema.prepare(session)
        total = 0
        while done := session.write(lambda db, _: _some_entries(db, keys)):
            total += done
        session.write(lambda db, _: _logs(db, keys))
        return total
    finally:
        session.close()


def _some_entries(db: Connection, keys: Keyring) -> int:
    rows = db.execute(
        f"SELECT {_SHOWN}, sealed_by, sealed, pid, started FROM orgguard_entry"
        f" WHERE sealed_by <> %s LIMIT {_AT_ONCE} FOR UPDATE",
        (keys.sealing,),
    ).fetchall()
    for row in rows:
        _entry(db, keys, row)
    return len(rows)


def _entry(db: Connection, keys: Keyring, row: Sequence[Any]) -> None:
    shown, (by, sealed, pid, started) = row[:7], row[7:]
    log, number, kind = row[:3]
    text = keys.open(Sealed(by, sealed), bound_to(shown))
    content = json.loads(text[SALT:])
    asker = Asker(content.get("client", ""), pid, started)
    db.execute(
        "UPDATE orgguard_entry SET sealed_by = %s, sealed = %s, fingerprint = %s, asker = %s"
        " WHERE log = %s AND number = %s",
        (
            *keys.seal(text, bound_to(shown)), keys.fingerprint(log, *found_by(kind, content)),
            keys.fingerprint(log, *who(asker)), log, number,
        ),
    )  # fmt: skip


def _logs(db: Connection, keys: Keyring) -> None:
    pg_schema.lock(db)  # nobody makes a log meanwhile
    query = "SELECT id, sealed_by, sealed FROM orgguard_log WHERE sealed_by <> %s FOR UPDATE"
    for log, *sealed in db.execute(query, (keys.sealing,)).fetchall():
        name = keys.open(Sealed(*sealed), log.encode())
        db.execute(
            "UPDATE orgguard_log SET sealed_by = %s, sealed = %s, fingerprint = %s WHERE id = %s",
            (*keys.seal(name, log.encode()), keys.fingerprint("log", name.decode()), log),
        )
