"""The server over stdio: one client, one repository, until the client leaves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup
from mcp.server.mcpserver import Context
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, InputRequiredResult, TextContent

from orgguard_mcp import pipes
from orgguard_mcp.desk import Desk, Host
from orgguard_mcp.errors import UsageError
from orgguard_mcp.hooks import served
from orgguard_mcp.policy import MAX_HOLD_SECONDS
from orgguard_mcp.server import app


def build(
    directory: str,
    base: str | None = None,
    *,
    dry_run: bool = False,
    hold: float | None = None,
) -> StdioServer:
    """The server for the repository of one *directory*."""

    def opening(tasks: TaskGroup, greeted: anyio.Event) -> Desk:
        desk = Desk(tasks, directory, base, dry_run=dry_run, hold=hold)
        tasks.start_soon(desk.warm_up, greeted)
        return desk

    return app.build(opening, StdioServer)


class StdioServer(app.Server):
    """Answers one tool more than it lists: the hook, which is a client's to call, not a model's."""

    async def run_stdio_async(self) -> None:
        """Serve over standard input and output, as the SDK does, without its threads."""
        if not pipes.usable():
            await super().run_stdio_async()
            return
        core = self._lowlevel_server
        with pipes.standard() as (lines, out):
            # Of a file these have what the transport uses.
            streams = cast("anyio.AsyncFile[str]", lines), cast("anyio.AsyncFile[str]", out)
            async with stdio_server(*streams) as (incoming, outgoing):
                await core.run(incoming, outgoing, core.create_initialization_options())

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Host, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool."""
        if name != served.TOOL:
            return await super().call_tool(name, arguments, context)
        said = await served.answer(arguments)
        return CallToolResult(content=[TextContent(type="text", text=said)])


def run(
    directory: str | None, base: str | None, *, dry_run: bool = False, hold: float | None = None
) -> int:
    """Serve until the client leaves; return the exit code."""
    if hold is not None and not 0 <= hold <= MAX_HOLD_SECONDS:
        raise UsageError(
            "the server was not started: --hold cannot be used",
            cause=f"it must be from 0 to {MAX_HOLD_SECONDS:g} seconds",
        )
    chosen = directory or os.environ.get("CLAUDE_PROJECT_DIR") or "."
    server = build(chosen, base, dry_run=dry_run or _dry_environment(), hold=hold)
    # A client that is gone in mid-answer is no error of the server's: its questions are stored.
    with _suppress_group(BrokenPipeError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        server.run("stdio")
    return 0


@contextmanager
def _suppress_group(*kinds: type[Exception]) -> Iterator[None]:
    """`contextlib.suppress` for errors that come in groups (Python 3.12's own does that)."""
    try:
        yield
    except BaseExceptionGroup as group:
        if others := group.split(kinds)[1]:
            raise others from group


def _dry_environment() -> bool:
    """Whether the environment asks for a dry run: `ORGGUARD_DRY_RUN`, or CI, where nobody sits."""
    wanted = os.environ.get("ORGGUARD_DRY_RUN", os.environ.get("CI", ""))
    return wanted.lower() not in {"", "0", "false", "no"}
