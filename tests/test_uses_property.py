"""The fast ways through a text find what the plain patterns find that say what is meant."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp import lexicon, mentions, uses
from orgguard_mcp.uses import Use

PIECES = (
    "Target", "Linear", "Block", "Foo", "we use", "use", "the", "of", "and", "or", "a", "x", "X",
    "9", "1Ab", "class", "type", "typedef", "subclass", "interface", "École", "é", "É", "×", " ",
    "  ", "\n", "\t", ", ", ",", ". ", "'s", "'", "\u2019", "_", "(", '"', "#", "-", ":", "import ",
    "漢", "²", "٣",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from([*PIECES, *(f" {piece}" for piece in PIECES)]), max_size=14)

SENTENCE = re.compile(
    r"(?:^|[\s(])(?P<before>[a-z][a-z'-]+,? [a-z][a-z'-]*),? (?P<name>[A-Z][a-z]+)(?:'s)?"
    r"(?=[.,;:!?)]?(?:$|\s))",
    re.MULTILINE,
)
OPENING = re.compile(
    r"(?:^|[#*\"'.(] ?)(?P<before>[A-Z][a-z]+) (?P<name>[A-Z][a-z]+) (?=[a-z])", re.MULTILINE
)
LIST = re.compile(r"\b[A-Z]\w+(?:, [A-Z]\w+)+(?:,? (?:and|or) [A-Z]\w+)?")
DEFINITION = re.compile(
    r"\b(?:class|struct|interface|enum|trait|type|object|record|message|typedef|namespace|module)"
    r"\s+(?P<name>[A-Z][A-Za-z]*)\b"
)
ACCENTED = re.compile(
    r"(?<![^\W\d_])(?:[A-Z][^\W\d_]*[\u00c0-\u024f]|[\u00c0-\u00de])[^\W\d_]*"
)  # fmt: skip
PHRASE = re.compile(
    r"(?<![^\W_])(?:[A-Z]|[0-9]+[A-Za-z])[^\W_]*(?:['\u2019][^\W_]+)*"
    rf"(?:[ \t]{{1,2}}(?:(?:{'|'.join(mentions.SMALL)}) )*"
    r"[A-Z0-9][^\W_]*(?:['\u2019][^\W_]+)*){1,5}"
)


@given(TEXTS)
def test_sentences(pieces: list[str]) -> None:
    text = "".join(pieces)
    plain = [
        (match["name"], match.start("name"))
        for pattern in (SENTENCE, OPENING)
        for match in pattern.finditer(text)
        if match["before"].split()[-1].rstrip(",").lower() not in lexicon.NO_NAME_AFTER
    ]
    expected = {at for name, at in plain if lexicon.needs_distinction(name.lower())}  # type: ignore[arg-type]
    assert {at for _, _, at in uses.in_sentences(text)} == expected


@given(TEXTS)
def test_lists_and_phrases(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert [match.span() for match in uses._lists(text)] == [m.span() for m in LIST.finditer(text)]
    assert list(mentions._phrases(text)) == PHRASE.findall(text)


@given(TEXTS)
def test_definitions_and_accents(pieces: list[str]) -> None:
    text = "".join(pieces)
    defined = {match.start("name") for match in DEFINITION.finditer(text)
               if lexicon.needs_distinction(match["name"].lower())}  # type: ignore[arg-type]  # fmt: skip
    assert {at for use, _, at in uses.uses(text) if use is Use.DEFINED} == defined
    assert [m.span() for m in uses._ACCENTED.finditer(text)] == [
        m.span() for m in ACCENTED.finditer(text)
    ]
