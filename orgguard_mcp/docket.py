"""Docket: all that a reviewer's session needs of one repository.

It is data and calls alone, so that the repository may lie elsewhere; `GuardDocket` is one at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from orgguard_mcp import consent, endorse
from orgguard_mcp.approval import Approval
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Base, Decision, Request, Scope, Sightings
from orgguard_mcp.names import canonicalise
from orgguard_mcp.notary import Signer, Yes
from orgguard_mcp.scan import names_in

if TYPE_CHECKING:
    from orgguard_mcp.storage.bell import Bell

MAX_ASKS = 5
"""Places of one question that a reviewer is shown."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The open requests, oldest first: those that this reviewer may answer, and what those that
    wait for others lack.
    """

    mine: tuple[Request, ...]
    others: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One request as a reviewer sees it: what the base knows, which names stand in its words beside
    the one asked for, who signed and who must, and whether a yes lifts protection.
    """

    request: Request
    sightings: Sightings
    base: Base
    beside: tuple[str, ...]
    approval: Approval
    protected: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reviewer says to one request."""

    request: Request
    answer: Answer
    scope: Scope = field(default_factory=Scope)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of a reply: the decision that stands (None: others have to sign as well), who has
    signed now, and whether the grant lies in a working tree.
    """

    decision: Decision | None
    approval: Approval
    laid: bool


class Docket(Protocol):
    """One repository's questions, for one reviewer. Every method raises `OrgGuardError` and its
    kinds; then nothing was decided.
    """

    @property
    def label(self) -> str:
        """What the repository is called beside others."""

    @property
    def signer(self) -> Signer | None:
        """The reviewer, where the base lists their key."""

    @property
    def lists_approvers(self) -> bool:
        """Whether signatures count in this repository."""

    @property
    def grant_days(self) -> float:
        """How long a signed yes holds."""

    def verify(self) -> None:
        """Raise `LedgerError` when the log is not the one on which signatures were given."""

    def version(self) -> int:
        """A number that grows whenever the queue may have changed."""

    def bell(self) -> Bell | None:
        """What rings when it does; None where there can be none."""

    def queue(self) -> Queue:
        """The open requests."""

    def question(self, request: Request) -> Question:
        """All that there is to show of *request*."""

    def outcome(self, request_id: str) -> Decision | None:
        """The grant or refusal that a request has, or None while it is open."""

    def settle(self, reply: Reply) -> Settled:
        """Record *reply*; a yes of an approver is signed first. Raises `SigningError` when it was
        not: then nothing was decided.
        """

    def unsigned(self) -> list[Yes]:
        """What was allowed before, and lacks this reviewer's signature."""

    def sign(self, answers: Sequence[Yes]) -> None:
        """Sign *answers* in one go."""


class GuardDocket:
    """`Docket` of a repository on this machine, for whoever sits at its terminal."""

    def __init__(self, guard: Guard, label: str = "") -> None:
        self.label = label
        self.signer = guard.notary.signer()
        self._guard = guard

    @property
    def lists_approvers(self) -> bool:
        """See `Docket`."""
        return bool(self._guard.approvers)

    @property
    def grant_days(self) -> float:
        """See `Docket`."""
        return self._guard.policy.grant_days

    def verify(self) -> None:
        """See `Docket`."""
        endorse.check_log(self._guard)

    def version(self) -> int:
        """See `Docket`."""
        return self._guard.ledger.version()

    def bell(self) -> Bell | None:
        """See `Docket`."""
        return self._guard.ledger.bell()

    def queue(self) -> Queue:
        """See `Docket`."""
        return queue_of(self._guard, self.signer.person if self.signer else "")

    def question(self, request: Request) -> Question:
        """See `Docket`."""
        return question_of(self._guard, request)

    def outcome(self, request_id: str) -> Decision | None:
        """See `Docket`."""
        return self._guard.ledger.decision_on(request_id)

    def settle(self, reply: Reply) -> Settled:
        """See `Docket`."""
        return settle(self._guard, reply, channel=consent.TERMINAL, signer=self.signer)

    def unsigned(self) -> list[Yes]:
        """See `Docket`."""
        return endorse.unsigned(self._guard, self.signer.person) if self.signer else []

    def sign(self, answers: Sequence[Yes]) -> None:
        """See `Docket`."""
        if self.signer:
            endorse.sign(self._guard, answers, self.signer)


def queue_of(guard: Guard, person: str) -> Queue:
    """The open requests, for *person* (empty: nobody whom the base lists). Where rules fit, one is
    for those alone whose signature would help.
    """
    pending = guard.ledger.pending()
    if not guard.policy.approval:
        return Queue(tuple(pending))
    mine, others = [], []
    for request in pending:
        approval = guard.approval(request)
        if not approval.ruled or approval.waits_for(person):
            mine.append(request)
        else:
            others.append(approval)
    return Queue(tuple(mine), tuple(others))


def question_of(guard: Guard, request: Request) -> Question:
    """*request* as a reviewer sees it."""
    said = [(ask.where, _words(ask)) for ask in request.asks[:MAX_ASKS]]
    return Question(
        request=request,
        sightings=guard.sightings(request.name),
        base=guard.base,
        beside=tuple(n for n in names_in(guard, said) if canonicalise(n) != request.name.key),
        approval=guard.approval(request),
        protected=guard.protects(request.name) is not None,
    )


def settle(
    guard: Guard, reply: Reply, *, channel: str, signer: Signer | None = None, signed: str = "",
    by: str = "",
) -> Settled:  # fmt: skip
    """Record *reply*: see `Guard.decide`."""
    stands = guard.decide(
        reply.request, reply.answer, scope=reply.scope, reason=reply.reason, channel=channel,
        signer=signer, signed=signed, by=by,
    )  # fmt: skip
    ruled = guard.policy.approval and reply.answer is Answer.GRANT
    approval = guard.approval(reply.request) if ruled else Approval()
    return Settled(stands, approval, not guard.repository.is_bare())


def _words(ask: Ask) -> str:
    return f"{ask.excerpt}\n{ask.purpose}"
