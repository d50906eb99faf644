"""The main job, for real: agents ask over MCP, a human answers on a pseudo-terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orgguard_mcp.guard import Guard
from tests import names
from tests.agent import ERAS, Agent
from tests.human import HEADING, IDLE, Human
from tests.simulator import Repo

FILES: dict[str, str | bytes] = {
    "src/clients.py": f"class {names.COINED_TOO}Client: ...\n",
    "README.md": "# A project\n",
}
both_eras = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Path:
    return make_repo(FILES | {".orgguard/policy.toml": "hold_seconds = 20\n"}).path


@pytest.fixture
def hasty(make_repo: Callable[..., Repo]) -> Path:
    """A repository whose requests come back as pending at once."""
    return make_repo(FILES | {".orgguard/policy.toml": "hold_seconds = 0.2\n"}).path


def waiting(repo: Path) -> list[str]:
    """The names in the queue."""
    with Guard(repo) as guard:
        return [request.name.surface for request in guard.ledger.pending()]


def asked_and_on_screen(agent: Agent, human: Human) -> str:
    """Start a call about `COINED` and wait until the human sees it."""
    agent.send("request_consent", name=names.COINED, where="src/a.py:3")
    return human.question()


# --- one agent, one human -------------------------------------------------------------------------


@both_eras
def test_a_granted_name_reaches_the_agent_that_waits(repo: Path, era: str) -> None:
    with Agent(repo, era) as agent, Human(repo) as human:
        assert agent.call("check_name", name=names.COINED)["effect"] == "ask"
        agent.send("request_consent", name=names.COINED, where="src/a.py:3")
        assert human.grants() == names.COINED
        answer = agent.result()
        assert answer["structured"]["status"] == "granted"
        assert answer["text"].startswith("granted")
        assert agent.call("check_name", name=names.COINED)["effect"] == "allow"


@both_eras
def test_a_refusal_carries_the_humans_words_and_no_substitute(repo: Path, era: str) -> None:
    with Agent(repo, era) as agent, Human(repo) as human:
        agent.send("request_consent", name=names.COINED, where="src/a.py:3")
        human.refuses("say it without the customer")
        answer = agent.result()
        assert answer["structured"]["status"] == "refused"
        assert answer["structured"]["names"][0]["human_said"] == "say it without the customer"
        assert "say it without the customer" in answer["text"]
        assert "capability" in answer["text"]
        assert agent.ask(names.COINED)["status"] == "refused"


@both_eras
def test_calling_again_gets_the_answer_given_meanwhile_and_asks_nobody_twice(
    hasty: Path, era: str
) -> None:
    with Agent(hasty, era) as agent:
        first, second = agent.ask(names.COINED), agent.ask(names.COINED)
        assert first["status"] == second["status"] == "pending"
        assert first["effect"] == "ask"
        assert first["names"][0]["id"] == second["names"][0]["id"]
        with Human(hasty) as human:
            human.grants()
            human.sees(IDLE)
            assert human.emitted.count(HEADING) == 1
        assert agent.ask(names.COINED)["status"] == "granted"
        assert waiting(hasty) == []


@both_eras
def test_this_file_only_allows_there_and_asks_elsewhere(repo: Path, era: str) -> None:
    with Agent(repo, era) as agent, Human(repo) as human:
        agent.send("request_consent", name=names.COINED, where="src/a.py:3")
        human.grants("f")
        assert agent.result()["structured"]["status"] == "granted"
        here = agent.call("check_name", name=names.COINED, where="src/a.py:90")
        elsewhere = agent.call("check_name", name=names.COINED, where="src/b.py:3")
        nowhere = agent.call("check_name", name=names.COINED)
        assert [here["effect"], elsewhere["effect"], nowhere["effect"]] == ["allow", "ask", "ask"]
        agent.send("request_consent", name=names.COINED, where="src/b.py:3")
        assert human.grants() == names.COINED
        assert agent.result()["structured"]["status"] == "granted"


@both_eras
def test_a_withdrawn_name_is_undecided_again(repo: Path, era: str) -> None:
    with Agent(repo, era) as agent:
        with Human(repo) as human:
            agent.send("request_consent", name=names.COINED, where="src/a.py:3")
            human.grants()
            assert agent.result()["structured"]["status"] == "granted"
        with Human(repo, names.COINED, command="withdraw") as human:
            human.sees("undecided again")
            assert human.leaves() == 0
        assert agent.call("check_name", name=names.COINED)["effect"] == "ask"
        with Human(repo) as human:
            asked_and_on_screen(agent, human)


@both_eras
def test_each_of_several_names_gets_its_own_place_and_answer(repo: Path, era: str) -> None:
    asked = [names.COINED, names.COINED_TOO, names.THIRD]
    places = ["src/a.py:3", "src/clients.py:1", "commit message"]
    with Agent(repo, era) as agent, Human(repo) as human:
        agent.send("request_consent", name=asked, where=places)
        assert human.question() == names.COINED
        assert "src/a.py:3" in human.emitted
        assert "commit message" not in human.emitted
        human.confirms(names.COINED)
        assert human.refuses() == names.THIRD
        assert "commit message" in human.emitted
        answer = agent.result()["structured"]
        assert (answer["status"], answer["effect"]) == ("refused", "deny")
        assert [name["effect"] for name in answer["names"]] == ["allow", "allow", "deny"]


# --- more than one --------------------------------------------------------------------------------


@both_eras
def test_two_clients_share_one_question_and_its_answer(repo: Path, era: str) -> None:
    one, other = Agent(repo, era), Agent(repo, era)
    with one, other, Human(repo) as human:
        asked_and_on_screen(one, human)
        other.send("request_consent", name=names.COINED.upper(), where="src/b.py:9")
        other.waits()
        human.confirms(names.COINED)
        assert one.result()["structured"]["status"] == "granted"
        assert other.result()["structured"]["status"] == "granted"
        human.sees(IDLE)
        assert human.emitted.count(HEADING) == 1


@both_eras
def test_the_first_of_two_reviewers_wins_and_the_other_is_told(repo: Path, era: str) -> None:
    with Agent(repo, era) as agent, Human(repo) as first, Human(repo) as second:
        asked_and_on_screen(agent, first)
        second.question()
        second.types("y")
        second.sees("Type the name")
        first.types("n")
        first.types("no")
        second.sees("Settled elsewhere: refused by")
        assert agent.result()["structured"]["status"] == "refused"


# --- processes that die ---------------------------------------------------------------------------


@both_eras
def test_a_question_outlives_its_killed_client(repo: Path, era: str) -> None:
    with Human(repo) as human:
        with Agent(repo, era) as agent:
            asked_and_on_screen(agent, human)
            agent.kill()
        assert waiting(repo) == [names.COINED]
        human.confirms(names.COINED)
    with Agent(repo, era) as successor:
        assert successor.ask(names.COINED)["status"] == "granted"


@both_eras
def test_a_question_outlives_its_killed_server(repo: Path, era: str) -> None:
    with Human(repo) as human:
        with Agent(repo, era) as agent:
            asked_and_on_screen(agent, human)
            agent.kill_server()
            agent.event("failure")
        with Agent(repo, era) as successor:
            successor.send("request_consent", name=names.COINED, where="src/a.py:3")
            successor.waits()
            human.declines()
            assert successor.result()["structured"]["status"] == "refused"
        human.sees(IDLE)
        assert human.emitted.count(HEADING) == 1


@both_eras
def test_a_cancelled_call_leaves_its_question_in_the_queue(repo: Path, era: str) -> None:
    with Agent(repo, era) as agent, Human(repo) as human:
        asked_and_on_screen(agent, human)
        agent.send("cancel")
        agent.event("cancelled")
        assert waiting(repo) == [names.COINED]
        human.confirms(names.COINED)
        assert agent.ask(names.COINED)["status"] == "granted"


@both_eras
def test_a_client_may_start_a_server_for_every_call(hasty: Path, era: str) -> None:
    with Agent(hasty, era) as agent:
        assert agent.ask(names.COINED)["status"] == "pending"
    with Human(hasty) as human:
        human.grants()
    with Agent(hasty, era) as agent:
        assert agent.ask(names.COINED)["status"] == "granted"


# --- nobody to ask, nothing to leak, a base that moves --------------------------------------------


@both_eras
@pytest.mark.parametrize(
    ("options", "environment"),
    [(["--dry-run"], {}), ([], {"ORGGUARD_DRY_RUN": "1"}), ([], {"CI": "true"})],
    ids=["option", "variable", "CI"],
)
def test_a_dry_run_says_what_it_would_ask_at_once_and_stores_nothing(
    repo: Path, era: str, options: list[str], environment: dict[str, str]
) -> None:
    with Agent(repo, era, serve=options, **environment) as agent:
        agent.call("check_name", name=names.COINED)  # the base is read
        started = time.monotonic()
        answer = agent.ask(names.COINED)
        assert time.monotonic() - started < 5  # the policy's hold is 20 s
        assert (answer["status"], answer["effect"]) == ("would ask", "deny")
        assert answer["names"][0]["effect"] == "deny"
    assert not list((repo / ".git").rglob("ledger*"))


@both_eras
def test_no_name_and_no_word_of_the_agents_reaches_the_servers_log(
    hasty: Path, era: str, tmp_path: Path
) -> None:
    log = tmp_path / "stderr"
    words = {"excerpt": f"# for {names.THIRD}", "purpose": f"because {names.FOURTH} asked"}
    with Agent(hasty, era, errors=log) as agent:
        agent.call("check_name", name=names.COINED)
        agent.ask(names.COINED, f"src/{names.TWO_WORDS}.py", **words)
        for arguments in (
            {"name": names.COINED * 99, "where": "src/a.py"},
            {"name": names.COINED},
            {"name": {"of": names.COINED}, "where": names.THIRD},
        ):
            agent.send("request_consent", **arguments)
            assert agent.result()["is_error"]
        agent.send("no_such_tool", name=names.COINED)
        assert agent.result()["is_error"]
    logged = log.read_text()
    for planted in (names.COINED, names.THIRD, names.FOURTH, names.TWO_WORDS):
        assert planted.casefold() not in logged.casefold()


@both_eras
def test_a_running_server_follows_a_base_that_moves(
    make_repo: Callable[..., Repo], era: str
) -> None:
    repo = make_repo(FILES)
    with Agent(repo.path, era) as agent:
        assert agent.call("check_name", name=names.COINED)["effect"] == "ask"
        commit = repo.commit({"src/new.py": f"class {names.COINED}Client: ...\n"})
        deadline = time.monotonic() + 15
        while (answer := agent.call("check_name", name=names.COINED))["effect"] == "ask":
            assert time.monotonic() < deadline, "the server never saw the new base"
        assert answer["base"] == commit
        assert answer["names"][0]["basis"] == "established"


@pytest.mark.parametrize("era", ERAS)
def test_a_client_that_dies_while_it_waits_leaves_no_server_and_no_noise(
    repo: Path, tmp_path: Path, era: str
) -> None:
    errors = tmp_path / "errors"
    with Agent(repo, era, errors=errors) as agent:
        agent.send("request_consent", name=names.COINED, where="src/a.py:1")
        agent.waits()
        server = psutil.Process(agent.server_pid)
        agent.kill()
        server.wait(20)
    assert "Traceback" not in errors.read_text()
