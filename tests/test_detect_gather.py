"""Gathering: what of a change becomes a candidate, and what its surroundings say."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.detect.gather import MAX_SIGHTINGS, Candidate, gather
from orgguard_mcp.model import Artifact, Held, Surface
from tests.names import ACCENTED, COINED, DIGITS, TWO_WORDS

_LOW = COINED.lower()
_SNAKE = TWO_WORDS.lower().replace(" ", "_")


def nothing_held(keys: Iterable[str]) -> Mapping[str, Held]:
    del keys
    return {}


def _gathered(
    *lines: str, surface: Surface = Surface.CODE, path: str = "a.py"
) -> dict[str, Candidate]:
    artifact = Artifact(surface, path, tuple(enumerate(lines, 1)))
    return {candidate.key: candidate for candidate in gather([artifact], nothing_held)}


FOUND = [
    (f"class {COINED}Client:", _LOW),
    (f"{COINED.upper()}_TIMEOUT = 3", _LOW),
    (f"def load_{_LOW}_rows():", _LOW),
    (f"# asked by {COINED}", _LOW),
    (f'raise Error("no rate for {TWO_WORDS}")', "harborfinch"),
    (f"def test_{_SNAKE}_rows():", "harborfinch"),
    (f"{DIGITS}Client()", "7mund"),
    ("class Zorb24Client:", "zorb24"),
    (f"# {ACCENTED} sends it", "welbruck"),
    ("x = '白鷺商会'", "白鷺商会"),
    (f"# once {_LOW} has moved", _LOW),
    (f"rows.{_LOW}.com", _LOW),
]
NOT_FOUND = [
    "# the rows are sorted by date",
    "def get_rows(): return get_client(url)",
    "x = '3f9c2ab17d4e88b1'",
    "# moved in December",
]


@pytest.mark.parametrize(("line", "key"), FOUND)
def test_a_name_becomes_a_candidate(line: str, key: str) -> None:
    assert key in _gathered(line)


@pytest.mark.parametrize("line", NOT_FOUND)
def test_ordinary_text_has_no_candidate(line: str) -> None:
    assert not _gathered(line)


def test_an_author_is_no_candidate() -> None:
    line = f"Signed-off-by: Jo <jo@{_LOW}.com>"
    assert not _gathered(line, surface=Surface.COMMIT_MESSAGE, path="")


@pytest.mark.parametrize(
    "line",
    [
        f"Cc: the {COINED} account",
        f"Cc: {COINED}",
        f"on-behalf-of: @{_LOW} <jo@example.com>",
        f"on-behalf-of: {COINED} <jo@example.com>",
        f"Author: {COINED}",
        f"Reviewed-by: Jo <jo@example.com> for {COINED}",
        f"Reviewed-by: Jo <jo@example.com>, {COINED}",
        f"Signed-off-by: {COINED} <>",
        f"Signed-off-by: {COINED} asked for this and will pay Jo <jo@example.com>",
        f"Approved by: {COINED} <they said so>",
    ],
)
def test_a_trailer_that_says_more_than_a_person_is_read(line: str) -> None:
    assert _LOW in _gathered(line, surface=Surface.COMMIT_MESSAGE, path="")


@pytest.mark.parametrize(
    "line",
    [
        f"Co-authored-by: Jo Ann van Dyk <jo@{_LOW}.com>",
        f"Co-Authored-By: {COINED}[bot] <1+{_LOW}[bot]@users.noreply.github.com>",
        f"  cc: {COINED} <jo@example.com>  ",
        f"Acked-by : Jo <jo@{_LOW}.com>",
    ],
)
def test_a_person_in_a_trailer_is_no_candidate(line: str) -> None:
    assert not _gathered(line, surface=Surface.COMMIT_MESSAGE, path="")


@pytest.mark.parametrize("label", ["author", "cc", "Signed-off-by", "Reviewed-by"])
@pytest.mark.parametrize("surface", [s for s in Surface if s is not Surface.COMMIT_MESSAGE])
def test_a_trailer_outside_a_message_hides_nothing(surface: Surface, label: str) -> None:
    """There it is a line like any other, that whoever wants to hide a name may write."""
    assert _LOW in _gathered(f"{label}: {COINED}", surface=surface, path="a.yml")


def test_a_file_name_drawn_by_lot_is_no_candidate() -> None:
    drawn, chosen = ".changeset/grumpy-harbor-bathes.md", f".changeset/{_LOW}.md"
    assert not _gathered(drawn, surface=Surface.PATH, path=drawn)
    assert _LOW in _gathered(chosen, surface=Surface.PATH, path=chosen)


def test_what_the_base_has_parts_a_name_from_the_words_beside_it() -> None:
    artifact = Artifact(Surface.CODE, "a.py", ((1, f"{_LOW}_vrbl = 1"),))

    def held(keys: Iterable[str]) -> Mapping[str, Held]:
        return {key: Held(files=3) for key in keys if key == "vrbl"}

    assert _LOW in {c.key for c in gather([artifact], held)}
    assert _LOW not in {c.key for c in gather([artifact], nothing_held)}


CUES = [
    (f"# {COINED} sends it twice", "acts"),
    (f"# {COINED} frobs the rows", "acts"),
    (f"# once {COINED} has moved", "bare subject"),
    (f"# a hack for {COINED}", "made for"),
    (f"# hosted by {COINED}", "done by"),
    (f"# ask {COINED} first", "addressed"),
    (f"# {COINED}'s gateway", "possessive"),
    (f"# the {COINED} gateway", "has"),
    (f"# our customer {COINED}", "after role"),
    (f"# {COINED} Ltd signed", "legal form"),
    (f'x = {{"vendor": "{COINED}"}}', "organisation label"),
    (f'x = {{"title": "{COINED}"}}', "label"),
    (f"class {COINED}Feed:", "defined"),
    (f'rates["{_LOW}"] = 2', "as key"),
    (f"import {_LOW}", "import"),
    (f"# by {COINED} <jo@example.com>", "before an address"),
]
NO_CUES = [
    (f"# the {COINED}", "acts"),
    (f"# once the {COINED} has moved", "bare subject"),
    (f"# {COINED} gateway", "possessive"),
    (f"# for {COINED}", "made for"),
    (f"x = {COINED}Feed", "defined"),
]


def _cues(line: str) -> set[str]:
    found = _gathered(line)[_LOW]
    return {cue for sighting in found.kept for cue in sighting.cues}


@pytest.mark.parametrize(("line", "cue"), CUES)
def test_what_a_line_says_of_a_name(line: str, cue: str) -> None:
    assert cue in _cues(line)


@pytest.mark.parametrize(("line", "cue"), NO_CUES)
def test_what_a_line_does_not_say(line: str, cue: str) -> None:
    assert cue not in _cues(line)


def test_a_hunk_that_begins_within_a_text_is_read_as_text() -> None:
    found = _gathered(f"more difficult to both spot and fix when {COINED} is slow")
    assert set(found[_LOW].kept.surfaces) == {Surface.CODE}
    assert any("within" in s.cues for s in found[_LOW].kept)


def test_a_candidate_keeps_some_places_and_counts_the_others() -> None:
    found = _gathered(*[f"# {COINED} sends row {n}" for n in range(300)])[_LOW]
    assert len(found.kept.numbers) == MAX_SIGHTINGS
    assert found.places == {Surface.COMMENT: 300}


def _calls(run: Iterable[object]) -> int:
    """How many function calls it takes to exhaust *run*: a measure that no clock disturbs."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        for _ in run:
            pass
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "piece", [f"{COINED} sends a_b ", f"{_LOW}", "aB1 ", "x.y.com/", "'\"`# ", "銀行 ", "& Aa "]
)
def test_a_long_line_takes_linear_time(piece: str) -> None:
    def work(times: int) -> int:
        artifact = Artifact(Surface.CODE, "a.py", ((1, piece * times),))
        return _calls(gather([artifact], nothing_held))

    work(8000)  # fills the caches
    assert work(16000) < 3 * work(8000) + 2000


@given(
    st.lists(st.text(max_size=60), max_size=5),
    st.sampled_from(list(Surface)),
    st.sampled_from(["a.py", "b.md", "c.json", "d.xml", "e"]),
)
def test_no_text_breaks_it(lines: list[str], surface: Surface, path: str) -> None:
    for candidate in _gathered(*lines, surface=surface, path=path).values():
        for sighting in candidate.kept:
            where = sighting.location
            assert where.column >= 1
            assert where.column - 1 + where.length <= len(where.text)
