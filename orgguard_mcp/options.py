"""The command line's options: a command names the function of `commands` that runs it.

Nothing is imported here that a command needs, so that `--version` and usage errors cost little.
"""

from __future__ import annotations

import argparse
from functools import cache
from typing import TYPE_CHECKING

from orgguard_mcp import __version__
from orgguard_mcp.errors import UNCHECKED, USAGE
from orgguard_mcp.warm import HOOK_SECONDS

if TYPE_CHECKING:
    from orgguard_mcp.model import Surface

AGENTS = ("claude", "codex", "copilot", "cursor", "gemini", "opencode", "qwen")
GIT_HOOKS = ("pre-commit", "prepare-commit-msg", "commit-msg", "pre-push")


@cache
def parser() -> argparse.ArgumentParser:
    """The parser of every command. `run` of its result is ``module.function``; `unchecked` is the
    exit code of a command that could not check.
    """
    made = argparse.ArgumentParser(
        prog="orgguard",
        description="Stops third-party organisation names from entering a public repository"
        " without a human's consent.",
    )
    made.add_argument("--version", action=_Version, nargs=0, help="print the version")
    made.set_defaults(unchecked=UNCHECKED)
    commands = _Commands(made)
    _judging(commands)
    _answering(commands)
    _trusting(commands)
    _installing(commands)
    return made


class _Commands:
    """The commands, each with the options that it shares with others."""

    def __init__(self, made: argparse.ArgumentParser) -> None:
        self._added = made.add_subparsers(required=True, metavar="COMMAND")

    def add(
        self, name: str, run: str, text: str, *, base: bool = True, reveal: bool = False
    ) -> argparse.ArgumentParser:
        """The command *name*, which calls *run*, with `--base` and `--reveal` if told."""
        added = self._added.add_parser(name, help=text, description=text)
        added.add_argument("--repo", metavar="DIR", help="the repository (default: this directory)")
        if base:
            added.add_argument("--base", metavar="REF", help="the reference to compare with")
        if reveal:
            added.add_argument(
                "--reveal", action="store_true", help="show names outside a terminal"
            )
        added.set_defaults(run=run)
        return added


def _judging(commands: _Commands) -> None:
    check = commands.add("check", "check.run", "Say whether names may be written, and why.")
    check.add_argument("names", nargs="+", metavar="NAME")
    check.add_argument("--format", choices=("human", "json"), default="human")
    text = "Find the names that a change would publish."
    _scan(commands.add("scan", "scan.run", text, reveal=True))
    _serve(commands.add("serve", "serve.run", "Serve check_name and request_consent over MCP."))
    _hook(commands.add("hook", "hook.run", "Judge what an agent is about to do.", base=False))
    _git_hook(commands.add("git-hook", "git_hook.run", "Judge what git is about to do."))


def _serve(server: argparse.ArgumentParser) -> None:
    server.add_argument("--dry-run", action="store_true", help="ask and store nothing")
    server.add_argument(
        "--hold", type=float, metavar="SECONDS", help="how long a request waits for the human"
    )
    shared = server.add_argument_group("for agents that run elsewhere", "docs/shared-server.md")
    shared.add_argument(
        "--http", action="store_true", help="serve over streamable HTTP instead of stdio"
    )
    shared.add_argument("--config", metavar="FILE", help="the settings, in TOML")
    shared.add_argument(
        "--listen", metavar="HOST:PORT", help="where (default: 127.0.0.1:8731; port 0: any)"
    )
    shared.add_argument(
        "--mirrors", metavar="DIR",
        help="serve the repositories mirrored there, not the one at hand (or $ORGGUARD_MIRRORS)",
    )  # fmt: skip


def _scan(scan: argparse.ArgumentParser) -> None:
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
    what.add_argument(
        "--artifact", metavar="FILE", nargs="+", action="extend", default=[],
        help="built packages: wheels, sdists, npm tarballs, crates, gems",
    )  # fmt: skip
    how = scan.add_argument_group("how it is reported")
    formats = ("human", "json", "sarif", "github", "gitlab", "junit")
    how.add_argument("--format", choices=formats, default="human")
    how.add_argument(
        "--level", choices=("regular", "pedantic"), help="how strictly (policy: level)"
    )
    how.add_argument("--exit-zero", action="store_true", help="findings are no failure")
    then = scan.add_mutually_exclusive_group()
    then.add_argument("--ask", action="store_true", help="put the findings into the review queue")
    then.add_argument("--dry-run", action="store_true", help="judge by the base alone: ask nothing")


