"""Where OrgGuard's knowledge of words comes from: one reader a package, which yields claims.

A reader gets the package as downloaded and reads it as data; nothing of it is imported or run.
"""

from __future__ import annotations

import ast
import builtins
import errno
import gzip
import html.entities
import http
import json
import keyword
import mimetypes
import re
import signal
import sys
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orgguard_mcp.knowledge import Kind

Claim = tuple[str, Kind]
"""A word as its source writes it, and what that source says it is."""


class Archive:
    """A downloaded package: its files by their path within it."""

    def __init__(self, path: Path) -> None:
        if path.suffix == ".whl":
            wheel = zipfile.ZipFile(path)
            self._paths, self._bytes = sorted(wheel.namelist()), wheel.read
        else:
            files = _unpacked(path)
            self._paths, self._bytes = sorted(files), files.__getitem__

    def read(self, path: str) -> str:
        """The text of the file whose path ends in *path*, unpacked if need be."""
        (found,) = (p for p in self._paths if p == path or p.endswith("/" + path))
        data = self._bytes(found)
        return (gzip.decompress(data) if found.endswith(".gz") else data).decode("utf-8")

    def matching(self, pattern: str) -> list[str]:
        """The paths that *pattern* is found in."""
        return [path for path in self._paths if re.search(pattern, path)]


def _unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            member.name: file.read() for member in archive if (file := archive.extractfile(member))
        }


Reader = Callable[[Archive], Iterator[Claim]]


# --- English -------------------------------------------------------------------------------


def hunspell(archive: Archive) -> Iterator[Claim]:
    """Every form of every entry; one written with a capital is a proper noun."""
    affixes = _Affixes(archive.read("index.aff"))
    for line in archive.read("index.dic").splitlines()[1:]:
        entry, _, flags = line.partition("/")
        if affixes.only_in_compounds(flags):
            continue
        kind = Kind.WORD if entry.islower() else Kind.PROPER
        for form in affixes.forms(entry, flags):
            yield form.replace("'", ""), kind
            if "'" in form and len(stem := form.partition("'")[0]) > 2:
                yield stem, kind  # "doesn't" is read as "doesn" and "t"


def stems(archive: Archive) -> Iterator[Claim]:
    """The entries in lower case as they stand, letters among them, and those in compounds only."""
    for line in archive.read("index.dic").splitlines()[1:]:
        entry = line.partition("/")[0]
        if entry.isascii() and entry.isalnum() and entry.islower():
            yield entry, Kind.STEM


def american(archive: Archive) -> Iterator[Claim]:
    """What `hunspell` and `stems` say."""
    yield from hunspell(archive)
    yield from stems(archive)


class _Affixes:
    """Hunspell's affix rules, as far as SCOWL uses them: one-letter flags, one affix a side."""

    def __init__(self, text: str) -> None:
        self._rules: dict[str, list[_Rule]] = defaultdict(list)
        crossing: dict[str, bool] = {}
        for line in text.splitlines():
            match line.split():
                case ["PFX" | "SFX", flag, "Y" | "N" as crosses, _]:
                    crossing[flag] = crosses == "Y"
                case ["PFX" | "SFX" as kind, flag, cut, add, condition, *_]:
                    end = kind == "SFX"
                    where = re.compile(f"(?:{condition})$" if end else f"^(?:{condition})")
                    cut, add = ("" if part == "0" else part for part in (cut, add.split("/")[0]))
                    self._rules[flag].append(_Rule(end, crossing[flag], cut, add, where))

    @staticmethod
    def only_in_compounds(flags: str) -> bool:
        return "c" in flags

    def forms(self, word: str, flags: str) -> Iterator[str]:
        """*word*, with each suffix, with each prefix, and with both where they cross."""
        yield word
        ended = [f for flag in flags for f in self._apply(word, flag, end=True)]
        yield from (form for form, _ in ended)
        for flag in flags:
            for form, crosses in self._apply(word, flag, end=False):
                yield form
                if crosses:
                    for base in (form for form, also in ended if also):
                        yield from (both for both, _ in self._apply(base, flag, end=False))

    def _apply(self, word: str, flag: str, *, end: bool) -> Iterator[tuple[str, bool]]:
        for rule in self._rules.get(flag, ()):
            if rule.end is end and rule.where.search(word):
                yield rule.applied(word), rule.crosses


