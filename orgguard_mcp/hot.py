"""All that the hot commands need, imported, and the tables filled that they fill when first used.

Only the warm helper wants all of it at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from orgguard_mcp import program
from orgguard_mcp.detect import shape
from orgguard_mcp.detect.gather import gather
from orgguard_mcp.detect.weigh import weigh
from orgguard_mcp.errors import USAGE, OrgGuardError
from orgguard_mcp.git import Git
from orgguard_mcp.hooks import HOOKS, supervise
from orgguard_mcp.hooks.action import Action, Moment
from orgguard_mcp.hooks.decide import objection
from orgguard_mcp.lexicon import is_ordinary
from orgguard_mcp.model import Artifact, FileClass, Held, Surface
from orgguard_mcp.names import parse
from orgguard_mcp.options import parser

_COMMANDS = ("check", "git_hook", "hook", "scan")
_SAMPLES = {
    Surface.CODE: ("a.py", "a.js", "a.ts", "a.go", "a.rs", "a.java", "a.c", "a.rb", "a.sh"),
    Surface.DATA: ("a.json", "a.yaml", "a.toml"),
    Surface.DOCS: ("a.md",),
    Surface.PR_BODY: ("",),
}
_LINES = (["check", "x"], ["git-hook", "pre-commit"], ["hook", "claude"], ["scan"])
_ORIGIN = "refs/remotes/origin"
_NO_FILES = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git knows a tree without files by itself
_NOBODY = {
    f"GIT_{who}_{what}": "orgguard" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
_SAMPLE = "# We asked Example Ltd (https://example.com) and a caf\u00e9 for their prices."
_WRITTEN = (_SAMPLE, "# for Exampla Ltd", "def load(path):", "    return open(path).read()", "")


def run(arguments: list[str]) -> int:
    """Run one command, in a fork, and return its exit code, a usage error's, too."""
    supervise.watched()
    try:
        return program.run(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else USAGE


def stage(folder: Path) -> Path | None:
    """The repository *folder*, of a commit without files, to rehearse in; None if none is made."""
    git = Git(folder)
    with suppress(OrgGuardError, OSError):
        if not (folder / ".git/refs/remotes/origin/HEAD").exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            git.run("init", "-q")
            commit = git.run("commit-tree", "-m", "Start", _NO_FILES, variables=_NOBODY)
            git.run("update-ref", f"{_ORIGIN}/main", commit.decode().strip())
            git.run("symbolic-ref", f"{_ORIGIN}/HEAD", f"{_ORIGIN}/main")
        return folder
    return None


def rehearse(where: Path | None = None) -> None:
    """Parse, gather and weigh as the commands do, and judge a write *where* there is a `stage`."""
    for arguments in _LINES:
        parser().parse_args(arguments)
    samples = [
        Artifact(surface, path, ((1, _SAMPLE),))
        for surface, paths in _SAMPLES.items() for path in paths
    ]  # fmt: skip
    for one in weigh(gather(samples, _hold_nothing), _hold_nothing, lambda _: FileClass.DOCS):
        is_ordinary(parse(one.text).key)
    if where:
        write = Artifact(Surface.CODE, str(where / "a.py"), tuple(enumerate(_WRITTEN, 1)))
        with suppress(OrgGuardError, OSError):
            objection(Action(Moment.BEFORE, "Write", str(where), (write,)), lambda _: None)


def _load() -> None:
    for name in _COMMANDS:
        import_module(f"orgguard_mcp.commands.{name}")
    for name in (*HOOKS, "decide"):
        import_module(f"orgguard_mcp.hooks.{name}")
    import_module("orgguard_mcp.report.human")
    shape.read_frequent()
    rehearse()


def _hold_nothing(keys: Iterable[str]) -> dict[str, Held]:
    return dict.fromkeys(keys, Held())


_load()
