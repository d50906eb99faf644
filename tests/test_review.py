"""The reviewer's terminal: what decides, what does not, and what never gets onto it."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pexpect
import pytest

from orgguard_mcp.agents import MARKERS
from orgguard_mcp.console import Terminal
from orgguard_mcp.docket import GuardDocket
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Request
from orgguard_mcp.review import Review
from orgguard_mcp.storage.bell import Bell
from orgguard_mcp.storage.ledger import Ledger
from tests import names
from tests.agent import LEGACY, Agent
from tests.human import IDLE, Human
from tests.simulator import Repo
from tests.test_end_to_end import waiting

HOSTILE = (
    "\x1b[2J\x1b[1;1H", "\x1b]8;;http://example.com\x07link\x1b]8;;\x07", "\x1b]52;c;aGk=\x07",
    "\x9b31m", "\u202egnp\u202c", "\u2066x\u2069", "z\u200bw\u200dj\ufeff", "\r\nAllowed\r\n",
    "\x08\x08\x7f", "e" + "\u0301" * 40, "\u3164\u00ad\u2028", "y\n", "\U000e0041",
)  # fmt: skip


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Path:
    return make_repo({"a.py": "", ".orgguard/policy.toml": "hold_seconds = 0.2\n"}).path


@pytest.fixture
def asked(repo: Path) -> Path:
    """A repository with one question in its queue."""
    ask(repo)
    return repo


def ask(repo: Path, name: str = names.COINED, where: str = "src/a.py:3", **words: str) -> float:
    """Put a question into the queue, and return when it was committed."""
    with Guard(repo) as guard:
        label = words.get("label", "")
        one = Ask(where, words.get("excerpt", ""), words.get("purpose", ""), Asker(label), 1.0)
        guard.request(name, [one])
        return time.monotonic()


def decided(repo: Path) -> list[Answer]:
    with Guard(repo) as guard:
        return [decision.answer for decision in guard.ledger.decisions()]


def run(repo: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command without any terminal."""
    return subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", *command, "--repo", str(repo)],
        capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL,
        env=os.environ | environment,
    )  # fmt: skip


# --- what decides ---------------------------------------------------------------------------------


def test_enter_decides_nothing_and_helps(asked: Path) -> None:
    with Human(asked) as human:
        human.question()
        for typed in ("", "Y es", "allow", names.COINED):
            human.types(typed)
            human.sees("y - allow the name everywhere")
            human.question()
        assert decided(asked) == []


def test_a_question_mark_explains_every_key(asked: Path) -> None:
    with Human(asked) as human:
        human.question()
        human.types("?")
        help_text = human.sees("print this help")
        keys = re.findall(r"^([a-z?]) - ", help_text.replace("\r", ""), re.MULTILINE)
        assert "".join(keys) == "yfcnsq?"
        human.question()


def test_a_wrongly_typed_name_decides_nothing(asked: Path) -> None:
    with Human(asked) as human:
        human.question()
        for typed in (names.COINED_TOO, "", "y", names.COINED[:-1]):
            human.types("y")
            human.sees("Type the name")
            human.types(typed)
            human.sees("That is not the name. Nothing was decided")
            human.question()
        assert decided(asked) == []


def test_the_name_may_be_typed_in_another_spelling(asked: Path) -> None:
    with Human(asked) as human:
        human.question()
        human.confirms(f" {names.COINED.upper()} Inc.")
    assert decided(asked) == [Answer.GRANT]


def test_what_was_typed_before_the_question_does_not_count(repo: Path) -> None:
    with Human(repo) as human:
        human.sees(IDLE)
        human.terminal.send(f"y\n{names.COINED}\nn")  # the last one without its Enter
        human.sees(f"{names.COINED}\r\nn")  # echoed: it is in the terminal
        ask(repo)
        human.question()
        human.types("")
        human.sees("y - allow the name everywhere")
        assert decided(repo) == []


def test_s_leaves_the_question_until_another_place_is_asked_for(asked: Path) -> None:
    with Human(asked) as human:
        human.question()
        human.types("s")
        human.sees(IDLE)
        assert waiting(asked) == [names.COINED]
        ask(asked, where="src/b.py:1")
        human.question()
        assert "src/b.py:1" in human.emitted
    assert decided(asked) == []


