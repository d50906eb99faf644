"""Hiding names: every spelling is covered, what is not a name stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.report.veil import MASK, Veil
from tests.names import ACCENTED, COINED, CYRILLIC_TWIN, DIGITS, NON_LATIN, TWO_WORDS


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        (COINED, f"tests/{COINED.lower()}_export.csv", f"tests/{MASK}_export.csv"),
        (COINED, f"{COINED}Client.java", f"{MASK}Client.java"),
        (COINED, f"api.{COINED.upper()}.com", f"api.{MASK}.com"),
        (COINED, f"see {CYRILLIC_TWIN}", f"see {MASK}"),
        (COINED, f"{COINED}/{COINED}", f"{MASK}/{MASK}"),
        (TWO_WORDS, "src/harborFinch/x.py", f"src/{MASK}/x.py"),
        (TWO_WORDS, "HARBOR_FINCH harbor-finch", f"{MASK} {MASK}"),
        (ACCENTED, "welbruck.py", f"{MASK}.py"),
        (DIGITS, "x/7mund/y", f"x/{MASK}/y"),
        (NON_LATIN, f"{NON_LATIN.lower()}.txt", f"{MASK}.txt"),
        ("Qu", "src/qu/unique.py", f"src/{MASK}/unique.py"),
        ("Qu", "QuClient", f"{MASK}Client"),
    ],
)
def test_a_name_is_covered_however_it_is_spelled(name: str, text: str, shown: str) -> None:
    assert Veil([name]).cover(text) == shown


def test_the_word_around_a_name_is_covered_with_it() -> None:
    """``•••ge.py`` would tell a reader of the tree which four letters are hidden."""
    assert Veil(["line"]).cover("src/lineage.py") == f"src/{MASK}.py"


def test_several_names_are_covered_and_overlaps_once() -> None:
    veil = Veil([COINED, f"{COINED} {TWO_WORDS}"])
    assert veil.cover(f"<{COINED} {TWO_WORDS}> {COINED}") == f"<{MASK}> {MASK}"


def test_without_names_nothing_is_covered() -> None:
    assert Veil(["", "—"]).cover("a/b —.py") == "a/b —.py"


@given(st.text(), st.text(), st.sampled_from([COINED, TWO_WORDS, ACCENTED, DIGITS, NON_LATIN]))
def test_no_surroundings_uncover_a_name(before: str, after: str, name: str) -> None:
    shown = Veil([name]).cover(before + name + after)
    assert name not in shown
    assert MASK in shown


@given(st.text())
def test_what_holds_no_name_stays_as_it_is(text: str) -> None:
    if "z" not in text.casefold():
        assert Veil([COINED]).cover(text) == text
