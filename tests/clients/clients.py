"""The clients: what each is installed from, and how it is started in a lab.

`orgguard init` has written what a project holds, so a client gets here only what its user would
have: the model, trust in the folder, leave to use the tools; and no updates, no telemetry.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.clients.lab import CACHE, NODE, PROMPT, Lab, Run

LIBRARY = Path(__file__).with_name("library.py")


@dataclass(frozen=True)
class Client:
    """A client: its packages, how it is started, and for a coding agent init's name for it."""

    packages: tuple[str, ...]
    start: Callable[[Lab], Run]
    agent: str = ""


def _npm(client: str, program: str) -> str:
    return str(CACHE / client / "node_modules" / ".bin" / program)


def _claude(lab: Lab) -> Run:
    lab.has(".claude.json", {
        "hasCompletedOnboarding": True, "autoUpdates": False,
        "customApiKeyResponses": {"approved": ["test"], "rejected": []},
        "projects": {str(lab.repo): {"hasTrustDialogAccepted": True}},
    })  # fmt: skip
    lab.has(".claude/settings.json", {
        "enableAllProjectMcpServers": True,
        "permissions": {"allow": ["mcp__orgguard", "Write", "ToolSearch"]},
    })  # fmt: skip
    return lab.start(
        [_npm("claude", "claude"), "-p", PROMPT, "--model", "scripted"],
        ANTHROPIC_BASE_URL=lab.model.url, ANTHROPIC_API_KEY="test", DISABLE_AUTOUPDATER="1",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", CLAUDE_CODE_TMPDIR=str(lab.home),
        CLAUDE_CODE_MCP_STARTUP_WAIT_MS="60000",  # else a busy machine's first turns lack the tools
    )  # fmt: skip


_CODEX = """
model = "gpt-5.5"
model_provider = "scripted"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
analytics = {{ enabled = false }}
feedback = {{ enabled = false }}
projects = {{ '{repo}' = {{ trust_level = "trusted" }} }}
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
env_key = "KEY"
wire_api = "responses"
"""
"""With this model's name tools are kept back until searched for, and files are patched."""


def _codex(lab: Lab) -> Run:
    lab.has(".codex/config.toml", _CODEX.format(repo=lab.repo, url=lab.model.url))
    # What a user does with /hooks, which has no counterpart without a terminal.
    trust = "--dangerously-bypass-hook-trust"
    return lab.start([_npm("codex", "codex"), "exec", trust, PROMPT], KEY="test")


def _opencode(lab: Lab) -> Run:
    lab.has(".config/opencode/opencode.json", {
        "autoupdate": False, "share": "disabled", "model": "scripted/scripted",
        "provider": {"scripted": {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{lab.model.url}/v1", "apiKey": "test"},
            "models": {"scripted": {"tool_call": True}},
        }},
    })  # fmt: skip
    return lab.start(
        [_npm("opencode", "opencode"), "run", PROMPT], OPENCODE_DISABLE_AUTOUPDATE="1",
        OPENCODE_DISABLE_MODELS_FETCH="1", OPENCODE_DISABLE_LSP_DOWNLOAD="1",
        OPENCODE_DISABLE_DEFAULT_PLUGINS="1", OPENCODE_DISABLE_SHARE="1",
    )  # fmt: skip


def _gemini(lab: Lab) -> Run:
    lab.has(".gemini/settings.json", {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False}, "privacy": {"usageStatisticsEnabled": False},
    })  # fmt: skip
    return lab.start(
        [_npm("gemini", "gemini"), "--skip-trust", "--approval-mode", "yolo",
         "-m", "gemini-2.5-pro", "-p", PROMPT],
        GEMINI_API_KEY="test", GOOGLE_GEMINI_BASE_URL=lab.model.url, GEMINI_CLI_NO_RELAUNCH="true",
        GEMINI_TELEMETRY_ENABLED="false", NO_BROWSER="1",
    )  # fmt: skip


