"""The witness: sees in the base's own objects what the index only says.

It reads by commit and path, and each object is checked against its id: what it has seen is there,
whatever the cache holds. Reading takes the time of a check, so small files come first, several at
once, and it ends as soon as there is enough to show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

from orgguard_mcp import fileclass, lexicon, terms
from orgguard_mcp.build import MAX_HAND_WRITTEN, whole_name
from orgguard_mcp.fileclass import PROVIDER_DIRS, Classifier
from orgguard_mcp.model import Evidence, FileClass
from orgguard_mcp.names import WORD, NameKey
from orgguard_mcp.repository import Repository
from orgguard_mcp.storage.catalogue import Holder

MAX_PATHS = 2
"""Paths given with a verdict: lines tell more."""

PLUMBING = frozenset(
    "base factory common utils util types init main index config constants registry manager client"
    " helpers helper errors exceptions models schema core shared test tests handler handlers"
    " transformation interface interfaces abstract default custom generic template example".split()
)
"""Entries of such directories that are named after what they do."""

_PREFERRED = (FileClass.CODE, FileClass.CONFIG, FileClass.DOCS, FileClass.TEST)
_RANK = {kind: rank for rank, kind in enumerate(_PREFERRED)}
_MAX_BYTES = 2 << 20  # of all that is read for one name
_ENOUGH_BYTES = 16 << 10  # read for one name, after which one place of evidence is enough
_AT_ONCE = 3  # files
_MOST_PATHS = 12  # read to see that they are there

Find = Callable[[str], Iterator[int]]
"""The lines of a text, from 1, that show a name."""


class Witness:
    """Looks into the tree of *commit*, whose files *classes* (of the policy) and its attributes
    sort.
    """

    def __init__(
        self, repository: Repository, commit: str, classes: Mapping[str, FileClass]
    ) -> None:
        self._files = repository.snapshot(commit) if commit else None
        self._classifier = Classifier(self._texts, classes)

    def _texts(self, paths: Sequence[str]) -> list[str]:
        return list(map(_text, self._read(paths)))

    def _read(self, paths: Sequence[str]) -> list[bytes | None]:
        return self._files.read(paths) if self._files else [None] * len(paths)

    def expect_many(self) -> None:
        """Get ready to look into many files: it takes a moment, and less for each of them."""
        if self._files:
            self._files.expect_many()

    def classify(self, path: str) -> FileClass:
        """The class of *path*, by the base's policy and attributes."""
        return self._classifier.classify(path)

    def classes(self, paths: Sequence[str]) -> list[FileClass]:
        """The class of each of *paths*, in less time."""
        return self._classifier.classes(paths)

    def _contents(self, paths: Sequence[str]) -> dict[str, bytes]:
        """The contents of those of *paths* that are there and may establish a name; read together
        with the attributes that tell.
        """
        attributes = self._classifier.unread(paths)
        found = self._read([*attributes, *paths])
        self._classifier.learn(attributes, map(_text, found[: len(attributes)]))
        return {
            path: data
            for path, data in zip(paths, found[len(attributes) :], strict=True)
            if data is not None and self.classify(path).establishes
        }

    def lines(self, portions: Iterable[Iterable[list[Holder]]], find: Find) -> Iterator[Evidence]:
        """The first line that *find* gives in each file of *portions* that may establish a name."""
        seen: set[str] = set()
        read = shown = 0
        for some in _batches(chain(*portions)):
            sizes = {one.path: one.size for one in some if one.path not in seen}
            if read + sum(sizes.values()) > _MAX_BYTES:
                continue
            seen.update(sizes)
            read += sum(sizes.values())
            for path, data in self._contents(list(sizes)).items():
                if line := _first_line(path, data, find):
                    shown += 1
                    yield Evidence(path, line, self.classify(path))
            if shown and read >= _ENOUGH_BYTES:
                return

    def paths(self, paths: Iterable[str], key: NameKey, *, plain: bool) -> tuple[Evidence, ...]:
        """Those of *paths* with *key* as a component that are really there, each component once."""
        fitting: dict[str, str] = {}
        found = [(_component(path, key), path) for path in paths]
        for component, path in sorted(found, key=lambda pair: (not _whole(pair[0], key), pair)):
            if component and (plain or names_provider(path, key) or _glued(component, key)):
                fitting.setdefault(component, path)
        seen = self._contents(list(dict.fromkeys(fitting.values()))[:_MOST_PATHS])
        return tuple(Evidence(path, 0, self.classify(path)) for path in list(seen)[:MAX_PATHS])


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def _batches(portions: Iterable[list[Holder]]) -> Iterator[list[Holder]]:
    """The files of each portion, cheapest first, as many as are read at once."""
    for holders in portions:
        ordered = sorted(holders, key=_cheapest)
        for start in range(0, len(ordered), _AT_ONCE):
            yield ordered[start : start + _AT_ONCE]


def _cheapest(holder: Holder) -> tuple[bool, int, int]:
    """Code before prose where both are small, else by size."""
    small = holder.size <= _ENOUGH_BYTES
    return not small, _RANK.get(holder.kind, len(_RANK)) if small else 0, holder.size


def _first_line(path: str, data: bytes, find: Find) -> int:
    """The first line of a file that *find* gives, or 0; machine-made stretches do not count."""
    text = terms.decoded(data)
    if text is None or (len(data) > MAX_HAND_WRITTEN and fileclass.is_data(path)):
        return 0
    lines = None
    for number in find(text):
        lines = lines or text.split("\n")
        before, line = lines[number - 2] if number > 1 else "", lines[number - 1]
        if len(line) <= terms.MAX_LINE:
            if 2 in find(terms.without_encoded(f"{before[: terms.MAX_LINE]}\n{line}")):
                return number
    return 0


def _component(path: str, key: NameKey) -> str:
    """The part of *path* up to its first component with *key*; empty if there is none."""
    components = path.split("/")
    spellings = set(terms.spellings(key))
    for number, component in enumerate(components, 1):
        if spellings.intersection(terms.span_keys(component)):
            return "/".join(components[:number])
    return ""


def _whole(component: str, key: NameKey) -> bool:
    """Whether the last name of *component* is *key* and nothing else."""
    return whole_name(component.rpartition("/")[2]) == key


def _glued(component: str, key: NameKey) -> bool:
    """Whether the last name of *component* holds *key* as one lower-case word of its own."""
    if len(key) <= lexicon.SHORT_NAME:
        return _whole(component, key)
    return key in WORD.findall(component.rpartition("/")[2])


def names_provider(path: str, key: NameKey) -> bool:
    """Whether *path* has an entry called *key* directly in a directory of providers."""
    components = path.split("/")
    for parent, entry in pairwise(components):
        provider = not entry.startswith(("_", ".")) and key not in PLUMBING
        if provider and parent.casefold() in PROVIDER_DIRS and _whole(entry, key):
            return True
    return False
