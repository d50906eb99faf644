"""Consent: what decisions add up to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orgguard_mcp.consent import TRANSITIONS, Standing, in_force, may_follow, standing
from orgguard_mcp.model import Answer, Basis, Decision, Place, Scope
from orgguard_mcp.names import canonicalise
from tests.names import COINED

GRANT, REFUSE, WITHDRAW = Answer.GRANT, Answer.REFUSE, Answer.WITHDRAW


def decision(answer: Answer, request: str = "r1", *paths: str, at: float = 0.0) -> Decision:
    return Decision(
        request, canonicalise(COINED), answer, Scope(paths), "", "terminal", "robin", at
    )


@pytest.mark.parametrize(
    ("last", "allowed"),
    [
        (None, {GRANT, REFUSE}),
        (GRANT, {WITHDRAW}),
        (REFUSE, {WITHDRAW}),
        (WITHDRAW, set()),
    ],
    ids=["open", "granted", "refused", "withdrawn"],
)
def test_what_may_follow(last: Answer | None, allowed: set[Answer]) -> None:
    assert {answer for answer in Answer if may_follow(last, answer)} == allowed


def test_the_transition_table_is_complete() -> None:
    assert set(TRANSITIONS) == {None, *Answer}


def test_without_a_decision_nothing_stands() -> None:
    assert standing([], Place("src/app.py")) == Standing(None)


@pytest.mark.parametrize(
    ("answer", "basis"), [(GRANT, Basis.CONSENTED), (REFUSE, Basis.REFUSED)], ids=str
)
def test_one_decision_stands(answer: Answer, basis: Basis) -> None:
    made = decision(answer)
    assert standing([made], Place(None)) == Standing(basis, made)


@pytest.mark.parametrize("first", [GRANT, REFUSE], ids=str)
@pytest.mark.parametrize("second", [GRANT, REFUSE], ids=str)
def test_of_one_request_the_first_answer_counts(first: Answer, second: Answer) -> None:
    made = decision(first)
    assert in_force([made, decision(second)]) == [made]


@pytest.mark.parametrize("order", [(GRANT, REFUSE), (REFUSE, GRANT)], ids=str)
def test_a_refusal_outweighs_a_grant_in_either_order(order: tuple[Answer, Answer]) -> None:
    decisions = [decision(answer, f"r{number}") for number, answer in enumerate(order)]
    assert standing(decisions, Place(None)).basis is Basis.REFUSED


def test_a_refusal_outweighs_a_grant_for_that_very_file() -> None:
    decisions = [decision(REFUSE, "r1"), decision(GRANT, "r2", "src/app.py")]
    assert standing(decisions, Place("src/app.py")).basis is Basis.REFUSED


@pytest.mark.parametrize("answer", [GRANT, REFUSE], ids=str)
def test_a_withdrawal_ends_a_decision(answer: Answer) -> None:
    assert standing([decision(answer), decision(WITHDRAW)], Place(None)) == Standing(None)


@pytest.mark.parametrize("late", [GRANT, REFUSE], ids=str)
def test_nothing_on_the_same_request_counts_after_its_withdrawal(late: Answer) -> None:
    assert in_force([decision(GRANT), decision(WITHDRAW), decision(late)]) == []


def test_a_withdrawal_ends_its_own_request_only() -> None:
    kept = decision(GRANT, "r2")
    assert in_force([decision(GRANT, "r1"), kept, decision(WITHDRAW, "r1")]) == [kept]


def test_withdrawing_a_refusal_leaves_the_grant_beside_it() -> None:
    decisions = [decision(GRANT, "r1"), decision(REFUSE, "r2"), decision(WITHDRAW, "r2")]
    assert standing(decisions, Place(None)).basis is Basis.CONSENTED


@pytest.mark.parametrize(
    ("path", "basis"),
    [
        ("src/app.py", Basis.CONSENTED),
        ("docs/a.md", Basis.CONSENTED),
        ("src/app.pyc", None),
        ("src", None),
        ("app.py", None),
        ("", None),
        (None, None),
    ],
)
def test_a_grant_for_files_holds_in_those_files_only(path: str | None, basis: Basis | None) -> None:
    assert standing([decision(GRANT, "r1", "src/app.py", "docs/a.md")], Place(path)).basis is basis


@pytest.mark.parametrize("path", ["src/app.py", None])
def test_a_grant_without_files_holds_everywhere(path: str | None) -> None:
    assert standing([decision(GRANT)], Place(path)).basis is Basis.CONSENTED


def test_of_two_grants_the_later_one_that_covers_the_place_is_named() -> None:
    wide, narrow = decision(GRANT, "r1"), decision(GRANT, "r2", "a.py", at=1.0)
    assert standing([wide, narrow], Place("a.py")).decision == narrow
    assert standing([wide, narrow], Place("b.py")).decision == wide


class Ledger(RuleBasedStateMachine):
    """Reviewers answer and withdraw, each request by the table; a set of facts is the oracle."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Decision] = []
        self.granted: dict[str, Scope] = {}
        self.refused: set[str] = set()

    @rule(scope=st.sampled_from([(), ("a.py",), ("a.py", "b.py")]))
    def grant(self, scope: tuple[str, ...]) -> None:
        request = f"r{len(self.history)}"
        self.history.append(decision(GRANT, request, *scope))
        self.granted[request] = Scope(scope)

    @rule()
    def refuse(self) -> None:
        request = f"r{len(self.history)}"
        self.history.append(decision(REFUSE, request))
        self.refused.add(request)

    @precondition(lambda self: self.granted or self.refused)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted([*self.granted, *self.refused])))
        self.history.append(decision(WITHDRAW, request))
        self.granted.pop(request, None)
        self.refused.discard(request)

    @invariant()
    def the_standing_is_what_the_facts_say(self) -> None:
        for path in ("a.py", "b.py", None):
            covered = any(not s.paths or path in s.paths for s in self.granted.values())
            expected = Basis.REFUSED if self.refused else Basis.CONSENTED if covered else None
            assert standing(self.history, Place(path)).basis is expected


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=50, stateful_step_count=20)


answers = st.tuples(st.sampled_from(list(Answer)), st.sampled_from("pqr"))


@given(st.lists(answers, max_size=8))
def test_nothing_is_consented_to_without_a_grant(history: list[tuple[Answer, str]]) -> None:
    decisions = [decision(answer, request) for answer, request in history if answer is not GRANT]
    assert standing(decisions, Place(None)).basis is not Basis.CONSENTED


@given(st.lists(answers, max_size=8), st.sampled_from("pqr"))
def test_withdrawing_a_request_leaves_nothing_of_it_in_force(
    history: list[tuple[Answer, str]], request_id: str
) -> None:
    decisions = [decision(answer, request) for answer, request in history]
    held = in_force([*decisions, decision(WITHDRAW, request_id)])
    assert request_id not in {kept.request_id for kept in held}
