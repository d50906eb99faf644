"""`orgguard scan`: from the command line's options to a report, a question and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from orgguard_mcp.change import Sources
from orgguard_mcp.console import say, shows_names
from orgguard_mcp.display import plural
from orgguard_mcp.errors import CLEAN, FINDINGS, UNCHECKED, UsageError
from orgguard_mcp.guard import Guard
from orgguard_mcp.lines import readable
from orgguard_mcp.model import Ask, Asker, Basis, Finding, Level, Report, Surface, Verdict
from orgguard_mcp.policy import Policy
from orgguard_mcp.progress import Progress
from orgguard_mcp.protected import ENVIRONMENT_KEY, ENVIRONMENT_KEY_FILE
from orgguard_mcp.report import FORMATS, Options, job_summary
from orgguard_mcp.scan import scan

SPEAKS_TO_PEOPLE = frozenset({"human", "github"})
"""Formats that a reader sees as they come; beside the others the report for people is printed."""

_KEY_HINT = (
    f"give the key in {ENVIRONMENT_KEY}, or let {ENVIRONMENT_KEY_FILE} name its file; for those who"
    ' have none, `protected = "if-key"` in the policy lets a scan pass without it'
)
_ASKABLE = frozenset({Basis.UNKNOWN, Basis.COMMON_WORD})


def run(options: argparse.Namespace) -> int:
    """Scan as *options* say, print the report and return the exit code."""
    sources = _sources(options)
    with Guard(options.repo or ".", options.base, options.head) as guard:
        guard.alone = options.dry_run
        with Progress(sys.stderr) as progress:
            guard.prepare(progress.of("Reading the base", "files"))
            level = Level(options.level) if options.level else None
            report = scan(guard, sources, level, progress.so_far("Scanning", "pieces"))
        _print(report, options)
        if options.ask:
            _ask(guard, report)
    return outcome(report, guard.policy, exit_zero=options.exit_zero)


def outcome(report: Report, policy: Policy, *, exit_zero: bool = False) -> int:
    """The exit code of *report* by the base's *policy*; says what had to be checked and was not.
    With *exit_zero* findings are no failure.
    """
    unscanned = policy.unscanned == "fail" and _passed_over(report)
    if report.unchecked:
        say(f"error: {report.unchecked}\n\nhint: {_KEY_HINT}")
    if report.findings and not exit_zero:
        return FINDINGS
    if report.unchecked:
        return UNCHECKED
    if unscanned:
        say("error: not everything could be checked, and the policy says that this fails")
        return UNCHECKED
    return CLEAN


def _sources(options: argparse.Namespace) -> Sources:
    text = (options.text, _piped()) if options.text else None
    return Sources(
        head=options.head, staged=options.staged, worktree=options.worktree,
        event=_path(options.event), pr_text=_path(options.pr_text), branch=options.branch,
        message_file=_path(options.message_file), text=text,
        packages=tuple(map(Path, options.artifact)),
    )  # fmt: skip


def _piped() -> str:
    """Standard input: bytes that are no text keep nothing of it from being read."""
    text = readable(sys.stdin.buffer.read()) if sys.stdin else ""
    if not text and (not sys.stdin or sys.stdin.isatty()):
        raise UsageError("nothing was scanned: standard input is empty", hint="pipe the text in")
    return text


def _path(given: str | None) -> Path | None:
    return Path(given) if given else None


def _print(report: Report, options: argparse.Namespace) -> None:
    people = options.format == "human"
    reveal = Options(reveal=options.reveal or (people and shows_names(reveal=False)))
    sys.stdout.write(FORMATS[options.format](report, reveal))
    sys.stdout.flush()
    if options.format not in SPEAKS_TO_PEOPLE:
        sys.stderr.write(FORMATS["human"](report, reveal))
    if options.format == "github":
        _append("GITHUB_STEP_SUMMARY", "the job summary", job_summary(report, reveal))
        _append("GITHUB_OUTPUT", "the step's output", f"findings={len(report.findings)}\n")


def _append(variable: str, what: str, text: str) -> None:
    """Append *text* to the file that the environment's *variable* names, if it does."""
    if not (file := os.environ.get(variable)):
        return
    try:
        with Path(file).open("a", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(
            f"{what} was not written; the report itself is complete",
            cause=f"{error.strerror} ({variable})",
            hint="name a file that can be written",
        ) from error


def _passed_over(report: Report) -> bool:
    """Whether something was there that could not be scanned."""
    return any(not skipped.absent for row in report.coverage for skipped in row.skipped)


def _ask(guard: Guard, report: Report) -> None:
    """Put every finding that a human may decide into the queue, as far as it has room."""
    findings = [one for one in report.findings if _askable(one.verdict)]
    asked = 0
    try:
        for finding in findings:
            guard.request(finding.verdict.name.surface, _asks(finding))
            asked += 1
    finally:
        if asked:
            say(f"asked about {plural(asked, 'name')}; answer with `orgguard review`")


def _askable(verdict: Verdict) -> bool:
    """Whether a human may decide; one who may is not always asked yet where others signed."""
    unasked = verdict.basis is Basis.PENDING and not verdict.request_id
    return unasked or verdict.basis in _ASKABLE


def _asks(finding: Finding) -> list[Ask]:
    now, asker = time.time(), Asker("orgguard scan")
    return [
        Ask(_where(at.surface, at.path, at.line), at.text.strip(), "found by a scan", asker, now)
        for at in finding.locations[:20]
    ]


def _where(surface: Surface, path: str, line: int) -> str:
    if surface.in_file:
        return f"{path}:{line}"
    return path if surface is Surface.PATH else surface.value.replace("-", " ")
