"""A scripted human: a real `orgguard review` on a real pseudo-terminal, answered key by key.

Also a program, for answering beside other people's clients:
`python -m tests.human REPO grant|refuse|here [SECONDS]`.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pexpect

COMMAND = [sys.executable, "-m", "orgguard_mcp"]
HEADING = "An agent asks to write"
IDLE = "No question is waiting"
QUESTION = r"Write \"(?P<name>[^\r\n]*)\" in this public repository\? \[[^\]]*\] "


class Human:
    """One human at one terminal, with `review` or another command. A context manager.

    `emitted` has every character that the terminal got, typing echoed by it included.
    """

    def __init__(
        self, repo: Path | str | None, *options: str, command: str = "review", timeout: float = 20,
        **environment: str,
    ) -> None:  # fmt: skip
        where = ["--repo", str(repo)] if repo else []
        # In a session of its own, detached from whoever asks: see `detached`.
        self.terminal = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], command, *where, *options],
            timeout=timeout, encoding="utf-8", dimensions=(50, 200), env=os.environ | environment,
        )  # fmt: skip
        self._emitted = io.StringIO()
        self.terminal.logfile_read = self._emitted

    def __enter__(self) -> Human:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.close(force=True)

    @property
    def emitted(self) -> str:
        """Everything read from the terminal until now."""
        return self._emitted.getvalue()

    def leaves(self) -> int:
        """Wait for the command's end and return its exit code."""
        self.terminal.expect(pexpect.EOF)
        self.terminal.wait()
        return int(self.terminal.exitstatus)

    def sees(self, pattern: str) -> str:
        """Wait until *pattern* is on screen; return what came before it, and it."""
        self.terminal.expect(pattern)
        return str(self.terminal.before) + str(self.terminal.after)

    def types(self, line: str) -> None:
        """Type *line* and Enter."""
        self.terminal.sendline(line)

    def question(self) -> str:
        """Wait for the next question and return the name that it asks about."""
        self.terminal.expect(QUESTION)
        return str(self.terminal.match["name"])

    def grants(self, key: str = "y") -> str:
        """Grant the next question's name."""
        name = self.question()
        self.confirms(name, key)
        return name

    def confirms(self, name: str, key: str = "y") -> None:
        """Grant *name*, whose question is on screen."""
        self.types(key)
        self.sees("Type the name to allow it")
        self.types(name)
        self.sees("Allowed")

    def refuses(self, reason: str = "") -> str:
        """Refuse the next question's name."""
        name = self.question()
        self.declines(reason)
        return name

    def declines(self, reason: str = "") -> None:
        """Refuse the name whose question is on screen."""
        self.types("n")
        self.sees("A word to the agent")
        self.types(reason)
        self.sees("Refused")


def main(repo: str, answer: str, seconds: str = "600") -> None:
    """Answer every question of *repo* alike until *seconds* have passed."""
    with Human(repo, timeout=float(seconds)) as human:
        while True:
            try:
                print(human.refuses("no") if answer == "refuse" else human.grants("y"), flush=True)
            except (pexpect.TIMEOUT, pexpect.EOF):
                print(human.terminal.before, flush=True)
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
