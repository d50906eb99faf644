"""Building the index: from the blobs and paths of a base's tree to the rows of the cache."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from orgguard_mcp import fileclass, terms
from orgguard_mcp.display import plural
from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.model import FileClass
from orgguard_mcp.names import WORD, fold
from orgguard_mcp.policy import PATH as POLICY_PATH
from orgguard_mcp.repository import (
    ABSENT,
    MAX_BLOB,
    SUBMODULE,
    SYMLINK,
    FileChange,
    Repository,
    TreeEntry,
    partial_clone,
)
from orgguard_mcp.storage import segments
from orgguard_mcp.storage.catalogue import FileRow, Located, TreeRows
from orgguard_mcp.storage.postings import Postings
from orgguard_mcp.tokenise import postings
from orgguard_mcp.workers import Job, Pool, pool, processors

MAX_HAND_WRITTEN = 512 << 10
"""Bytes; a larger data or text file was collected by a machine: it establishes nothing."""

PROVIDER = "/"
"""Before the key of the whole name of an entry of one of `fileclass.PROVIDER_DIRS`."""

WORTH_BYTES = 3 << 20
"""Less than that is done sooner than a worker has started."""

FEW = 15
"""Up to so many blobs are asked of the reader that is there: two processes of git cost more."""

SEGMENT_BYTES = 48 << 20
"""The most that is lost when a build is killed, for each worker."""

MAX_SEGMENTS = 24
"""When there are more, those whose blobs fit one segment become one."""

Progress = Callable[[int, int], None]
"""Hears (blobs read, blobs to read)."""

Classes = Callable[[Sequence[str]], Sequence[FileClass]]
"""The class of each of some paths."""


class _Change(NamedTuple):
    """What a tree has otherwise than the one before: all its files, where there is none."""

    follows: int | None
    files: Sequence[TreeEntry]
    unread: Sequence[TreeEntry]  # symbolic links
    gone: Sequence[str]
    submodules: int
    missing: Sequence[str] = ()  # since before


def build(
    repository: Repository,
    commit: str,
    cache: Postings,
    classes: Classes,
    progress: Progress,
) -> int:
    """Bring *cache* up to *commit*'s tree; return the number under which it keeps that.

    Blobs that this clone lacks establish nothing. When most are missing, or one that says how
    others count, raises `RepositoryError`.
    """
    tree_id = repository.tree_id(commit)
    kept = cache.catalogue.tree(tree_id)
    if kept and not _present(repository, cache.catalogue.lacking(kept)):
        return kept
    builder = _Builder(repository, cache, classes, progress)
    change = _moved(repository, cache, tree_id)
    number = builder.add(tree_id, change) if change else None
    return number or builder.add(tree_id, _whole(repository, commit)) or 0


def _whole(repository: Repository, commit: str) -> _Change:
    tree = repository.tree(commit)
    return _Change(None, tree.files, tree.symlinks, (), len(tree.submodules))


def _moved(repository: Repository, cache: Postings, tree_id: str) -> _Change | None:
    """What *tree_id* has otherwise than the tree that was added last; None when that cannot be
    told, or a file changed that says how others count.
    """
    newest = cache.catalogue.newest()
    if not newest:
        return None
    missing = cache.catalogue.lacking(newest[0])
    if _present(repository, missing):
        return None
    try:
        changes = repository.changes(newest[1], tree_id)
    except RepositoryError:  # git has thrown away the older tree
        return None
    if any(_says_what_counts(change.path) or change.old_oid in missing for change in changes):
        return None
    links = [TreeEntry(c.new_oid, c.path) for c in changes if c.new_mode == SYMLINK]
    files = [c for c in changes if c.new_mode not in {ABSENT, SUBMODULE, SYMLINK}]
    gone = [c.path for c in changes if c.old_mode not in {ABSENT, SUBMODULE}]
    submodules = cache.catalogue.extent(newest[0]).submodules + _more_submodules(changes)
    return _Change(
        newest[0], [TreeEntry(c.new_oid, c.path) for c in files], links, gone, submodules, missing
    )


def _more_submodules(changes: Iterable[FileChange]) -> int:
    return sum((c.new_mode == SUBMODULE) - (c.old_mode == SUBMODULE) for c in changes)


def _says_what_counts(path: str) -> bool:
    return path == POLICY_PATH or path.endswith(".gitattributes")


def _present(repository: Repository, oids: Sequence[str]) -> dict[str, int]:
    """The sizes of those of *oids* that this clone has."""
    return repository.sizes(oids) if oids else {}


class _Builder:
    """Adds trees to the cache."""

    def __init__(
        self,
        repository: Repository,
        cache: Postings,
        classes: Classes,
        progress: Progress,
    ) -> None:
        self._repository = repository
        self._cache, self._catalogue = cache, cache.catalogue
        self._classes = classes
        self._progress = progress

    def add(self, tree_id: str, change: _Change) -> int | None:
        """Add the tree; None when *change* needs files that are missing: all must be looked at."""
        limits = _limits(change.files)
        unknown = self._catalogue.missing(list(limits))
        held = self._held(unknown)
        sizes = {oid: len(data) for oid, data in held.items()}
        sizes = sizes or _present(self._repository, unknown)
        lacking = set(unknown) - sizes.keys()
        if lacking and change.follows:
            return None
        _ensure_enough(change.files, limits, lacking)
        wanted = {oid: size for oid, size in sizes.items() if size <= limits[oid]}
        self._read(wanted, held, whole=not change.follows)
        rows = self._rows(change.files, sizes.keys() - wanted.keys())
        rows += [FileRow("", path, FileClass.CODE) for _, path in change.unread]
        names, folders = _entries([row.path for row in rows])
        missing = sorted(lacking.union(change.missing))
        tree = TreeRows(rows, names, folders, change.gone, change.submodules, missing)
        return self._catalogue.add_tree(tree_id, tree, change.follows)

    def _held(self, oids: Sequence[str]) -> dict[str, bytes]:
        """The contents of *oids* if they are few, all of them there, and none is empty or large."""
        if len(oids) > FEW:
            return {}
        found = self._repository.contents(oids)
        held = {oid: data for oid, data in zip(oids, found, strict=True) if data}
        return held if len(held) == len(oids) else {}

    def _rows(self, files: Sequence[TreeEntry], large: set[str]) -> list[FileRow]:
        classes = self._classes([path for _, path in files])
        return [
            FileRow(oid, path, kind, oid in large)
            for (oid, path), kind in zip(files, classes, strict=True)
        ]

    def _read(self, sizes: Mapping[str, int], held: Mapping[str, bytes], *, whole: bool) -> None:
        """Bring the blobs of *sizes*, those of a *whole* tree or of a change, into the cache. If
        any is *held*, all are.
        """
        self._catalogue.tidy()
        if sum(sizes.values()) >= WORTH_BYTES:
            self._read_many(sizes, whole=whole)
        elif sizes:
            self._make(self._catalogue.new_segment(), sizes, held)
            self._progress(len(sizes), len(sizes))
        if len(self._catalogue.segments()) > MAX_SEGMENTS:
            with pool(1) as workers:
                self._merge(workers)

    def _read_many(self, sizes: Mapping[str, int], *, whole: bool) -> None:
        """Let workers read the blobs of *sizes*, a segment at a time."""
        plan = _plan(sizes, processors())
        jobs = [self._job(number, list(some)) for number, some in enumerate(plan)]
        with pool(len(jobs)) as workers:
            done = 0
            answers = workers.done(jobs, lambda count: self._progress(count, len(sizes)))
            for job, some, made in zip(jobs, plan, answers, strict=True):
                if made:
                    self._cache.add_segment(Path(job.path), some)
                else:
                    self._make(Path(job.path), some)
                done += len(some)
                self._progress(done, len(sizes))
            if whole:
                self._merge(workers)

    def _job(self, number: int, oids: Sequence[str]) -> Job:
        path = self._catalogue.new_segment(number)
        return Job(str(path), str(self._repository.directory), oids)

    def _make(
        self, path: Path, sizes: Mapping[str, int], held: Mapping[str, bytes] | None = None
    ) -> None:
        """Make a segment in this process."""
        if held:
            blobs: Iterable[bytes] = (held[oid] for oid in sizes)
        else:
            blobs = (data for _, data in self._repository.blobs(sizes))
        segments.write(path, len(sizes), [segments.encode(postings(blobs), len(sizes))])
        self._cache.add_segment(path, sizes)

    def _merge(self, workers: Pool) -> None:
        """Make one segment of those that fit one; when that fails, they stay as they are."""
        groups = [group for group in _groups(self._catalogue.segments()) if len(group) > 1]
        jobs = [
            Job(str(self._catalogue.new_segment(number)), "", (),
                [(str(one.path), one.first) for one in group])
            for number, group in enumerate(groups)
        ]  # fmt: skip
        answers = workers.done(jobs, lambda _: None)
        for job, group, made in zip(jobs, groups, answers, strict=True):
            if made:
                self._cache.replace_segments(group, Path(job.path))


def _limits(files: Iterable[TreeEntry]) -> dict[str, int]:
    """For each blob, the bytes up to which it is read: the most that one of its paths allows."""
    limits: dict[str, int] = {}
    for oid, path in files:
        limit = MAX_HAND_WRITTEN if fileclass.is_data(path) else MAX_BLOB
        limits[oid] = max(limit, limits.get(oid, 0))
    return limits


def _ensure_enough(
    files: Iterable[TreeEntry], limits: Mapping[str, int], lacking: set[str]
) -> None:
    """Raise `RepositoryError` when the tree without *lacking* blobs says too little."""
    if 2 * len(lacking) > len(limits):
        raise partial_clone(f"{len(lacking)} of {plural(len(limits), 'file')} are missing")
    for oid, path in files if lacking else ():
        if oid in lacking and _says_what_counts(path):
            raise partial_clone(f"{path} is missing")


def _plan(sizes: Mapping[str, int], workers: int) -> list[dict[str, int]]:
    """The blobs of *sizes* in segments: up to two for each of so many *workers*, each of them worth
    its start, none too large to be lost.
    """
    total = sum(sizes.values())
    parts = max(1, min(2 * workers, total // WORTH_BYTES))
    most = min(SEGMENT_BYTES, total // parts + 1)
    plan: list[dict[str, int]] = [{}]
    size = 0
    for oid, one in sizes.items():
        if size >= most or len(plan[-1]) >= segments.MAX_BLOBS:
            plan.append({})
            size = 0
        plan[-1][oid] = one
        size += one
    return plan


def _groups(every: Iterable[Located]) -> Iterator[list[Located]]:
    """Neighbours whose blobs fit one segment."""
    group: list[Located] = []
    for one in every:
        if sum(other.blobs for other in group) + one.blobs > segments.MAX_BLOBS:
            yield group
            group = []
        group.append(one)
    yield group


def _entries(paths: Sequence[str]) -> tuple[dict[str, list[int]], set[tuple[str, str]]]:
    """Per key of a file's own name the positions in *paths*; key and path of all folders."""
    names: defaultdict[str, list[int]] = defaultdict(list)
    folders: set[str] = set()
    for number, path in enumerate(paths):
        parent, _, name = path.rpartition("/")
        for key in _keys(parent, name):
            names[key].append(number)
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    return names, {
        (key, folder)
        for folder in folders
        for key in _keys(folder.rpartition("/")[0], folder.rpartition("/")[2])
    }


def _keys(parent: str, name: str) -> Iterator[str]:
    """The keys of the entry *name* of the folder *parent*."""
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    yield from terms.span_keys(readable)
    if parent.rpartition("/")[2].casefold() in fileclass.PROVIDER_DIRS:
        yield PROVIDER + whole_name(readable)


def whole_name(entry: str) -> str:
    """The key of all of *entry*, a file or folder, up to its first full stop."""
    return "".join(WORD.findall(fold(entry.partition(".")[0]))).casefold()
