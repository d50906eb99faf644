"""The process's own terminal and streams: what commands say, and lines that a human types."""

from __future__ import annotations

import os
import selectors
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol, TextIO

from orgguard_mcp.errors import ChannelError


def out(text: str) -> None:
    """Print *text* as a result."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """Tell the user *text*, beside the result."""
    with suppress(OSError):
        sys.stderr.write(text + "\n")


def shows_names(*, reveal: bool, stream: TextIO | None = None) -> bool:
    """Whether names may be printed to *stream* (standard output): undecided and refused ones are
    for the user's own eyes, not for pipes and CI logs. A CI system may have a terminal, but keeps
    what it shows.
    """
    return reveal or ((stream or sys.stdout).isatty() and not os.environ.get("CI"))


class HasFileno(Protocol):
    """What can be waited for."""

    def fileno(self) -> int:
        """Its descriptor."""


class Terminal:
    """An interactive terminal: lines in, lines out. Refuses anything else.

    Raises `ChannelError` when *source* or *sink* is no terminal.
    """

    def __init__(self, source: TextIO | None = None, sink: TextIO | None = None) -> None:
        self._source = source or sys.stdin
        self._sink = sink or sys.stdout
        if not (self._source.isatty() and self._sink.isatty()):
            raise ChannelError(
                "nothing was decided: answers are taken from an interactive terminal only",
                cause="standard input or output is no terminal",
                hint="run this command in a terminal window, without pipes",
            )
        self._typed = b""

    def show(self, text: str = "", end: str = "\n") -> None:
        """Write *text*."""
        self._sink.write(text + end)
        self._sink.flush()

    def asks(self, prompt: str) -> str:
        """The line typed at *prompt*; `EOFError` when there will be none."""
        self.show(prompt, end="")
        while (typed := self.line(60)) is None:
            pass
        return typed

    def forget_typing(self) -> None:
        """Drop what was typed before now: it answered something else."""
        termios.tcflush(self._source.fileno(), termios.TCIFLUSH)
        self._typed = b""

    def line(self, seconds: float, others: Sequence[HasFileno] = ()) -> str | None:
        """The next line typed, without its end, or None when none came within *seconds*, or one of
        *others* could be read before.

        Raises `EOFError` when the terminal is closed or Ctrl-D was typed.
        """
        if b"\n" not in self._typed:
            if not self._typing(seconds, others):
                return None
            got = self._read()
            if not got:
                raise EOFError
            self._typed += got
        line, newline, rest = self._typed.partition(b"\n")
        if not newline:
            return None
        self._typed = rest
        return line.decode("utf-8", "replace").rstrip("\r")

    def _typing(self, seconds: float, others: Sequence[HasFileno]) -> bool:
        """Wait as `line` says; whether something was typed."""
        with selectors.DefaultSelector() as waiting:
            for one in (self._source, *others):
                waiting.register(one, selectors.EVENT_READ)
            return any(key.fileobj is self._source for key, _ in waiting.select(seconds))

    def _read(self) -> bytes:
        try:
            return os.read(self._source.fileno(), 65536)
        except OSError:  # the other end of a pseudo-terminal has gone
            return b""
