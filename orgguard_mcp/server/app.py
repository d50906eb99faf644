"""The MCP server as clients see it: what it says of itself, and its two tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from importlib.metadata import version
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup
from mcp.server.mcpserver import MCPServer
from mcp_types import Tool, ToolAnnotations

from orgguard_mcp.desk import Host
from orgguard_mcp.server.tools import check_name, request_consent

INSTRUCTIONS = (
    "Before writing any third-party organisation name that this repository does not already"
    " contain (code, files, tests, commits, branches, PRs), call check_name; if it says ask, call"
    " request_consent and wait. Never write it first or use a placeholder.\n\n"
    "Names in the base are fine, and so are example.com, localhost, team_a, user_1. Do not write a"
    " name and clean up later; do not assume that a well-known company is safe. `pending` means no"
    " answer yet: do other work, then call request_consent again. Frame a change by the capability"
    " it adds, not by the customer who asked."
)
"""The first 250 characters hold the whole rule and both tools: some clients show no more."""

# Both are reads as far as the repository goes; without the hint Codex refuses to call them.
_ANNOTATIONS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_META = {"anthropic/alwaysLoad": True}  # Claude Code: offer them without a search

_CHECK = (
    "Call before you write any third-party organisation, product-brand or customer name (code,"
    " comments, tests, fixtures, file names, commit messages, branches, PR text) unless you have"
    " seen it in this repository. Effect allow: write it. ask: call request_consent first."
    " deny: do not write it."
)
_REQUEST = (
    "Ask the human whether a name may be written here; call it when check_name says ask, before"
    " writing. Returns granted, refused or pending. pending: do not write the name or a"
    " placeholder, do other work, then call again with the same arguments to get the answer."
)

_Kind = TypeVar("_Kind", bound="Server")

Opening = Callable[[TaskGroup, anyio.Event], Host]
"""Opens the host of a server's calls. The event is set when a client has asked for the tools."""


def build(opening: Opening, kind: type[_Kind]) -> _Kind:
    """A server of a *kind*; the host that *opening* opens serves its calls."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Host]) -> AsyncIterator[Host]:
        host: Host | None = None
        try:
            async with anyio.create_task_group() as tasks:
                host = opening(tasks, server.greeted)
                yield host
                tasks.cancel_scope.cancel()
        finally:  # after its tasks
            if host:
                host.close()

    server = kind(
        "OrgGuard",
        version=version("orgguard-mcp"),
        instructions=INSTRUCTIONS,
        lifespan=lifespan,
        log_level="WARNING",  # a tool error's text is logged at INFO
    )
    server.add_tool(
        check_name, title="Check a name", description=_CHECK, annotations=_ANNOTATIONS, meta=_META
    )
    server.add_tool(
        request_consent,
        title="Ask the human",
        description=_REQUEST,
        annotations=_ANNOTATIONS,
        meta=_META,
    )
    return server


class Server(MCPServer[Host]):
    """The SDK's, which tells when a client was `greeted`: what takes time begins after that."""

    @cached_property
    def greeted(self) -> anyio.Event:
        """Set when a client has asked for the tools."""
        return anyio.Event()

    async def list_tools(self) -> list[Tool]:
        """The tools."""
        self.greeted.set()
        return await super().list_tools()
