"""What approvers do beside answering: sign what was allowed before, lay grants, end them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from orgguard_mcp import consent, grants, notary
from orgguard_mcp.grants import Grant
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Basis, Effect, Request, Trust, Verdict
from orgguard_mcp.names import Name, parse
from orgguard_mcp.notary import Signer, Yes


def unsigned(guard: Guard, person: str = "") -> list[Yes]:
    """The names that a human allowed on this machine and that lack a signature which *person* can
    give, though the base lists approvers: continuous integration will ask for it. Not those that
    were refused in another request, nor protected ones: neither is to be allowed in passing.
    """
    if not guard.approvers:
        return []
    signed = {grant.request for grant in guard.grants.grants}
    granted = [
        Yes(guard.ledger.request(decision.request_id), decision.scope)
        for decision in consent.in_force(guard.ledger.decisions())
        if decision.answer is Answer.GRANT
    ]
    return [yes for yes in granted if _wants_signature(guard, yes.request, person, signed)]


def _wants_signature(guard: Guard, request: Request, person: str, signed: set[str]) -> bool:
    approval = guard.approval(request)
    if not (approval.waits_for(person) if approval.ruled else request.id not in signed):
        return False
    verdict = guard.judge(request.name)
    return verdict.effect is not Effect.DENY and verdict.basis is not Basis.ESTABLISHED


def sign(guard: Guard, answers: Sequence[Yes], signer: Signer) -> None:
    """Sign *answers*, which were decided before, and lay the grants into the trees that asked.

    Raises `SigningError`; when that is for the files, the ledger has the grants all the same.
    """
    made = guard.notary.sign(answers, signer, guard.ledger.head())
    for yes, grant in zip(answers, made, strict=True):
        guard.ledger.attach(yes.request.id, grant.text)
    for yes, grant in zip(answers, made, strict=True):
        guard.notary.deliver(grant, yes.request)


def attach(guard: Guard, yes: Yes, text: str) -> None:
    """Keep the grant that *text* is, which an approver signed elsewhere for *yes*. Raises
    `SigningError` when it is none that counts.
    """
    guard.ledger.attach(yes.request.id, guard.notary.accept(text, yes).text)


def unlaid(guard: Guard, verdict: Verdict) -> list[Grant]:
    """The signed grants for a name that are in the log alone, in a repository without a working
    tree: who writes the name elsewhere has to commit them.
    """
    if verdict.trust is not Trust.SIGNED or not guard.repository.is_bare():
        return []
    book = guard.grants
    return [grant for grant in book.about(verdict.name.key) if grant.file_name in book.kept]


def lay(guard: Guard) -> int:
    """Write the grants that were signed on this machine into this working tree; how many."""
    top = guard.repository.top_level()
    mine = {text for _, text in guard.ledger.attached()}
    own = [grant for grant in guard.grants.grants if grant.text in mine]
    for grant in own:
        notary.lay(grant, top)
    return len(own)


def withdraw(guard: Guard, surface: str) -> int:
    """Mark the grants for a name as withdrawn, in this working tree and in the log that has them;
    how many they are. The mark counts wherever it is committed, and for all who share the log.
    """
    found = guard.grants.about(parse(surface).key)
    kept = {text: request for request, text in guard.ledger.attached()} if found else {}
    for grant in found:
        if grant.text in kept:
            guard.ledger.attach(kept[grant.text], grants.withdrawal(grant))
        notary.withdraw(grant, guard.repository.top_level())
    return len(found)


def question(guard: Guard, name: Name) -> Request:
    """A question about *name* that an approver puts to themselves, protected or not."""
    ask = Ask(
        "", "", "asked by an approver", Asker("orgguard grants add"), time.time(),
        branch=guard.repository.branch() or "",
    )  # fmt: skip
    return guard.ledger.ask(name, guard.base, [ask], guard.policy.lapse_hours * 3600)


def check_log(guard: Guard) -> None:
    """Raise `LedgerError` when the log is not the one on which signatures were given here."""
    mine = {request for request, _ in guard.ledger.attached()}
    counted = guard.grants.grants
    guard.ledger.verify(grant.log for grant in counted if grant.request in mine)
