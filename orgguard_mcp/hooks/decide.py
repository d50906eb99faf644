"""Deciding: an action is put to the guard of every repository that it touches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from orgguard_mcp.base import ENVIRONMENT_BASE
from orgguard_mcp.change import Sources
from orgguard_mcp.diff import read_files
from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.guard import Guard
from orgguard_mcp.hooks import edits, reason, shell
from orgguard_mcp.hooks.action import Action, Moment
from orgguard_mcp.hooks.programs import publishes
from orgguard_mcp.lines import decode
from orgguard_mcp.model import Artifact, Finding, Surface
from orgguard_mcp.repository import Repository
from orgguard_mcp.scan import judge, scan, unchecked

MAX_NAMED = 4 << 20
"""Bytes that are read of a file outside the working tree that a command names."""

Building = Callable[[bool], None]
"""Told when the reading of the base begins and ends."""


def objection(action: Action, building: Building) -> str:
    """Why *action* is not to be, or what is to be said after it; empty when nothing is.

    Outside every repository there is nothing to guard. Raises `OrgGuardError` when something of it
    could not be judged.
    """
    os.environ.pop(ENVIRONMENT_BASE, None)  # an agent's settings could make its change the base
    if action.moment is Moment.BEFORE:
        found = _before(action, building)
    else:
        found = _after(action, building)
    return reason.against(_once(found), action.moment)


def root_of(path: str) -> Path | None:
    """The working tree that *path*, which need not exist, lies in."""
    real = Path(os.path.realpath(path))
    return next((folder for folder in (real, *real.parents) if (folder / ".git").exists()), None)


def _before(action: Action, building: Building) -> Iterator[Finding]:
    by_root: dict[Path, list[Artifact]] = {}
    for artifact in action.artifacts:
        if root := root_of(artifact.path or action.directory):
            by_root.setdefault(root, []).append(_within(root, artifact))
    files: set[str] = set()
    if action.command:
        folders, files = shell.named(action.command, action.directory)
        texts = list(shell.artifacts(action.command, action.directory))
        for root in _roots(folders):
            by_root.setdefault(root, []).extend(_within(root, text) for text in texts)
    for root, artifacts in by_root.items():
        with _opened(root, building) as guard:
            named = _named(guard.repository, root, files, action.command)
            # File by file: what stands in several files of a large change is likely a term of it,
            # what an agent writes into two at once is not.
            for same in _by_path([*artifacts, *named]):
                yield from judge(guard, same).findings


def _roots(folders: Iterable[str]) -> list[Path]:
    return sorted({root for folder in folders if (root := root_of(folder))})


def _within(root: Path, artifact: Artifact) -> Artifact:
    """*artifact* with its path in the working tree *root*; without a path where it lies outside."""
    if not artifact.path:
        return artifact
    path = os.path.relpath(os.path.realpath(artifact.path), root)
    if path.startswith("../"):
        return replace(artifact, path="")
    lines = ((0, path),) if artifact.surface is Surface.PATH else artifact.lines
    return Artifact(artifact.surface, path, lines)


def _named(repository: Repository, root: Path, files: set[str], command: str) -> Iterator[Artifact]:
    """What the *files* that a command names say and the last commit does not. Those that git does
    not show matter to a command that publishes.
    """
    if not files:
        return
    shown = {str(root / change.path): change for change in repository.worktree_changes()}
    chosen = [shown[path] for path in sorted(files & shown.keys())]
    yield from read_files(repository, chosen, lambda *_: None)
    if not publishes(command):
        return
    for path in sorted(files - shown.keys()):
        inside = os.path.relpath(path, root)
        if inside.startswith("../") or repository.read("HEAD", inside) is None:
            read = decode(_start(path))
            if read:
                yield replace(edits.said(read.text), surface=Surface.PR_BODY, path=path)


def _start(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_NAMED)
    except OSError as error:
        raise OrgGuardError(
            "a file that the command names was not checked",
            cause=f"it cannot be read: {error.strerror}",
            hint="name a file that can be read, or give the text in the command",
        ) from error


def _after(action: Action, building: Building) -> Iterator[Finding]:
    folders = {action.directory}
    if action.command:
        folders, _ = shell.named(action.command, action.directory)
    for root in _roots(folders):
        with _opened(root, building) as guard:
            yield from scan(guard, Sources(worktree=True)).findings
            if action.moment is Moment.END:
                yield from scan(guard, Sources()).findings


def _by_path(artifacts: Iterable[Artifact]) -> Iterable[list[Artifact]]:
    found: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        found.setdefault(artifact.path, []).append(artifact)
    return found.values()


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """*findings*, one of each name with all its places."""
    found: dict[str, Finding] = {}
    for finding in findings:
        key = finding.verdict.name.key
        known = found.setdefault(key, finding)
        places = dict.fromkeys([*known.locations, *finding.locations])
        found[key] = replace(known, locations=tuple(places))
    return list(found.values())


def _opened(root: Path, building: Building) -> Guard:
    """The guard of *root*, with the base read and everything at hand that the policy asks for."""
    guard = Guard(root)
    try:
        if not guard.look():
            building(True)
            guard.prepare()
            building(False)
        _ensure_key(guard)
    except BaseException:
        guard.close()
        raise
    return guard


def _ensure_key(guard: Guard) -> None:
    if lack := unchecked(guard):
        raise OrgGuardError(lack, hint="docs/protected-names.md says how the key is given")
