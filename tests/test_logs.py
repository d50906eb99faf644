"""The shared server's log, as a child process writes it: what it says, and what it never does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pexpect
import pytest

from orgguard_mcp.logs import Fields
from tests.names import COINED

EVERY = {"time", "level", "event", "logger", "where", "places", "trace_id"}
"""What a line may have beside an event's own fields."""


def _said(program: str, setting_up: str = "logs.set_up()") -> str:
    """What a process writes to standard error that sets the log up and runs *program*; `WORD` in
    it is a name.
    """
    code = f"from orgguard_mcp import logs\nWORD = {COINED!r}\n{setting_up}\n{program}\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == ""
    return done.stderr


def _lines(program: str, setting_up: str = "logs.set_up()") -> list[dict[str, Any]]:
    """The lines of the log, which never have the word, nor a key that is not known."""
    said = _said(program, setting_up)
    assert COINED not in said
    lines: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines()]
    for line in lines:
        assert set(line) <= EVERY | set(Fields.__annotations__)
    return lines


def test_an_event_is_one_json_object_with_its_time_and_fields() -> None:
    (line,) = _lines("logs.event('call', repository='a/b', outcome='allow', seconds=0.25)")

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    passed = datetime.now(UTC) - datetime.fromisoformat(line.pop("time"))
    assert timedelta(0) <= passed < timedelta(minutes=1)
    assert line == {
        "level": "info", "event": "call", "repository": "a/b", "outcome": "allow", "seconds": 0.25
    }  # fmt: skip


def test_a_field_that_is_not_known_or_empty_is_left_out() -> None:
    (line,) = _lines("logs.event('call', tool='', status=0, excerpt=WORD)")

    assert set(line) == {"time", "level", "event", "status"}


def test_an_errors_words_are_not_in_an_event_about_it() -> None:
    (line,) = _lines(
        """
try:
    try:
        raise ValueError(WORD)
    except ValueError as error:
        raise OSError(2, WORD, WORD) from error
except OSError as error:
    logs.event("fetch", logs.ERROR, cause=error)
"""
    )

    assert line["level"] == "error"
    assert line["cause"] == "FileNotFoundError from ValueError"
    assert line["places"] == ["__main__:9"]


def test_a_trace_that_is_under_way_is_named() -> None:
    named = "logs.set_up(trace_id=lambda: '0af7')"

    assert [line["trace_id"] for line in _lines("logs.event('call')", named)] == ["0af7"]
    assert "trace_id" not in _lines("logs.event('call')")[0]


