"""Layout: what is read without git is what git says, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orgguard_mcp import layout
from orgguard_mcp.errors import RepositoryError
from orgguard_mcp.guard import Guard
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]


def by_git(directory: Path, *asked: str) -> str:
    """What git says, or nothing where it fails."""
    repo = Repo.__new__(Repo)
    repo.path = directory
    try:
        return repo.git(*asked)
    except AssertionError:
        return ""


def _told(directory: Path) -> Path | None:
    """What the layout tells, which must be what git says."""
    found = layout.common_dir(directory)
    said = by_git(directory, "rev-parse", "--path-format=absolute", "--git-common-dir")
    assert found is None or str(found) == said
    return found


def test_usual_clones_are_told(project: Repo, tmp_path: Path) -> None:
    project.write({"deep/er/x.txt": ""}).git("worktree", "add", "-q", str(tmp_path / "linked"))
    project.git("worktree", "add", "-q", str(project.path / "within"), "-b", "within")
    (tmp_path / "link").symlink_to(project.path / "deep")
    (tmp_path / "linked/deep").mkdir()
    for place in (
        project.path, project.path / "deep/er", tmp_path / "linked", tmp_path / "linked/deep",
        project.path / "within", tmp_path / "link/er",
    ):  # fmt: skip
        assert _told(place) == project.path / ".git"


def test_submodule_has_a_directory_of_its_own(project: Repo, make_repo: MakeRepo) -> None:
    other = make_repo({"a.py": "1\n"})
    allowed = "-c", "protocol.file.allow=always"
    project.git(*allowed, "submodule", "add", "-q", str(other.path), "module")
    assert _told(project.path / "module") == project.path / ".git/modules/module"


def test_clone_with_its_directory_elsewhere_is_told(project: Repo, tmp_path: Path) -> None:
    apart = project.clone(tmp_path / "apart", f"--separate-git-dir={tmp_path / 'store'}")
    assert _told(apart.path) == tmp_path / "store"


def _head(text: str) -> Callable[[Path], object]:
    return lambda place: (place / ".git/HEAD").write_text(text)


def _moved(put: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(place: Path) -> None:
        (place / ".git").rename(place / "moved")
        put(place / ".git")

    return change


UNUSUAL: dict[str, Callable[[Path], object]] = {
    "no head": lambda place: (place / ".git/HEAD").unlink(),
    "a head that is none": _head("rubbish\n"),
    "a head beyond the references": _head("ref: elsewhere\n"),
    "a head with a tail": _head(f"{'0' * 40} rubbish\n"),
    "no objects": lambda place: (place / ".git/objects").rename(place / "objects"),
    "no references": lambda place: (place / ".git/refs").rename(place / "refs"),
    "a common directory that is none": lambda place: (place / ".git/commondir").write_text("x\n"),
    "a link": _moved(lambda git: git.symlink_to("moved")),
    "a file that names nothing": _moved(lambda git: git.write_text("rubbish\n")),
    "a file that names what is none": _moved(lambda git: git.write_text("gitdir: none\n")),
    "a pipe": _moved(os.mkfifo),
    "a bare repository within": lambda place: Repo(place / "src", bare=True),
}


@pytest.mark.parametrize("change", UNUSUAL.values(), ids=UNUSUAL)
@pytest.mark.parametrize("within", [False, True])
def test_what_is_unusual_is_left_to_git(
    project: Repo, make_repo: MakeRepo, change: Callable[[Path], object], within: bool
) -> None:
    place = project.path
    if within:  # git goes on to the repository around one that is none
        place = project.path / "vendored"
        make_repo({"src/a.py": "1\n"}).path.rename(place)
    (place / "src").mkdir(exist_ok=True)
    change(place)
    assert _told(place / "src") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", [".", ".git", "store"])
def test_what_is_another_users_is_left_to_git(project: Repo, tmp_path: Path, place: str) -> None:
    apart = project.clone(tmp_path / "apart", f"--separate-git-dir={tmp_path / 'apart/store'}")
    assert _told(apart.path)
    os.chown(apart.path / place, 1234, 1234)
    assert _told(apart.path) is None
    with pytest.raises(RepositoryError) as caught:
        Guard(apart.path)
    assert "another user" in caught.value.message
    assert not (apart.path / "store/orgguard").exists()


def test_outside_and_nowhere_nothing_is_told(tmp_path: Path) -> None:
    assert _told(tmp_path) is None
    assert layout.common_dir(tmp_path / "none") is None


# --- symbolic references --------------------------------------------------------------------------

HEAD = "refs/remotes/origin/HEAD"


def _symbolic(repo: Repo) -> str | None:
    """What the layout tells, which must be what git says."""
    found = layout.symbolic(repo.path / ".git", HEAD)
    assert found is None or found == by_git(repo.path, "symbolic-ref", "--quiet", HEAD)
    return found


def test_default_branch_of_a_remote_is_told(fork: Repo) -> None:
    assert _symbolic(fork) == "refs/remotes/origin/main"
    fork.git("pack-refs", "--all")
    assert _symbolic(fork) == "refs/remotes/origin/main"
    fork.git("symbolic-ref", HEAD, "refs/remotes/origin/n\u00e4mlich")
    assert _symbolic(fork) is None
    fork.git("symbolic-ref", HEAD, "refs/remotes/origin/none")
    assert _symbolic(fork) == "refs/remotes/origin/none"
    fork.git("symbolic-ref", "--delete", HEAD)
    assert _symbolic(fork) == ""


def test_reference_that_is_a_commit_or_a_link_is_left_to_git(fork: Repo) -> None:
    fork.git("update-ref", "--no-deref", HEAD, "main")
    assert _symbolic(fork) is None
    (fork.path / ".git" / HEAD).unlink()
    (fork.path / ".git" / HEAD).symlink_to("main")
    assert _symbolic(fork) is None


def test_other_store_of_references_is_left_to_git(fork: Repo) -> None:
    heads = fork.path / ".git/refs/heads"
    heads.rename(heads.with_name("moved"))
    heads.write_text("this repository uses the reftable format\n")
    assert layout.symbolic(fork.path / ".git", HEAD) is None
