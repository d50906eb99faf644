"""The only door to git: which commit is the base, and what its tree holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import git
import pytest

from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Base, Basis
from orgguard_mcp.repository import Repository
from tests.names import COINED, COINED_TOO, FOURTH, THIRD
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]


def base_of(directory: Path, ref: str | None = None) -> Base:
    with Repository(directory) as repository:
        return repository.base(ref)


def oracle_merge_base(directory: Path, one: str, other: str) -> str:
    with git.Repo(directory, search_parent_directories=True) as repo:
        return str(repo.merge_base(one, other)[0].hexsha)


# --- which commit is the base ---------------------------------------------------------------------


def test_base_is_the_merge_base_with_the_remotes_default_branch(fork: Repo) -> None:
    base = base_of(fork.path)
    assert base.commit == oracle_merge_base(fork.path, "HEAD", "origin/main")
    assert base.commit not in {fork.git("rev-parse", "HEAD"), fork.git("rev-parse", "origin/main")}
    assert base.reason == "merge-base of HEAD and the upstream default branch origin/main"


def test_base_is_the_same_from_a_detached_head_and_a_sub_directory(fork: Repo) -> None:
    expected = base_of(fork.path)
    fork.write({"deep/er/x.txt": ""}).git("checkout", "-q", "--detach")
    assert base_of(fork.path / "deep" / "er") == expected


def test_base_of_a_criss_cross_history_is_one_of_gits_best_merge_bases(fork: Repo) -> None:
    mine, theirs = fork.git("rev-parse", "feature"), fork.git("rev-parse", "origin/main")
    fork.git("merge", "-q", "-m", "Merge", theirs)
    fork.git("checkout", "-q", "-b", "crossed", theirs)
    fork.git("merge", "-q", "-m", "Merge", mine)
    fork.git("checkout", "-q", "feature")
    with git.Repo(fork.path) as repo:
        best = {commit.hexsha for commit in repo.merge_base("feature", "crossed", all=True)}
    assert best == {mine, theirs}
    assert base_of(fork.path, "crossed").commit in best


def test_remote_called_upstream_is_preferred_to_the_forks_own_origin(fork: Repo) -> None:
    fork.git("push", "-q", "origin", "feature:moved")  # the fork may hold whatever it likes
    fork.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/moved")
    assert base_of(fork.path).commit == fork.git("rev-parse", "HEAD")
    fork.git("remote", "add", "upstream", fork.git("remote", "get-url", "origin"))
    fork.git("fetch", "-q", "upstream")
    base = base_of(fork.path)
    assert base.ref == "upstream/main"
    assert base.commit == oracle_merge_base(fork.path, "HEAD", "upstream/main")


def test_remote_branch_is_found_by_its_usual_name_without_a_remote_head(fork: Repo) -> None:
    fork.git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    assert base_of(fork.path).ref == "origin/main"


def test_remote_head_may_name_any_branch(make_repo: MakeRepo, tmp_path: Path) -> None:
    cloned = make_repo({"a.py": "1\n"}, branch="release").clone(tmp_path / "c")
    assert base_of(cloned.path).ref == "origin/release"


def test_single_remote_of_any_name_counts_as_upstream(project: Repo, tmp_path: Path) -> None:
    cloned = project.clone(tmp_path / "c", "--origin", "company")
    assert base_of(cloned.path).ref == "company/main"


def test_given_reference_outranks_the_environment_and_the_upstream(
    fork: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = fork.commit({"b.py": "2\n"})
    monkeypatch.setenv("ORGGUARD_BASE", "HEAD~1")
    assert base_of(fork.path).commit == fork.git("rev-parse", "HEAD~1")
    assert "ORGGUARD_BASE" in base_of(fork.path).reason
    assert base_of(fork.path, "HEAD").commit == head
    assert "--base" in base_of(fork.path, "HEAD").reason


def test_given_reference_is_compared_by_merge_base(fork: Repo) -> None:
    given = base_of(fork.path, "origin/main")
    assert given.commit == oracle_merge_base(fork.path, "HEAD", "origin/main")


@pytest.mark.parametrize("ref", ["origin/gone", "0" * 40, "HEAD^{tree}", "HEAD:a.py", "a b"])
def test_unknown_reference_is_an_error_with_a_fetch_hint(fork: Repo, ref: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        base_of(fork.path, ref)
    assert "git fetch" in caught.value.hint


@pytest.mark.parametrize("ref", ["--output=leak", "-h", "--all"])
def test_reference_is_never_read_as_an_option(fork: Repo, ref: str) -> None:
    with pytest.raises(RepositoryError):
        base_of(fork.path, ref)
    assert not (fork.path / "leak").exists()


def test_without_upstream_the_local_default_branch_is_the_base(project: Repo) -> None:
    main = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "-b", "feature")
    project.commit({"b.py": "2\n"})
    base = base_of(project.path)
    assert (base.commit, base.ref) == (main, "main")
    assert "local default branch main (no upstream)" in base.reason


def test_configured_default_branch_is_preferred_to_the_usual_ones(project: Repo) -> None:
    project.git("branch", "trunk")
    project.commit({"b.py": "2\n"})
    project.git("config", "init.defaultBranch", "trunk")
    assert base_of(project.path).commit == project.git("rev-parse", "trunk")


def test_without_upstream_and_default_branch_head_is_the_base(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"}, branch="experiment")
    base = base_of(repo.path)
    assert base.commit == repo.git("rev-parse", "HEAD")
    assert base.reason == "HEAD (no upstream and no default branch)"


def test_repository_without_a_commit_establishes_nothing(make_repo: MakeRepo) -> None:
    repo = make_repo()
    repo.write({"a.py": f"{COINED}\n"}).git("add", "-A")
    with Guard(repo.path) as guard:
        verdict = guard.check(COINED)
    assert verdict.basis is Basis.UNKNOWN
    assert verdict.base.commit == ""
    assert "no commit yet" in verdict.base.reason


def test_working_tree_staging_area_and_own_commits_establish_nothing(fork: Repo) -> None:
    fork.write({"staged.py": f"{COINED_TOO}\n"}).git("add", "-A")
    fork.write({"a.py": f"{THIRD}\n", f"{FOURTH}.py": "untracked\n"})
    with Guard(fork.path) as guard:
        bases = {guard.check(name).basis for name in (COINED, COINED_TOO, THIRD, FOURTH)}
    assert bases == {Basis.UNKNOWN}


# --- the shapes that repositories have ------------------------------------------------------------


def test_linked_worktree_has_its_own_base_and_the_shared_state(fork: Repo, tmp_path: Path) -> None:
    fork.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"), "origin/main")
    with Repository(tmp_path / "linked") as linked, Repository(fork.path) as main:
        assert linked.base().commit == fork.git("rev-parse", "origin/main")
        assert linked.state_dir == main.state_dir == fork.path / ".git" / "orgguard"
        assert linked.state_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("options", [["--bare"], ["--bare", "--depth=1"], ["--depth=1"]])
def test_bare_or_shallow_clone_is_read_like_any_other(
    project: Repo, tmp_path: Path, options: list[str]
) -> None:
    project.commit({"b.py": f"{COINED}\n"})
    bare = project.clone(tmp_path / "clone", *options)
    with Guard(bare.path) as guard:
        assert guard.base.commit == project.git("rev-parse", "main")
        assert guard.check(COINED).basis is Basis.ESTABLISHED


def test_shallow_clone_without_the_merge_base_is_an_error_with_a_fetch_hint(
    fork: Repo, tmp_path: Path
) -> None:
    fork.git("push", "-q", "origin", "feature")
    origin = Repo.__new__(Repo)
    origin.path = Path(fork.git("remote", "get-url", "origin").removeprefix("file://"))
    shallow = origin.clone(
        tmp_path / "shallow", "--depth=1", "--no-single-branch", "--branch=feature"
    )
    with pytest.raises(RepositoryError) as caught:
        base_of(shallow.path)
    assert "shallow" in caught.value.cause
    assert "git fetch --unshallow origin main:refs/remotes/origin/main`" in caught.value.hint
    shallow.git("fetch", "-q", "--unshallow")
    assert base_of(shallow.path) == base_of(fork.path)


@pytest.mark.parametrize("options", [["--depth=1"], ["--single-branch"]])
def test_clone_of_the_change_alone_never_takes_the_change_for_its_base(
    fork: Repo, project: Repo, tmp_path: Path, options: list[str]
) -> None:
    fork.git("push", "-q", "origin", "feature")
    alone = project.clone(tmp_path / "alone", "--branch=feature", *options)
    with pytest.raises(RepositoryError) as caught:  # as CI checks a pull request out by default
        base_of(alone.path)
    assert "git fetch" in caught.value.hint


def test_partial_clone_without_blobs_is_an_error_with_a_next_step(
    project: Repo, tmp_path: Path
) -> None:
    project.git("config", "uploadpack.allowFilter", "true")
    partial = project.clone(tmp_path / "partial", "--filter=blob:none", "--no-checkout")
    with Guard(partial.path) as guard, pytest.raises(RepositoryError) as caught:
        guard.check(COINED)
    assert caught.value.cause
    assert caught.value.hint


def test_outside_a_repository_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "gone"):
        with pytest.raises(RepositoryError) as caught:
            Repository(directory)
        assert "--repo" in caught.value.hint
