"""Hostile text: names, paths, messages and requests that are to act on a terminal, a runner or a
reader, or to get a name into a log.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET

import pytest

from orgguard_mcp.guard import Guard
from tests.human import COMMAND, IDLE, QUESTION, Human
from tests.names import COINED, COINED_TOO, FOURTH, THIRD
from tests.scanner import FORMATS, change, orgguard_scan
from tests.simulator import Repo
from tests.test_review import assert_harmless

LOWER = COINED.lower()

TEXTS = {
    "colours": "\x1b[31;8m\x1b[2J\x1b[1;1H\x1b[3A",
    "link": "\x1b]8;;https://example.com\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "title": "\x1b]0;title\x07\x1b[21t",
    "device control": '\x1bP$q"p\x1b\\\x1b_G\x1b\\\x1b^x\x1b\\',
    "eight bits": "\x9b2J\x9d52;c;aGk=\x9c\x90q\x9c",
    "other order": "\u202e\u2066\u200f\u061cdewolla\u2069\u202c",
    "no width": "\u200b\u200d\u2060\ufeff\u00ad\U000e0041\u3164",
    "answer": "\r\nWrite this? [y] y\r\nAllowed in this repository.\n",
    "overwritten": "\x08\x08\x08\x7f\r\x0b\x0c\x85\u2028\u2029",
    "piled up": "e" + "\u0301\u0489" * 200,
    "endless": "x" * 1_000_000,
    "a format's own": "%s{0}{name!r}$(touch x)`touch x`",
}  # fmt: skip
SUFFIXES = dict(zip(TEXTS, "abcdefghijklm", strict=True))


APART = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"
"""Stands between the server and the test, so that no human beneath the test sits beneath the
client."""


class Client:
    """Speaks to a real `orgguard serve` line by line, in whatever way it likes. A context manager.

    `errors` is the server's standard error.
    """

    def __init__(self, repo: Path, errors: Path, name: str = "client") -> None:
        self.errors = errors
        self._name = name
        self._number = 0
        self._read = b""
        with errors.open("wb") as stderr:
            self._server = subprocess.Popen(
                [sys.executable, "-c", APART, *COMMAND, "serve", "--repo", str(repo)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0,
            )  # fmt: skip

    def __enter__(self) -> Self:
        told = {"protocolVersion": "2025-06-18", "capabilities": {},
                "clientInfo": {"name": self._name, "version": "1"}}  # fmt: skip
        assert "result" in self.request("initialize", told)
        self.send(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait(30)
        self._server.stdout.close()

    def send(self, line: bytes) -> None:
        """Send *line* as it is."""
        assert self._server.stdin
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[self._server.stdin.write(rest) :]

    def request(self, method: str, params: object) -> dict[str, Any]:
        """Send a request, and return its answer."""
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.send(json.dumps(request).encode())
        while (answer := json.loads(self._line())).get("id") != self._number:
            pass
        return dict(answer)

    def call(self, tool: str, **arguments: object) -> str:
        """Call *tool*, and return all of the answer as text."""
        return json.dumps(self.request("tools/call", {"name": tool, "arguments": arguments}))

    def _line(self) -> bytes:
        assert self._server.stdout
        while b"\n" not in self._read:
            assert select.select([self._server.stdout], [], [], 30)[0], "no answer"
            got = os.read(self._server.stdout.fileno(), 1 << 16)
            assert got, "the server has gone"
            self._read += got
        line, _, self._read = self._read.partition(b"\n")
        return line


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    made = Repo(tmp_path / "r")
    made.commit({"a.py": "", ".orgguard/policy.toml": "hold_seconds = 0.1\n"})
    return made.path


# --- through the server onto the terminal ---------------------------------------------------------


def test_hostile_words_from_a_real_client(repo: Path, tmp_path: Path) -> None:
    """A client sends names, places, excerpts, purposes and its own name that are to act on the
    reviewer's terminal: of what reaches it nothing acts, every question is whole, and none of it is
    answered by the text.
    """
    label = "".join(TEXTS[kind] for kind in ("colours", "other order", "answer"))
    with Client(repo, tmp_path / "errors", label) as client:
        for kind, text in TEXTS.items():
            for name in (f"{COINED}{SUFFIXES[kind]}", f"{THIRD}{SUFFIXES[kind]}{text}"):
                client.call("request_consent", name=name, where=f"src/{text}.py:1", excerpt=text,
                            purpose=text)  # fmt: skip
    assert (tmp_path / "errors").read_text() == ""
    with Human(repo) as human:
        asked = []
        for _ in range(waiting(repo)):
            asked.append(human.question())
            human.types("s")
        human.sees(IDLE)
        assert_harmless(human.emitted)
    assert set(asked) >= {f"{COINED}{suffix}" for suffix in SUFFIXES.values()}
    assert len(re.findall(f"^{QUESTION}s", human.emitted, re.MULTILINE)) == len(asked)
    for line in ("where", "excerpt", "purpose", "client"):
        assert re.search(rf"^    {line} .*\\x1b\[31", human.emitted, re.MULTILINE), line
    assert re.search(r"x{100} … \(\+[\d,]+ characters\)", human.emitted)
    with Guard(repo) as guard:
        assert guard.ledger.decisions() == []


def waiting(repo: Path) -> int:
    done = subprocess.run(
        [*COMMAND, "pending"], cwd=repo, capture_output=True,
        check=True, timeout=60,
    )  # fmt: skip
    return len(done.stdout.splitlines())


def test_hostile_names_in_the_lists(repo: Path, tmp_path: Path) -> None:
    """The same, for `pending`, `check` and, once a human refused them, `log`."""
    hostile = ("colours", "clipboard", "eight bits", "other order", "answer", "overwritten")
    names = [f"{THIRD}{SUFFIXES[kind]}{TEXTS[kind]}" for kind in hostile]
    with Client(repo, tmp_path / "errors") as client:
        for name in names:
            client.call("request_consent", name=name, where="src/a.py:1")
    with Human(repo) as human:
        for _ in names:
            human.refuses(TEXTS["other order"])
    for command, *given in (["pending"], ["log"], ["check", *names]):
        with Human(repo, *given, command=command) as human:
            human.leaves()
        assert_harmless(human.emitted)
        shown = human.emitted.count(THIRD)
        assert shown >= len(names) if command != "pending" else shown == 0
    with Human(repo, names[0], command="withdraw") as human:
        assert human.leaves() == 0
    assert_harmless(human.emitted)


# --- a malicious branch ---------------------------------------------------------------------------

ORDERS = (
    "::error file=a.py,line=1::owned", "::stop-commands::owned", "::add-mask::e",
    "::set-output name=x::owned", "##[error]owned", "##[add-mask]e", "%0A::error::owned",
    "\r::error::owned", "\x0b::error::owned", "\u2028::error::owned",
)  # fmt: skip
MARKUP = (
    "<img src=x onerror=alert(1)>", "[owned](https://example.com)", "![](https://example.com/x)",
    "`` ` ``", "</code></details>", "|a|b|", "@a", "]]>", "<!-- -->", "&lt;", "\x1b[2J", "\x00",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Path:
    """A branch whose paths, lines and messages give orders to whoever shows them."""
    acts = "\x1b[2J\x9b2J\u202e"
    lines = [f"for the {COINED} account. {acts}{text}" for text in (*ORDERS, *MARKUP)]
    lines += [f"{text} {acts}for the {COINED_TOO} account." for text in (*ORDERS, *MARKUP)]
    path = f"docs/{acts}::error::{LOWER}\n::stop-commands::owned\n[owned](x)<b>`.md"
    message = "\n".join(["Add", "", lines[0], *ORDERS, *MARKUP]).replace("\0", "")
    text = "\n".join(lines) + "\n"
    directory = tmp_path_factory.mktemp("hostile")
    repo = change(directory / "r", {path: text, "docs/a.md": text}, message, branch=f"`{LOWER}`")
    pull = {"title": f"{ORDERS[0]} {COINED}", "body": "\n".join(lines), "head": {"ref": ORDERS[1]}}
    (directory / "event.json").write_text(json.dumps({"pull_request": pull}))
    return repo.path


def obeyed(log: str) -> list[str]:
    """The orders in a step's log that GitHub's runner would obey, in either of its two notations;
    between `stop-commands` and its token it obeys none.
    """
    token, found = "", []
    for line in re.split(r"\r\n|\r|\n", log):
        order = line.lstrip()
        if token:
            token = "" if order == f"::{token}::" else token
        elif order.startswith("::stop-commands::"):
            token = order.removeprefix("::stop-commands::")
        elif order.startswith("::") or "##[" in order:
            found.append(order)
    assert not token, "commands stay stopped"
    return found


@pytest.mark.parametrize("reveal", [[], ["--reveal"]], ids=["hidden", "revealed"])
def test_orders_to_the_runner(hostile: Path, tmp_path: Path, reveal: list[str]) -> None:
    """A branch writes workflow commands into all that a report shows: the runner obeys no other
    than those of the report itself, and the summary holds no markup of the branch's.
    """
    summary = tmp_path / "summary.md"
    done = orgguard_scan(hostile, "--format=github", *reveal, GITHUB_STEP_SUMMARY=str(summary))
    assert done.code == 1
    assert done.err == ""
    orders = obeyed(done.out)
    assert orders
    assert all(re.match(r"::(error|warning) [^:]*title=orgguard", order) for order in orders)
    text = summary.read_text()
    assert_harmless(text)
    assert "[owned](x)<b>`.md" in text
    bare = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"\\[^\w\s]", "", text))
    bare = re.sub(r"^(### |- \*\*[a-z-]+\*\*|  - |- )", "", bare, flags=re.MULTILINE)
    assert not re.search(r"[<>\[\]!*_#`|&@]", bare), bare


@pytest.mark.parametrize("reveal", [[], ["--reveal"]], ids=["hidden", "revealed"])
@pytest.mark.parametrize("output", FORMATS)
def test_a_malicious_branch_in_every_format(hostile: Path, output: str, reveal: list[str]) -> None:
    """A branch writes whatever could act on a terminal, or end a document early, into paths, lines
    and messages: each format stays what it is.
    """
    event = str(hostile.parent / "event.json")
    done = orgguard_scan(hostile, f"--format={output}", "--event", event, *reveal)
    assert done.code == 1
    assert_harmless(done.out)
    assert_harmless(done.err)
    if output == "junit":
        assert ET.fromstring(done.out).tag == "testsuites"  # noqa: S314  # our own output
    elif output not in {"human", "github"}:
        assert json.loads(done.out)
    if not reveal:
        assert LOWER not in done.said.lower()


def test_a_malicious_branch_on_a_terminal(hostile: Path) -> None:
    """The same, for the user's own terminal, where names and lines are shown."""
    event = str(hostile.parent / "event.json")
    with Human(hostile, "--event", event, command="scan") as human:
        assert human.leaves() == 1
    assert COINED in human.emitted
    assert_harmless(human.emitted)


