"""The ledger's chain: an entry for every row that never changes, in the order of insertion.

An entry's digest seals the digest before it, and its row's kind, time and content. So a row that
another program edits, inserts or removes no longer fits, nor does a log whose newest entries were
cut off: SQLite remembers the highest number that it gave out.

What the chain cannot show: whoever can write the file can also add entries that fit, build the
whole chain anew, or put an older copy in its place. Only heads that an approver signed pin what
came before them: hand them to `verify`. The time of the last re-ask and the process that it came
from change, and are not sealed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from orgguard_mcp.audit import EMPTY, chained_in_file
from orgguard_mcp.errors import LedgerError


class _Kind(NamedTuple):
    words: str
    time: str
    sealed: str
    changing: str = ""


_KINDS = {
    "request": _Kind(
        "a question",
        "created_at",
        "seq, id, surface, key, base, base_reason, created_at, expires_at",
    ),
    "ask": _Kind(
        "a place of a question",
        "asked_at",
        "seq, request_id, place, excerpt, purpose, client, worktree, branch",
        ", pid, started, asked_at",
    ),
    "decision": _Kind(
        "a decision",
        "decided_at",
        "seq, request_id, key, answer, scope, reason, channel, decided_by, decided_at",
    ),
    "grant_file": _Kind("a signed grant", "added_at", "seq, request_id, text, added_at"),
}
"""The tables that are sealed, with the columns that never change and those that may."""

COLUMNS = {table: kind.sealed.split(", ") for table, kind in _KINDS.items()}
"""What of each of them is sealed."""

_PORTION = 500  # rows that are in memory at once
_FIRST = -(1 << 63)
_LAST = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'entry'), 0)"


class Link(NamedTuple):
    """An entry with the columns of its row that never change."""

    number: int
    kind: str
    at: float
    row: tuple[Any, ...]
    digest: str


class Chain:
    """The chain over the tables of one open database.

    What does not fit raises `LedgerError`, which tells the entry and never a name. The caller
    holds the connection's lock, and turns the database's own errors into its own.
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    def append(self, table: str, row_seq: int | None) -> None:
        """Seal the row *row_seq* of *table* as the newest entry, in the caller's transaction."""
        kind = _KINDS[table]
        # What is sealed is what was stored: columns have types of their own.
        *row, at = self._db.execute(
            f"SELECT {kind.sealed}, {kind.time} FROM {table} WHERE seq = ?", (row_seq,)
        ).fetchone()
        self._db.execute(
            "INSERT INTO entry (kind, row_seq, at, digest) VALUES (?, ?, ?, ?)",
            (table, row_seq, float(at), chained_in_file(self.head(), table, float(at), row)),
        )

    def append_all(self) -> None:
        """Seal every row of a file that had no chain: in which order they came is not known."""
        for table in _KINDS:
            for (seq,) in self._db.execute(f"SELECT seq FROM {table} ORDER BY seq").fetchall():
                self.append(table, seq)

    def head(self) -> str:
        """The digest of the newest entry, `EMPTY` when there is none."""
        row = self._db.execute("SELECT digest FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        return str(row[0]) if row else EMPTY

    def rows(self, table: str, where: str, values: tuple[object, ...]) -> list[list[Any]]:
        """The rows of *table*, oldest first, each seen to fit the entry before its own.

        Each row is its sealed columns without their number, then those that may change.
        """
        kind = _KINDS[table]
        columns = ", ".join(f"{table}.{c}" for c in f"{kind.sealed}{kind.changing}".split(", "))
        found = self._db.execute(
            f"SELECT {columns}, entry.seq, entry.at, entry.digest, before.digest FROM {table}"
            f" LEFT JOIN entry ON entry.kind = '{table}' AND entry.row_seq = {table}.seq"
            f" LEFT JOIN entry AS before ON before.seq = entry.seq - 1"
            f" {where} ORDER BY {table}.seq",
            values,
        ).fetchall()
        size = kind.sealed.count(",") + 1
        return [self._fitting(table, size, row) for row in found]

    def _fitting(self, table: str, size: int, found: tuple[Any, ...]) -> list[Any]:
        *row, number, at, digest, before = found
        if digest is None:
            raise self._unsealed(table, row[0])
        previous = EMPTY if number == 1 else before
        if digest != chained_in_file(previous, table, at, row[:size]):
            raise self._misfit(number, table, at, "does not fit what was sealed")
        return row[1:]

    def is_whole(self, table: str) -> bool:
        """Whether *table* and the log have as many rows as they gave out: the cheap look that
        `verify` follows when it fails.
        """
        found = self._db.execute(
            f"SELECT (SELECT count(*) FROM {table}) ="
            f" (SELECT count(*) FROM entry WHERE kind = '{table}')"
            f" AND (SELECT count(*) FROM entry) = ({_LAST})"
        ).fetchone()
        return bool(found[0])

    def verify(self, anchors: Iterable[str] = ()) -> None:
        """Walk the whole chain; *anchors* are heads that it must have had.

        The caller has a transaction open: all of it is read as of one moment.
        """
        missing = set(anchors) - {EMPTY}
        for link in self.walk():
            missing.discard(link.digest)
        if missing:
            raise self._altered(
                "the log lacks an entry that a signed grant was made after:"
                " the file was built anew, or is an older copy"
            )

    def walk(self) -> Iterator[Link]:
        """The entries, oldest first, each seen to fit its row and the entry before. To have come to
        the end is to know that there is nothing else.
        """
        rows = {table: self._portions(kind.sealed, table) for table, kind in _KINDS.items()}
        head, last = EMPTY, 0
        for number, kind, row_seq, at, digest in self._portions(
            "seq, kind, row_seq, at, digest", "entry"
        ):
            last += 1
            row = next(rows.get(kind, iter(())), None)
            if number != last or row is None or row[0] > row_seq:
                raise self._misfit(last, kind, at, "is missing, in the log or in its table")
            if row[0] < row_seq:
                raise self._unsealed(kind, row[0])
            head = chained_in_file(head, kind, at, row)
            if digest != head:
                raise self._misfit(number, kind, at, "was changed")
            yield Link(number, kind, at, row, digest)
        self._expect_end(rows, last)

    def _portions(self, columns: str, table: str) -> Iterator[tuple[Any, ...]]:
        """The rows of *table* by their number. Each portion is read whole: a cursor that an error
        leaves open would hold on to its moment.
        """
        query = f"SELECT {columns} FROM {table} WHERE seq >= ? ORDER BY seq LIMIT {_PORTION}"
        first = _FIRST
        while found := self._db.execute(query, (first,)).fetchall():
            yield from found
            first = found[-1][0] + 1

    def size(self) -> int:
        """How many entries there are."""
        return int(self._db.execute("SELECT count(*) FROM entry").fetchone()[0])

    def _expect_end(self, rows: dict[str, Iterator[tuple[Any, ...]]], last: int) -> None:
        for table, rest in rows.items():
            if row := next(rest, None):
                raise self._unsealed(table, row[0])
        if (given := self._db.execute(_LAST).fetchone()[0]) != last:
            raise self._altered(f"the log ends with entry {last}, and {given} were written")

    def _misfit(self, number: int, kind: str, at: object, what: str) -> LedgerError:
        words = _KINDS[kind].words if kind in _KINDS else "of no known kind"
        return self._altered(f"entry {number}, {words} of {_moment(at)}, {what}")

    def _unsealed(self, table: str, row_seq: int) -> LedgerError:
        kind = _KINDS[table]
        query = f"SELECT {kind.time} FROM {table} WHERE seq = ?"
        moment = _moment(self._db.execute(query, (row_seq,)).fetchone()[0])
        return self._altered(f"row {row_seq}, {kind.words} of {moment}, was inserted unsealed")

    def _altered(self, cause: str) -> LedgerError:
        return LedgerError(
            "nothing was granted: the queue was altered by another program",
            cause=cause,
            hint=start_anew(self._path),
        )


def start_anew(path: Path) -> str:
    """The next step when *path* is of no use any more."""
    return (
        f"the file is damaged: move {path} away and ask again (its decisions are lost;"
        " signed grants in .orgguard/grants stay valid)"
    )


def _moment(at: object) -> str:
    try:
        moment = datetime.fromtimestamp(float(str(at)), UTC)
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
    return moment.strftime("%Y-%m-%d %H:%M UTC")