def test_calls_are_logged_with_their_trace() -> None:
    lines = _lines(
        """
from orgguard_mcp.telemetry import Telemetry
to, meta = Telemetry(), {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
with to.call("check_name", repository="a/b", principal="token:1a2b", meta=meta) as call:
    call.outcome = "allow"
try:
    with to.call(WORD):
        raise ValueError(WORD)
except ValueError:
    pass
""",
        "from orgguard_mcp import telemetry\nlogs.set_up(telemetry.trace_id)",
    )

    assert [line.pop("seconds") < 5 and line.pop("time") > "2" for line in lines] == [True, True]
    assert lines[0] == {
        "level": "info", "event": "call", "repository": "a/b", "principal": "token:1a2b",
        "tool": "check_name", "outcome": "allow", "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }  # fmt: skip
    del lines[1]["places"]
    assert lines[1] == {
        "level": "warning", "event": "call", "tool": "other", "outcome": "error",
        "cause": "ValueError",
    }  # fmt: skip


@pytest.mark.parametrize(
    "logger",
    [
        *("uvicorn.error", "mcp.server", "starlette", "asyncio", "apprise", "psycopg"),
        *("opentelemetry.sdk", "orgguard", "orgguard.inner"),
    ],
)
def test_a_library_is_heard_without_its_words(logger: str) -> None:
    lines = _lines(
        f"""
import logging
log = logging.getLogger({logger!r})
log.setLevel(1)
log.info("heard of %s", WORD)
log.warning("%s: " + WORD, WORD, extra={{"fields": WORD}})
log.warning("%d %d", WORD)
try:
    {{}}[WORD]
except KeyError:
    log.exception(WORD, stack_info=True)
"""
    )

    assert [(line["level"], line["event"], line["logger"]) for line in lines] == [
        ("warning", "log", logger), ("warning", "log", logger), ("error", "log", logger)
    ]  # fmt: skip
    assert [line["where"] for line in lines] == ["<string>:9", "<string>:10", "<string>:14"]
    assert [line.get("cause") for line in lines] == [None, None, "KeyError"]


def test_a_handler_of_a_librarys_own_is_taken_away() -> None:
    lines = _lines(
        "logging.getLogger('uvicorn.access').warning(WORD)",
        """
import logging, logging.config, uvicorn.config
logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
logs.set_up()
""",
    )

    assert [line["logger"] for line in lines] == ["uvicorn.access"]


def test_a_real_server_that_fails_tells_nothing_of_the_request() -> None:
    """Uvicorn logs the error of an application, with its text, and what it cannot parse."""
    lines = _lines(
        """
import socket, threading, uvicorn

async def fail(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError(WORD)
    raise RuntimeError(scope["path"])

server = uvicorn.Server(uvicorn.Config(fail, log_config=None, port=0))
threading.Thread(target=server.run).start()
while not server.started:
    pass
port = server.servers[0].sockets[0].getsockname()[1]
for sent in (f"GET /{WORD} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n", f"{WORD}\\r\\n\\r\\n"):
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(sent.encode())
        client.recv(1000)
server.should_exit = True
"""
    )

    assert {line["logger"] for line in lines} == {"uvicorn.error"}
    failed, unreadable = lines
    assert (failed["level"], failed["cause"]) == ("error", "RuntimeError")
    assert failed["places"][-1] == "__main__:10"
    assert unreadable["level"] == "warning"


def test_a_warning_is_told_by_its_class() -> None:
    (line,) = _lines("import warnings; warnings.warn(WORD, ResourceWarning, stacklevel=1)", _ALL)

    assert (line["level"], line["event"]) == ("warning", "warning")
    assert (line["cause"], line["where"]) == ("ResourceWarning", "<string>:7")


_ALL = "import warnings; warnings.simplefilter('always')\nlogs.set_up()\n\n"

CRASHES = {
    "main": "def fail():\n    raise KeyError(WORD)\nfail()",
    "thread": """
import threading
def fail():
    raise KeyError(WORD)
thread = threading.Thread(target=fail, name=WORD)
thread.start()
thread.join()""",
    "finaliser": """
class Fails:
    def __del__(self):
        raise KeyError(WORD)
Fails()""",
    "task": """
import asyncio
async def fail():
    raise KeyError(WORD)
async def main():
    asyncio.create_task(fail(), name=WORD)
    await asyncio.sleep(0)
asyncio.run(main())""",
    "group": """
import anyio
async def fail():
    raise KeyError(WORD)
async def main():
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fail)
anyio.run(main)""",
}


@pytest.mark.parametrize("kind", CRASHES)
def test_a_crash_tells_its_class_and_places(kind: str) -> None:
    (line,) = _lines(CRASHES[kind])

    assert line["cause"] == "KeyError"
    assert line["places"]
    assert all(re.fullmatch(r"[\w.]+:\d+", place) for place in line["places"])


def test_each_error_of_a_group_is_told() -> None:
    lines = _lines(
        "raise ExceptionGroup(WORD, [KeyError(WORD), ExceptionGroup(WORD, [OSError()])])"
    )

    assert [line["cause"] for line in lines] == ["KeyError", "OSError"]


def test_the_sdks_own_setting_up_changes_nothing() -> None:
    lines = _lines(
        """
from mcp.server.mcpserver import MCPServer
import logging
MCPServer("a", log_level="DEBUG")
logging.getLogger("mcp.server").info(WORD)
logging.getLogger("mcp.server").error(WORD)
"""
    )

    assert [line["level"] for line in lines] == ["error"]


def test_a_terminal_gets_a_short_line() -> None:
    code = (
        "from orgguard_mcp import logs; logs.set_up(); logs.event('call', repository='a/b\\x1b[2J')"
    )
    terminal = pexpect.spawn(sys.executable, ["-c", code], encoding="utf-8", timeout=60)
    shown = terminal.read()
    terminal.close()

    assert re.fullmatch(r"\d\d:\d\d:\d\d info call repository=a/b\\x1b\[2J\s*", shown)
