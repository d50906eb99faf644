"""Mentions: what in a text is the whole name, and what only has its letters."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgguard_mcp import lexicon
from orgguard_mcp import mentions as module
from orgguard_mcp.mentions import Mention, mentions
from orgguard_mcp.names import PART, WORD, NameKey, fold, parse
from orgguard_mcp.terms import (  # fmt: skip
    MAX_KEY,
    MAX_LINE,
    MAX_RUN,
    looks_encoded,
    phrase_keys,
    readable,
    span_keys,
    spellings,
    word_keys,
)
from orgguard_mcp.uses import Use, uses
from tests.names import ACCENTED, COINED, CYRILLIC_TWIN, DIGITS, NON_LATIN, TWO_WORDS, WITH_SIGN


def lines(text: str, name: str) -> list[int]:
    """The lines that mention *name*, cut into words as an index of the text alone would."""
    indexed = {key for key in word_keys(text) if len(key) > 2 or key in lexicon.LINKS}
    cuts = lexicon.splits(parse(name).key, indexed.__contains__)
    return [mention.line for mention in mentions(text, parse(name).key, cuts)]


def named(text: str) -> set[tuple[Use, str]]:
    return {(use, key) for use, key, _ in uses(text)}


@pytest.mark.parametrize(
    "text",
    [
        "AcmeClient", "acme_client", "ACME_API_KEY", "acme-sdk", "api.acme.com", '"Acme Corp"',
        "acmecorp", "getAcme()", "ACMEClient", "@acme/x", "acme2", "x.acme", "Acme's", "Ａｃｍｅ",
        "Ac\u200bme", "Асме", "import acme",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_whole_name_is_a_mention(text: str) -> None:
    assert lines(text, "Acme") == [1]
    assert not word_keys(text).isdisjoint(spellings(parse("Acme").key))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ConfigManager", "Figma"),
        ("OpenAILikeAnthropic", "Ikea"),
        ("Kubernetes", "Uber"),
        ("oraclegovcloud", "Lego"),
        ("CostCompiler", "Costco"),
        ("search the architecture", "Arc"),
        ("bath and mats", "H&M"),
        ("acmeology, pacme and ACMEX", "Acme"),
        ("if we work on it", "WeWork"),
        ("the harbor finch sings", TWO_WORDS),
    ],
    ids=lambda value: value,
)
def test_a_substring_or_prose_is_no_mention(text: str, name: str) -> None:
    assert lines(text, name) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("as L'Oréal said", "L'Oréal"),
        ("as L’Oreal said", "L'Oréal"),
        ("LOREAL_API_KEY", "L'Oréal"),
        ("buy at H&M today", "H&M"),
        ("H&amp;M", "H&M"),
        ("3M tape", "3M"),
        ("n8n", "n8n"),
        ("see We Work there", "WeWork"),
        ("we_work", "WeWork"),
        ("HarborFinch", TWO_WORDS),
        ("harbor-finch", TWO_WORDS),
        ("at Harbor Finch", TWO_WORDS),
        (f"at {WITH_SIGN}", WITH_SIGN),
        (f"at {ACCENTED}", ACCENTED),
        (f"at {CYRILLIC_TWIN}", COINED),
        (f"at {NON_LATIN}.", NON_LATIN),
        (f"{DIGITS}Client", DIGITS),
        ("books by O'Reilly Media", "O'Reilly Media"),
        ("shops of H&M Group", "H&M Group"),
    ],
    ids=ascii,
)
def test_signs_digits_scripts_and_several_words_are_found(text: str, name: str) -> None:
    assert lines(text, name) == [1]


@pytest.mark.parametrize("name", ["H&M", "A+E", "L'Oréal", "L’Oréal", WITH_SIGN.split()[0]])
def test_the_index_has_a_name_that_a_sign_joins(name: str) -> None:
    assert parse(name).key in word_keys(f"buy at {name} today")


@pytest.mark.parametrize(
    ("text", "distinct"),
    [
        ("bestbuy", True),
        ('x = "BestBuy"', True),
        ("sold at BestBuy", True),
        ("BestBuy()", False),
        ("best_buy", False),
        ("the BestBuy", False),
    ],
)
def test_the_form_shows_whether_words_are_a_name(text: str, distinct: bool) -> None:
    key = parse("Best Buy").key
    assert list(mentions(text, key, [("best", "buy")])) == [Mention(1, distinct)]


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"x\nacme\n\nacme", [2, 4]),
        (b"x\r\nacme\r\n\r\nacme", [2, 4]),
        ("é\nacme é".encode("latin-1"), [2]),
        ("é\nacme".encode("utf-16"), [2]),
        ("\ufeffé\nacme".encode("utf-16-be"), [2]),
        (b"\xef\xbb\xbfacme", [1]),
        (b"z" * (MAX_LINE + 1) + b"\nacme", [2]),
        (b"acme," * MAX_LINE + b"\nx", []),
        (b"", []),
    ],
    ids="lf crlf latin-1 utf-16-le utf-16-be bom after-minified minified empty".split(),
)
def test_lines_are_counted_in_every_encoding(data: bytes, found: list[int]) -> None:
    text = readable(data)
    assert text is not None
    assert lines(text, "Acme") == found


def test_a_file_with_nul_bytes_is_binary() -> None:
    assert readable(b"acme\0acme") is None


@pytest.mark.parametrize("size", [16, 32, 48, 200])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.b16encode])
def test_encoded_bytes_establish_nothing(encode: Callable[[bytes], bytes], size: int) -> None:
    data = random.Random(size)  # noqa: S311  # the same bytes every time
    for _ in range(40):
        text = readable(b'"' + encode(data.randbytes(size)) + b'"')
        assert text is not None
        assert {key for key in word_keys(text) if len(key) > 3} == set()


@pytest.mark.parametrize("unit", ["A", "a", "a.", "A_", "a'", "A&", "é"])
def test_a_hostile_line_is_read_in_linear_time(unit: str) -> None:
    text = "\n".join([unit * (MAX_LINE // len(unit))] * 10)
    started = time.process_time()
    word_keys(text)
    list(uses(text))
    list(mentions(text, parse(COINED).key))
    assert time.process_time() - started < 0.3


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("paid at Best Buy today", "Best Buy"),
        ('"Home Depot"', "Home Depot"),
        ("Bank of the West pays", "Bank of the West"),
        ("the HarborFinch Pro plan", f"{TWO_WORDS} Pro"),
        ("met Wendy's Old Mill staff", "Wendy's Old Mill"),
    ],
)
def test_the_index_has_capitalised_ordinary_words_as_one_name(text: str, name: str) -> None:
    key = parse(name).key
    assert key in word_keys(text) | phrase_keys(text)


@pytest.mark.parametrize("text", ["the best buy today", "best_buy = 1", "Best, Buy", "Best\nBuy"])
def test_ordinary_words_that_are_no_phrase_make_no_key(text: str) -> None:
    assert "bestbuy" not in word_keys(text) | phrase_keys(text)


# --- uses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("https://target.com/x", Use.NAMED),
        ("https://docs.target.co.uk", Use.NAMED),
        ("host = 'api.target.io'", Use.NAMED),
        ("mail bob@target.com", Use.NAMED),
        ("from '@target/sdk'", Use.NAMED),
        ("github.com/target/x", Use.NAMED),
        ("TARGET_API_KEY", Use.NAMED),
        ("TARGET_WEBHOOK_SECRET", Use.NAMED),
        ("Target, Inc.", Use.NAMED),
        ("Target LLC", Use.NAMED),
        ("we ship to Target, too", Use.PROPER),
        ("paid at Target.", Use.PROPER),
        ('name: "Target"', Use.PROPER),
        ("vendor = 'Target'", Use.PROPER),
        ("class Target:", Use.DEFINED),
        ("interface Target {", Use.DEFINED),
    ],
)
def test_an_ordinary_word_is_used_as_a_name_or_defined(text: str, use: Use) -> None:
    assert (use, "target") in named(text)


@pytest.mark.parametrize(
    "text",
    [
        "target = 1", "self.target.com()", "Target", "hit the Target now", "make a new Target now",
        'x: "Target"', "on target", "target llc", "TARGET_DIR", "make target.so", "retarget.com",
    ],
)  # fmt: skip
def test_an_ordinary_word_that_only_occurs_is_no_use(text: str) -> None:
    assert "target" not in {key for use, key in named(text)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("paid by Block, Inc.", {"block"}),
        ("nestle in", set()),
        (f"https://{COINED}.com", set()),
    ],
)
def test_only_words_need_a_use(text: str, found: set[str]) -> None:
    assert {key for _, key in named(text)} == found


def test_a_use_stands_where_its_offset_says() -> None:
    text = "see\nhttps://target.com, paid at Target."
    assert {text[at : at + 6] for _, _, at in uses(text)} == {"target", "Target"}


# --- laws --------------------------------------------------------------------------------------

near_code = st.text(
    st.sampled_from("acmeACMEzorb019_-.&+'’ \n\r\t/@:,(éаßア株ｱﬁ①\u0301\u200b\u3000"), max_size=50
)
any_text = st.text(max_size=50) | near_code


@given(any_text)
def test_no_text_raises(text: str) -> None:
    for key in {*word_keys(text), *span_keys(text)}:
        assert key
        assert key == key.casefold()
    for use, key, at in uses(text):
        assert use in Use
        assert key
        assert 0 <= at < len(text)
    for mention in mentions(text, parse(COINED).key, [("zor", "blatt")]):
        assert 1 <= mention.line <= text.count("\n") + 1


@given(st.binary(max_size=200))
def test_no_bytes_raise_and_lines_keep_their_number(data: bytes) -> None:
    text = readable(b"#\n" + data)
    assert text is None or text.startswith("#\n")
    if text is not None and data.isascii():
        assert text.count("\n") == data.count(b"\n") + 1


@given(any_text)
def test_the_index_has_every_key_that_is_mentioned_within_a_run(text: str) -> None:
    runs = WORD.findall(fold(text))
    indexed = word_keys(text)
    for run in runs:
        if len(run) > MAX_RUN or looks_encoded(run):
            continue  # the index leaves these out: it may hide a name, never establish one
        pieces = [piece.casefold() for piece in PART.findall(run)]
        for start in range(len(pieces)):
            for end in range(start + 1, min(start + 6, len(pieces)) + 1):
                key = NameKey("".join(pieces[start:end]))
                assert list(mentions(text, key))
                assert len(key) > MAX_KEY or not indexed.isdisjoint(spellings(key))


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12), st.integers(0, 5))
def test_a_name_on_a_line_of_its_own_is_mentioned_on_that_line(word: str, before: int) -> None:
    text = "\n" * before + word
    assert [mention.line for mention in mentions(text, NameKey(word))] == [before + 1]
    assert word in word_keys(text)


in_pieces = st.lists(
    st.tuples(
        st.sampled_from(["", "é ", "the "]),
        st.sampled_from("harbor Harbor HARBOR h'arbor h’arbor ｈárbor".split()),
        st.sampled_from("_ - . ' ’ :: & &amp; and _and_ And ( é ١ ?".split())
        | st.sampled_from(["", " ", " & ", "\n"]),
        st.sampled_from("finch Finch FINCH finc'h finc’h ﬁnch".split()),
    ).map("".join),
    max_size=4,
).map("\n".join)


@given(in_pieces, st.sampled_from([("harbor", "finch"), ("harbor", "and", "finch")]))
def test_no_line_is_missed_that_a_net_over_all_lines_would_catch(
    text: str, cut: tuple[str, ...]
) -> None:
    key = NameKey("".join(cut))
    net = module._pattern(key, (cut,), True)
    caught = []
    for number, line in enumerate(text.split("\n"), 1):
        folded = fold(line)
        spelled = f"{line.encode('ascii', 'replace').decode().lower()} {folded.casefold()}"
        tokens = list(module._tokens(folded.replace("&amp;", "&")))
        windows = module._windows(folded.replace("&amp;", "&"), tokens, spellings(key))
        if net.search(spelled) and any(windows):
            caught.append(number)
    assert sorted(mention.line for mention in mentions(text, key, [cut])) == caught