def _surface(text: str) -> Surface:
    from orgguard_mcp.model import Surface

    if text not in list(Surface):
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(Surface)}")
    return Surface(text)


def _hook(hook: argparse.ArgumentParser) -> None:
    hook.description = "Judge what an agent is about to do: its hook's payload on standard input."
    hook.set_defaults(unchecked=USAGE)  # 2 stops an agent, 3 does not
    hook.add_argument("agent", choices=AGENTS, metavar="AGENT", help=", ".join(AGENTS))
    hook.add_argument(
        "--deadline", type=_seconds, default=float(HOOK_SECONDS), metavar="SECONDS",
        help=f"stop the agent when it takes longer (default: {HOOK_SECONDS}; less than the agent's"
        " own limit)",
    )  # fmt: skip
    hook.add_argument("--explain", action="store_true", help="say why something is let through")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 600:
        raise argparse.ArgumentTypeError("expected a number of seconds up to 600")
    return seconds


def _git_hook(hook: argparse.ArgumentParser) -> None:
    hook.add_argument("name", choices=GIT_HOOKS, metavar="NAME", help=", ".join(GIT_HOOKS))
    hook.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="git's own")


def _answering(commands: _Commands) -> None:
    review = commands.add("review", "queue.review", "Answer agents' questions, as they arrive.")
    review.add_argument("--no-wait", action="store_true", help="leave when none is left")
    review.add_argument(
        "--store",
        metavar="URL",
        help="the shared store instead of $ORGGUARD_STORE, or a shared server: https://…",
    )
    review.add_argument(
        "--mirrors", metavar="DIR", help="answer for all repositories mirrored there"
    )
    commands.add("pending", "queue.pending", "List the questions that wait.", reveal=True)
    commands.add("log", "queue.log", "List the decisions, oldest first.", reveal=True)
    withdraw = commands.add("withdraw", "queue.withdraw", "Withdraw what was decided on a name.")
    withdraw.add_argument("name", nargs="?", metavar="NAME", help="asked for when left out")


def _trusting(commands: _Commands) -> None:
    grants = commands.add(
        "grants", "grants.show", "List and check the signed grants at hand.", reveal=True
    )
    steps = _steps(grants, {
        "list": ("grants.show", "list them, and say which do not count"),
        "add": ("grants.add", "sign one that nobody asked for, for a protected name, too"),
        "write": ("grants.write", "lay those signed on this machine into this working tree"),
        "prune": ("grants.prune", "remove those that have done their work"),
    })  # fmt: skip
    steps["add"].add_argument(
        "--this-change", action="store_true", help="it holds on the current branch alone"
    )
    approver = commands.add("approver", "approver.show", "List who may sign grants, or become one.")
    steps = _steps(approver, {
        "list": ("approver.show", "list the base's approvers"),
        "add": ("approver.add", "make yourself a key, and a line in .orgguard/approvers"),
    })  # fmt: skip
    steps["add"].add_argument("person", nargs="?", metavar="ADDRESS", help="default: user.email")
    steps["add"].add_argument(
        "--security-key", action="store_true", help="a key in FIDO hardware, used by touch"
    )
    _audit(commands.add("audit", "audit.export", "Write the log down, or verify what was."))
    text = "Seal a shared store's names with the first of its keys."
    commands.add("reseal", "store.reseal", text, base=False)
    _token(commands.add("token", "token.show", "Say who may use a shared server.", base=False))
    _mirror(commands.add("mirror", "mirror.show", "Keep a shared server's mirrors.", base=False))
    _protect(commands.add("protect", "protect.key", "Keep a list of names that must never appear."))
    text = "Find a name that is out; say what to do."
    incident = commands.add("incident", "incident.run", text, base=False, reveal=True)
    incident.add_argument("refused", nargs="*", help=argparse.SUPPRESS)
    incident.add_argument("--format", choices=("human", "json"), default="human")


