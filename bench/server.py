"""The MCP server against the SDK's own floor, over stdio, in the same run.

    python bench/server.py [REPOSITORY] [--calls N] [--starts N] [--decisions N] [--idle SECONDS]

Four tables: a `check_name` call against an empty tool's, in both protocol eras; spawn until the
first answer against `MCPServer("x").run()`; a decision's way from the reviewer's process to the
agent, with the wake-up and without; and what waiting costs. Calls to both servers alternate, so
that both see the same machine. Without REPOSITORY one of invented names is made and thrown away.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

EMPTY = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("x")
@server.tool()
async def empty() -> str:
    return ""
server.run()
"""
SDK_ALONE = 'from mcp.server.mcpserver import MCPServer; MCPServer("x").run()'
OURS = [sys.executable, "-m", "orgguard_mcp", "serve"]

# Decides what it reads the ids of, as a reviewer's terminal does, and tells when it began to.
REVIEWER = """
import sys, time
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer
with Guard(sys.argv[1]) as guard:
    print("ready", flush=True)
    for line in sys.stdin:
        request = guard.ledger.request(line.strip())
        began = time.monotonic()
        guard.decide(request, Answer.REFUSE, channel="terminal")
        print(began, flush=True)
"""
LEGACY, MODERN = "2025-11-25", "2026-07-28"
ERAS = (LEGACY, MODERN)
_CLIENT = {"name": "bench", "version": "1"}
_META = "io.modelcontextprotocol/"
_ENVELOPE = {
    f"{_META}protocolVersion": MODERN,
    f"{_META}clientInfo": _CLIENT,
    f"{_META}clientCapabilities": {},
}


# --- a client without a library -----------------------------------------------------------------


class Wire:
    """One session with a server over its pipes: as little as a client can be."""

    def __init__(self, command: Sequence[str], era: str, directory: Path | None = None) -> None:
        self.began = time.perf_counter()
        environment = {k: v for k, v in os.environ.items() if k not in {"CI", "ORGGUARD_DRY_RUN"}}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=directory, env=environment, bufsize=0,
        )  # fmt: skip
        self._era = era
        self._ids = itertools.count(1)
        self._buffer = b""

    def greet(self) -> float:
        """Open the session; return the seconds from the spawn to the first answer."""
        if self._era == MODERN:
            self.request("server/discover", {})
        else:
            hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": _CLIENT}
            self.request("initialize", hello)
        took = time.perf_counter() - self.began
        if self._era == LEGACY:
            self._send({"method": "notifications/initialized"})
        return took

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send one request and wait for its answer."""
        number = self.send(method, params)
        while True:
            message = self.receive()
            if message.get("id") == number:
                return dict(message["result"])

    def send(self, method: str, params: dict[str, Any]) -> int:
        """Send one request; return its number."""
        number = next(self._ids)
        if self._era == MODERN:
            params = {**params, "_meta": {**_ENVELOPE, **params.get("_meta", {})}}
        self._send({"id": number, "method": method, "params": params})
        return number

    def receive(self, seconds: float = 120) -> dict[str, Any]:
        """The next message."""
        pipe = self.process.stdout
        assert pipe
        while b"\n" not in self._buffer:
            if not select.select([pipe], [], [], seconds)[0]:
                raise SystemExit("the server gave no answer")
            data = os.read(pipe.fileno(), 1 << 16)
            if not data:
                raise SystemExit("the server ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def call(self, tool: str, **arguments: object) -> tuple[float, dict[str, Any]]:
        """Call a tool; return the seconds that it took, and the result."""
        began = time.perf_counter()
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        return time.perf_counter() - began, result

    def close(self) -> None:
        """Leave, and wait for the server's end."""
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def session(command: Sequence[str], era: str, directory: Path | None = None) -> Iterator[Wire]:
    """An open session, which is closed afterwards."""
    wire = Wire(command, era, directory)
    try:
        wire.greet()
        yield wire
    finally:
        wire.close()


def warm(wire: Wire) -> None:
    """Wait until the server has read its base."""
    while wire.call("check_name", name="localhost")[1].get("isError"):
        time.sleep(0.5)


# --- what is asked about ------------------------------------------------------------------------


