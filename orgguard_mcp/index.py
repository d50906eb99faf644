"""The index: which names the base establishes, and where.

Theory of operation. `prepare` tokenises every blob of the base's tree that no earlier base had and
notes, per key, the blobs that hold it (`storage.postings`). `sightings` looks a key up there, but
that only says where to look: a name is established when its mention is *seen* in the base's own
objects, in a file whose class counts. So a stale, damaged or forged cache hides a name rather than
lets one through. One judgement rests on the cache: in how many files an ordinary word, which only
prose uses as a name, is used otherwise.

Three kinds of key need more or less to be established:

- a *coined* key (``zalando``): one whole-name mention, or a path component;
- a *compound* of ordinary words (``bestbuy``): a mention whose form shows a name;
- an *ordinary word* (``target``): a use as a name, or reading as a name in most places.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from orgguard_mcp import lexicon, mentions, terms
from orgguard_mcp.build import PROVIDER, Progress, build
from orgguard_mcp.display import plural, visible
from orgguard_mcp.errors import IndexUnavailableError
from orgguard_mcp.model import Base, Evidence, FileClass, Held, Sightings
from orgguard_mcp.names import NameKey
from orgguard_mcp.policy import Policy
from orgguard_mcp.repository import Repository
from orgguard_mcp.storage import postings
from orgguard_mcp.storage.catalogue import Holder
from orgguard_mcp.storage.postings import Postings
from orgguard_mcp.uses import Use, uses
from orgguard_mcp.witness import MAX_PATHS, Witness, names_provider

MAX_EVIDENCE = 3
"""Places given with a verdict."""

FILES_COUNTED = 16
"""Files that hold a name, after which counting them stops."""

_MAX_READ = 400  # files read for one name before the search gives up: then the human is asked
_MAX_APART = 60  # of those that hold its parts: most of them have nothing to do with it
_FIRST = 16  # of these, so many are looked for first: most names are seen in one of them
_MAX_PLACES = 40
_MAX_HELD = 10_000  # keys that are remembered: a scan gathers and weighs by many of the same words
_MAX_CUTS = 32
_MAX_COUNTED = 5000
_PROPER_SHARE = 1 / 3  # of the files with the word must use it as a name, where only prose tells

_SURROGATE = re.compile("[\ud800-\udfff]")
"""What no file's text holds, and no database takes."""

_Answer = TypeVar("_Answer")


def kept(repository: Repository) -> Postings | None:
    """The cache that *repository* has, if it can be opened: while git still starts to tell the
    base, that takes nobody's time.
    """
    path = _path(repository)
    with suppress(postings.Error, OSError):
        return Postings(path) if path.exists() else None
    return None


def _path(repository: Repository) -> Path:
    return repository.state_dir / "index.sqlite3"


