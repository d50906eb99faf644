"""Features: what is known of one candidate, as a set of named facts.

Each fact is plain English, since the facts with the most weight are what the reader is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from orgguard_mcp import knowledge
from orgguard_mcp.detect import shape
from orgguard_mcp.detect.gather import Seen
from orgguard_mcp.detect.grammar import FUNCTION_WORDS
from orgguard_mcp.detect.places import Sighting
from orgguard_mcp.detect.spans import Form
from orgguard_mcp.fileclass import PROVIDER_DIRS
from orgguard_mcp.knowledge import Kind
from orgguard_mcp.model import NOTHING, FileClass, Held, Surface


class Scene(NamedTuple):
    """What is known of the whole change and its base."""

    held: Mapping[str, Held]
    file_class: Callable[[str], FileClass]
    script_crowd: int = 0
    """Candidates in another script."""
    writes_script: bool = False
    """Whether the base itself writes Chinese, Japanese or Korean."""


_WORD, _TECH, _GIVEN, _FAMILY = map(int, (Kind.WORD, Kind.TECH, Kind.GIVEN, Kind.FAMILY))
_KNOWN: Final = tuple((kind.value, f"known {kind.name}") for kind in Kind)

_ALIKE: Final = {
    "on pr-body": "on commit-message",
    "on pr-title": "on commit-message",
    "on branch": "on path",
    "on tag": "on path",
}
"""Surfaces that are read alike: ordinary changes to learn from come without the first."""

_FILES: Final = {
    "in list of users": re.compile(r"adopters|users|customers|companies|sponsors|partners|readme"),
    "in list of people": re.compile(r"authors|contributors|maintainers|credits|thanks|codeowners"),
    "in changelog": re.compile(r"changelog|changes|history|news|release"),
    "in translation": re.compile(r"locale|lang|i18n|l10n|translation"),
    "in table": re.compile(r"\.[ct]sv\Z"),
}
"""What the path of a file says of it."""

_DIGITS_IN_NAME = re.compile(r"\d+ ?[A-Z][a-z]+|[A-Z][a-z]+\d+|[A-Z]\d[A-Za-z]+")
_INNER_CAPITAL = re.compile("[a-z][A-Z]")
_PLURAL_CAPITALS = re.compile("[A-Z]{2,}s")
_CODE_NUMBER = re.compile(r"[A-Z]{1,6}[-_]?\d+[A-Z]?")


def features(candidate: Seen, scene: Scene) -> set[str]:
    """The facts that hold of *candidate*."""
    found = set(_words(candidate, scene.held))
    found.update(_people(candidate))
    found.update(_written(candidate))
    found.update(_in_identifiers(candidate))
    found.update(_places(candidate, scene))
    for sighting in candidate.sightings:
        found.update(_ALIKE.get(cue, cue) for cue in sighting.cues)
    return found | set(_together(found))


def _banded(value: int, limits: tuple[int, ...], names: str) -> str:
    """The one of *names* for the band that *value* is in; the limits are the bands' last values."""
    return names.split()[sum(value > limit for limit in limits)]


# --- the words ------------------------------------------------------------------------------


def _words(candidate: Seen, held: Mapping[str, Held]) -> Iterator[str]:
    words = candidate.words
    novel = [w for w in words if w not in held]
    strange = [w for w in novel if not shape.plain(w)]
    yield f"words {min(len(words), 4)}"
    yield "strange word" if strange else "novel word" if novel else "base words"
    if strange and len(strange) == len(words):
        yield "all strange"
    if novel and len(novel) == len(words):
        yield "all novel"
    yield from _in_base(words, held.get(candidate.key, NOTHING))
    longest = max(strange or novel or words, key=len)
    yield "length " + _banded(len(longest), (2, 3, 4, 6, 9, 13), "1-2 3 4 5-6 7-9 10-13 14+")
    yield from _known(longest)
    if all(map(shape.plain, words)):
        yield "all plain"
        if len(words) > 1:
            yield "all plain, several"
            yield from _rarest(words, held)
    if strange:
        yield from _strangeness(longest, held)
    if len(words) > 1:
        if words[-1] in shape.ORG_WORDS:
            yield "closes as organisations do"
        if any(held.get(w, NOTHING).named or held.get(w, NOTHING).proper for w in words):
            yield "has a word that the base uses as a name"
        if words[0] in FUNCTION_WORDS:
            yield "begins with a small word"
        if not FUNCTION_WORDS.isdisjoint(words[1:-1]):
            yield "has a small word within"
    elif words[0].endswith(("ing", "ed", "ly", "able")):
        yield "has a verb's ending"
    if any(map(str.isdigit, words)):
        yield "digits"
    if not all(map(str.isascii, words)):
        yield "foreign script"