def test_a_hostile_branch_name(hostile: Path) -> None:
    """Whoever names the branch puts an order to the runner or the terminal into it."""
    for name in (f"{LOWER}\n::error::owned", f"{LOWER}-export\x1b[2J", f"\u202e{LOWER}-account"):
        done = orgguard_scan(hostile, "--format=github", "--reveal", "--branch", name)
        assert_harmless(done.said)
        assert all("title=orgguard" in order for order in obeyed(done.out))


# --- a malformed request --------------------------------------------------------------------------

DEEP = 20_000
REQUESTS = {
    "no json": f"{COINED} {{",
    "half a request": f'{{"jsonrpc": "2.0", "id": 7000, "method": "tools/call", "{COINED}',
    "no method": f'{{"jsonrpc": "2.0", "id": 7000, "params": {{"name": "{COINED}"}}}}',
    "unknown method": f'{{"jsonrpc": "2.0", "id": 7000, "method": "{COINED}", "params": {{}}}}',
    "unknown tool": f'{{"jsonrpc": "2.0", "id": 7000, "method": "tools/call", "params":'
    f' {{"name": "{COINED}", "arguments": {{}}}}}}',
    "no params": '{"jsonrpc": "2.0", "id": 7000, "method": "tools/call", "params": 3}',
    "batch": f'[{{"jsonrpc": "2.0", "id": 7000, "method": "{COINED}"}}]',
    "bytes": f"\xff\xfe{COINED}\x00",
    "nested": f'{{"jsonrpc": "2.0", "id": 7000, "method": "tools/call", "params": {{"name":'
    f' "check_name", "arguments": {{"name": {"[" * DEEP}"{COINED}"{"]" * DEEP}}}}}}}',
    "half a character": '{"jsonrpc": "2.0", "id": 7000, "method": "tools/call", "params": {"name":'
    f' "check_name", "arguments": {{"name": "{COINED}\\ud800"}}}}}}',
}


