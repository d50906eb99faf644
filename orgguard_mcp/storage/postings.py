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
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from os import fsdecode, fsencode
from pathlib import Path
from typing import Literal, NamedTuple

from orgguard_mcp.model import HELD_ENOUGH, NOTHING, Held
from orgguard_mcp.tokenise import Lists
from orgguard_mcp.uses import Use

FORMAT = 11
"""Raise it whenever keys or tables change: an index of another format is built anew."""

Error = sqlite3.Error
"""What every method may raise, for callers that must not know the driver."""

TREES_KEPT = 16
"""Bases whose file lists are kept: branches and worktrees of one repository share the cache."""

_MAX_PARAMETERS = 500

_FIELDS = {
    int(use): Held._fields.index(field)
    for use, field in ((Use.NAMED, "named"), (Use.PROPER, "proper"), (Use.DEFINED, "defined"))
}
_FILES, _ESTABLISHING, _PLACES = map(Held._fields.index, ("files", "establishing", "places"))

_SCHEMA = """
CREATE TABLE blob (id INTEGER PRIMARY KEY, oid TEXT NOT NULL UNIQUE);
CREATE TABLE posting ( -- blobs: 32-bit numbers, to which the segment's is added
    key TEXT NOT NULL, use INTEGER NOT NULL, segment INTEGER NOT NULL, blobs BLOB NOT NULL,
    PRIMARY KEY (key, use, segment)
) WITHOUT ROWID;
CREATE TABLE tree (
    id INTEGER PRIMARY KEY, oid TEXT NOT NULL UNIQUE, unread TEXT NOT NULL, missing TEXT NOT NULL
);
CREATE TABLE file (
    id INTEGER PRIMARY KEY, tree INTEGER NOT NULL, blob INTEGER, path BLOB NOT NULL,
    establishes INTEGER NOT NULL
);
CREATE INDEX file_by_blob ON file (tree, blob, establishes);
CREATE TABLE place (
    tree INTEGER NOT NULL, key TEXT NOT NULL, files BLOB NOT NULL, PRIMARY KEY (tree, key)
) WITHOUT ROWID;
"""


class FileRow(NamedTuple):
    """One file of a tree: its blob, its path, and whether its class may establish a name."""

    oid: str
    path: str
    establishes: bool


class TreeRows(NamedTuple):
    """A tree: its files, per key of a path component the positions in `files`, what was not read,
    in words, and the blobs that were missing.
    """

    files: list[FileRow]
    places: Mapping[str, Sequence[int]]
    unread: str
    missing: Iterable[str]


