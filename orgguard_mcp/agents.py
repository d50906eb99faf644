"""Who sits at this terminal, as far as a process can tell: a human, or an agent's shell.

This stops accidents, not an adversary: an agent that runs as the same user can remove a variable
and leave its process tree. Proof of a human is another matter (signed grants).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import psutil

from orgguard_mcp.errors import ChannelError
from orgguard_mcp.model import Asker, Request

MARKERS: Mapping[str, str] = {
    "CLAUDECODE": "Claude Code",
    "CURSOR_AGENT": "Cursor",
    "CODEX_SANDBOX": "Codex",
    "CODEX_SANDBOX_NETWORK_DISABLED": "Codex",
    "CODEX_THREAD_ID": "Codex",
    "GEMINI_CLI": "Gemini CLI",
    "QWEN_CODE": "Qwen Code",
    "OPENCODE": "opencode",
    "COPILOT_CLI": "Copilot",
    "CLINE_ACTIVE": "Cline",
    "GOOSE_TERMINAL": "goose",
    "AUGMENT_AGENT": "Augment",
    "AMP_CURRENT_THREAD_ID": "Amp",
    "AI_AGENT": "an agent",
}
"""Variables that agents set for the shells that they start."""

_LAUNCHERS = frozenset({"uv", "uvx", "pipx", "npx", "npm exec", "timeout", "env"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "fish"})
_SAME_START = 2.0  # seconds; start times are read with the kernel's clock ticks


def asking_client() -> Asker:
    """The process that started this server: its parent, past launchers such as uvx."""
    try:
        parent = psutil.Process().parent()
        while parent and _is_launcher(parent) and (above := parent.parent()):
            parent = above
        if parent:
            return Asker(pid=parent.pid, started=parent.create_time())
    except psutil.Error:
        pass  # the parent has gone: nobody can be beneath it
    return Asker()


def _is_launcher(process: psutil.Process) -> bool:
    name = process.name()
    return name in _LAUNCHERS or (name in _SHELLS and "-c" in process.cmdline()[1:2])


def refuse_agents(environment: Mapping[str, str] | None = None) -> None:
    """Raise `ChannelError` when this process's environment says that an agent started it."""
    for marker, agent in MARKERS.items():
        if (os.environ if environment is None else environment).get(marker):
            raise ChannelError(
                "nothing was decided: this terminal belongs to an agent",
                cause=f"the variable {marker} is set ({agent} sets it for its shells)",
                hint="answer in a terminal that you opened yourself",
            )


def refuse_asker(requests: Iterable[Request]) -> None:
    """Raise `ChannelError` when this process runs beneath a client that asked one of *requests*."""
    above = {process.pid: process.create_time() for process in _ancestors()}
    for request in requests:
        for ask in request.asks:
            started = above.get(ask.asker.pid)
            if started is not None and abs(started - ask.asker.started) < _SAME_START:
                raise ChannelError(
                    "nothing was decided: this terminal runs beneath the client that asked",
                    cause=f"process {ask.asker.pid} asked, and it started this terminal",
                    hint="answer in a terminal that you opened yourself",
                )


def _ancestors() -> list[psutil.Process]:
    try:
        return [psutil.Process(), *psutil.Process().parents()]
    except psutil.Error:
        return []
