"""A server that fails as the hook: `odd_server.py HOW`, over stdio."""

from __future__ import annotations

import os
import sys

import anyio
from mcp.server.mcpserver import MCPServer

from orgguard_mcp.hooks.served import TOOL

HOW = sys.argv[1]
server = MCPServer("odd")


async def answer(hook_event_name: str, tool_name: str, tool_input: str, cwd: str) -> str:
    """Fail."""
    if HOW == "dies":
        os._exit(0)
    if HOW == "hangs":
        await anyio.sleep_forever()
    return "All is well."


server.add_tool(answer, name="check" if HOW == "other" else TOOL, structured_output=False)
server.run("stdio")
