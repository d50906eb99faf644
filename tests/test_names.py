"""Names: one key for every spelling, and no key for what is no name."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from orgguard_mcp.errors import InvalidNameError
from orgguard_mcp.names import GLUED_SUFFIXES, MAX_LENGTH, WORD, canonicalise, fold, parse, parts
from tests.names import ACCENTED, COINED, CYRILLIC_TWIN, DIGITS, NON_LATIN, TWO_WORDS, WITH_SIGN

LOOK_ALIKES = dict(
    zip(
        "АВЕКМНОРСТУХІЈЅаеорсухіјѕԁԛһΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "ABEKMHOPCTYXIJSaeopcyxijsdqhABEZHIKMNOPTYX",
        strict=True,
    )
)
"""Cyrillic and Greek letters that are drawn like a Latin one."""

ZERO_WIDTH = "\u00ad\u034f\u061c\u115f\u17b4\u180b\u180e\u200b\u200c\u200d\u2060\u2063\u3164\ufe0f"
ZERO_WIDTH += "\ufeff\uffa0\U000e0001\U000e0041\U000e0100"

small_words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=16)
plain_words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=10).filter(
    lambda word: not word.endswith(GLUED_SUFFIXES)
)


@pytest.mark.parametrize(
    "spelling",
    [
        "Acme Corp", "ACME Corporation", "acme", "Acme, Inc.", "AcmeCorp GmbH", "acme.com", "@acme",
        "Ａｃｍｅ", "ＡＣＭＥ　Ｃｏｒｐ", "Acmé", "Ac\u200bme", "Асме", "аcme", "acmecorp",
        "ACME_CORP", "acme-corp", "Acme™", "Acme\u00a0Ltd", "https://api.acme.com:8080/x?y=1",
        "ops@acme.co.uk", "@acme/sdk", "ACME.COM", "acme.com.", '"Acme Corp"', "Acme (UK) Ltd",
        "AcmeInc", "AcmeGmbH", "acmecorpinc", "ACME & CO", "ACME AND CO", "Acme.com, Inc.",
    ],
    ids=ascii,
)  # fmt: skip
def test_every_spelling_of_acme_has_one_key(spelling: str) -> None:
    assert parse(spelling).key == "acme"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Nestlé", "Nestle"),
        ("Nestle\u0301", "NESTLÉ"),
        ("H&M", "h & m"),
        ("L'Oréal", "L’OREAL"),
        ("7-Eleven", "7 Eleven"),
        ("Straße", "STRASSE"),
        ("Αύριο", "ΑΎΡΙΟ"),
        ("ソニー", "ｿﾆｰ"),
        (COINED, CYRILLIC_TWIN),
        (ACCENTED, "Welbruck"),
        (NON_LATIN, NON_LATIN.upper()),
        (TWO_WORDS, "harbor_finch"),
        (WITH_SIGN, "P & Q FENNIGAN"),
    ],
    ids=ascii,
)
def test_two_spellings_are_one_name(one: str, other: str) -> None:
    assert parse(one).key == parse(other).key


@pytest.mark.parametrize(
    "form",
    [
        "Inc", "Inc.", ", Inc.", "Corp.", "LLC", "L.L.C.", "Ltd", "Limited", "PLC", "GmbH", "AG",
        "GmbH & Co. KG", "S.A.", "SA", "S.p.A.", "B.V.", "N.V.", "Pty Ltd", "Oyj", "AB", "K.K.",
        "Co., Ltd.", "Sp. z o.o.", "A/S", "a/s", "K/S", "a.s.", "d.d.", "S.Coop", "Comm.V",
    ],
)  # fmt: skip
def test_a_legal_form_at_the_end_is_not_part_of_the_name(form: str) -> None:
    assert parse(f"{COINED} {form}").key == COINED.lower()


@pytest.mark.parametrize("form", ["Inc", "Ltd.", "GmbH", "Corp", "S.A.", "AG"])
def test_a_name_that_is_a_legal_form_keeps_it(form: str) -> None:
    assert parse(form).key == form.replace(".", "").lower()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("X", "x"),
        ("3M", "3m"),
        ("1Password", "1password"),
        ("n8n", "n8n"),
        (DIGITS, "7mund"),
        ("H&M", "handm"),
        ("A+E", "apluse"),
        ("L'Oréal", "loreal"),
        ("Bancorp", "bancorp"),
        ("Яндекс", "яндекс"),
        ("ソニー", "ソニー"),
        ("삼성", "삼성"),
        ("अमूल", "अमूल"),
        (NON_LATIN, NON_LATIN.lower()),
    ],
    ids=ascii,
)
def test_short_digits_signs_and_other_scripts_are_names(name: str, key: str) -> None:
    assert parse(name).key == key


@pytest.mark.parametrize("around", ["{}!", "({})", "«{}»", "{}،", "{}。", "・{}", "¿{}?", "{}।"])
def test_punctuation_around_a_name_is_not_part_of_it(around: str) -> None:
    assert parse(around.format(COINED)).key == COINED.lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\t\n",
        "…",
        "--",
        "&",
        "+",
        "¡!",
        "،",
        "।",
        "・",
        "´",
        "\u1680",
        "\u200b",
        "\u0301",
    ],
    ids=ascii,
)
def test_a_text_without_letter_or_digit_is_no_name(text: str) -> None:
    with pytest.raises(InvalidNameError):
        parse(text)


def test_a_name_may_have_the_full_length_and_no_more() -> None:
    parse("z" * MAX_LENGTH)
    with pytest.raises(InvalidNameError):
        parse("z" * (MAX_LENGTH + 1))


def test_the_error_never_repeats_the_name() -> None:
    with pytest.raises(InvalidNameError) as raised:
        parse(COINED * 40)
    assert COINED not in f"{raised.value!r} {raised.value.lines()} {raised.value.__cause__!r}"


@pytest.mark.parametrize("look_alike", LOOK_ALIKES, ids=ascii)
def test_a_look_alike_letter_within_latin_ones_is_that_letter(look_alike: str) -> None:
    disguised = f"{COINED[:3]}{look_alike}{COINED[3:]}"
    honest = f"{COINED[:3]}{LOOK_ALIKES[look_alike]}{COINED[3:]}"
    assert parse(disguised).key == parse(honest).key


def test_reading_the_look_alikes_imports_no_http_client() -> None:
    code = f"import sys, orgguard_mcp.names as n; print(n.fold({CYRILLIC_TWIN!a}), *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    folded, *modules = done.stdout.split()
    assert folded == fold(CYRILLIC_TWIN) != CYRILLIC_TWIN
    assert "urllib.request" not in modules


@pytest.mark.parametrize("invisible", ZERO_WIDTH, ids=ascii)
def test_an_invisible_character_does_not_split_a_name(invisible: str) -> None:
    assert parse(invisible.join(COINED)).key == COINED.lower()


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("AcmeClient", ["Acme", "Client"]),
        ("AcmeAPIClient", ["Acme", "API", "Client"]),
        ("acme2go", ["acme", "2", "go"]),
        ("ACME", ["ACME"]),
        ("アクメ株", ["アクメ", "株"]),
    ],
    ids=ascii,
)
def test_a_run_falls_into_parts_at_case_digits_and_scripts(run: str, expected: list[str]) -> None:
    assert parts(run) == expected


def test_folding_keeps_case_and_word_breaks() -> None:
    assert fold("Ａｃｍé\u00a0Corp") == "Acme Corp"


# --- laws --------------------------------------------------------------------------------------


@given(st.text(max_size=MAX_LENGTH))
def test_parse_gives_a_key_or_an_invalid_name_error(surface: str) -> None:
    try:
        name = parse(surface)
    except InvalidNameError:
        return
    assert name.surface == surface
    assert WORD.fullmatch(name.key)


@given(st.text(max_size=60))
@example("0\u16800")
def test_a_key_has_no_space_and_no_capital(surface: str) -> None:
    key = canonicalise(surface)
    assert not any(char.isspace() for char in key)
    assert key == key.casefold()


@given(st.text(st.characters(max_codepoint=127), max_size=30))
@example("@_/0")
@example("&")
def test_ascii_text_has_a_key_just_when_it_has_a_letter_or_digit(surface: str) -> None:
    assert bool(canonicalise(surface)) == any(char.isalnum() for char in surface)


@given(small_words, st.sampled_from(["", *GLUED_SUFFIXES]), st.sampled_from(["", *GLUED_SUFFIXES]))
def test_the_key_of_one_word_is_its_own_key(word: str, first: str, second: str) -> None:
    # Several words may join into what ends like a legal form ("Zorblatt In C"), and scripts that
    # were apart may mix: the law holds for a name of one ASCII word.
    key = canonicalise(word + first + second)
    assert canonicalise(key) == key


@given(st.lists(plain_words, min_size=1, max_size=4))
def test_case_and_separators_do_not_matter(words: list[str]) -> None:
    assume("and" not in words)  # dropped from the end
    name = " ".join(words)
    spellings = [name, name.upper(), name.title(), "-".join(words), "_".join(words)]
    assert len({canonicalise(spelling) for spelling in spellings}) == 1


@given(st.text(max_size=30), st.sampled_from(["\u200b", "\u2060", "\u00ad", "\ufeff"]))
def test_zero_width_characters_do_not_matter(name: str, invisible: str) -> None:
    assert canonicalise(invisible.join(name)) == canonicalise(name)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_full_width_does_not_matter(name: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) if c != " " else "\u3000" for c in name)
    assert canonicalise(wide) == canonicalise(name)


@given(plain_words, plain_words)
def test_different_words_keep_different_keys(one: str, other: str) -> None:
    assume(one != other)
    assert canonicalise(one) != canonicalise(other)
