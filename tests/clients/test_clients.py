"""Real clients, installed as their users do, against the server and the hooks of a project that
`orgguard init` has set up. The model is scripted; the human is a real review at a terminal.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from orgguard_mcp.mirrors import Mirrors
from tests import names
from tests.clients.clients import CLIENTS
from tests.clients.conftest import MakeLab
from tests.clients.lab import PATIENCE, Lab
from tests.clients.plans import CLEAN, NOTES, TEXT, careless, obedient
from tests.hosts import Host, make_token
from tests.human import Human

pytestmark = pytest.mark.clients

ODD = Path(__file__).with_name("odd_server.py")

AGENTS = [name for name, client in CLIENTS.items() if client.agent]
every_client = pytest.mark.parametrize("name", CLIENTS)
every_agent = pytest.mark.parametrize("name", AGENTS)


@every_client
def test_a_granted_name_is_written(name: str, make_lab: MakeLab) -> None:
    lab = make_lab(obedient, CLIENTS[name])
    with CLIENTS[name].start(lab) as run, Human(lab.repo, timeout=PATIENCE) as human:
        assert human.grants() == names.COINED
        assert run.ends() == 0
    assert (lab.repo / NOTES).read_text() == TEXT
    assert "unknown" in lab.model.told("check_name")[0]
    assert "granted" in lab.model.told("request_consent")[-1]


@every_client
def test_a_refused_name_is_not_and_the_agent_hears_why(name: str, make_lab: MakeLab) -> None:
    lab = make_lab(obedient, CLIENTS[name])
    with CLIENTS[name].start(lab) as run, Human(lab.repo, timeout=PATIENCE) as human:
        assert human.refuses("say it without the customer") == names.COINED
        assert run.ends() == 0
    assert not (lab.repo / NOTES).exists()
    assert "say it without the customer" in lab.model.told("request_consent")[-1]


@every_client
def test_a_late_answer_is_had_by_asking_again(name: str, make_lab: MakeLab) -> None:
    lab = make_lab(obedient, CLIENTS[name], "hold_seconds = 1\n")
    with CLIENTS[name].start(lab) as run, Human(lab.repo, timeout=PATIENCE) as human:
        asked = human.question()
        lab.until(lambda: "pending" in "".join(lab.model.told("request_consent")))
        human.confirms(asked)
        assert run.ends() == 0
    assert (lab.repo / NOTES).read_text() == TEXT


@every_agent
def test_the_hook_stops_what_nobody_asked_about(name: str, make_lab: MakeLab) -> None:
    lab = make_lab(careless, CLIENTS[name])
    with CLIENTS[name].start(lab) as run:
        assert run.ends() == 0
    assert (lab.repo / CLEAN).exists()
    assert not (lab.repo / NOTES).exists()
    _, stopped = lab.model.told("write")
    assert "OrgGuard stopped this" in stopped
    assert "request_consent" in stopped


# --- a server elsewhere ---------------------------------------------------------------------------


@pytest.mark.usefixtures("shared")
def test_claude_is_answered_by_a_server_elsewhere(make_lab: MakeLab, tmp_path: Path) -> None:
    client = CLIENTS["claude"]
    lab = make_lab(obedient, client)
    mirrors = Mirrors(tmp_path / "mirrors")
    mirrors.add("team/project", f"file://{lab.repo}")
    _, asks = make_token("ask:team/*")
    _, answers = make_token("answer:team/*")
    token = tmp_path / "token"
    token.write_text(answers)
    token.chmod(0o600)
    with Host(None, "--mirrors", str(mirrors.directory)) as host:
        headers = {"Authorization": f"Bearer {asks}"}
        server = {"type": "http", "url": host.of("team/project"), "headers": headers}
        configured = {"mcpServers": {"orgguard": server}}
        (lab.repo / ".mcp.json").write_text(json.dumps(configured))
        (lab.repo / ".claude/settings.json").write_text("{}")  # its hook asks this machine
        reviewer = Human(
            None, "--store", host.url(""), timeout=PATIENCE, ORGGUARD_TOKEN_FILE=str(token)
        )
        with client.start(lab) as run, reviewer as human:
            assert human.grants() == names.COINED
            assert run.ends() == 0
    assert (lab.repo / NOTES).read_text() == TEXT
    assert "granted" in lab.model.told("request_consent")[-1]


# --- the server as the hook -----------------------------------------------------------------------


def with_the_server_as_hook(lab: Lab, seconds: int = 60) -> None:
    """Replace Claude Code's hooks by what docs/hooks.md says for a server that is the hook, which
    may take so many *seconds*.
    """
    page = (Path(__file__).parents[2] / "docs/hooks.md").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (recipe,) = (block for block in blocks if "mcp_tool" in block)
    recipe = recipe.replace('"timeout": 60', f'"timeout": {seconds}')
    settings = lab.repo / ".claude/settings.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | json.loads(recipe)))


def test_claudes_hook_may_be_the_server_itself(make_lab: MakeLab) -> None:
    client = CLIENTS["claude"]
    lab = make_lab(careless, client)
    with_the_server_as_hook(lab)
    with client.start(lab) as run:
        assert run.ends() == 0
    assert (lab.repo / CLEAN).exists()
    assert not (lab.repo / NOTES).exists()
    _, stopped = lab.model.told("write")
    assert "OrgGuard stopped this: nothing was done." in stopped
    assert "request_consent" in stopped


UNABLE = {
    "not there": "no-such-program",
    "dead at once": "false",
    "another server": f"{sys.executable} {ODD} other",
    "dead in the call": f"{sys.executable} {ODD} dies",
    "silent": f"{sys.executable} {ODD} hangs",
    "an odd answer": f"{sys.executable} {ODD} babbles",
}


@pytest.mark.parametrize("server", UNABLE)
def test_claude_writes_nothing_while_its_server_cannot_answer(
    server: str, make_lab: MakeLab
) -> None:
    client = CLIENTS["claude"]
    lab = make_lab(careless, client)
    with_the_server_as_hook(lab, seconds=10)
    command, *arguments = UNABLE[server].split()
    configured = {"mcpServers": {"orgguard": {"command": command, "args": arguments}}}
    (lab.repo / ".mcp.json").write_text(json.dumps(configured))
    with client.start(lab) as run:
        assert run.ends() == 0
    assert not (lab.repo / CLEAN).exists()
    assert not (lab.repo / NOTES).exists()
    assert ["PreToolUse" in told for told in lab.model.told("write")] == [True, True]
