"""The index's catalogue in SQLite: which blobs have been read, into which segments, and which files
a tree has.

Keyed by blob, so that a new base pays only for blobs never seen. A tree is kept as what it changed
in the one before it: a file is there *since* one tree and *until* another, and trees are numbered
in the order in which they came. Nothing in here is trusted: what it says of a name is seen in the
base's own objects before it counts.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from os import fsdecode, fsencode
from pathlib import Path
from typing import NamedTuple

from orgguard_mcp.model import FileClass

FORMAT = 14
"""Raise it whenever keys, tables or segments change: an index of another format is built anew."""

Error = sqlite3.Error
"""What every method may raise, for callers that must not know the driver."""

TREES_KEPT = 16
"""Bases whose file lists are kept: branches and worktrees of one repository share the cache."""

_OPEN = (1 << 62) - 1
"""Until when a file of the newest tree is there."""

STANDING_BITS = 4
STANDING_MOST = (1 << STANDING_BITS) - 1

_SCHEMA = f"""
CREATE TABLE blob (id INTEGER PRIMARY KEY, oid BLOB NOT NULL UNIQUE, size INTEGER NOT NULL);
CREATE TABLE segment ( -- of the blobs from `first` on
    first INTEGER PRIMARY KEY, blobs INTEGER NOT NULL, number INTEGER NOT NULL
);
CREATE TABLE tree ( -- standing: see `Catalogue.standing`
    id INTEGER PRIMARY KEY, oid TEXT NOT NULL UNIQUE, files INTEGER NOT NULL,
    large INTEGER NOT NULL, submodules INTEGER NOT NULL, missing TEXT NOT NULL,
    standing BLOB NOT NULL
);
CREATE TABLE file (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL, blob INTEGER, large INTEGER NOT NULL,
    kind TEXT NOT NULL, establishes INTEGER NOT NULL, since INTEGER NOT NULL,
    until INTEGER NOT NULL DEFAULT {_OPEN}
);
CREATE INDEX file_by_blob ON file (blob);
CREATE INDEX file_by_path ON file (path, until);
CREATE INDEX file_by_end ON file (until) WHERE until < {_OPEN};
CREATE TABLE name (key TEXT NOT NULL, file INTEGER NOT NULL, PRIMARY KEY (key, file)) WITHOUT ROWID;
CREATE TABLE folder (key TEXT NOT NULL, path BLOB NOT NULL, PRIMARY KEY (key, path)) WITHOUT ROWID;
"""

_MAPPED = 1 << 30
"""Bytes that are read where they lie, as segments are: a look-up touches dozens of pages."""

_FEW = 500
"""So many rows are asked for one by one; more by a look at all."""

_STANDING = "SELECT blob, count(*), sum(establishes != 0) FROM file WHERE until = ?"
_ALIVE = "file.since <= :tree AND file.until > :tree"


class FileRow(NamedTuple):
    """One file of a tree: its blob (empty: it is no file, but a link), its path and its class."""

    oid: str
    path: str
    kind: FileClass
    large: bool = False

    @property
    def establishes(self) -> bool:
        """Whether the file may establish a name."""
        return bool(self.oid) and self.kind.establishes


class Holder(NamedTuple):
    """A file that holds a key: its path, its size in bytes, its class when it was indexed."""

    path: str
    size: int
    kind: FileClass


class Located(NamedTuple):
    """A segment: the number of its first blob, how many it has, and its file."""

    first: int
    blobs: int
    path: Path


class Extent(NamedTuple):
    """How much a tree has, and what of it was not read."""

    files: int
    large: int
    submodules: int
    missing: int


class _Gone(NamedTuple):
    blob: int | None
    large: bool


class TreeRows(NamedTuple):
    """A tree, or what it has otherwise than the newest one: files that are new there, the keys of
    their names and of all folders, and the paths that are gone. The rest is of the whole tree.
    """

    files: Sequence[FileRow]
    names: Mapping[str, Sequence[int]]
    """Per key, the positions in `files` of those whose own name has it."""
    folders: Iterable[tuple[str, str]]
    """Key and path of folders whose own name has it."""
    gone: Sequence[str]
    submodules: int
    missing: Sequence[str]


class Catalogue:
    """One repository's catalogue. Methods may be called from several threads.

    Every method may raise `Error`; `damaged` tells damaged files from a full disk or a lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._holders = lru_cache(maxsize=1 << 6)(self._holders_of)
        with suppress(FileExistsError):  # see Ledger: an open and close would drop locks
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            # A cache: after a crash of the machine it may be lost, so it need not wait for disks.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute(f"PRAGMA mmap_size = {_MAPPED}")
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

    # --- segments -----------------------------------------------------------------------------

    def missing(self, oids: Sequence[str]) -> list[str]:
        """Those of *oids* that no segment holds yet, in order, each once."""
        with self._lock:
            known = self._numbers(oids)
        return [oid for oid in dict.fromkeys(oids) if oid not in known]

    def new_segment(self, number: int = 0) -> Path:
        """A path for a segment that is not there yet; those of several *number*s differ."""
        with self._lock:
            last = self._db.execute("SELECT coalesce(max(number), 0) FROM segment").fetchone()[0]
        return self._segment(last + 1 + number)

    def _segment(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.stem}-{number}.segment")

    def tidy(self) -> None:
        """Delete segments that a killed build has left. Only who builds may call this."""
        with self._lock:
            used = {one.path for one in self.segments()}
        for path in self._path.parent.glob(f"{self._path.stem}-*.segment*"):
            if path not in used:
                path.unlink(missing_ok=True)

    def add_segment(self, path: Path, sizes: Mapping[str, int]) -> None:
        """Add the segment at *path* of blobs with these *sizes*, in their order."""
        with self._writing():
            last = self._db.execute("SELECT coalesce(max(id), 0) FROM blob").fetchone()[0]
            self._db.executemany(
                "INSERT INTO blob VALUES (?, ?, ?)",
                (
                    (last + n, bytes.fromhex(o), size)
                    for n, (o, size) in enumerate(sizes.items(), 1)
                ),
            )
            row = last + 1, len(sizes), _number(path)
            self._db.execute("INSERT INTO segment VALUES (?, ?, ?)", row)

    def segments(self) -> list[Located]:
        """All segments, by their blobs."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM segment ORDER BY first")
            return [Located(first, blobs, self._segment(number)) for first, blobs, number in rows]

    def replace_segments(self, merged: Sequence[Located], path: Path) -> None:
        """Put the segment at *path* in the place of *merged*, whose blobs it has."""
        with self._writing():
            self._db.executemany(
                "DELETE FROM segment WHERE first = ?", ((m.first,) for m in merged)
            )
            row = merged[0].first, sum(one.blobs for one in merged), _number(path)
            self._db.execute("INSERT INTO segment VALUES (?, ?, ?)", row)
        for one in merged:  # who has them mapped keeps them
            one.path.unlink(missing_ok=True)

    # --- trees --------------------------------------------------------------------------------

    def add_tree(self, oid: str, tree: TreeRows, follows: int | None = None) -> int:
        """Add *tree*, whose id is *oid*, and return its number: all of it, or what it has otherwise
        than *follows*, the newest. An older one of that id and the oldest beyond `TREES_KEPT` go.
        """
        with self._writing():
            number = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM tree").fetchone()[0]
            before = self._extent(follows) if follows else (0, 0, b"")
            if follows:
                gone = self._close_files(map(fsencode, tree.gone), number)
            else:
                self._db.execute("UPDATE file SET until = ? WHERE until = ?", (number, _OPEN))
                gone = []
            added = self._add_files(number, tree)
            standing = bytearray(before[2])
            self._stand(standing, {one.blob for one in gone} | added if follows else None)
            self._db.execute("DELETE FROM tree WHERE oid = ?", (oid,))
            files = before[0] - len(gone) + len(tree.files)
            large = before[1] - sum(one.large for one in gone) + sum(f.large for f in tree.files)
            row = number, oid, files, large, tree.submodules, " ".join(tree.missing), standing
            self._db.execute("INSERT INTO tree VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._forget_old()
        return int(number)

    def _close_files(self, paths: Iterable[bytes], number: int) -> list[_Gone]:
        """End the files *paths* with the tree of that number; return what they were."""
        query = "SELECT id, blob, large FROM file WHERE path = ? AND until = ?"
        gone = []
        for path in paths:
            for row in self._db.execute(query, (path, _OPEN)).fetchall():
                self._db.execute("UPDATE file SET until = ? WHERE id = ?", (number, row[0]))
                gone.append(_Gone(row[1], bool(row[2])))
        return gone

    def _add_files(self, number: int, tree: TreeRows) -> set[int | None]:
        """Add the files and folders of *tree*; return the blobs."""
        first = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM file").fetchone()[0]
        blobs = self._numbers([file.oid for file in tree.files])
        self._db.executemany(
            f"INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, {_OPEN})",
            (
                (
                    at,
                    fsencode(file.path),
                    blobs.get(file.oid),
                    file.large,
                    file.kind.value,
                    file.establishes,
                    number,
                )
                for at, file in enumerate(tree.files, first)
            ),
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO name VALUES (?, ?)",
            ((key, first + at) for key in sorted(tree.names) for at in tree.names[key]),
        )
        folders = sorted((key, fsencode(path)) for key, path in tree.folders)
        self._db.executemany("INSERT OR IGNORE INTO folder VALUES (?, ?)", folders)
        return set(blobs.values())

    def _numbers(self, oids: Sequence[str]) -> dict[str, int]:
        """The numbers of those blobs *oids* that are in a segment."""
        if len(oids) > _FEW:
            rows = self._db.execute("SELECT oid, id FROM blob")
            every = {bytes(oid).hex(): number for oid, number in rows}
            return {oid: every[oid] for oid in oids if oid in every}
        query = "SELECT id FROM blob WHERE oid = ?"
        found = ((oid, self._db.execute(query, (bytes.fromhex(oid),)).fetchone()) for oid in oids)
        return {oid: row[0] for oid, row in found if row}

    def _stand(self, standing: bytearray, blobs: set[int | None] | None) -> None:
        """Note in what `standing` gives each of *blobs* (None: each of all), by the newest tree."""
        last = self._db.execute("SELECT coalesce(max(id), 0) FROM blob").fetchone()[0]
        standing.extend(bytes(last + 1 - len(standing)))
        if blobs is None:
            rows = self._db.execute(f"{_STANDING} AND blob > 0 GROUP BY blob", (_OPEN,)).fetchall()
        else:
            rows = []
            for blob in blobs - {None}:
                standing[blob or 0] = 0
                query = f"{_STANDING} AND blob = ? GROUP BY blob"
                rows += self._db.execute(query, (_OPEN, blob)).fetchall()
        for blob, files, establishing in rows:
            high = min(establishing, STANDING_MOST) << STANDING_BITS
            standing[blob] = high | min(files, STANDING_MOST)

    def _forget_old(self) -> None:
        """Remove the trees beyond `TREES_KEPT`, and the files that only they had."""
        self._db.execute(
            "DELETE FROM tree WHERE id <= (SELECT max(id) FROM tree) - ?", (TREES_KEPT,)
        )
        oldest = "SELECT coalesce(min(id), 0) FROM tree"
        ended = f"SELECT id FROM file WHERE until < {_OPEN} AND until <= ({oldest})"
        if self._db.execute(f"{ended} LIMIT 1").fetchone():
            self._db.execute(f"DELETE FROM name WHERE file IN ({ended})")
            self._db.execute(f"DELETE FROM file WHERE id IN ({ended})")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    # --- reading ------------------------------------------------------------------------------

    def tree(self, oid: str) -> int | None:
        """The number under which the tree *oid* is kept, or None."""
        with self._lock:
            row = self._db.execute("SELECT id FROM tree WHERE oid = ?", (oid,)).fetchone()
        return row[0] if row else None

    def newest(self) -> tuple[int, str] | None:
        """Number and id of the tree that was added last."""
        with self._lock:
            row = self._db.execute("SELECT id, oid FROM tree ORDER BY id DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row else None

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

    def files(self, tree: int, blobs: Iterable[int]) -> list[Holder]:
        """The files that have one of *blobs* in *tree*, in the order of the blobs' numbers."""
        with self._lock:
            return self._holders(tree, tuple(blobs))

    def _holders_of(self, tree: int, blobs: tuple[int, ...]) -> list[Holder]:
        query = f"""SELECT path, size, kind FROM file JOIN blob ON blob.id = file.blob
            WHERE blob IN (SELECT value FROM json_each(:blobs)) AND {_ALIVE}
            ORDER BY blob, file.id"""
        rows = self._db.execute(query, {"blobs": str(list(blobs)), "tree": tree}) if blobs else ()
        return [Holder(_path(path), int(size), _kind(kind)) for path, size, kind in rows]

    def places(self, tree: int, keys: Sequence[str], limit: int) -> list[str]:
        """The first *limit* paths of *tree* whose own name has one of *keys*; of each such folder
        one within it stands for it.
        """
        some = f"({', '.join('?' * len(keys))})"
        alive = "since <= ? AND until > ?"
        names = f"""SELECT path FROM name JOIN file ON file.id = name.file
            WHERE name.key IN {some} AND {alive} LIMIT ?"""
        folders = f"SELECT DISTINCT path FROM folder WHERE key IN {some}"
        within = f"SELECT path FROM file WHERE path > ? AND path < ? AND {alive} LIMIT 1"
        found: list[str] = []
        with self._lock:
            for (folder,) in self._db.execute(folders, (*keys,)):
                bounds = _raw(folder) + b"/", _raw(folder) + b"0", tree, tree
                found += [_path(path) for (path,) in self._db.execute(within, bounds)]
                if len(found) >= limit:
                    return found
            rows = self._db.execute(names, (*keys, tree, tree, limit - len(found)))
            return found + [_path(path) for (path,) in rows]

    def named(self, keys: Sequence[str]) -> set[str]:
        """Those of *keys* that a file's or folder's own name has, in whatever tree: `places` finds
        nothing of the others.
        """
        rows = """WITH wanted AS (SELECT value AS key FROM json_each(?)) SELECT key FROM wanted
            WHERE EXISTS (SELECT 1 FROM name WHERE name.key = wanted.key)
            OR EXISTS (SELECT 1 FROM folder WHERE folder.key = wanted.key)"""
        with self._lock:
            return {key for (key,) in self._db.execute(rows, (json.dumps(list(keys)),))}

    def extent(self, tree: int) -> Extent:
        """The extent of *tree*."""
        with self._lock:
            files, large, _ = self._extent(tree)
            query = "SELECT submodules, missing FROM tree WHERE id = ?"
            submodules, missing = self._db.execute(query, (tree,)).fetchone()
        return Extent(files, large, submodules, len(str(missing).split()))

    def standing(self, tree: int) -> bytes:
        """For each blob, by its number, how many files of *tree* have it, up to 15, in the low four
        bits of a byte; in the high four, how many of those may establish names.
        """
        with self._lock:
            return self._extent(tree)[2]

    def _extent(self, tree: int) -> tuple[int, int, bytes]:
        query = "SELECT files, large, standing FROM tree WHERE id = ?"
        row = self._db.execute(query, (tree,)).fetchone()
        if not row or not isinstance(row[2], bytes):
            raise sqlite3.DatabaseError("a row is malformed")
        return int(row[0]), int(row[1]), row[2]


def _number(path: Path) -> int:
    """The number of the segment at *path*."""
    return int(path.stem.rpartition("-")[2])


def _raw(stored: object) -> bytes:
    if isinstance(stored, bytes):
        return stored
    raise sqlite3.DatabaseError("a row is malformed")


def _kind(stored: object) -> FileClass:
    try:
        return FileClass(str(stored))
    except ValueError as error:
        raise sqlite3.DatabaseError("a row is malformed") from error


def _path(stored: object) -> str:
    return fsdecode(_raw(stored))
