"""The lexicon: which keys are ordinary words, or made of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.lexicon import is_compound, is_ordinary, splits
from orgguard_mcp.names import canonicalise
from tests.names import COINED, COINED_TOO, DIGITS, FOURTH, NON_LATIN, THIRD, TWO_WORDS


@pytest.mark.parametrize(
    "word",
    [
        "target",
        "block",
        "apple",
        "targets",
        "running",
        "stopped",
        "ladies",
        "notion",
        "may",
        "monday",
        "arrangement",
        "itd",  # "it" and an ending
        "loxes",
        "ies",  # "y" and an ending
    ],
)
def test_a_word_and_its_inflections_are_ordinary(word: str) -> None:
    assert is_ordinary(canonicalise(word))


@pytest.mark.parametrize("word", ["colour", "buildable", "kwargs", "berlin", "oclock", "und"])
def test_what_another_list_knows_is_not_ordinary_by_that(word: str) -> None:
    assert not is_ordinary(canonicalise(word))


@pytest.mark.parametrize("short", ["x", "hp", "3m", "10k", "s3", "v2"])
def test_what_is_too_short_to_tell_or_a_quantity_is_ordinary(short: str) -> None:
    assert is_ordinary(canonicalise(short))


@pytest.mark.parametrize(
    "name",
    ["Nokia", "n8n", "1Password", COINED, COINED_TOO, THIRD, FOURTH, DIGITS, NON_LATIN],
    ids=ascii,
)
def test_a_coined_name_is_neither_ordinary_nor_a_compound(name: str) -> None:
    key = canonicalise(name)
    assert not is_ordinary(key)
    assert not is_compound(key)


def test_acme_is_a_name_although_the_dictionary_has_it() -> None:
    assert not is_ordinary(canonicalise("Acme"))


@pytest.mark.parametrize("name", ["BestBuy", "Together AI", "We Work", TWO_WORDS])
def test_words_joined_are_a_compound_but_no_word(name: str) -> None:
    key = canonicalise(name)
    assert is_compound(key)
    assert not is_ordinary(key)


def test_splits_gives_every_way_to_cut() -> None:
    accepted = {"a", "b", "ab", "c", "bc"}
    assert set(splits("abc", accepted.__contains__)) == {("a", "b", "c"), ("ab", "c"), ("a", "bc")}


@given(st.text("ab", min_size=1, max_size=12), st.integers(2, 4))
def test_a_split_joins_to_the_key_within_the_limit(key: str, limit: int) -> None:
    for pieces in splits(key, lambda piece: len(piece) > 1, limit):
        assert "".join(pieces) == key
        assert 2 <= len(pieces) <= limit
        assert all(len(piece) > 1 for piece in pieces)


@given(st.text(max_size=40))
def test_any_key_has_an_answer(text: str) -> None:
    key = canonicalise(text)
    assert isinstance(is_ordinary(key), bool)
    assert isinstance(is_compound(key), bool)
