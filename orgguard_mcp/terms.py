"""From a text to the terms that the index keeps of it: keys of its words and phrases.

Pure functions. Machine-made stretches are blanked before: what nobody wrote is no name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

from orgguard_mcp.names import GLUED_SUFFIXES, WORD, NameKey, fold, parts

MAX_LINE = 2000
"""A longer line is machine-made (minified, serialised): it establishes nothing."""

MAX_RUN = 80
"""A longer run of letters and digits is no identifier."""

MAX_KEY = 48
MAX_PARTS = 6
"""Neighbouring sub-tokens that are joined to one key."""

ENCODED_SIZE = 16
_ENCODING = bytes(
    ord("x" if char in "+/_-" or (char.isascii() and char.isalnum()) else " ")
    for char in map(chr, range(256))
)
"""For `bytes.translate`: which bytes base64, hex and the like are written in."""

_LONG_RUN = b"x" * 22
SWITCHES = 0.28
"""Sub-tokens per character above which a run of that size is encoded; camelCase has 0.1-0.2."""


Link = tuple[str, str, str]
"""A run, how the sign after it is read aloud, and the next run."""


# --- reading --------------------------------------------------------------------------------


def readable(data: bytes) -> str | None:
    """*data* as text with its machine-made stretches blanked, or None for a binary file.

    Lines keep their numbers.
    """
    text = decoded(data)
    return None if text is None else without_encoded(_without_long_lines(text))


def decoded(data: bytes) -> str | None:
    """*data* as text, or None for a binary file: UTF-8, UTF-16 with a byte-order mark, else
    Latin-1, which never fails.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:8192]:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _without_long_lines(text: str) -> str:
    if not _has_long_line(text):
        return text
    return "\n".join("" if len(line) > MAX_LINE else line for line in text.split("\n"))


def _has_long_line(text: str) -> bool:
    """Looks for a line feed in every so many characters, not for all of them."""
    start = 0
    while len(text) - start > MAX_LINE:
        start = text.rfind("\n", start, start + MAX_LINE + 1) + 1
        if not start:
            return True
    return False


def without_encoded(text: str) -> str:
    """*text* with base64, hex and the like blanked."""
    kept, done = [], 0
    for start, end in _long_runs(text):
        if looks_encoded(text[start:end]):
            kept += [text[done:start], " " * (end - start)]
            done = end
    return "".join([*kept, text[done:]]) if kept else text


def _long_runs(text: str) -> Iterator[tuple[int, int]]:
    """Where base64 and the like may stand: runs of its characters, then up to two signs that fill
    them up. Such a run is looked for among bytes that are of it or not, many times faster than by
    a pattern that is tried at each character.
    """
    shape = text.encode("ascii", "replace").translate(_ENCODING)
    start = shape.find(_LONG_RUN)
    while start >= 0:
        end = shape.find(b" ", start)
        end = len(shape) if end < 0 else end
        yield start, end + len(text[end : end + 2]) - len(text[end : end + 2].lstrip("="))
        start = shape.find(_LONG_RUN, end)


def looks_encoded(run: str) -> bool:
    """Whether *run* is base64, hex or the like rather than words: it changes kind too often."""
    return len(run) >= ENCODED_SIZE and _is_encoded(run, parts(run))


def _is_encoded(run: str, pieces: list[str]) -> bool:
    return len(run) >= ENCODED_SIZE and len(pieces) > SWITCHES * len(run)


# --- words: what the index keeps --------------------------------------------------------------

_LINKED = (
    # Each begins with its sign, which a search finds fast; what stands before it comes second.
    (re.compile(r"&(?:amp;)?(?= ?[A-Z0-9])"), "and"),
    (re.compile(r"\+(?<=[^\W_].)(?=[A-Z])"), "plus"),
    (re.compile(r"'(?<=[^\W\d_].)(?=[^\W\d_])"), ""),
    (re.compile(r"\u2019(?<=[^\W\d_].)(?=[^\W\d_])"), ""),
    (re.compile(r"-(?<=[^\W\d_].)(?=[^\W\d_])"), ""),
)
"""Signs that make one name of the runs beside them: ``H&M``, ``A+E``, ``L'Oréal``, ``acme-ai``."""

_LINKED_MOST = 40  # characters of a run that count beside a sign
_RUN_AFTER = re.compile(rf" ?([^\W_]{{1,{_LINKED_MOST}}})")

SMALL = "a and at by de for in la of on plus the to".split()
"""Words that stand in lower case within a capitalised name."""

_PHRASE = re.compile(
    r"[A-Z0-9](?<![^\W_].)(?:(?<=[A-Z])|[0-9]*[A-Za-z])[^\W_]*+(?:['\u2019][^\W_]++)*+"
    rf"(?:[ \t]{{1,2}}(?:(?:{'|'.join(SMALL)}) )*"
    r"[A-Z0-9][^\W_]*+(?:['\u2019][^\W_]++)*+){1,5}"
)
"""Capitalised words side by side, which may be a name: ``Best Buy``, ``Bank of the West``."""

