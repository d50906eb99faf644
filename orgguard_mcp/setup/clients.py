"""The agents that init knows: by what a repository or a machine shows that it uses them, and what
each one is given. A new agent is a row in `CLIENTS`.

Commands are written by name: they must work for whoever clones the repository.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from orgguard_mcp.setup.parts import Block, Entries, Entry, Item, Member, Part, Whole
from orgguard_mcp.setup.texts import UnusableFileError

SERVER = "orgguard-mcp"
SECONDS = 60
"""How long a client lets a hook take. The hook itself gives up before that, and refuses."""


@dataclass(frozen=True, slots=True)
class Target:
    """A file that gets a part. Of *paths* the first that is there is taken, else the first."""

    what: str
    part: Callable[[], Part]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """One agent: how it shows in a repository (*signs*), on the PATH (*programs*) and in the home
    directory (*homes*); what it gets, and what its user has to do then.
    """

    title: str
    signs: tuple[str, ...]
    programs: tuple[str, ...]
    homes: tuple[str, ...]
    targets: tuple[Target, ...]
    then: str


def shipped(*path: str) -> bytes:
    """A file of this package.

    Raises `UnusableFileError` when the installation lacks it.
    """
    try:
        return resources.files("orgguard_mcp").joinpath(*path).read_bytes()
    except (OSError, ModuleNotFoundError) as error:
        raise UnusableFileError("this installation of OrgGuard lacks it") from error


def _entries(what: str, format: str, path: str, *entries: Entry, or_else: str = "") -> Target:  # noqa: A002
    paths = (path, *or_else.split())
    return Target(what, lambda: Entries(format, entries), paths)


def _file(what: str, path: str, *source: str, starter: bool = False) -> Target:
    return Target(what, lambda: Whole(shipped(*source), starter=starter), (path,))


def _group(agent: str, matcher: str = "", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A group of one hook as Claude Code has it, and others after it."""
    hook = {"type": "command", "command": f"orgguard hook {agent}", "timeout": SECONDS, **more}
    return {**({"matcher": matcher} if matcher else {}), "hooks": [hook]}


def _hook(event: str, value: Any) -> Item:  # noqa: ANN401
    return Item(("hooks", event), value)


def _step(event: str, **more: Any) -> Item:  # noqa: ANN401
    """A hook of Cursor's, which has no groups. Only before an act is there anything to close."""
    closed = {"failClosed": True} if event.startswith(("pre", "before")) else {}
    return _hook(event, {"command": "orgguard hook cursor", "timeout": SECONDS, **closed, **more})


_COPILOT = {
    "type": "command", "bash": "orgguard hook copilot", "powershell": "orgguard hook copilot",
    "timeoutSec": SECONDS,
}  # fmt: skip
_MILLISECONDS: dict[str, Any] = {"name": "orgguard", "timeout": SECONDS * 1000}
_SERVER = Member(("mcpServers", "orgguard"), {"command": SERVER})

