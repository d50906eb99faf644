"""Decoding, for any name: what one encoding writes, or two around each other, is read again."""

from __future__ import annotations

import base64
import binascii
import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orgguard_mcp.detect.decode import decodings, joined_literals


def each(form: str) -> Callable[[str], str]:
    """Writes every character by *form*."""
    return lambda text: "".join(form.format(ord(char)) for char in text)


def bytewise(form: str) -> Callable[[str], str]:
    """Writes every byte of UTF-8 by *form*."""
    return lambda text: "".join(form.format(byte) for byte in text.encode())


def utf16(text: str) -> str:
    units = text.encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def named(text: str) -> str:
    return "".join(f"\\N{{{unicodedata.name(c)}}}" if unicodedata.name(c, "") else c for c in text)


INLINE: dict[str, Callable[[str], str]] = {
    "utf-16": utf16,
    "code points": each("\\u{{{:x}}}"),
    "long": each("\\U{:08x}"),
    "CSS": each("\\{:06x}"),
    "bytes": bytewise("\\x{:02x}"),
    "octal": bytewise("\\{:03o}"),
    "percent": bytewise("%{:02X}"),
    "percent twice": lambda text: quote(bytewise("%{:02X}")(text)),
    "decimal entities": each("&#{};"),
    "hex entities": each("&#x{:x};"),
    "quoted-printable": bytewise("={:02X}"),
    "encoded word": lambda text: f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?=",
}
BLOBS: dict[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hex": lambda text: binascii.hexlify(text.encode()).decode(),
    "hex pairs": lambda text: text.encode().hex(" "),
    "codes": lambda text: ", ".join(map(str, text.encode())),
    "UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
}
CONTEXTS = ['name = "{}"', "  - {}", '{{"a": "{}", "b": 1}}', "say({}) // x", "<p>{}</p>"]

letters = st.characters(categories=["Lu", "Ll", "Lo", "Nd"])
texts = st.text(letters | st.sampled_from(" &-"), min_size=4, max_size=40).filter(
    lambda text: text[0].isalnum() and text[-1].isalnum() and "  " not in text
)
"""Any name, of any script."""

syllables = st.tuples(st.sampled_from("bdfgklmnprstvz"), st.sampled_from("aeiou")).map("".join)
words = st.lists(syllables, min_size=2, max_size=4).map("".join).map(str.capitalize)
names = st.lists(words, min_size=1, max_size=4).map(" ".join).filter(lambda name: len(name) > 8)
"""A name that reads like one, as blobs must."""


def said(line: str) -> list[str]:
    return [decoded.text for decoded in decodings(line)]


@pytest.mark.parametrize("encode", INLINE.values(), ids=INLINE)
@given(texts, st.sampled_from(CONTEXTS))
def test_any_text_comes_back_from_inline_encodings(
    encode: Callable[[str], str], text: str, context: str
) -> None:
    line = context.format(encode(text))
    assume(text not in line)  # such as "utf-8" in an encoded word
    assert any(text in decoded for decoded in said(line))


@pytest.mark.parametrize("encode", BLOBS.values(), ids=BLOBS)
@given(names, st.sampled_from(CONTEXTS))
def test_any_name_comes_back_from_a_blob(
    encode: Callable[[str], str], name: str, context: str
) -> None:
    assume(encode is not BLOBS["hex"] or not encode(name).isdecimal())  # that reads as a number
    assert any(name in decoded for decoded in said(context.format(encode(name))))


@given(names, st.sampled_from(list(INLINE | BLOBS)), st.sampled_from(list(INLINE | BLOBS)))
def test_any_name_comes_back_from_two_encodings(name: str, inner: str, outer: str) -> None:
    both = INLINE | BLOBS
    once = both[inner](name)
    assume(not once.isdecimal())
    assert any(name in decoded for decoded in said(both[outer](once)))


@given(words, st.lists(st.booleans(), min_size=20, max_size=20), st.sampled_from(CONTEXTS))
def test_escapes_of_some_letters_are_read(name: str, which: list[bool], context: str) -> None:
    assume(any(which[: len(name)]))
    kinds = ["\\u{:04x}", "\\U{:08x}", "\\u{{{:x}}}", "\\x{:02x}", "%{:02x}", "&#{};", "&#x{:x};"]
    pieces = [
        kinds[i % len(kinds)].format(ord(char)) if which[i] else char for i, char in enumerate(name)
    ]
    assert any(name in decoded for decoded in said(context.format("".join(pieces))))


@given(texts)
def test_json_without_unicode_comes_back(text: str) -> None:
    line = json.dumps({"name": text})
    assume(not text.isascii())
    assert any(text in decoded for decoded in said(line))


JOINTS = ['" "', '" + "', "' . '", '" .. "', '" & "', "' || '", '""', '"\n  "', '" +\n"', '" \\\n"']


@given(words, words, st.sampled_from(JOINTS), st.data())
def test_a_name_split_anywhere_is_joined(
    one: str, other: str, joint: str, data: st.DataObject
) -> None:
    name = one + other
    at = data.draw(st.integers(1, len(name) - 1))
    quote_mark = joint[0]
    written = f"{quote_mark}{name[:at]}{joint}{name[at:]}{quote_mark}"
    lines = list(enumerate(f"x = ({written})".split("\n"), 1))
    assert any(name in decoded.text for _, decoded in joined_literals(lines))


SIGNS = [
    "\\", "\\u", "\\u00", "41", "\\x", "\\N{", "}", "{", "%", "%41", "%25", "&", "&#", "&amp;", ";",
    "=?", "utf-8?", "B?", "?=", "=41", "xn--", "=", "+", "?a=", '"', "'", "`", " ", ",", "\n",
    "Zm9v", "YmFy", "5a6f72", "5a ", "0x5a", "90", ", ", "chr(", ")", "'a'", ".", "..", "||", "${",
    "join('')", "concat(", "/*", "*/", "<b>", "</b>", "<!--", "-->", "A", "é", "\u200b", "\ud800",
]  # fmt: skip


@given(st.text() | st.lists(st.sampled_from(SIGNS), max_size=60).map("".join))
def test_nothing_raises_and_every_stretch_is_in_the_line(text: str) -> None:
    for decoded in decodings(text):
        assert 0 <= decoded.start < decoded.end <= len(text)
        assert decoded.text.splitlines() == [decoded.text]
        assert decoded.how
    lines = text.split("\n")
    for number, decoded in joined_literals(list(enumerate(lines))):
        assert 0 <= decoded.start <= decoded.end <= len(lines[number])
        assert decoded.text.splitlines() == [decoded.text]


@given(st.lists(st.sampled_from(SIGNS), min_size=1, max_size=8).map("".join))
def test_what_a_line_says_grows_with_the_line_alone(unit: str) -> None:
    line = unit * 40
    assert sum(map(len, said(line))) <= 84 * len(line)