class Postings:
    """One repository's cache file. Methods may be called from several threads.

    Every method may raise `Error`; `damaged` tells a damaged file from a full disk or a lock.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._counted = 0, (Counter[int](), Counter[int]())
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

    def add_segment(self, oids: Sequence[str], lists: Lists) -> None:
        """Add the blobs *oids*; *lists* tells what stands in them, numbered from 1."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            segment = self._db.execute("SELECT coalesce(max(id), 0) FROM blob").fetchone()[0]
            self._db.executemany("INSERT INTO blob VALUES (?, ?)", enumerate(oids, segment + 1))
            for use, keys in lists.items():
                self._db.executemany(
                    "INSERT INTO posting VALUES (?, ?, ?, ?)",
                    ((key, use, segment, numbers) for key, numbers in sorted(keys.items())),
                )

    def add_tree(self, oid: str, tree: TreeRows) -> int:
        """Add *tree*, whose id is *oid*, and return its number. An older one of that id and the
        oldest trees beyond `TREES_KEPT` go.
        """
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            last = self._db.execute("SELECT coalesce(max(id), 0) FROM tree").fetchone()[0]
            self._forget("SELECT id FROM tree WHERE oid = ?", oid)
            self._db.execute(
                "INSERT INTO tree VALUES (?, ?, ?, ?)",
                (last + 1, oid, tree.unread, " ".join(tree.missing)),
            )
            self._add_files(last + 1, tree)
            self._forget("SELECT id FROM tree ORDER BY id DESC LIMIT -1 OFFSET ?", TREES_KEPT)
        return int(last) + 1

    def _add_files(self, number: int, tree: TreeRows) -> None:
        first = self._db.execute("SELECT coalesce(max(id), 0) FROM file").fetchone()[0] + 1
        ids = dict(self._db.execute("SELECT oid, id FROM blob"))
        self._db.executemany(
            "INSERT INTO file VALUES (?, ?, ?, ?, ?)",
            (
                (at, number, ids.get(file.oid), fsencode(file.path), file.establishes)
                for at, file in enumerate(tree.files, first)
            ),
        )
        self._db.executemany(
            "INSERT INTO place VALUES (?, ?, ?)",
            (
                (number, key, array("Q", (first + n for n in at)).tobytes())
                for key, at in sorted(tree.places.items())
            ),
        )

    def _forget(self, trees: str, value: str | int) -> None:
        """Remove what the query *trees* finds with its *value*."""
        for table, column in (("file", "tree"), ("place", "tree"), ("tree", "id")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} IN ({trees})", (value,))

    # --- reading ------------------------------------------------------------------------------

    def tree(self, oid: str) -> int | None:
        """The number under which the tree *oid* is kept, or None."""
        with self._lock:
            row = self._db.execute("SELECT id FROM tree WHERE oid = ?", (oid,)).fetchone()
        return row[0] if row else None

    def lacking(self, tree: int) -> list[str]:
        """The blobs of the tree number *tree* that were missing when it was read."""
        with self._lock:
            row = self._db.execute("SELECT missing FROM tree WHERE id = ?", (tree,)).fetchone()
        return str(row[0]).split() if row else []

    def has_tree(self, tree: int) -> bool:
        """Whether the file list number *tree* is still kept."""
        with self._lock:
            row = self._db.execute("SELECT 1 FROM tree WHERE id = ?", (tree,)).fetchone()
        return row is not None

    def blobs(self, key: str, use: int) -> set[int]:
        """The blobs in which *key* stands with *use*."""
        query = "SELECT segment, blobs FROM posting WHERE key = ? AND use = ?"
        found: set[int] = set()
        with self._lock:
            for segment, stored in self._db.execute(query, (key, use)):
                found.update(segment + number for number in _numbers("I", stored))
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
            files, establishing = self._standing(tree)
            for some in _batches(keys):
                marks = ", ".join("?" * len(some))
                for key, use, segment, stored in self._db.execute(
                    f"SELECT key, use, segment, blobs FROM posting WHERE key IN ({marks})", some
                ):
                    counts, blobs = found[key], _numbers("I", stored)
                    field = _FIELDS.get(use, _FILES)
                    counts[field] = _count(counts[field], segment, blobs, files)
                    if field == _FILES:
                        at = counts[_ESTABLISHING]
                        counts[_ESTABLISHING] = _count(at, segment, blobs, establishing)
                for key, places in self._db.execute(
                    f"SELECT key, length(files) / 8 FROM place WHERE tree = ? AND key IN ({marks})",
                    (tree, *some),
                ):
                    found[key][_PLACES] = places
        return {key: Held(*counts) for key, counts in found.items() if any(counts)}

    def _standing(self, tree: int) -> tuple[Counter[int], Counter[int]]:
        """In how many files of *tree* each blob stands, and in how many of those that establish;
        kept for the last tree that was asked about.
        """
        if self._counted[0] != tree:
            query = "SELECT blob, establishes FROM file WHERE tree = ? AND blob > 0"
            rows = self._db.execute(query, (tree,)).fetchall()
            files = Counter(blob for blob, _ in rows)
            self._counted = (
                tree,
                (files, Counter(blob for blob, establishes in rows if establishes)),
            )
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


def _count(count: int, segment: int, blobs: Iterable[int], standing: Mapping[int, int]) -> int:
    """*count* and the files with one of the *blobs* of *segment*, up to `HELD_ENOUGH`."""
    for blob in blobs:
        if count >= HELD_ENOUGH:
            break
        count += standing.get(segment + blob, 0)
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