def _qwen(lab: Lab) -> Run:
    lab.has(".qwen/settings.json", {
        "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False}, "privacy": {"usageStatisticsEnabled": False},
    })  # fmt: skip
    return lab.start(
        [_npm("qwen", "qwen"), "--approval-mode", "yolo", "--auth-type", "openai", PROMPT],
        OPENAI_API_KEY="test", OPENAI_BASE_URL=f"{lab.model.url}/v1", OPENAI_MODEL="scripted",
        QWEN_TELEMETRY_ENABLED="false",
    )  # fmt: skip


def _library(name: str, lab: Lab, *more: str, python: str = "") -> Run:
    return lab.start(
        [python or str(CACHE / "py" / name / "bin" / "python"), str(LIBRARY), name,
         lab.model.url, PROMPT, *more],
        PYTHONDONTWRITEBYTECODE="1", OPENAI_AGENTS_DISABLE_TRACING="1",
        FASTMCP_CHECK_FOR_UPDATES="off", LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_TELEMETRY="False",
    )  # fmt: skip


def _gateway(lab: Lab) -> Run:
    """LiteLLM's proxy in front of the server, and the SDK's own client in front of that."""
    lab.has("gateway.json", {
        "model_list": [], "general_settings": {"master_key": "sk-test"},
        "mcp_servers": {"orgguard": {
            "transport": "stdio", "command": sys.executable, "allow_all_keys": True,
            "args": ["-m", "orgguard_mcp", "serve", "--repo", str(lab.repo)],
        }},
    })  # fmt: skip
    proxy = [str(CACHE / "py" / "litellm" / "bin" / "litellm"), str(lab.home / "gateway.json")]
    return _library("gateway", lab, *proxy, python=sys.executable)


CLIENTS = {
    "claude": Client(("@anthropic-ai/claude-code",), _claude, agent="claude"),
    "codex": Client(("@openai/codex",), _codex, agent="codex"),
    "opencode": Client(("opencode-ai",), _opencode, agent="opencode"),
    "gemini": Client(("@google/gemini-cli",), _gemini, agent="gemini"),
    "qwen": Client(("@qwen-code/qwen-code",), _qwen, agent="qwen"),
    "inspector": Client(
        ("@modelcontextprotocol/inspector",),
        lambda lab: _library(
            "inspector", lab, _npm("inspector", "mcp-inspector"), python=sys.executable
        ),
    ),
    "pydantic-ai": Client(("pydantic-ai",), partial(_library, "pydantic-ai")),
    "openai-agents": Client(("openai-agents",), partial(_library, "openai-agents")),
    "langchain": Client(
        ("langchain", "langchain-mcp-adapters", "langchain-openai"), partial(_library, "langchain")
    ),
    "fastmcp": Client(("fastmcp",), partial(_library, "fastmcp")),
    "litellm": Client(("litellm[proxy]",), partial(_library, "litellm")),
    "gateway": Client((), _gateway),
}
"""Each is installed into a place of its own, since their versions of mcp exclude each other. The
gateway is litellm's.
"""

PYTHON = ("pydantic-ai", "openai-agents", "langchain", "fastmcp", "litellm")
"""Those that come from PyPI."""

SDK = Client((), partial(_library, "sdk", python=sys.executable))
"""The SDK's own client, which is installed wherever the server is."""


def install() -> None:
    """Install what is missing below `CACHE`."""
    _install("node22", ["npm", "install", "--prefix", "{place}", "node@22"])  # for the others
    for name, one in CLIENTS.items():
        if name in PYTHON:
            make = ["uv", "venv", "--quiet", "--python", sys.executable, "{place}"]
            fill = ["uv", "pip", "install", "--quiet", "--python", "{place}", *one.packages]
            _install(f"py/{name}", make, fill)
        elif one.packages:
            _install(name, ["npm", "install", "--prefix", "{place}", *one.packages])


def _install(name: str, *commands: list[str]) -> None:
    place = CACHE / name
    if place.exists():
        return
    # npm passes over versions that want a newer node than the one that it runs on.
    own = Path(sys.executable).parent
    path = os.pathsep.join([str(NODE), str(own), os.environ["PATH"]])
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        for command in commands:
            filled = [part.replace("{place}", str(place)) for part in command]
            subprocess.run(filled, check=True, timeout=900, env=os.environ | {"PATH": path})
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)  # half a client is none
        raise


if __name__ == "__main__":
    install()
