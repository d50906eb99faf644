"""`orgguard incident`: where a name that is out stands, and what to do."""

from __future__ import annotations

import argparse
import sys

from orgguard_mcp.console import shows_names
from orgguard_mcp.errors import CLEAN, FINDINGS, UNCHECKED, OrgGuardError, UsageError
from orgguard_mcp.incident.search import look
from orgguard_mcp.lines import readable
from orgguard_mcp.names import MAX_LENGTH, parse
from orgguard_mcp.progress import Progress
from orgguard_mcp.report.incident import FORMATS
from orgguard_mcp.report.veil import Veil
from orgguard_mcp.repository import Repository

_MOST = 16 * MAX_LENGTH  # bytes
_ASKED = "pass it on standard input, or type it at the prompt in your terminal"


def run(options: argparse.Namespace) -> int:
    """Look for the name, and print what was found and the steps that fit it."""
    if options.refused:
        raise UsageError(
            "nothing was looked for: a name is not taken as an argument",
            cause="arguments stand in process lists and in the shell's history",
            hint=_ASKED,
        )
    name = parse(_given())
    try:
        with Repository(options.repo or ".") as repository, Progress(sys.stderr) as progress:
            incident = look(
                repository, name, lambda what, done, of: progress.of(what, "objects")(done, of)
            )
    except OrgGuardError as error:
        veil = Veil([name.surface, name.key])  # git quotes references and paths
        error.message, error.cause = veil.cover(error.message), veil.cover(error.cause)
        raise
    people = options.format == "human"
    reveal = options.reveal or (people and shows_names(reveal=False))
    sys.stdout.write(FORMATS[options.format](incident, reveal=reveal))
    sys.stdout.flush()
    if incident.traces:
        return FINDINGS
    return CLEAN if incident.complete else UNCHECKED


def _given() -> str:
    """The name: typed at a prompt, or the one line of standard input."""
    typed = sys.stdin is not None and sys.stdin.isatty()
    if typed:
        sys.stderr.write("Name to look for: ")
        sys.stderr.flush()
    line = readable(sys.stdin.buffer.readline(_MOST)).strip() if sys.stdin else ""
    more = bool(line) and not typed and bool(sys.stdin.buffer.read(_MOST).strip())
    if not line or more:
        raise UsageError(
            "nothing was looked for: one name is needed, on one line",
            cause="there are several lines" if more else "standard input is empty",
            hint=_ASKED,
        )
    return line
