"""Guard: the one way in. Every door asks it the same questions and gets the same answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

from orgguard_mcp import consent, index, knowledge, reserved, view
from orgguard_mcp.approval import Approval, joined
from orgguard_mcp.approvers import Approvers
from orgguard_mcp.build import Progress
from orgguard_mcp.errors import UsageError
from orgguard_mcp.grantbook import GrantBook
from orgguard_mcp.grants import Grant, file_name_of
from orgguard_mcp.lexicon import is_ordinary
from orgguard_mcp.model import (
    Answer,
    Ask,
    Base,
    Basis,
    Decision,
    Effect,
    FileClass,
    Held,
    Place,
    Request,
    Scope,
    Sightings,
    Trust,
    Verdict,
    path_of,
)
from orgguard_mcp.names import Name, NameKey, parse
from orgguard_mcp.notary import Notary, Signer, Yes
from orgguard_mcp.policy import Policy
from orgguard_mcp.protected import Protected
from orgguard_mcp.repository import Repository
from orgguard_mcp.storage import opening
from orgguard_mcp.storage.postings import Postings
from orgguard_mcp.storage.store import Store, user
from orgguard_mcp.view import View

ANYWHERE = Place()
"""A place of which nothing is known."""


class Guard:
    """One repository, seen from its base, with its ledger. A context manager.

    Raises `OrgGuardError` and its kinds from every method: a door that gets one lets nothing
    through. Methods may be called from several threads. With `alone` set the base alone speaks:
    what humans decided on this machine does not count, just as CI does not know of it. `branch` is
    the change's, where that is another than the checked-out one. *published*: what no remote has
    establishes nothing.
    """

    def __init__(
        self, directory: str | Path, base: str | None = None, head: str | None = None, *,
        published: bool = False,
    ) -> None:  # fmt: skip
        self.repository = Repository(directory, judged=True)
        self._ref = base
        self._head = head
        self._published = published
        self.alone = False
        self.branch = ""
        self._of_change: Mapping[str, bytes] | None = None
        self._preparing = threading.Lock()
        try:
            self._ledger_path = self.repository.state_dir / "ledger.sqlite3"
            self._view = self._look(index.kept(self.repository))
        except BaseException:
            self.repository.close()
            raise

    @property
    def base(self) -> Base:
        """The base that verdicts rest on."""
        return self._view.base

    @property
    def policy(self) -> Policy:
        """The base's policy."""
        return self._view.policy

    @property
    def protected(self) -> Protected:
        """The protected names; an error when their list, or a key that is given, is unusable."""
        return self._view.protected()

    @property
    def approvers(self) -> Approvers:
        """Those whose signature counts, by the base."""
        return self._view.notary.approvers

    @property
    def ready(self) -> bool:
        """Whether a check can be answered without building the index first."""
        return self._view.index.ready

    def look(self) -> bool:
        """Whether a check can be answered from what was built before: asks the disk."""
        with self._preparing:
            return self._view.index.look()

    def refresh(self) -> None:
        """Follow the base when it moved: after a fetch, a merge, a switch of branches."""
        now = self._look()
        if now.base != self._view.base:
            self._view = now

    def _look(self, kept: Postings | None = None) -> View:
        return view.look(
            self.repository, self._ref, self._head, published=self._published, kept=kept
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files and processes."""
        self._view.index.close()
        self.repository.close()
        if "ledger" in self.__dict__:
            self.ledger.close()

    @cached_property
    def ledger(self) -> Store:
        """The queue and the decisions of this repository. Raises `LedgerError` when another program
        changed the log.
        """
        ledger = opening.open_store(
            self._ledger_path, lambda: self.notary.repository, self.policy.store
        )
        try:
            ledger.verify(if_touched=True)
        except BaseException:
            ledger.close()
            raise
        return ledger

    def prepare(self, progress: Progress | None = None) -> None:
        """Build what the index lacks; one thread at a time."""
        self._prepare(self._view, progress)

    def expect_many(self) -> None:
        """Get ready for many checks: it takes a moment, and less for each of them."""
        knowledge.expect_many()
        self._view.index.expect_many()

    def _prepare(self, view: View, progress: Progress | None = None) -> None:
        with self._preparing:
            view.index.prepare(progress)

    # --- check --------------------------------------------------------------------------------

    def check(self, surface: str, where: str | None = None) -> Verdict:
        """Judge one name, for the place *where* if that is known."""
        return self.judge(parse(surface), _place_of(where))

    def judge(self, name: Name, place: Place = ANYWHERE) -> Verdict:
        """Judge a *name* that was parsed before, on the change's branch unless *place* has one."""
        if denied := self.protects(name):
            return self._lifted(denied, place)
        verdict = self._unprotected(self._view, name, place)
        return replace(verdict, why=verdict.why + self.protected.gap)

    def protects(self, name: Name) -> Verdict | None:
        """The verdict on a protected name, which no ordinary decision lifts; None on any other."""
        if not self.protected.holds(name.key):
            return None
        why = "it is on the list of names that must never be public"
        return Verdict(name, Basis.PROTECTED, why, self.base)

    def _lifted(self, denied: Verdict, place: Place) -> Verdict:
        """*denied*, or the verdict on a protected name that approvers allowed all the same, by
        grants that say so.
        """
        book = self._grants(self._view)
        if not book:
            return denied
        at, name = self._located(place), denied.name
        approval = book.approval(name.key, at, lifts_protection=True)
        if grant := book.find(name.key, at, lifts_protection=True):
            return _by_grant(self.base, name, grant, approval, self.sightings(name))
        return replace(denied, why=f"{denied.why}; {approval}") if approval.signed else denied

    def _unprotected(self, view: View, name: Name, place: Place) -> Verdict:
        if reserved.is_reserved(name, view.policy.reserved):
            why = "it is a reserved marker that everybody may write"
            return Verdict(name, Basis.RESERVED, why, view.base)
        self._prepare(view)
        seen = view.sightings(name.key)
        if seen.established:
            return _verdict(view.base, name, Basis.ESTABLISHED, seen.why, seen)
        return self._decided(view, name, place, seen)

    def sightings(self, name: Name) -> Sightings:
        """What the base alone says of *name*: what a reviewer must see before answering."""
        view = self._view
        self._prepare(view)
        return view.sightings(name.key)

    def holdings(self, keys: Iterable[str]) -> dict[str, Held]:
        """What the base holds of each of *keys*: facts to weigh a candidate by, no verdict."""
        view = self._view
        self._prepare(view)
        return view.index.held(keys)

    def holds(self, keys: Iterable[str]) -> set[str]:
        """Those of *keys* that the base holds at all, by the same word as `holdings`."""
        view = self._view
        self._prepare(view)
        return view.index.holds(keys)

    def classify(self, path: str) -> FileClass:
        """The class of *path* by the base's policy and attributes."""
        return self._view.index.classify(path)

    def told(self) -> frozenset[NameKey]:
        """The keys that a human was asked about or spoke on, in this repository."""
        if not self.has_ledger:
            return frozenset()
        return self.ledger.keys()

    def _decided(self, view: View, name: Name, place: Place, seen: Sightings) -> Verdict:
        """The verdict on a name that the base does not establish."""
        decisions = self.ledger.decisions(name.key) if self.has_ledger else []
        book = self._grants(view)
        place = self._located(place) if decisions or book else place
        approval = book.approval(name.key, place)
        trust = Trust.SIGNED if approval.ruled else view.policy.trust
        said = consent.standing(decisions, place, trust)
        if said.basis is not Basis.REFUSED and (grant := book.find(name.key, place)):
            return _by_grant(view.base, name, grant, approval, seen)
        if said.basis and said.decision:
            why = consent.why(said.decision)
            verdict = _verdict(view.base, name, said.basis, why, seen, said.decision)
            return replace(verdict, trust=consent.trust_of(said.decision))
        unsigned = consent.standing(decisions, place).decision if trust is Trust.SIGNED else None
        if waiting := self._waiting(name.key, approval, unsigned):
            return _verdict(view.base, name, Basis.PENDING, waiting[0], seen, waiting[1])
        why = seen.why
        if grants := consent.in_force(decisions):
            why += f"; a human allowed it only {grants[-1].scope}"
        basis = Basis.COMMON_WORD if is_ordinary(name.key) else Basis.UNKNOWN
        return _verdict(view.base, name, basis, why, seen)

    def _waiting(
        self, key: NameKey, approval: Approval, unsigned: Decision | None
    ) -> tuple[str, Decision | Request | None] | None:
        """What a name waits for, a signature or an answer at all, and the record of it. Where a
        rule fits, a question alone is that: people who may sign have to be asked.
        """
        asked = self.ledger.open_request(key) if self.has_ledger else None
        if approval.signed:
            return str(approval), asked
        if unsigned and not approval.ruled:
            return f"{consent.why(unsigned)}; an approver has to sign that", unsigned
        if asked:
            return "; ".join(filter(None, [_ASKED, str(approval)])), asked
        return (f"{consent.why(unsigned)}; {approval}", None) if unsigned else None

    def _located(self, place: Place) -> Place:
        """*place* on the branch of the change: the checked-out one now, unless `branch` or *place*
        names it.
        """
        branch: str | None = place.branch or self.branch
        if not branch and (self._head or not self.repository.is_bare()):  # a mirror has no change
            branch = self.repository.branch(self._head or "HEAD")
        return Place(place.path, branch or None)

    # --- signed grants ------------------------------------------------------------------------

    def consider(self, branch: str, files: Mapping[str, bytes]) -> None:
        """Judge a change from now on: its *branch*, and the *files* of its folder of grants."""
        self.branch = branch
        self._of_change = files

    @property
    def grants(self) -> GrantBook:
        """The signed grants at hand: the change's, else the working tree's, and this machine's."""
        return self._grants(self._view)

    def _grants(self, view: View) -> GrantBook:
        if not view.notary.approvers:
            return view.notary.book({}, {})
        tree = self._of_change
        if tree is None:
            tree = view.notary.tree_files(self._head or "HEAD")
        kept = self.ledger.attached() if self.has_ledger else []
        return view.notary.book(tree, {file_name_of(text): text.encode() for _, text in kept})

    def approval(self, request: Request) -> Approval:
        """Who signed for *request*, in all of its places together, and who has to."""
        protected = self.protects(request.name) is not None
        book = self.grants
        places = [_place_of(ask.where, ask.branch) for ask in request.asks]
        return joined(
            book.approval(request.name.key, place, lifts_protection=protected)
            for place in dict.fromkeys(places)
        )

    @property
    def notary(self) -> Notary:
        """Signs grants by the base's rules."""
        return self._view.notary

    @property
    def has_ledger(self) -> bool:
        """Whether anything was ever asked here: checking alone leaves no queue behind."""
        if self.alone:
            return False
        return "ledger" in self.__dict__ or opening.may_exist(self._ledger_path, self.policy.store)

    # --- ask and decide -----------------------------------------------------------------------

    def request(self, surface: str, asks: Sequence[Ask]) -> Verdict:
        """Ask the human about one name, if it needs asking, and return where it stands now.

        The question is committed before this returns. A name with a standing answer, or one that
        the base establishes, is never asked about.
        """
        if not asks:
            raise UsageError("nothing was asked: say where the name would be written")
        verdicts = [self.check(surface, ask.where) for ask in asks]
        if not any(verdict.effect is Effect.ASK for verdict in verdicts):
            return verdicts[0]
        name = verdicts[0].name
        known = {decision.request_id for decision in self.ledger.decisions(name.key)}
        if known:  # one may have come while the verdicts were found
            verdicts = [self.check(surface, ask.where) for ask in asks]
        asked = [ask for ask, v in zip(asks, verdicts, strict=True) if _askable(v, known)]
        if not asked:
            return verdicts[0]
        tree, branch = self._here()
        asked = [replace(ask, worktree=tree, branch=branch) for ask in asked]
        lapse = self.policy.lapse_hours * 3600
        self.ledger.ask(name, self.base, asked, lapse, known)
        return self.check(surface, asked[0].where)

    def _here(self) -> tuple[str, str]:
        """The working tree and branch of who asks: a grant is laid there, and may hold for that
        branch alone.
        """
        if self.repository.is_bare():  # who asks is elsewhere
            return "", ""
        return str(self.repository.top_level()), self.repository.branch() or ""

    def decide(
        self, request: Request, answer: Answer, *, scope: Scope | None = None, reason: str = "",
        channel: str, signer: Signer | None = None, signed: str = "", by: str = "",
    ) -> Decision | None:  # fmt: skip
        """Record a human's *answer* to *request*; return the decision that stands, which is
        another reviewer's when that one was first. None while a rule of the policy wants more
        signatures than there are: then *request* stays open, and a signed yes is kept.

        With *signer* a yes is signed first, and its grant laid into the trees that asked. One that
        was signed elsewhere is *signed*, and *by* says who answered there. Raises `SigningError`
        when nothing was signed, or it does not count: then nothing was decided, either.
        """
        decision = Decision(
            request.id, request.name.key, answer, scope or Scope(), reason, channel,
            decided_by=by or user(), decided_at=time.time(),
        )  # fmt: skip
        if answer is not Answer.GRANT:
            return self.ledger.decide(decision)
        ruled = bool(self.policy.approval) and self.approval(request).ruled
        protected = self.protects(request.name) is not None
        yes = Yes(request, decision.scope, lifts_protection=protected)
        if signed:
            grant = self.notary.accept(signed, yes)
        elif signer:
            (grant,) = self.notary.sign([yes], signer, self.ledger.head())
        else:
            return None if ruled else self.ledger.decide(decision)
        if ruled:
            return self._countersign(request, decision, grant)
        stands = self.ledger.decide(decision, grant.text)
        if stands is decision:
            self.notary.deliver(grant, request)
        return stands

    def _countersign(self, request: Request, decision: Decision, grant: Grant) -> Decision | None:
        """Keep *grant*, and record *decision* once it meets the rules with those of others. Of
        several who sign at the same time the last sees all: grants are kept, then counted.
        """
        if stands := self.ledger.decision_on(request.id):
            return stands
        self.ledger.attach(request.id, grant.text)
        if self.approval(request).met:
            stands = self.ledger.decide(decision)
        if stands is None or stands.answer is Answer.GRANT:
            self.notary.deliver(grant, request)
        return stands

    def decided(self, surface: str) -> list[Request]:
        """The requests about a name whose grant or refusal is in force: what can be withdrawn."""
        held = consent.in_force(self.ledger.decisions(parse(surface).key))
        return [self.ledger.request(decision.request_id) for decision in held]


_ASKABLE = frozenset({Basis.UNKNOWN, Basis.COMMON_WORD})
_ASKED = "a human has been asked and has not answered yet"
_SCOPES = {"repository": "in this repository", "paths": "here", "change": "in this change"}


def _askable(verdict: Verdict, answered: Collection[str]) -> bool:
    """Whether asking could change *verdict*: what waits for a signature alone was answered."""
    if verdict.basis is Basis.PENDING:
        return verdict.request_id not in answered
    return verdict.basis in _ASKABLE


def _place_of(where: str | None, branch: str = "") -> Place:
    return Place(path_of(where) if where else None, branch or None)


def _verdict(
    base: Base,
    name: Name,
    basis: Basis,
    why: str,
    seen: Sightings,
    record: Decision | Request | Grant | None = None,
) -> Verdict:
    request_id, reason = "", ""
    if isinstance(record, Decision):
        request_id, reason = record.request_id, record.reason
    elif isinstance(record, Grant):
        request_id = record.request
    elif record:
        request_id = record.id
    return Verdict(name, basis, why, base, seen.evidence, dict(seen.files), request_id, reason)


def _by_grant(base: Base, name: Name, grant: Grant, approval: Approval, seen: Sightings) -> Verdict:
    where = _SCOPES[grant.scope] if len(approval.signed) == 1 else "here"
    why = f"{' and '.join(approval.signed)} allowed it {where}, signed"
    return replace(_verdict(base, name, Basis.CONSENTED, why, seen, grant), trust=Trust.SIGNED)
