"""`orgguard init --undo`: every byte as it was, what others wrote since included."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from orgguard_mcp.setup.parts import BEGIN, END
from tests.human import Human
from tests.setup.initialised import EVERY_AGENT, held, init, machine
from tests.setup.test_existing import CLAUDE, CODEX, VSCODE
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]

EXISTING = {
    ".vscode/mcp.json": VSCODE,
    ".codex/config.toml": CODEX,
    ".claude/settings.json": CLAUDE,
    "AGENTS.md": "# Ours",
    "CLAUDE.md": "\ufeff# Ours\r\n",
    ".opencode/mine.txt": "",
}


@pytest.fixture
def repo(make_repo: MakeRepo) -> Repo:
    return make_repo(dict(EXISTING))


def test_everything_is_as_it_was(repo: Repo) -> None:
    before = held(repo.path)
    assert init(repo, "--yes", *EVERY_AGENT).code == 0
    assert held(repo.path) != before
    done = init(repo, "--yes", "--undo")
    assert (done.code, done.err) == (0, "")
    assert held(repo.path) == before
    assert not (repo.path / ".git/orgguard/init").exists()
    assert "Nothing to take back" in init(repo, "--yes", "--undo").out


def test_a_repository_that_had_nothing_has_no_empty_directory_left(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    init(repo, "--yes", *EVERY_AGENT)
    init(repo, "--yes", "--undo")
    assert held(repo.path) == {"a.py": b"1\n"}


def test_a_directory_in_which_somebody_put_a_file_stays(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    init(repo, "--yes", "--agent", "cursor")
    repo.write({".cursor/rules/mine.mdc": "x"})
    assert init(repo, "--yes", "--undo").code == 0
    files = {name for name, data in held(repo.path).items() if isinstance(data, bytes)}
    assert files == {"a.py", ".cursor/rules/mine.mdc"}


def test_several_runs_are_taken_back_together(repo: Repo) -> None:
    before = held(repo.path)
    for options in (("--agent", "claude"), ("--agent", "codex"), ("--agent", "codex", "--force")):
        assert init(repo, "--yes", *options).code == 0
    assert init(repo, "--yes", "--undo").code == 0
    assert held(repo.path) == before


def test_from_a_file_that_was_changed_since_only_our_part_goes(make_repo: MakeRepo) -> None:
    repo = make_repo({".mcp.json": '{\n  "mcpServers": {}\n}\n', "AGENTS.md": "# Ours\n"})
    init(repo, "--yes", "--agent", "codex", "--agent", "claude")
    mcp, codex, rules = (repo.path / p for p in (".mcp.json", ".codex/config.toml", "AGENTS.md"))
    theirs = '{\n  "mcpServers": {\n    "theirs": {},\n    "orgguard"'
    mcp.write_text(mcp.read_text().replace('{\n  "mcpServers": {\n    "orgguard"', theirs))
    codex.write_text("# theirs\n" + codex.read_text() + "\n[theirs]\na = 1\n")
    rules.write_text(rules.read_text() + "\nTheirs.\n")
    done = init(repo, "--yes", "--undo")
    assert (done.code, done.err) == (0, "")
    assert json.loads(mcp.read_text()) == {"mcpServers": {"theirs": {}}}
    assert tomllib.loads(codex.read_text()) == {"theirs": {"a": 1}}
    assert codex.read_text().startswith("# theirs\n")
    assert rules.read_text() == "# Ours\n\nTheirs.\n"
    assert not (repo.path / ".claude").exists()


def test_what_cannot_be_told_apart_is_left_and_said(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    init(repo, "--yes", "--agent", "opencode", "--agent", "claude")
    plugin = repo.path / ".opencode/plugins/orgguard.js"
    plugin.write_text(plugin.read_text() + "// theirs\n")
    hooks = repo.path / ".claude/settings.json"
    hooks.write_text(hooks.read_text().replace("60", "90"))
    done = init(repo, "--yes", "--undo")
    assert done.code == 3
    for path in (".opencode/plugins/orgguard.js", ".claude/settings.json"):
        assert f"{path}: it was changed since; take out by hand" in done.err
    assert plugin.read_text().endswith("// theirs\n")
    assert "90" in hooks.read_text()
    assert not (repo.path / ".mcp.json").exists()


def test_a_file_that_somebody_deleted_stays_deleted(repo: Repo) -> None:
    init(repo, "--yes")
    (repo.path / "AGENTS.md").unlink()
    (repo.path / ".mcp.json").unlink()
    assert init(repo, "--yes", "--undo").code == 0
    assert not (repo.path / "AGENTS.md").exists()
    assert (repo.path / "CLAUDE.md").read_bytes() == EXISTING["CLAUDE.md"].encode()


def test_a_file_that_cannot_be_restored_now_can_be_later(repo: Repo) -> None:
    before = held(repo.path)
    init(repo, "--yes")
    (repo.path / "AGENTS.md").chmod(0o444)
    refused = init(repo, "--yes", "--undo")
    assert refused.code == 3
    assert "AGENTS.md: it is read-only" in refused.err
    (repo.path / "AGENTS.md").chmod(0o644)
    assert init(repo, "--yes", "--undo").code == 0
    assert held(repo.path) == before


def test_a_file_replaced_by_a_link_to_the_outside_is_left(repo: Repo, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("theirs")
    init(repo, "--yes")
    (repo.path / "AGENTS.md").unlink()
    (repo.path / "AGENTS.md").symlink_to(outside)
    assert init(repo, "--yes", "--undo").code == 3
    assert outside.read_text() == "theirs"


def test_undo_asks_too_and_shows_what_it_does(repo: Repo) -> None:
    init(repo, "--yes")
    after = held(repo.path)
    assert init(repo, "--undo").code == 2
    assert "+++ /dev/null" in init(repo, "--undo", "--dry-run").out
    assert held(repo.path) == after
    with Human(
        repo.path, "--undo", command="init", PATH=machine(repo.path.parent / "bin")
    ) as human:
        human.sees(r"Restore \d+ files\? \[y,n\] ")
        human.types("y")
        assert human.leaves() == 0
    assert (repo.path / "AGENTS.md").read_text() == "# Ours"


def test_each_working_tree_has_its_own_record(repo: Repo, tmp_path: Path) -> None:
    other = object.__new__(Repo)
    other.path = tmp_path / "other"
    repo.git("worktree", "add", "-q", str(other.path))
    before = held(other.path)
    init(repo, "--yes")
    init(other, "--yes")
    assert init(other, "--yes", "--undo").code == 0
    assert {name: data for name, data in held(other.path).items() if name != ".git"} == {
        name: data for name, data in before.items() if name != ".git"
    }
    assert BEGIN in (repo.path / "AGENTS.md").read_text()
    assert init(repo, "--yes", "--undo").code == 0
    assert END not in (repo.path / "AGENTS.md").read_text()


def test_the_originals_are_private_and_outside_the_tree(repo: Repo) -> None:
    init(repo, "--yes")
    folder = repo.path / ".git/orgguard/init/main"
    assert (repo.path / ".git/orgguard").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("damage", ["{", '{"git_hooks": false, "steps": [1]}', "[]"])
def test_a_damaged_record_stops_everything_with_a_reason(repo: Repo, damage: str) -> None:
    init(repo, "--yes")
    (repo.path / ".git/orgguard/init/main/steps.json").write_text(damage)
    after = held(repo.path)
    done = init(repo, "--yes", "--undo")
    assert done.code == 3
    assert "record cannot be used" in done.err
    assert held(repo.path) == after


def test_an_original_that_was_tampered_with_is_not_written(repo: Repo) -> None:
    init(repo, "--yes")
    folder = repo.path / ".git/orgguard/init/main"
    for file in folder.iterdir():
        if file.name != "steps.json":
            file.write_bytes(b"evil")
    after = held(repo.path)
    assert init(repo, "--yes", "--undo").code == 3
    assert held(repo.path) == after
