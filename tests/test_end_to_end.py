"""The main job, for real: an agent asks over MCP, a human answers on a pseudo-terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import names
from tests.agent import ERAS, Agent
from tests.human import Human
from tests.simulator import Repo

FILES: dict[str, str | bytes] = {
    "src/clients.py": f"class {names.COINED_TOO}Client: ...\n",
    "README.md": "# A project\n",
}


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Path:
    return make_repo(FILES | {".orgguard/policy.toml": "hold_seconds = 20\n"}).path


@pytest.fixture
def hasty(make_repo: Callable[..., Repo]) -> Path:
    """A repository whose requests come back as pending at once."""
    return make_repo(FILES | {".orgguard/policy.toml": "hold_seconds = 0.2\n"}).path


@pytest.mark.parametrize("era", ERAS)
def test_a_granted_name_reaches_the_agent_that_waits(repo: Path, era: str) -> None:
    with Agent(repo, era) as agent, Human(repo) as human:
        assert agent.call("check_name", name=names.COINED)["effect"] == "ask"
        agent.send("request_consent", name=names.COINED, where="src/a.py:3")
        assert human.grants() == names.COINED
        answer = agent.result()
        assert answer["structured"]["status"] == "granted"
        assert answer["text"].startswith("granted")
        assert agent.call("check_name", name=names.COINED)["effect"] == "allow"


@pytest.mark.parametrize("era", ERAS)
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
