"""Every agent's payloads through the real command, each with an invented name that nobody allowed,
one that the base has, one that a human allowed and one that a human refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orgguard_mcp.hooks import HOOKS
from orgguard_mcp.model import Answer
from orgguard_mcp.options import AGENTS
from tests.hooks.hooked import ESTABLISHED, Answered, guarded, hook
from tests.names import COINED, FOURTH, THIRD
from tests.scanner import decide
from tests.simulator import Repo

GOLDEN = Path(__file__).parent / "golden"
PAYLOADS = sorted(path.relative_to(GOLDEN) for path in GOLDEN.glob("*/*.json"))
STOPPED = [path for path in PAYLOADS if "free" not in json.loads((GOLDEN / path).read_text())]
GRANTED, REFUSED = THIRD, FOURTH
WORD = "no customers here"

Ask = Callable[[Path, str], tuple[dict[str, Any], Answered]]


@pytest.fixture(scope="module")
def repo(sealed_module: None, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    made = guarded(tmp_path_factory.mktemp("golden") / "repo")
    decide(made, GRANTED, Answer.GRANT)
    decide(made, REFUSED, Answer.REFUSE, reason=WORD)
    return made


@pytest.fixture
def asked(repo: Repo) -> Iterator[Ask]:
    """Runs a golden payload about a name."""

    def ask(path: Path, name: str) -> tuple[dict[str, Any], Answered]:
        text = (GOLDEN / path).read_text()
        filled = text.replace("{NAME}", name).replace("{name}", name.lower())
        golden = json.loads(filled.replace("{ROOT}", str(repo.path)))
        repo.write(golden.get("files", {}))
        return golden, hook(path.parts[0], golden["payload"], where=repo.path)

    yield ask
    repo.git("clean", "-qfd")


def test_every_agent_has_golden_payloads() -> None:
    assert {path.parts[0] for path in PAYLOADS} == set(HOOKS)


def test_the_command_takes_every_agent_that_has_a_hook_and_no_other() -> None:
    assert tuple(HOOKS) == AGENTS


@pytest.mark.parametrize("path", PAYLOADS, ids=str)
def test_a_name_without_consent_is_stopped_and_reading_is_not(path: Path, asked: Ask) -> None:
    golden, answered = asked(path, COINED)
    if golden.get("free"):
        assert answered == _allowed(path)
        return
    _said(golden, answered)
    assert "request_consent" in answered.reason


@pytest.mark.parametrize("path", STOPPED, ids=str)
@pytest.mark.parametrize("name", [ESTABLISHED, GRANTED])
def test_a_name_of_the_base_or_with_consent_is_let_through(
    path: Path, name: str, asked: Ask
) -> None:
    _, answered = asked(path, name)
    assert answered == _allowed(path)


@pytest.mark.parametrize("path", STOPPED, ids=str)
def test_a_refused_name_is_stopped_with_the_humans_words(path: Path, asked: Ask) -> None:
    golden, answered = asked(path, REFUSED)
    _said(golden, answered)
    assert WORD in answered.reason


def _allowed(path: Path) -> Answered:
    """Silence, which Cursor would take for a failure."""
    return Answered(0, "{}\n" if path.parts[0] == "cursor" else "", "")


def _said(golden: dict[str, Any], answered: Answered) -> None:
    """The answer stops the agent in its own protocol, for the reasons of the golden file."""
    key = golden.get("says", "")
    after = key in {"additional_context", "followup_message", "additionalContext", "reason"}
    assert answered.code == (0 if after else 2)
    heard = json.loads(answered.out)[key] if key else answered.err
    for part in golden["reason"]:
        assert part.lower() in heard.lower()
