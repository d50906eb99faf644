"""Places in columns: what is looked at is what was put in, whoever carried it meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.detect.places import Kept, Places, Sighting
from orgguard_mcp.detect.spans import Form, Span, words_of
from orgguard_mcp.model import Surface
from tests.names import COINED, NON_LATIN, TWO_WORDS

TEXTS = st.text(st.characters(), max_size=20) | st.sampled_from(["\0", "\ud800", NON_LATIN, ""])
WRITTEN = [text for text in (COINED, TWO_WORDS, NON_LATIN, f"{COINED}\0Client") if words_of(text)]


@st.composite
def _sightings(draw: st.DrawFn) -> Sighting:
    text, start = draw(st.sampled_from(WRITTEN)), draw(st.integers(0, 20_000))
    span = Span(draw(st.sampled_from(Form)), text, start, start + len(text), words_of(text))
    where = draw(st.sampled_from(Surface)), draw(TEXTS), draw(st.integers(0, 1 << 30)), draw(TEXTS)
    return Sighting(span, *where, frozenset(draw(st.lists(TEXTS, max_size=3))))


def _carried(kept: Kept, places: Places) -> Kept:
    carried, there = Kept(places), places.carrier(kept.places)
    carried.numbers.extend(map(there, kept.numbers))
    return carried


@given(st.lists(_sightings(), max_size=12), st.lists(_sightings(), max_size=12))
def test_sightings_come_back_as_they_were(one: list[Sighting], other: list[Sighting]) -> None:
    joined, found = Places(), []
    for sightings in (one, other):
        kept = Kept(Places())
        kept.numbers.extend(map(kept.places.add, sightings))
        assert list(kept) == sightings
        piped = Kept(Places(kept.places.plain), kept.numbers.tobytes())
        found.append(_carried(piped, joined))
    assert [list(kept) for kept in found] == [one, other]
    assert [*found[0].surfaces, *found[1].surfaces] == [s.surface for s in one + other]
    assert [*found[0].forms, *found[1].forms] == [s.span.form for s in one + other]


@given(_sightings(), _sightings())
def test_a_line_is_one_wherever_it_was_carried_from(one: Sighting, other: Sighting) -> None:
    joined, lines = Places(), []
    for sighting in (one, one, other):
        kept = Kept(Places())
        kept.numbers.append(kept.places.add(sighting))
        lines += [line for line, _, _ in _carried(kept, joined).spots]
    assert lines[0] == lines[1]
    assert (lines[0] == lines[2]) == (one[1:5] == other[1:5])
