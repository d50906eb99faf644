"""How text holds names: what counts as a whole-name mention, and which mentions name something.

Pure functions from text to facts. The index runs them over every blob once to learn *where to
look*, and again over the few blobs that it gives as evidence to see *that it is there*; so a
damaged or forged index can hide a name, but never establish one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from orgguard_mcp import lexicon
from orgguard_mcp.names import GLUED_SUFFIXES, PART, WORD, NameKey, fold, parts

MAX_LINE = 2000
"""A longer line is machine-made (minified, serialised): it establishes nothing."""

MAX_RUN = 80
"""A longer run of letters and digits is no identifier."""

SHORT = 3
"""Keys up to this length need a mention whose form shows a name, whatever words they are."""

MAX_KEY = 48
_MAX_PARTS = 6
_ENCODED = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{32,}={0,2}")
_SWITCHES = 0.28  # sub-tokens per character above which a run is encoded; camelCase has 0.1-0.2


class Use(IntEnum):
    """In which way a text uses an ordinary word."""

    WORD = 0
    """It occurs."""
    NAMED = 1
    """It can only be a name: a host, a credential, a package scope, "Block, Inc."."""
    PROPER = 2
    """It reads as a name: capitalised within a sentence, a quoted display name."""
    DEFINED = 3
    """The text defines a type of that name, so its capital says nothing."""


class Mention(NamedTuple):
    """One mention: its line (from 1) and whether its form shows that it is a name."""

    line: int
    distinct: bool


# --- reading --------------------------------------------------------------------------------


def readable(data: bytes) -> str | None:
    """*data* as text with its machine-made stretches blanked, or None for a binary file.

    UTF-8, UTF-16 with a byte-order mark, else Latin-1, which never fails. Lines keep their
    numbers.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    elif b"\0" in data[:8192]:
        return None
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return _without_encoded(_without_long_lines(text))


def _without_long_lines(text: str) -> str:
    if len(text) <= MAX_LINE:
        return text
    lines = text.split("\n")
    if max(map(len, lines)) <= MAX_LINE:
        return text
    return "\n".join("" if len(line) > MAX_LINE else line for line in lines)


def _without_encoded(text: str) -> str:
    def blank(run: re.Match[str]) -> str:
        return " " * len(run[0]) if looks_encoded(run[0]) else run[0]

    return _ENCODED.sub(blank, text)


def looks_encoded(run: str) -> bool:
    """Whether *run* is base64, hex or the like rather than words: it changes kind too often."""
    return len(run) >= 16 and len(PART.findall(run)) > _SWITCHES * len(run)


# --- words: what the index keeps --------------------------------------------------------------

_LINKED = (
    (re.compile(r"([A-Z0-9][^\W_]*) ?&(?:amp;)? ?([A-Z0-9][^\W_]*)"), "and"),
    (re.compile(r"([A-Z0-9][^\W_]*)\+([A-Z][^\W_]*)"), "plus"),
    (re.compile(r"([^\W\d_]+)['\u2019]([^\W\d_]+)"), ""),
)
"""Runs that a sign makes one name of: ``H&M``, ``A+E``, ``L'Oréal``."""

_BREAK = bytes(b if chr(b).isalnum() or b >= 0x80 else 0x20 for b in range(256))


def word_keys(text: str) -> set[str]:
    """Every key that stands in *text* within one run of letters (`AcmeClient`: acme, client, …)."""
    keys: set[str] = set()
    for raw in set(text.encode("utf-8", "surrogatepass").translate(_BREAK).split()):
        keys.update(_raw_keys(raw))
    for pattern, link in _LINKED:
        for left, right in pattern.findall(text):
            keys.update(joined_keys([*parts(fold(left))[-2:], link, *parts(fold(right))[:3]]))
    return keys


@lru_cache(maxsize=1 << 18)
def _raw_keys(raw: bytes) -> tuple[str, ...]:
    if raw.isascii():
        return run_keys(raw.decode("ascii"))
    runs = WORD.findall(fold(raw.decode("utf-8", "replace")))
    return tuple(key for run in runs for key in run_keys(run))


def run_keys(run: str) -> tuple[str, ...]:
    """The keys of one folded run: each sub-token, and neighbouring ones joined."""
    if len(run) > MAX_RUN or looks_encoded(run):
        return ()
    return joined_keys([part.casefold() for part in PART.findall(run)])


