"""Decoding: what an encoded name says is seen, and what only looks encoded says nothing."""

from __future__ import annotations

import base64
import random
import uuid
from pathlib import Path

import pytest

from orgguard_mcp.detect.decode import MAX_DEPTH, MAX_LINE, decodings, joined_literals
from orgguard_mcp.names import WORD, fold
from tests.names import ACCENTED, COINED, COINED_TOO, CYRILLIC_TWIN, NON_LATIN, TWO_WORDS, WITH_SIGN

SEEDS = Path(__file__).parent / "fuzz" / "decode" / "seeds.txt"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def said(line: str) -> list[str]:
    return [decoded.text for decoded in decodings(line)]


def joined(*lines: str) -> list[str]:
    return [decoded.text for _, decoded in joined_literals(list(enumerate(lines, 7)))]


INLINE = {
    "JSON": r'"name": "Zor\u0062latt Corp"',
    "upper case": r'"name": "\u005Aorblatt Corp"',
    "in quotes within a string": r'"{\"name\": \"Zor\\u0062latt Corp\"}"',
    "Java, more than one u": r'"Zor\uu0062latt Corp"',
    "JavaScript": r"'Zor\u{62}latt Corp'",
    "long": r"'Zor\U00000062latt Corp'",
    "by name": r"'Zor\N{LATIN SMALL LETTER B}latt Corp'",
    "hexadecimal": r"$'Zor\x62latt Corp'",
    "Perl": r'"Zor\x{62}latt Corp"',
    "octal": r'"Zor\142latt Corp"',
    "CSS": r'content: "\5a orblatt Corp"',
    "CSS, six digits": r'content: "\00005aorblatt Corp"',
    "PowerShell": '"Zor`u{62}latt Corp"',
    "line feed": r'"\nZorblatt Corp"',
    "two escapes": r'"\t\tZorblatt Corp"',
    "word boundary": r"/\bZorblatt Corp\b/",
    "percent": "q=Zor%62latt%20Corp",
    "percent all": "".join(f"%{byte:02x}" for byte in b"Zorblatt Corp"),
    "percent twice": "q=Zor%2562latt%2520Corp",
    "percent u": "escape('Zor%u0062latt Corp')",
    "query": "https://example.com/?q=Zorblatt+Corp&page=2",
    "decimal entity": "<b>Zor&#98;latt Corp</b>",
    "hex entity": "Zor&#x62;latt Corp",
    "unclosed entity": "&#90orblatt Corp",
    "entity twice": "Zor&amp;#98;latt Corp",
    "entity for a space": "Zorblatt&nbsp;Corp",
    "quoted-printable": "=5A=6Frblatt Corp",
    "encoded word, base64": f"Subject: =?utf-8?B?{b64('Zorblatt Corp')}?=",
    "encoded word, letters": "Subject: =?UTF-8?Q?Zor=62latt_Corp?=",
    "markup": "Zor<b>blatt</b> is Zor<wbr>blatt Corp",
    "comment": "Zor/**/blatt Corp",
    "regular expression": r"zorblatt\.com",
    "escaped slashes": r'"https:\/\/zorblatt\.com\/api"',
}


@pytest.mark.parametrize("line", INLINE.values(), ids=INLINE)
def test_an_escaped_name_is_read(line: str) -> None:
    texts = [fold(text).replace("\xa0", " ").casefold() for text in said(line)]
    assert any(name in text for text in texts for name in ("zorblatt corp", "zorblatt.com"))


LONG = f"{'we sell much to ' * 6}{COINED}"