def _in_base(words: tuple[str, ...], whole: Held) -> Iterator[str]:
    if whole.files and len(words) > 1:
        yield "base has whole"
    if whole.files and len(words) == 1:
        yield "base files " + _banded(whole.files, (1, 9), "1 2+ 10+")
        if whole.proper:
            yield "base proper"
        if whole.named:
            yield "base named"
    if whole.places:
        yield "base path"


def _rarest(words: tuple[str, ...], held: Mapping[str, Held]) -> Iterator[str]:
    """How rare the rarest of several ordinary words is, in the base and in English."""
    files = min(held.get(w, NOTHING).files for w in words)
    yield "rarest in " + _banded(files, (0, 3, 20), "0 1-3 4-20 21+") + " files"
    spoken = [knowledge.frequency(w) for w in words if not w.isdigit()]
    if spoken:
        yield f"rarest frequency {min(spoken) // 10}"
    if any(shape.known(w) & _TECH for w in words):
        yield "has a technical word"


@lru_cache(maxsize=1 << 14)
def _known(word: str) -> tuple[str, ...]:
    """What the knowledge says of *word*."""
    kinds = shape.known(word)
    found = [fact for bit, fact in _KNOWN if kinds & bit] or ["known as nothing"]
    return (*found, f"frequency {knowledge.frequency(word) // 10}")


def _strangeness(word: str, held: Mapping[str, Held]) -> Iterator[str]:
    if not word.isascii():
        return
    slip = shape.misspelt(word)
    if slip:
        yield "misspelt"
    if slip > 1:
        yield "misspelt, long"
    kin = shape.kin(word, held)
    if kin:
        yield f"kin {kin}"
    derived = shape.derived(word)
    if derived:
        yield "derived"
    count = shape.pieces(word)
    if count:
        yield f"compound {min(count, 4)}"
    elif not derived and not slip and not kin:
        yield "coined"
    if not shape.speakable(word):
        yield "unspeakable"
    if shape.has_placeholder(word):
        yield "has a placeholder"
    if len(set(word)) * 2 <= len(word):
        yield "repeats itself"


# --- people ----------------------------------------------------------------------------------


def _people(candidate: Seen) -> Iterator[str]:
    words = candidate.words
    if any(s.span.form is Form.MEMBER and _beside_given(s) for s in candidate.sightings):
        yield "beside a given name"
    if len(words) not in {2, 3}:
        return
    first, last = shape.known(words[0]), shape.known(words[-1])
    if first & _GIVEN:
        yield "first word a given name"
    if last & _FAMILY and not last & _WORD:
        yield "last word a family name"
    if first & _GIVEN and not first & _WORD and (last & _FAMILY or not last):
        yield "reads as a person"


def _beside_given(sighting: Sighting) -> bool:
    """Whether the word before or after is a given name and nothing else."""
    line, span = sighting.line, sighting.span
    before = re.search(r"(\w+) $", line[max(0, span.start - 40) : span.start])
    after = re.match(r" (\w+)", line[span.end : span.end + 40])
    near = [shape.known(m[1].casefold()) for m in (before, after) if m]
    return any(kinds & _GIVEN and not kinds & _WORD for kinds in near)


# --- how it is written -------------------------------------------------------------------------


def _written(candidate: Seen) -> Iterator[str]:
    texts = {s.span.text for s in candidate.sightings}
    exact = [t for t in texts if len(t) <= len(candidate.key) + 6]
    if any(t.isupper() for t in exact):
        yield "in capitals"
    if any(t[:1].isupper() and not t.isupper() for t in exact):
        yield "capitalised"
    if all(t == t.lower() for t in texts):
        yield "never capitalised"
    if any(map(_INNER_CAPITAL.search, exact)):
        yield "inner capital"
    if any(map(_PLURAL_CAPITALS.fullmatch, exact)):
        yield "capitals with an s"
    if not all(map(str.isascii, exact)):
        yield "accent"
    if all(_CODE_NUMBER.fullmatch(t) for t in texts):
        yield "code number"
    if "".join(candidate.words[-1:]).isdigit() and len(candidate.words) > 1:
        yield "ends in digits"
    if candidate.words[0].isdigit():
        yield "begins with digits"
    if any(map(_DIGITS_IN_NAME.fullmatch, exact)):
        yield "capitalised with digits"


def _in_identifiers(candidate: Seen) -> Iterator[str]:
    words, size = candidate.words, len(candidate.words)
    for sighting in candidate.sightings:
        span = sighting.span
        if span.form is not Form.IDENTIFIER:
            continue
        rest = len(span.words) - size
        if not rest:
            yield "whole identifier"
        elif span.words[:size] == words:
            yield "heads identifier"
        elif span.words[-size:] == words:
            yield "ends identifier"
        else:
            yield "within identifier"
        yield f"identifier has {min(rest, 4)} more"


# --- where it stands ---------------------------------------------------------------------------


