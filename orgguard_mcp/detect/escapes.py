r"""Encodings that stand letter by letter within plain text: escapes, percent encoding, entities.

All of them are read in one pass by one pattern, so that they may be mixed. What surrounds an escape
belongs to its stretch: ``Harbor \u0046inch`` is one name.
"""

from __future__ import annotations

import binascii
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import unquote, unquote_plus

from orgguard_mcp.detect.stretch import LETTER, Decoded, one_line

CONTEXT = 60
"""How much plain text on either side of an escape belongs to its stretch, in characters."""

_RUN = 1000  # escapes in one token: bounds what the regex engine keeps while it matches


_HEX = "[0-9A-Fa-f]"
_TAGS = "b|i|u|em|strong|span|wbr|mark|small|sup|sub"

_TOKEN = re.compile(
    rf"""
      (?P<bytes>   (?:\\+x{_HEX}{{2}}){{1,{_RUN}}} )
    | (?P<utf16>   (?:(?:\\+u+|%u){_HEX}{{4}}){{1,{_RUN}}} )
    | (?P<point>   (?:\\+[uUx]|`u)\{{{_HEX}{{1,8}}\}} | \\+U{_HEX}{{8}} )
    | (?P<named>   \\+N\{{[A-Za-z0-9\x20-]{{2,80}}\}} )
    | (?P<css>     \\+(?:0{{2,4}}{_HEX}{{2,4}}|[4-7]{_HEX}|[4-9]{_HEX}{{3,4}}|1{_HEX}{{4}})
                   (?!{_HEX})\x20? | \\+0{_HEX}{{5}} )
    | (?P<octal>   (?:\\+[0-3][0-7]{{2}}){{1,{_RUN}}} )
    | (?P<gap>     \\+[abdefnrstvw0](?=[{LETTER}]) )
    | (?P<sign>    (?<=[{LETTER}])\\+[.&'+@/:-](?=[{LETTER}]) )
    | (?P<percent> (?!(?<!\w)%[0-9]{{2}}[A-Za-z](?!\w))  # %20s
                   (?:%(?:25){{0,4}}{_HEX}{{2}}){{1,{_RUN}}} )
    | (?P<entity>  &(?:amp;){{0,4}}
                   (?:\#[0-9]{{1,7}};?|\#[xX]{_HEX}{{1,6}};?|[A-Za-z][A-Za-z0-9]{{1,31}};) )
    | (?P<mail>    =\?[\w-]{{2,20}}\?[bBqQ]\?[^?\s]{{1,2000}}\?= )
    | (?P<quoted>  (?:=[0-9A-F]{{2}}){{2,{_RUN}}} )
    | (?P<host>    (?<![{LETTER}])[Xx][Nn]--[A-Za-z0-9-]{{1,59}} )
    | (?P<markup>  (?<=[{LETTER}])
                   (?:</?(?:{_TAGS})\x20?/?>|<!--[^<>]{{0,40}}-->|/\*[^*/]{{0,40}}\*/)
                   (?=[{LETTER}]) )
    """,
    re.VERBOSE,
)  # fmt: skip

_BACKSLASH = re.compile(rf"\\[uUxN0-9.&'+@/:-]|\\[abdefnrstvw](?=[{LETTER}])")
_PERCENT = re.compile(rf"%(?:{_HEX}{{2}}|u{_HEX})")
_AMPERSAND = re.compile("&[#A-Za-z]")
_EQUALS = re.compile(r"=\?[\w-]|=[0-9A-F]{2}=[0-9A-F]{2}")
_PLUS = re.compile(r"[?&][\w.%-]{1,60}=[^\s+]{0,400}\+")
_ANGLE = re.compile("</?[a-z]|<!--")
_DASHES = re.compile("[Xx][Nn]--")


def hinted(line: str) -> bool:
    """A quick look at whether *line* may have an escape: most lines have none.

    A search for one fixed string takes a tenth of a pattern's time, so it comes first.
    """
    return (
        ("\\" in line and _BACKSLASH.search(line) is not None)
        or ("%" in line and _PERCENT.search(line) is not None)
        or ("&" in line and _AMPERSAND.search(line) is not None)
        or ("=" in line and _EQUALS.search(line) is not None)
        or ("+" in line and _PLUS.search(line) is not None)
        or ("<" in line and _ANGLE.search(line) is not None)
        or ("--" in line and _DASHES.search(line) is not None)
        or "/*" in line
        or "`u{" in line
    )


def inline(line: str) -> Iterator[Decoded]:
    """The phrases around inline escapes, with every escape in them read."""
    pieces: list[str] = []
    hows: dict[str, None] = {}
    start = end = 0
    for token in _TOKEN.finditer(line):
        said = _said(token)
        if said is None:
            continue
        at = token.start()
        if not pieces or at - end > 2 * CONTEXT or _STOP.search(line, end, at):
            if pieces:
                yield _phrase(line, pieces, start, end, hows)
            start = _begin(line, end, at)
            pieces, hows, end = [], {}, start
        pieces += line[end:at], said
        hows[_HOW[token.lastgroup or ""]] = None
        end = token.end()
    if pieces:
        yield _phrase(line, pieces, start, end, hows)


_STOP = re.compile(r"""["'`<>()\[\]{},;=|\\\t]""")
"""Where a phrase ends."""

