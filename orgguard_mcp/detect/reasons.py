"""Reasons: the facts that weighed most, as a short English clause that never holds the name."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

_NOUNS: Final = (
    ("as script", "letters of another script"),
    ("legal form", "words with a legal form"),
    ("all plain, several", "ordinary words side by side"),
    ("digits", "letters and digits"),
    ("coined", "a coined word"),
    ("compound 2", "two words made one"),
    ("novel word", "a word that the base has not"),
    ("base words", "a word that the base uses otherwise"),
)
"""What a candidate is: the first that holds."""

_CUES: Final = {
    "organisation label": "in a field for an organisation",
    "label": "in a field for a name",
    "possessive": "that owns something",
    "acts": "before a verb of what organisations do",
    "auxiliary": "before a verb",
    "has": "before what organisations have",
    "after role": "called a customer, a vendor or the like",
    "before role": "before a word such as customer or vendor",
    "after for": "after 'for'",
    "after from": "after 'from'",
    "after by": "after 'by'",
    "after to": "after 'to'",
    "after with": "after 'with'",
    "after at": "after 'at'",
    "as host": "registered as a host's domain",
    "as address": "registered as an address's domain",
    "as owner": "as an owner on a code host",
    "as scope": "as a package scope",
    "as phrase": "written as one name",
    "link text": "as the text of a link",
    "item": "as an item of a list",
    "cell": "as a cell of a table",
    "quoted": "in quotation marks",
    "alone": "alone in its place",
    "within": "capitalised within a sentence",
    "heads identifier": "at the head of an identifier",
    "within identifier": "within an identifier",
    "ends identifier": "at the end of an identifier",
    "whole identifier": "as an identifier",
    "names the file": "in a file's name",
    "names a folder": "in a folder's name",
    "among providers": "in a folder of providers",
    "in list of users": "in a list of users",
    "closes as organisations do": "with a last word that organisations have",
}
"""What its surroundings say."""

_SURFACES: Final = {
    "on commit-message": "in a message",
    "on comment": "in a comment",
    "on string": "in a string",
    "on code": "in code",
    "on docs": "in documentation",
    "on data": "in data",
    "on path": "in a path or branch name",
}


def reason(facts: Set[str], weights: Mapping[str, float]) -> str:
    """What speaks most for a candidate with these *facts*: what it is, beside what, and where."""
    noun = next((words for fact, words in _NOUNS if fact in facts), "a word")
    told = {cue: _told(cue, facts, weights) for cue in _CUES if cue in facts}
    best = max(told, key=lambda cue: told[cue], default="")
    clauses = [noun]
    if best and told[best] > 0:
        clauses.append(_CUES[best])
    places = [words for fact, words in _SURFACES.items() if fact in facts]
    if len(places) == 1 and places[0].split()[-1] not in clauses[-1]:
        clauses.append(places[0])
    elif len(places) > 1:
        clauses.append("in several places")
    return " ".join(clauses)


def _told(cue: str, facts: Set[str], weights: Mapping[str, float]) -> float:
    """What *cue* weighs, by itself and together with other facts."""
    return sum(weights.get(fact, 0.0) for fact in facts if fact == cue or fact.endswith(f": {cue}"))
