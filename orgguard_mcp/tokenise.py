"""Tokenising: which keys stand in which blobs, and in what use. Pure, so it runs in any process.

The answer is, for the hash of each key in a use, the numbers of the blobs that hold it so. `bulk`
gives the same for many blobs at once, several times faster and with a library that takes long to
import; this is its plain statement, and does small work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import mul
from typing import Any

from orgguard_mcp.terms import linked_keys, links, phrases, raw_keys, readable, runs, span_keys
from orgguard_mcp.uses import Use, uses

BLOB_BITS = 20
"""Bits of a pair that number its blob; the hash of the key is in the 44 above."""

WORD_BITS = 64
FACTOR = 0x9E3779B97F4A7C15
MIXER = 0xD6E8FEB86659FD93
_ALL = (1 << WORD_BITS) - 1
_POWERS = tuple(pow(FACTOR, at, 1 << WORD_BITS) for at in range(256))


@lru_cache(maxsize=1 << 13)
def key_hash(key: str, use: int = Use.WORD) -> int:
    """The hash of *key* in *use*, 44 bits.

    A polynomial over its bytes, so that two keys' hashes make the hash of both joined, mixed at
    the end. Among the keys of the largest repositories, ten million, one in a million that is
    asked for meets another's hash by chance: the index then looks into a file in vain.
    """
    spelled = chr(use) + key if use else key
    found = _polynomial(spelled.encode("utf-8", "surrogatepass")) & _ALL
    found = (found ^ found >> 32) * MIXER & _ALL
    return (found ^ found >> 29) >> BLOB_BITS


def _polynomial(data: bytes) -> int:
    most = len(_POWERS)
    if len(data) <= most:
        return sum(map(mul, data, _POWERS))
    return _polynomial(data[:most]) + _POWERS[-1] * FACTOR * _polynomial(data[most:])


_WAYS: tuple[tuple[Callable[[str], Iterable[Any]], Callable[[Any], Iterable[str]]], ...] = (
    (runs, raw_keys),
    (links, linked_keys),
    (phrases, span_keys),
)
"""What is looked for in a text, and what gives the keys of one that was found."""


def postings(blobs: Iterable[bytes]) -> dict[int, set[int]]:
    """For the hash of each key in a use, the numbers of those of *blobs* that hold it so, which are
    numbered from 0.

    Texts repeat each other's words: what is found is cut into keys once, not for each blob.
    """
    found: list[defaultdict[Any, list[int]]] = [defaultdict(list) for _ in _WAYS]
    held: defaultdict[int, set[int]] = defaultdict(set)
    for number, text in enumerate(map(readable, blobs)):
        if text is None:
            continue
        for entries, (find, _) in zip(found, _WAYS, strict=True):
            for entry in find(text):
                entries[entry].append(number)
        for use, key, _ in uses(text):
            held[key_hash(key, use)].add(number)
    for entries, (_, keys_of) in zip(found, _WAYS, strict=True):
        for entry, numbers in entries.items():
            for part in keys_of(entry):
                held[key_hash(part)].update(numbers)
    return held