BLOBS = {
    "base64": b64(f"{COINED} Corp"),
    "one word": b64(COINED),
    "without padding": b64(f"{COINED} Corp").rstrip("="),
    "URL-safe": base64.urlsafe_b64encode(f"{COINED}? {COINED}> Corp".encode()).decode(),
    "data URI": f"data:text/plain;base64,{b64(COINED)}",
    "in a path": f"https://example.com/files/{b64(COINED).rstrip('=')}/index",
    "token": ".".join([b64('{"alg":"HS256"}'), b64(f'{{"iss":"{COINED}"}}'), "c2lnbmF0dXJl"]),
    "MIME": r"\n".join(base64.encodebytes(LONG.encode()).decode().split()),
    "UTF-16": base64.b64encode(COINED.encode("utf-16-le")).decode(),
    "hex": COINED.encode().hex(),
    "hex capitals": COINED.encode().hex().upper(),
    "hex number": f"0x{COINED.encode().hex()}",
    "hex pairs": COINED.encode().hex(" "),
    "hex colons": COINED.encode().hex(":"),
    "codes": f"String.fromCharCode({', '.join(map(str, COINED.encode()))})",
    "hex codes": f"char s[] = {{{', '.join(map(hex, COINED.encode()))}, 0}};",
    "calls": " + ".join(f"chr({code})" for code in COINED.encode()),
    "characters": f"[{', '.join(map(repr, COINED))}].join('')",
}  # fmt: skip


@pytest.mark.parametrize("line", BLOBS.values(), ids=BLOBS)
def test_text_in_a_blob_is_read(line: str) -> None:
    assert any(COINED in text for text in said(line))


@pytest.mark.parametrize("name", [ACCENTED, NON_LATIN, WITH_SIGN, TWO_WORDS], ids=ascii)
def test_names_of_all_kinds_are_read_from_base64_and_hex(name: str) -> None:
    assert said(b64(name)) == [name]
    assert said(f'"{name.encode().hex()}"') == [name]


def test_a_host_in_punycode_is_read() -> None:
    assert said(f"https://{ACCENTED.lower().encode('idna').decode()}.de/") == [
        f"https://{ACCENTED.lower()}.de/"
    ]


def test_a_surrogate_pair_is_one_character() -> None:
    assert said(r'"\ud83d\ude00 \u005aorblatt"') == [f"\U0001f600 {COINED}"]


def test_escaped_bytes_are_utf_8_or_latin_1() -> None:
    assert said(r'"W\xc3\xa9lbr\303\274ck"') == [ACCENTED]
    assert said(r'"W\xe9lbr\xfcck"') == [ACCENTED]


@pytest.mark.parametrize(
    ("line", "how"),
    [
        (r"Zor\u0062latt", "string escapes"),
        ("Zor%62latt", "percent encoding"),
        ("Zor&#98;latt", "HTML entities"),
        (r"Zor\u0062l%61tt", "string escapes, percent encoding"),
        (b64("Zor%62latt%20Industries"), "percent encoding in base64"),
        (b64(b64(f"{COINED} Industries")), "base64"),
        (b64(f"{COINED} Industries".encode().hex()), "hex in base64"),
    ],
)
def test_how_says_which_encodings_were_read(line: str, how: str) -> None:
    assert [d.how for d in decodings(line) if COINED in d.text] == [how]


def test_a_stretch_is_the_phrase_around_the_escape() -> None:
    line = r'{"a": 1, "issuer": "Harbor \u0046inch", "b": 2}'
    [decoded] = decodings(line)
    assert decoded.text == TWO_WORDS
    assert line[decoded.start : decoded.end] == r"Harbor \u0046inch"


def test_a_blob_is_a_stretch_of_its_own() -> None:
    line = f'token = "{b64(COINED)}"  # in base64'
    [decoded] = decodings(line)
    assert line[decoded.start : decoded.end] == b64(COINED)


def test_encodings_around_each_other_are_read_to_a_depth() -> None:
    text = f"{COINED} Industries"
    for _ in range(MAX_DEPTH):
        text = b64(text)
    assert any(COINED in t for t in said(text))
    assert not any(COINED in t for t in said(b64(text)))


