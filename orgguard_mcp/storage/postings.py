"""The index's cache: which keys stand in which blobs (in segments) and which of these a base's tree
has (in the catalogue). It only says where to look.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from orgguard_mcp.model import HELD_ENOUGH, Held
from orgguard_mcp.storage.catalogue import STANDING_BITS, STANDING_MOST, Catalogue, Located
from orgguard_mcp.storage.segments import DamagedError, Segment
from orgguard_mcp.tokenise import key_hash
from orgguard_mcp.uses import Use

Error = sqlite3.Error
"""What every method may raise, for callers that must not know the driver."""


class Postings:
    """One repository's cache. Methods may be called from several threads.

    Every method may raise `Error`; `damaged` tells damaged files from a full disk or a lock.
    """

    def __init__(self, path: Path) -> None:
        self.catalogue = Catalogue(path)
        self._lock = threading.RLock()
        self._segments: list[Segment] | None = None
        self._standing: tuple[int, bytes] = 0, b""

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._forget()
            self.catalogue.close()

    def add_segment(self, path: Path, sizes: Mapping[str, int]) -> None:
        """Add the segment at *path* of blobs with these *sizes*, in their order."""
        with self._lock:
            self.catalogue.add_segment(path, sizes)
            self._forget()

    def replace_segments(self, merged: Sequence[Located], path: Path) -> None:
        """Put the segment at *path* in the place of *merged*, whose blobs it has."""
        with self._lock:
            self.catalogue.replace_segments(merged, path)
            self._forget()

    @property
    def _mapped(self) -> list[Segment]:
        """The segments, mapped when they are first asked for."""
        if self._segments is None:
            for last in (False, True):
                try:
                    located = self.catalogue.segments()
                    self._segments = [Segment(one.path, one.first) for one in located]
                    break
                except DamagedError:  # or merged in this moment
                    if last:
                        raise
        return self._segments or []

    def _forget(self) -> None:
        for segment in self._segments or ():
            segment.close()
        self._segments = None

    def blobs(self, tree: int, key: str, use: int, limit: int, *, establishing: bool) -> list[int]:
        """The first *limit* blobs of *tree* in which *key* stands with *use*: of files that may
        establish a name, or of others.
        """
        with self._lock:
            standing = self._stands_in(tree)
            found = self._blobs(standing, key, use)
            least = 1 << STANDING_BITS
            return list(islice((b for b in found if (standing[b] >= least) == establishing), limit))

    def _blobs(self, standing: bytes, key: str, use: int) -> Iterator[int]:
        hashed = key_hash(key, use)
        for segment in self._mapped:
            for blob in segment.find(hashed):
                if blob < len(standing) and standing[blob]:
                    yield blob

    def holds(self, key: str) -> bool:
        """Whether *key* stands in any blob."""
        hashed = key_hash(key)
        with self._lock:
            for segment in self._mapped:  # without `any`, in half the time: a check asks 20 times
                if segment.holds(hashed):
                    return True
        return False

    def held(self, tree: int, keys: Sequence[str]) -> dict[str, Held]:
        """What *tree* holds of each of *keys*; those that it lacks are left out."""
        with self._lock:
            named = self.catalogue.named(keys)
            found = ((key, self._held(tree, key, key in named)) for key in keys)
            return {key: held for key, held in found if any(held)}

    def held_at_all(self, tree: int, keys: Sequence[str]) -> set[str]:
        """Those of *keys* that *tree* holds, in a file or in a path."""
        with self._lock:
            standing = self._stands_in(tree)
            named = self.catalogue.named(keys)
            return {
                key
                for key in keys
                if next(self._blobs(standing, key, Use.WORD), None) is not None
                or (key in named and self.catalogue.places(tree, [key], 1))
            }

    def _held(self, tree: int, key: str, named: bool) -> Held:
        files, establishing = self._counted(tree, key, Use.WORD, HELD_ENOUGH)
        rest = (Use.NAMED, Use.PROPER, Use.DEFINED) if files else ()
        uses = [self._counted(tree, key, use, HELD_ENOUGH)[0] for use in rest]
        places = self.catalogue.places(tree, [key], HELD_ENOUGH) if named else ()
        name, proper, defined = uses or (0, 0, 0)
        return Held(files, establishing, name, proper, defined, len(places))

    def _counted(self, tree: int, key: str, use: int, enough: int) -> tuple[int, int]:
        """The files of *tree* that have *key* with *use*, and of them those that establish: counted
        until these are *enough*, and told up to that.
        """
        standing = self._stands_in(tree)
        files = establishing = 0
        for blob in self._blobs(standing, key, use):
            files += standing[blob] & STANDING_MOST
            establishing += standing[blob] >> STANDING_BITS
            if establishing >= enough:
                break
        return min(files, enough), min(establishing, enough)

    def establishing(self, tree: int, key: str, use: int, enough: int) -> int:
        """In how many files of *tree* that may establish names *key* stands with *use*; more than
        *enough* are told as one more.
        """
        with self._lock:
            return self._counted(tree, key, use, enough + 1)[1]

    def _stands_in(self, tree: int) -> bytes:
        if self._standing[0] != tree:
            self._standing = tree, self.catalogue.standing(tree)
        return self._standing[1]

    def together(self, tree: int, keys: Iterable[str], limit: int) -> list[int]:
        """The first *limit* blobs of files that may establish a name in which all *keys* stand."""
        hashes = [key_hash(key) for key in dict.fromkeys(keys)]
        found: list[int] = []
        with self._lock:
            standing = self._stands_in(tree)
            for segment in self._mapped:
                rarest, *others = sorted(hashes, key=segment.count)
                blobs: Iterator[int] = segment.find(rarest)
                for other in others:
                    blobs = filter(segment.holding(other), blobs)
                alive = (b for b in blobs if b < len(standing) and standing[b] > STANDING_MOST)
                found += islice(alive, limit - len(found))
        return found


def damaged(error: sqlite3.Error) -> bool:
    """Whether *error* says that a file itself is unusable, so that a new one mends it."""
    machine = ("locked", "busy", "full", "disk I/O", "unable to open", "readonly")
    return isinstance(error, DamagedError) or not any(word in str(error) for word in machine)


def remove(path: Path) -> None:
    """Delete the cache *path* with its companions and segments."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for segment in path.parent.glob(f"{path.stem}-*.segment*"):
        segment.unlink(missing_ok=True)
