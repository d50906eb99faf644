"""How text uses ordinary words: which uses can only be a name, which read as one, which tell
against it. Compounds of ordinary words and very short keys are looked at alike.

Pure functions over text; the index notes the results, so that `target` in 400 files costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache

from orgguard_mcp import lexicon
from orgguard_mcp.names import WORD, NameKey, fold


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


# `re` finds a first character fast, and tries everywhere what begins with a condition: so that on
# what stands before comes second, `@(?<=[\s/]@)` rather than `(?<=[\s/])@`.

TLDS = "com|org|net|io|ai|app|dev|co|cloud|tech|xyz|so|inc|eu|de|fr|uk|us|in|ch|nl|se|jp|cn|sh|me"
_LABELS = r"((?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+\.[A-Za-z]{2,24})"
_HOSTS = (
    re.compile(r"://(?:[^\s/@\"'<>]*@)?" + _LABELS),
    re.compile(r"@(?<=[A-Za-z0-9_.+-]@)" + _LABELS),
)
_QUOTED_TOP = re.compile(r"\.(?:" + TLDS + r")(?=[\"'`/:])")
_QUOTED_LABELS = re.compile(r"[\"'`]((?:[a-z0-9-]+\.)*[a-z0-9-]{2,})\Z")
_LONGEST = 253  # characters of a host
_BARE_HOST = re.compile(r"\.(?:com|ai)(?![\w(])")  # its labels are looked at from here backwards
_LABELS_BEFORE = re.compile(r"(?<![\w.@/$-])(?:[a-z0-9-]+\.)*[a-z0-9-]{2,}$")
_OWNER = re.compile(r"\.(?:com|co|org)/([\w-]+)")
_CODE_HOST = re.compile(r"(?<![\w.])(?:github|gitlab|bitbucket|huggingface)$")
_SCOPE = re.compile(r"""@(?<=["'`\s/]@)([a-z0-9][a-z0-9-]*)/[a-z0-9]""")
_CREDENTIAL = re.compile(
    r"_(?:API_(?:KEY|TOKEN|BASE|SECRET|URL|HOST|VERSION)"
    r"|(?:ACCESS|AUTH|BEARER|BOT)_TOKEN|CLIENT_SECRET|WEBHOOK_(?:URL|SECRET)|ACCOUNT_SID)\b"
)
_CREDENTIAL_OWNER = re.compile(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)\Z")
CREDENTIAL_WORDS = "API TOKEN CLIENT WEBHOOK ACCOUNT"
"""One of them follows an underscore in every credential."""

CREDENTIAL_ENDS = "KEY TOKEN BASE SECRET URL HOST VERSION SID"
"""What may follow these words in a credential; after `TOKEN` there is nothing."""

LEGAL_WORDS = "Inc Corp Corporation GmbH LLC Ltd Limited PLC plc AG SE Oyj"
"""Legal forms that are one word; the others begin with a letter and a full stop or slash."""

_LEGAL_FORM = re.compile(
    r" (?=[A-Zp])"
    r"(?:Inc|Corp|Corporation|GmbH|LLC|L\.L\.C|Ltd|Limited|PLC|plc|S\.A|N\.V|B\.V|AG|SE|Oyj|A/S)"
    r"\b"
)
_CAPITALISED = re.compile(r"\b([A-Z][\w&'-]*(?: [A-Z][\w&'-]*){0,3}),?$")
_CAPITAL = re.compile(
    r" (?<=[a-z,'-] )(?P<name>[A-Z][a-z]+)(?:'s)?(?=[.,;:!?)]?(?:$|\s))", re.MULTILINE
)
"""A capitalised word that may stand within a sentence; what is before it tells."""

_WITHIN = re.compile(r"(?:^|[\s(])[a-z][a-z'-]++,? (?P<before>[a-z][a-z'-]*+),?\Z")
_OPENING = re.compile(  # "Detects Visa credit cards": the second word of a sentence
    r"(?:^|[#*\"'.(] ?)(?P<before>[A-Z][a-z]++)\Z", re.MULTILINE
)
_GOES_ON = re.compile(" (?=[a-z])")
_COMMA = re.compile(r", (?=[A-Z]\w)")
_LIST = re.compile(r"[A-Z]\w++(?:, [A-Z]\w++)+(?:,? (?:and|or) [A-Z]\w++)?")
_DISPLAY = re.compile(r"[:=]\s*[\"'](?P<name>[A-Z][A-Za-z]+)[\"']")
_LABEL = re.compile(
    r"(?:name|label|title|vendor|provider|company|brand|org|organi[sz]ation|customer|partner)"
    r"[\"']?\s*$",
    re.IGNORECASE,
)
_ACCENT = re.compile("[\u00c0-\u024f]")
_ACCENTED = re.compile(
    r"[A-Z\u00c0-\u00de](?<![^\W\d_].)(?:(?<=[\u00c0-\u00de])|[^\W\d_]*[\u00c0-\u024f])[^\W\d_]*"
)
DEFINED = tuple(
    "class struct interface enum trait type object record message typedef namespace module".split()
)
_DEFINITION = re.compile(r"[A-Z](?:(?<=[defmst]\s.)|(?<=\s\s.))[A-Za-z]*\b")
"""A capitalised word after one that may end like one of `DEFINED`."""

_NOBODY = frozenset(
    # Stand-ins and roles in hosts, owners and credentials, and the sections of code hosts.
    "your my our some other provider placeholder redacted generic test tests default master secret"
    " example sample custom dummy fake mock vendor service external internal public private global"
    " base main admin user users client server bot proxy auth access app apps alerting graph api"
    " programmatic attacker evil malicious victim company corp customer domain site website host"
    " hostname mail email login docs blog datasets models spaces orgs organizations settings"
    " marketplace features repos search collections enterprise topics sponsors security raw static"
    " cdn assets images upload uploads download downloads mysite yoursite yourcompany mycompany"
    " yourdomain mydomain".split()
)
_TEMPLATE = re.compile(r"\.?[{<$%]|\.\*")  # a host that goes on as a template was cut within it
_IMPORTS = ("from ", "import ", "use ", "export ", "using ", "include ")
_LANGUAGE = frozenset(
    # Types and constants of programming languages: capitalised everywhere, named after nobody.
    "none true false null any optional union list dict set tuple final literal type self string"
    " boolean number integer float double object array error exception promise function date map"
    " path void unit result option vector iterator iterable sequence callable mapping".split()
)
_SECOND_LEVEL = frozenset("co com org net ac gov edu".split())


Uses = Iterator[tuple[Use, NameKey, int]]
"""Kinds of use, keys and offsets, in no particular order."""


def uses(text: str) -> Uses:
    """Where *text* uses an ordinary word (or a compound of them) so that it names something."""
    for find in (named, defined, displayed, in_sentences, listed, accented):
        yield from find(text)


def defined(text: str) -> Uses:
    """Types that *text* defines: ``class Target``."""
    for match in _DEFINITION.finditer(text):
        at = match.start() - 1
        while at and text[at - 1].isspace():
            at -= 1
        if text.endswith(DEFINED, 0, at) and text[_word_start(text, at) : at] in DEFINED:
            yield from _telling(Use.DEFINED, match[0], match.start())


def displayed(text: str) -> Uses:
    """Quoted display names: ``vendor: "Target"``."""
    for match in _DISPLAY.finditer(text):
        if _LABEL.search(text, max(0, match.start() - 30), match.start()):
            yield from _telling(Use.PROPER, match["name"], match.start("name"))


def accented(text: str) -> Uses:
    """Capitalised words with an accent: "Nestlé" is a name where "nestle" is a verb."""
    if not text.isascii() and _ACCENT.search(text):
        for match in _ACCENTED.finditer(text):
            yield from _telling(Use.PROPER, match[0], match.start())


def _host(host: str, offset: int) -> Uses:
    """The registered label names somebody, and so does the whole of `together.ai`."""
    label = registered_label(host)
    if label.lower() not in _NOBODY:
        yield from _telling(Use.NAMED, label, offset)
        yield from _telling(Use.NAMED, label + host.rpartition(".")[2], offset)


def in_sentences(text: str) -> Uses:
    """Words with a capital within a sentence: ``we ship to Target``."""
    for match in _CAPITAL.finditer(text):
        before = _before(_WITHIN, text, match)
        if not before and _GOES_ON.match(text, match.end("name")):
            before = _before(_OPENING, text, match)
        if before and before["before"].lower() not in lexicon.NO_NAME_AFTER:
            yield from _telling(Use.PROPER, match["name"], match.start("name"))


def _lists(text: str) -> Iterator[re.Match[str]]:
    done = 0
    for comma in _COMMA.finditer(text):
        at = comma.start()
        if at > done and (match := _LIST.match(text, _word_start(text, at))):
            done = match.end()
            yield match


def _word_start(text: str, end: int) -> int:
    """Where the run of letters, digits and underscores begins that ends at *end*."""
    while end and (text[end - 1].isalnum() or text[end - 1] == "_"):
        end -= 1
    return end


def listed(text: str) -> Uses:
    """Lists of capitalised words name things when one of them is no word: ``Supabase, Neon``."""
    for match in _lists(text):
        yield from _listed(text, match)


def _listed(text: str, match: re.Match[str]) -> Uses:
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()].lstrip()
    if not line.startswith(_IMPORTS):
        for key, at in _told_by_list(match[0]):
            yield Use.PROPER, key, match.start() + at