@pytest.mark.parametrize("leave", ["q", "\x03", "\x04"], ids=["q", "Ctrl-C", "Ctrl-D"])
def test_leaving_decides_nothing(asked: Path, leave: str, subtests: pytest.Subtests) -> None:
    for prompt, keys in {"question": "", "name": "y\n", "reason": "n\n"}.items():
        if leave == "q" and keys:
            continue  # there it is a name, or a word to the agent
        with subtests.test(prompt), Human(asked) as human:
            human.question()
            if keys:
                human.terminal.send(keys)
                human.sees("Type the name|A word to the agent")
            human.terminal.send("q\n" if leave == "q" else leave)
            assert human.leaves() == 0
            assert "Traceback" not in human.emitted
            assert decided(asked) == []
            assert waiting(asked) == [names.COINED]


@pytest.mark.parametrize("leave", ["q\n", "\x03", "\x04"], ids=["q", "Ctrl-C", "Ctrl-D"])
def test_an_idle_review_can_be_left(repo: Path, leave: str) -> None:
    with Human(repo) as human:
        human.sees(IDLE)
        human.terminal.send(leave)
        assert human.leaves() == 0
        assert "Traceback" not in human.emitted


def test_a_question_is_on_screen_within_a_second(repo: Path) -> None:
    with Human(repo) as human:
        for name in (names.COINED, names.THIRD):
            human.sees(IDLE)
            asked_at = ask(repo, name)
            assert human.question() == name
            assert time.monotonic() - asked_at < 1
            human.types("s")


# --- what never gets onto it ----------------------------------------------------------------------


def assert_harmless(emitted: str) -> None:
    """Nothing in *emitted* could move the cursor, hide, reorder or pile up, but our progress."""
    rest = re.sub(r"\rReading the base: [\d,]+ of [\d,]+ files(\r\x1b\[K)?", "", emitted)
    rest = rest.replace("\r\n", "\n")
    assert not {c for c in rest if c != "\n" and not c.isprintable()}, ascii(rest)
    assert "\u0301\u0301\u0301" not in rest


def test_an_agents_text_reaches_no_terminal_raw(repo: Path) -> None:
    for name, half in ((names.THIRD, HOSTILE[:6]), (names.FOURTH, HOSTILE[6:])):
        text = "".join(half)
        ask(repo, name + text, f"src/{text}.py:1", excerpt=text, purpose=text, label=text)
        ask(repo, name, f"src/{text}.py:1", excerpt=text, purpose=text, label=text)
    with Human(repo, command="pending") as human:
        assert human.leaves() == 0
    assert names.THIRD in human.emitted
    assert_harmless(human.emitted)
    with Human(repo) as human:
        for asked in waiting(repo):
            human.question()
            name = names.THIRD if names.THIRD in asked else names.FOURTH
            if asked == name:
                human.confirms(name, "f")
            else:
                human.types("s")
        human.sees(IDLE)
    for line in ("where", "excerpt", "purpose", "client"):
        shown = re.findall(rf"^    {line} .*\\x1b", human.emitted, re.MULTILINE)
        assert len(shown) == 2, line
    assert_harmless(human.emitted)
    for command, *arguments in (["log"], ["check", names.THIRD, names.FOURTH]):
        with Human(repo, *arguments, command=command) as human:
            human.leaves()
        assert names.FOURTH in human.emitted
        assert_harmless(human.emitted)


def test_what_an_agent_sends_is_escaped_cut_and_marked(repo: Path) -> None:
    with Agent(repo, LEGACY) as agent, Human(repo) as human:
        human.sees(IDLE)
        agent.ask(names.CYRILLIC_TWIN, "a.py:1", excerpt="x" * 1_000_000, purpose="".join(HOSTILE))
        human.question()
        shown = human.emitted
        assert_harmless(shown)
        assert len(shown) < 4000
        assert "mixed scripts: а U+0430 Cyrillic Small Letter A" in shown
        assert re.search(r"x{160} … \(\+[\d,]+ characters\)", shown)
        known, words = shown.split("The agent's own words (not verified):")
        assert "local default branch main" in known
        assert r"\x1b[2J\x1b[1;1H" in words


# --- who may answer -------------------------------------------------------------------------------


@pytest.mark.parametrize("redirection", ["</dev/null", "|cat"], ids=["piped input", "piped output"])
def test_review_refuses_without_a_terminal(asked: Path, redirection: str) -> None:
    shell = f"{sys.executable} -m orgguard_mcp review --repo {asked} {redirection}"
    with pexpect.spawn("/bin/bash", ["-o", "pipefail", "-c", shell], encoding="utf-8") as terminal:
        terminal.expect(pexpect.EOF)
        shown = str(terminal.before)
    assert terminal.exitstatus == 2
    assert "nothing was decided" in shown
    assert "hint:" in shown
    assert names.COINED not in shown


