"""What a finding is called and what to do about it: one rule for each basis that is no allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orgguard_mcp.model import Basis


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of finding. `says` completes "the name …"; `help` is the next step."""

    id: str
    says: str
    short: str
    full: str
    help: str

    @property
    def advice(self) -> str:
        """`help` as a sentence of its own."""
        return f"{self.help[0].upper()}{self.help[1:]}."


# Never a substitute: a placeholder is what the rule forbids.
_ASK = "stop and ask; a maintainer answers with `orgguard review`"
_LEAVE_OUT = "leave it out, and describe the change by the capability that it adds"

RULES: Mapping[Basis, Rule] = {
    Basis.UNKNOWN: Rule(
        "new-name",
        "is not in the base and has no consent",
        "A name that the base does not have",
        "The change would publish what reads as a third-party organisation's name. No file of the"
        " base holds it as a name, and no human has allowed it.",
        _ASK,
    ),
    Basis.COMMON_WORD: Rule(
        "common-word",
        "is an ordinary word that the base does not use as a name",
        "An ordinary word used as a name",
        "The change uses an ordinary word as a third-party organisation's name. The base has the"
        " word, but never as a name, and no human has allowed it.",
        _ASK,
    ),
    Basis.PENDING: Rule(
        "pending-name",
        "has no consent yet: a human has been asked",
        "A name that a human has been asked about",
        "The change would publish a third-party organisation's name whose question a human has not"
        " answered yet.",
        "wait for the answer; a maintainer gives it with `orgguard review`",
    ),
    Basis.REFUSED: Rule(
        "refused-name",
        "was refused by a human",
        "A name that a human refused",
        "The change would publish a third-party organisation's name that a human refused.",
        _LEAVE_OUT,
    ),
    Basis.PROTECTED: Rule(
        "protected-name",
        "is protected and must never appear",
        "A protected name",
        "The change would publish a name that this repository's maintainers protect.",
        _LEAVE_OUT,
    ),
}


def rule_of(basis: Basis) -> Rule:
    """The rule that a finding of *basis* breaks."""
    return RULES.get(basis, RULES[Basis.UNKNOWN])