def joined_keys(pieces: list[str]) -> tuple[str, ...]:
    """Every piece, and every run of up to six neighbours joined, at most `MAX_KEY` long."""
    keys = set()
    for start in range(len(pieces)):
        key = ""
        for piece in pieces[start : start + _MAX_PARTS]:
            key += piece
            if len(key) > MAX_KEY:
                break
            keys.add(key)
    return tuple(keys)


def path_keys(component: str) -> tuple[str, ...]:
    """The keys of one path component, across its ``_``, ``-`` and ``.``."""
    runs = WORD.findall(fold(component))
    return joined_keys([part.casefold() for run in runs for part in PART.findall(run)])


def spellings(key: NameKey) -> tuple[str, ...]:
    """*key*, and *key* with a legal form glued on as it is in `acmecorp`."""
    return (key, *(key + suffix for suffix in GLUED_SUFFIXES)) if len(key) > 3 else (key,)


# --- mentions: what counts as evidence --------------------------------------------------------

_JOINT = re.compile(r"[-_.'\u2018\u2019\u02bc`]|::|__|--")
_SPACE = re.compile(r"[ \t\u00a0]+")
_SIGN = re.compile(r"\s*(?:&(?:amp;)?|\+)\s*")
_SMALL = frozenset("a and at by de for in la of on plus the to".split())


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def mentions(text: str, key: NameKey, cuts: Iterable[tuple[str, ...]] = ()) -> Iterator[Mention]:
    """Every line of *text* that mentions *key* as a whole name, in order.

    *cuts* are the ways in which the key may fall into words (`("together", "ai")`).
    """
    for number, line in _lines_with(text, _pattern(key, tuple(cuts))):
        forms = [_distinct(line, window) for k in spellings(key) for window in _windows(line, k)]
        if forms:
            yield Mention(number, any(forms))


@lru_cache(maxsize=256)
def _pattern(key: NameKey, cuts: tuple[tuple[str, ...], ...]) -> re.Pattern[str]:
    """A fast net over lower-case text that lets no mention through its meshes."""
    gap = r"[^a-z0-9\n]{0,8}"
    spoken = {"and": rf"(?:and|{gap}&(?:amp;)?{gap})", "plus": rf"(?:plus|{gap}\+{gap})"}
    spelled = re.escape(key)
    for word, sign in spoken.items():
        spelled = spelled.replace(word, sign)
    apart = [gap.join(spoken.get(piece) or re.escape(piece) for piece in cut) for cut in cuts]
    apostrophe = "['\u2019]?"
    quoted = "".join(c + apostrophe for c in key[:2]) + key[2:-1] + apostrophe + key[-1:]
    if len(key) > 3 and key.isalnum():
        apart.append(quoted)
    return re.compile("|".join([spelled, *apart]))


