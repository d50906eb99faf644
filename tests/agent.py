"""A scripted agent: a real MCP client in a process of its own, over stdio to a real server.

As a program it makes the calls that it reads as JSON lines, `{"tool": …, "arguments": …}`, and
prints what happens as JSON lines: `{"event": "ready" | "progress" | "form" | "form-withdrawn" |
"result" | "failure" | "cancelled" | "review", …}`. It is no ancestor of the human's terminal, as in
real life; the tool `review` starts one beneath it all the same, `cancel` gives up every call in
flight, and `form` says how forms are answered from now on.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pexpect

LEGACY, MODERN = "legacy", "auto"
ERAS = [LEGACY, MODERN]


class Agent:
    """Drives the program below. A context manager; `kill` is a death without a word."""

    def __init__(
        self, repo: Path, era: str, *, form: str | None = None, serve: list[str] | None = None,
        errors: Path | None = None, **environment: str,
    ) -> None:  # fmt: skip
        command = [sys.executable, "-m", "tests.agent", str(repo), era]
        command += ["--form", form] if form else []
        command += ["--serve", json.dumps(serve)] if serve else []
        with errors.open("ab") if errors else nullcontext() as stderr:
            self._process = subprocess.Popen(  # the server inherits `errors` as its stderr too
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
                cwd=Path(__file__).parents[1], env=os.environ | environment,
            )  # fmt: skip
        self.seen: list[dict[str, Any]] = []
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._events.put(json.loads(line))
        self._events.put({"event": "exit"})

    def __enter__(self) -> Agent:
        self.ready = self.event("ready")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def kill(self) -> None:
        """Die without closing anything (SIGKILL); the server may outlive it for a moment."""
        self._process.kill()
        self._process.wait()

    def kill_server(self) -> None:
        """Kill the server (SIGKILL) under the client's hands."""
        os.kill(self.server_pid, signal.SIGKILL)

    @property
    def server_pid(self) -> int:
        """The server's process."""
        return int(self.ready["server"])

    def send(self, tool: str, **arguments: object) -> None:
        """Start a call."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"tool": tool, "arguments": arguments}) + "\n")
        self._process.stdin.flush()

    def event(self, kind: str, seconds: float = 30) -> dict[str, Any]:
        """The next event of *kind*; others in between are passed over."""
        while True:
            try:
                event = self._events.get(timeout=seconds)
            except queue.Empty:
                raise AssertionError(f"no {kind} within {seconds} s; saw {self.seen}") from None
            self.seen.append(event)
            if event["event"] == kind:
                return event
            if event["event"] == "exit":
                raise AssertionError(f"the agent ended while waiting for {kind}")

    def result(self, seconds: float = 30) -> dict[str, Any]:
        """The next result."""
        return self.event("result", seconds)

    def waits(self) -> None:
        """Wait until a call waits for the human: its question is committed."""
        while not str(self.event("progress")["message"]).startswith("waiting for a human"):
            pass

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """Make a call and return its structured result."""
        self.send(tool, **arguments)
        structured = self.result()["structured"]
        assert isinstance(structured, dict)
        return structured

    def answer_forms(self, answer: str) -> None:
        """Answer the forms that are up, and those to come, like this: see `--form`."""
        self.send("form", answer=answer)

    def ask(self, name: str | list[str], where: str = "src/a.py:1", **words: str) -> dict[str, Any]:
        """Call request_consent and wait for its result."""
        return self.call("request_consent", name=name, where=where, **words)


# --- the program ----------------------------------------------------------------------------------


def _say(event: str, **facts: object) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


async def _main(options: argparse.Namespace) -> None:
    import mcp_types
    import psutil
    from mcp import Client, MCPError, StdioServerParameters

    forms = _Forms(options.form)

    async def form(_: object, params: mcp_types.ElicitRequestParams) -> mcp_types.ElicitResult:
        shown = params.model_dump(mode="json", by_alias=True, exclude_none=True)
        _say("form", message=params.message, schema=shown.get("requestedSchema"))
        try:
            return await forms.answer()
        except anyio.get_cancelled_exc_class():
            _say("form-withdrawn")
            raise

    serve = json.loads(options.serve) if options.serve else []
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "orgguard_mcp", "serve", "--repo", options.repo, *serve],
        env=dict(os.environ),
    )
    extra: dict[str, Any] = {"elicitation_callback": form} if options.form else {}
    async with Client(server, mode=options.era, **extra) as client:
        child = psutil.Process().children()[0].pid
        _say("ready", version=client.protocol_version, server=child, pid=os.getpid(),
             instructions=client.instructions)  # fmt: skip

        async def progress(done: float, total: float | None, message: str | None) -> None:
            _say("progress", done=done, total=total, message=message)

        async def call(request: dict[str, Any]) -> None:
            try:
                if request["tool"] == "list":
                    tools = (await client.list_tools()).tools
                    listed = [
                        t.model_dump(mode="json", by_alias=True, exclude_none=True) for t in tools
                    ]
                    _say("result", tools=listed)
                    return
                result = await client.call_tool(
                    request["tool"], request["arguments"], progress_callback=progress
                )
            except MCPError as error:
                _say("failure", error=str(error))
                return
            texts = [block.text for block in result.content if block.type == "text"]
            _say("result", text="\n".join(texts), structured=result.structured_content,
                 is_error=result.is_error)  # fmt: skip

        in_flight: set[anyio.CancelScope] = set()

        async def cancellable(request: dict[str, Any]) -> None:
            with anyio.CancelScope() as scope:
                in_flight.add(scope)
                await call(request)
            in_flight.discard(scope)
            if scope.cancelled_caught:
                _say("cancelled")

        async with anyio.create_task_group() as tasks:
            async for line in anyio.wrap_file(sys.stdin):
                request = json.loads(line)
                match request["tool"]:
                    case "cancel":
                        for scope in in_flight:
                            scope.cancel()
                    case "form":
                        forms.become(request["arguments"]["answer"])
                    case "review":
                        tasks.start_soon(_review, options.repo)
                    case _:
                        tasks.start_soon(cancellable, request)
            tasks.cancel_scope.cancel()


async def _review(repo: str) -> None:
    """Run a review on a pseudo-terminal beneath this process, as an agent's shell would."""
    shown, status = await anyio.to_thread.run_sync(
        partial(
            pexpect.run, f"{sys.executable} -m orgguard_mcp review --no-wait --repo {repo}",
            timeout=20, withexitstatus=True, encoding="utf-8",
        )
    )  # fmt: skip
    _say("review", shown=shown, status=status)


class _Forms:
    """How forms are answered: `ACTION` or `ACTION:DECISION`; `hang` waits for another word."""

    def __init__(self, answer: str) -> None:
        self._answer = answer
        self._changed = anyio.Event()

    def become(self, answer: str) -> None:
        self._answer = answer
        self._changed.set()
        self._changed = anyio.Event()

    async def answer(self) -> Any:  # noqa: ANN401  # the SDK's type, imported late
        import mcp_types

        while self._answer == "hang":
            await self._changed.wait()
        action, _, decision = self._answer.partition(":")
        content = {"decision": decision} if decision else ({} if action == "accept" else None)
        return mcp_types.ElicitResult(action=action, content=content)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("repo")
    parser.add_argument("era")
    parser.add_argument("--form", help="accept:allow, accept:deny, accept, decline, cancel or hang")
    parser.add_argument("--serve", help="more arguments for the server, as a JSON list")
    anyio.run(_main, parser.parse_args())
