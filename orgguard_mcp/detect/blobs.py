"""Text in base64, hex or character codes: found, and told from hashes, keys and other data.

A blob is taken for text only if it is *plausible*: valid UTF-8 (or UTF-16), printable throughout,
and in words. The shorter it is, the more of it must be words: see `plausible`. How often
random data passes is said there, and measured by ``bench/decode.py``.
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple


class Blob(NamedTuple):
    """A stretch of a line from `start` to `end` that decodes to `text`.

    `readable` says whether that is text for people; else it is printable at least, and may be
    encoded in turn.
    """

    text: str
    start: int
    end: int
    how: str
    readable: bool


_LONG_RUN = re.compile("(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{11}")
_LONG_RUNS = re.compile("[A-Za-z0-9+/_-]{11,}")
_SWITCH = re.compile("[a-z0-9][A-Z0-9]|[0-9A-Fa-f]{12}")
"""What a run of base64 or hex has somewhere, and most identifiers and paths have not."""

_PADDED = re.compile(r"[A-Za-z0-9+/]{6}==?(?![A-Za-z0-9_(\[{])")
_CODE_LIST = re.compile(
    r"[2-9][0-9A-Fa-f][ :][0-9A-Fa-f]{2}[ :]|[0-9][0-9A-Fa-f](?:\)?\s?,|\)\s?[+.&|])"
)
_CHARACTER_LIST = re.compile(r"""(["'])[^"'\\]\1\s?,\s?\1[^"'\\]\1\s?,""")


def hinted(line: str) -> bool:
    """A quick look at whether *line* may have a blob."""
    return _has_run(line) or _has_list(line)


def _has_run(line: str) -> bool:
    if _LONG_RUN.search(line) and _SWITCH.search(line):
        if any(map(_SWITCH.search, _LONG_RUNS.findall(line))):
            return True
    return "=" in line and _PADDED.search(line) is not None


def _has_list(line: str) -> bool:
    if _CODE_LIST.search(line):
        return True
    listed = "','" in line or '","' in line or "', '" in line or '", "' in line
    return listed and _CHARACTER_LIST.search(line) is not None


def blobs(line: str) -> Iterator[Blob]:
    """Every stretch of *line* that is text in base64, hex or character codes."""
    if _has_run(line):
        for run in _RUN.finditer(line):
            found = _remembered(run[0]) if len(run[0]) <= _SHORT else _from_run(run[0], 0)
            for blob in found:
                yield blob._replace(start=run.start() + blob.start, end=run.start() + blob.end)
    if _has_list(line):
        yield from _from_lists(line)


# --- base64 and hex ---------------------------------------------------------------------------

_BREAK = r"(?:\\r)?(?:\\n|[ ])"
_RUN = re.compile(
    rf"(?:[A-Za-z0-9+/]{{60,76}}{_BREAK})*[A-Za-z0-9+/_-]{{11,}}={{0,2}}"  # with MIME's line ends
    r"|(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/]{6,7}={1,2}"
)
_SEGMENT = re.compile(r"[A-Za-z0-9+]{11,}={0,2}")
_HEX = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2}){6,})")
_SHORT = 80  # characters of a run of which it is remembered what it says: paths repeat
_DIGITS = 20  # a number of so many digits is an identifier or a time
_URL_SAFE = str.maketrans("-_", "+/")
_SEPARATOR = re.compile("[/_-]")
_LAST = {2: "AQgw", 3: "AEIMQUYcgkosw048"}
"""The last letters that an encoder writes: the bits that it has no use for are empty."""

_CARRIER = 8  # bytes of text that is encoded in turn
_START = re.compile("[I-Za-ew-z0-8]")
"""How base64 of text begins: its first byte is no control character and none from the middle of a
character. Many identifiers are out by this."""


@lru_cache(maxsize=1 << 13)
def _remembered(run: str) -> tuple[Blob, ...]:
    return tuple(_from_run(run, 0))


def _from_run(run: str, at: int) -> Iterator[Blob]:
    """The text of a run of base64's letters: of all of it, else of what stands between slashes and
    dashes, for a path is such a run too.
    """
    whole = _decode(run, at)
    if whole:
        yield whole
    if not (whole and whole.readable) and _SEPARATOR.search(run):
        for segment in _SEGMENT.finditer(run):
            if segment[0] != run and (blob := _decode(segment[0], at + segment.start())):
                yield blob


def _decode(run: str, at: int) -> Blob | None:
    if hexadecimal := _HEX.fullmatch(run):
        if hexadecimal[1].isdecimal() and len(hexadecimal[1]) <= _DIGITS:
            return None
        return _blob(bytes.fromhex(hexadecimal[1]), at, at + len(run), "hex")
    if not _START.match(run) or not _SWITCH.search(run):
        return None
    bare = re.sub(_BREAK, "", run).rstrip("=").translate(_URL_SAFE)
    rest = len(bare) % 4
    if rest == 1 or (rest and bare[-1] not in _LAST[rest]):
        return None
    raw = binascii.a2b_base64(bare + "=" * (-rest % 4))
    return _blob(raw, at, at + len(run), "base64")


def _blob(raw: bytes, start: int, end: int, how: str) -> Blob | None:
    if text := plausible(raw):
        return Blob(text, start, end, how, readable=True)
    carried = _decoded(raw) if len(raw) >= _CARRIER else None
    if carried and carried.isascii() and carried.isprintable():
        return Blob(carried, start, end, how, readable=False)
    return None


# --- lists ------------------------------------------------------------------------------------

_CODE = r"(?:0[xX][0-9A-Fa-f]{2}|[1-9][0-9]{1,2})"
_CALL = r"(?:[Cc][Hh][Aa]?[Rr]\()?"
_CODES = re.compile(
    rf"(?<![\w.]){_CODE}(?:(?:\s?,|\)\s?[+.&|,]{{1,2}})\s?{_CALL}{_CODE}){{4,}}(?![\w.])"
)
_PAIRS = re.compile(
    r"(?<![0-9A-Fa-f:])[0-9A-Fa-f]{2}([ :])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4,}(?![0-9A-Fa-f:])"
)
_CHARACTERS = re.compile(r"""(["'])[^"'\\]\1(?:\s?,\s?\1[^"'\\]\1){3,}""")


def _from_lists(line: str) -> Iterator[Blob]:
    for codes in _CODES.finditer(line):
        values = [int(code, 0) for code in re.findall(_CODE, codes[0])]
        if max(values) < 0x100 and (blob := _blob(bytes(values), *codes.span(), "character codes")):
            yield blob
    for pairs in _PAIRS.finditer(line):
        raw = bytes.fromhex(pairs[0].replace(":", " "))
        if blob := _blob(raw, *pairs.span(), "hex"):
            yield blob
    for characters in _CHARACTERS.finditer(line):
        text = "".join(re.findall(r"""["'](.)["']""", characters[0]))
        yield Blob(text, *characters.span(), "characters", readable=True)


# --- plausible text ---------------------------------------------------------------------------

_FOREIGN = 9  # bytes of a name in another script than Latin
_SHORT, _LONG = 12, 24  # bytes; printable throughout is proof enough of more: (95/256)**24 is 5e-11
_WORD = r"(?=[A-Za-z]{0,20}[AEIOUYaeiouy])(?:[A-Z]?[a-z]{2,}|[A-Z]{3,}(?![a-z]))"
_WORDS = re.compile(rf"{_WORD}|[^\W\d_A-Za-z]{{2,}}")
_FIRST = r"(?=[A-Za-z]{0,20}[AEIOUYaeiouy])(?:[A-Z][a-z]{2,}|[a-z]{3,}|[A-Z]{3,}(?![a-z]))"
_NEXT = r"(?:[ .,'&@/_-]{1,2}[A-Za-z]{1,12}|[A-Z][a-z]{2,})"
_NAME = re.compile(rf"(?:[0-9]{{1,2}}|[A-Z][&.]){{0,2}}{_FIRST}{_NEXT}{{0,3}}[0-9.]?")
_SPACES = str.maketrans("\t\n\r\x0b\x0c\u00a0\u3000\u200b\u200c\u200d\u00ad\ufeff", " " * 12)
_STROKES = str.maketrans("øØłŁßđĐæÆœŒıþÞ", "oOlLsdDaAoOitT")  # Unicode does not take them apart
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "KATAKANA-HIRAGANA", "IDEOGRAPHIC")


def plausible(raw: bytes) -> str | None:
    """*raw* as text, if it reads like text that people wrote; else None.

    Short text has to look like a name all over, longer text to be in words for the greater part,
    and long text, JSON for one, for a quarter; in few scripts, and with a vowel in every word.

    Of 200,000 random values each, none passed in base64 of 9 bytes or more, in hex of 8 or more, or
    as a number; 3 UUIDs did (their last group is 6 bytes), 9 MAC addresses, 10 lists of six small
    numbers, and 52 of base64 with ``=`` that has 4 or 5 bytes.
    """
    text = _decoded(raw)
    if not text or not text.translate(_SPACES).isprintable():
        return None
    if not text.isascii() and not _coherent(text):
        return None
    plain = _unaccented(text)
    if len(raw) < _FOREIGN or (len(raw) < _SHORT and re.search("[A-Za-z]", plain)):
        return text if _NAME.fullmatch(plain) else None
    words = sum(map(len, _WORDS.findall(plain)))
    return text if words >= (0.25 if len(raw) >= _LONG else 0.6) * len(plain) else None


def _decoded(raw: bytes) -> str | None:
    try:
        if len(raw) >= 8 and not any(raw[1::2]):
            return raw.decode("utf-16-le")
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _unaccented(text: str) -> str:
    """*text* without the accents of European letters, which are below U+0180."""
    if text.isascii():
        return text
    composed = unicodedata.normalize("NFC", text).translate(_STROKES)
    return "".join(unicodedata.normalize("NFKD", c)[0] if c < "\u0180" else c for c in composed)


def _coherent(text: str) -> bool:
    """Whether the letters of *text* are of one script, or of Latin and one other in a longer text,
    as chance would not have them.
    """
    letters = {char for char in text[:500] if char.isalpha()}
    scripts = {unicodedata.name(char, "?").split()[0] for char in letters}
    scripts = {"CJK" if script in _EAST_ASIAN else script for script in scripts}
    foreign = scripts - {"LATIN"}
    if not foreign:
        return True
    size = len(text.encode("utf-8", "replace"))
    enough = size >= (_FOREIGN if len(scripts) == 1 else _LONG)
    return enough and len(foreign) == 1