_GAPS = tuple(
    # Each begins with one sign, which a search finds several times faster than one of two.
    re.compile(rf"{blank}(?=[A-Z0-9])(?:(?<=[^\W_].)|(?<=[^\W_][ \t].))")
    for blank in " \t"
)
"""What stands before the last word of a phrase."""

_BREAK = bytes(b if chr(b).isalnum() or b >= 0x80 else 0x20 for b in range(256))


def word_keys(text: str) -> set[str]:
    """Every key that stands in *text* within one run of letters (`AcmeClient`: acme, client, …), or
    within two that a sign links.
    """
    return set(chain(*map(raw_keys, runs(text)), *map(linked_keys, links(text))))


def phrase_keys(text: str) -> set[str]:
    """The keys of capitalised words side by side: names made of ordinary words are found by them,
    and need not be looked for wherever their words stand.
    """
    return set(chain(*map(span_keys, phrases(text))))


def runs(text: str) -> set[bytes]:
    """Every run of letters, digits and whatever is outside ASCII, in UTF-8."""
    return set(text.encode("utf-8", "surrogatepass").translate(_BREAK).split())


def phrases(text: str) -> set[str]:
    """Every phrase of *text*; only lines in which two such words may meet are searched."""
    found: set[str] = set()
    for blank in _GAPS:
        end = 0
        while gap := blank.search(text, end):
            start = text.rfind("\n", 0, gap.start()) + 1
            end = text.find("\n", gap.end())
            end = len(text) if end < 0 else end
            found.update(_PHRASE.findall(text, start, end))
    return found


def links(text: str) -> set[Link]:
    """Every two runs of *text* that a sign makes one name of."""
    found: set[Link] = set()
    for pattern, spoken in _LINKED:
        for match in pattern.finditer(text):
            left, right = _run_before(text, match.start()), _RUN_AFTER.match(text, match.end())
            if left and right and not (spoken and left[0].islower()):
                found.add((left, spoken, right[1]))
    return found


def _run_before(text: str, end: int) -> str:
    """The run that ends at *end*, or before a space there; empty if none does."""
    end -= text.endswith(" ", 0, end)
    start = end
    while start and end - start < _LINKED_MOST and text[start - 1].isalnum():
        start -= 1
    return text[start:end]


def linked_keys(link: Link) -> tuple[str, ...]:
    """The keys of the parts beside a sign, and of it as it is read aloud."""
    left, spoken, right = link
    pieces = [*parts(fold(left))[-2:], spoken, *parts(fold(right))[:3]]
    return joined_keys([piece.casefold() for piece in pieces if piece])


def raw_keys(raw: bytes) -> tuple[str, ...]:
    """The keys of *raw*, a run of letters, digits and whatever is outside ASCII, in UTF-8."""
    if raw.isascii():
        return run_keys(raw.decode("ascii"))
    runs = WORD.findall(fold(raw.decode("utf-8", "replace")))
    return tuple(key for run in runs for key in run_keys(run))


def run_keys(run: str) -> tuple[str, ...]:
    """The keys of one folded run: each sub-token, and neighbouring ones joined."""
    if run.isascii() and run.isalpha() and (run.islower() or run.isupper()):
        return (run.lower(),) if len(run) <= MAX_KEY else ()  # one part, as most runs are
    pieces = parts(run)
    if len(run) > MAX_RUN or _is_encoded(run, pieces):
        return ()
    return joined_keys(list(map(str.casefold, pieces)))


def joined_keys(pieces: list[str]) -> tuple[str, ...]:
    """Every piece, and every run of up to six neighbours joined, at most `MAX_KEY` long."""
    keys = []
    for start in range(len(pieces)):
        key = ""
        for piece in pieces[start : start + MAX_PARTS]:
            key += piece
            if len(key) > MAX_KEY:
                break
            keys.append(key)
    return tuple(keys)


@lru_cache(maxsize=1 << 16)
def span_keys(text: str) -> tuple[str, ...]:
    """The keys of a short text across its runs: of a path component (``acme-sdk.py``), a phrase."""
    runs = WORD.findall(fold(text))
    return joined_keys([part.casefold() for run in runs for part in parts(run)])


def spellings(key: NameKey) -> tuple[str, ...]:
    """*key*, and *key* with a legal form glued on as it is in `acmecorp`."""
    return (key, *(key + suffix for suffix in GLUED_SUFFIXES)) if len(key) > 3 else (key,)


def incorporated(key: NameKey) -> list[NameKey]:
    """*key* with each legal form glued on that makes a name of a word; `inc` also increments."""
    return [NameKey(spelling) for spelling in spellings(key)[1:] if not spelling.endswith("inc")]