class Index:
    """The index of one base. `prepare` must have run before `sightings`."""

    def __init__(
        self, repository: Repository, base: Base, policy: Policy, cache: Postings | None = None
    ) -> None:
        """Of *base*, with the *cache* that was opened for it, which it will close."""
        self.base = base
        self._repository = repository
        self._witness = Witness(repository, base.commit, policy.classes)
        self._path = _path(repository)
        self._postings = cache
        self._tree = 0
        self._broken = False
        self._held: dict[str, Held | None] = {}

    def close(self) -> None:
        """Close the cache."""
        if self._postings:
            self._postings.close()
            self._postings = None

    @property
    def ready(self) -> bool:
        """Whether `sightings` can answer."""
        return self._tree > 0 or not self.base.commit

    def look(self) -> bool:
        """Whether `sightings` can answer, if need be from what the cache holds already: nothing is
        read for that, and nobody waited for.
        """
        if not self.ready and self._path.exists():
            with suppress(postings.Error, OSError):
                self._postings = self._postings or Postings(self._path)
                kept = self._postings.catalogue.tree(self._repository.tree_id(self.base.commit))
                if kept and not self._postings.catalogue.lacking(kept):
                    self._tree = kept
        return self.ready

    # --- building -----------------------------------------------------------------------------

    def prepare(self, progress: Progress | None = None) -> None:
        """Bring the cache up to the base; a damaged cache is built anew.

        *progress* hears (blobs read, blobs to read). Safe under several processes: one builds,
        the others wait and find its work done. Raises `IndexUnavailableError`.
        """
        if self.ready:
            return
        try:
            with self._building():
                if self._broken:
                    self._discard()
                try:
                    self._build(progress or _silent)
                except postings.Error as error:
                    if not postings.damaged(error):
                        raise
                    self._discard()
                    self._build(progress or _silent)
        except (postings.Error, OSError) as error:
            raise IndexUnavailableError(
                "names were not checked: the index of the base could not be built",
                cause=str(error),
                hint=f"free disk space or delete {self._path}, then try again",
            ) from error

    @contextmanager
    def _building(self) -> Iterator[None]:
        """Hold the build lock, which the kernel frees when a builder dies."""
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _discard(self) -> None:
        self._broken = False
        self.close()
        postings.remove(self._path)

    def _build(self, progress: Progress) -> None:
        if self._postings is None:
            self._postings = Postings(self._path)
        self._tree = build(
            self._repository, self.base.commit, self._postings, self._witness.classes, progress
        )

    # --- looking up ---------------------------------------------------------------------------

    def sightings(self, key: NameKey) -> Sightings:
        """What the base knows of *key*, with the reason.

        Raises `IndexUnavailableError` when the cache cannot be read even after a rebuild.
        """
        if not self.base.commit:
            return Sightings(False, self.base.reason)
        return self._answer(lambda: self._sightings(key))

    def held(self, keys: Iterable[str]) -> dict[str, Held]:
        """What the base holds of each of *keys*, by the cache's word alone: enough to weigh a
        candidate, not to establish it. A key that the base lacks is not in the answer.

        Raises `IndexUnavailableError` like `sightings`.
        """
        if not self.base.commit:
            return {}
        wanted = {key for key in keys if not _SURROGATE.search(key)}
        known = self._held if len(self._held) < _MAX_HELD else {}
        if new := sorted(wanted - known.keys()):
            found = self._answer(lambda: self._cache.held(self._tree, new))
            known.update((key, found.get(key)) for key in new)
            self._held = known
        return {key: held for key in wanted if (held := known[key])}

    def holds(self, keys: Iterable[str]) -> set[str]:
        """Those of *keys* of which `held` tells something. Raises `IndexUnavailableError`, too."""
        wanted = [key for key in keys if not _SURROGATE.search(key)]
        if not self.base.commit or not wanted:
            return set()
        return self._answer(lambda: self._cache.held_at_all(self._tree, wanted))

    def classify(self, path: str) -> FileClass:
        """The class of *path*, by the base's policy and attributes."""
        return self._witness.classify(path)

    def expect_many(self) -> None:
        """Get ready for many `sightings`: it takes a moment, and less for each of them."""
        self._witness.expect_many()

    def _answer(self, ask: Callable[[], _Answer]) -> _Answer:
        """What *ask* finds in the cache, which is built anew when it is damaged or was trimmed."""
        try:
            if not self._cache.catalogue.has_tree(self._tree):  # others filled it with their bases
                self._tree = 0
                self.prepare()
            return ask()
        except postings.Error:
            self._tree = 0
            self._broken = True
            self.prepare()
            try:
                return ask()
            except postings.Error as error:
                raise IndexUnavailableError(
                    "names were not checked: the index of the base cannot be read",
                    cause=str(error),
                    hint=f"delete {self._path} and try again",
                ) from error

    def _sightings(self, key: NameKey) -> Sightings:
        if lexicon.is_ordinary(key):
            return self._ordinary(key)
        return self._coined(key, plain=not lexicon.needs_distinction(key))

    def _coined(self, key: NameKey, *, plain: bool) -> Sightings:
        spellings = terms.spellings(key)
        places = self._cache.catalogue.places(self._tree, spellings, _MAX_PLACES)
        # Names of ordinary words are indexed as phrases: their words stand in too many files.
        cuts = self._cuts(key) if plain else lexicon.compounds(key)
        named = [] if plain else [self._holders([key], Use.NAMED)]
        held = [spelling for spelling in spellings if self._cache.holds(spelling)]
        found = chain(
            self._witness.lines(named, lambda text: _used(text, key, Use.NAMED)),
            self._witness.lines(
                (self._holders(held, Use.WORD), self._together(cuts) if plain else iter(())),
                lambda text: _mentioned(text, key, cuts, plain=plain),
            ),
        )
        evidence = tuple(islice(found, MAX_EVIDENCE))
        evidence = evidence or self._witness.paths(places, key, plain=plain)
        files = self._count(held, places)
        if evidence:
            return _established("the base has it", evidence, files)
        if files and plain:
            why = "it stands only in files that establish nothing"
        else:
            why = f"none of the base's {self._extent} holds it" + ("" if plain else " as a name")
        return Sightings(False, why, (), files)

    def _ordinary(self, key: NameKey) -> Sightings:
        providers = self._cache.catalogue.places(self._tree, [PROVIDER + key], _MAX_PLACES)
        shown = self._witness.paths(
            [path for path in providers if names_provider(path, key)], key, plain=True
        )
        named = chain(
            self._witness.lines(
                [self._holders([key], Use.NAMED)], lambda text: _used(text, key, Use.NAMED)
            ),
            *map(self._incorporated, terms.incorporated(key)),
        )
        evidence = (*shown, *islice(named, MAX_EVIDENCE - len(shown)))
        files = self._count([key], [])
        if evidence:
            return _established("the base uses the word as a name", evidence, files)
        if self._reads_as_name(key):
            prose = self._witness.lines(
                [self._holders([key], Use.PROPER)], lambda text: _used(text, key, Use.PROPER)
            )
            if evidence := tuple(islice(prose, MAX_EVIDENCE)):
                return _established("the base reads it as a name", evidence, files)
        return Sightings(False, _no_name(sum(files.values())), (), files)

    def _reads_as_name(self, key: NameKey) -> bool:
        """Whether enough of the files that hold the ordinary word *key* use it as a name, and none
        defines a type that is called so.
        """
        count = partial(self._cache.establishing, self._tree, key)
        proper = count(Use.PROPER, _MAX_COUNTED)
        most = int(proper / _PROPER_SHARE)
        return proper > 0 and count(Use.WORD, most) <= most and not count(Use.DEFINED, 0)

    def _incorporated(self, spelling: NameKey) -> Iterator[Evidence]:
        """Where an ordinary word stands with its legal form glued on: that is no word any more."""
        return self._witness.lines(
            [self._holders([spelling], Use.WORD)],
            lambda text: _mentioned(text, spelling, [], plain=True),
        )

    # --- from keys to files -------------------------------------------------------------------

    @property
    def _cache(self) -> Postings:
        if self._postings is None:
            raise IndexUnavailableError("names were not checked: the index is not built yet")
        return self._postings

    def _holders(self, keys: Sequence[str], use: Use) -> Iterator[list[Holder]]:
        """The files that may establish one of *keys*, in two portions: the second costs more."""
        for limit in (_FIRST, _MAX_READ) if keys else ():
            found = [
                self._cache.blobs(self._tree, key, use, limit, establishing=True) for key in keys
            ]
            yield self._cache.catalogue.files(self._tree, sorted(set(chain(*found))))
            if max(map(len, found)) < limit:
                return

    def _together(self, cuts: Iterable[tuple[str, ...]]) -> Iterator[list[Holder]]:
        """The files that hold all words of one of *cuts*."""
        for cut in cuts:
            blobs = self._cache.together(self._tree, cut, _MAX_APART)
            yield self._cache.catalogue.files(self._tree, blobs)

    def _cuts(self, key: NameKey) -> list[tuple[str, ...]]:
        """The ways in which *key* falls into words that the base holds."""
        if len(key) > terms.MAX_KEY:
            return []

        @cache
        def known(piece: str) -> bool:
            worth = len(piece) > 2 or piece.isdecimal() or piece in lexicon.LINKS
            return worth and self._cache.holds(piece)

        cuts = islice(lexicon.splits(key, known), _MAX_CUTS)
        return [cut for cut in cuts if len(cut[0]) > 1 and len(cut[-1]) > 1]

    def _count(self, keys: Sequence[str], places: Iterable[str]) -> dict[FileClass, int]:
        """How many files hold one of *keys* or are at *places*, by the class that they had when
        they were indexed; counting stops at `FILES_COUNTED`.
        """
        kinds = {path: self.classify(path) for path in islice(places, MAX_PATHS)}
        for establishing in (True, False) if keys else ():
            blobs = {
                blob
                for key in keys
                for blob in self._cache.blobs(
                    self._tree, key, Use.WORD, FILES_COUNTED, establishing=establishing
                )
            }
            for holder in self._cache.catalogue.files(self._tree, sorted(blobs)[:FILES_COUNTED]):
                kinds.setdefault(holder.path, holder.kind)
            if len(kinds) >= FILES_COUNTED:
                break
        return dict(Counter(islice(kinds.values(), FILES_COUNTED)))

    @cached_property
    def _extent(self) -> str:
        """The base's size in words, with what was not read of it."""
        extent = self._cache.catalogue.extent(self._tree)
        kinds = (
            (extent.submodules, "submodule"),
            (extent.large, "large file"),
            (extent.missing, "missing file"),
        )
        unread = " and ".join(plural(count, kind) for count, kind in kinds if count)
        return plural(extent.files, "file") + (f" (not read: {unread})" if unread else "")


def _established(
    how: str, evidence: tuple[Evidence, ...], files: dict[FileClass, int]
) -> Sightings:
    return Sightings(True, f"{how} at {visible(str(evidence[0]))}", evidence, files)


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def _mentioned(text: str, key: NameKey, cuts: list[tuple[str, ...]], plain: bool) -> Iterator[int]:
    found = mentions.mentions(text, key, cuts)
    return (mention.line for mention in found if plain or mention.distinct)


def _used(text: str, key: NameKey, wanted: Use) -> Iterator[int]:
    offsets = sorted(at for use, found, at in uses(text) if (use, found) == (wanted, key))
    return (text.count("\n", 0, offset) + 1 for offset in offsets)


def _no_name(files: int) -> str:
    """Why an ordinary word that so many files hold is no name."""
    if not files:
        return "the base does not use this word as a name"
    if files >= FILES_COUNTED:
        return f"{files} files or more hold the word, none as a name"
    return f"{plural(files, 'file')} {'holds' if files == 1 else 'hold'} the word, none as a name"
