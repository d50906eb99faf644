"""Agents as bare as they can be: the newer protocol era over HTTP, one POST a call, no library.

Hundreds of them cost less than the servers that they ask.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

VERSION = "2026-07-28"
_META = "io.modelcontextprotocol/"
_ENVELOPE = {
    f"{_META}protocolVersion": VERSION,
    f"{_META}clientInfo": {"name": "caller", "version": "1"},
    f"{_META}clientCapabilities": {},
    "progressToken": 1,
}


class UnansweredError(Exception):
    """A call had no answer: `status` is HTTP's, or 0 when the connection was lost."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status


class Caller:
    """One agent's connection to one instance at *address*, which is kept from call to call."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._token = token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(
        self, repository: str, tool: str, heard: asyncio.Event | None = None, **arguments: object
    ) -> dict[str, Any]:
        """A tool's reply. *heard* is set as soon as the server says that it waits for a human: then
        the question is in the queue. Raises `UnansweredError`.
        """
        try:
            reader, writer = await self._connected()
            writer.write(self._request(repository, tool, arguments))
            result: dict[str, Any] = {}
            async for message in _messages(reader):
                if heard and message.get("params", {}).get("message", "").startswith("waiting"):
                    heard.set()
                result = message.get("result") or result
            return dict(result["structuredContent"])
        except (OSError, asyncio.IncompleteReadError, KeyError, ValueError) as error:
            self.close()
            raise UnansweredError from error
        except BaseException:  # an answer that nobody read is still in it
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._streams:
            with suppress(RuntimeError):  # the loop is closed
                self._streams[1].close()
        self._streams = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            host, _, port = self._address.rpartition(":")
            self._streams = await asyncio.open_connection(host, int(port))
        return self._streams

    def _request(self, repository: str, tool: str, arguments: dict[str, Any]) -> bytes:
        params = {"name": tool, "arguments": arguments, "_meta": _ENVELOPE}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        body = json.dumps(call).encode()
        head = (
            f"POST /r/{repository}/mcp HTTP/1.1\r\nHost: {self._address}\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {VERSION}\r\n"
            f"Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """What the server says, up to the end of its answer: events, or one object."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
        if status != 200:
            raise UnansweredError(status)
        yield json.loads(body)
        return
    async for event in _events(reader):
        yield event


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """The events of a chunked answer; the server sends each in a chunk of its own."""
    while size := int(await reader.readline(), 16):
        chunk = (await reader.readexactly(size + 2))[:-2]
        for line in chunk.split(b"\r\n"):
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
    await reader.readline()
