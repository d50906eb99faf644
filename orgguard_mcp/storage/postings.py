"""The index's cache in SQLite: which blobs hold which keys, and which files a tree has.

Keyed by blob, so that a new base pays only for blobs never seen. Blobs are written in segments, a
transaction each: a killed build goes on where it stopped. Nothing in here is trusted: what it
says of a name is seen in the base's own objects before it counts.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from os import fsdecode, fsencode
from pathlib import Path
from typing import Literal

from orgguard_mcp.model import HELD_ENOUGH, NOTHING, Held
from orgguard_mcp.uses import Use

FORMAT = 10
"""Raise it whenever keys or tables change: an index of another format is built anew."""

Error = sqlite3.Error
"""What every method may raise, for callers that must not know the driver."""

TREES_KEPT = 16
"""Bases whose file lists are kept: branches and worktrees of one repository share the cache."""

_MAX_PARAMETERS = 500

_FIELDS = {
    int(use): Held._fields.index(field)
    for use, field in (
        (Use.WORD, "files"), (Use.NAMED, "named"), (Use.PROPER, "proper"), (Use.DEFINED, "defined"),
    )
}  # fmt: skip
_PLACES = Held._fields.index("places")

_SCHEMA = """
CREATE TABLE blob (id INTEGER PRIMARY KEY, oid TEXT NOT NULL UNIQUE);
CREATE TABLE posting (
    key TEXT NOT NULL, use INTEGER NOT NULL, segment INTEGER NOT NULL, blobs BLOB NOT NULL,
    PRIMARY KEY (key, use, segment)
) WITHOUT ROWID;
CREATE TABLE tree (id INTEGER PRIMARY KEY, oid TEXT NOT NULL UNIQUE, unread TEXT NOT NULL);
CREATE TABLE file (
    id INTEGER PRIMARY KEY, tree INTEGER NOT NULL, blob INTEGER, path BLOB NOT NULL
);
CREATE INDEX file_by_blob ON file (tree, blob);
CREATE TABLE place (
    tree INTEGER NOT NULL, key TEXT NOT NULL, files BLOB NOT NULL, PRIMARY KEY (tree, key)
) WITHOUT ROWID;
"""


class Postings:
    """One repository's cache file. Methods may be called from several threads.

    Every method may raise `Error`; `damaged` tells a damaged file from a full disk or a lock.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._counted: tuple[int, dict[int, int]] = (0, {})
        with suppress(FileExistsError):  # see Ledger: an open and close would drop locks
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            # A cache: after a crash of the machine it may be lost, so it need not wait for disks.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            if self._version() != FORMAT:
                self._create()
        except UnicodeDecodeError as error:  # sqlite3 quotes a damaged schema that is no UTF-8
            self._db.close()
            raise sqlite3.DatabaseError("the schema is malformed") from error
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _create(self) -> None:
        with self._db:
            self._db.execute("BEGIN EXCLUSIVE")
            if self._version() == FORMAT:
                return
            tables = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in tables.fetchall():
                self._db.execute(f'DROP TABLE "{table}"')
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {FORMAT}")

    # --- writing ------------------------------------------------------------------------------

    def missing(self, oids: Iterable[str]) -> list[str]:
        """Those of *oids* that no segment holds yet, in order, each once."""
        with self._lock:
            known = {oid for (oid,) in self._db.execute("SELECT oid FROM blob")}
        return [oid for oid in dict.fromkeys(oids) if oid not in known]

    def add_segment(self, blobs: Mapping[str, Iterable[tuple[str, int]]]) -> None:
        """Add *blobs*: of each, the pairs of key and use that stand in it."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            segment = self._db.execute("SELECT coalesce(max(id), 0) FROM blob").fetchone()[0]
            lists: defaultdict[tuple[str, int], array[int]] = defaultdict(lambda: array("I"))
            for number, (oid, keys) in enumerate(blobs.items(), segment + 1):
                self._db.execute("INSERT INTO blob VALUES (?, ?)", (number, oid))
                for pair in keys:
                    lists[pair].append(number)
            self._db.executemany(
                "INSERT INTO posting VALUES (?, ?, ?, ?)",
                ((key, use, segment, ids.tobytes()) for (key, use), ids in sorted(lists.items())),
            )

    def add_tree(
        self,
        oid: str,
        files: Sequence[tuple[str, str]],
        places: Mapping[str, Sequence[int]],
        unread: str,
    ) -> None:
        """Add the tree *oid*: its *files* as (blob, path), per key of a path component the
        positions in *files*, and what was not read, in words. The oldest trees beyond
        `TREES_KEPT` go.
        """
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if self.tree(oid) is not None:
                return
            tree = self._db.execute(
                "INSERT INTO tree (oid, unread) VALUES (?, ?)", (oid, unread)
            ).lastrowid
            first = self._db.execute("SELECT coalesce(max(id), 0) FROM file").fetchone()[0] + 1
            ids = dict(self._db.execute("SELECT oid, id FROM blob"))
            self._db.executemany(
                "INSERT INTO file VALUES (?, ?, ?, ?)",
                (
                    (first + n, tree, ids.get(blob), fsencode(path))
                    for n, (blob, path) in enumerate(files)
                ),
            )
            self._db.executemany(
                "INSERT INTO place VALUES (?, ?, ?)",
                (
                    (tree, key, array("Q", (first + n for n in at)).tobytes())
                    for key, at in sorted(places.items())
                ),
            )
            old = "SELECT id FROM tree ORDER BY id DESC LIMIT -1 OFFSET ?"
            for table, column in (("file", "tree"), ("place", "tree"), ("tree", "id")):
                self._db.execute(f"DELETE FROM {table} WHERE {column} IN ({old})", (TREES_KEPT,))

    # --- reading ------------------------------------------------------------------------------

    def tree(self, oid: str) -> int | None:
        """The number under which the tree *oid* is kept, or None."""
        with self._lock:
            row = self._db.execute("SELECT id FROM tree WHERE oid = ?", (oid,)).fetchone()
        return row[0] if row else None

    def has_tree(self, tree: int) -> bool:
        """Whether the file list number *tree* is still kept."""
        with self._lock:
            row = self._db.execute("SELECT 1 FROM tree WHERE id = ?", (tree,)).fetchone()
        return row is not None

    def blobs(self, key: str, use: int) -> set[int]:
        """The blobs in which *key* stands with *use*."""
        query = "SELECT blobs FROM posting WHERE key = ? AND use = ?"
        found: set[int] = set()
        with self._lock:
            for (ids,) in self._db.execute(query, (key, use)):
                found.update(_numbers("I", ids))
        return found

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of *keys* that stand in any blob."""
        if not keys:
            return set()
        marks = ", ".join("?" * len(keys))
        query = f"SELECT DISTINCT key FROM posting WHERE use = 0 AND key IN ({marks})"
        with self._lock:
            return {key for (key,) in self._db.execute(query, tuple(keys))}

    def held(self, tree: int, keys: Sequence[str]) -> dict[str, Held]:
        """What *tree* holds of each of *keys*; those that it lacks are left out."""
        found: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(NOTHING))
        with self._lock:
            standing = self._standing(tree)
            for some in _batches(keys):
                marks = ", ".join("?" * len(some))
                rows = self._db.execute(
                    f"SELECT key, use, blobs FROM posting WHERE key IN ({marks})", some
                )
                for key, use, ids in rows:
                    if (field := _FIELDS.get(use)) is not None:
                        counts = found[key]
                        counts[field] = _count(_numbers("I", ids), standing, counts[field])
                rows = self._db.execute(
                    "SELECT key, length(files) / 8 FROM place"
                    f" WHERE tree = ? AND key IN ({marks})", (tree, *some),
                )  # fmt: skip
                for key, places in rows:
                    found[key][_PLACES] = places
        held = {key: Held(*counts) for key, counts in found.items() if any(counts)}
        return {key: has._replace(establishing=has.files) for key, has in held.items()}

    def _standing(self, tree: int) -> dict[int, int]:
        """In how many files of *tree* each blob stands; of the last tree that was asked about."""
        if self._counted[0] != tree:
            query = "SELECT blob, count(*) FROM file WHERE tree = ? AND blob > 0 GROUP BY blob"
            self._counted = tree, dict(self._db.execute(query, (tree,)))
        return self._counted[1]

    def files(self, tree: int, blobs: Iterable[int]) -> list[str]:
        """The paths that have one of *blobs* in *tree*."""
        query = "SELECT path FROM file WHERE tree = ? AND blob = ?"
        with self._lock:
            return [
                _path(path) for blob in blobs for (path,) in self._db.execute(query, (tree, blob))
            ]

    def places(self, tree: int, key: str) -> list[str]:
        """The paths of *tree* that have a component with *key*."""
        query = "SELECT files FROM place WHERE tree = ? AND key = ?"
        with self._lock:
            row = self._db.execute(query, (tree, key)).fetchone()
            ids = _numbers("Q", row[0]) if row else ()
            rows = (
                self._db.execute("SELECT path FROM file WHERE id = ?", (number,)).fetchone()
                for number in ids
            )
            return [_path(found[0]) for found in rows if found]

    def extent(self, tree: int) -> tuple[int, str]:
        """How many files *tree* has, and what of it was not read."""
        query = "SELECT count(file.id), tree.unread FROM tree LEFT JOIN file ON file.tree = tree.id"
        with self._lock:
            row = self._db.execute(f"{query} WHERE tree.id = ?", (tree,)).fetchone()
        return int(row[0]), str(row[1] or "")


def _batches(keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(keys), _MAX_PARAMETERS):
        yield tuple(keys[start : start + _MAX_PARAMETERS])


def _count(blobs: Iterable[int], standing: Mapping[int, int], count: int) -> int:
    """*count* and the files with one of *blobs*, of which `HELD_ENOUGH` are enough."""
    for blob in blobs:
        if count >= HELD_ENOUGH:
            return HELD_ENOUGH
        count += standing.get(blob, 0)
    return min(count, HELD_ENOUGH)


def _numbers(kind: Literal["I", "Q"], stored: object) -> Iterable[int]:
    if isinstance(stored, bytes) and len(stored) % array(kind).itemsize == 0:
        return array(kind, stored)
    raise sqlite3.DatabaseError("a row is malformed")


def _path(stored: object) -> str:
    if isinstance(stored, bytes):
        return fsdecode(stored)
    raise sqlite3.DatabaseError("a row is malformed")


def damaged(error: sqlite3.Error) -> bool:
    """Whether *error* says that the file itself is unusable, so that a new one mends it."""
    machine = ("locked", "busy", "full", "disk I/O", "unable to open", "readonly")
    return not any(word in str(error) for word in machine)


def remove(path: Path) -> None:
    """Delete the cache *path* with its companions."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