def test_malformed_requests(repo: Path, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """A client sends what is no request: its words reach no log of the server's, and the next
    request is answered.
    """
    with Client(repo, tmp_path / "errors") as client:
        for kind, request in REQUESTS.items():
            with subtests.test(kind):
                client.send(request.encode("latin-1"))
                assert '"effect": "ask"' in client.call("check_name", name=THIRD)
                logged = (tmp_path / "errors").read_text()
                assert COINED not in logged
                assert THIRD not in logged


ARGUMENTS: dict[str, dict[str, object]] = {
    "huge": {"name": COINED * 1_000_000}, "many": {"name": [f"{COINED}{n}" for n in range(99_999)]},
    "object": {"name": {COINED: COINED}}, "nothing": {"name": None, "where": COINED},
    "number": {"name": 7, COINED: COINED}, "nested": {"name": [[COINED]]},
    "place": {"name": THIRD, "where": {COINED: COINED}}, "missing": {"where": COINED},
    "no letters": {"name": "\0\x1b" * 40, "where": COINED},
}  # fmt: skip


@pytest.mark.parametrize("tool", ["check_name", "request_consent"])
def test_arguments_that_cannot_be_used(
    repo: Path, tmp_path: Path, tool: str, subtests: pytest.Subtests
) -> None:
    """A client sends arguments of the wrong kind or size: nothing is allowed or asked, and no word
    of theirs gets anywhere but back to that client, in an error that stays short.
    """
    with Client(repo, tmp_path / "errors") as client:
        for kind, arguments in ARGUMENTS.items():
            with subtests.test(kind):
                answer = client.call(tool, **({"where": "a.py:1"} | arguments))
                assert '"isError": true' in answer
                assert '"allow"' not in answer
                assert len(answer) < 4_000
                assert '"ask"' in client.call("check_name", name=FOURTH)
    assert (tmp_path / "errors").read_text() == ""
    with Guard(repo) as guard:
        assert [asked.name.surface for asked in guard.ledger.pending()] == []