@lru_cache(maxsize=1 << 14)
def _told_by_list(written: str) -> tuple[tuple[NameKey, int], ...]:
    """The keys that a list tells something of, and their offsets: code repeats its lists."""
    items = [item for item in WORD.finditer(written) if item[0] not in {"and", "or"}]
    if all(_is_word(item[0]) for item in items):
        return ()
    told = ((tells(Use.PROPER, item[0]), item.start()) for item in items)
    return tuple((key, at) for key, at in told if key)


@lru_cache(maxsize=1 << 16)
def _is_word(written: str) -> bool:
    """Whether *written* is an ordinary word, or made of such."""
    key = NameKey(fold(written).casefold())
    return lexicon.is_ordinary(key) or lexicon.is_compound(key)


def named(text: str) -> Uses:
    """What can only be a name: hosts, owners, scopes, credentials, names with a legal form."""
    yield from _hosts(text)
    for scope in _SCOPE.finditer(text):
        if scope[1] not in _NOBODY and not _TEMPLATE.match(text, scope.end()):
            yield from _telling(Use.NAMED, scope[1], scope.start(1))
    for end in _CREDENTIAL.finditer(text):
        owner = _before(_CREDENTIAL_OWNER, text, end, _LONGEST)
        if owner and owner[1].lower() not in _NOBODY and not _TEMPLATE.match(text, end.end()):
            yield from _telling(Use.NAMED, owner[1], owner.start(1))
    for owned in _OWNER.finditer(text):
        if owned[1].lower() not in _NOBODY and _before(_CODE_HOST, text, owned):
            yield from _telling(Use.NAMED, owned[1], owned.start(1))
    for form in _LEGAL_FORM.finditer(text):
        if owner := _before(_CAPITALISED, text, form):
            yield from _telling(Use.NAMED, owner[1], owner.start(1))


