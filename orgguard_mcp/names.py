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
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NewType

from orgguard_mcp.errors import InvalidNameError

MAX_LENGTH = 200
"""The longest name taken, in characters as written."""

NameKey = NewType("NameKey", str)
"""A canonical key. Only this module makes one, so the type proves that a text was folded."""

RESERVED_TOP_LEVEL = frozenset({"example", "invalid", "localhost", "test", "local"})
"""RFC 2606, RFC 6761; ``local`` is RFC 6762's."""

RESERVED_DOMAINS = frozenset({"example.com", "example.net", "example.org"})
"""RFC 2606, section 3. Under them everybody's names may stand, so these are looked at."""

GLUED_SUFFIXES = ("corporation", "corp", "gmbh", "inc", "llc", "ltd")
"""Legal forms that are also written onto a name in lower case (``acmecorp``)."""

_GLUED_STEM = 4  # letters that must stay: "acmecorp" is acme, "bancorp" is not ban
_MORE_FORMS = ("PBC", "PJSC", "JSC", "UG", "OÜ")  # what cleanco does not know
_SPOKEN = {"&": "and", "+": "plus"}
_CAMEL_FORMS = frozenset({*GLUED_SUFFIXES, "incorporated", "limited", "plc", "company", "llp"})

_APOSTROPHES = "'\u2018\u2019\u02bc\u0060\u00b4"
WORD = re.compile(r"[A-Za-z0-9\x80-\U0010ffff]+")
"""A run of letters and digits in folded text, where nothing else is left outside ASCII."""

PART = re.compile(
    r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+"
    r"|[\u30a0-\u30ff]+|[\u3040-\u309f]+|[\u3400-\u9fff]+|[^\x00-\x7f\u3040-\u30ff\u3400-\u9fff]+"
)
"""A sub-token of a folded run: camelCase, acronym, letter/digit and Japanese script boundaries."""

_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)+\.?")
_LOCATOR = re.compile(
    r"""^(?:[a-z][a-z0-9+.-]*://)?      # scheme
        (?:(?P<user>[^\s@/]*)@)?        # user
        (?P<host>[^\s:/?\#@]+)          # host
        (?::\d+)?(?P<path>[/?\#]\S*)?$  # port, path""",
    re.VERBOSE | re.IGNORECASE,
)
_SCOPE = re.compile(r"^@(?P<scope>[^\s/@.]+)(?:/\S*)?$")
_INITIALS = re.compile(r"\b(?:(?:\w{1,2}\.){2,}\w?|\w/\w\b)")  # S.p.A., A/S
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
    if not any(map(str.isalnum, text)):
        return NameKey("")
    words = _words(_organisation_label(text)) or _words(text)
    return NameKey("".join(_without_legal_form(words)).casefold())


# --- fold ----------------------------------------------------------------------------------


def fold(text: str) -> str:
    """Bring *text* to plain letters; its case stays, since case marks where words begin.

    Unicode NFKC, minus default-ignorable characters, Latin accents and UTS 39 look-alikes.
    """
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_KINDS)
    return WORD.sub(lambda run: _fold_run(run.group()), plain)


class _Kinds(dict[int, str | int | None]):
    """For `str.translate`: letters, digits and marks stay, what is invisible goes, apostrophes and
    dashes become ASCII's, and all other signs outside ASCII become a space. Filled as it is used.
    """

    def __missing__(self, code: int) -> str | int | None:
        char = chr(code)
        category = unicodedata.category(char)
        if code < 0x80:
            kind: str | int | None = code
        elif char in _APOSTROPHES:
            kind = "'"
        elif category == "Cf" or char in _FILLERS or (category == "Mn" and _is_selector(code)):
            kind = None
        elif category == "Pd":
            kind = "-"
        else:
            kind = code if category[0] in "LMN" else " "
        self[code] = kind
        return kind


_KINDS = _Kinds()
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"


def _is_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF


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
    mixed = re.search(r"[A-Za-z]", plain) is not None
    # A word of one foreign script has one key in both cases, though its cases look different.
    if mixed or all(_latin_twin(c.lower()) for c in plain):  # most words end that at once
        latin = (_latin_twin(c if mixed else c.lower()) for c in plain)
        twins = zip(latin, plain, strict=True)
        plain = "".join((t.upper() if c.isupper() else t) if t else c for t, c in twins)
    return unicodedata.normalize("NFC", plain)


