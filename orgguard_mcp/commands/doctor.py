"""`orgguard doctor`: whether the doors that are installed stop a name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from importlib.metadata import version

from orgguard_mcp import warm
from orgguard_mcp.console import out, say
from orgguard_mcp.display import plural, visible
from orgguard_mcp.doctor import doors, trials
from orgguard_mcp.doctor.scratch import Scratch
from orgguard_mcp.doctor.trials import Outcome, Trial
from orgguard_mcp.endorse import check_log
from orgguard_mcp.errors import CLEAN, FINDINGS, OrgGuardError, RepositoryError
from orgguard_mcp.guard import Guard
from orgguard_mcp.progress import Progress
from orgguard_mcp.report.words import base_line

_LIMITS = {
    "claude": "a hook that is slower than its time-out is passed; `disableAllHooks` turns them off",
    "codex": "hooks run only once they are trusted: `/hooks` in Codex, again after each change",
    "cursor": "edits by its own tab completion pass no hook",
    "copilot": "VS Code ignores matchers; the cloud agent reads the default branch's hooks",
    "gemini": "a hook that is slower than its time-out is passed",
    "qwen": "a hook that is slower than its time-out is passed",
}


def run(options: argparse.Namespace) -> int:
    """Say what is installed, and try each door with an invented name in a scratch clone."""
    with Guard(options.repo or ".", options.base) as guard:
        if guard.repository.is_bare():
            raise RepositoryError(
                "no door was tried: a bare repository has none",
                hint="run this in a clone with a working tree",
            )
        with Progress(sys.stderr) as progress:
            guard.prepare(progress.of("Reading the base", "files"))
        for label, text in _facts(guard):
            out(f"{label:<11}{visible(text, 400)}")
        out("")
        tried = []
        for trial in _trials(guard):
            tried.append(trial)
            out(_line(trial))
    return _verdict(tried)


def _facts(guard: Guard) -> Iterator[tuple[str, str]]:
    policy = guard.policy
    yield "version", f"orgguard {version('orgguard-mcp')}, Python {sys.version.split()[0]}"
    yield "base", base_line(guard.base)
    yield "policy", f"trust {policy.trust}, level {policy.level}"
    people = [", ".join(line.people) for line in guard.approvers.lines]
    yield "approvers", "; ".join(people) or "none: CI believes nobody (`orgguard approver add`)"
    yield from (("approval", text) for text in guard.notary.contradictions())
    protected = guard.protected
    yield "protected", "no list" if not protected.listed else (
        "a list, and no key here" if protected.unchecked else "a list, with its key"
    )  # fmt: skip
    yield "log", _log(guard)
    yield "helper", "one runs" if warm.runs() else "none runs: hooks take longer"


def _log(guard: Guard) -> str:
    if not guard.has_ledger:
        return "nothing was asked yet"
    try:
        check_log(guard)
    except OrgGuardError as error:
        return f"BROKEN: {error.message}"
    return f"whole, {plural(len(guard.ledger.pending()), 'question')} waiting"


def _trials(guard: Guard) -> Iterator[Trial]:
    top = guard.repository.top_level()
    with Scratch(guard.repository, guard.base.tip) as scratch:
        for server in doors.servers(top):
            yield trials.server_trial(scratch, server)
        for hook in doors.hooks(top):
            yield from trials.hook_trials(scratch, hook)
            if hook.agent in _LIMITS:
                say(f"  note: {hook.agent}: {_LIMITS[hook.agent]}")
        if names := doors.git_hooks(top, guard.repository.hooks_dir()):
            yield from trials.commit_trials(scratch, names)
        for job in doors.jobs(top):
            yield trials.scan_trial(scratch, job)


def _line(trial: Trial) -> str:
    why = f": {visible(trial.why, 300)}" if trial.why else ""
    return f"{trial.outcome:<9}{visible(trial.door, 80)}, {trial.what}{why}"


def _verdict(tried: list[Trial]) -> int:
    failed = [trial for trial in tried if trial.outcome is not Outcome.STOPPED]
    say("")
    if not tried:
        say("no door is installed: `orgguard init` installs them")
        return FINDINGS
    if failed:
        say(f"{len(failed)} of {plural(len(tried), 'trial')} failed: these doors do not hold")
        return FINDINGS
    say(f"all {plural(len(tried), 'trial')} held")
    return CLEAN
