"""Our hooks in the pre-commit framework: the real one, in a real repository. It builds our package
from a snapshot of this checkout, with what PyPI has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.names import COINED
from tests.scanner import ORDINARY
from tests.simulator import Repo
from tests.test_githooks import ASKED, FOUND, SUBJECT, Done, bypass, git

ROOT = Path(__file__).parents[1]
MANIFEST = ".pre-commit-hooks.yaml"
HOOKS = {"orgguard": "pre-commit", "orgguard-message": "commit-msg", "orgguard-push": "pre-push"}


def test_manifest_offers_one_hook_for_each_stage() -> None:
    offered = yaml.safe_load((ROOT / MANIFEST).read_text())
    assert {one["id"]: one["stages"] for one in offered} == {n: [s] for n, s in HOOKS.items()}
    for one in offered:
        assert one["entry"] == f"orgguard git-hook {HOOKS[one['id']]}"
        assert one["always_run"], "a commit of no file has a branch and a message"
        assert one["require_serial"]
        assert one["pass_filenames"] == (one["id"] == "orgguard-message")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory, sealed_module: None) -> Repo:
    """This checkout as it is now, as a repository of one commit."""
    copy = Repo(tmp_path_factory.mktemp("snapshot"))
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
             MANIFEST, "orgguard_mcp", "pyproject.toml", "README.md", "LICENSE"]  # fmt: skip
    listed = subprocess.run(asked, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    for path in filter(None, os.fsdecode(listed).split("\0")):
        if (ROOT / path).is_file():
            copy.write({path: (ROOT / path).read_bytes()})
    copy.commit()
    return copy


@pytest.fixture(scope="module")
def built(
    snapshot: Repo, tmp_path_factory: pytest.TempPathFactory, sealed_module: None
) -> tuple[dict[str, str], dict[str, str | bytes]]:
    """pre-commit's environment with our hooks built, once, and the settings that name them."""
    config = f"repos:\n- repo: {snapshot.path}\n  rev: {snapshot.git('rev-parse', 'HEAD')}\n"
    config += "  hooks:\n" + "".join(f"  - id: {name}\n" for name in HOOKS)
    store = {"PRE_COMMIT_HOME": str(tmp_path_factory.mktemp("store"))}
    first = Repo(tmp_path_factory.mktemp("first")).write({".pre-commit-config.yaml": config})
    pre_commit(first, store, "install-hooks")
    return store, {".pre-commit-config.yaml": config}


def pre_commit(repo: Repo, store: dict[str, str], *args: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pre_commit", *args], cwd=repo.path, check=True, timeout=300,
        env={**os.environ, **store},
    )  # fmt: skip


@pytest.fixture
def repo(
    built: tuple[dict[str, str], dict[str, str | bytes]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Repo:  # fmt: skip
    """A repository that uses our three hooks, and has pushed its base."""
    store, config = built
    for key, value in store.items():
        monkeypatch.setenv(key, value)
    repo = Repo(tmp_path / "repo")
    repo.commit({**ORDINARY, **config})
    bare = Repo(tmp_path / "origin.git", bare=True)
    repo.git("remote", "add", "origin", str(bare.path))
    repo.git("push", "-q", "origin", "main")
    for stage in HOOKS.values():
        pre_commit(repo, store, "install", "--hook-type", stage)
    repo.git("checkout", "-q", "-b", "feature")
    return repo


def stopped_by(done: Done, name: str) -> None:
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert f"- hook id: {name}\n" in said
    assert FOUND in said
    assert COINED not in said


def test_name_is_stopped_at_each_stage_and_an_ordinary_change_passes(repo: Repo) -> None:
    repo.write({"docs/guide.md": ASKED})
    stopped_by(git(repo, "commit", "-a", "-m", "Change"), "orgguard")
    stopped_by(git(repo, "commit", "docs/guide.md", "-m", "Change"), "orgguard")
    repo.write({"docs/guide.md": "# Guide\n\nA longer export.\n"})
    stopped_by(git(repo, "commit", "-a", "-m", SUBJECT), "orgguard-message")
    done = git(repo, "commit", "-a", "-m", "Change")
    assert done.returncode == 0, done.stderr
    stopped_by(git(repo, "push", "origin", f"feature:for-{COINED.lower()}"), "orgguard-push")
    done = git(repo, "push", "origin", "feature")
    assert done.returncode == 0, done.stderr
    bypass(repo, {}, SUBJECT)
    stopped_by(git(repo, "push", "origin", "feature"), "orgguard-push")


def test_very_first_push_is_judged(repo: Repo, tmp_path: Path) -> None:
    repo.git("remote", "remove", "origin")
    bypass(repo, {"docs/guide.md": ASKED})
    empty = Repo(tmp_path / "empty.git", bare=True)
    stopped_by(git(repo, "push", str(empty.path), "feature"), "orgguard-push")


def test_hooks_of_both_kinds_stand_beside_each_other(repo: Repo) -> None:
    """pre-commit tells its push hook one reference alone: ours, in front, sees them all."""
    from orgguard_mcp import githooks
    from orgguard_mcp.repository import Repository

    git(repo, "commit", "--allow-empty", "-m", "Export")
    repo.git("branch", "aside")
    bypass(repo, {}, SUBJECT)
    done = git(repo, "push", "origin", "aside", "feature")
    assert done.returncode == 0, "pre-commit judges the first reference alone"
    git(repo, "push", "--no-verify", "origin", ":aside", ":feature")
    files = shutil.copytree(repo.path / ".git/hooks", repo.path / ".git/copy")
    with Repository(repo.path) as repository:
        githooks.install(repository)
        assert githooks.installed(repository) == list(githooks.HOOKS)
        done = git(repo, "push", "origin", "aside", "feature")
        assert done.returncode == 1
        assert FOUND in done.stdout + done.stderr
        githooks.remove(repository)
    for path in files.iterdir():
        assert (repo.path / ".git/hooks" / path.name).read_bytes() == path.read_bytes()
