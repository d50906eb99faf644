"""Names: the one place that mints a canonical key.

Two spellings are one name when `canonicalise` gives them the same `NameKey`. The way from a
surface form to its key:

1. *fold*: invisible characters go, compatibility forms become plain ones (Unicode NFKC), Latin
   accents go, and letters that only look Latin become Latin (UTS 39 confusables);
2. *locate*: of a host, an address, a URL or a package scope only the organisation's label stays
   (Public Suffix List);
3. *split* into words, ``&`` and ``+`` read aloud, so that ``H&M`` is ``H and M``;
4. *strip* the legal form from the end (``Acme Corp``, ``AcmeCorp GmbH``);
5. *join* what is left, case-folded.

The same fold and the same split read the repository's text, so that what the index finds and
what is asked about meet in one key space.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NewType

from orgguard_mcp.errors import InvalidNameError

MAX_LENGTH = 200
"""The longest name taken, in characters as written."""

NameKey = NewType("NameKey", str)
"""A canonical key. Only this module makes one, so the type proves that a text was folded."""

GLUED_SUFFIXES = ("corporation", "corp", "gmbh", "inc", "llc", "ltd")
"""Legal forms that are also written onto a name in lower case (``acmecorp``)."""

_GLUED_STEM = 4  # letters that must stay: "acmecorp" is acme, "bancorp" is not ban
_MORE_FORMS = ("PBC", "PJSC", "JSC", "UG", "OÜ")  # what cleanco does not know
_SPOKEN = {"&": "and", "+": "plus"}
_CAMEL_FORMS = frozenset({*GLUED_SUFFIXES, "incorporated", "limited", "plc", "company", "llp"})

# A letter or digit of any script. Outside ASCII everything counts that is not punctuation, symbol
# or space, marks included: Indic vowel signs are \W to `re`, but part of their word.
_LETTER = (
    r"A-Za-z0-9\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u2c00-\u2dff"
    r"\u3005-\u3007\u3031-\ua4ff\ua500-\ud7ff\uf900-\ufdff\ufe70-\ufefe\uff10-\uff19"
    r"\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\U00010000-\U0001efff\U00020000-\U000323af"
)
_APOSTROPHES = "'\u2018\u2019\u02bc\uff07`\u00b4"
WORD = re.compile(f"[{_LETTER}]+")
"""A run of letters and digits."""

PART = re.compile(
    r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+"
    r"|[\u30a0-\u30ff]+|[\u3040-\u309f]+|[\u3400-\u9fff]+|[^\x00-\x7f\u3040-\u30ff\u3400-\u9fff]+"
)
"""A sub-token of a folded run: camelCase, acronym, letter/digit and Japanese script boundaries."""

_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)+\.?")
_LOCATOR = re.compile(
    r"""^(?:[a-z][a-z0-9+.-]*://)?      # scheme
        (?:[^\s@/]*@)?                  # user
        (?P<host>[^\s:/?\#@]+)          # host
        (?::\d+)?(?:[/?\#]\S*)?$        # port, path""",
    re.VERBOSE | re.IGNORECASE,
)
_SCOPE = re.compile(r"^@(?P<scope>[^\s/@.]+)(?:/\S*)?$")
_SIGNS = str.maketrans(dict.fromkeys("\u2122\u00ae\u00a9\u2120", ""))  # ™ ® © ℠: no letters


@dataclass(frozen=True, slots=True)
class Name:
    """A name as written (`surface`) and the key it goes by (`key`)."""

    surface: str
    key: NameKey


def parse(surface: str) -> Name:
    """Read *surface* as a name.

    Raises `InvalidNameError` when it is empty, longer than `MAX_LENGTH` characters, or has no
    letter or digit. The error never repeats the text.
    """
    if len(surface) > MAX_LENGTH:
        raise InvalidNameError(
            f"the name was not checked: it has {len(surface)} characters, {MAX_LENGTH} are allowed",
            hint="pass one organisation's name at a time, without the text around it",
        )
    if not surface.strip():
        raise InvalidNameError("the name was not checked: it is empty", hint="pass a name")
    key = canonicalise(surface)
    if not key:
        raise InvalidNameError(
            "the name was not checked: it has no letter or digit",
            hint="pass the name as it would be written",
        )
    return Name(surface, key)


@lru_cache(maxsize=4096)
def canonicalise(surface: str) -> NameKey:
    """Return *surface*'s key; empty when it holds no letter or digit."""
    text = fold(surface).strip()
    label = _organisation_label(text)
    words = _words(text if label is None else label)
    return NameKey("".join(_without_legal_form(words)).casefold())


# --- fold ----------------------------------------------------------------------------------


def fold(text: str) -> str:
    """Bring *text* to plain letters; its case stays, since case marks where words begin.

    Unicode NFKC, minus default-ignorable characters, Latin accents and UTS 39 look-alikes.
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text.translate(_SIGNS))
    text = "".join(c for c in text if not _invisible(c))
    return WORD.sub(lambda run: _fold_run(run.group()), text)


def _invisible(char: str) -> bool:
    return not char.isascii() and (
        unicodedata.category(char) == "Cf"
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
        or char in "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
    )


@lru_cache(maxsize=65536)
def _fold_run(run: str) -> str:
    """Fold one run of letters: accents off, then look-alikes to the letters they pass for.

    A word keeps its own script unless it mixes scripts or all of it reads as Latin: ``Яндекс``
    stays, ``Асме`` (Cyrillic) is ``Acme``.
    """
    if run.isascii():
        return run
    plain = _without_accents(run)
    if plain.isascii():
        return plain
    latin = [_latin_twin(c) for c in plain]
    if all(latin) or re.search(r"[A-Za-z]", plain):
        plain = "".join(twin or c for twin, c in zip(latin, plain, strict=True))
    return unicodedata.normalize("NFC", plain)


def _without_accents(run: str) -> str:
    """Drop marks after Latin and Greek letters only: elsewhere a mark is part of the spelling."""
    kept: list[str] = []
    european = False
    for char in unicodedata.normalize("NFKD", run):
        if unicodedata.combining(char):
            if not european:
                kept.append(char)
            continue
        european = char.isascii() or unicodedata.name(char, "").startswith(("LATIN", "GREEK"))
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


@cache
def _latin_twin(char: str) -> str:
    """The ASCII letters that *char*, or its capital, passes for (UTS 39); empty if none."""
    if char.isascii():
        return char
    for form in (char, char.upper()):
        for twin in _confusables().get(form, ()):
            bare = "".join(c for c in unicodedata.normalize("NFKD", twin["c"]) if c.isascii())
            others = [c for c in twin["c"] if not c.isascii() and not unicodedata.combining(c)]
            if not others and bare.isalpha() and len(bare) <= 2:
                return bare if form == char else bare.lower()
    return ""


@cache
def _confusables() -> dict[str, list[dict[str, str]]]:
    from confusable_homoglyphs import confusables

    data: dict[str, list[dict[str, str]]] = confusables.confusables_data
    return data


# --- locate --------------------------------------------------------------------------------


def _organisation_label(text: str) -> str | None:
    """The label of a scope, host, address or URL that names the organisation, or None."""
    if scope := _SCOPE.match(text):
        return scope["scope"]
    locator = _LOCATOR.match(text)
    if not locator or not _HOST.fullmatch(locator["host"]):
        return None
    registered = public_suffixes().privatesuffix(locator["host"].casefold().strip("."))
    return registered.partition(".")[0] if registered else None


@cache
def public_suffixes():  # type: ignore[no-untyped-def]  # noqa: ANN201  # the library is untyped
    """The Public Suffix List as its package ships it; nothing is fetched."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(accept_unknown=False)


# --- split ---------------------------------------------------------------------------------


def parts(run: str) -> list[str]:
    """The sub-tokens of one folded run, in their own case (``AcmeAPIClient``: Acme API Client)."""
    return PART.findall(run)


def _words(text: str) -> list[list[str]]:
    """The words of a name, each as its sub-tokens; dotted initials are one word (``S.p.A.``)."""
    spoken = re.sub(r"[&+]", lambda sign: f" {_SPOKEN[sign.group()]} ", text)
    bare = re.sub(f"[{_APOSTROPHES}]", "", spoken)
    initials = re.sub(r"\b(?:\w{1,2}\.){2,}\w?", lambda dots: dots.group().replace(".", ""), bare)
    return [parts(run) for run in WORD.findall(initials)]


# --- strip ---------------------------------------------------------------------------------


def _without_legal_form(words: list[list[str]]) -> list[str]:
    """Drop legal forms from the end, as often as one is there, never all of the name."""
    while form := _legal_form_length(words):
        words = words[:-form]
    while len(words) > 1 and words[-1] == ["and"]:
        words = words[:-1]
    if not words:
        return []
    *rest, last = words
    while len(last) > 1 and last[-1].lower() in _CAMEL_FORMS:
        last = last[:-1]
    return [p for word in rest for p in word] + _unglued(last)


def _legal_form_length(words: list[list[str]]) -> int:
    """How many of the last *words* are one legal form; 0 when none, or when nothing would stay."""
    tail = tuple("".join(word) for word in words[-4:])
    for start in range(len(tail)):
        form = tail[start:]
        if len(form) < len(words) and tuple(w.casefold() for w in form) in legal_forms():
            # "as", "et" and "da" are words too: a short form counts when written as one.
            short = len(form) == 1 and len(form[0]) <= 2
            if not short or form[0][0].isupper():
                return len(form)
    return 0


def _unglued(word: list[str]) -> list[str]:
    last = word[-1]
    for suffix in GLUED_SUFFIXES:
        if last.lower().endswith(suffix) and len("".join(word)) - len(suffix) >= _GLUED_STEM:
            return [*word[:-1], last[: -len(suffix)]]
    return word


@cache
def legal_forms() -> frozenset[tuple[str, ...]]:
    """Every legal form that cleanco knows, as folded words: ``("gmbh", "and", "co", "kg")``."""
    from cleanco.termdata import terms_by_country, terms_by_type

    terms = {t for table in (terms_by_type, terms_by_country) for ts in table.values() for t in ts}
    forms = {tuple(_term_words(term)) for term in (*terms, *_MORE_FORMS)}
    return frozenset(form for form in forms if form)


def _term_words(term: str) -> list[str]:
    spoken = fold(term).replace("&", " and ")
    return ["".join(WORD.findall(word)).casefold() for word in spoken.split() if WORD.search(word)]
