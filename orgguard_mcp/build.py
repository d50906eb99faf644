"""Building the index: from the blobs and paths of a base's tree to the rows of the cache."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from orgguard_mcp import fileclass, mentions
from orgguard_mcp.display import plural
from orgguard_mcp.repository import MAX_BLOB, Repository, Tree
from orgguard_mcp.storage.postings import Postings
from orgguard_mcp.uses import Use, uses

MAX_HAND_WRITTEN = 512 << 10
"""Bytes; a larger data or text file was collected by a machine: it establishes nothing."""

_SEGMENT_BYTES = 32 << 20

Progress = Callable[[int, int], None]
"""Hears (blobs read, blobs to read)."""


def build(repository: Repository, commit: str, cache: Postings, progress: Progress) -> int:
    """Bring *cache* up to *commit*'s tree; return the number under which it keeps that."""
    tree_id = repository.tree_id(commit)
    if cache.tree(tree_id) is None:
        tree = repository.tree(commit)
        large = _read_blobs(repository, cache, _limits(tree), progress)
        cache.add_tree(tree_id, *_tree_rows(tree), _unread(len(tree.submodules), large))
    return cache.tree(tree_id) or 0


def _read_blobs(
    repository: Repository, cache: Postings, limits: dict[str, int], progress: Progress
) -> int:
    """Bring the blobs of *limits* into *cache*; return how many are larger than theirs."""
    missing = cache.missing(limits)
    sizes = repository.sizes(missing) if missing else {}
    wanted = [oid for oid in missing if sizes[oid] <= limits[oid]]
    segment: dict[str, set[tuple[str, int]]] = {}
    held = 0
    for done, (oid, data) in enumerate(repository.blobs(wanted), 1):
        segment[oid] = _keys(data)
        held += len(data)
        if held >= _SEGMENT_BYTES:
            cache.add_segment(segment)
            segment, held = {}, 0
        if done % 100 == 0:
            progress(done, len(wanted))
    if segment:
        cache.add_segment(segment)
    progress(len(wanted), len(wanted))
    return len(missing) - len(wanted)


def _limits(tree: Tree) -> dict[str, int]:
    """For each blob, the bytes up to which it is read: the most that one of its paths allows."""
    limits: dict[str, int] = {}
    for oid, path in tree.files:
        limit = MAX_HAND_WRITTEN if fileclass.is_data(path) else MAX_BLOB
        limits[oid] = max(limit, limits.get(oid, 0))
    return limits


def _unread(submodules: int, large: int) -> str:
    parts = [plural(submodules, "submodule")] if submodules else []
    parts += [plural(large, "large file")] if large else []
    return " and ".join(parts)


def _keys(data: bytes) -> set[tuple[str, int]]:
    text = mentions.readable(data)
    if text is None:
        return set()
    words = mentions.word_keys(text) | mentions.phrase_keys(text)
    keys = {(key, int(Use.WORD)) for key in words}
    return keys | {(key, int(use)) for use, key, _ in uses(text)}


def _tree_rows(tree: Tree) -> tuple[list[tuple[str, str]], dict[str, list[int]]]:
    """The rows of *tree*: files as (blob, path), and per path key the files that have it."""
    entries = [*tree.files, *tree.symlinks]
    places: defaultdict[str, list[int]] = defaultdict(list)
    keys: dict[str, tuple[str, ...]] = {}
    for number, entry in enumerate(entries):
        found: set[str] = set()
        for component in entry.path.split("/"):
            if component not in keys:
                readable = component.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                keys[component] = mentions.span_keys(readable)
            found.update(keys[component])
        for key in found:
            places[key].append(number)
    return [(entry.oid, entry.path) for entry in entries], places
