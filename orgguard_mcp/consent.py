"""Consent: what decisions add up to. Pure rules, no IO.

Decisions are append-only. Of each request the first grant or refusal counts, whoever gave it; a
withdrawal ends it, and the name is unknown again. A name's standing is read from all decisions on
its key, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orgguard_mcp.model import Answer, Basis, Decision, Place, Trust

TRANSITIONS: dict[Answer | None, frozenset[Answer]] = {
    None: frozenset({Answer.GRANT, Answer.REFUSE}),
    Answer.GRANT: frozenset({Answer.WITHDRAW}),
    Answer.REFUSE: frozenset({Answer.WITHDRAW}),
    Answer.WITHDRAW: frozenset(),
}
"""From a request's last decision to those that may follow. A request ends with its withdrawal:
who asks again opens another."""


TERMINAL = "terminal"
"""The channel of an answer that was typed in a terminal."""

_TRUST = {TERMINAL: Trust.TERMINAL}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the decisions on one key say for one place."""

    basis: Basis | None
    decision: Decision | None = None


NONE = Standing(None)
"""Nobody decided anything."""


def may_follow(last: Answer | None, new: Answer) -> bool:
    """Whether *new* is a valid next decision on a request whose last one is *last*."""
    return new in TRANSITIONS[last]


def in_force(decisions: Iterable[Decision]) -> list[Decision]:
    """The grants and refusals that no withdrawal ended, oldest first."""
    first: dict[str, Decision] = {}
    ended: set[str] = set()
    for decision in decisions:
        if decision.answer is Answer.WITHDRAW:
            ended.add(decision.request_id)
        else:
            first.setdefault(decision.request_id, decision)
    return [decision for request_id, decision in first.items() if request_id not in ended]


def why(decision: Decision) -> str:
    """What was decided, for people."""
    if decision.answer is Answer.REFUSE:
        return "a human refused it"
    return f"a human allowed it {decision.scope}"


def trust_of(decision: Decision) -> Trust:
    """How sure it is that a human made *decision*. A signature is not in it, but in the grant."""
    return _TRUST.get(decision.channel, Trust.CLIENT)


def standing(decisions: Iterable[Decision], place: Place, trust: Trust = Trust.CLIENT) -> Standing:
    """What *decisions* on one key say about writing it at *place*, when a yes needs *trust*.

    A refusal outweighs a grant: it is the later doubt of somebody, and asking again is cheap.
    """
    valid = in_force(decisions)
    for decision in reversed(valid):
        if decision.answer is Answer.REFUSE:
            return Standing(Basis.REFUSED, decision)
    for decision in reversed(valid):
        if decision.scope.covers(place) and trust_of(decision).reaches(trust):
            return Standing(Basis.CONSENTED, decision)
    return Standing(None)
