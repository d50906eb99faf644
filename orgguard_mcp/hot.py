"""All that the hot commands need, imported, and the tables filled that they fill when first used.

Only the warm helper wants all of it at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from orgguard_mcp import program
from orgguard_mcp.detect import shape
from orgguard_mcp.detect.gather import gather
from orgguard_mcp.detect.weigh import weigh
from orgguard_mcp.errors import USAGE
from orgguard_mcp.hooks import HOOKS, supervise
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
_SAMPLE = "# We asked Example Ltd (https://example.com) and a caf\u00e9 for their prices."


def run(arguments: list[str]) -> int:
    """Run one command, in a fork, and return its exit code, a usage error's, too."""
    supervise.watched()
    try:
        return program.run(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else USAGE


def rehearse() -> None:
    """Parse, gather and weigh as the commands do."""
    for arguments in _LINES:
        parser().parse_args(arguments)
    samples = [
        Artifact(surface, path, ((1, _SAMPLE),))
        for surface, paths in _SAMPLES.items() for path in paths
    ]  # fmt: skip
    for one in weigh(gather(samples, _hold_nothing), _hold_nothing, lambda _: FileClass.DOCS):
        is_ordinary(parse(one.text).key)


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
