"""Tokenising: which keys stand in which blobs, and in what use. Pure, so it runs in any process.

The answer is a sorted array of numbers, a *pair* each: the hash of a key in a use, and the number
of a blob that holds it so. `bulk.keys` gives the same for many blobs at once, several times faster
and with a library that takes long to import; this is its plain statement, and does small work.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import lru_cache

from orgguard_mcp import mentions
from orgguard_mcp.uses import Use, uses

BLOB_BITS = 20
"""Bits of a pair that number its blob; the hash of the key is in the 44 above."""

WORD_BITS = 64
FACTOR = 0x9E3779B97F4A7C15
MIXER = 0xD6E8FEB86659FD93
_ALL = (1 << WORD_BITS) - 1


@lru_cache(maxsize=1 << 16)
def key_hash(key: str, use: int = Use.WORD) -> int:
    """The hash of *key* in *use*, 44 bits.

    A polynomial over its bytes, so that two keys' hashes make the hash of both joined, mixed at
    the end. Among the keys of the largest repositories, ten million, one in a million that is
    asked for meets another's hash by chance: the index then looks into a file in vain.
    """
    spelled = chr(use) + key if use else key
    found = 0
    for byte in reversed(spelled.encode("utf-8", "surrogatepass")):
        found = found * FACTOR + byte & _ALL
    found = (found ^ found >> 32) * MIXER & _ALL
    return (found ^ found >> 29) >> BLOB_BITS


def pairs(blobs: Iterable[bytes]) -> array[int]:
    """The pairs of *blobs*, which are numbered from 0."""
    found: set[int] = set()
    for number, data in enumerate(blobs):
        text = mentions.readable(data)
        if text is not None:
            hashes = word_hashes(text) | {key_hash(key, use) for use, key, _ in uses(text)}
            found.update(one << BLOB_BITS | number for one in hashes)
    return array("Q", sorted(found))


def word_hashes(text: str) -> set[int]:
    """The hashes of all keys that stand in *text* as words or phrases."""
    return set(map(key_hash, mentions.word_keys(text) | mentions.phrase_keys(text)))