ORDINARY = [
    "def request_handler(self, name: str) -> OrganizationRepositoryFactory:",
    r'print("done\n", "tab\t", end="\r")',
    r'C = "C:\nexora\tools"',
    r"\title{On things} \textbf{bold} \begin{note}",
    r"use App\Models\Users\Name;",
    r"^\s+(\d+)\.(\d+)$",
    'x = "%s is %d%% of %20s" % (a, b, c)',
    "n%100 and n%10 == 1",
    "a && b || c &bogus; d",
    "if foobar==1 or barbaz==quux:",
    "total = first+second+third",
    "from package.contrib.contenttypes.models import ContentType",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "sha384-OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb",
    "commit 3f9c2ab4d5e6f708192a3b4c5d6e7f8091a2b3c4",
    "id: 6f1c9a52-9d2e-4b7a-8c3d-1e5f7a9b0c2d",
    "mac 00:1a:2b:3c:4d:5e at 12:34:56 on 192.168.100.101",
    "created_at: 1617235200000, 20240101120000",
    "sizes = [16, 32, 64, 128, 256]",
    'names = ["alpha", "beta", "gamma"]',
    "key_16C7e42F292c6912E7710c838347Ae178B4a and V1StGXR8_Z5jdHi6B-myT",
]  # fmt: skip


@pytest.mark.parametrize("line", ORDINARY, ids=range(len(ORDINARY)))
def test_ordinary_lines_say_nothing_more(line: str) -> None:
    assert said(line) == []
    assert joined(line) == []


RANDOM = {
    "base64, 12 bytes": lambda r: base64.b64encode(r.randbytes(12)).decode(),
    "base64, 20 bytes": lambda r: base64.b64encode(r.randbytes(20)).decode(),
    "base64, 48 bytes": lambda r: base64.urlsafe_b64encode(r.randbytes(48)).decode(),
    "hex, 8 bytes": lambda r: r.randbytes(8).hex(),
    "hex, 20 bytes": lambda r: r.randbytes(20).hex(),
    "hex, 32 bytes": lambda r: r.randbytes(32).hex(),
    "UUID": lambda r: str(uuid.UUID(bytes=r.randbytes(16), version=4)),
    "number": lambda r: str(r.randrange(10**15, 10**16)),
}


@pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)
def test_random_data_practically_never_reads_as_text(make: object) -> None:
    chance = random.Random(20261122)  # noqa: S311  # the same data in every run
    false = sum(bool(said(make(chance))) for _ in range(5000))  # type: ignore[operator]
    assert false <= 1


SPLIT = {
    "beside": ['x = "Zor" "blatt"'],
    "plus": ['"Zor" + "blatt"'],
    "unlike quotes": ["\"Zor\" + 'blatt'"],
    "PHP": ["'Zor' . 'blatt'"],
    "PHP without spaces": ["'Zor'.'blatt'"],
    "Lua": ['"Zor" .. "blatt"'],
    "Visual Basic": ['"Zor" & "blatt"'],
    "SQL": ["'Zor' || 'blatt'"],
    "prefix": ['"Zor" f"blatt"'],
    "shell": ['Zor""blatt'],
    "shell, single": ["Zor''blatt"],
    "three": ['"Zor" + "bla" + "tt"'],
    "parenthesis": ["x = (", '    "Zor"', '    "blatt"', ")"],
    "three lines": ['"Zor"', '"bla"', '"tt"'],
    "operator before": ['"Zor"', '   + "blatt"'],
    "operator behind": ['"Zor" +', '   "blatt"'],
    "backslash": ['"Zor" \\', '    "blatt"'],
    "continued": ['"Zor\\', 'blatt"'],
    "join": ['["Zor", "blatt"].join("")'],
    "Python's join": ['"".join(["Zor", "blatt"])'],
    "concat": ["CONCAT('Zor', 'blatt')"],
    "format": ['"{}{}".format("Zor", "blatt")'],
    "f-string": ["f\"{'Zor'}blatt\""],
    "template": ['`${"Zor"}blatt`'],
    "template, behind": ['`Zor${"blatt"}`'],
    "comment": ['# "Zor" +', '# "blatt"'],
    "encoded": [f'"{b64(COINED + " Industries")[:9]}"', f'"{b64(COINED + " Industries")[9:]}"'],
    "escaped": [r'"Zo\u0072" + "blatt"'],
}


@pytest.mark.parametrize("lines", SPLIT.values(), ids=SPLIT)
def test_a_split_literal_is_read_as_one(lines: list[str]) -> None:
    assert any(COINED in text for text in joined(*lines))


