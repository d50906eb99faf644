"""The doors that a repository has: hooks of agents, MCP servers, CI jobs. Found by reading the
files in which each is installed, whoever wrote them.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orgguard_mcp.setup.jsonc import JsonDocument
from orgguard_mcp.setup.texts import UnusableFileError, decoded

AGENT_FILES = {
    "claude": (".claude/settings.json", ".claude/settings.local.json"),
    "cursor": (".cursor/hooks.json",),
    "codex": (".codex/config.toml", ".codex/hooks.json"),
    "gemini": (".gemini/settings.json",),
    "qwen": (".qwen/settings.json",),
    "copilot": (".github/hooks/*.json",),
    "opencode": (".opencode/plugins/*.js", ".opencode/plugin/*.js"),
}
"""Where each agent reads hooks from."""

SERVER_FILES = (
    ".mcp.json", ".cursor/mcp.json", ".vscode/mcp.json", ".codex/config.toml",
    ".gemini/settings.json", ".qwen/settings.json", "opencode.json*", ".opencode/opencode.json*",
)  # fmt: skip
"""Where MCP servers are named."""

GIT_HOOKS = ("pre-commit", "commit-msg", "pre-push")
"""Those that stop something; `prepare-commit-msg` only warns."""

_MANAGERS = (".pre-commit-config.yaml", "lefthook.y*ml", ".lefthook.y*ml", ".husky/*")

CI_FILES = (".github/workflows/*.y*ml", ".gitlab-ci.yml", ".gitlab/*.y*ml")


@dataclass(frozen=True, slots=True)
class Hook:
    """An agent's hook: the file that names it, and the command that it runs."""

    agent: str
    file: str
    command: str


@dataclass(frozen=True, slots=True)
class Server:
    """An MCP server: the file that names it, and the command that starts it."""

    file: str
    command: tuple[str, ...]


def hooks(top: Path) -> Iterator[Hook]:
    """The hooks that call OrgGuard, each command once a file."""
    for agent, patterns in AGENT_FILES.items():
        for file in _files(top, patterns):
            if file.suffix == ".js":
                text = file.read_text("utf-8", "replace")
                found = [f"orgguard hook {agent}"] if "orgguard hook" in text else []
            else:
                found = [command for command in _commands(_document(file)) if _is_hook(command)]
            for command in dict.fromkeys(found):
                yield Hook(agent, str(file.relative_to(top)), command)


def servers(top: Path) -> Iterator[Server]:
    """The servers that are OrgGuard."""
    for file in _files(top, SERVER_FILES):
        document = _document(file)
        tables = [document.get(key) for key in ("mcpServers", "servers", "mcp_servers", "mcp")]
        for table in tables:
            for entry in table.values() if isinstance(table, dict) else ():
                command = _command_line(entry)
                if any("orgguard" in word for word in command) and "hook" not in command:
                    yield Server(str(file.relative_to(top)), command)


def git_hooks(top: Path, hooks_dir: Path) -> list[str]:
    """The hooks of git that OrgGuard is behind: by a file of its own, or by a manager of hooks."""
    managed = any(_mentions(file) for file in _files(top, _MANAGERS))
    there = (name for name in GIT_HOOKS if (hooks_dir / name).is_file())
    return [name for name in there if managed or _mentions(hooks_dir / name)]


def jobs(top: Path) -> Iterator[str]:
    """The CI files that mention OrgGuard."""
    for file in _files(top, CI_FILES):
        if _mentions(file):
            yield str(file.relative_to(top))


def _mentions(file: Path) -> bool:
    return b"orgguard" in file.read_bytes()


def _files(top: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(file for file in top.glob(pattern) if file.is_file())


def _document(file: Path) -> dict[str, Any]:
    """What *file* says; nothing where it cannot be read: then the door does not work, either."""
    try:
        text = decoded(file.read_bytes(), strict=False)
        if file.suffix == ".toml":
            return tomllib.loads(text.text)
        return dict(JsonDocument(text, comments=True).value)
    except (ValueError, UnusableFileError):
        return {}


def _commands(node: object) -> Iterator[str]:
    """Every command in a document of hooks, with its arguments."""
    if isinstance(node, dict):
        if command := _command_line(node):
            yield shlex.join(command) if "args" in node else " ".join(command)
        for value in node.values():
            yield from _commands(value)
    elif isinstance(node, list):
        for value in node:
            yield from _commands(value)


def _command_line(entry: object) -> tuple[str, ...]:
    if not isinstance(entry, dict):
        return ()
    command, args = entry.get("command") or entry.get("bash") or (), entry.get("args") or ()
    words = command if isinstance(command, list) else [command]
    return tuple(str(word) for word in (*words, *args) if word)


def _is_hook(command: str) -> bool:
    words = command.split()
    return "hook" in words and any("orgguard" in word for word in words)