CLIENTS = {
    "claude": Client(
        "Claude Code", (".claude", "CLAUDE.md"), ("claude",), (".claude",),
        (_entries(
            "hooks", "json", ".claude/settings.json",
            _hook("PreToolUse", _group(
                "claude", "^(Write|Edit|MultiEdit|NotebookEdit|Bash|PowerShell|Monitor|mcp__.*)$",
                onFailure="block",
            )),
            _hook("PostToolUse", _group(
                "claude", "^(Bash|PowerShell|Monitor)$", onFailure="block"
            )),
            _hook("Stop", _group("claude")),
        ),),
        "restart it, and approve the server `orgguard` when it asks",
    ),
    "cursor": Client(
        "Cursor", (".cursor", ".cursorrules"), ("cursor", "cursor-agent"), (".cursor",),
        (
            _entries("MCP server", "jsonc", ".cursor/mcp.json", _SERVER),
            _entries(
                "hooks", "jsonc", ".cursor/hooks.json",
                Member(("version",), 1, shared=True),
                _step("preToolUse"), _step("beforeShellExecution"), _step("beforeMCPExecution"),
                _step("postToolUse", matcher="Shell"), _step("stop"),
            ),
        ),
        "restart it, and switch the server on under Settings, MCP",
    ),
    "codex": Client(
        "Codex", (".codex",), ("codex",), (".codex",),
        (
            _entries(
                "MCP server, hooks", "toml", ".codex/config.toml",
                Member(("mcp_servers", "orgguard"), {"command": SERVER, "required": True}),
                _hook("PreToolUse", _group("codex", "^(Bash|apply_patch|Edit|Write|mcp__.*)$")),
                _hook("PostToolUse", _group("codex", "^Bash$")),
                _hook("Stop", _group("codex")),
            ),
        ),
        "trust the project, then the hooks with /hooks: it skips untrusted ones without a word",
    ),
    "gemini": Client(
        "Gemini CLI", (".gemini", "GEMINI.md"), ("gemini",), (".gemini",),
        (
            _entries(
                "MCP server, hooks", "jsonc", ".gemini/settings.json", _SERVER,
                _hook("BeforeTool", _group(
                    "gemini", "^(write_file|replace|run_shell_command|mcp_.*)$", **_MILLISECONDS
                )),
                _hook("AfterTool", _group("gemini", "^run_shell_command$", **_MILLISECONDS)),
                _hook("AfterAgent", _group("gemini", **_MILLISECONDS)),
            ),
        ),
        "restart it in a trusted folder",
    ),
    "qwen": Client(
        "Qwen Code", (".qwen", "QWEN.md"), ("qwen",), (".qwen",),
        (
            _entries(
                "MCP server, hooks", "jsonc", ".qwen/settings.json", _SERVER,
                _hook("PreToolUse", _group(
                    "qwen", "^(write_file|edit|notebook_edit|run_shell_command|monitor|tool_call"
                    "|mcp__.*)$", **_MILLISECONDS
                )),
                _hook("PostToolUse", _group("qwen", "^(run_shell_command|monitor)$",
                                            **_MILLISECONDS)),
                _hook("Stop", _group("qwen", **_MILLISECONDS)),
            ),
        ),
        "restart it in a trusted folder",
    ),
    "copilot": Client(
        "Copilot, VS Code",
        (".vscode", ".github/copilot-instructions.md", ".github/hooks", ".github/agents"),
        ("copilot", "code"), (".copilot", ".vscode"),
        (
            _entries("MCP server", "jsonc", ".vscode/mcp.json", Member(
                ("servers", "orgguard"),
                {"type": "stdio", "command": SERVER, "args": ["--repo", "${workspaceFolder}"]},
            )),
            _entries(
                "hooks", "json", ".github/hooks/orgguard.json",
                Member(("version",), 1, shared=True),
                _hook("preToolUse", _COPILOT), _hook("postToolUse", _COPILOT),
            ),
        ),
        "start the server `orgguard` when VS Code asks; the cloud agent reads the default branch",
    ),
    "opencode": Client(
        "opencode", ("opencode.json", "opencode.jsonc", ".opencode"), ("opencode",),
        (".config/opencode",),
        (
            _entries(
                "MCP server", "jsonc", "opencode.json",
                Member(("mcp", "orgguard"), {"type": "local", "command": [SERVER]}),
                or_else="opencode.jsonc .opencode/opencode.json .opencode/opencode.jsonc",
            ),
            _file("plugin", ".opencode/plugins/orgguard.js", "hooks", "opencode.js"),
        ),
        "restart it",
    ),
}  # fmt: skip

EVERYWHERE = (
    _entries("MCP server", "json", ".mcp.json", _SERVER),
    Target("the rule", lambda: Block(shipped("setup", "rule.md").decode()), ("AGENTS.md",)),
    _file("starter policy", ".orgguard/policy.toml", "setup", "policy.toml", starter=True),
)
"""What a repository gets whatever agents it uses: other clients read `.mcp.json`, too."""

OTHER_RULES = ("CLAUDE.md", "GEMINI.md", "QWEN.md")
"""Files in which an agent reads its rules instead of AGENTS.md."""

_INCLUDE = b"include:\n  - local: .gitlab/orgguard.yml\n"

CI = {
    "github": (
        "GitHub", (".github/workflows",),
        (_file("CI", ".github/workflows/orgguard.yml", "templates", "github-workflow.yml"),),
        "put OrgGuard's repository and a commit of it into .github/workflows/orgguard.yml",
    ),
    "gitlab": (
        "GitLab", (".gitlab-ci.yml",),
        (
            _file("CI", ".gitlab/orgguard.yml", "templates", "gitlab.yml"),
            Target("CI", lambda: Whole(_INCLUDE, starter=True), (".gitlab-ci.yml",)),
        ),
        "see that .gitlab-ci.yml includes .gitlab/orgguard.yml",
    ),
}  # fmt: skip
"""For each CI: title, signs, what it gets, and what its user has to do then."""


def rule_for(path: str) -> Target:
    """The rule in *path*, one of `OTHER_RULES`."""
    return Target(EVERYWHERE[1].what, EVERYWHERE[1].part, (path,))


def every_target() -> list[Target]:
    """All that init ever writes."""
    of_clients = [target for client in CLIENTS.values() for target in client.targets]
    of_ci = [target for _, _, targets, _ in CI.values() for target in targets]
    return [*EVERYWHERE, *map(rule_for, OTHER_RULES), *of_clients, *of_ci]