@dataclass(frozen=True, slots=True)
class _Rule:
    """One way to lengthen a word: what is cut at which end, and put there, and after which."""

    end: bool
    crosses: bool
    cut: str
    add: str
    where: re.Pattern[str]

    def applied(self, word: str) -> str:
        if self.end:
            return word.removesuffix(self.cut) + self.add
        return self.add + word.removeprefix(self.cut)


def counts(archive: Archive) -> dict[str, int]:
    """How often each word of the frequency list was seen."""
    lines = archive.read("frequency_dictionary_en_82_765.txt").lstrip("\ufeff").splitlines()
    return {word: int(count) for word, count in (line.split() for line in lines)}


# --- software ------------------------------------------------------------------------------


def cspell(paths: list[str], kind: Kind = Kind.TECH) -> Reader:
    """A reader of the entries of cSpell's plain lists."""

    def read(archive: Archive) -> Iterator[Claim]:
        for path in paths:
            for line in archive.read(path).splitlines():
                if not line.startswith(("#", "!")):
                    entry = line.partition("#")[0].strip(" *+")
                    yield entry, kind

    return read


def companies(archive: Archive) -> list[str]:
    """The companies that cSpell lists: only ever taken away, never shipped."""
    return [text for text, _ in cspell(["companies.txt"])(archive)]


def pygments(archive: Archive) -> Iterator[Claim]:
    """What the lexers list as keywords, builtins, types and functions of their languages."""
    for path in archive.matching(r"pygments/lexers/\w+\.py$"):
        if path.endswith("_mapping.py"):
            continue
        tree = ast.parse(archive.read(path))
        whole = path.endswith("_builtins.py")
        for node in ast.walk(tree):
            listed = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "words"
            if listed or (whole and isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict)):
                for text in _strings(node):
                    if re.fullmatch(r"[\w.:!?*-]{2,40}", text):
                        yield text, Kind.TECH


def spdx(archive: Archive) -> Iterator[Claim]:
    """Licence identifiers; of those in one word only initials, since some are companies' names."""
    for table, value in _assignments(archive.read("packaging/licenses/_spdx.py")):
        entries = ast.literal_eval(value).values() if table in {"LICENSES", "EXCEPTIONS"} else ()
        for name in (entry["id"] for entry in entries):
            if re.search(r"[\d-]", name) or (name.isupper() and len(name) <= 5):
                yield re.sub(r"[^A-Za-z0-9]", "", name), Kind.LICENCE


def python() -> Iterator[Claim]:
    """What this Python knows: keywords, modules, signals, errors, entities, media types."""
    names: list[Iterable[str]] = [
        keyword.kwlist, keyword.softkwlist, dir(builtins), sys.stdlib_module_names,
        (s.name for s in signal.Signals), errno.errorcode.values(),
        html.entities.html5, (s.phrase for s in http.HTTPStatus),
        (suffix.strip(".") for suffix in mimetypes._types_map_default),  # noqa: SLF001
    ]  # fmt: skip
    for name in (name for group in names for name in group):
        yield name.strip(";"), Kind.TECH


# --- people --------------------------------------------------------------------------------


def faker_people(archive: Archive) -> Iterator[Claim]:
    """Given and family names of some seventy locales."""
    for path in archive.matching(r"faker/providers/person/\w+/__init__\.py$"):
        for name, value in _assignments(archive.read(path)):
            if re.match(r"_?(first|given|middle)_name", name):
                yield from ((text, Kind.GIVEN) for text in _strings(value))
            elif re.match(r"_?(last_name|family|surname)", name):
                yield from ((text, Kind.FAMILY) for text in _strings(value))


# --- other languages and places ------------------------------------------------------------


