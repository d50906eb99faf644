"""What approvers do beside answering: sign what was allowed before, lay grants, end them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from orgguard_mcp import consent, notary
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Basis, Effect, Request
from orgguard_mcp.names import Name, parse
from orgguard_mcp.notary import Signer, Yes


def unsigned(guard: Guard) -> list[Yes]:
    """The names that a human allowed on this machine and that no signed grant covers, though the
    base lists approvers: continuous integration will ask for one. Not those that were refused in
    another request, nor protected ones: neither is to be allowed in passing.
    """
    if not guard.approvers:
        return []
    signed = {grant.request for grant in guard.grants.grants}
    granted = [
        decision
        for decision in consent.in_force(guard.ledger.decisions())
        if decision.answer is Answer.GRANT and decision.request_id not in signed
    ]
    found = [Yes(guard.ledger.request(one.request_id), one.scope) for one in granted]
    return [yes for yes in found if _wants_signature(guard, yes.request.name)]


def _wants_signature(guard: Guard, name: Name) -> bool:
    verdict = guard.judge(name)
    return verdict.effect is not Effect.DENY and verdict.basis is not Basis.ESTABLISHED


def sign(guard: Guard, answers: Sequence[Yes], signer: Signer) -> None:
    """Sign *answers*, which were decided before, and lay the grants into the trees that asked.

    Raises `SigningError`; when that is for the files, the ledger has the grants all the same.
    """
    grants = guard.notary.sign(answers, signer, guard.ledger.head())
    for yes, grant in zip(answers, grants, strict=True):
        guard.ledger.attach(yes.request.id, grant.text)
    for yes, grant in zip(answers, grants, strict=True):
        guard.notary.deliver(grant, yes.request)


def lay(guard: Guard) -> int:
    """Write the grants that were signed on this machine into this working tree; how many."""
    top = guard.repository.top_level()
    mine = {text for _, text in guard.ledger.attached()}
    own = [grant for grant in guard.grants.grants if grant.text in mine]
    for grant in own:
        notary.lay(grant, top)
    return len(own)


def withdraw(guard: Guard, surface: str) -> int:
    """Mark the grants for a name as withdrawn in this working tree; how many they are. The mark
    counts wherever it is committed.
    """
    found = guard.grants.about(parse(surface).key)
    for grant in found:
        notary.withdraw(grant, guard.repository.top_level())
    return len(found)


def question(guard: Guard, name: Name) -> Request:
    """A question about *name* that an approver puts to themselves, protected or not."""
    ask = Ask("", "", "asked by an approver", Asker("orgguard grants add"), time.time())
    return guard.ledger.ask(name, guard.base, [ask], guard.policy.lapse_hours * 3600)


def check_log(guard: Guard) -> None:
    """Raise `LedgerError` when the log is not the one on which signatures were given here."""
    mine = {request for request, _ in guard.ledger.attached()}
    grants = guard.grants.grants
    guard.ledger.verify(grant.log for grant in grants if grant.request in mine)
