"""Instances of the shared server, each in a process of its own, and clients of theirs."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ElicitResult

from orgguard_mcp.access import parse_permission
from orgguard_mcp.storage import opening

PROGRAM = (sys.executable, "-m", "orgguard_mcp")


class Host:
    """One instance. A context manager; leaving it kills it, if it has not ended before."""

    def __init__(
        self, settings: Path | None, *options: str, program: Sequence[str] = PROGRAM,
        **environment: str,
    ) -> None:  # fmt: skip
        command = [*program, "serve", "--http", "--listen"]
        command += ["127.0.0.1:0", *(["--config", str(settings)] if settings else []), *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, env=os.environ | environment,
        )  # fmt: skip
        self.log: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put("")

    def __enter__(self) -> Host:
        self.address = self.event("listening")["address"]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr
        self.process.stderr.close()

    def event(self, name: str, seconds: float = 30) -> dict[str, Any]:
        """The next event of that name in its log."""
        while line := self._lines.get(timeout=seconds):
            self.log.append(json.loads(line))
            if self.log[-1]["event"] == name:
                return self.log[-1]
        raise AssertionError(f"the server ended without {name}: {self.log}")

    def rest(self) -> list[dict[str, Any]]:
        """Its whole log, after its end."""
        self._reader.join()
        while line := self._lines.get():
            self.log.append(json.loads(line))
        return self.log

    def ends(self) -> int:
        """Tell it to end, and wait for that; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def url(self, path: str) -> str:
        return f"http://{self.address}{path}"

    def of(self, repository: str) -> str:
        """Where *repository* is served."""
        return self.url(f"/r/{repository}/mcp")


@asynccontextmanager
async def client(
    url: str, token: str = "", era: str = "auto", form: dict[str, str] | None = None
) -> AsyncIterator[Client]:
    """A client at *url*, whose human answers forms with *form*."""

    async def answers(*_: object) -> ElicitResult:
        return ElicitResult(action="accept", content=dict(form or {}))

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(
            streamable_http_client(url, http_client=http), mode=era,
            elicitation_callback=answers if form else None,
        ) as connected,
    ):  # fmt: skip
        yield connected


def told(result: CallToolResult) -> dict[str, Any]:
    """A result's data."""
    assert isinstance(result.structured_content, dict), result
    return result.structured_content


def make_token(*may: str, days: float = 1.0) -> tuple[str, str]:
    """A token in the store that the environment names: its id, and its text."""
    tokens = opening.open_tokens()
    try:
        made, text = tokens.add(
            "an agent", [parse_permission(one) for one in may], time.time() + days * 86400
        )
    finally:
        tokens.close()
    return made.id, text
