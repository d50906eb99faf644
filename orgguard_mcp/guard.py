"""Guard: the one way in. Every door asks it the same questions and gets the same answers."""

from __future__ import annotations

import getpass
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Self

from orgguard_mcp import consent, reserved
from orgguard_mcp.approvers import PATH as APPROVERS_PATH
from orgguard_mcp.approvers import Approvers, parse_approvers
from orgguard_mcp.base import ENVIRONMENT_BASE
from orgguard_mcp.build import Progress
from orgguard_mcp.errors import UsageError
from orgguard_mcp.grantbook import GrantBook
from orgguard_mcp.grants import Grant, file_name_of
from orgguard_mcp.index import Index
from orgguard_mcp.lexicon import is_ordinary
from orgguard_mcp.model import (
    Answer,
    Ask,
    Base,
    Basis,
    Decision,
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
from orgguard_mcp.policy import PATH as POLICY_PATH
from orgguard_mcp.policy import Policy, parse_policy
from orgguard_mcp.protected import PATH as PROTECTED_PATH
from orgguard_mcp.protected import Protected, of_base
from orgguard_mcp.repository import Repository
from orgguard_mcp.storage import opening
from orgguard_mcp.storage.store import Store

_MAX_SEEN = 10_000  # names that are remembered with their evidence, as long as the base stays


@dataclass(frozen=True, slots=True)
class View:
    """What one base gives: its policy, its notary, its index and its protected names. Replaced as a
    whole when the base moves.
    """

    base: Base
    policy: Policy
    notary: Notary
    index: Index
    protected: Callable[[], Protected]
    _seen: dict[NameKey, Sightings] = field(default_factory=dict)

    def sightings(self, key: NameKey) -> Sightings:
        """What the index says of *key*: once, since the base's objects never change."""
        if key not in self._seen:
            seen = self.index.sightings(key)
            if len(self._seen) >= _MAX_SEEN:
                return seen
            self._seen[key] = seen
        return self._seen[key]


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
            self._view = self._look()
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
        view = self._look()
        if view.base != self._view.base:
            self._view = view

    def _look(self) -> View:
        base, policy = _base_and_policy(self.repository, self._ref, self._head, self._published)
        approvers = parse_approvers(_rule(self.repository, base, APPROVERS_PATH) or b"")
        notary = Notary(self.repository, base, policy, approvers)
        # Read when first needed: the queue's commands work without the key.
        protected = cache(lambda: of_base(_rule(self.repository, base, PROTECTED_PATH)))
        return View(base, policy, notary, Index(self.repository, base, policy), protected)

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
        ledger = opening.open_store(self._ledger_path, lambda: self.notary.repository)
        try:
            ledger.verify()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def prepare(self, progress: Progress | None = None) -> None:
        """Build what the index lacks; one thread at a time."""
        self._prepare(self._view, progress)

    def _prepare(self, view: View, progress: Progress | None = None) -> None:
        with self._preparing:
            view.index.prepare(progress)

    # --- check --------------------------------------------------------------------------------

    def check(self, surface: str, where: str | None = None) -> Verdict:
        """Judge one name, for the place *where* if that is known."""
        return self.judge(parse(surface), where)

    def judge(self, name: Name, where: str | None = None) -> Verdict:
        """Judge a *name* that was parsed before."""
        if denied := self.protects(name):
            return self._lifted(denied, where) or denied
        verdict = self._unprotected(self._view, name, where)
        return replace(verdict, why=verdict.why + self.protected.gap)

    def protects(self, name: Name) -> Verdict | None:
        """The verdict on a protected name, which no ordinary decision lifts; None on any other."""
        if not self.protected.holds(name.key):
            return None
        why = "it is on the list of names that must never be public"
        return Verdict(name, Basis.PROTECTED, why, self.base)

    def _lifted(self, denied: Verdict, where: str | None) -> Verdict | None:
        """The verdict on a protected name that an approver allowed all the same, by a grant that
        says so.
        """
        view = self._view
        book = self._grants(view)
        place = self._place(path_of(where) if where else None) if book else Place()
        grant = book.find(denied.name.key, place, lifts_protection=True)
        return (
            _by_grant(view.base, denied.name, grant, self.sightings(denied.name)) if grant else None
        )

    def _unprotected(self, view: View, name: Name, where: str | None) -> Verdict:
        if reserved.is_reserved(name, view.policy.reserved):
            why = "it is a reserved marker that everybody may write"
            return Verdict(name, Basis.RESERVED, why, view.base)
        self._prepare(view)
        seen = view.sightings(name.key)
        if seen.established:
            return _verdict(view.base, name, Basis.ESTABLISHED, seen.why, seen)
        return self._decided(view, name, path_of(where) if where else None, seen)

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

    def classify(self, path: str) -> FileClass:
        """The class of *path* by the base's policy and attributes."""
        return self._view.index.classify(path)

    def told(self) -> frozenset[NameKey]:
        """The keys that a human was asked about or spoke on, in this repository."""
        if not self.has_ledger:
            return frozenset()
        return self.ledger.keys()

    def _decided(self, view: View, name: Name, path: str | None, seen: Sightings) -> Verdict:
        """The verdict on a name that the base does not establish."""
        decisions = self.ledger.decisions(name.key) if self.has_ledger else []
        book = self._grants(view)
        place = self._place(path) if decisions or book else Place(path)
        said = consent.standing(decisions, place, view.policy.trust)
        signed = book.find(name.key, place) if said.basis is not Basis.REFUSED else None
        if signed:
            return _by_grant(view.base, name, signed, seen)
        if said.basis and said.decision:
            why = _decision_why(said.decision)
            verdict = _verdict(view.base, name, said.basis, why, seen, said.decision)
            return replace(verdict, trust=consent.trust_of(said.decision))
        if waiting := self._waiting(view, name.key, decisions, place):
            return _verdict(view.base, name, Basis.PENDING, waiting[0], seen, waiting[1])
        why = seen.why
        if grants := consent.in_force(decisions):
            why += f"; a human allowed it only {grants[-1].scope}"
        basis = Basis.COMMON_WORD if is_ordinary(name.key) else Basis.UNKNOWN
        return _verdict(view.base, name, basis, why, seen)

    def _waiting(
        self, view: View, key: NameKey, decisions: list[Decision], place: Place
    ) -> tuple[str, Decision | Request] | None:
        """What a name waits for, and the record of it: a signature, or an answer at all."""
        if view.policy.trust is Trust.SIGNED:
            unsigned = consent.standing(decisions, place).decision
            if unsigned:
                return f"{_decision_why(unsigned)}; an approver has to sign that", unsigned
        if self.has_ledger and (request := self.ledger.open_request(key)):
            return "a human has been asked and has not answered yet", request
        return None

    def _place(self, path: str | None) -> Place:
        """*path* on the branch of the change: the checked-out one now, unless `branch` names it."""
        return Place(path, self.branch or self.repository.branch(self._head or "HEAD"))

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

    @property
    def notary(self) -> Notary:
        """Signs grants by the base's rules."""
        return self._view.notary

    @property
    def has_ledger(self) -> bool:
        """Whether anything was ever asked here: checking alone leaves no queue behind."""
        if self.alone:
            return False
        return "ledger" in self.__dict__ or opening.may_exist(self._ledger_path)

    # --- ask and decide -----------------------------------------------------------------------

    def request(self, surface: str, asks: Sequence[Ask]) -> Verdict:
        """Ask the human about one name, if it needs asking, and return where it stands now.

        The question is committed before this returns. A name with a standing answer, or one that
        the base establishes, is never asked about.
        """
        if not asks:
            raise UsageError("nothing was asked: say where the name would be written")
        verdicts = [self.check(surface, ask.where) for ask in asks]
        undecided = [v for v in verdicts if self._askable(v)]
        if not undecided:
            return verdicts[0]
        asked = [ask for ask, v in zip(asks, verdicts, strict=True) if self._askable(v)]
        name = undecided[0].name
        tree, branch = self._here()
        asked = [replace(ask, worktree=tree, branch=branch) for ask in asked]
        lapse = self.policy.lapse_hours * 3600
        self.ledger.ask(name, self.base, asked, lapse)
        return self.check(surface, asked[0].where)

    def _here(self) -> tuple[str, str]:
        """The working tree and branch of who asks: a grant is laid there, and may hold for that
        branch alone.
        """
        tree = "" if self.repository.is_bare() else str(self.repository.top_level())
        return tree, self.repository.branch() or ""

    def _askable(self, verdict: Verdict) -> bool:
        """Whether asking could change *verdict*: what waits for a signature alone was answered."""
        if verdict.basis is Basis.PENDING:
            return self.ledger.decision_on(verdict.request_id) is None
        return verdict.basis in _ASKABLE

    def decide(
        self, request: Request, answer: Answer, *, scope: Scope | None = None, reason: str = "",
        channel: str, signer: Signer | None = None,
    ) -> Decision:  # fmt: skip
        """Record a human's *answer* to *request*; return the decision that stands, which is
        another reviewer's when that one was first.

        With *signer* a yes is signed first, and its grant laid into the trees that asked. Raises
        `SigningError` when nothing was signed: then nothing was decided, either.
        """
        scope = scope or Scope()
        grants = []
        if signer and answer is Answer.GRANT:
            yes = Yes(request, scope, lifts_protection=self.protects(request.name) is not None)
            grants = self.notary.sign([yes], signer, self.ledger.head())
        decision = Decision(
            request.id, request.name.key, answer, scope, reason, channel,
            decided_by=_user(), decided_at=time.time(),
        )  # fmt: skip
        stands = self.ledger.decide(decision, grants[0].text if grants else "")
        if stands is decision and grants:
            self.notary.deliver(grants[0], request)
        return stands

    def decided(self, surface: str) -> list[Request]:
        """The requests about a name whose grant or refusal is in force: what can be withdrawn."""
        held = consent.in_force(self.ledger.decisions(parse(surface).key))
        return [self.ledger.request(decision.request_id) for decision in held]


_ASKABLE = frozenset({Basis.UNKNOWN, Basis.COMMON_WORD})
_SCOPES = {"repository": "in this repository", "paths": "here", "change": "in this change"}


def _base_and_policy(
    repository: Repository, ref: str | None, head: str | None, published: bool
) -> tuple[Base, Policy]:
    """The base and its policy. The policy of the first base may name another base; that one's
    policy then holds, and is not followed further.
    """
    base = repository.base(ref, head=head, published=published)
    policy = _policy_at(repository, base)
    chosen = ref or os.environ.get(ENVIRONMENT_BASE)
    if policy.base and base.commit and not chosen:
        base = repository.base(policy.base, source=f"base in {POLICY_PATH}", head=head)
        policy = _policy_at(repository, base)
    return base, policy


def _policy_at(repository: Repository, base: Base) -> Policy:
    text = _rule(repository, base, POLICY_PATH)
    return parse_policy(text) if text else Policy()


def _rule(repository: Repository, base: Base, path: str) -> bytes | None:
    """A file of the maintainers' rules, as the tip of the base's branch has it."""
    return repository.read(base.tip, path) if base.tip else None


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


def _by_grant(base: Base, name: Name, grant: Grant, seen: Sightings) -> Verdict:
    why = f"{grant.approver} allowed it {_SCOPES[grant.scope]}, signed"
    return replace(_verdict(base, name, Basis.CONSENTED, why, seen, grant), trust=Trust.SIGNED)


def _decision_why(decision: Decision) -> str:
    if decision.answer is Answer.REFUSE:
        return "a human refused it"
    return f"a human allowed it {decision.scope}"


def _user() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return f"uid {os.getuid()}"
