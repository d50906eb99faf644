"""The command line: parse, call the guard, print, choose the exit code.

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
from typing import TYPE_CHECKING

from orgguard_mcp.console import say
from orgguard_mcp.errors import UNCHECKED, OrgGuardError

if TYPE_CHECKING:
    from orgguard_mcp.model import Surface


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error says what was not done, why, what next."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal's encoding must not lose an answer
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except OrgGuardError as error:
        _say_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted: nothing was decided")
        return UNCHECKED
    except BrokenPipeError:
        # The reader of our output has gone; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNCHECKED
    except Exception as error:  # noqa: BLE001  # Python would exit with 1, which says "findings"
        _say_crash(error)
        return UNCHECKED


def serve(arguments: Sequence[str] | None = None) -> int:
    """Run `orgguard serve`: the console script `orgguard-mcp`."""
    return main(["serve", *(sys.argv[1:] if arguments is None else arguments)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orgguard",
        description="Stops third-party organisation names from entering a public repository"
        " without a human's consent.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--repo", metavar="DIR", help="the repository (default: this directory)")
        added.set_defaults(run=run)
        return added

    check = command("check", "check.run", "Say whether names may be written, and why.")
    check.add_argument("names", nargs="+", metavar="NAME")
    check.add_argument("--format", choices=("human", "json"), default="human")
    _scan_arguments(command("scan", "scan.run", "Find the names that a change would publish."))
    server = command("serve", "serve.run", "Serve check_name and request_consent over MCP (stdio).")
    server.add_argument("--dry-run", action="store_true", help="ask and store nothing")
    server.add_argument(
        "--hold", type=float, metavar="SECONDS", help="how long a request waits for the human"
    )
    review = command("review", "queue.review", "Answer agents' questions, as they arrive.")
    review.add_argument("--no-wait", action="store_true", help="leave when none is left")
    pending = command("pending", "queue.pending", "List the questions that wait for an answer.")
    log = command("log", "queue.log", "List the decisions, oldest first.")
    withdraw = command("withdraw", "queue.withdraw", "Withdraw what was decided on a name.")
    withdraw.add_argument("name", nargs="?", metavar="NAME", help="asked for when left out")
    grants = command("grants", "grants.show", "List and check the signed grants at hand.")
    steps = _steps(grants, {
        "list": ("grants.show", "list them, and say which do not count"),
        "add": ("grants.add", "sign one that nobody asked for, for a protected name, too"),
        "write": ("grants.write", "lay those signed on this machine into this working tree"),
        "prune": ("grants.prune", "remove those that have done their work"),
    })  # fmt: skip
    steps["add"].add_argument(
        "--this-change", action="store_true", help="it holds on the current branch alone"
    )
    approver = command("approver", "approver.show", "List who may sign grants, or become one.")
    steps = _steps(approver, {
        "list": ("approver.show", "list the base's approvers"),
        "add": ("approver.add", "make yourself a key, and a line in .orgguard/approvers"),
    })  # fmt: skip
    steps["add"].add_argument("person", nargs="?", metavar="ADDRESS", help="default: user.email")
    steps["add"].add_argument(
        "--security-key", action="store_true", help="a key in FIDO hardware, used by touch"
    )
    protect = command("protect", "protect.key", "Keep a list of names that must never be public.")
    _protect_steps(protect)
    for added in (check, server, review, pending, log, withdraw, grants, approver, protect):
        added.add_argument("--base", metavar="REF", help="the reference to compare with")
    incident = command("incident", "incident.run", "Find a name that is out; say what to do.")
    incident.add_argument("refused", nargs="*", help=argparse.SUPPRESS)
    incident.add_argument("--format", choices=("human", "json"), default="human")
    for added in (pending, log, grants, incident):
        added.add_argument("--reveal", action="store_true", help="show names outside a terminal")
    return parser


def _protect_steps(protect: argparse.ArgumentParser) -> None:
    steps = _steps(protect, {
        "key": ("protect.key", "make the list's key, in a new file outside the working tree"),
        "import": ("protect.import_names", "replace the list by the names in a file"),
    }, required=True)  # fmt: skip
    for step in steps.values():
        step.add_argument("file", metavar="FILE", help="outside the working tree")
    steps["import"].add_argument("--column", metavar="NAME", help="of a CSV file (default: first)")
    steps["import"].add_argument("--key-file", metavar="FILE", help="instead of the environment")


def _steps(
    command: argparse.ArgumentParser, steps: dict[str, tuple[str, str]], *, required: bool = False
) -> dict[str, argparse.ArgumentParser]:
    """Give *command* steps of its own; without one it does what it does by itself."""
    added = command.add_subparsers(metavar="STEP", required=required)
    parsers = {}
    for name, (run, text) in steps.items():
        step = added.add_parser(name, help=text, description=f"{text.capitalize()}.")
        for option in ("--repo", "--base"):  # they may stand before the step, and after it
            step.add_argument(option, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        step.set_defaults(run=run)
        parsers[name] = step
    return parsers


def _run(options: argparse.Namespace) -> int:
    """Import the command's module of `commands` and call the function that `run` names."""
    module, _, function = options.run.partition(".")
    return int(getattr(import_module(f"orgguard_mcp.commands.{module}"), function)(options))


def _scan_arguments(scan: argparse.ArgumentParser) -> None:
    scan.add_argument("--base", metavar="REF", help="the reference to compare with")
    what = scan.add_argument_group(
        "what is scanned", "by default the commits from the merge-base to HEAD"
    )
    change = what.add_mutually_exclusive_group()
    change.add_argument("--head", metavar="REF", help="the change's last commit instead of HEAD")
    change.add_argument("--staged", action="store_true", help="what the next commit would add")
    change.add_argument("--worktree", action="store_true", help="what is not committed yet")
    what.add_argument("--event", metavar="FILE", help="a GitHub event ($GITHUB_EVENT_PATH)")
    what.add_argument("--pr-text", metavar="FILE", help="the pull request's text")
    what.add_argument("--branch", metavar="NAME", help="the branch instead of the current one")
    what.add_argument("--message-file", metavar="FILE", help="a message that git is to commit")
    what.add_argument(
        "--text", metavar="SURFACE", type=_surface, help="standard input, as text of that surface"
    )
    how = scan.add_argument_group("how it is reported")
    formats = ("human", "json", "sarif", "github", "gitlab", "junit")
    how.add_argument("--format", choices=formats, default="human")
    how.add_argument(
        "--level", choices=("regular", "pedantic"), help="how strictly (policy: level)"
    )
    how.add_argument("--reveal", action="store_true", help="show names outside a terminal")
    how.add_argument("--exit-zero", action="store_true", help="findings are no failure")
    then = scan.add_mutually_exclusive_group()
    then.add_argument("--ask", action="store_true", help="put the findings into the review queue")
    then.add_argument("--dry-run", action="store_true", help="judge by the base alone: ask nothing")


def _surface(text: str) -> Surface:
    from orgguard_mcp.model import Surface

    if text not in list(Surface):
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(Surface)}")
    return Surface(text)


class _Version(argparse.Action):
    """`--version`, without importing the package's metadata before it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version

        print(f"orgguard {version('orgguard-mcp')}")  # noqa: T201
        parser.exit()


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


if __name__ == "__main__":
    sys.exit(main())
