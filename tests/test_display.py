"""Display: nothing that somebody else wrote reaches a terminal raw."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orgguard_mcp.display import MAX_SHOWN, ago, clock, code_points, plural, visible
from tests.names import ACCENTED, COINED, CYRILLIC_TWIN, DIGITS, NON_LATIN

HIDING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u200b\u200d\u202a"
    "\u202e\u2060\u2066\u2069\u206f\u3164\ufe00\ufe0f\ufeff\uffa0\ufff0\U0001bca0\U0001d173"
    "\U000e0001\U000e0041\U000e0100\U000e01ef\u2800\u2028\u2029\u0085\u009b\u001b\u0007\u007f"
)
"""Unicode's default-ignorable blocks, blanks, separators and terminal controls."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Acme", "Acme"),
        ("two words", "two words"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2K\x1b[1A", "\\x1b[2K\\x1b[1A"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("Ac\u200bme", "Ac\\u200bme"),
        ("a\u00a0b", "a\\xa0b"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        (ACCENTED, ACCENTED),
        (NON_LATIN, NON_LATIN),
    ],
    ids=ascii,
)
def test_what_is_harmless_stays_and_the_rest_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("char", IGNORABLE, ids=ascii)
def test_a_character_without_ink_is_never_shown_raw(char: str) -> None:
    assert char not in visible(f"a{char}b")


def test_piled_up_marks_are_escaped() -> None:
    assert visible("a" + "\u0301" * 5) == "a\u0301\u0301" + "\\u0301" * 3


def test_long_text_is_cut_with_the_count_of_what_is_missing() -> None:
    assert visible("z" * 12, 10) == "z" * 10 + " … (+2 characters)"
    assert visible("z" * 10, 10) == "z" * 10


@given(st.text(max_size=40) | st.text(st.sampled_from(IGNORABLE + "a\u0301"), max_size=400))
@example("\x1b" * MAX_SHOWN)
@example("\U000e0041" * 1000)
def test_nothing_raw_reaches_a_terminal(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(char) in HIDING for char in shown)
    assert not any(char.isspace() and char != " " for char in shown)
    assert not set(shown) & set(IGNORABLE)
    assert not re.search(r"[\u0300-\u036f]{3}", shown)


@given(
    st.text(max_size=400) | st.text(st.sampled_from(IGNORABLE), max_size=400), st.integers(10, 200)
)
@example("\x1b" * MAX_SHOWN, MAX_SHOWN)
@example("\U000e0041" * 1000, MAX_SHOWN)
def test_shown_text_is_no_longer_than_the_limit_and_the_count(text: str, limit: int) -> None:
    body, _, _ = visible(text, limit).partition(" … (+")
    assert len(body) <= limit


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=MAX_SHOWN))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text


# --- code points -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Acme", "3M", "H&M", "Nestlé", "ソニー", "東京エレクトロン", "삼성", COINED, ACCENTED, DIGITS],
    ids=ascii,
)  # fmt: skip
def test_a_name_in_one_known_script_needs_no_code_points(name: str) -> None:
    assert code_points(name) == ""


def test_a_look_alike_letter_is_pointed_out() -> None:
    assert code_points(CYRILLIC_TWIN) == "mixed scripts: а U+0430 Cyrillic Small Letter A"


def test_a_name_in_another_script_is_spelled_out() -> None:
    shown = code_points(NON_LATIN)
    assert shown.startswith("not Latin script: З U+0417 Cyrillic Capital Letter Ze")
    assert "mixed" not in shown


def test_a_name_all_of_look_alikes_is_spelled_out() -> None:
    assert "U+0410" in code_points("Асме")


def test_many_code_points_are_cut() -> None:
    assert code_points("".join(map(chr, range(0x430, 0x450)))).endswith(" …")


@given(st.text(max_size=60))
def test_code_points_show_nothing_raw(name: str) -> None:
    shown = code_points(name)
    assert visible(shown, len(shown)) == shown


# --- counts and times --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1284, "1,284 files")]
)
def test_plural(count: int, shown: str) -> None:
    assert plural(count, "file") == shown


def test_an_irregular_plural() -> None:
    assert plural(2, "query", "queries") == "2 queries"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3600, "1 h ago"),
        (86400, "1 day ago"),
        (3 * 86400, "3 days ago"),
    ],
)
def test_ago(seconds: int, words: str) -> None:
    assert ago(1000.0, 1000.0 + seconds) == words


def test_a_clock_has_the_date_when_it_is_another_day() -> None:
    noon = 1_767_355_200.0
    assert re.fullmatch(r"\d\d:\d\d", clock(noon, noon))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", clock(noon, noon + 3 * 86400))
