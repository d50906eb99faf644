"""The ledger, in every engine: append-only, and the first decision wins."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from orgguard_mcp.errors import LedgerError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Basis, Effect, Request, Scope
from orgguard_mcp.names import parse
from orgguard_mcp.storage.store import EMPTY, MAX_ASKS, MAX_WORDS, Store
from tests.ledgers import BASE, DAY, SPAWN, Place, an_ask, answer, ask
from tests.names import COINED, COINED_TOO
from tests.simulator import Repo


def test_decisions_of_one_request_follow_each_other_in_one_order_only(ledger: Store) -> None:
    request = ask(ledger)
    granted = ledger.decide(answer(request, Answer.GRANT))
    assert ledger.decide(answer(request, Answer.REFUSE)) == granted
    withdrawn = ledger.decide(answer(request, Answer.WITHDRAW))
    assert ledger.decide(answer(request, Answer.GRANT)) == withdrawn
    assert ledger.decisions(parse(COINED).key) == [granted, withdrawn]
    assert ledger.decision_on(request.id) == granted


def test_decision_on_a_request_that_does_not_exist_is_refused(ledger: Store) -> None:
    stray = answer(Request("feed", parse(COINED), BASE, 0, 0, ()), Answer.GRANT)
    with pytest.raises(LedgerError) as caught:
        ledger.decide(stray)
    assert "damaged" not in caught.value.hint  # the file is well
    assert ledger.decisions() == []


# --- the first decision wins ----------------------------------------------------------------------


def test_of_many_threads_one_decision_stands_and_all_are_told_which(ledger: Store) -> None:
    requests = [ask(ledger, f"{COINED} {letter}{letter}{letter}") for letter in "abcdefgh"]
    answers = [
        answer(request, given, f"{given} {number}")
        for request in requests
        for number in range(8)
        for given in (Answer.GRANT, Answer.REFUSE)
    ]
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(ledger.decide, answers))
    stands = {request.id: ledger.decision_on(request.id) for request in requests}
    assert [stands[given.request_id] for given in answers] == told
    assert len(ledger.decisions()) == len(requests)


def _decide(place: Place, request: Request, at_once: Any, told: Any) -> None:  # noqa: ANN401
    ledger = place.open()
    given = Answer.GRANT if os.getpid() % 2 else Answer.REFUSE
    at_once.wait()
    told.put(ledger.decide(answer(request, given, f"process {os.getpid()}")))
    ledger.close()


def test_of_many_processes_one_decision_stands_and_all_are_told_which(
    ledger: Store, place: Place
) -> None:
    request = ask(ledger)
    at_once, told = SPAWN.Barrier(6), SPAWN.Queue()
    children = [
        SPAWN.Process(target=_decide, args=(place, request, at_once, told), daemon=True)
        for _ in range(6)
    ]
    for child in children:
        child.start()
    answers = [told.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    assert answers == ledger.decisions() * 6
    assert len(ledger.decisions()) == 1


def _open_and_ask(place: Place, at_once: Any, told: Any) -> None:  # noqa: ANN401
    for number in range(20):
        at_once.wait()
        try:
            ledger = place.another(str(number)).open()
            told.put(ask(ledger, COINED, an_ask(label=str(os.getpid()))).id)
            ledger.close()
        except LedgerError as error:
            told.put(error.cause)


def test_processes_that_make_a_ledger_at_once_join_one_request(place: Place) -> None:
    at_once, told = SPAWN.Barrier(4), SPAWN.Queue()
    children = [
        SPAWN.Process(target=_open_and_ask, args=(place, at_once, told), daemon=True)
        for _ in range(4)
    ]
    for child in children:
        child.start()
    answers = [told.get(timeout=60) for _ in range(80)]
    for child in children:
        child.join()
    stored = []
    for number in range(20):
        ledger = place.another(str(number)).open()
        stored += [request.id for request in ledger.pending() for _ in request.asks]
        ledger.close()
    assert sorted(answers) == sorted(stored)


# --- the queue ------------------------------------------------------------------------------------


def test_asking_twice_joins_one_request(ledger: Store) -> None:
    first = ask(ledger, COINED)
    again = ask(ledger, f"{COINED.upper()} GmbH", an_ask("src/b.py:1"), an_ask())
    assert again.id == first.id
    assert [request.id for request in ledger.pending()] == [first.id]
    assert [given.where for given in again.asks] == ["src/a.py:7", "src/b.py:1"]
    assert ask(ledger, COINED_TOO).id != first.id


def test_request_keeps_a_bounded_number_of_places(ledger: Store) -> None:
    request = ask(ledger, COINED, *(an_ask(f"f{n}.py") for n in range(MAX_ASKS + 5)))
    assert len(request.asks) == MAX_ASKS


def test_request_lapses_and_asking_again_opens_another(ledger: Store) -> None:
    lapsed = ask(ledger, lapse=0)
    assert ledger.pending() == []
    assert ledger.open_request(parse(COINED).key) is None
    again = ask(ledger)
    assert again.id != lapsed.id
    assert ledger.pending() == [again]


def test_lapsed_request_leaves_the_name_unknown(make_repo: Callable[..., Repo]) -> None:
    with Guard(make_repo({"a.py": "1\n"}).path) as guard:
        guard.ledger.ask(parse(COINED), guard.base, [an_ask()], 0)
        verdict = guard.check(COINED)
    assert (verdict.basis, verdict.effect) == (Basis.UNKNOWN, Effect.ASK)


def test_decided_request_is_open_no_more(ledger: Store) -> None:
    request = ask(ledger)
    ledger.decide(answer(request, Answer.REFUSE))
    assert ledger.pending() == []
    assert ask(ledger).id != request.id


def test_texts_of_a_question_are_kept_to_a_length_and_marked(ledger: Store) -> None:
    long = "x" * 1_000_000
    endless = Ask(long, long, long, Asker(long, 1, 2.0), 3.0, long, long)
    request = ask(ledger, COINED, endless)
    (kept,) = request.asks
    cut = f"{long[:MAX_WORDS]}… (998000 characters cut)"
    assert kept == Ask(cut, cut, cut, Asker(cut, 1, 2.0), 3.0, cut, cut)
    named = replace(parse(COINED_TOO), surface=long)
    assert len(ledger.ask(named, BASE, [endless], DAY).name.surface) < 300
    assert ask(ledger, COINED, endless).asks == (kept,)


def test_question_keeps_where_it_was_asked_from(ledger: Store) -> None:
    here = an_ask()
    places = (here, replace(here, branch="other"), replace(here, worktree="/home/a/other"))
    assert ask(ledger, COINED, *places, here).asks == places


@pytest.mark.parametrize(
    "scope", [Scope(), Scope(("src/a.py", "b é.py")), Scope(branch="feature/x")]
)
def test_scope_of_a_decision_is_kept(ledger: Store, scope: Scope) -> None:
    given = answer(ask(ledger), Answer.GRANT, scope=scope)
    ledger.decide(given)
    assert ledger.decisions() == [given]


# --- signed grants --------------------------------------------------------------------------------


def test_signed_grants_are_kept_in_order_and_may_be_renewed(ledger: Store) -> None:
    first, second = ask(ledger), ask(ledger, COINED_TOO)
    assert ledger.attached() == []
    for request, text in ((first, "one"), (second, "two"), (first, "three")):
        ledger.attach(request.id, text)
    assert ledger.attached() == [(first.id, "one"), (second.id, "two"), (first.id, "three")]
    with pytest.raises(LedgerError):
        ledger.attach("feed", "four")
    assert len(ledger.attached()) == 3


def test_grant_is_attached_only_to_the_decision_that_stands(ledger: Store) -> None:
    request = ask(ledger)
    ledger.decide(answer(request, Answer.GRANT), grant="the first")
    ledger.decide(answer(request, Answer.GRANT, "somebody else"), grant="too late")
    assert ledger.attached() == [(request.id, "the first")]


def test_grant_that_cannot_be_stored_leaves_no_decision(ledger: Store) -> None:
    request = ask(ledger)
    with pytest.raises(LedgerError):
        ledger.decide(answer(request, Answer.GRANT), grant="\ud800")
    assert ledger.decisions() == []
    ledger.verify()


# --- the chain ------------------------------------------------------------------------------------


def test_head_moves_with_everything_that_is_added_and_is_an_anchor_ever_after(
    ledger: Store,
) -> None:
    heads = [ledger.head()]
    request = ask(ledger)
    for add in (
        lambda: ask(ledger, COINED, an_ask("src/b.py:1")),
        lambda: ledger.decide(answer(request, Answer.GRANT)),
        lambda: ledger.attach(request.id, "a grant"),
        lambda: ledger.decide(answer(request, Answer.WITHDRAW)),
    ):
        heads.append(ledger.head())
        add()
    heads.append(ledger.head())
    assert heads[0] == EMPTY
    assert len(set(heads)) == len(heads)
    ledger.verify(heads)
    with pytest.raises(LedgerError):
        ledger.verify([*heads, "f" * 64])


def test_asking_the_same_again_adds_nothing_to_the_log(ledger: Store) -> None:
    ask(ledger, COINED, an_ask(pid=7))
    head = ledger.head()
    again = ask(ledger, COINED, an_ask(pid=8))
    assert again.asks[0].asker.pid == 8
    assert ledger.head() == head
    ledger.verify()
