"""`orgguard git-hook NAME`: what git is about to commit or push, judged before it does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from orgguard_mcp.change import Sources
from orgguard_mcp.commands.scan import outcome
from orgguard_mcp.console import say, shows_names
from orgguard_mcp.errors import CLEAN, FINDINGS, OrgGuardError, RepositoryError, UsageError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Report
from orgguard_mcp.progress import Progress
from orgguard_mcp.report import FORMATS, Options, words
from orgguard_mcp.report.view import view
from orgguard_mcp.repository import Repository
from orgguard_mcp.scan import scan

PREPARED = frozenset({"template", "merge", "squash", "commit"})
"""Sources of a prepared message whose text this commit's author has not written just now."""


def run(options: argparse.Namespace) -> int:
    """Judge what the hook that *options* name is about, report it and return the exit code."""
    match options.name:
        case "pre-commit":
            return _pre_commit(options)
        case "prepare-commit-msg":
            return _prepare_commit_msg(options)
        case "commit-msg":
            with _opened(options) as guard:
                return _judge(guard, Sources(message_file=_file(options.arguments)))
        case _:
            return _pre_push(options)


def _opened(options: argparse.Namespace, head: str | None = None, *, push: bool = False) -> Guard:
    return Guard(options.repo or ".", options.base, head, published=push)


def _judge(guard: Guard, sources: Sources) -> int:
    """Scan, report to standard error, which every client of git shows, and return the exit code."""
    _refuse_others(guard.repository, sources)
    with Progress(sys.stderr) as progress:
        guard.prepare(progress.of("Reading the base", "files"))
        report = scan(guard, sources, progress=progress.so_far("Scanning", "pieces"))
    code = outcome(report, guard.policy)
    if code == CLEAN:
        say("\n".join(_brief(report)))
    else:
        reveal = Options(reveal=shows_names(reveal=False, stream=sys.stderr))
        say(FORMATS["human"](report, reveal).rstrip("\n"))
    return code


def _refuse_others(repository: Repository, sources: Sources) -> None:
    """Raise `RepositoryError` where git speaks of what is not found from this directory."""
    if not repository.is_hooked():
        raise RepositoryError(
            "names were not checked: git runs this hook for another repository",
            cause="GIT_DIR does not name the repository that this directory belongs to",
            hint="run git inside the working tree, without --git-dir and GIT_DIR",
        )
    if sources.staged and os.environ.get("GIT_INDEX_FILE") and not repository.hooked_index():
        raise RepositoryError(
            "names were not checked: the commit is made of an index that lies elsewhere",
            cause="GIT_INDEX_FILE names a file outside this repository's git directory",
            hint="commit without GIT_INDEX_FILE",
        )


def _brief(report: Report) -> Iterator[str]:
    """What is said of a scan that found nothing: what it read, and what of that it did not."""
    rows = [
        replace(row, skipped=tuple(one for one in row.skipped if not one.absent))
        for row in report.coverage
    ]
    told = replace(report, coverage=tuple(row for row in rows if row.scanned or row.skipped))
    shown = view(told, reveal=False)
    scanned, *rest = words.coverage(shown)
    yield f"orgguard: {words.totals(shown)}; {scanned}"
    yield from (f"orgguard: {line}" for line in rest if line.startswith("not scanned"))
    yield from (f"orgguard: note: {note}" for note in shown.notes)


# --- commits ----------------------------------------------------------------------------------


def _pre_commit(options: argparse.Namespace) -> int:
    with Repository(options.repo or ".") as repository:
        merged = repository.resolve("MERGE_HEAD")
    with _opened(options) as guard:
        if not merged:
            return _judge(guard, Sources(staged=True))
        with _opened(options, merged) as other:
            # The base of a commit with two parents is the newer one of theirs.
            older = guard.repository.commits(other.base.commit, guard.base.commit)
            return _judge(guard if older else other, Sources(staged=True))


def _prepare_commit_msg(options: argparse.Namespace) -> int:
    """Say early what a text that git prepared holds; `commit-msg` decides, on the finished one."""
    if not PREPARED.intersection(options.arguments[1:2]):
        return CLEAN
    try:
        with _opened(options) as guard:
            code = _judge(guard, Sources(message_file=_file(options.arguments)))
    except OrgGuardError as error:
        say("\n".join(error.lines()))
        return CLEAN
    if code != CLEAN:
        say("orgguard: this is the prepared text; the commit is stopped if its message keeps that")
    return CLEAN


def _file(arguments: Sequence[str]) -> Path:
    if not arguments:
        raise UsageError(
            "the message was not checked: its file was not given",
            hint="call it as git does: orgguard git-hook commit-msg FILE",
        )
    return Path(arguments[0])


# --- pushes -----------------------------------------------------------------------------------


class _Ref(NamedTuple):
    """One reference that a push makes: its name here, the object, its name at the remote."""

    local: str
    oid: str
    remote: str


def _pre_push(options: argparse.Namespace) -> int:
    codes = [CLEAN]
    with _opened(options, push=True) as guard:
        refs = [ref for ref in _told(guard.repository) if ref.oid.strip("0")]
        if not refs:
            say("orgguard: nothing is published by this push")
        for head, group in _by_head(guard, refs).items():
            branches = [guard.repository.branch(ref.local) for ref in group]
            sources = Sources(
                head=head, branch=next(filter(None, branches), None),
                pushed=tuple((ref.remote, ref.oid) for ref in group),
            )  # fmt: skip
            with _opened(options, head, push=True) as own:
                codes.append(_judge(own, sources))
    return FINDINGS if FINDINGS in codes else max(codes)


def _told(repository: Repository) -> list[_Ref]:
    """What git says on standard input, whatever that is, or pre-commit in its variables."""
    lines = os.fsdecode(sys.stdin.buffer.read()).splitlines() if sys.stdin else []
    told = [line.rsplit(" ", 3) for line in lines]  # a local one may be an expression with blanks
    if any(len(fields) != 4 for fields in told):
        raise UsageError(
            "the push was not checked: standard input is not what git tells a pre-push hook",
            hint="a line for each reference: LOCAL-REF LOCAL-OID REMOTE-REF REMOTE-OID",
        )
    return [_Ref(*fields[:3]) for fields in told] or list(_told_by_pre_commit(repository))


def _told_by_pre_commit(repository: Repository) -> Iterator[_Ref]:
    remote = os.environ.get("PRE_COMMIT_REMOTE_BRANCH")
    local = os.environ.get("PRE_COMMIT_LOCAL_BRANCH", "")
    if remote:
        oid = os.environ.get("PRE_COMMIT_TO_REF") or repository.commit(local)
        yield _Ref(local, oid, remote)


def _by_head(guard: Guard, refs: Iterable[_Ref]) -> dict[str, list[_Ref]]:
    """*refs* by the commit that each publishes; those whose commit the base's branch has, and whose
    names alone are news, all at its tip.
    """
    found: dict[str, list[_Ref]] = {}
    for ref in refs:
        head = guard.repository.resolve(ref.oid)
        if not head:
            raise RepositoryError(
                "the push was not checked: it would publish an object that is no commit",
                cause=f"object {ref.oid}",
                hint="push commits and tags of commits alone",
            )
        tip = guard.base.tip if guard.base.commit else ""
        if tip and not guard.repository.commits(tip, head):
            head = tip
        found.setdefault(head, []).append(ref)
    return found
