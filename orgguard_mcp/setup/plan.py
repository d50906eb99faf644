"""What init would change, decided before anything is: and the same for taking it back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orgguard_mcp.setup.clients import (
    CI,
    CLIENTS,
    EVERYWHERE,
    OTHER_RULES,
    Target,
    every_target,
    rule_for,
)
from orgguard_mcp.setup.files import WorkingTree
from orgguard_mcp.setup.journal import Journal, Step, digest
from orgguard_mcp.setup.texts import UnusableFileError


@dataclass(frozen=True, slots=True)
class Found:
    """A client or CI that is there: the path that shows it (empty: none in the repository), and
    whether it is installed on this machine.
    """

    name: str
    title: str
    sign: str
    installed: bool = False


@dataclass(slots=True)
class Change:
    """One file: what it holds, what it is to hold (None: no file), what for, and what of it stays
    another's. `wanted` is what *force* would write then.
    """

    path: str
    file: Path
    before: bytes | None
    after: bytes | None
    what: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    wanted: bytes | None = None

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return self.before != self.after


@dataclass(slots=True)
class Plan:
    """The files, and those that were skipped with the reason. Changes `elsewhere`, of git's own
    directory, are others' to carry out.
    """

    files: list[Change] = field(default_factory=list)
    elsewhere: list[Change] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def changes(self) -> list[Change]:
        """What there is to write."""
        return [one for one in self.files if one.changes]


def clients_found(top: Path) -> list[Found]:
    """The agents that the repository or this machine uses."""
    found = []
    for name, client in CLIENTS.items():
        on_path = any(shutil.which(program) for program in client.programs)
        at_home = any((Path.home() / folder).is_dir() for folder in client.homes)
        one = Found(name, client.title, _sign(top, client.signs), on_path or at_home)
        if one.sign or one.installed:
            found.append(one)
    return found


def ci_found(top: Path) -> list[Found]:
    """The CI systems that the repository uses."""
    signs = [(name, title, _sign(top, signs)) for name, (title, signs, _, _) in CI.items()]
    return [Found(name, title, sign) for name, title, sign in signs if sign]


def _sign(top: Path, signs: Iterable[str]) -> str:
    return next((sign for sign in signs if os.path.lexists(top / sign)), "")


def plan(tree: WorkingTree, clients: Sequence[str], ci: Sequence[str], *, force: bool) -> Plan:
    """What the repository needs for *clients* and *ci*. *force* replaces what differs."""
    made = _Planner(tree, force=force)
    targets = [*EVERYWHERE]
    targets += [target for name in clients for target in CLIENTS[name].targets]
    targets += [target for name in ci for target in CI[name][2]]
    for target in targets:
        made.add(target)
    for path in OTHER_RULES:
        made.add_rule(path)
    return made.plan


class _Planner:
    """Parts put into files one after the other; one file may get several, by several names."""

    def __init__(self, tree: WorkingTree, *, force: bool) -> None:
        self.plan = Plan()
        self._tree = tree
        self._force = force
        self._files: dict[Path, Change] = {}

    def add(self, target: Target) -> None:
        """Put *target*'s part into its file, or note why not."""
        path = target.paths[0]
        try:
            files = {path: self._tree.find(path) for path in target.paths}
            path = next((path for path, file in files.items() if file.exists()), path)
            self._merge(path, files[path], target)
        except UnusableFileError as error:
            self._skip(path, error)

    def add_rule(self, path: str) -> None:
        """Put the rule into *path* when it is there and does not lead to AGENTS.md."""
        try:
            file = self._tree.find(path)
            text = self._tree.read(file) or b""
            if file.exists() and not _imports_rules(text):
                self._merge(path, file, rule_for(path))
        except UnusableFileError as error:
            self._skip(path, error)

    def _merge(self, path: str, file: Path, target: Target) -> None:
        known = self._files.get(file)
        held = self._tree.read(file) if known is None else known.before
        change = known or Change(path, file, held, held)
        part = target.part()
        merged = part.merge(change.after, force=self._force)
        wanted = part.merge(change.after if change.wanted is None else change.wanted, force=True)
        if merged.data != change.before:
            self._tree.check_writable(file)
        change.after, change.wanted = merged.data, wanted.data
        change.kept += merged.kept
        change.what.append(target.what)
        if known is None:
            self._files[file] = change
            self.plan.files.append(change)

    def _skip(self, path: str, error: UnusableFileError) -> None:
        self.plan.problems.append((path, error.message))


def _imports_rules(text: bytes) -> bool:
    """Whether a rule file says to read AGENTS.md: `@AGENTS.md`, as its readers understand it."""
    words = (word.lstrip(b"@./") for word in text.split() if word.startswith(b"@"))
    return any(word == b"AGENTS.md" for word in words)


def undo_plan(tree: WorkingTree, journal: Journal) -> Plan:
    """What to write so that every file is as it was before init. From a file that somebody else
    changed since, only init's own part is taken out.
    """
    undone = Plan()
    for path in dict.fromkeys(step.path for step in journal.steps):
        steps = [step for step in journal.steps if step.path == path]
        try:
            file = tree.find(path)
            now = tree.read(file)
            before = _undone(path, steps, now, journal)
            if before != now:
                tree.check_writable(file)
            undone.files.append(Change(path, file, now, before, ["as it was"]))
        except UnusableFileError as error:
            undone.problems.append((path, error.message))
            continue
        first = journal.original(steps[0].before) or b""
        if before is not None and _mentions(before) > _mentions(first):
            why = "it was changed since; take out by hand what it says of orgguard"
            undone.problems.append((path, why))
    return undone


def _undone(path: str, steps: Sequence[Step], now: bytes | None, journal: Journal) -> bytes | None:
    """What *path* is to hold, when it holds *now*."""
    data = now
    for step in reversed(steps):
        if digest(data) == step.after:
            data = journal.original(step.before)
        elif data is not None and digest(data) != step.before:
            data = _stripped(path, data, made=step.before is None)
    return data


def _stripped(path: str, data: bytes, *, made: bool) -> bytes | None:
    left: bytes | None = data
    for target in every_target():
        if path in target.paths and left is not None:
            left = target.part().strip(left, made=made)
    return left


def _mentions(data: bytes) -> int:
    return data.lower().count(b"orgguard")
