"""Building the index: from the blobs and paths of a base's tree to the rows of the cache."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice

from orgguard_mcp import fileclass, mentions
from orgguard_mcp.display import plural
from orgguard_mcp.model import FileClass
from orgguard_mcp.policy import PATH as POLICY_PATH
from orgguard_mcp.repository import MAX_BLOB, Repository, Tree, partial_clone
from orgguard_mcp.storage.postings import FileRow, Postings, TreeRows
from orgguard_mcp.tokenise import Lists, merge
from orgguard_mcp.workers import CHUNK_BYTES, Chunk, tokenised

MAX_HAND_WRITTEN = 512 << 10
"""Bytes; a larger data or text file was collected by a machine: it establishes nothing."""

_SEGMENT_BYTES = 32 << 20

Progress = Callable[[int, int], None]
"""Hears (blobs read, blobs to read)."""


def build(
    repository: Repository,
    commit: str,
    cache: Postings,
    classify: Callable[[str], FileClass],
    progress: Progress,
) -> int:
    """Bring *cache* up to *commit*'s tree; return the number under which it keeps that.

    Blobs that this clone lacks establish nothing. When most are missing, or one that says how
    others count, raises `RepositoryError`.
    """
    tree_id = repository.tree_id(commit)
    kept = cache.tree(tree_id)
    if kept and not _present(repository, cache.lacking(kept)):
        return kept
    tree = repository.tree(commit)
    limits = _limits(tree)
    unknown = cache.missing(limits)
    sizes = _present(repository, unknown)
    lacking = set(unknown) - sizes.keys()
    _ensure_enough(tree, limits, lacking)
    wanted = {oid: size for oid, size in sizes.items() if size <= limits[oid]}
    _read_blobs(repository, cache, wanted, progress)
    unread = _unread(len(tree.submodules), len(sizes) - len(wanted), len(lacking))
    return cache.add_tree(tree_id, TreeRows(*_tree_rows(tree, classify), unread, sorted(lacking)))


def _present(repository: Repository, oids: Sequence[str]) -> dict[str, int]:
    """The sizes of those of *oids* that this clone has."""
    return repository.sizes(oids) if oids else {}


def _limits(tree: Tree) -> dict[str, int]:
    """For each blob, the bytes up to which it is read: the most that one of its paths allows."""
    limits: dict[str, int] = {}
    for oid, path in tree.files:
        limit = MAX_HAND_WRITTEN if fileclass.is_data(path) else MAX_BLOB
        limits[oid] = max(limit, limits.get(oid, 0))
    return limits


def _ensure_enough(tree: Tree, limits: Mapping[str, int], lacking: set[str]) -> None:
    """Raise `RepositoryError` when the tree without *lacking* blobs says too little."""
    if 2 * len(lacking) > len(limits):
        raise partial_clone(f"{len(lacking)} of {plural(len(limits), 'file')} are missing")
    for oid, path in tree.files if lacking else ():
        if oid in lacking and (path == POLICY_PATH or path.endswith(".gitattributes")):
            raise partial_clone(f"{path} is missing")


def _unread(submodules: int, large: int, missing: int) -> str:
    kinds = ((submodules, "submodule"), (large, "large file"), (missing, "missing file"))
    return " and ".join(plural(count, kind) for count, kind in kinds if count)


def _read_blobs(
    repository: Repository, cache: Postings, sizes: Mapping[str, int], progress: Progress
) -> None:
    """Bring the blobs of *sizes* into *cache*, a segment at a time."""
    segments = _plan(sizes)
    total, done = len(sizes), 0

    def chunks() -> Iterator[Chunk]:
        blobs = (data for _, data in repository.blobs(sizes))
        for segment in segments:
            first = 1
            for chunk in segment:
                yield first, list(islice(blobs, len(chunk)))
                first += len(chunk)

    with closing(tokenised(chunks(), sum(sizes.values()))) as answers:
        for segment in segments:
            lists: Lists = {}
            for chunk in segment:
                if done:
                    progress(done, total)
                merge(lists, next(answers))
                done += len(chunk)
            cache.add_segment([oid for chunk in segment for oid in chunk], lists)
    progress(total, total)


def _plan(sizes: Mapping[str, int]) -> list[list[list[str]]]:
    """The blobs of *sizes* in segments, transactions of the cache, of chunks, for a worker each."""
    segments: list[list[list[str]]] = []
    in_chunk, in_segment = CHUNK_BYTES, _SEGMENT_BYTES
    for oid, size in sizes.items():
        if in_segment >= _SEGMENT_BYTES:
            segments.append([])
            in_chunk, in_segment = CHUNK_BYTES, 0
        if in_chunk >= CHUNK_BYTES:
            segments[-1].append([])
            in_chunk = 0
        segments[-1][-1].append(oid)
        in_chunk += size
        in_segment += size
    return segments


def _tree_rows(
    tree: Tree, classify: Callable[[str], FileClass]
) -> tuple[list[FileRow], dict[str, list[int]]]:
    """The files of *tree*, and per key of a path component the positions of those that have it."""
    rows = [FileRow(oid, path, classify(path).establishes) for oid, path in tree.files]
    rows += [FileRow(oid, path, establishes=False) for oid, path in tree.symlinks]
    places: defaultdict[str, list[int]] = defaultdict(list)
    keys: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(rows):
        found: set[str] = set()
        for component in row.path.split("/"):
            if component not in keys:
                readable = component.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                keys[component] = mentions.span_keys(readable)
            found.update(keys[component])
        for key in found:
            places[key].append(number)
    return rows, places