def _places(candidate: Seen, scene: Scene) -> Iterator[str]:
    sightings = candidate.sightings
    spots = {(s.path, s.number, s.span.start) for s in sightings}
    files = {s.path for s in sightings if s.surface.in_file}
    forms = {s.span.form for s in sightings}
    yield "places " + _banded(len(spots), (1, 2, 5), "1 2 3-5 6+")
    yield f"surfaces {min(len({s.surface for s in sightings}), 4)}"
    yield f"files {min(len(files), 3)}"
    yield f"forms {min(len(forms), 4)}"
    for path in files:
        yield from _file(path, scene.file_class(path).value)
    if Form.SCRIPT in forms:
        yield from _script(candidate, scene)
    for sighting in sightings:
        if sighting.surface is Surface.PATH:
            yield from _path(candidate, sighting)


@lru_cache(maxsize=1 << 12)
def _file(path: str, file_class: str) -> tuple[str, ...]:
    agents = file_class == FileClass.AGENT_RULES.value
    kind = FileClass.DOCS.value if agents else file_class  # prose, both
    lower = path.lower()
    named = tuple(fact for fact, pattern in _FILES.items() if pattern.search(lower))
    return (f"in {kind} file", *named)


def _script(candidate: Seen, scene: Scene) -> Iterator[str]:
    texts = [s.span.text for s in candidate.sightings if s.span.form is Form.SCRIPT]
    size = max(map(len, texts))
    yield "script length " + _banded(size, (3, 6, 9), "2-3 4-6 7-9 10+")
    if scene.script_crowd > 4:
        yield "much script"
    if scene.writes_script:
        yield "base writes it"
        yield f"base writes it: {'amid script' if _amid(candidate) else 'by itself'}"
    if _amid(candidate):
        yield "always amid script"
    if any(map(shape.closes_in_script, texts)):
        yield "closes as organisations do in script"


def _amid(candidate: Seen) -> bool:
    return all(
        "amid script" in s.cues or "beside a full-width sign" in s.cues for s in candidate.sightings
    )


def _path(candidate: Seen, sighting: Sighting) -> Iterator[str]:
    path = sighting.path
    *folders, name = path.split("/")
    if sighting.span.start >= len(path) - len(name):
        yield "names the file"
        if candidate.key == re.sub(r"[\W_]", "", name.partition(".")[0]).lower():
            yield "is the file's name"
        if re.search(r"\d{3,}\.\w+$", name):
            yield "in a numbered file"
    else:
        yield "names a folder"
    if not PROVIDER_DIRS.isdisjoint(folder.casefold() for folder in folders):
        yield "among providers"


# --- facts together ------------------------------------------------------------------------------

_SHAPES: Final = (
    "misspelt, long", "kin technical", "kin inflected", "kin compound", "compound 2", "derived",
    "misspelt", "coined", "unspeakable",
)  # fmt: skip
"""What a strange word is made like; the first that holds."""

_TELLING: Final = frozenset({
    "acts", "auxiliary", "bare subject", "has", "possessive", "made for", "done by", "addressed",
    "opens a clause", "after for", "after from", "after by", "after to", "after with", "after at",
    "after of", "after on", "after and", "after per", "towards", "after role", "before role",
    "after article", "organisation label", "label", "opening", "within", "alone", "as host",
    "as address", "as handle", "as owner", "as word of a phrase", "as phrase", "as word",
    "as subject", "beside a given name", "reads as a person", "before an address",
    "before a handle", "as scope", "as identifier", "trailer", "thanks", "import", "link text",
    "item", "quoted", "ticked", "path part", "dotted", "called", "defined", "assigned", "as key",
    "heads identifier", "ends identifier", "within identifier", "whole identifier",
    "identifier has 1 more", "identifier has 2 more", "identifier has 3 more",
    "identifier has 4 more", "cell", "listed", "in table", "version", "amid capitals",
    "inner capital", "names the file", "names a folder", "on path", "on commit-message", "on docs",
    "on data", "on string", "on comment", "on code", "in test file", "in code file",
    "closes as organisations do", "digits",
    "capitalised with digits", "in changelog", "in list of people", "has a verb's ending",
    "beside an example",
})  # fmt: skip
"""Facts whose meaning depends on what kind of word they are said of."""


def _together(found: set[str]) -> Iterator[str]:
    bases = {"strange word": "strange", "novel word": "novel", "base words": "known"}
    base = next(short for fact, short in bases.items() if fact in found)
    made = next((shape_ for shape_ in _SHAPES if shape_ in found), "")
    case = "lower"
    if "in capitals" in found or "capitalised" in found:
        case = "caps" if "in capitals" in found else "cap"
    kind = f"{base} {case} {'single' if 'words 1' in found else 'multi'}"
    yield f"{kind} {made}"
    for fact in _TELLING & found:
        yield f"{kind}: {fact}"
        if made:
            yield f"{made}: {fact}"
    if "places 1" in found:
        yield f"once: {base} {made}"
    length = next(fact for fact in found if fact.startswith("length"))
    yield f"{kind}: {length}"