def _lines_with(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """The folded lines in which *pattern* finds something, with their numbers."""
    if text.isascii():
        lowered = text.lower()
        number, at = 1, 0
        while match := pattern.search(lowered, at):
            start = lowered.rfind("\n", 0, match.start()) + 1
            end = lowered.find("\n", match.start())
            end = len(text) if end < 0 else end
            number += lowered.count("\n", at, start)
            yield number, text[start:end]
            number, at = number + 1, end + 1
            if at > len(text):
                return
        return
    for number, line in enumerate(text.split("\n"), 1):
        folded = fold(line)
        if pattern.search(folded.casefold()):
            yield number, folded


def _windows(line: str, key: str) -> Iterator[list[_Token]]:
    """Every run of neighbouring tokens of *line* that spells *key*."""
    tokens = list(_tokens(line))
    for start in range(len(tokens)):
        spelled = ""
        for end in range(start, min(start + 12, len(tokens))):
            if end > start and not _joined(line, tokens, start, end):
                break
            spelled += tokens[end].text.casefold()
            if len(spelled) >= len(key):
                break
        window = tokens[start : end + 1]
        if spelled == key and (len(window) == 1 or _one_name(line, window)):
            yield window


def _tokens(line: str) -> Iterator[_Token]:
    """Sub-tokens in order; ``&`` and ``+`` between two of them are read aloud."""
    position = 0
    for run in WORD.finditer(line):
        if position and (sign := _SIGN.fullmatch(line, position, run.start())):
            spoken = "and" if "&" in sign[0] else "plus"
            yield _Token(spoken, sign.start(), sign.end())
        for part in PART.finditer(run[0]):
            yield _Token(part[0], run.start() + part.start(), run.start() + part.end())
        position = run.end()


def _joined(line: str, tokens: list[_Token], start: int, end: int) -> bool:
    gap = line[tokens[end - 1].end : tokens[end].start]
    return not gap or _JOINT.fullmatch(gap) is not None or _SPACE.fullmatch(gap) is not None


def _one_name(line: str, window: list[_Token]) -> bool:
    """Whether tokens with spaces between them are one name: then each has a capital or a digit.

    ``We Work`` may be a name; ``if we work on it`` is not one.
    """
    gaps = [line[a.end : b.start] for a, b in pairwise(window)]
    if not any(_SPACE.fullmatch(gap) for gap in gaps):
        return True
    first, *rest = [token.text for token in window]
    return _is_capital(first) and all(_is_capital(t) or t in _SMALL for t in rest)


def _is_capital(token: str) -> bool:
    return not token[0].islower()


def _distinct(line: str, window: list[_Token]) -> bool:
    """Whether the form itself shows a name made of ordinary words: one glued word (``bestbuy``),
    or capitals (``Best Buy``, ``BestBuy``) within quotes or a sentence.
    """
    if len(window) == 1:
        # "ing" and "ups" stand in code for many things; ING and UPS do not.
        return len(window[0].text) > SHORT or window[0].text.isupper()
    before, after = line[: window[0].start], line[window[-1].end :]
    written = line[window[0].start : window[-1].end]
    if re.search(r"[-_.]", written) or after[:1] in {"_", "("} or before.endswith("_"):
        return False
    quoted = before.endswith(('"', "'", "`")) and after.startswith(('"', "'", "`"))
    return quoted or (within_sentence(before) and not after[:1].isalnum())


def within_sentence(before: str) -> bool:
    """Whether text that ends in *before* leads up to a name rather than to a kind of thing."""
    word = re.search(r"([A-Za-z][a-z'-]*),? $", before)
    return word is not None and word[1].lower() not in _NO_NAME_AFTER


# --- uses: ordinary words that name something -------------------------------------------------

_TLDS = "com|org|net|io|ai|app|dev|co|cloud|tech|xyz|so|inc|eu|de|fr|uk|us|in|ch|nl|se|jp|cn|sh|me"
_LABELS = r"((?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+\.[A-Za-z]{2,24})"
_HOSTS = (
    re.compile(r"://(?:[^\s/@\"'<>]*@)?" + _LABELS),
    re.compile(r"[A-Za-z0-9_.+-]@" + _LABELS),
    re.compile(r"(?<![\w.@/$-])((?:[a-z0-9-]+\.)*[a-z0-9-]{2,}\.(?:com|ai))(?![\w(])"),
    re.compile(r"(?<=[\"'`])((?:[a-z0-9-]+\.)*[a-z0-9-]{2,}\.(?:" + _TLDS + r"))(?=[\"'`/:])"),
)
_OWNER = re.compile(r"(?:github|gitlab|bitbucket|huggingface|hub\.docker)\.(?:com|co|org)/([\w-]+)")
_SCOPE = re.compile(r"""["'`\s/]@([a-z0-9][a-z0-9-]*)/[a-z0-9]""")
_CREDENTIAL = re.compile(
    r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)_(?:API_(?:KEY|TOKEN|BASE|SECRET|URL|HOST|VERSION)"
    r"|(?:ACCESS|AUTH|BEARER|BOT)_TOKEN|CLIENT_SECRET|WEBHOOK_(?:URL|SECRET)|ACCOUNT_SID)\b"
)
_LEGAL_FORM = re.compile(
    r",? (?:Inc|Corp|Corporation|GmbH|LLC|L\.L\.C|Ltd|Limited|PLC|plc|S\.A|N\.V|B\.V|AG|SE|Oyj|A/S)"
    r"\b"
)
_CAPITALISED = re.compile(r"\b[A-Z][\w&'-]*(?: [A-Z][\w&'-]*){0,3}$")
_NAMED = (*_HOSTS, _OWNER, _SCOPE, _CREDENTIAL)
_SENTENCE = re.compile(
    r"(?:^|[\s(])(?P<before>[a-z][a-z'-]+,? [a-z][a-z'-]*),? (?P<name>[A-Z][a-z]+)(?:'s)?"
    r"(?=[.,;:!?)]?(?:$|\s))",
    re.MULTILINE,
)
_OPENING = re.compile(  # "Detects Visa credit cards": the second word of a sentence
    r"(?:^|[#*\"'.(] ?)(?P<before>[A-Z][a-z]+) (?P<name>[A-Z][a-z]+) (?=[a-z])", re.MULTILINE
)
_LIST = re.compile(r"\b[A-Z]\w+(?:, [A-Z]\w+)+(?:,? (?:and|or) [A-Z]\w+)?")
_DISPLAY = re.compile(r"[:=]\s*[\"'](?P<name>[A-Z][A-Za-z]+)[\"']")
_LABEL = re.compile(
    r"(?:name|label|title|vendor|provider|company|brand|org|organi[sz]ation|customer|partner)"
    r"[\"']?\s*$",
    re.IGNORECASE,
)
_ACCENTED = re.compile(r"(?<![^\W\d_])[^\W\d_a-z]\w*[^\x00-\x7f]\w*")
_DEFINITION = re.compile(
    r"\b(?:class|struct|interface|enum|trait|type|object|record|message|typedef|namespace|module)"
    r"\s+(?P<name>[A-Z][A-Za-z]*)\b"
)
_NO_NAME_AFTER = frozenset(
    # After these a capital marks a class or a thing of that kind, not a name.
    "a an the this that these those each every any some no one new same single its their his her"
    " our your my another given current import class return returns raise raises throw throws"
    " extends implements instanceof isinstance type struct enum interface case def func fn const"
    " let var static public private final of-type".split()
)
_SECOND_LEVEL = frozenset("co com org net ac gov edu".split())


def uses(text: str) -> Iterator[tuple[Use, NameKey, int]]:
    """Where *text* uses an ordinary word (or a compound of them) so that it names something.

    Yields the kind of use, the key and the offset, in no particular order.
    """
    yield from _named(text)
    for match in _DEFINITION.finditer(text):
        yield from _telling(Use.DEFINED, match["name"], match.start("name"))
    for match in _DISPLAY.finditer(text):
        if _LABEL.search(text, max(0, match.start() - 30), match.start()):
            yield from _telling(Use.PROPER, match["name"], match.start("name"))
    for pattern in (_SENTENCE, _OPENING):
        for match in pattern.finditer(text):
            if match["before"].split()[-1].rstrip(",").lower() not in _NO_NAME_AFTER:
                yield from _telling(Use.PROPER, match["name"], match.start("name"))
    for match in _LIST.finditer(text):
        yield from _listed(match)


def _listed(match: re.Match[str]) -> Iterator[tuple[Use, NameKey, int]]:
    """A list of capitalised words names things when one of them is no word ("Supabase, Neon")."""
    items = list(WORD.finditer(match[0]))
    keys = [NameKey(fold(item[0]).casefold()) for item in items]
    if any(not lexicon.is_ordinary(key) and not lexicon.is_compound(key) for key in keys):
        for item in items:
            if item[0] not in {"and", "or"}:
                yield from _telling(Use.PROPER, item[0], match.start() + item.start())


def _named(text: str) -> Iterator[tuple[Use, NameKey, int]]:
    for pattern in _NAMED:
        for match in pattern.finditer(text):
            word = registered_label(match[1]) if pattern in _HOSTS else match[1]
            yield from _telling(Use.NAMED, word, match.start(1))
    for form in _LEGAL_FORM.finditer(text):
        if owner := _CAPITALISED.search(text, max(0, form.start() - 80), form.start()):
            yield from _telling(Use.NAMED, owner[0], owner.start())
    if not text.isascii():
        for accented in _ACCENTED.finditer(text):  # "Nestlé" is a name where "nestle" is a verb
            yield from _telling(Use.NAMED, accented[0], accented.start())


def _telling(use: Use, word: str, offset: int) -> Iterator[tuple[Use, NameKey, int]]:
    key = NameKey("".join(WORD.findall(fold(word))).casefold())
    if key and needs_distinction(key):
        yield use, key, offset


def needs_distinction(key: NameKey) -> bool:
    """Whether a plain mention of *key* shows no name: it is short, ordinary, or made of words."""
    return len(key) <= SHORT or lexicon.is_ordinary(key) or lexicon.is_compound(key)


def registered_label(host: str) -> str:
    """The label of *host* that was registered: ``together`` of ``api.together.ai``.

    A short rule instead of the Public Suffix List, whose look-up is too slow for every URL of a
    repository: an unknown two-level suffix costs a hit, it cannot make one.
    """
    labels = host.strip(".").split(".")
    if len(labels) > 2 and labels[-2] in _SECOND_LEVEL and len(labels[-1]) == 2:
        return labels[-3]
    return labels[-2] if len(labels) > 1 else ""