def _audit(audit: argparse.ArgumentParser) -> None:
    steps = _steps(audit, {
        "export": ("audit.export", "write the log as lines that can be verified without the store"),
        "verify": ("audit.verify", "say whether such lines are as they were written"),
    }, required=True)  # fmt: skip
    steps["export"].add_argument(
        "--reveal", action="store_true", help="with names, and who decided what on them"
    )
    steps["export"].add_argument(
        "file", nargs="?", metavar="FILE", help="a new one (default: standard output)"
    )
    steps["verify"].add_argument("file", metavar="FILE")
    steps["verify"].add_argument(
        "--anchors", action="store_true", help="the heads in this repository's signed grants, too"
    )


def _token(token: argparse.ArgumentParser) -> None:
    steps = _steps(token, {
        "add": ("token.add", "make one, and print it: it is shown once"),
        "list": ("token.show", "list them, those that have ended, too"),
        "revoke": ("token.revoke", "end one now"),
    }, required=True)  # fmt: skip
    steps["add"].add_argument("label", metavar="LABEL", help="who will use it")
    steps["add"].add_argument(
        "--may", action="append", required=True, metavar="ROLE:REPOSITORIES",
        help="ask, answer or administer, for example ask:owner/* (repeatable)",
    )  # fmt: skip
    steps["add"].add_argument(
        "--days", type=_days, default=90, metavar="N", help="how long it holds (default: 90)"
    )
    steps["list"].add_argument("--format", choices=("human", "json"), default="human")
    steps["revoke"].add_argument("id", metavar="ID", help="its eight digits, as `list` shows them")


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 366:
        raise argparse.ArgumentTypeError("expected a number of days up to 366")
    return days


def _mirror(mirror: argparse.ArgumentParser) -> None:
    steps = _steps(mirror, {
        "add": ("mirror.add", "mirror a repository, and read its base"),
        "list": ("mirror.show", "list them, with their bases"),
        "fetch": ("mirror.fetch", "bring them up to date"),
        "remove": ("mirror.remove", "delete one, and what OrgGuard keeps in it"),
    }, required=True)  # fmt: skip
    for step in steps.values():
        step.add_argument(
            "--mirrors", metavar="DIR", help="where they are (default: $ORGGUARD_MIRRORS)"
        )
    for one in ("add", "remove"):
        steps[one].add_argument("name", metavar="NAME", help="for example owner/name")
    steps["add"].add_argument(
        "url", metavar="URL",
        help="https, ssh, git or file, without a password: arguments can be seen by everybody on"
        " this machine, so credentials belong in a credential helper",
    )  # fmt: skip
    steps["fetch"].add_argument("names", nargs="*", metavar="NAME", help="default: all")
    steps["list"].add_argument("--format", choices=("human", "json"), default="human")


def _protect(protect: argparse.ArgumentParser) -> None:
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


def _installing(commands: _Commands) -> None:
    _init(commands.add("init", "init.run", "Put OrgGuard into this repository.", base=False))
    commands.add("doctor", "doctor.run", "Try every door that is installed.")


def _init(init: argparse.ArgumentParser) -> None:
    what = init.add_argument_group("what is written", "by default what suits the agents found")
    what.add_argument("--agent", action="append", choices=AGENTS, help="for this one (repeatable)")
    what.add_argument("--ci", action="append", choices=("github", "gitlab"), help="a CI job, too")
    what.add_argument("--git-hooks", action="store_true", help="git hooks, too")
    what.add_argument("--force", action="store_true", help="replace OrgGuard entries that differ")
    init.add_argument("--undo", action="store_true", help="restore what init changed")
    answer = init.add_mutually_exclusive_group()
    answer.add_argument("--yes", action="store_true", help="do not ask")
    answer.add_argument("--dry-run", action="store_true", help="show the changes, write nothing")


class _Version(argparse.Action):
    """`--version`, without the package's metadata: reading that costs two bare starts of Python."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        print(f"orgguard {__version__}")  # noqa: T201
        parser.exit()
