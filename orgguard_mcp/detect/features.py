"""Features: what is known of one candidate, as a set of named facts.

Each fact is plain English, since the facts with the most weight are what the reader is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orgguard_mcp import knowledge
from orgguard_mcp.detect import shape, spans
from orgguard_mcp.detect.gather import Candidate, Sighting
from orgguard_mcp.detect.spans import Form
from orgguard_mcp.fileclass import PROVIDER_DIRS
from orgguard_mcp.knowledge import Kind
from orgguard_mcp.model import NOTHING, FileClass, Held, Surface

_SAME = {
    "on pr-body": "on commit-message",
    "on pr-title": "on commit-message",
    "on branch": "on path",
    "on tag": "on path",
}
"""Surfaces that are read alike."""

_PROPER_FORMS = frozenset({Form.PHRASE, Form.WORD})


def features(
    candidate: Candidate,
    held: Mapping[str, Held],
    file_class: Mapping[str, FileClass],
    crowd: int = 0,
    held_scripts: frozenset[str] = frozenset(),
) -> set[str]:
    """The facts that hold of *candidate*."""
    found = set(_words(candidate, held))
    found |= set(_forms(candidate))
    found |= set(_places(candidate, file_class, crowd, held_scripts))
    for sighting in candidate.sightings:
        found |= {_SAME.get(cue, cue) for cue in sighting.cues}
    return found | set(_together(found))


def _words(candidate: Candidate, held: Mapping[str, Held]) -> Iterator[str]:
    words = candidate.words
    strange = [w for w in words if w not in held and not shape.plain(w)]
    novel = [w for w in words if w not in held]
    whole = held.get(candidate.key, NOTHING)
    yield f"words {min(len(words), 4)}"
    yield "strange word" if strange else "novel word" if novel else "base words"
    if strange and len(strange) == len(words):
        yield "all strange"
    if len(words) > 1 and whole.files:
        yield "base has whole"
    if len(words) == 1 and whole.files:
        yield f"base files {'1' if whole.files < 2 else '2+' if whole.files < 10 else '10+'}"
        if whole.proper: yield "base proper"
        if whole.named: yield "base named"
    if whole.places: yield "base path"
    longest = max(strange or novel or list(words), key=len)
    yield f"length {('1-2', '3', '4', '5-6', '7-9', '10-13', '14+')[sum(len(longest) > n for n in (2, 3, 4, 6, 9, 13))]}"
    yield from _kinds(longest)
    if all(shape.plain(w) for w in words):
        yield "all plain"
        if len(words) > 1: yield "all plain, several"
    if strange:
        yield from _strangeness(longest)
    if any(s.span.form is Form.MEMBER and _beside_given(s) for s in candidate.sightings):
        yield "beside a given name"
    if len(words) in {2, 3}:
        first, last = shape.known(words[0]), shape.known(words[-1])
        if first & Kind.GIVEN: yield "first word a given name"
        if last & Kind.FAMILY and not last & Kind.WORD: yield "last word a family name"
        if first & Kind.GIVEN and not first & Kind.WORD and (last & Kind.FAMILY or last == 0): yield "reads as a person"
    if words[-1] in shape.ORG_WORDS and len(words) > 1:
        yield "closes as organisations do"
    if any(w.isdigit() for w in words):
        yield "digits"
    if any(not w.isascii() for w in words):
        yield "foreign script"


def _beside_given(sighting: Sighting) -> bool:
    """Whether the word before or after is a given name and nothing else, as in `Carl Meyer`."""
    line, span = sighting.location.text, sighting.span
    near = re.findall(r"(\w+) $", line[: span.start])[:1] + re.findall(r"^ (\w+)", line[span.end :])
    return any(
        shape.known(w.casefold()) & Kind.GIVEN and not shape.known(w.casefold()) & Kind.WORD
        for w in near
    )


def _kinds(word: str) -> Iterator[str]:
    kinds = shape.known(word)
    for kind in Kind:
        if kinds & kind:
            yield f"known {kind.name}"
    if not kinds:
        yield "known as nothing"
    band = knowledge.frequency(word) // 10
    yield f"frequency {band}"


def _strangeness(word: str) -> Iterator[str]:
    if not word.isascii(): return
    if shape.misspelt(word):
        yield "misspelt"
        if len(word) > 7:
            yield "misspelt, long"
    if shape.derived(word):
        yield "derived"
    count = shape.pieces(word)
    if count:
        yield f"compound {min(count, 4)}"
    elif not shape.derived(word) and not shape.misspelt(word):
        yield "coined"
    if not shape.speakable(word):
        yield "unspeakable"


def _forms(candidate: Candidate) -> Iterator[str]:
    texts = {s.span.text for s in candidate.sightings}
    exact = [t for t in texts if len(t) <= len(candidate.key) + 6]
    if any(t.isupper() for t in exact): yield "in capitals"
    if any(t[:1].isupper() and not t.isupper() for t in exact): yield "capitalised"
    if not any(any(ch.isupper() for ch in t) for t in texts): yield "never capitalised"
    if any(re.search(r"[a-z][A-Z]", t) for t in exact): yield "inner capital"
    if any(not t.isascii() for t in exact): yield "accent"
    if all(re.fullmatch(r"[A-Z]{1,6}[-_]?\d+[A-Z]?", t) for t in texts): yield "code number"
    heads = [s.span for s in candidate.sightings if s.span.form is Form.IDENTIFIER]
    for span in heads:
        if span.words[: len(candidate.words)] == candidate.words:
            if len(span.words) > len(candidate.words): yield "heads identifier"
        elif span.words[-len(candidate.words):] == candidate.words: yield "ends identifier"
        else: yield "within identifier"
        if span.words == candidate.words: yield "whole identifier"


def _places(
    candidate: Candidate, file_class: Mapping[str, FileClass], crowd: int, held_scripts: frozenset[str]
) -> Iterator[str]:
    sightings = candidate.sightings
    spots = {(s.location.path, s.location.line, s.location.column) for s in sightings}
    surfaces = {s.location.surface for s in sightings}
    files = {s.location.path for s in sightings if s.location.surface.in_file}
    forms = {s.span.form for s in sightings}
    yield f"places {('1', '2', '3-5', '6+')[sum(len(spots) > n for n in (1, 2, 5))]}"
    yield f"surfaces {min(len(surfaces), 4)}"
    yield f"files {min(len(files), 3)}"
    yield f"forms {min(len(forms), 4)}"
    for path in files:
        yield f"in {file_class[path].value} file"
        if re.search(r"(adopters|users|customers|companies|sponsors|partners|readme)", path.lower()): yield "in list of users"
        if re.search(r"(changelog|changes|history|news|release)", path.lower()): yield "in changelog"
        if re.search(r"(locale|lang|i18n|l10n|translation)", path.lower()): yield "in translation"
    if Form.SCRIPT in forms:
        if any(len(s.span.text) > 6 for s in sightings): yield "long script"
        if crowd > 4: yield "much script"
        if "script" in held_scripts: yield "base writes it"
        if all(len(spans._SCRIPT.findall(s.location.text)) > 1 for s in sightings): yield "amid script"
    for s in sightings:
        if s.location.surface is Surface.PATH:
            yield from _path(candidate, s)
            if "/.changeset/" in "/" + s.location.path: yield "machine-made file name"


def _path(candidate: Candidate, sighting: Sighting) -> Iterator[str]:
    *folders, name = sighting.location.path.split("/")
    at = sighting.location.column - 1
    if at >= len(sighting.location.path) - len(name):
        yield "names the file"
        if "".join(candidate.words) == re.sub(r"[\W_]", "", name.partition(".")[0]).lower(): yield "is the file's name"
    else:
        yield "names a folder"
    if not PROVIDER_DIRS.isdisjoint(f.casefold() for f in folders): yield "among providers"


def _together(found: set[str]) -> Iterator[str]:
    base = "strange" if "strange word" in found else "novel" if "novel word" in found else "known"
    shape_ = next((s for s in ("compound 2", "derived", "misspelt", "coined", "unspeakable") if s in found), "")
    cap = "caps" if "in capitals" in found else "cap" if "capitalised" in found else "lower"
    multi = "multi" if "words 1" not in found else "single"
    kind = f"{base} {shape_} {cap} {multi}"
    yield kind
    for cue in ("acts", "auxiliary", "has", "possessive", "after for", "after from", "after by", "after to", "after with", "after at", "after role", "organisation label", "label",
                "opening", "within", "alone", "as host", "as address", "as handle", "as owner", "as word of a phrase", "beside a given name", "as scope", "as identifier", "author trailer", "trailer", "thanks", "import", "link text", "item", "quoted", "ticked", "path part", "dotted", "called", "defined",
                "heads identifier", "ends identifier", "within identifier", "cell", "version", "on path", "on branch", "on commit-message", "on docs", "on data", "on string", "on comment", "on code", "on pr-body"):
        if cue in found:
            yield f"{base} {cap} {multi}: {cue}"
            if shape_: yield f"{shape_}: {cue}"
    if "places 1" in found:
        yield f"once: {base} {shape_}"