@pytest.mark.parametrize("command", [["review"], ["withdraw", names.COINED]], ids=lambda c: c[0])
def test_an_answer_is_refused_in_a_shell_that_an_agent_opened(
    asked: Path, command: list[str], subtests: pytest.Subtests
) -> None:
    for marker in MARKERS if command == ["review"] else list(MARKERS)[:1]:
        with (
            subtests.test(marker),
            Human(asked, *command[1:], command=command[0], **{marker: "1"}) as human,
        ):
            assert human.leaves() == 2
            assert f"the variable {marker} is set" in human.emitted
            assert names.COINED not in human.emitted


def test_a_review_beneath_the_asking_client_is_refused(repo: Path) -> None:
    with Agent(repo, LEGACY) as agent:
        agent.ask(names.COINED)
        agent.send("review")
        review = agent.event("review")
        assert review["status"] == 2
        assert "this terminal runs beneath the client that asked" in review["shown"]
        assert names.COINED not in review["shown"]
        assert waiting(repo) == [names.COINED]


# --- the lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["pending", "log"])
def test_lists_show_names_to_their_own_user_only(repo: Path, command: str) -> None:
    for name in (names.COINED, names.THIRD):
        ask(repo, name, f"src/{name.lower()}_client.py:1")
    with Human(repo) as human:
        human.refuses(f"{names.COINED} is under an agreement")
        human.confirms(human.question(), "f")
    ask(repo, names.FOURTH, f"src/{names.FOURTH.lower()}_client.py:1")
    listed = {"pending": [names.FOURTH], "log": [names.COINED, names.THIRD]}[command]
    piped, revealed = run(repo, command), run(repo, command, "--reveal")
    with Human(repo, command=command) as terminal:
        assert terminal.leaves() == 0
    assert piped.stdout.count("(name hidden)") == len(listed)
    for name in listed:
        assert name in revealed.stdout
        assert name in terminal.emitted
        assert name.casefold() not in (piped.stdout + piped.stderr).casefold()
    assert piped.returncode == revealed.returncode == 0


# --- no question is overlooked --------------------------------------------------------------------


class _AskedWhileLooking(Ledger):
    """A queue that, once armed, gets a question right after a reader found it empty."""

    armed: Path | None = None

    def pending(self) -> list[Request]:
        found = super().pending()
        if self.armed and not found:
            repo, self.armed = self.armed, None
            ask(repo, names.THIRD)
        return found


class _Mute(Ledger):
    """A queue on a file system without bells."""

    def bell(self) -> Bell | None:
        return None


class Session(NamedTuple):
    """A review in a thread, over a queue of the test's own class."""

    queue: Ledger
    shows: Callable[[bytes], bool]


@contextmanager
def session(repo: Path, kind: type[Ledger]) -> Iterator[Session]:
    ours, theirs = os.openpty()
    with (
        Guard(repo) as guard, open(theirs, closefd=False) as keys,
        open(theirs, "w", closefd=False) as screen, os.fdopen(ours, "rb", 0) as human,
    ):  # fmt: skip
        guard.ledger = queue = kind(guard.repository.state_dir / "ledger.sqlite3")
        review = Thread(target=Review([GuardDocket(guard)], Terminal(keys, screen)).run)
        review.start()

        def shows(text: bytes) -> bool:
            shown = b""
            while text not in shown and select.select([human], [], [], 5)[0]:
                shown += human.read(4096)
            return text in shown

        assert shows(IDLE.encode())
        yield Session(queue, shows)
        os.write(ours, b"q\n")
        review.join(10)
    os.close(theirs)


def test_a_question_that_comes_right_after_a_look_is_not_overlooked(asked: Path) -> None:
    with Human(asked) as human:
        human.refuses()
    with Guard(asked) as other, session(asked, _AskedWhileLooking) as (queue, shows):
        assert isinstance(queue, _AskedWhileLooking)
        queue.armed = asked
        (decided,) = other.decided(names.COINED)
        other.decide(decided, Answer.WITHDRAW, channel="test")  # wakes the reader, asks nothing
        overlooked = not shows(b"public repository? [")
    assert not overlooked


@pytest.mark.parametrize("bell", ["none", "taken away"])
def test_a_question_is_found_without_a_bell(repo: Path, bell: str) -> None:
    with session(repo, _Mute if bell == "none" else Ledger) as (_, shows):
        for file in (repo / ".git/orgguard").glob("*.bell"):
            file.unlink()
        ask(repo)
        overlooked = not shows(b"public repository? [")
    assert not overlooked


def test_a_review_that_is_left_takes_its_bell_along(repo: Path) -> None:
    with session(repo, Ledger):
        assert len(list((repo / ".git/orgguard").glob("*.bell"))) == 1
    assert list((repo / ".git/orgguard").glob("*.bell")) == []
