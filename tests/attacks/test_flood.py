"""An agent that floods the queue, in every engine: it is told off, and others are heard."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from mcp import Client

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Asker, Basis, Request
from orgguard_mcp.names import parse
from orgguard_mcp.server.stdio import build
from orgguard_mcp.server.tools import MAX_NAMES
from orgguard_mcp.storage.store import MAX_OPEN, MAX_OPEN_OF_ONE, Store
from tests.ledgers import BASE, DAY, SPAWN, Place, an_ask, answer, ask
from tests.names import COINED, COINED_TOO, THIRD
from tests.simulator import Repo


def flood(ledger: Store, count: int, asker: Asker, prefix: str = "") -> list[Request]:
    one = an_ask(label=asker.label, pid=asker.pid)
    return [ask(ledger, f"{COINED} {prefix}{number}", one) for number in range(count)]


@pytest.mark.parametrize("asker", [Asker("client", 7, 2.0), Asker("client")], ids=["pid", "label"])
def test_one_client_cannot_fill_the_queue(ledger: Store, asker: Asker) -> None:
    """An agent in a loop asks about ever new names: beyond a number of its own it is told off, and
    others are heard."""
    requests = flood(ledger, MAX_OPEN_OF_ONE, asker)
    with pytest.raises(LedgerError) as caught:
        flood(ledger, 1, asker, "more")
    assert caught.value.message.startswith("nothing was asked")
    assert "orgguard review" in caught.value.hint
    assert COINED not in "\n".join(caught.value.lines())
    assert len(ledger.pending()) == MAX_OPEN_OF_ONE
    joined = ask(ledger, requests[0].name.surface, an_ask("b.py:1", asker.label, asker.pid))
    assert [one.where for one in joined.asks] == ["src/a.py:7", "b.py:1"]
    flood(ledger, 1, Asker("another", asker.pid and 8), "other")
    ledger.decide(answer(requests[0], Answer.REFUSE))
    flood(ledger, 1, asker, "again")
    ledger.verify()


def test_joining_does_not_use_up_what_another_client_may_ask(ledger: Store) -> None:
    """An agent asks first about all that others will need: they still have questions of their own
    left."""
    flood(ledger, MAX_OPEN_OF_ONE, Asker("first", 7))
    second = Asker("second", 8)
    assert len({r.id for r in flood(ledger, MAX_OPEN_OF_ONE, second)}) == MAX_OPEN_OF_ONE
    flood(ledger, 1, second, "own")
    assert len(ledger.pending()) == MAX_OPEN_OF_ONE + 1


def test_many_clients_cannot_bury_the_human(ledger: Store) -> None:
    """An agent that takes a new process for every question is stopped by the queue's own limit;
    what lapsed does not count."""
    for number in range(3):
        ask(ledger, f"{THIRD} {number}", an_ask(pid=7), lapse=0)
    requests = [
        ask(ledger, f"{COINED} {number}", an_ask(pid=number + 10)) for number in range(MAX_OPEN)
    ]
    with pytest.raises(LedgerError) as caught:
        ask(ledger, COINED_TOO, an_ask(pid=7))
    assert f"{MAX_OPEN} in all" in caught.value.message
    assert ask(ledger, requests[0].name.surface, an_ask("b.py:1", pid=7)).id == requests[0].id
    assert len(ledger.pending()) == MAX_OPEN
    ledger.decide(answer(requests[0], Answer.GRANT))
    ask(ledger, COINED_TOO, an_ask(pid=7))


def _flood(place: Place, number: int, at_once: Any, told: Any) -> None:  # noqa: ANN401
    ledger = place.open()
    at_once.wait()
    opened = 0
    for count in range(MAX_OPEN_OF_ONE):
        try:
            ask(ledger, f"{COINED} {number}x{count}", an_ask(pid=7))
            opened += 1
        except LedgerError:
            break
    told.put(opened)
    ledger.close()


def test_limit_holds_when_processes_ask_at_once(ledger: Store, place: Place) -> None:
    """An agent floods through several servers of one client at the same time."""
    at_once, told = SPAWN.Barrier(3), SPAWN.Queue()
    children = [
        SPAWN.Process(target=_flood, args=(place, number, at_once, told), daemon=True)
        for number in range(3)
    ]
    for child in children:
        child.start()
    opened = sum(told.get(timeout=60) for _ in children)
    for child in children:
        child.join()
    assert opened == len(ledger.pending()) == MAX_OPEN_OF_ONE


def test_spellings_of_one_name_are_one_question(ledger: Store) -> None:
    """An agent asks for one name in many spellings, until the human tires."""
    forms = ["GmbH", "Inc.", "Corp", "LLC", "Ltd"]
    requests = [ask(ledger, f"{COINED} {form}") for form in forms]
    assert len({request.id for request in requests}) == len(ledger.pending()) == 1


@pytest.mark.asyncio
async def test_call_with_as_many_names_as_it_may_have_is_taken_and_the_next_is_told_off(
    make_repo: Callable[..., Repo],
) -> None:
    """An honest agent with a long list is served; one that goes on is told what to do."""
    repo = make_repo({"a.py": "1\n"}).path
    names = [f"{COINED} {number}" for number in range(MAX_NAMES)]
    async with Client(build(str(repo), hold=0), mode="legacy") as client:
        taken = await client.call_tool("request_consent", {"name": names, "where": "a.py:1"})
        more = await client.call_tool("request_consent", {"name": COINED_TOO, "where": "a.py:1"})
    assert not taken.is_error
    assert more.is_error
    assert isinstance(more.structured_content, dict)
    assert more.structured_content["effect"] == "deny"
    with Guard(repo) as guard:
        assert {r.name.surface for r in guard.ledger.pending()} == set(names)
        assert guard.check(COINED_TOO).basis is Basis.UNKNOWN


def test_question_that_lapsed_under_a_flood_can_be_asked_again(ledger: Store) -> None:
    """An agent lets its flood lapse: nothing of it stands in the way of the next question."""
    for number in range(MAX_OPEN_OF_ONE + 5):
        ledger.ask(parse(f"{COINED} {number}"), BASE, [an_ask()], -DAY)
    assert ledger.pending() == []
    assert ask(ledger).created_at <= time.time()
