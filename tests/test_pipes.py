"""The client's pipes: lines come whole, however they arrive, and a slow reader stops nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from orgguard_mcp.pipes import Lines, Out

asynchronous = pytest.mark.asyncio

STRAY = """
import subprocess, sys
from orgguard_mcp import pipes
assert pipes.usable()
with pipes.standard() as (lines, out):
    print("stray", flush=True)
    subprocess.run(["cat"], check=True, timeout=20)
    import anyio
    async def echo():
        async for line in lines:
            await out.write(line.upper() + "\\n")
    anyio.run(echo)
print("restored")
"""


async def read(source: int) -> list[str]:
    with anyio.fail_after(20):
        return [line async for line in Lines(source)]


@asynchronous
@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"a\n"], ["a"]),
        ([b"a\nb\n\nc\n"], ["a", "b", "", "c"]),
        ([b"a", b"b\nc", b"d", b"\n"], ["ab", "cd"]),
        ([b"a\n", b"the last"], ["a", "the last"]),
        ([], []),
        ([b"\xc3", b"\xa9\xff\n"], ["é\ufffd"]),
    ],
)
async def test_lines_come_whole(pieces: list[bytes], lines: list[str]) -> None:
    source, target = os.pipe()

    def write() -> None:
        for piece in pieces:
            os.write(target, piece)
        os.close(target)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, write)
        assert await read(source) == lines
    os.close(source)


@asynchronous
@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_what_is_longer_than_a_pipe_goes_through_while_the_loop_goes_on(kind: str) -> None:
    ends = socket.socketpair() if kind == "socket" else None
    source, target = (end.detach() for end in ends) if ends else os.pipe()
    text = "é" * 3_000_000
    out = Out(target)

    async def write() -> None:
        await out.write(f"{text}\n")
        await out.flush()
        os.close(target)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.to_thread.run_sync(lambda: None)  # nobody reads, and the loop answers
        assert await read(source) == [text]
    os.close(source)


def test_what_else_reads_or_prints_does_not_break_in_on_the_client() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STRAY], input=b"one\ntwo\n", capture_output=True, check=True,
        timeout=60,
    )  # fmt: skip
    assert done.stdout == b"ONE\nTWO\nrestored\n"
    assert done.stderr == b"stray\n"


HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}  # fmt: skip


def test_a_server_whose_input_is_a_file_answers_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "input").write_text(json.dumps(HELLO) + "\n")
    with (tmp_path / "input").open() as given:
        done = subprocess.run(
            [sys.executable, "-m", "orgguard_mcp", "serve"], stdin=given, capture_output=True,
            check=True, timeout=60, cwd=tmp_path,
        )  # fmt: skip
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"] == "OrgGuard"
