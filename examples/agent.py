"""A scripted agent: what Claude Code or Cursor does when a model wants to write a name.

Starts OrgGuard as an MCP server over stdio, calls `check_name`, then `request_consent`, and says
what it was told. Usage: `python examples/agent.py REPO NAME [SERVER OPTION…]`.
"""

from __future__ import annotations

import sys

import anyio
from mcp import Client, StdioServerParameters

WHERE = "tests/fixtures/webhook.json:7"


async def main(repo: str, name: str, *options: str) -> None:
    """Ask for *name* as an agent would."""
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "orgguard_mcp", "serve", "--repo", repo, *options]
    )
    async with Client(server) as client:
        print(f'agent  check_name("{name}")', flush=True)
        checked = await client.call_tool("check_name", {"name": name})
        tell(checked.content[0].text)
        print(f'agent  request_consent("{name}", where="{WHERE}")', flush=True)
        request = {
            "name": name,
            "where": WHERE,
            "excerpt": f'{{"issuer": "{name}", "amount": 1}}',
            "purpose": "a realistic webhook fixture",
        }
        while True:
            answered = await client.call_tool("request_consent", request, progress_callback=waiting)
            tell(answered.content[0].text)
            if (answered.structured_content or {}).get("status") != "pending":
                return
            print("agent  does other work, then asks again", flush=True)


def tell(text: str) -> None:
    """Print what the server answered, as the model reads it."""
    for line in text.splitlines():
        print(f"       {line}", flush=True)


async def waiting(done: float, total: float | None, message: str | None) -> None:
    """Print the server's progress notes."""
    print(f"       … {message}", flush=True)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
