"""A program for each library: a minimal agent over MCP, run by the Python that has the library.

`library.py NAME MODEL PROMPT [MORE...]` in the repository; the server is what `.mcp.json` says.
It imports nothing of this project.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NAME, MODEL, PROMPT, *MORE = sys.argv[1:]
Call = Callable[[str, dict[str, Any]], Awaitable[str]]


def server() -> dict[str, Any]:
    """How the project says that the server is started."""
    configured = json.loads(Path(".mcp.json").read_text())["mcpServers"]["orgguard"]
    return {"command": configured["command"], "args": configured.get("args", [])}


def write_file(file_path: str, content: str) -> str:
    """Write a file."""
    Path(file_path).write_text(content)
    return "written"


# --- libraries with an agent of their own ---------------------------------------------------------


async def pydantic_ai() -> None:
    from pydantic_ai import Agent
    from pydantic_ai.mcp import MCPToolset, StdioTransport
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=f"{MODEL}/v1", api_key="test")
    transport = StdioTransport(**server(), env=dict(os.environ))
    agent = Agent(
        OpenAIChatModel("scripted", provider=provider),
        toolsets=[MCPToolset(transport, init_timeout=60)],  # by default it waits for 5 s
        tools=[write_file],
    )
    async with agent:
        await agent.run(PROMPT)


async def openai_agents() -> None:
    from agents import Agent, OpenAIResponsesModel, Runner, function_tool
    from agents.mcp import MCPServerStdio
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{MODEL}/v1", api_key="test")
    params = server() | {"env": dict(os.environ)}
    # By default a call has 5 s.
    async with MCPServerStdio(params=params, client_session_timeout_seconds=60) as orgguard:
        agent = Agent(
            name="scripted",
            mcp_servers=[orgguard],
            tools=[function_tool(write_file)],
            model=OpenAIResponsesModel("scripted", client),
        )
        await Runner.run(agent, PROMPT, max_turns=30)


async def langchain() -> None:
    from langchain.agents import create_agent
    from langchain_mcp_adapters.client import MultiServerMCPClient
    from langchain_openai import ChatOpenAI

    connection = server() | {"transport": "stdio", "env": dict(os.environ)}
    tools = await MultiServerMCPClient({"orgguard": connection}).get_tools()
    model = ChatOpenAI(model="scripted", base_url=f"{MODEL}/v1", api_key="test")
    agent = create_agent(model, [*tools, write_file])
    await agent.ainvoke({"messages": [("user", PROMPT)]})


# --- clients without one: the loop is ours --------------------------------------------------------

Complete = Callable[[list[dict[str, Any]], list[dict[str, Any]]], Awaitable[dict[str, Any]]]


async def completion(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> dict[str, Any]:
    """The model's next message."""
    body = {"model": "scripted", "messages": messages, "tools": tools}
    reply = await asyncio.to_thread(http, MODEL, "POST", "/v1/chat/completions", body)
    return dict(json.loads(reply)["choices"][0]["message"])


def http(server: str, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    """What *server* answers."""
    with closing(HTTPConnection(urlsplit(server).netloc, timeout=60)) as connection:
        connection.request(method, path, json.dumps(body))
        return connection.getresponse().read()


async def converse(tools: list[str], call: Call, complete: Complete = completion) -> None:
    """Let the model call *tools*, and write files, until it has done."""
    offered = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in [*tools, "write_file"]
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": PROMPT}]
    while calls := (message := await complete(messages, offered)).get("tool_calls"):
        messages.append(message)
        for made in calls:
            name, given = made["function"]["name"], json.loads(made["function"]["arguments"])
            text = write_file(**given) if name == "write_file" else await call(name, given)
            messages.append({"role": "tool", "tool_call_id": made["id"], "content": text})


async def with_sdk(transport: Any) -> None:  # noqa: ANN401  # what the SDK takes
    from mcp import Client

    async with Client(transport) as client:

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return str((await client.call_tool(name, arguments)).content[0].text)

        await converse([tool.name for tool in (await client.list_tools()).tools], call)


async def sdk() -> None:
    from mcp import StdioServerParameters

    await with_sdk(StdioServerParameters(**server(), env=dict(os.environ)))


async def fastmcp() -> None:
    from fastmcp import Client
    from fastmcp.client.transports import StdioTransport

    async with Client(StdioTransport(**server(), env=dict(os.environ))) as client:

        async def call(name: str, arguments: dict[str, Any]) -> str:
            result = await client.call_tool(name, arguments, raise_on_error=False)
            return str(result.content[0].text)

        await converse([tool.name for tool in await client.list_tools()], call)


async def litellm() -> None:
    import litellm
    from litellm import experimental_mcp_client
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    async def complete(
        messages: list[dict[str, Any]], tools: list[dict[str, Any]]
    ) -> dict[str, Any]:
        response = await litellm.acompletion(
            model="openai/scripted", api_base=f"{MODEL}/v1", api_key="test",
            messages=messages, tools=tools,
        )  # fmt: skip
        return dict(response.choices[0].message.model_dump(exclude_none=True))

    async def call(name: str, arguments: dict[str, Any]) -> str:
        made = {"name": name, "arguments": json.dumps(arguments)}
        wanted = {"id": "c", "type": "function", "function": made}
        result = await experimental_mcp_client.call_openai_tool(session, openai_tool=wanted)
        return str(result.content[0].text)

    parameters = StdioServerParameters(**server(), env=dict(os.environ))
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        tools = await experimental_mcp_client.load_mcp_tools(session=session, format="openai")
        await converse([tool["function"]["name"] for tool in tools], call, complete)


async def inspector() -> None:
    def run(method: str, *options: str) -> dict[str, Any]:
        command = [*MORE, "--cli", "--config", ".mcp.json", "--server", "orgguard"]
        done = subprocess.run(
            [*command, "--method", method, *options], check=True, timeout=120, capture_output=True
        )
        return dict(json.loads(done.stdout))

    async def call(name: str, arguments: dict[str, Any]) -> str:
        given = ["--tool-name", name, "--tool-args-json", json.dumps(arguments)]
        result = await asyncio.to_thread(run, "tools/call", *given)
        return str(result["content"][0]["text"])

    listed = run("tools/list", "--strict")  # it fails on schemas that some client cannot take
    await converse([tool["name"] for tool in listed["tools"]], call)


async def gateway() -> None:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    with proxy() as url:
        headers = {"Authorization": "Bearer sk-test", "x-litellm-api-key": "Bearer sk-test"}
        async with httpx2.AsyncClient(headers=headers, timeout=120) as client:
            await with_sdk(streamable_http_client(f"{url}/mcp/", http_client=client))


@contextmanager
def proxy() -> Iterator[str]:
    """LiteLLM's proxy, as soon as it answers: its address."""
    program, configuration = MORE
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    process = subprocess.Popen(
        [program, "--config", configuration, "--host", "127.0.0.1", "--port", port],
        env=os.environ | {"LITELLM_ENABLE_MCP_STDIO": "true"},
    )
    try:
        yield answering(f"http://127.0.0.1:{port}", "/health/liveliness")
    finally:
        process.terminate()
        process.wait()


def answering(url: str, path: str) -> str:
    """Return *url* as soon as something answers there."""
    deadline = time.monotonic() + 120
    while True:
        try:
            http(url, "GET", path)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
        else:
            return url


if __name__ == "__main__":
    asyncio.run(globals()[re.sub(r"\W", "_", NAME)]())
