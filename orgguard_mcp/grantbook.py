"""The grants that were found, and which of them count: by whom, where, until when."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orgguard_mcp.approval import Approval, People, Rule
from orgguard_mcp.approvers import Approvers
from orgguard_mcp.errors import GrantError
from orgguard_mcp.grants import SUFFIX, WITHDRAWN, Grant, parse_grant
from orgguard_mcp.model import Place
from orgguard_mcp.names import NameKey
from orgguard_mcp.signing import verify

_ID = re.compile(r"[0-9a-f]{32}")

_WITHDRAWN = "it was withdrawn"
_MERGED = "it was for one change, which is merged"
_EXPIRED = "it has expired"
_OVER = frozenset({_WITHDRAWN, _MERGED, _EXPIRED})

CLOCKS_DIFFER = 3600
"""Seconds by which the clock of who signed may be ahead."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the base says of grants: whose count, in which repository, which no longer do.

    `withdrawn` and `merged` are ids: of grants that somebody took back, and of those that the base
    has already, whose change is over. `approval` says where one signature of anybody is too little.
    """

    approvers: Approvers
    repository: str
    withdrawn: frozenset[str] = frozenset()
    merged: frozenset[str] = frozenset()
    approval: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A file among the grants that does not count, and why, without a word of its text. `id` is
    empty for a file with another name than a grant's: whoever wrote it chose that.
    """

    id: str
    why: str

    def __str__(self) -> str:
        """The fault in one clause."""
        what = f"the grant {self.id[:8]}" if self.id else "a file among the grants"
        return f"{what} does not count: {self.why}"

    @property
    def over(self) -> bool:
        """Whether it did count, and never will again."""
        return self.why in _OVER


class GrantBook:
    """Grants by their files' names. What cannot be read or verified is a fault, never a yes."""

    def __init__(
        self, files: Mapping[str, bytes], rules: Rules, kept: frozenset[str] = frozenset()
    ) -> None:
        """*files* by name; those *kept* are not in the tree, but in this machine's ledger."""
        self.rules = rules
        self.kept = kept
        self.faults: list[Fault] = []
        self.files = files
        self._people = People(rules.approvers)
        self._grants: list[Grant] | None = None

    def __bool__(self) -> bool:
        return any(file.endswith(SUFFIX) for file in self.files)

    @property
    def grants(self) -> list[Grant]:
        """The grants that count today, whatever they are about.

        Raises `SigningError` when no signature can be checked.
        """
        if self._grants is None:
            self._grants = list(self._accepted())
        return self._grants

    @property
    def narrow(self) -> bool:
        """Whether one of them holds in some places only, or is enough in some only."""
        by_path = any(rule.paths for rule in self.rules.approval)
        return any(by_path or grant.scope != "repository" for grant in self.grants)

    def find(self, key: NameKey, place: Place, *, lifts_protection: bool = False) -> Grant | None:
        """A grant for *key* that holds at *place*, for a protected name if told; None as long as
        others have to sign as well.
        """
        found = self._covering(key, place, lifts_protection)
        approval = self._approval(found, place, lifts_protection)
        return found[0] if approval.met else None

    def approval(self, key: NameKey, place: Place, *, lifts_protection: bool = False) -> Approval:
        """Who signed for *key* at *place*, and who has to."""
        found = self._covering(key, place, lifts_protection)
        return self._approval(found, place, lifts_protection)

    def _covering(self, key: NameKey, place: Place, protected: bool) -> list[Grant]:
        now = time.time()  # a server's book outlives its grants
        fit = (grant for grant in self.grants if grant.expires_at > now)
        fit = (grant for grant in fit if grant.lifts_protection or not protected)
        return [grant for grant in fit if grant.covers(key, place)]

    def _approval(self, found: Iterable[Grant], place: Place, protected: bool) -> Approval:
        rules = [rule for rule in self.rules.approval if rule.fits(place, protected=protected)]
        return self._people.approval(rules, (grant.approver for grant in found))

    def about(self, key: NameKey) -> list[Grant]:
        """The grants for *key*, wherever they hold."""
        return [grant for grant in self.grants if grant.is_about(key)]

    def plain_files(self) -> frozenset[str]:
        """The files in which nobody can have written a name: withdrawals' empty marks, and grants
        that count. Of others nobody signed the words: their numbers may spell anything.

        Raises `SigningError` when no signature can be checked.
        """
        marks = {one + WITHDRAWN for one in withdrawals(self.files) if _ID.fullmatch(one)}
        empty = {file for file in marks if not self.files[file]}
        return frozenset(empty | {grant.file_name for grant in self.grants}) - self.kept

    def _accepted(self) -> Iterator[Grant]:
        self.faults.clear()
        withdrawn = self.rules.withdrawn | withdrawals(self.files)
        now = time.time()
        for file, data in sorted(self.files.items()):
            if not file.endswith(SUFFIX):
                continue
            try:
                grant = parse_grant(data)
                why = self._refusal(grant, file, withdrawn, now)
            except GrantError as error:
                why = error.cause
            if why:
                name = file.removesuffix(SUFFIX)
                self.faults.append(Fault(name if _ID.fullmatch(name) else "", why))
            else:
                yield grant

    def _refusal(self, grant: Grant, file: str, withdrawn: frozenset[str], now: float) -> str:
        """Why *grant* does not count; empty when it does."""
        if grant.file_name != file:
            return "it is a copy under another name"
        if grant.repository != self.rules.repository:
            return "it was signed for another repository"
        if grant.id in withdrawn:
            return _WITHDRAWN
        if grant.scope == "change" and grant.id in self.rules.merged:
            return _MERGED
        if grant.expires_at <= now:
            return _EXPIRED
        if grant.decided_at > now + CLOCKS_DIFFER:
            return "it was signed in the future"
        if not verify(grant.message, grant.signature, grant.approver, self.rules.approvers):
            return "its signature is not that of an approver whom the base lists"
        return ""


def withdrawals(files: Iterable[str]) -> frozenset[str]:
    """The ids of the grants that *files* say were withdrawn."""
    return frozenset(file.removesuffix(WITHDRAWN) for file in files if file.endswith(WITHDRAWN))
