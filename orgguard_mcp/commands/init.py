"""`orgguard init`: show what a repository needs, ask once, write it; or take it back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from orgguard_mcp import githooks
from orgguard_mcp.console import Terminal, out, say, shows_names
from orgguard_mcp.display import plural, visible
from orgguard_mcp.errors import CLEAN, UNCHECKED, USAGE, UsageError
from orgguard_mcp.repository import Repository
from orgguard_mcp.setup import show
from orgguard_mcp.setup.files import WorkingTree
from orgguard_mcp.setup.journal import Journal
from orgguard_mcp.setup.plan import Change, Plan, ci_found, clients_found, plan, undo_plan
from orgguard_mcp.setup.texts import UnusableFileError


def run(options: argparse.Namespace) -> int:
    """Do what *options* say; 3 when a file had to be skipped, 2 when nobody agreed."""
    with Repository(options.repo or ".") as repository:
        if repository.is_bare():
            raise UsageError(
                "nothing was written: this repository has no working tree",
                hint="run this in a clone of it",
            )
        task = _undo if options.undo else _init
        return task(options, repository, WorkingTree(repository.top_level()))


def _init(options: argparse.Namespace, repository: Repository, tree: WorkingTree) -> int:
    found, ci = clients_found(tree.top), ci_found(tree.top)
    clients = list(dict.fromkeys(options.agent or [one.name for one in found]))
    planned = plan(tree, clients, options.ci or [], force=options.force)
    hooks = githooks.plan(repository) if options.git_hooks else githooks.Plan()
    planned.elsewhere = _shown(hooks, tree.top)
    out("\n".join([*show.found(found, ci), *show.files(planned)]))
    if (code := _answer(planned, options, "Write")) is not None:
        return code
    journal = Journal(_records(repository.state_dir, tree.top))
    if hooks.edits:
        journal.git_hooks = True
        journal.save()
    _apply(planned, tree, lambda one: journal.add(
        one.path, one.before, one.after, tree.missing_folders(one.file)
    ))  # fmt: skip
    githooks.apply(hooks)
    out("\n".join(show.next_steps(clients, planned, hooks.by_hand)))
    return _end(planned)


def _undo(options: argparse.Namespace, repository: Repository, tree: WorkingTree) -> int:
    journal = Journal(_records(repository.common_dir / "orgguard", tree.top))
    if not journal.steps and not journal.git_hooks:
        out("Nothing to take back: init has changed nothing in this working tree.")
        return CLEAN
    undone = undo_plan(tree, journal)
    hooks = githooks.plan_removal(repository) if journal.git_hooks else githooks.Plan()
    undone.elsewhere = _shown(hooks, tree.top)
    out("\n".join(show.files(undone)))
    if (code := _answer(undone, options, "Restore")) is not None:
        return code
    failed = _apply(undone, tree, lambda _: None)
    failed |= {path for path, _ in undone.problems} - {one.path for one in undone.files}
    githooks.apply(hooks)
    tree.remove_empty({f for s in journal.steps if s.path not in failed for f in s.folders})
    journal.steps = [step for step in journal.steps if step.path in failed]
    journal.git_hooks = False
    journal.save()
    return _end(undone)


def _answer(planned: Plan, options: argparse.Namespace, verb: str) -> int | None:
    """Show the changes and have the user agree: the exit code when it ends here, else None."""
    # Lines around a change may hold what nobody decided yet: they are for the user's own eyes.
    for line in show.diffs(planned, context=3 if shows_names(reveal=False) else 0):
        out(line)
    count = len(planned.changes) + len(planned.elsewhere)
    if options.dry_run:
        say("dry run: nothing was written")
        return _end(planned)
    if not count and not options.undo:
        out("Nothing to change: what can be written is there.")
        return _end(planned)
    if not count or options.yes or _says_yes(f"{verb} {plural(count, 'file')}? [y,n] "):
        return None
    out("Nothing was written.")
    return USAGE


def _says_yes(question: str) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "nothing was written: there is no terminal to ask in",
            hint="run this in a terminal, or add --yes",
        )
    terminal = Terminal()
    terminal.forget_typing()
    try:
        while (typed := terminal.asks(question).strip().lower()) not in {"y", "yes", "n", "no"}:
            pass
    except EOFError:
        return False
    return typed.startswith("y")


def _apply(planned: Plan, tree: WorkingTree, first: Callable[[Change], None]) -> set[str]:
    """Write every change after *first* of it; the paths of those that failed."""
    failed = set()
    for change in planned.changes:
        try:
            first(change)
            tree.write(change.file, change.before, change.after)
        except UnusableFileError as error:
            failed.add(change.path)
            planned.problems.append((change.path, error.message))
    return failed


def _end(planned: Plan) -> int:
    if not planned.problems:
        return CLEAN
    causes = [f"  cause: {visible(path)}: {visible(why)}" for path, why in planned.problems]
    say("\n".join([
        f"error: {plural(len(causes), 'file')} could not be done", *causes, "",
        "hint: mend what is said there and run this again; all else is as shown",
    ]))  # fmt: skip
    return UNCHECKED


def _records(state: Path, top: Path) -> Path:
    """Where the record of the working tree *top* is, below *state*, which all of them share."""
    link = top / ".git"
    return state / "init" / ("main" if link.is_dir() else Path(link.read_text().strip()).name)


def _shown(hooks: githooks.Plan, top: Path) -> list[Change]:
    """The git hooks' changes, for the eye."""
    return [
        Change(
            str(edit.path.relative_to(top) if edit.path.is_relative_to(top) else edit.path),
            edit.path,
            edit.before.data if edit.before else None,
            edit.after.data if edit.after else None,
            ["git hook"],
        )
        for edit in hooks.edits
    ]
