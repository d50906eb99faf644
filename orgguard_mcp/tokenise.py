"""Tokenising: which keys stand in which blobs, and in what use. Pure, so it runs in any process."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable

from orgguard_mcp import mentions
from orgguard_mcp.uses import Use, uses

Lists = dict[int, dict[str, bytes]]
"""Per use, per key, the numbers of the blobs that hold it so: packed as ``I``, ascending."""


def tokenise(first: int, blobs: Iterable[bytes]) -> Lists:
    """The lists of *blobs*, which are numbered from *first*."""
    found: dict[Use, defaultdict[str, list[int]]] = {use: defaultdict(list) for use in Use}
    words = found[Use.WORD]
    for number, data in enumerate(blobs, first):
        text = mentions.readable(data)
        if text is None:
            continue
        for key in mentions.word_keys(text) | mentions.phrase_keys(text):
            words[key].append(number)
        for use, key in {(use, key) for use, key, _ in uses(text)}:
            found[use][key].append(number)
    return {
        int(use): {key: array("I", numbers).tobytes() for key, numbers in keys.items()}
        for use, keys in found.items()
    }


def merge(lists: Lists, more: Lists) -> None:
    """Add to *lists* those of blobs with higher numbers."""
    for use, keys in more.items():
        known = lists.setdefault(use, {})
        for key, numbers in keys.items():
            known[key] = known[key] + numbers if key in known else numbers
