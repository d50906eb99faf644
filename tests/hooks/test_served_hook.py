"""The server as Claude Code's hook: a tool that is called and not listed, over stdio."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from orgguard_mcp.hooks import served
from orgguard_mcp.setup.clients import CLIENTS
from orgguard_mcp.setup.parts import Entries
from tests.agent import ERAS, LEGACY, Agent
from tests.hooks.hooked import ESTABLISHED, guarded
from tests.names import COINED
from tests.simulator import Repo

WANTED = f"{COINED} asked for webhooks.\n"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return guarded(tmp_path / "repo")


@pytest.fixture
def agent(repo: Repo) -> Iterator[Agent]:
    with Agent(repo.path, LEGACY) as one:
        yield one


def asked(repo: Repo, tool: str = "Write", **given: str) -> dict[str, str]:
    """What Claude Code fills the setting's input with: the call's own input is JSON in a string."""
    given = {"file_path": f"{repo.path}/notes.md", **given}
    return {
        "hook_event_name": "PreToolUse", "tool_name": tool, "cwd": str(repo.path),
        "tool_input": json.dumps(given),
    }  # fmt: skip


def said(agent: Agent, payload: dict[str, str]) -> dict[str, Any]:
    """The hook's JSON for *payload*."""
    agent.send(served.TOOL, **payload)
    result = agent.result()
    assert not result["is_error"]
    assert result["structured"] is None  # Claude Code reads the text alone
    return dict(json.loads(result["text"]))


@pytest.mark.parametrize("era", ERAS)
def test_a_name_is_blocked_and_the_agent_hears_what_to_do(repo: Repo, era: str) -> None:
    with Agent(repo.path, era) as agent:
        answer = said(agent, asked(repo, content=WANTED))
    assert answer["decision"] == "block"
    assert answer["reason"].startswith("OrgGuard stopped this: nothing was done.")
    assert COINED in answer["reason"]
    assert "request_consent" in answer["reason"]


def test_what_names_nobody_new_goes_on(repo: Repo, agent: Agent) -> None:
    assert said(agent, asked(repo, content=f"{ESTABLISHED} has rates.\n")) == {}


def test_it_is_answered_and_not_listed(agent: Agent) -> None:
    agent.send("list")
    assert {tool["name"] for tool in agent.result()["tools"]} == {"check_name", "request_consent"}


def test_what_a_command_left_is_told_after_it(repo: Repo, agent: Agent) -> None:
    repo.write({"left.md": WANTED})
    after = asked(repo, "Bash", command="make notes") | {"hook_event_name": "PostToolUse"}
    answer = said(agent, after)
    assert answer["decision"] == "block"
    assert "left.md:1" in answer["reason"]


def test_the_setting_that_the_docs_give_is_what_init_writes_but_for_who_is_asked() -> None:
    page = (Path(__file__).parents[2] / "docs/hooks.md").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (recipe,) = (json.loads(block)["hooks"] for block in blocks if "mcp_tool" in block)
    part = CLIENTS["claude"].targets[0].part()
    assert isinstance(part, Entries)
    written = {entry.keys[-1]: entry.value for entry in part.entries}
    asks = {"type": "mcp_tool", "server": "orgguard", "tool": served.TOOL, "onFailure": "block"}
    fills = {
        field: f"${{{field}}}" for field in ("hook_event_name", "tool_name", "tool_input", "cwd")
    }
    for event in ("PreToolUse", "PostToolUse"):
        seconds = written[event]["hooks"][0]["timeout"]
        hook = {**asks, "timeout": seconds, "input": fills}
        assert recipe[event] == [{"matcher": written[event]["matcher"], "hooks": [hook]}]


# --- whatever goes wrong blocks -------------------------------------------------------------------


@pytest.mark.parametrize("field", ["hook_event_name", "tool_name", "tool_input", "cwd"])
def test_a_setting_that_passes_too_little_blocks(repo: Repo, agent: Agent, field: str) -> None:
    """Claude Code fills in nothing for a field that it does not have."""
    payload = asked(repo, content="All is well.\n")
    for lacking in (payload | {field: ""}, {k: v for k, v in payload.items() if k != field}):
        answer = said(agent, lacking)
        assert answer["decision"] == "block"
        assert f"`{field}`" in answer["reason"]


def test_a_base_that_cannot_be_read_blocks(repo: Repo, agent: Agent) -> None:
    (repo.path / ".git" / "HEAD").write_text("nonsense\n")
    answer = said(agent, asked(repo, content="All is well.\n"))
    assert answer["decision"] == "block"
    assert "not checked" in answer["reason"]


def _hanging_git(tmp_path: Path) -> str:
    """A search path with a git that waits for ever."""
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "git"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    return f"{tmp_path}/bin:{os.environ['PATH']}"


def _hook_of(agent: Agent) -> psutil.Process:
    """The hook's process, once it is there."""
    while True:
        for child in psutil.Process(agent.server_pid).children():
            if "hook" in child.cmdline():
                return child


def test_a_hook_that_is_killed_blocks(repo: Repo, tmp_path: Path) -> None:
    with Agent(repo.path, LEGACY, PATH=_hanging_git(tmp_path)) as agent:
        agent.send(served.TOOL, **asked(repo, content="All is well.\n"))
        hook = _hook_of(agent)
        workers = hook.children()
        hook.kill()
        answer = json.loads(agent.result()["text"])
        for worker in workers:
            worker.kill()
    assert answer["decision"] == "block"
    assert "does not say why" in answer["reason"]


def test_a_call_that_is_given_up_ends_its_hook(repo: Repo, tmp_path: Path) -> None:
    """As Claude Code does when its time is up; it then blocks by itself."""
    with Agent(repo.path, LEGACY, PATH=_hanging_git(tmp_path)) as agent:
        agent.send(served.TOOL, **asked(repo, content="All is well.\n"))
        hook = _hook_of(agent)
        agent.send("cancel")
        agent.event("cancelled")
        assert psutil.wait_procs([hook], timeout=20)[1] == []


def test_a_server_that_dies_gives_no_answer(repo: Repo, tmp_path: Path) -> None:
    """An empty answer would let the act go on."""
    with Agent(repo.path, LEGACY, PATH=_hanging_git(tmp_path)) as agent:
        agent.send(served.TOOL, **asked(repo, content="All is well.\n"))
        hook = _hook_of(agent)
        agent.kill_server()
        assert agent.event("failure")
        hook.kill()


def test_the_repository_cannot_put_its_own_modules_in_the_way(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client starts the server in the repository, to which the agent writes."""
    planted = "import os; os._exit(0)\n"
    repo.write({f"{name}.py": planted for name in ("orgguard_mcp", "json", "argparse")})
    monkeypatch.chdir(repo.path)
    answer = anyio.run(served.answer, asked(repo, content=WANTED))
    assert json.loads(answer)["decision"] == "block"