WHOLE = {
    "list": ['["Zor", "blatt"]'],
    "pairs": ['{"Zor": "blatt"}'],
    "join with a comma": ['", ".join(["Zor", "blatt"])'],
    "comparison": ['x = "Zor" if y == "" else "blatt"'],
    "membership": ['x = "Zor" if "." in "blatt"'],
    "statements": ['a = "Zor"', 'b = "blatt"'],
    "comment above": ["# the one called 'Zor'", '"blatt": 1,'],
    "list by lines": ['    "Zor",', '    "blatt",'],
    "docstring": ['"""Zor', 'blatt"""'],
    "RST": ["Make ``Zor`` and ``blatt``."],
    "nothing": ["Zor", "blatt"],
}  # fmt: skip


@pytest.mark.parametrize("lines", WHOLE.values(), ids=WHOLE)
def test_what_is_not_split_is_not_joined(lines: list[str]) -> None:
    assert not any(COINED in text for text in joined(*lines))


def test_literals_join_over_consecutive_lines_only() -> None:
    assert not list(joined_literals([(1, '"Zor"'), (3, '"blatt"')]))


def test_a_literal_over_lines_is_placed_in_its_first() -> None:
    lines = [(4, "x = ("), (5, '    "Zor"'), (6, '    "blatt")')]
    [(number, decoded)] = joined_literals(lines)
    assert (number, decoded.text, decoded.how) == (5, COINED, "split literal")
    assert lines[1][1][decoded.start : decoded.end] == 'Zor"'


@pytest.mark.parametrize(
    "written",
    [
        CYRILLIC_TWIN,
        "Zor\u200bblatt", "Zor\u00adblatt", "Zor\u2060blatt", "\u202aZorblatt\u202c",
        "Ｚｏｒｂｌａｔｔ", "Zor\u034fblatt", "Zo\u0301rblatt",
    ],
    ids=ascii,
)  # fmt: skip
def test_invisible_and_look_alike_letters_are_the_folds_to_see_through(written: str) -> None:
    line = f"we sell to {written} today"
    assert COINED in WORD.findall(fold(line))
    assert said(line) == []


@pytest.mark.parametrize("escape", [r"\u200b", "&shy;", "&#8203;", "%E2%80%8B", r"\xe2\x80\x8b"])
def test_an_escaped_invisible_character_is_read(escape: str) -> None:
    assert any(COINED in fold(text) for text in said(f'"Zor{escape}blatt"'))


def test_a_decoding_is_one_line() -> None:
    [text] = said(b64(f"{COINED} Corp\r\nsells much\n"))
    assert text.splitlines() == [text]


HOSTILE = [
    "\\u", "\\", "%", "%25", "&amp;", "&#", "A", "Aa1", "Zm9vYmFy/", '"', "'\"", '"+', '"a"+',
    "?a=b+", "\\u0041, ", "%41,", "5a6f72", "5a ", "90, ", "'a',", "=41", "=?utf-8?B?", "xn--a ",
    "${'a", "a/*", "a<!--", "a<b>", "\\N{AAAA", "C:\\a\\n", "(chr(9",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_what_a_hostile_line_says_is_bounded(unit: str) -> None:
    line = unit * (20_000 // len(unit))
    assert sum(map(len, said(line))) <= 84 * len(line)
    assert sum(map(len, joined(line))) <= 85 * len(line)


def test_a_bomb_of_nested_base64_is_bounded() -> None:
    bomb = f"{COINED} Industries " * 100
    for _ in range(12):
        bomb = b64(bomb)
    assert sum(map(len, said(bomb))) <= 84 * len(bomb)


def test_a_line_is_read_to_its_limit() -> None:
    filler = "x " * (MAX_LINE // 2 - 100)
    assert said(filler + r"Zor\u0062latt")
    assert not said(filler + "y" * 300 + r"Zor\u0062latt")


def test_what_fuzzing_found_stays_fixed() -> None:
    lines = SEEDS.read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        for decoded in decodings(line):
            assert 0 <= decoded.start < decoded.end <= len(line)
    for number, decoded in joined_literals(list(enumerate(lines))):
        assert 0 <= decoded.start <= decoded.end <= len(lines[number])


def test_a_decoding_that_says_nothing_new_is_not_given() -> None:
    assert said(rf'"{COINED}\u0020\u2014 \"{COINED_TOO}\"\n"') == []