def _without_accents(run: str) -> str:
    """Drop marks after Latin and Greek letters only: elsewhere a mark is part of the spelling."""
    decomposed = unicodedata.normalize("NFKD", run)
    if not any(map(unicodedata.combining, decomposed)):  # most runs of other scripts have no mark
        return unicodedata.normalize("NFC", decomposed)
    kept: list[str] = []
    letter = ""
    for char in decomposed:
        if not unicodedata.combining(char):
            letter = char
        elif letter and _is_european(letter):
            continue
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def _is_european(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith(("LATIN", "GREEK"))


@cache
def _latin_twin(char: str) -> str:
    """The ASCII letters that *char*, or else its capital, passes for (UTS 39); empty if none."""
    if char.isascii():
        return char
    for form in (char, char.upper()):
        twins = list(filter(None, map(_ascii, _confusables().get(form, ()))))
        # "І" passes for "l" and for "I": the one of its own case is meant.
        twins.sort(key=lambda twin: twin.isupper() != form.isupper())
        if twins and form.isupper() and twins[0] == "l":
            twins = ["I"]  # UTS 39 has one prototype for l, I and 1
        if twins:
            return twins[0] if form == char else twins[0].lower()
    return ""


def _ascii(text: str) -> str:
    """*text* without its marks, if that leaves one or two ASCII letters; else nothing."""
    bare = [c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)]
    letters = "".join(bare)
    return letters if letters.isascii() and letters.isalpha() and len(letters) <= 2 else ""


@cache
def _confusables() -> dict[str, list[str]]:
    import json

    import confusable_homoglyphs  # its module that reads the table imports an HTTP client, too

    table = Path(confusable_homoglyphs.__file__).with_name("confusables.json")
    data: dict[str, list[dict[str, str]]] = json.loads(table.read_bytes())
    return {char: [twin["c"] for twin in twins] for char, twins in data.items()}


# --- locate --------------------------------------------------------------------------------


def reserved_rest(text: str) -> str | None:
    """What stands around the reserved domain of a host, address or URL, as words: ``zorblatt`` of
    ``zorblatt.example.com``; empty for the domain alone, None when the host is not reserved.
    """
    locator = _LOCATOR.match(text)
    host = locator["host"].casefold().strip(".") if locator else ""
    labels = host.split(".")
    if not locator or not _HOST.fullmatch(host):
        return None
    if ".".join(labels[-2:]) in RESERVED_DOMAINS:
        around = labels[:-2]
    elif labels[-1] in RESERVED_TOP_LEVEL:
        around = labels[:-1]
    else:
        return None
    return " ".join(filter(None, (*around, locator["user"], locator["path"])))


def _organisation_label(text: str) -> str:
    """The label of a scope, host, address or URL that names the organisation; empty if none."""
    if around := reserved_rest(text):
        return around
    if scope := _SCOPE.match(text):
        return scope["scope"]
    head, *rest = re.split(r",?\s+", text, maxsplit=1)
    if rest and (form := _words(rest[0])) and _legal_form_length([[head], *form]) == len(form):
        text = head  # "Acme.com, Inc."
    locator = _LOCATOR.match(text)
    if not locator or not _HOST.fullmatch(locator["host"]):
        return ""
    registered = public_suffixes().privatesuffix(locator["host"].casefold().strip("."))
    return str(registered or "").partition(".")[0]


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
    initials = _INITIALS.sub(lambda form: re.sub(r"[./]", "", form.group()).upper(), bare)
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
    """*word* without legal forms written onto it, as long as enough of it stays."""
    glued = "".join(word)
    for suffix in GLUED_SUFFIXES:
        if glued.lower().endswith(suffix) and len(glued) - len(suffix) >= _GLUED_STEM:
            return _unglued([glued[: -len(suffix)]])
    return word


@cache
def legal_forms() -> frozenset[tuple[str, ...]]:
    """Every legal form that cleanco knows, as folded words: ``("gmbh", "and", "co", "kg")``."""
    from cleanco.termdata import terms_by_country, terms_by_type

    terms = {t for table in (terms_by_type, terms_by_country) for ts in table.values() for t in ts}
    forms = {form for term in (*terms, *_MORE_FORMS) for form in _term_forms(term)}
    return frozenset(form for form in forms if form)


def _term_forms(term: str) -> Iterator[tuple[str, ...]]:
    """*term* as folded words: its dots taken out (``commv``), and as gaps (``comm v``)."""
    spoken = fold(term).replace("&", " and ").casefold()
    for written in (spoken, spoken.replace(".", " ")):
        yield tuple("".join(WORD.findall(word)) for word in written.split() if WORD.search(word))
