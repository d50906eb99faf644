"""What init writes is no finding, in its own files and to the letter: committing it must not be the
first thing that OrgGuard stops.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from orgguard_mcp.setup.clients import CI, CLIENTS
from orgguard_mcp.setup.files import WorkingTree
from orgguard_mcp.setup.plan import plan
from orgguard_mcp.written import FILE, listed
from tests.names import COINED
from tests.scanner import ORDINARY, scan
from tests.simulator import Repo

UPDATE = os.environ.get("ORGGUARD_UPDATE_GOLDEN")  # before the seal hides it

OTHERS = ("CLAUDE.md", "GEMINI.md", "QWEN.md")
"""Files that get the rule only where they exist."""


def initialised(repo: Repo) -> set[str]:
    """Everything that init can write, written; and the files that it is in."""
    repo.write(dict.fromkeys(OTHERS, ""))
    changes = plan(WorkingTree(repo.path), list(CLIENTS), list(CI), force=False).changes
    repo.write({change.path: change.after for change in changes if change.after is not None})
    return {change.path for change in changes}


def test_the_list_is_what_init_writes(make_repo: Callable[..., Repo]) -> None:
    repo = make_repo(ORDINARY)
    paths = initialised(repo)
    lines = {line.strip() for path in paths for line in (repo.path / path).read_text().splitlines()}
    if UPDATE:
        FILE.write_text(listed(paths, lines))
    assert FILE.read_text() == listed(paths, lines)


def test_what_init_writes_is_quiet(make_repo: Callable[..., Repo]) -> None:
    repo = make_repo(ORDINARY)
    initialised(repo)
    assert scan(repo, "--worktree").names == set()


@pytest.mark.parametrize("path", [".mcp.json", "AGENTS.md", ".github/workflows/orgguard.yml"])
def test_a_name_beside_what_init_writes_is_found(make_repo: Callable[..., Repo], path: str) -> None:
    repo = make_repo(ORDINARY)
    initialised(repo)
    with (repo.path / path).open("a") as file:
        file.write(f"\n# Export for the {COINED} account.\n")
    assert scan(repo, "--worktree").names == {COINED.lower()}


def test_the_same_lines_elsewhere_are_read(make_repo: Callable[..., Repo]) -> None:
    repo = make_repo(ORDINARY)
    initialised(repo)
    text = (repo.path / ".opencode/plugins/orgguard.js").read_text()
    repo.write({"src/plugin.js": text})
    assert scan(repo, "--worktree", "--level=pedantic").names != set()
