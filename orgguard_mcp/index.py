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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import chain, islice, pairwise
from typing import TypeVar

from orgguard_mcp import fileclass, lexicon, mentions
from orgguard_mcp.build import MAX_HAND_WRITTEN, Progress, build
from orgguard_mcp.display import plural, visible
from orgguard_mcp.errors import IndexUnavailableError
from orgguard_mcp.fileclass import PROVIDER_DIRS, Classifier
from orgguard_mcp.model import Base, Evidence, FileClass, Held, Sightings
from orgguard_mcp.names import WORD, NameKey, fold
from orgguard_mcp.policy import Policy
from orgguard_mcp.repository import Repository
from orgguard_mcp.storage import postings
from orgguard_mcp.storage.postings import Postings
from orgguard_mcp.uses import Use, uses

MAX_EVIDENCE = 5
"""Places given with a verdict."""

MAX_PATHS = 2
"""Of these, at most so many paths: lines tell more."""

_MAX_READ = 400  # files read for one name before the search gives up: then the human is asked
_MAX_CUTS = 64
_PROPER_SHARE = 1 / 3  # of the files with the word must use it as a name, where only prose tells

PLUMBING = frozenset(
    "base factory common utils util types init main index config constants registry manager client"
    " helpers helper errors exceptions models schema core shared test tests handler handlers"
    " transformation interface interfaces abstract default custom generic template example".split()
)
"""Entries of such directories that are named after what they do."""

_PREFERRED = (FileClass.CODE, FileClass.CONFIG, FileClass.DOCS, FileClass.TEST)

_SURROGATE = re.compile("[\ud800-\udfff]")
"""What no file's text holds, and no database takes."""

_Answer = TypeVar("_Answer")


