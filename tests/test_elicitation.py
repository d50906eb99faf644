"""The form beside the terminal: what counts as an answer, and who wins.

Legacy: the form is a request within the call. Modern: a result with which the client calls again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import names
from tests.agent import LEGACY, MODERN, Agent
from tests.human import Human
from tests.simulator import Repo
from tests.test_end_to_end import both_eras, waiting

NO_ANSWERS = ["decline", "cancel", "accept", "accept:", "accept:ALLOW", "decline:allow"]
"""What clients send without anybody's having chosen: each leaves the question to the terminal."""


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Path:
    return make_repo({"a.py": "", ".orgguard/policy.toml": "hold_seconds = 20\n"}).path


@pytest.fixture
def hasty(make_repo: Callable[..., Repo]) -> Path:
    return make_repo({"a.py": "", ".orgguard/policy.toml": "hold_seconds = 0.6\n"}).path


@both_eras
@pytest.mark.parametrize(
    ("form", "status"), [("accept:allow", "granted"), ("accept:deny", "refused")]
)
def test_a_chosen_answer_counts_as_the_humans(repo: Path, era: str, form: str, status: str) -> None:
    with Agent(repo, era, form=form) as agent:
        assert agent.ask(names.COINED)["status"] == status
        assert agent.ask(names.COINED, "elsewhere.py:9")["status"] == status
        assert waiting(repo) == []
        assert len([event for event in agent.seen if event["event"] == "form"]) == 1


@both_eras
def test_whatever_is_no_chosen_answer_leaves_the_question_to_the_terminal(
    hasty: Path, era: str, subtests: pytest.Subtests
) -> None:
    with Agent(hasty, era, form="decline") as agent:
        for answer in NO_ANSWERS:
            with subtests.test(answer):
                agent.answer_forms(answer)
                agent.send("request_consent", name=names.COINED, where="src/a.py:1")
                agent.event("form")
                assert agent.result()["structured"]["status"] == "pending"
                assert waiting(hasty) == [names.COINED]
        with Human(hasty) as human:
            human.grants()
        assert agent.ask(names.COINED)["status"] == "granted"


@both_eras
def test_a_client_that_cannot_show_forms_is_sent_none(hasty: Path, era: str) -> None:
    with Agent(hasty, era) as agent:
        assert agent.ask(names.COINED)["status"] == "pending"
        assert "form" not in [event["event"] for event in agent.seen]
        assert waiting(hasty) == [names.COINED]


def test_a_form_accepted_first_is_told_to_the_reviewer(repo: Path) -> None:
    with Agent(repo, LEGACY, form="hang") as agent, Human(repo) as human:
        agent.send("request_consent", name=names.COINED, where="src/a.py:1")
        agent.event("form")
        human.question()
        agent.answer_forms("accept:allow")
        assert agent.result()["structured"]["status"] == "granted"
        human.sees(r"Settled elsewhere: allowed in this repository by .*\(elicitation\)")


def test_the_terminals_answer_withdraws_the_form(repo: Path) -> None:
    with Agent(repo, LEGACY, form="hang") as agent, Human(repo) as human:
        agent.send("request_consent", name=names.COINED, where="src/a.py:1")
        agent.event("form")
        human.refuses("not here")
        agent.event("form-withdrawn")
        answer = agent.result()["structured"]
        assert answer["status"] == "refused"
        assert answer["names"][0]["human_said"] == "not here"


def test_a_form_that_nobody_answers_is_withdrawn_and_the_question_stays(hasty: Path) -> None:
    with Agent(hasty, LEGACY, form="hang") as agent:
        agent.send("request_consent", name=names.COINED, where="src/a.py:1")
        agent.event("form-withdrawn")
        assert agent.result()["structured"]["status"] == "pending"
        assert waiting(hasty) == [names.COINED]


def test_the_terminals_answer_wins_over_a_form_still_up(repo: Path) -> None:
    with Agent(repo, MODERN, form="hang") as agent, Human(repo) as human:
        agent.send("request_consent", name=names.COINED, where="src/a.py:1")
        agent.event("form")
        human.refuses()
        agent.answer_forms("accept:allow")
        assert agent.result()["structured"]["status"] == "refused"
        assert agent.call("check_name", name=names.COINED)["effect"] == "deny"


def test_a_late_forms_answer_decides_only_the_question_that_it_showed(repo: Path) -> None:
    with Agent(repo, MODERN, form="hang") as agent, Human(repo) as human:
        agent.send("request_consent", name=names.COINED, where="src/a.py:1")
        agent.event("form")
        human.grants()
        with Human(repo, names.COINED, command="withdraw") as other:
            assert other.leaves() == 0
        agent.answer_forms("accept:allow")
        assert human.question() == names.COINED, "a new question, not answered by the old form"
        human.declines()
        assert agent.result()["structured"]["status"] == "refused"


@both_eras
def test_the_form_refuses_by_default_and_shows_the_agents_words_escaped(
    repo: Path, era: str
) -> None:
    with Agent(repo, era, form="accept:deny") as agent:
        agent.send(
            "request_consent", name=names.CYRILLIC_TWIN, where="a.py:1\x1b[2J",
            excerpt="one\ntwo\u202etxt", purpose="\x1b]52;c;aGk=\x07" + "long " * 400,
        )  # fmt: skip
        form = agent.event("form")
        agent.result()
    schema, message = form["schema"], form["message"]
    assert set(schema) <= {"type", "properties", "required", "$schema"}, "Codex cancels others"
    (field,) = schema["properties"].values()
    assert field["enum"][0] == "deny"
    assert "default" not in field
    assert schema["required"] == list(schema["properties"])
    first, *_ = message.split("The agent's own words (not verified):")
    assert "U+0430 Cyrillic Small Letter A" in first
    assert r"a.py:1\x1b[2J" in message
    assert r"one\ntwo\u202etxt" in message
    assert not {c for c in message if c != "\n" and not c.isprintable()}
    assert len(message) < 1500


@both_eras
def test_forms_ask_about_each_of_a_few_names(repo: Path, era: str) -> None:
    with Agent(repo, era, form="accept:deny") as agent:
        answer = agent.ask([names.COINED, names.THIRD])
        forms = [event["message"] for event in agent.seen if event["event"] == "form"]
        assert answer["status"] == "refused"
        assert len(forms) == 2
        assert names.COINED in forms[0]
        assert names.THIRD in forms[1]
