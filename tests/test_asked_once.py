"""A question that was answered while it was being asked again is not asked a second time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Basis
from orgguard_mcp.names import parse
from orgguard_mcp.storage.store import Store
from tests.ledgers import BASE, DAY, an_ask, answer, ask
from tests.names import COINED
from tests.simulator import Repo


@pytest.mark.parametrize("given", [Answer.GRANT, Answer.REFUSE])
def test_what_was_answered_since_is_not_asked_again(ledger: Store, given: Answer) -> None:
    request = ask(ledger)
    ledger.decide(answer(request, given))
    assert ledger.ask(parse(COINED), BASE, [an_ask()], DAY, known=[]).id == request.id
    assert ledger.pending() == []
    again = ledger.ask(parse(COINED), BASE, [an_ask()], DAY, known=[request.id])
    assert ledger.pending() == [again]


@pytest.mark.parametrize("when", ["before", "after"])
def test_agent_that_asks_again_while_the_human_answers_gets_that_answer(
    make_repo: Callable[..., Repo], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The human answers after the name was found pending, or was not found at all."""
    repo = make_repo({"a.py": "1\n"})
    with Guard(repo.path) as guard, Guard(repo.path) as elsewhere:
        guard.request(COINED, [an_ask("a.py:1")])
        (request,) = elsewhere.ledger.pending()
        step = "open_request" if when == "before" else "ask"
        done = getattr(guard.ledger, step)

        def late(*values: object, **more: object) -> object:
            monkeypatch.setattr(guard.ledger, step, done)
            elsewhere.decide(request, Answer.REFUSE, channel="terminal")
            return done(*values, **more)

        monkeypatch.setattr(guard.ledger, step, late)
        assert guard.request(COINED, [an_ask("a.py:1")]).basis is Basis.REFUSED
        assert len(guard.ledger.requests()) == 1