def faker(archive: Archive) -> Iterator[Claim]:
    """People, and the word lists that Faker makes its sentences of."""
    yield from faker_people(archive)
    for path in archive.matching(r"faker/providers/lorem/\w+/__init__\.py$"):
        for name, value in _assignments(archive.read(path)):
            if "/en_" not in path and name.endswith("word_list"):
                yield from ((text, Kind.FOREIGN) for text in _strings(value))


_MIMESIS = {
    "text": {"words": Kind.FOREIGN, "color": Kind.FOREIGN},
    "datetime": {"day": Kind.FOREIGN, "month": Kind.FOREIGN},
    "address": {"country": Kind.PLACE, "state": Kind.PLACE, "continent": Kind.PLACE},
    "person": {
        "names": Kind.GIVEN, "surnames": Kind.FAMILY,
        "language": Kind.PLACE, "nationality": Kind.PLACE,
    },
}  # fmt: skip


def mimesis(archive: Archive) -> Iterator[Claim]:
    """Words, calendars, people, countries and regions of some forty locales."""
    for path in archive.matching(r"mimesis/datasets/[a-z]{2}(-[a-z]+)?/\w+\.json$"):
        english = "/en" in path
        data = json.loads(archive.read(path))
        for key, kind in _MIMESIS.get(Path(path).stem, {}).items():
            if not (english and kind is Kind.FOREIGN):
                yield from ((text, kind) for text in _leaves(data.get(key)))


def stop_words(archive: Archive) -> Iterator[Claim]:
    """The function words of some sixty languages."""
    for language, words in json.loads(archive.read("stopwords-iso.json")).items():
        if language != "en":
            yield from ((word, Kind.FOREIGN) for word in words)


def countries(archive: Archive) -> Iterator[Claim]:
    """Countries in some eighty languages, and their codes."""
    for path in archive.matching(r"/langs/\w+\.json$"):
        for name in _leaves(json.loads(archive.read(path))["countries"]):
            yield name, Kind.PLACE
    for _, three, *_ in json.loads(archive.read("codes.json")):
        yield three, Kind.PLACE


def languages(archive: Archive) -> Iterator[Claim]:
    """Languages by their English and their own name."""
    for name in re.findall(r"[nN]ame: '([^']+)'", archive.read("src/data.js")):
        yield name, Kind.PLACE


def zones(archive: Archive) -> Iterator[Claim]:
    """The places that time zones are named after."""
    for zone in archive.read("tzdata/zones").split():
        if not zone.startswith("Etc/"):
            yield from ((part.replace("_", " "), Kind.PLACE) for part in zone.split("/"))


POPULATION = 100_000
"""Inhabitants that a city needs: below, most names are also a family's or a firm's."""


def cities(archive: Archive) -> Iterator[Claim]:
    """Cities, capitals, the United States' states and the currencies, from GeoNames."""
    for city in json.loads(archive.read("data/cities15000.json")).values():
        if city["population"] >= POPULATION:
            yield city["name"], Kind.PLACE
    for country in json.loads(archive.read("data/countries.json")).values():
        yield country["name"], Kind.PLACE
        yield country["capital"], Kind.PLACE
        yield country["currencycode"], Kind.STANDARD
    for state in json.loads(archive.read("data/us_states.json")).values():
        yield state["name"], Kind.PLACE


# --- ours ----------------------------------------------------------------------------------


def jargon(text: str) -> Iterator[Claim]:
    """Our own supplement: paragraphs of words, each under the name of a kind."""
    kind = Kind.TECH
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words and words[0] in Kind.__members__:
            kind = Kind[words.pop(0)]
        yield from ((word, kind) for word in words)


def _strings(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def _assignments(text: str) -> Iterator[tuple[str, ast.expr]]:
    """Each name that module or class code in *text* assigns to, and the expression."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value):
                yield name, value


def _leaves(data: object) -> Iterator[str]:
    """Every text within lists and dictionaries."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from _leaves(value)
    elif isinstance(data, list):
        for value in data:
            yield from _leaves(value)
