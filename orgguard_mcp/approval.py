"""Approval: whose signatures a name needs at a place, by the rules of the policy. Pure, no IO.

Every rule that fits must be met, so another rule never weakens. People are counted, not keys, nor
names: those that share a key, directly or through others, count as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from orgguard_mcp.approvers import Approvers
from orgguard_mcp.model import Place


@dataclass(frozen=True, slots=True)
class Rule:
    """How many *people* must sign, of whom (empty: of all approvers), in which files (empty:
    everywhere), and whether for protected names alone.
    """

    paths: tuple[str, ...] = ()
    protected: bool = False
    approvers: tuple[str, ...] = ()
    people: int = 1

    def fits(self, place: Place, *, protected: bool) -> bool:
        """Whether this is a rule for a name at *place*. One for files fits where the path is not
        known, and does not where the place is no file.
        """
        if self.protected and not protected:
            return False
        if not self.paths or place.path is None:
            return True
        return bool(place.path) and _matches(self.paths, place.path)


@lru_cache(maxsize=4096)
def _matches(patterns: tuple[str, ...], path: str) -> bool:
    from orgguard_mcp.fileclass import compile_pattern  # few policies have rules for files

    return any(compile_pattern(pattern).match_file(path) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Lack:
    """What one rule still wants: as many *more* signatures, of the people that *of* shows. *may*
    has every name under which one of them would count.
    """

    more: int
    of: tuple[str, ...]
    may: frozenset[str]
    begun: bool = False

    @property
    def too_few(self) -> bool:
        """Whether the base lists too few people to end it."""
        return self.more > len(self.of)

    def __str__(self) -> str:
        """The lack in a clause."""
        others = " more" if self.begun else ""
        listed = ", ".join(self.of)
        if self.too_few:
            return (
                f"{self.more}{others} must sign, and the base lists too few who may"
                f" ({listed or 'nobody'}): its policy and its approvers have to be made to agree"
            )
        if self.more == len(self.of):
            return f"{listed} must sign"
        return f"{self.more}{others} of {listed} must sign"


@dataclass(frozen=True, slots=True)
class Approval:
    """How far the signatures on one name go: who *signed*, and what the rules lack. Where it is
    *ruled*, a rule fits, and nothing but signatures counts.
    """

    signed: tuple[str, ...] = ()
    lacks: tuple[Lack, ...] = ()
    ruled: bool = False

    @property
    def met(self) -> bool:
        """Whether somebody signed, and no rule lacks anything."""
        return bool(self.signed) and not self.lacks

    def waits_for(self, person: str) -> bool:
        """Whether a signature of *person* would help."""
        return any(person.casefold() in lack.may for lack in self.lacks)

    def __str__(self) -> str:
        """Who signed, and who must: addresses that the public repository has anyway."""
        signed = [f"{' and '.join(self.signed)} signed"] if self.signed else []
        return "; ".join([*signed, *dict.fromkeys(map(str, self.lacks))])


def joined(approvals: Iterable[Approval]) -> Approval:
    """What holds for several places together: nothing may lack in any of them."""
    found = list(approvals)
    return Approval(
        tuple(dict.fromkeys(person for one in found for person in one.signed)),
        tuple(dict.fromkeys(lack for one in found for lack in one.lacks)),
        ruled=any(one.ruled for one in found),
    )


class People:
    """The persons among those whom the base lists."""

    def __init__(self, approvers: Approvers) -> None:
        self._shown: dict[str, str] = {}
        keys: dict[str, set[str]] = {}
        for line in approvers.lines:
            for name in line.people:
                self._shown.setdefault(name.casefold(), name)
                keys.setdefault(line.key, set()).add(name.casefold())
        self._beside = list(keys.values())
        persons: list[set[str]] = []
        for names in self._beside:
            touched = [one for one in persons if one & names]
            persons = [one for one in persons if one not in touched] + [names.union(*touched)]
        self._person = {name: number for number, one in enumerate(persons) for name in one}

    def approval(self, rules: Sequence[Rule], signed: Iterable[str]) -> Approval:
        """How far the people who *signed* meet *rules*, which fit."""
        names = tuple(sorted(set(signed)))
        lacks = (self._lack(rule, names) for rule in rules)
        return Approval(names, tuple(one for one in lacks if one), ruled=bool(rules))

    def _lack(self, rule: Rule, signed: Iterable[str]) -> Lack | None:
        listed = [name for name in map(str.casefold, rule.approvers) if name in self._shown]
        named = listed if rule.approvers else list(self._shown)
        may = frozenset().union(*(one for one in self._beside if not one.isdisjoint(named)))
        counted = {self._person[name] for name in map(str.casefold, signed) if name in may}
        if len(counted) >= rule.people:
            return None
        free = frozenset(name for name in may if self._person[name] not in counted)
        left: dict[int, str] = {}
        for name in named:
            if name in free:
                left.setdefault(self._person[name], self._shown[name])
        return Lack(rule.people - len(counted), tuple(left.values()), free, begun=bool(counted))
