"""One command: parse, call the guard, print, choose the exit code.

Imports happen inside the commands: `--version` and usage errors cost no more than argparse.
Exit codes: 0 clean, 1 findings, 2 usage or configuration, 3 could not check.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from orgguard_mcp.console import say
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.options import parser


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an error says what was not done, why, what next."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal's encoding must not lose an answer
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    try:
        return _call(options)
    except OrgGuardError as error:
        _say_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted: nothing was decided")
        return int(options.unchecked)
    except BrokenPipeError:
        # The reader of our output has gone; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(options.unchecked)
    except Exception as error:  # noqa: BLE001  # Python would exit with 1, which says "findings"
        _say_crash(error)
        return int(options.unchecked)


def unanswered(arguments: Sequence[str], cause: str) -> int:
    """Say, as the command does, that it was begun elsewhere and came to nothing; its exit code."""
    options = parser().parse_args(arguments)
    error = OrgGuardError(
        "names were not checked",
        cause=cause,
        hint="try again; with ORGGUARD_WARM=0 in the environment it runs without the helper",
    )
    if options.run == "hook.run":
        from orgguard_mcp.commands.hook import stop

        return stop(options.agent, error)
    _say_error(error)
    return int(options.unchecked)


def _call(options: argparse.Namespace) -> int:
    """Import the command's module of `commands` and call the function that `run` names."""
    module, _, function = options.run.partition(".")
    return int(getattr(import_module(f"orgguard_mcp.commands.{module}"), function)(options))


def _say_crash(error: Exception) -> None:
    """Say that and where this program failed; not the error's own words: they may hold a name."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    where = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at else "?"
    _say_error(
        OrgGuardError(
            "names were not checked: OrgGuard itself failed",
            cause=f"{type(error).__name__} in {where}",
            hint="please report this, with the command that you ran",
        )
    )


def _say_error(error: OrgGuardError) -> None:
    from orgguard_mcp.display import visible  # causes quote git, file names and policy

    say("\n".join(visible(line, 1000) for line in error.lines()))
