"""A scripted human: a real `orgguard review` on a real pseudo-terminal, answered key by key.

Also a program, for answering beside other people's clients:
`python -m tests.human REPO grant|refuse|here [SECONDS]`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect

COMMAND = [sys.executable, "-m", "orgguard_mcp", "review"]
QUESTION = r"Write \"(?P<name>[^\r\n]*)\" in this public repository\? \[[^\]]*\] "


class Human:
    """One reviewer at one terminal. A context manager; leaves with `q`."""

    def __init__(self, repo: Path | str, *options: str, timeout: float = 20) -> None:
        # In a session of its own, detached from whoever asks: see `detached`.
        self.terminal = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], "--repo", str(repo), *options],
            timeout=timeout, encoding="utf-8", dimensions=(50, 200), env=dict(os.environ),
        )  # fmt: skip

    def __enter__(self) -> Human:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.close(force=True)

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
        self.types(key)
        self.sees("Type the name to allow it")
        self.types(name)
        self.sees("Allowed")
        return name

    def refuses(self, reason: str = "") -> str:
        """Refuse the next question's name."""
        name = self.question()
        self.types("n")
        self.sees("A word to the agent")
        self.types(reason)
        self.sees("Refused")
        return name


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