def _hosts(text: str) -> Uses:
    for pattern in _HOSTS:
        for match in pattern.finditer(text):
            if not _TEMPLATE.match(text, match.end()):
                yield from _host(match[1], match.start(1))
    for end in _QUOTED_TOP.finditer(text):
        if labels := _before(_QUOTED_LABELS, text, end, _LONGEST):
            yield from _host(labels[1] + end[0], labels.start(1))
    for end in _BARE_HOST.finditer(text):
        if labels := _before(_LABELS_BEFORE, text, end):
            if not _TEMPLATE.match(text, end.end()):
                yield from _host(labels[0] + end[0], labels.start())


def _before(
    pattern: re.Pattern[str], text: str, match: re.Match[str], reach: int = 80
) -> re.Match[str] | None:
    """What *pattern* finds right before *match*. Looking back from a rare sign is many times faster
    than looking ahead from every word.
    """
    return pattern.search(text, max(0, match.start() - reach), match.start())


def _telling(use: Use, word: str, offset: int) -> Uses:
    if key := tells(use, word):
        yield use, key, offset


def tells(use: Use, word: str) -> NameKey | None:
    """The key of which *word* in that *use* tells something, if it does."""
    key = _distinguished(word)
    return None if use is Use.PROPER and key in _LANGUAGE else key


@lru_cache(maxsize=1 << 16)
def _distinguished(word: str) -> NameKey | None:
    """The key of *word* if its plain mention shows no name."""
    key = NameKey("".join(WORD.findall(fold(word))).casefold())
    return key if key and lexicon.needs_distinction(key) else None


def registered_label(host: str) -> str:
    """The label of *host* that was registered: ``together`` of ``api.together.ai``.

    A short rule instead of the Public Suffix List, whose look-up is too slow for every URL of a
    repository: an unknown two-level suffix costs a hit, it cannot make one.
    """
    labels = host.strip(".").split(".")
    if len(labels) > 2 and labels[-2] in _SECOND_LEVEL and len(labels[-1]) == 2:
        return labels[-3]
    return labels[-2] if len(labels) > 1 else ""