class Index:
    """The index of one base. `prepare` must have run before `sightings`."""

    def __init__(self, repository: Repository, base: Base, policy: Policy) -> None:
        self.base = base
        self._repository = repository
        self._policy = policy
        self._path = repository.state_dir / "index.sqlite3"
        self._postings: Postings | None = None
        self._tree = 0
        self._broken = False

    def close(self) -> None:
        """Close the cache."""
        if self._postings:
            self._postings.close()
            self._postings = None

    @property
    def ready(self) -> bool:
        """Whether `sightings` can answer."""
        return self._tree > 0 or not self.base.commit

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
            self._repository, self.base.commit, self._postings, self.classify, progress
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
        wanted = sorted(key for key in set(keys) if not _SURROGATE.search(key))
        return self._answer(lambda: self._cache.held(self._tree, wanted))

    def classify(self, path: str) -> FileClass:
        """The class of *path*, by the base's policy and attributes."""
        return self._classifier.classify(path)

    def _answer(self, ask: Callable[[], _Answer]) -> _Answer:
        """What *ask* finds in the cache, which is built anew when it is damaged or was trimmed."""
        try:
            if not self._cache.has_tree(self._tree):  # others filled the cache with their bases
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
        places = [p for s in mentions.spellings(key) for p in self._places(s)]
        # Names of ordinary words are indexed as phrases: their words stand in too many files.
        cuts = self._cuts(key) if plain else lexicon.compounds(key)
        holding = self._files(key, Use.WORD)
        files = self._count([*places, *holding])
        shown = self._seen_paths(places, key, plain=plain)
        named = [] if plain else self._files(key, Use.NAMED)
        seen = set(named)
        apart = self._files_with_all(cuts) if plain else []
        together = [path for path in holding + apart if path not in seen]
        found = chain(
            self._search(named, lambda text: _used(text, key, Use.NAMED)),
            self._search(together, lambda text: _mentioned(text, key, cuts, plain=plain)),
        )
        evidence = (*shown, *islice(found, MAX_EVIDENCE - len(shown)))
        if evidence:
            return _established("the base has it", evidence, files)
        if files and plain:
            why = "it stands only in files that establish nothing"
        else:
            why = f"none of the base's {self._extent} holds it" + ("" if plain else " as a name")
        return Sightings(False, why, (), files)

    def _ordinary(self, key: NameKey) -> Sightings:
        holding = self._files(key, Use.WORD)
        files = self._count(holding)
        providers = [p for p in self._places(key) if _names_provider(p, key)]
        shown = self._seen_paths(providers, key, plain=True)
        named = chain(
            self._search(self._files(key, Use.NAMED), lambda text: _used(text, key, Use.NAMED)),
            *map(self._incorporated, mentions.incorporated(key)),
        )
        evidence = (*shown, *islice(named, MAX_EVIDENCE - len(shown)))
        if evidence:
            return _established("the base uses the word as a name", evidence, files)
        proper = self._establishing(self._files(key, Use.PROPER))
        if len(proper) >= max(1, _PROPER_SHARE * len(self._establishing(holding))):
            if not self._establishing(self._files(key, Use.DEFINED)):
                prose = self._search(proper, lambda t: _used(t, key, Use.PROPER))
                if evidence := tuple(islice(prose, MAX_EVIDENCE)):
                    return _established("the base reads it as a name", evidence, files)
        total = sum(files.values())
        why = "the base does not use this word as a name"
        if total:
            verb = "holds" if total == 1 else "hold"
            why = f"{plural(total, 'file')} {verb} the word, none as a name"
        return Sightings(False, why, (), files)

    def _incorporated(self, spelling: NameKey) -> Iterator[Evidence]:
        """Where an ordinary word stands with its legal form glued on: that is no word any more."""
        return self._search(
            self._files(spelling, Use.WORD), lambda text: _mentioned(text, spelling, [], plain=True)
        )

    # --- from keys to files -------------------------------------------------------------------

    @property
    def _cache(self) -> Postings:
        if self._postings is None:
            raise IndexUnavailableError("names were not checked: the index is not built yet")
        return self._postings

    def _files(self, key: NameKey, use: Use) -> list[str]:
        spellings = mentions.spellings(key) if use is Use.WORD else (key,)
        blobs = set().union(*(self._cache.blobs(spelling, use) for spelling in spellings))
        return self._cache.files(self._tree, sorted(blobs))

    def _files_with_all(self, cuts: Iterable[tuple[str, ...]]) -> list[str]:
        blobs: set[int] = set()
        for cut in cuts:
            each = [self._cache.blobs(piece, Use.WORD) for piece in dict.fromkeys(cut)]
            blobs |= set.intersection(*each)
        return self._cache.files(self._tree, sorted(blobs))

    def _cuts(self, key: NameKey) -> list[tuple[str, ...]]:
        """The ways in which *key* falls into words that the base holds."""
        if len(key) > mentions.MAX_KEY:
            return []
        pieces = {key[i:j] for i in range(len(key)) for j in range(i + 1, len(key) + 1)} - {key}
        worth = (p for p in pieces if len(p) > 2 or p.isdecimal() or p in lexicon.LINKS)
        known = self._cache.known(sorted(worth))
        cuts = islice(lexicon.splits(key, known.__contains__), _MAX_CUTS)
        return [cut for cut in cuts if len(cut[0]) > 1 and len(cut[-1]) > 1]

    def _places(self, key: str) -> list[str]:
        return self._cache.places(self._tree, key)

    @cached_property
    def _extent(self) -> str:
        """The base's size in words, with what was not read of it."""
        count, unread = self._cache.extent(self._tree)
        return plural(count, "file") + (f" (not read: {unread})" if unread else "")

    @cached_property
    def _classifier(self) -> Classifier:
        def read(path: str) -> str:
            if not self.base.commit:
                return ""
            return (self._repository.read(self.base.commit, path) or b"").decode("utf-8", "replace")

        return Classifier(read, self._policy.classes)

    def _count(self, paths: Iterable[str]) -> dict[FileClass, int]:
        return dict(Counter(map(self._classifier.classify, dict.fromkeys(paths))))

    def _establishing(self, paths: Iterable[str]) -> list[str]:
        return [p for p in dict.fromkeys(paths) if self._classifier.classify(p).establishes]

    # --- from files to evidence ---------------------------------------------------------------

    def _search(
        self, paths: Iterable[str], find: Callable[[str], Iterator[int]]
    ) -> Iterator[Evidence]:
        """The first line that *find* gives in each of *paths* that may establish a name."""
        rank = {kind: number for number, kind in enumerate(_PREFERRED)}
        ordered = sorted(
            self._establishing(paths), key=lambda path: rank[self._classifier.classify(path)]
        )
        for path in ordered[:_MAX_READ]:
            data = self._repository.read(self.base.commit, path) or b""
            harvested = len(data) > MAX_HAND_WRITTEN and fileclass.is_data(path)
            text = None if harvested else mentions.readable(data)
            line = next(find(text), 0) if text else 0
            if line:
                yield Evidence(path, line, self._classifier.classify(path))

    def _seen_paths(
        self, paths: Iterable[str], key: NameKey, *, plain: bool
    ) -> tuple[Evidence, ...]:
        """Paths with *key* as a component, once each component, that the base really has."""
        seen: dict[str, Evidence] = {}
        found = [(_component(path, key), path) for path in self._establishing(paths)]
        for component, path in sorted(found, key=lambda pair: (not _whole(pair[0], key), pair)):
            if not plain and not (_names_provider(path, key) or _glued(component, key)):
                continue
            if component and component not in seen:
                if self._repository.read(self.base.commit, path) is not None:
                    seen[component] = Evidence(path, 0, self._classifier.classify(path))
            if len(seen) == MAX_PATHS:
                break
        return tuple(seen.values())


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


def _component(path: str, key: NameKey) -> str:
    """The part of *path* up to its first component with *key*; empty if there is none."""
    components = path.split("/")
    spellings = set(mentions.spellings(key))
    for number, component in enumerate(components, 1):
        if spellings.intersection(mentions.span_keys(component)):
            return "/".join(components[:number])
    return ""


def _whole(component: str, key: NameKey) -> bool:
    """Whether the last name of *component* is *key* and nothing else."""
    stem = component.rpartition("/")[2].partition(".")[0]
    return "".join(WORD.findall(fold(stem))).casefold() == key


def _glued(component: str, key: NameKey) -> bool:
    """Whether the last name of *component* holds *key* as one lower-case word of its own."""
    if len(key) <= lexicon.SHORT_NAME:
        return _whole(component, key)
    return key in WORD.findall(component.rpartition("/")[2])


def _names_provider(path: str, key: NameKey) -> bool:
    """Whether *path* has an entry called *key* directly in a directory of providers."""
    components = path.split("/")
    for parent, entry in pairwise(components):
        provider = not entry.startswith(("_", ".")) and key not in PLUMBING
        if provider and parent.casefold() in PROVIDER_DIRS and _whole(entry, key):
            return True
    return False
