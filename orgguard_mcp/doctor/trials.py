"""What is done at each door: an invented name is carried through it, and an ordinary text, too, for
a door that stops everything is no door.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from orgguard_mcp.doctor.doors import Hook, Server
from orgguard_mcp.doctor.scratch import Scratch

ORDINARY = "def load(path):\n    return open(path).read()\n"
_WHERE = "src/app.py"
_GIT = ("git", "-c", "commit.gpgSign=false")


class Outcome(StrEnum):
    """What a door did."""

    STOPPED = "stopped"
    OPEN = "OPEN"
    BROKEN = "BROKEN"


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing tried at one door. `why` says what happened where that is not as it should be."""

    door: str
    what: str
    outcome: Outcome
    why: str = ""


Payload = Callable[[str], dict[str, object]]


def _write(tool: str, path: str, text: str) -> Payload:
    return lambda content: {"tool_name": tool, "tool_input": {path: _WHERE, text: content}}


def _shell(tool: str) -> Payload:
    return lambda content: {
        "tool_name": tool,
        "tool_input": {"command": f"git commit -m {json.dumps(content)}"},
    }


def _patch(content: str) -> dict[str, object]:
    added = "".join(f"+{line}\n" for line in content.splitlines())
    text = f"*** Begin Patch\n*** Add File: {_WHERE}\n{added}*** End Patch\n"
    return {"tool_name": "apply_patch", "tool_input": {"command": text}}


PAYLOADS: dict[str, tuple[str, dict[str, Payload]]] = {
    # As each agent was seen to send them; see docs/hooks.md.
    "claude": (
        "PreToolUse",
        {"a write": _write("Write", "file_path", "content"), "a command": _shell("Bash")},
    ),
    "codex": ("PreToolUse", {"a patch": _patch, "a command": _shell("Bash")}),
    "cursor": (
        "preToolUse",
        {"a write": _write("Write", "file_path", "content"), "a command": _shell("Shell")},
    ),
    "gemini": (
        "BeforeTool",
        {
            "a write": _write("write_file", "file_path", "content"),
            "a command": _shell("run_shell_command"),
        },
    ),
    "qwen": (
        "PreToolUse",
        {
            "a write": _write("write_file", "file_path", "content"),
            "a command": _shell("run_shell_command"),
        },
    ),
    "copilot": (
        "preToolUse",
        {"a write": _write("Write", "file_path", "content"), "a command": _shell("Bash")},
    ),
    "opencode": (
        "tool.execute.before",
        {"a write": _write("write", "filePath", "content"), "a command": _shell("bash")},
    ),
}


def hook_trials(scratch: Scratch, hook: Hook) -> Iterator[Trial]:
    """Each kind of act that *hook* is asked about."""
    event, kinds = PAYLOADS[hook.agent]
    door = f"{hook.agent} hook ({hook.file})"
    for what, payload in kinds.items():
        said = {
            "session_id": "doctor", "transcript_path": "", "cwd": str(scratch.path),
            "hook_event_name": event, "workspace_roots": [str(scratch.path)],
        }  # fmt: skip
        planted = scratch.run(
            hook.command, json.dumps(said | payload(f"# {scratch.name} asked for this\n"))
        )
        plain = scratch.run(hook.command, json.dumps(said | payload(ORDINARY)))
        yield _judged(door, what, planted.returncode == 2, plain.returncode, plain.stderr)


def _judged(door: str, what: str, stopped: bool, ordinary: int, said: str) -> Trial:
    if not stopped:
        return Trial(door, what, Outcome.OPEN, "the invented name was let through")
    if ordinary:
        first = said.strip().splitlines()[0] if said.strip() else f"exit code {ordinary}"
        return Trial(door, what, Outcome.BROKEN, f"an ordinary text is stopped as well: {first}")
    return Trial(door, what, Outcome.STOPPED)


def commit_trials(scratch: Scratch, hooks: Collection[str]) -> Iterator[Trial]:
    """At each of git's *hooks*: a commit of a file, a commit's message, and a push of what was
    committed without them.
    """
    for trial in _commit_trials(scratch):
        if trial.door.removeprefix("git hook ") in hooks:
            yield trial


def _commit_trials(scratch: Scratch) -> Iterator[Trial]:
    commit = [*_GIT, "commit", "-q", "--allow-empty"]

    def add(text: str) -> None:
        scratch.plant(_WHERE, text)
        scratch.run(["git", "add", "-A"])

    add(f"# {scratch.name} asked for this\n")
    stopped = scratch.run([*commit, "-m", "Add a file"]).returncode != 0
    add(ORDINARY)
    plain = scratch.run([*commit, "-m", "Add a file"])
    yield _judged("git hook pre-commit", "a commit", stopped, plain.returncode, plain.stderr)
    stopped = scratch.run([*commit, "-m", f"Add the client for {scratch.name}"]).returncode != 0
    plain = scratch.run([*commit, "-m", "Add a client"])
    yield _judged("git hook commit-msg", "a message", stopped, plain.returncode, plain.stderr)
    push = ["git", "push", "-q", "origin"]
    plain = scratch.run([*push, "HEAD:refs/heads/main"])
    scratch.run([*commit, "--no-verify", "-m", f"Add the client for {scratch.name}"])
    stopped = scratch.run([*push, "HEAD:refs/heads/main"]).returncode != 0
    yield _judged("git hook pre-push", "a push", stopped, plain.returncode, plain.stderr)
    scratch.reset()


def scan_trial(scratch: Scratch, job: str) -> Trial:
    """The scan that a CI job runs, on a commit with the name. The host decides whether it runs."""
    scan = [sys.executable, "-m", "orgguard_mcp", "scan", "--dry-run"]
    commit = [*_GIT, "-c", "core.hooksPath=/dev/null", "commit", "-q"]
    scratch.plant(_WHERE, ORDINARY)
    scratch.run(["git", "add", "-A"])
    scratch.run([*commit, "-m", "Add a file"])
    plain = scratch.run(scan)
    scratch.plant(_WHERE, f"# {scratch.name} asked for this\n")
    scratch.run([*commit, "-am", "Change it"])
    stopped = scratch.run(scan).returncode == 1
    scratch.reset()
    return _judged(f"scan in CI ({job})", "a change", stopped, plain.returncode, plain.stderr)


def server_trial(scratch: Scratch, server: Server) -> Trial:
    """A client's first messages (MCP 2025-06-18, stdio): the name must be one to ask about."""
    calls = (
        _message("initialize", 1, protocolVersion="2025-06-18", capabilities={},
                 clientInfo={"name": "orgguard doctor", "version": "1"}),
        _message("notifications/initialized"),
        _message("tools/call", 2, name="check_name", arguments={"name": scratch.name}),
    )  # fmt: skip
    door = f"MCP server ({server.file})"
    answer = scratch.converse(server.command, calls, '"id":2')
    if not answer:
        return Trial(door, "check_name", Outcome.BROKEN, "it does not start, or does not answer")
    if '"effect":"ask"' not in answer.replace(" ", ""):
        return Trial(door, "check_name", Outcome.OPEN, "the invented name is not asked about")
    return Trial(door, "check_name", Outcome.STOPPED)


def _message(method: str, number: int | None = None, **params: object) -> str:
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message if number is None else message | {"id": number})
