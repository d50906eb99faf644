"""Spans: which stretches of a line may be a name. Each case is a line and what is to be found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp.detect import locators, prose, spans
from orgguard_mcp.detect.spans import Form, Span
from tests.names import ACCENTED, COINED, COINED_TOO, DIGITS, NON_LATIN, TWO_WORDS

_LOW = COINED.lower()


def _found(read: list[Span], form: Form) -> set[str]:
    return {span.text for span in read if span.form is form}


def _prose(line: str) -> list[Span]:
    return list(prose.prose(line, 0, line))


LOCATORS = [
    (f"see https://api.{_LOW}.com/v1/orders", Form.HOST, _LOW),
    (f"host: sftp.{_LOW}.io", Form.HOST, _LOW),
    (f"https://shop.{_LOW}.co.uk/", Form.HOST, _LOW),
    (f"mail jane@{_LOW}.de", Form.EMAIL, _LOW),
    (f'"@{_LOW}/sdk": "^1.0"', Form.SCOPE, _LOW),
    (f"https://github.com/{_LOW}/tool", Form.OWNER, _LOW),
    (f"thanks @{_LOW}!", Form.HANDLE, _LOW),
    (f"TODO({_LOW}): retry", Form.HANDLE, _LOW),
]
NO_LOCATORS = [
    "see https://example.com/orders",
    "jane@example.org",
    "http://localhost:8080/x",
    "https://api.test/v1",
    "a.b.c = d.e(f)",
    "self.config.io_mode",
]


@pytest.mark.parametrize(("line", "form", "text"), LOCATORS)
def test_a_locator_names_its_organisation(line: str, form: Form, text: str) -> None:
    assert text in _found(list(locators.locators(line)), form)


@pytest.mark.parametrize("line", NO_LOCATORS)
def test_a_reserved_host_or_code_names_nobody(line: str) -> None:
    assert not _found(list(locators.locators(line)), Form.HOST)
    assert not _found(list(locators.locators(line)), Form.EMAIL)


def test_locators_digests_and_keys_are_blanked_for_what_reads_on() -> None:
    line = f"at https://{_LOW}.com/x by 3f9c2ab17d4e and QmFzZTY0IGlzIG5vdCBhIG5hbWU= {COINED}"
    rest = locators.blank(line)
    assert len(rest) == len(line)
    assert rest.split() == ["at", "by", "and", COINED]


PHRASES = [
    (f"Exports for {TWO_WORDS} run nightly", TWO_WORDS),
    (f"sent to {TWO_WORDS}, then on", TWO_WORDS),
    (f"by Bank of {COINED} today", f"Bank of {COINED}"),
    (f"for {COINED} & {COINED_TOO}.", f"{COINED} & {COINED_TOO}"),
    (f"the call with Caisse d'{ACCENTED} went", f"Caisse d'{ACCENTED}"),
]
NO_PHRASES = [
    f"Add {COINED} here",  # what opens a commit's subject is no part of the name
    f"in December {COINED} moved",
    "all of it in lower case",
    f"end. {COINED} begins",
]


@pytest.mark.parametrize(("line", "text"), PHRASES)
def test_capitalised_words_side_by_side_are_a_phrase(line: str, text: str) -> None:
    assert text in _found(_prose(line), Form.PHRASE)


@pytest.mark.parametrize("line", NO_PHRASES)
def test_what_only_looks_like_a_phrase(line: str) -> None:
    assert not _found(_prose(line), Form.PHRASE)


SUBJECTS = [
    (f"drop this once {_LOW} has moved", _LOW),
    ("until harbor finch sends both", "harbor finch"),
    ("because harbor needs it", "harbor"),
]
NO_SUBJECTS = [
    "once the cache has filled",
    "when it needs more",
    "while running has no effect",
    "which quickly sends it",
]


@pytest.mark.parametrize(("line", "text"), SUBJECTS)
def test_a_bare_noun_that_does_something_is_a_subject(line: str, text: str) -> None:
    assert text in _found(_prose(line), Form.SUBJECT)


@pytest.mark.parametrize("line", NO_SUBJECTS)
def test_a_thing_has_an_article(line: str) -> None:
    assert not _found(_prose(line), Form.SUBJECT)


def test_a_month_is_no_word_to_look_at() -> None:
    assert "December" not in _found(_prose("Since December"), Form.WORD)


def test_an_identifier_in_prose_is_read_as_one() -> None:
    assert f"{_LOW}_rows" in _found(_prose(f"set {_LOW}_rows to 3"), Form.IDENTIFIER)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{COINED}APIClient", (_LOW, "api", "client")),
        (f"{_LOW}_order-rows", (_LOW, "order", "rows")),
        (DIGITS, ("7", "mund")),
        (ACCENTED, ("welbruck",)),
        ("PRs", ("pr",)),
        (NON_LATIN, (NON_LATIN.lower(),)),
    ],
)
def test_the_words_of_a_text(text: str, words: tuple[str, ...]) -> None:
    assert spans.words_of(text) == words


def test_each_word_knows_its_place() -> None:
    text = f"my{COINED}'s_rows"
    places = {part.word: text[part.start : part.end] for part in spans.parts_of(text)}
    assert places["rows"] == "rows"
    assert places["my"] == "my"


_LINES = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("Aa1 .@/-_'\"&:,<(\u2019銀\u0130ß"))
)


@given(_LINES)
def test_spans_lie_within_the_line(line: str) -> None:
    found = [*locators.locators(line), *prose.scripts(line)]
    rest = locators.blank(line)
    assert len(rest) == len(line)
    found += [*prose.prose(rest, 0, rest), *prose.identifiers(rest, 0, rest)]
    for span in found:
        assert 0 <= span.start < span.end <= len(line)
        for part in spans.parts_of(span.text):
            assert 0 <= part.start < part.end <= len(span.text)