_UP_TO_STOP = re.compile(r"""[^"'`<>()\[\]{},;=|\\\t]{0,60}""")


def _begin(line: str, floor: int, at: int) -> int:
    """Where the phrase begins that has an escape at *at*, not before *floor*."""
    before = _STOP.split(line[max(floor, at - CONTEXT) : at])[-1]
    if len(before) == CONTEXT:
        before = before.partition(" ")[2] or before
    return at - len(before)


def _phrase(line: str, pieces: list[str], start: int, end: int, hows: dict[str, None]) -> Decoded:
    """A stretch with the plain text behind it, as far as it may be the same name."""
    found = _UP_TO_STOP.match(line, end)
    after = found[0] if found else ""
    if len(after) == CONTEXT:
        after = after.rpartition(" ")[0] or after
    text = one_line("".join([*pieces, after]))
    return Decoded(text, start, end + len(after), ", ".join(hows))


def _said(token: re.Match[str]) -> str | None:
    """What one inline token says; None when it is no escape after all."""
    kind = token.lastgroup or ""
    if kind == "gap":
        return " " if _is_gap(token) else None
    try:
        return _READERS[kind](token[0])
    except (ValueError, LookupError, OverflowError):
        return None


_DRIVE = re.compile(r"(?<![A-Za-z])[A-Za-z]:\\+(?:[^\\\s\"']{1,40}\\+){0,8}$")


def _is_gap(token: re.Match[str]) -> bool:
    r"""Whether ``\n`` and the like is an escape, and not ``\title`` or the path ``C:\new``.

    What follows is in a capital, or the escape stands behind a quote, as in a literal.
    """
    line, at = token.string, token.start()
    window = line[max(0, at - 200) : token.end() - 1]
    if not line[token.end()].islower():
        return True
    double = (token.end() - at) % 2  # an even number of backslashes: more likely a path's
    return not double and bool(_QUOTE.search(window)) and not _DRIVE.search(window)


_QUOTE = re.compile("[\"'`/]")


def _bytes_text(raw: bytes) -> str:
    """Bytes that were escaped one by one: UTF-8, else Latin-1, which is Unicode's first 256."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _hex_bytes(token: str) -> str:
    return _bytes_text(bytes(int(pair, 16) for pair in re.findall(f"x({_HEX}{{2}})", token)))


def _octal_bytes(token: str) -> str:
    return _bytes_text(bytes(int(code, 8) for code in re.findall(r"[0-3][0-7]{2}", token)))


def _utf16(token: str) -> str:
    units = "".join(re.findall(f"{_HEX}{{4}}", token))
    return bytes.fromhex(units).decode("utf-16-be", "replace")


def _code_point(token: str) -> str:
    code = int(re.sub(r"[^0-9A-Fa-f]", "", token.lstrip("\\`")), 16)
    return "" if 0xD800 <= code < 0xE000 else chr(code)


def _named(token: str) -> str:
    return unicodedata.lookup(token[token.index("{") + 1 : -1])


def _percent(token: str) -> str | None:
    said = unquote(re.sub("%(?:25)+(?=[0-9A-Fa-f]{2})", "%", token))
    # "n%100" is a sum, and "%1" followed by a zero; nobody escapes a control character.
    return None if _CONTROL.search(said) else said


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _entity(token: str) -> str | None:
    said = html.unescape(re.sub("&(?:amp;)+(?=.)", "&", token))
    return said if said != token else None


def _encoded_word(token: str) -> str:
    """RFC 2047, section 2."""
    _, charset, encoding, text, _ = token.split("?")
    binary = binascii.a2b_base64(text) if encoding in "bB" else binascii.a2b_qp(text, header=True)
    return binary.decode(charset, "replace")


def _quoted_printable(token: str) -> str | None:
    said = _bytes_text(binascii.a2b_qp(token))
    return said if said.isprintable() else None


def _idna(token: str) -> str | None:
    said = token.encode("ascii").decode("idna")
    return said if said != token.lower() else None


_READERS: dict[str, Callable[[str], str | None]] = {
    "bytes": _hex_bytes,
    "utf16": _utf16,
    "point": _code_point,
    "named": _named,
    "css": _code_point,
    "octal": _octal_bytes,
    "sign": lambda token: token[-1],
    "percent": _percent,
    "entity": _entity,
    "mail": _encoded_word,
    "quoted": _quoted_printable,
    "host": _idna,
    "markup": lambda _: "",
}

_HOW: dict[str, str] = dict.fromkeys(
    ["bytes", "utf16", "point", "named", "css", "octal", "gap", "sign"], "string escapes"
) | {
    "percent": "percent encoding",
    "entity": "HTML entities",
    "mail": "encoded word",
    "quoted": "quoted-printable",
    "host": "punycode",
    "markup": "markup",
}

_QUERY = re.compile(r"""(?<=[?&])[\w.%-]{1,60}=([^\s"'<>&\#]{1,400})""")


def queries(line: str) -> Iterator[Decoded]:
    """Values of URL queries, in which a plus is a space."""
    if "+" not in line or "=" not in line:
        return
    for value in _QUERY.finditer(line):
        if "+" in value[1]:
            yield Decoded(one_line(unquote_plus(value[1])), *value.span(1), "percent encoding")