def invented(count: int, seed: int) -> list[str]:
    """Words that no language has, the same ones for the same *seed*."""
    draw = random.Random(seed)  # noqa: S311  # names to measure with, no secrets
    made: dict[str, None] = {}
    while len(made) < count:
        parts = [draw.choice("bcdfgklmnprstvz") + draw.choice("aeiou") for _ in range(4)]
        made["".join(parts).capitalize() + draw.choice("qxz")] = None
    return list(made)


def make_repository(directory: Path, files: int = 2000) -> None:
    """A repository whose files each have a name of their own."""
    for number, name in enumerate(invented(files, 1)):
        file = directory / f"src/d{number % 40}/f{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        body = "\n".join(f"    value_{n} = {n}" for n in range(40))
        file.write_text(f"class {name}Client:\n{body}\n")
    git = ["git", "-C", str(directory), "-c", "user.name=A", "-c", "user.email=a@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Make"]):
        subprocess.run([*git, *command], check=True)


def words_of(directory: Path, count: int) -> list[str]:
    """Words of *directory*'s paths, spread over the tree: most of them are names that it has."""
    listed = subprocess.run(
        ["git", "-C", str(directory), "ls-tree", "-r", "--name-only", "HEAD"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    parts = {part.partition(".")[0] for path in listed.stdout.split() for part in path.split("/")}
    words = sorted(part for part in parts if part.isalpha() and part.islower() and len(part) > 3)
    random.Random(2).shuffle(words)  # noqa: S311
    return words[:count]


# --- the measurements ---------------------------------------------------------------------------


class Times(NamedTuple):
    """Seconds that one kind of call took."""

    what: str
    seconds: list[float]

    @property
    def p50(self) -> float:
        """The median, in milliseconds."""
        return median(self.seconds) * 1000

    @property
    def p99(self) -> float:
        """The 99th percentile, in milliseconds."""
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)] * 1000

    def row(self, floor: Times | None = None) -> str:
        """A line of a table, with the ratios to *floor*."""
        line = f"| {self.what} | {len(self.seconds)} | {self.p50:.2f} | {self.p99:.2f} |"
        if floor:
            line += f" {self.p50 / floor.p50:.2f} | {self.p99 / floor.p99:.2f} |"
        return line


def calls(directory: Path, hits: list[str], count: int) -> None:
    """A call of `check_name` against an empty tool's."""
    misses = invented(count, 3)
    print("\n| call | n | p50 ms | p99 ms | x p50 | x p99 |\n| --- | --- | --- | --- | --- | --- |")
    for era in ERAS:
        with ExitStack() as stack:
            empty = stack.enter_context(session([sys.executable, "-c", EMPTY], era))
            ours = stack.enter_context(session(OURS, era, directory))
            warm(ours)
            for _ in range(100):
                empty.call("empty")
                ours.call("check_name", name="localhost")
            floor: list[float] = []
            kinds: dict[str, list[float]] = {}
            for turn in ("first", "again"):
                for pair in zip(itertools.cycle(hits), misses, strict=False):
                    for name in pair:
                        floor.append(empty.call("empty")[0])
                        took, result = ours.call("check_name", name=name)
                        effect = result["structuredContent"]["effect"]
                        kinds.setdefault(f"{effect}, {turn}", []).append(took)
        base = Times(f"{era}: empty tool", floor)
        print(base.row())
        for kind, seconds in sorted(kinds.items()):
            print(Times(f"{era}: {kind}", seconds).row(base))


