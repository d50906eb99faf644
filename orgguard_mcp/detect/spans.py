"""Spans: the stretches of text that may be a name, before anything is known of them.

Three shapes of text hold names differently. *Locators* (hosts, addresses, package scopes, owners on
code hosts) name an organisation by their form. *Prose* has words, and capitalised words side by
side. *Identifiers* have names within them, next to words of the trade (`AcmeClient`, `acme_rows`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from orgguard_mcp import names, uses
from orgguard_mcp.names import WORD, fold, parts


class Form(StrEnum):
    """What a span looks like."""

    HOST = "host"
    EMAIL = "address"
    OWNER = "owner"
    SCOPE = "scope"
    HANDLE = "handle"
    PHRASE = "phrase"
    WORD = "word"
    MEMBER = "word of a phrase"
    IDENTIFIER = "identifier"
    SCRIPT = "script"


class Span(NamedTuple):
    """A stretch of a line: its text as written, where it is, and its words in lower case."""

    form: Form
    text: str
    start: int
    end: int
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """The words joined: what the base is asked for."""
        return "".join(self.words)


MAX_SPANS = 2000
"""Spans of one line; a longer line is data that a machine wrote."""

_EMAIL = re.compile(
    r"(?<![\w.+-])(?P<user>[\w.+-]{1,64})@(?P<host>(?:[^\W_](?:[\w-]{0,62})\.){1,6}[^\W\d_]{2,24})"
)
_URL = re.compile(
    r"(?<!\w)(?:[a-z][a-z0-9+.-]{1,12}:)?//(?:[^\s/@\"'<>`]{1,80}@)?"
    r"(?P<host>(?:[^\W_][\w-]{0,62}\.){1,6}[^\W\d_]{2,24})(?::\d+)?(?P<path>[/?#][^\s\"'<>`)\]]*)?",
    re.IGNORECASE,
)
_HOST = re.compile(
    r"(?<![\w.@/$%-])(?P<host>(?:[a-z0-9][a-z0-9-]{0,62}\.){1,5}"
    r"(?:com|org|net|io|ai|app|dev|co|cloud|tech|xyz|eu|de|fr|uk|us|in|ch|nl|se|jp|cn|kr|br|it|es|pl|"
    r"ru|ca|au|me|tv|be|dk|no|fi|at|cz|mx|tr|za|nz|sg|hk|tw|id|vn|ie|pt|gr|hu|ro|ua|il|ae|info|biz|so"
    r"|sh|gg|to|ly|inc|finance|bank|health|store|shop|online|agency|studio|digital|systems|solutions"
    r"|software|group|media|network|global|world|life|team|games|live|one|pro))"
    r"(?![\w(]|\.\w)(?P<path>/[^\s\"'<>`)\]]*)?"
)
_CODE_HOST = re.compile(r"(?:^|\.)(?:github|gitlab|bitbucket|huggingface|codeberg)\.(?:com|org|co)$")
_SCOPE = re.compile(r"(?<![\w.])@(?P<scope>[a-z0-9][a-z0-9-]{1,38})/(?=[a-z0-9])")
_HANDLE = re.compile(
    r"(?:(?<![\w.@/])@|\b(?:TODO|FIXME|XXX|HACK|NOTE)\(@?|\br=)(?P<handle>[A-Za-z0-9][\w-]{1,38})"
)
_CODE_NUMBER = re.compile(r"\b[A-Z]{1,6}-?\d{3,6}\b")
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{16,}|\b(?:[0-9a-f]{7,}|[0-9A-F]{7,})\b")
_SCRIPT = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0590-\u05ff\u0600-\u06ff\u0900-\u0dff\u0e00-\u0e7f]"
    "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0590-\u05ff\u0600-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u30fb]+"
)
_RUN = re.compile(r"(?:[^\W_]|[\u200b-\u200f\u2060\ufeff\u00ad])+(?:['\u2019](?=[^\W_])[^\W_]+)?")
_SMALL = frozenset("of the and de la le du des di da do del van von der den for in on at y e et und na"
                   " & + - a an like to".split())
_CONTRACTION = re.compile(r"\w+n['\u2019]t|\w+['\u2019](?:re|ve|ll|d|m)|(?:it|that|let|there|what|here|he|she)['\u2019]s", re.I)
_ENDING = re.compile(r"['\u2019](?!t\b)[^\W\dA-Z]+$")  # Acme's; in Turkish, Acme'nin
_PLURAL = re.compile(r"(?<=[A-Z]{2})s\b")
_CALENDAR = frozenset(
    "january february march april may june july august september october november december jan feb"
    " mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday"
    " sunday".split()
)
_IMPERATIVES = frozenset(
    "add added adds allow allows adjust announce announcing apply avoid backport bring build bump"
    " change changed changes check clarify clean cleanup close closes configure convert copy correct"
    " create defaults define delete deprecate describe detect disable display document drop"
    " enable encode ensure enforce expand export expose extend extract filter fix fixed fixes force"
    " format generate get give handle hide ignore implement implemented import improve improved"
    " include increase initial inline insert install introduce issue keep let limit link list load"
    " log lower make mark merge merged migrate mock move moved new normalize note only open optimize"
    " override parse pass patch pin prefer prepare prevent print process provide publish pull push"
    " put raise re-add read rebase record reduce refactor refactored reference release remove"
    " removed rename renamed reorder replace replaced report require reset resolve resolves restore"
    " restrict return revert reverts rework rewrite run save see select send separate set setup show"
    " simplify skip sort speed split start stop store strip support supports swap switch sync test"
    " tests the this throw tidy todo trim try turn tweak unify update updated updates upgrade use"
    " used uses using validate verify warn when with wrap write a an in on for from if and or but"
    " our we you it is are as at by to of all any also both each no not so some such that these"
    " they those then there thus".split()
)
_IDENTIFIER = re.compile(r"(?:[^\W_]|[\u200b-\u200f\u2060\ufeff\u00ad])+(?:[_-]+(?:[^\W_])+)*")


def locators(line: str) -> Iterator[Span]:
    """Hosts, addresses, scopes, owners and handles of *line*."""
    for match in _EMAIL.finditer(line):
        yield from _host(line, match, Form.EMAIL)
        yield _span(Form.HANDLE, line, match.start("user"), match.end("user"))
    for pattern in (_URL, _HOST):
        for match in pattern.finditer(line):
            yield from _host(line, match, Form.HOST)
            owner = re.match(r"/+([\w.-]{2,40})", match["path"] or "")
            if owner and _CODE_HOST.search(match["host"].lower()):
                at = match.start("path")
                yield _span(Form.OWNER, line, at + owner.start(1), at + owner.end(1))
    for match in _SCOPE.finditer(line):
        yield _span(Form.SCOPE, line, match.start("scope"), match.end("scope"))
    for match in _HANDLE.finditer(line):
        yield _span(Form.HANDLE, line, match.start("handle"), match.end("handle"))


def _host(line: str, match: re.Match[str], form: Form) -> Iterator[Span]:
    host = match["host"]
    label = _registered(host.lower())
    if label:
        at = match.start("host") + host.lower().rfind(label + ".")
        yield _span(form, line, at, at + len(label))


@lru_cache(maxsize=4096)
def _registered(host: str) -> str:
    if names.reserved_rest(host) is not None:
        return ""
    return uses.registered_label(host)


def blank(line: str) -> str:
    """*line* with its locators and encoded stretches blanked, for prose and identifiers."""
    for pattern in (_EMAIL, _URL, _HANDLE, _CODE_NUMBER):
        line = pattern.sub(lambda match: " " * len(match[0]), line)
    line = _HOST.sub(lambda match: " " * len(match[0]), line)
    return _ENCODED.sub(_blank_encoded, line)


def _blank_encoded(match: re.Match[str]) -> str:
    return " " * len(match[0]) if _encoded(match[0]) else match[0]


@lru_cache(maxsize=8192)
def _encoded(run: str) -> bool:
    """Whether *run* is a digest, key or the like: hexadecimal, or changing kind too often."""
    bare = run.strip("=-_/+")
    if re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", bare):
        return len(bare) >= 7 and any(c.isdigit() for c in bare)
    if len(bare) < 16:
        return False
    pieces = names.PART.findall(bare)
    mixed = any(c.isdigit() for c in bare) or "+" in bare or "=" in run
    return len(pieces) > (0.2 if mixed else 0.28) * len(bare)


def scripts(line: str) -> Iterator[Span]:
    """Runs of letters that are neither Latin, Greek nor Cyrillic."""
    for match in _SCRIPT.finditer(line):
        if len(match[0]) <= 24:
            yield _span(Form.SCRIPT, line, match.start(), match.end())


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def prose(text: str, offset: int, line: str) -> Iterator[Span]:
    """Words and phrases of *text*, a stretch of *line* that begins at *offset*."""
    tokens = [
        _Token(_ENDING.sub("", m[0]), offset + m.start(), 0)
        for m in _RUN.finditer(text)
        if not _CONTRACTION.fullmatch(m[0])
    ]
    tokens = [token._replace(end=token.start + len(token.text)) for token in tokens]
    at = 0
    while at < len(tokens):
        if opening(line, tokens[at].start) and tokens[at].text.casefold() in _IMPERATIVES:
            yield _span(Form.WORD, line, tokens[at].start, tokens[at].end)
            at += 1
            continue
        end = _phrase_end(tokens, at, line)
        if end > at + 1:
            yield from _phrase(tokens[at:end], line)
        for token in tokens[at:end]:
            form = Form.MEMBER if end > at + 1 else Form.WORD
            yield _span(form, line, token.start, token.end)
        at = max(end, at + 1)


def _phrase(chain: list[_Token], line: str) -> Iterator[Span]:
    """A chain of capitalised words: the whole, and without a first word that opens a sentence."""
    if len(chain) > 6:
        return
    while len(chain) > 1 and chain[-1].text.isdigit():
        chain = chain[:-1]
    if len(chain) < 2:
        return
    yield _span(Form.PHRASE, line, chain[0].start, chain[-1].end)
    if len(chain) > 2 and opening(line, chain[0].start):
        yield _span(Form.PHRASE, line, chain[1].start, chain[-1].end)


def _phrase_end(tokens: list[_Token], at: int, line: str) -> int:
    """The end of the chain of capitalised words that begins at *at*; *at* + 1 if none does."""
    first = tokens[at]
    if not _capital(first.text) or (
        first.text.isdigit() and (len(first.text) > 3 or line[first.start - 1 : first.start] == "#")
    ):
        return at + 1
    end = at + 1
    while end < len(tokens):
        step = _step(tokens, end, line)
        if not step:
            break
        end += step
    return end


def _step(tokens: list[_Token], end: int, line: str) -> int:
    """How many tokens go on with the phrase: the next one, or small words and the next capital."""
    gap = line[tokens[end - 1].end : tokens[end].start]
    if _capital(tokens[end].text):
        return int(gap in {" ", "-", " & ", "&", ". ", "+", " + "} and not (gap == ". " and len(tokens[end - 1].text) > 2))
    if tokens[end].text.isdigit():
        return 0
    ahead = end
    while ahead < len(tokens) and ahead < end + 2 and tokens[ahead].text in _SMALL:
        if line[tokens[ahead - 1].end : tokens[ahead].start] != " ":
            return 0
        ahead += 1
    if ahead in {end, len(tokens)} or line[tokens[ahead - 1].end : tokens[ahead].start] != " ":
        return 0
    word = tokens[ahead].text
    return ahead - end + 1 if _capital(word) and not word.isdigit() else 0


def _capital(word: str) -> bool:
    if word.casefold() in _CALENDAR:
        return False
    return not word[0].islower() or any(char.isupper() for char in word[1:])


def opening(line: str, start: int) -> bool:
    """Whether a sentence or an item begins at *start*, so that a capital there says little."""
    before = line[:start].rstrip(" \t*_`\"'([#>/-+~|")
    return not before or before[-1] in ".:!?;{}=" or re.search(r"(?:^|\s)\d+$", before) is not None


def identifiers(text: str, offset: int, line: str) -> Iterator[Span]:
    """Every identifier of *text* with its words (`AcmeClient`: acme, client)."""
    for match in _IDENTIFIER.finditer(text):
        yield _span(Form.IDENTIFIER, line, offset + match.start(), offset + match.end())


def _span(form: Form, line: str, start: int, end: int) -> Span:
    text = line[start:end]
    return Span(form, text, start, end, words_of(text))


@lru_cache(maxsize=1 << 15)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a short text in lower case, each run cut at its inner boundaries."""
    folded = _PLURAL.sub("", fold(text).replace("'", "")) if len(text) <= 120 else ""
    return tuple(p.casefold() for run in WORD.findall(folded) for p in parts(run))


def located(text: str) -> list[tuple[str, int, int]]:
    """The words of *text* as `words_of` gives them, each with its start and end in *text*; nothing
    where folding moves the letters.
    """
    folded = fold(text)
    if len(folded) != len(text):
        return []
    plural = {match.start() for match in _PLURAL.finditer(folded.replace("'", "\x00"))}
    kept = [at for at, char in enumerate(folded) if char != "'" and at not in plural]
    bare = "".join(folded[at] for at in kept)
    return [
        (part[0].casefold(), kept[run.start() + part.start()], kept[run.start() + part.end() - 1] + 1)
        for run in WORD.finditer(bare)
        for part in names.PART.finditer(run[0])
    ]
