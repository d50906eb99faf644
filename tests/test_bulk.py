"""Many blobs at once are tokenised as one by one: `bulk` against `tokenise`, on any text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orgguard_mcp import terms, tokenise
from orgguard_mcp.bulk import segment
from orgguard_mcp.bulk.text import BATCH_BYTES
from orgguard_mcp.names import fold
from orgguard_mcp.storage.segments import Segment, encode, write
from orgguard_mcp.tokenise import BLOB_BITS, key_hash
from orgguard_mcp.uses import uses
from tests.names import ACCENTED, COINED, COINED_TOO, NON_LATIN, TWO_WORDS

LINES = (
    COINED,
    f"{COINED.upper()}_API_KEY={COINED_TOO.lower()}",
    f"AcmeAPIClient {COINED}Client2 x{COINED_TOO}HTTPServer3D",
    f"we use {TWO_WORDS}, Bank of the West and {COINED} Cloud Platform Services Group Two Three",
    f"class Target(Base): struct {COINED}; an interface Block",
    f"https://api.target.com/v1 user@mail.{COINED.lower()}.io '@{COINED.lower()}/sdk'",
    'name: "Target", vendor="BLOCK", title = \'Delta\'',
    f"Delta Inc. and {COINED} LLC, Target plc, Foo S.A. or Bar A/S",
    "OTHERS, Supabase, Neon, Zorb and PH0, PH1",
    "H&M Group, A+E Networks, L'Oreal, O'Neil's Bar, AT & T Corp",
    f"{ACCENTED} in {NON_LATIN} und Stra\u00dfe 9",
    "x" * 90 + " " + "aB1" * 9 + " QWxhZGRpbjpvcGVuIHNlc2FtZQQWxhZGRpbg",
    "\t\tif (a && b) || c + 'd' - \"E\" * 3.14e10;",
    f"@{COINED.lower()}-ai/sdk read-only x-{COINED} {COINED}-Cloud-9 a-b-c-d-e-f-g--h 4-you",
    f"\n@{COINED.lower()}/block\n@target/1",
    "y = 1 " * 400,
    "we sell to many stores, Target among them, and others, Block too",
    "Detects Target cards (Block Target cards) of-type Target, don't Target, a Target",
    "we ship to Target's, to Target; we (do, to Target) don't sell-to Target but the Target",
    "\uff08PCI_IRQ_LEGACY, PCI_IRQ_MSI, __FOO_BAR, Target, foo_BAR, Block_, Delta__X, Target",
    "A, B, Target, C3 and 4D, Zorb,\tTarget, X_, Target",
    "'@target-x/sdk' /@block/x a.b@-target.com _@delta.io x@target. @c: @target.com @target/x",
    "\"Target': ='Block' = \"Delta9\" name:\t'Target' TARGET_BOT_TOKEN BLOCK_CLIENT_SECRET _API_",
    "Target L.L.C. of Block N.V. and 1. Delta A/S x. B.V",
    "Foo",
    "mail to x.y@target.io, please",
    "see @target/x",
    "\uff08PCI_IRQ_LEGACY, PCI_IRQ_MSI",
    "use TARGET_API_URL here",
    "",
)
"""Every shape that the two could read differently."""

RUNS = st.text("aBcD1_- .,'&+@/:\"\n", max_size=60)
WORDS = st.lists(
    st.sampled_from(
        "Target Block Zorb we to ship the do sell-to XY A x1 9 API TOKEN KEY com Inc plc S.A"
        " \u00c9cole Detects".split()
    )
    | st.sampled_from([*'  ,_."@/-(', ", ", "don't ", "://"]),
    max_size=24,
).map(lambda words: f"so {''.join(words)}".strip())
TEXTS = st.lists(st.one_of(st.sampled_from(LINES), RUNS, WORDS), max_size=12).map("\n".join)


def hashes(pairs: object) -> set[int]:
    return {int(pair) >> BLOB_BITS for pair in pairs}  # type: ignore[attr-defined]


def one_by_one(blobs: list[bytes]) -> set[int]:
    """The pairs of *blobs*, tokenised in plain Python."""
    held = tokenise.postings(blobs)
    return {hashed << BLOB_BITS | blob for hashed, some in held.items() for blob in some}


def postings(pairs: list[int]) -> dict[int, list[int]]:
    """The blobs of each hash, by *pairs* of both."""
    found: dict[int, list[int]] = {}
    for pair in pairs:
        found.setdefault(pair >> BLOB_BITS, []).append(pair & (1 << BLOB_BITS) - 1)
    return found


def test_hash_of_a_key_is_that_of_its_parts_joined() -> None:
    found = hashes(segment.pairs([(0, b"AcmeAPIClient")]))
    keys = ("acme", "api", "client", "acmeapi", "apiclient", "acmeapiclient")
    assert found == {key_hash(key) for key in keys}


@example("word" * 200)
@given(st.text(max_size=300))
def test_hash_of_a_key_is_a_polynomial_over_its_bytes(key: str) -> None:
    found = 0
    for byte in reversed(key.encode("utf-8", "surrogatepass")):
        found = (found * tokenise.FACTOR + byte) % (1 << 64)
    found = (found ^ found >> 32) * tokenise.MIXER % (1 << 64)
    assert key_hash(key) == (found ^ found >> 29) >> BLOB_BITS


@example(["1+", "Delta Inc. and others"])  # a link reaches over no line, let alone a blob
@example([f"{COINED}\n&1"])
@example(["://1.BB", "://-.BB"])
@example([f"{COINED}\n@1/1"])
@given(st.lists(TEXTS, max_size=4))
def test_every_key_and_use_of_one_by_one_is_found_at_once(texts: list[str]) -> None:
    blobs = [text.encode() for text in texts]
    at_once = set(segment.pairs(enumerate(blobs)).tolist())
    missed = one_by_one(blobs) - at_once
    assert not {pair for pair in missed if pair not in _loose(texts)}


@given(st.lists(TEXTS, max_size=4))
def test_what_several_blobs_hold_is_what_each_of_them_holds(texts: list[str]) -> None:
    blobs = [text.encode() for text in texts]
    expected = set()
    for number, text in enumerate(terms.readable(blob) or "" for blob in blobs):
        keys = terms.word_keys(text) | terms.phrase_keys(text)
        held = {key_hash(key) for key in keys} | {key_hash(key, use) for use, key, _ in uses(text)}
        expected |= {hashed << BLOB_BITS | number for hashed in held}
    assert one_by_one(blobs) == expected


def _loose(texts: list[str]) -> set[int]:
    """The pairs of keys that begin or end with a link, and of uses across lines: of no name."""
    found = set()
    for number, text in enumerate(texts):
        for sign, link in (("&", "and"), ("+", "plus")):
            if sign in text:
                keys = terms.word_keys(text)
                ends = {key for key in keys if key.startswith(link) or key.endswith(link)}
                found |= {key_hash(key) << BLOB_BITS | number for key in ends}
    return found


@given(TEXTS)
def test_at_once_finds_no_key_that_the_text_does_not_spell(text: str) -> None:
    found = hashes(segment.pairs([(0, text.encode())]))
    squeezed = "".join(char for char in fold(text).casefold() if char.isalnum())
    spelled = {"and", "plus", "amp"}
    for start in range(len(squeezed)):
        spelled |= {squeezed[start:end] for end in range(start, start + terms.MAX_KEY + 1)}
    with_links = "&" in text or "+" in text
    assert with_links or found <= {key_hash(key, use) for key in spelled for use in range(4)}


def test_long_blob_is_read_in_pieces_and_long_lines_are_not_read() -> None:
    line = b"word of filler\n" * (BATCH_BYTES // 10)
    blob = line + COINED.encode() + b"\n" + COINED_TOO.encode() + b"a " * 2000
    found = hashes(segment.pairs([(3, blob)]))
    assert key_hash(COINED.casefold()) in found
    assert key_hash(COINED_TOO.casefold()) not in found


@pytest.mark.parametrize(
    "data", [b"", b"\0binary " + COINED.encode(), b"\xff\xfe" + COINED.encode("utf-16-le")]
)
def test_what_is_no_text_has_no_keys_and_utf_16_is_text(data: bytes) -> None:
    assert set(segment.pairs([(0, data)]).tolist()) == one_by_one([data])


PAIRS = st.sets(
    st.tuples(st.integers(0, (1 << 44) - 1) | st.integers(0, 9), st.integers(0, 299)), max_size=400
).map(lambda some: sorted(key << BLOB_BITS | blob for key, blob in some))


@given(PAIRS)
def test_segment_holds_what_was_put_into_it_however_it_was_made(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("segments")
    write(folder / "one", 300, [encode(postings(pairs), 300)])
    write(folder / "columns", 300, [segment._encoded(np.array(pairs, np.uint64), 300)])
    assert (folder / "one").read_bytes() == (folder / "columns").read_bytes()
    whole = Segment(folder / "one", 7)
    wanted = postings(pairs)
    for hashed, numbers in wanted.items():
        blobs = [7 + number for number in numbers]
        assert list(whole.find(hashed)) == blobs
        assert whole.holds(hashed)
        assert [b for b in range(7, 307) if whole.holding(hashed)(b)] == blobs
    absent = next(n for n in range(500) if n not in wanted)
    assert not whole.holds(absent)
    assert not list(whole.find(absent))


@given(PAIRS, st.lists(st.integers(1, 299), max_size=4, unique=True))
def test_merged_segments_are_the_segment_of_all_their_blobs(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[int], cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("segments")
    bounds = [0, *sorted(cuts), 300]
    parts = []
    for first, end in pairwise(bounds):
        own = [p - first for p in pairs if first <= p & (1 << BLOB_BITS) - 1 < end]
        path = Path(folder / f"{first}")
        write(path, end - first, [encode(postings(own), end - first)])
        parts.append(Segment(path, 5 + first))
    segment.merge(folder / "merged", parts)
    write(folder / "whole", 300, [encode(postings(pairs), 300)])
    assert (folder / "merged").read_bytes() == (folder / "whole").read_bytes()