def starts(directory: Path, count: int) -> None:
    """From the spawn to the first answer."""
    print("\n| spawn to first answer | n | p50 ms | p99 ms | x p50 | x p99 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for era in ERAS:
        floor, ours = [], []
        for turn in range(count + 1):
            for command, taken in (([sys.executable, "-c", SDK_ALONE], floor), (OURS, ours)):
                wire = Wire(command, era, directory)
                took = wire.greet()
                wire.close()
                if turn:  # the first fills the machine's caches
                    taken.append(took)
        base = Times(f"{era}: the SDK alone", floor)
        print(base.row())
        print(Times(f"{era}: orgguard serve", ours).row(base))


def decisions(directory: Path, count: int) -> None:
    """From a decision in another process to the agent's having it."""
    print("\n| decision to answer | n | p50 ms | p99 ms |\n| --- | --- | --- | --- |")
    for era in ERAS:
        for told, some in (("woken", count), ("wake-up removed", max(5, count // 10))):
            with (
                reviewer(directory) as decide,
                session([*OURS, "--hold", "40"], era, directory) as wire,
            ):
                warm(wire)
                names = invented(some, hash((era, told)) & 0xFFFF)
                taken = [_decided(wire, decide, name, told != "woken", directory) for name in names]
            print(Times(f"{era}: {told}", taken).row())


@contextmanager
def reviewer(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that decides as a terminal does."""
    process = subprocess.Popen(
        [sys.executable, "-c", REVIEWER, str(directory)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    process.stdout.readline()
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait()


def _decided(
    wire: Wire, decide: subprocess.Popen[str], name: str, mute: bool, directory: Path
) -> float:
    """The seconds from the moment of a decision to the waiting call's answer."""
    number = ask(wire, name)
    if mute:
        for bell in (directory / ".git/orgguard").glob("*.bell"):
            bell.unlink()
    assert decide.stdin
    assert decide.stdout
    decide.stdin.write(request_of(directory, name) + "\n")
    decide.stdin.flush()
    while wire.receive().get("id") != number:
        pass
    got = time.monotonic()
    return got - float(decide.stdout.readline())


def ask(wire: Wire, name: str) -> int:
    """Start a call of request_consent, and return its number when it waits for the human."""
    arguments = {"name": name, "where": "src/a.py:1"}
    number = wire.send(
        "tools/call",
        {"name": "request_consent", "arguments": arguments, "_meta": {"progressToken": name}},
    )
    while wire.receive().get("method") != "notifications/progress":
        pass
    return number


def request_of(directory: Path, name: str) -> str:
    """The id of the question about *name*."""
    from orgguard_mcp.guard import Guard
    from orgguard_mcp.names import parse

    with Guard(directory) as guard:
        request = guard.ledger.open_request(parse(name).key)
        assert request
        return request.id


def idle(directory: Path, seconds: float) -> None:
    """What a server costs that only waits."""
    print("\n| waiting calls | seconds | CPU % of a core | by /proc/PID/stat | bytes written |")
    print("| --- | --- | --- | --- | --- |")
    for era, waiting in itertools.product(ERAS, (0, 1, 50)):
        with session([*OURS, "--hold", f"{seconds + 20:g}"], era, directory) as wire:
            warm(wire)
            for name in invented(waiting, 7):
                ask(wire, name)
            time.sleep(2)
            before, began = _spent(wire.process.pid), time.monotonic()
            time.sleep(seconds)
            after, took = _spent(wire.process.pid), time.monotonic() - began
            fine, coarse, written = (b - a for a, b in zip(before, after, strict=True))
            print(
                f"| {era}: {waiting} | {took:.0f} | {100 * fine / took:.3f} |"
                f" {100 * coarse / took:.3f} | {written:.0f} |"
            )
            wire.process.kill()  # what is in flight is not waited for


def _spent(pid: int) -> tuple[float, float, float]:
    """CPU seconds by the process's clock and by /proc/PID/stat, and bytes written."""
    process = Path(f"/proc/{pid}")
    fine = time.clock_gettime(
        (~pid << 3) | 2
    )  # the process's own clock, see clock_getcpuclockid(3)
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    written = int((process / "io").read_text().partition("\nwrite_bytes: ")[2].split()[0])
    return fine, ticks / os.sysconf("SC_CLK_TCK"), written


def main() -> None:
    """Measure what was asked for, by default all of it."""
    parser = argparse.ArgumentParser(description="the MCP server against the SDK's own floor")
    parser.add_argument("repository", nargs="?", type=Path)
    parser.add_argument("--calls", type=int, default=1000, help="names of each kind")
    parser.add_argument("--starts", type=int, default=12)
    parser.add_argument("--decisions", type=int, default=200)
    parser.add_argument("--idle", type=float, default=20, help="seconds, 0: not measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        directory = options.repository or Path(made)
        if options.repository is None:
            make_repository(directory)
        known = words_of(directory, options.calls) if options.repository else invented(2000, 1)
        print(f"{sys.version.split()[0]}, {os.cpu_count()} processors")
        if options.calls:
            calls(directory, known[: options.calls], options.calls)
        if options.starts:
            starts(directory, options.starts)
        if options.decisions:
            decisions(directory, options.decisions)
        if options.idle:
            idle(directory, options.idle)


if __name__ == "__main__":
    main()
