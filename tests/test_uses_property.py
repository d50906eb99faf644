"""The fast ways through a text find what the plain patterns find that say what is meant."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from orgguard_mcp import lexicon, terms, uses
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
    rf"(?:[ \t]{{1,2}}(?:(?:{'|'.join(terms.SMALL)}) )*"
    r"[A-Z0-9][^\W_]*(?:['\u2019][^\W_]+)*){1,5}"
)
QUOTED_HOST = re.compile(rf"[\"'`]((?:[a-z0-9-]+\.)*[a-z0-9-]{{2,}}\.(?:{uses.TLDS}))(?=[\"'`/:])")
CREDENTIAL = re.compile(
    r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)_(?:API_(?:KEY|TOKEN|BASE|SECRET|URL|HOST|VERSION)"
    r"|(?:ACCESS|AUTH|BEARER|BOT)_TOKEN|CLIENT_SECRET|WEBHOOK_(?:URL|SECRET)|ACCOUNT_SID)\b"
)
SIGNED = ('"', "'", "`", "/", ":", ".", ".io", ".org", "x", "b-c", "2", "_", "A", "FOO", "_API_KEY",
          "_API", "_TOKEN", "_ACCESS", "_CLIENT_SECRET", " ", "\n", "$", "{", "é")  # fmt: skip
ENCODED = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{22,}={0,2}")
RUN_BEFORE = re.compile(r"([^\W_]{1,40}) ?\Z")
RUN_AFTER = re.compile(r" ?([^\W_]{1,40})")


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
    assert terms.phrases(text) == set(PHRASE.findall(text))


@example(["class", "  ", "Target", "\n", "type", "\n", "\t", "Linear", " ", "class", " ", "Block"])
@given(TEXTS)
def test_definitions_and_accents(pieces: list[str]) -> None:
    text = "".join(pieces)
    defined = {match.start("name") for match in DEFINITION.finditer(text)
               if lexicon.needs_distinction(match["name"].lower())}  # type: ignore[arg-type]  # fmt: skip
    assert {at for use, _, at in uses.uses(text) if use is Use.DEFINED} == defined
    assert [m.span() for m in uses._ACCENTED.finditer(text)] == [
        m.span() for m in ACCENTED.finditer(text)
    ]


@example("\"x.io' `b-c.x.org/ 'b-c.io.io: \"x..io' '.org' \"b-c\".org' '" + 40 * "b-c." + "io'")
@example("xFOO_API_KEY A_API_CLIENT_SECRET FOO_API_KEY_2 A_ACCESS_TOKEN{ FOO__API_KEY 2_BOT_TOKEN")
@given(st.lists(st.sampled_from(SIGNED), max_size=14).map("".join))
def test_quoted_hosts_and_credentials(text: str) -> None:
    expected = {
        use for match in QUOTED_HOST.finditer(text) for use in uses._host(match[1], match.start(1))
    }
    for match in CREDENTIAL.finditer(text):
        if not uses._TEMPLATE.match(text, match.end()):
            expected |= set(uses._telling(Use.NAMED, match[1], match.start(1)))
    assert set(uses.named(text)) == expected


@example("+".join(["aB1"] * 9) + "== " + "x" * 30 + "\u00e9" + "1a" * 15 + "=")
@given(st.text("aB1+/_-= \n\u00e9", max_size=120))
def test_what_is_encoded(text: str) -> None:
    def blank(run: re.Match[str]) -> str:
        return " " * len(run[0]) if terms.looks_encoded(run[0]) else run[0]

    assert terms.without_encoded(text) == ENCODED.sub(blank, text)


@example("y" * 2000 + "\n" + "y" * 2001 + "\n" + "y" * 2000)
@example("y" * 2000 + "\n" + "y" * 2000)
@given(st.lists(st.sampled_from(["\n" * 9, "y" * 1990, "y" * 9, "y", "\n"]), max_size=9))
def test_long_lines(pieces: list[str]) -> None:
    text = "".join(pieces)
    lines = ["" if len(line) > terms.MAX_LINE else line for line in text.split("\n")]
    assert terms._without_long_lines(text) == "\n".join(lines)


@example("a" * 45 + "-" + "b" * 45)
@given(st.text("aB1_- &+'\u2019\u00e9\n", max_size=20))
def test_links(text: str) -> None:
    expected = set()
    for pattern, spoken in terms._LINKED:
        for match in pattern.finditer(text):
            left = RUN_BEFORE.search(text[: match.start()])
            right = RUN_AFTER.match(text, match.end())
            if left and right and not (spoken and left[1][0].islower()):
                expected.add((left[1], spoken, right[1]))
    assert terms.links(text) == expected
