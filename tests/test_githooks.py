"""Git's own doors, by real git with the hooks that we install: what is stopped, what passes, what a
push publishes. How the hooks get there is in `test_githooks_install.py`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from orgguard_mcp import githooks
from orgguard_mcp.model import Answer
from orgguard_mcp.repository import Repository
from tests.names import COINED, COINED_TOO
from tests.scanner import ORDINARY, decide
from tests.simulator import Repo

LOWER = COINED.lower()
ASKED = f"# Notes\n\nfor the {COINED} account.\n"
COMMENT = f"LIMIT = 10  # for the {COINED} account\n"
SUBJECT = f"Export for {COINED}"
FOUND, PREPARED = "error[new-name]: ", "this is the prepared text"
Done = subprocess.CompletedProcess[str]


def git(repo: Repo | Path, *args: str, stdin: str = "", **environment: str) -> Done:
    """Git with its hooks, as a client starts it: no terminal anywhere."""
    return subprocess.run(
        ["git", *args], cwd=repo.path if isinstance(repo, Repo) else repo, input=stdin, text=True,
        capture_output=True, check=False, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


def install(repo: Repo) -> Repo:
    with Repository(repo.path) as repository:
        githooks.install(repository)
    return repo


def stopped(done: Done, code: int = 1) -> None:
    """The hook stopped git, said so, and told nobody's log the name."""
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert (FOUND in said) == (code == 1)
    assert COINED not in said


def passed(done: Done) -> None:
    assert done.returncode == 0, done.stderr
    assert FOUND not in done.stderr


def editor(path: Path, script: str) -> str:
    """An editor that does what *script* says with the file ``$1``."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    """A repository with an ordinary base, and the hooks."""
    return install(make_repo(dict(ORDINARY)))


@pytest.fixture
def origin(repo: Repo, tmp_path: Path) -> Repo:
    """The bare repository that *repo* has pushed its base to; *repo* is on a branch then."""
    bare = Repo(tmp_path / "origin.git", bare=True)
    repo.git("remote", "add", "origin", str(bare.path))
    repo.git("push", "-q", "--no-verify", "-u", "origin", "main")
    repo.git("checkout", "-q", "-b", "feature")
    return bare


def bypass(repo: Repo, files: dict[str, str | bytes] | None = None, message: str = "Change") -> str:
    """Commit past the hooks, as anybody may."""
    repo.write(files or {}).git("add", "-A")
    repo.git("commit", "-q", "--no-verify", "--allow-empty", "-m", message)
    return repo.git("rev-parse", "HEAD")


# --- commits --------------------------------------------------------------------------------------

WAYS = {
    "all": ["-a", "-m", "Change"],
    "path": ["-m", "Change", "docs/guide.md"],
    "amend": ["--amend", "--no-edit", "-a"],
    "include": ["-m", "Change", "--include", "docs/guide.md"],
}


@pytest.mark.parametrize("way", WAYS)
def test_commit_that_adds_a_name_is_stopped_however_it_is_made(repo: Repo, way: str) -> None:
    head = repo.git("rev-parse", "HEAD")
    repo.write({"docs/guide.md": ASKED})
    stopped(git(repo, "commit", *WAYS[way]))
    assert repo.git("rev-parse", "HEAD") == head
    repo.write({"docs/guide.md": "# Guide\n\nA longer export.\n"})
    passed(git(repo, "commit", *WAYS[way]))


def test_what_is_not_committed_is_not_judged(repo: Repo) -> None:
    repo.write({"docs/guide.md": ASKED, "src/app.py": "import sys\n"})
    passed(git(repo, "commit", "-m", "Change", "src/app.py"))


def test_first_commit_of_all_is_judged(make_repo: Callable[..., Repo]) -> None:
    repo = install(make_repo())
    repo.write({"docs/guide.md": ASKED}).git("add", "-A")
    stopped(git(repo, "commit", "-m", "Start"))


def test_branch_that_is_named_after_someone_is_found_at_the_first_commit(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", f"fix-for-{LOWER}")
    stopped(git(repo, "commit", "--allow-empty", "-m", "Change"))


def test_commit_from_a_subdirectory_is_judged_as_a_whole(repo: Repo) -> None:
    repo.write({"docs/guide.md": ASKED}).git("add", "-A")
    stopped(git(repo.path / "src", "commit", "-m", "Change"))
    repo.write({"docs/guide.md": "# Guide\n"})
    passed(git(repo.path / "src", "commit", "-a", "-m", "Change"))


def test_commit_in_a_submodule_is_judged_there(repo: Repo, make_repo: Callable[..., Repo]) -> None:
    outer = install(make_repo({"a.py": "1\n"}))
    outer.git("-c", "protocol.file.allow=always", "submodule", "-q", "add", str(repo.path), "sub")
    inner = object.__new__(Repo)
    inner.path = outer.path / "sub"
    install(inner).write({"docs/guide.md": ASKED})
    stopped(git(inner, "commit", "-a", "-m", "Change"))
    inner.write({"docs/guide.md": "# Guide\n"})
    passed(git(inner, "commit", "-a", "-m", "Change"))
    passed(git(outer, "commit", "-a", "-m", "Add a module"))


def test_humans_yes_lets_the_commit_through(repo: Repo) -> None:
    repo.write({"docs/guide.md": ASKED})
    decide(repo, COINED, Answer.GRANT)
    done = git(repo, "commit", "-a", "-m", SUBJECT)
    passed(done)
    assert "1 name consented" in done.stderr


@pytest.mark.parametrize("given", [["-m", SUBJECT], ["-m", "Export", "-m", SUBJECT], ["-F", "-"]])
def test_message_that_holds_a_name_stops_the_commit(repo: Repo, given: list[str]) -> None:
    stopped(git(repo, "commit", "--allow-empty", *given, stdin=f"Export\n\n{SUBJECT}\n"))
    passed(git(repo, "commit", "--allow-empty", "-m", "Export"))


def test_message_is_judged_as_git_will_store_it(repo: Repo, tmp_path: Path) -> None:
    writes = editor(tmp_path / "writes", f'echo "Export\n# {SUBJECT}" >"$1.n"; cat "$1" >>"$1.n"\n'
                    'mv "$1.n" "$1"')  # fmt: skip
    passed(git(repo, "commit", "--allow-empty", GIT_EDITOR=writes))
    assert repo.git("log", "-1", "--format=%B") == "Export"
    verbose = editor(tmp_path / "v", f'sed -i "1s/^/Export/" "$1"; echo "{SUBJECT}" >>"$1"')
    repo.write({"src/app.py": "import sys\n"})
    passed(git(repo, "commit", "-a", "--verbose", GIT_EDITOR=verbose))  # it went below the scissors
    keeps = editor(tmp_path / "keeps", f'sed -i "1s/^/{SUBJECT}/" "$1"')
    repo.write({"src/app.py": "import re\n"})
    stopped(git(repo, "commit", "-a", "--verbose", GIT_EDITOR=keeps))


def test_name_in_a_template_is_said_early_and_stops_what_keeps_it(
    repo: Repo, tmp_path: Path
) -> None:
    (tmp_path / "template").write_text(f"{SUBJECT}\n\nWhy:\n")
    repo.git("config", "commit.template", str(tmp_path / "template"))
    rewrites = editor(tmp_path / "rewrites", 'echo "Export" >"$1"')
    done = git(repo, "commit", "--allow-empty", GIT_EDITOR=rewrites)
    assert done.returncode == 0
    assert PREPARED in done.stderr
    keeps = editor(tmp_path / "keeps", 'sed -i "s/Why:/Why: more rows/" "$1"')
    done = git(repo, "commit", "--allow-empty", GIT_EDITOR=keeps)
    stopped(done)
    assert PREPARED in done.stderr


def test_squash_brings_the_messages_of_another_branch(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "side")
    bypass(repo, {"src/util.py": "import re\n"}, SUBJECT)
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--squash", "side")
    done = git(repo, "commit", "--no-edit")
    stopped(done)
    assert PREPARED in done.stderr
    passed(git(repo, "commit", "-m", "Export more"))


def test_merge_with_a_name_in_its_message_is_stopped(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "side")
    bypass(repo, {"src/util.py": "import re\n"}, "Export more")
    repo.git("checkout", "-q", "main")
    head = repo.git("rev-parse", "HEAD")
    stopped(git(repo, "merge", "--no-ff", "-m", SUBJECT, "side"))
    assert repo.git("rev-parse", "HEAD") == head
    repo.git("merge", "--abort")
    passed(git(repo, "merge", "--no-ff", "--no-edit", "side"))


def test_amend_takes_the_former_message_up_again(repo: Repo) -> None:
    bypass(repo, {}, SUBJECT)
    done = git(repo, "commit", "--amend", "--no-edit", "--allow-empty")
    stopped(done)
    assert PREPARED in done.stderr
    passed(git(repo, "commit", "--amend", "--allow-empty", "-m", "Export"))


def test_merge_in_conflict_is_judged_by_what_upstream_established_since(
    repo: Repo, origin: Repo, tmp_path: Path
) -> None:
    """What it brings in from there is not this commit's; what its author adds is."""
    passed(git(repo, "commit", "-q", "--allow-empty", "-m", "Start the export"))
    bypass(repo, {"src/app.py": "import sys\n"})
    theirs = origin.clone(tmp_path / "theirs")
    theirs.commit({"src/app.py": f"class {COINED}Client:\n    pass\n"}, "Add a client")
    theirs.git("push", "-q")
    repo.git("fetch", "-q")
    assert git(repo, "merge", "origin/main").returncode == 1  # the conflict
    both = f"import sys\n\n\nclass {COINED}Client:\n    pass\n"
    repo.write({"src/app.py": both, "docs/new.md": f"for the {COINED_TOO} account.\n"})
    repo.git("add", "-A")
    done = git(repo, "commit", "--no-edit")
    assert done.returncode == 1
    assert "1 finding in 1 place" in done.stderr
    repo.write({"docs/new.md": "for the account.\n"}).git("add", "-A")
    passed(git(repo, "commit", "--no-edit"))


def test_prepared_text_that_cannot_be_checked_is_said_and_stops_nothing_by_itself(
    repo: Repo,
) -> None:
    done = git(repo, "-c", "core.pager=cat", "hook", "run", "prepare-commit-msg", "--",
               "gone", "merge")  # fmt: skip
    assert done.returncode == 0
    assert "error: names were not checked: " in done.stderr


# --- where git asks no hook, the push is judged ---------------------------------------------------


@pytest.mark.parametrize("how", ["cherry-pick", "revert", "rebase", "no-verify"])
def test_what_no_hook_sees_at_the_commit_is_stopped_at_the_push(
    repo: Repo, origin: Repo, how: str
) -> None:
    if how == "cherry-pick":
        repo.git("checkout", "-q", "-b", "side")
        bypass(repo, {"src/util.py": "import re\n"}, SUBJECT)
        repo.git("checkout", "-q", "feature")
        repo.git("cherry-pick", "side")
    elif how == "revert":
        bypass(repo, {"src/util.py": "import re\n"}, SUBJECT)
        repo.git("revert", "--no-edit", "HEAD")
    elif how == "rebase":
        bypass(repo, {"src/util.py": "import re\n"}, SUBJECT)
        repo.git("commit", "-q", "--allow-empty", "-m", "Before", "--no-verify")
        repo.git("rebase", "-q", "--force-rebase", "main")
    else:
        bypass(repo, {"docs/guide.md": ASKED})
    stopped(git(repo, "push", "origin", "feature"))
    assert "feature" not in origin.git("for-each-ref")


def test_ordinary_rebase_cherry_pick_and_revert_pass(repo: Repo, origin: Repo) -> None:
    passed(git(repo, "commit", "--allow-empty", "-m", "Export"))
    repo.write({"src/util.py": "import re\n"}).git("add", "-A")
    passed(git(repo, "commit", "-m", "Export more"))
    passed(git(repo, "rebase", "--force-rebase", "main"))
    passed(git(repo, "revert", "--no-edit", "HEAD"))
    passed(git(repo, "cherry-pick", "HEAD~1"))
    passed(git(repo, "push", "origin", "feature"))
    assert "refs/heads/feature" in origin.git("for-each-ref")


# --- pushes ---------------------------------------------------------------------------------------


@pytest.fixture
def empty(tmp_path: Path) -> Repo:
    """A remote that has nothing yet."""
    return Repo(tmp_path / "empty.git", bare=True)


@pytest.fixture
def fresh(make_repo: Callable[..., Repo]) -> Repo:
    """A repository that was never pushed, with the hooks."""
    return install(make_repo({"src/app.py": ORDINARY["src/app.py"]}))


def test_very_first_push_is_judged_by_nothing_since_nothing_is_published(
    fresh: Repo, empty: Repo
) -> None:
    """The local main would establish everything, and it is what the push publishes."""
    bypass(fresh, {"src/util.py": COMMENT})
    bypass(fresh, {"src/app.py": "import sys\n"})
    stopped(git(fresh, "push", str(empty.path), "main"))
    assert empty.git("for-each-ref") == ""
    passed(git(fresh, "push", str(empty.path), "HEAD~2:refs/heads/main"))


def test_old_message_and_branch_are_judged_at_the_very_first_push(fresh: Repo, empty: Repo) -> None:
    bypass(fresh, {}, SUBJECT)
    bypass(fresh, {"src/app.py": "import sys\n"})
    stopped(git(fresh, "push", str(empty.path), "main"))
    fresh.git("reset", "-q", "--hard", "HEAD~2")
    stopped(git(fresh, "push", str(empty.path), f"main:fix-for-{LOWER}"))
    passed(git(fresh, "push", str(empty.path), "main"))


def test_maintainers_may_name_what_the_very_first_push_is_compared_with(
    fresh: Repo, empty: Repo
) -> None:
    bypass(fresh, {"src/app.py": f"class {COINED}Client:\n    pass\n"})
    passed(git(fresh, "push", str(empty.path), "main", ORGGUARD_BASE="main"))


def test_rules_of_a_repository_hold_at_its_very_first_push(fresh: Repo, empty: Repo) -> None:
    policy = f'reserved = ["{COINED}", "policy"]\nbase = "origin/main"\n'
    bypass(fresh, {"src/util.py": COMMENT, ".orgguard/policy.toml": policy})
    passed(git(fresh, "push", str(empty.path), "main"))


def test_push_of_all_branches_judges_each(fresh: Repo, empty: Repo) -> None:
    for branch in ("feature-1", "feature-2"):
        fresh.git("checkout", "-q", "-b", branch, "main")
        bypass(fresh, {"src/util.py": f"LIMIT = {branch[-1]}\n"}, "Set the limit")
    passed(git(fresh, "push", "--all", "--dry-run", str(empty.path)))
    bypass(fresh, {}, SUBJECT)
    stopped(git(fresh, "push", "--all", str(empty.path)))
    passed(git(fresh, "push", "--all", str(empty.path), "--no-verify"))


def test_name_of_the_branch_at_the_remote_counts_not_the_local_one(
    repo: Repo, origin: Repo
) -> None:
    stopped(git(repo, "push", "origin", f"feature:fix-for-{LOWER}"))
    stopped(git(repo, "push", "origin", f"HEAD:refs/for/main%topic=fix-for-{LOWER}"))
    repo.git("branch", "-m", f"fix-for-{LOWER}")
    passed(git(repo, "push", "origin", f"fix-for-{LOWER}:feature"))


def test_tags_are_judged_by_name_and_text_wherever_they_point(repo: Repo, origin: Repo) -> None:
    repo.git("tag", f"for-{LOWER}")
    repo.git("tag", "-a", "-m", SUBJECT, "v0.1")
    repo.git("tag", "-a", "-m", "Second release", "v0.2", "v0.1")
    repo.git("tag", "-a", "-m", "First release", "v1.0")
    for tag in (f"for-{LOWER}", "v0.1", "v0.2"):
        stopped(git(repo, "push", "origin", tag))
    stopped(git(repo, "push", "--tags", "origin"))
    passed(git(repo, "push", "origin", "v1.0"))  # those that stay here do not count


def test_tag_publishes_its_commits_as_well(repo: Repo, origin: Repo) -> None:
    bypass(repo, {"docs/guide.md": ASKED})
    repo.git("tag", "v1.0")
    stopped(git(repo, "push", "origin", "v1.0"))


def test_one_bad_reference_among_several_stops_them_all(repo: Repo, origin: Repo) -> None:
    bypass(repo, {"src/util.py": "import re\n"})
    repo.git("branch", "feature-2")
    repo.git("checkout", "-q", "-b", "feature-3")
    bypass(repo, {"docs/guide.md": ASKED})
    stopped(git(repo, "push", "origin", "feature-2", "feature-3", "feature"))
    passed(git(repo, "push", "origin", "feature-2", "feature"))


def test_force_push_is_judged_and_a_deletion_is_not(repo: Repo, origin: Repo) -> None:
    bypass(repo, {"src/util.py": "import re\n"})
    passed(git(repo, "push", "origin", "feature"))
    repo.git("commit", "-q", "--amend", "--no-verify", "-m", SUBJECT)
    stopped(git(repo, "push", "--force", "origin", "feature"))
    repo.git("commit", "-q", "--amend", "--no-verify", "-m", "Export")
    passed(git(repo, "push", "--force", "origin", "feature"))
    repo.git("push", "-q", "--no-verify", "origin", f"feature:fix-for-{LOWER}")
    done = git(repo, "push", "origin", f":fix-for-{LOWER}", ":feature")
    passed(done)
    assert "nothing is published by this push" in done.stderr


def test_push_of_what_is_no_commit_cannot_be_checked(repo: Repo, origin: Repo) -> None:
    blob = repo.git("hash-object", "-w", "docs/guide.md")
    repo.git("tag", "thing", blob)
    done = git(repo, "push", "origin", "thing")
    assert done.returncode == 1  # git's own: the hook's was 3
    assert "error: the push was not checked: " in done.stderr
    assert origin.git("for-each-ref", "refs/tags") == ""


def test_odd_standard_input_of_a_push_is_an_error(repo: Repo) -> None:
    hook = str(repo.path / ".git/hooks/pre-push")
    done = subprocess.run(
        [hook, "origin", "x"], cwd=repo.path, input=b"main\n", capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 2


# --- what broke in hooks that others made ---------------------------------------------------------


@pytest.mark.parametrize("stdin", ["</dev/null", "<&-", "<docs/guide.md", ""])
def test_isatty_of_a_hook_lets_a_real_table_pass(repo: Repo, origin: Repo, stdin: str) -> None:
    """The guard asked whether its input is a terminal, and git redirects that of its hooks."""
    table = f"| customer | rows |\n| --- | --- |\n| the {COINED} account | 30 |\n"
    repo.write({"docs/table.md": table}).git("add", "-A")
    commands = {
        f"git commit -m Change {stdin}": "git commit -q --no-verify -m Change",
        f"git push origin feature {stdin}": "true",
    }
    for command, then in commands.items():
        done = subprocess.run(
            ["sh", "-c", command], cwd=repo.path, input="Nothing.\n", text=True,
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        stopped(done)
        subprocess.run(["sh", "-c", then], cwd=repo.path, check=True, timeout=60)


def test_hook_skips_in_silence_in_every_linked_worktree(
    repo: Repo, origin: Repo, tmp_path: Path
) -> None:
    """A private file was looked for at the top of the working tree: linked ones lacked it."""
    repo.git("worktree", "add", "-q", "-b", "feature-2", str(tmp_path / "a side"))
    side = tmp_path / "a side"
    (side / "docs/guide.md").write_text(ASKED)
    stopped(git(side, "commit", "-a", "-m", "Change"))
    stopped(git(side, "commit", "--allow-empty", "-m", SUBJECT))
    git(side, "commit", "-a", "--no-verify", "-m", "Change")
    stopped(git(side, "push", "origin", "feature-2"))
    decide(repo, COINED, Answer.GRANT)  # asked of the main one
    passed(git(side, "push", "origin", "feature-2"))


def test_messages_are_unscanned_while_green(repo: Repo, origin: Repo) -> None:
    """The scan was green and had read no message. Each hook says what it has read."""
    done = git(repo, "commit", "--allow-empty", "-m", "Export")
    passed(done)
    pre, message = done.stderr.splitlines()[:2]
    assert pre == "orgguard: no new names; scanned: 1 branch name"
    assert message == "orgguard: no new names; scanned: 1 commit message"
    done = git(repo, "push", "origin", "feature")
    passed(done)
    assert "scanned: 1 commit message, 1 branch name" in done.stderr
    bypass(repo, {}, SUBJECT)
    stopped(git(repo, "push", "origin", "feature"))


def test_only_the_commit_message_hook_reads_messages(
    repo: Repo, origin: Repo, tmp_path: Path
) -> None:
    """Messages were read by a commit-msg hook alone: not those made elsewhere, nor tags and
    branches, nor what `--no-verify` let by.
    """
    elsewhere = origin.clone(tmp_path / "elsewhere")
    bypass(elsewhere, {"src/util.py": "import re\n"}, SUBJECT)
    repo.git("pull", "-q", "--ff-only", str(elsewhere.path), "main")
    stopped(git(repo, "push", "origin", "feature"))


def test_file_that_could_not_be_read_is_said_beside_the_green(repo: Repo) -> None:
    repo.write({"data.bin": bytes(range(256)) * 9}).git("add", "-A")
    done = git(repo, "commit", "-m", "Add data")
    passed(done)
    assert "orgguard: not scanned: data.bin: " in done.stderr


# --- another repository's variables ---------------------------------------------------------------


def test_hook_for_another_repository_than_its_directorys_checks_nothing_and_stops(
    repo: Repo, make_repo: Callable[..., Repo]
) -> None:
    clean = make_repo({"a.py": "1\n"})
    repo.write({"docs/guide.md": ASKED})
    done = git(
        clean, f"--git-dir={repo.path}/.git", f"--work-tree={clean.path}", "commit", "-a", "-m", "x"
    )
    assert done.returncode == 1
    assert "git runs this hook for another repository" in done.stderr


def test_commit_of_an_index_elsewhere_is_not_checked_and_stops(repo: Repo, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.write_bytes((repo.path / ".git/index").read_bytes())
    repo.write({"docs/guide.md": ASKED})
    git(repo, "add", "docs/guide.md", GIT_INDEX_FILE=str(index))
    done = git(repo, "commit", "-m", "Change", GIT_INDEX_FILE=str(index))
    assert done.returncode == 1
    assert "the commit is made of an index that lies elsewhere" in done.stderr


# --- who is told ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ci", ["", "true"])
def test_name_is_shown_on_the_users_own_terminal_alone(repo: Repo, ci: str) -> None:
    repo.write({"docs/guide.md": ASKED})
    terminal = pexpect.spawn(
        "git", ["commit", "-a", "-m", "Change"], cwd=str(repo.path), encoding="utf-8", timeout=30,
        env=os.environ | ({"CI": ci} if ci else {}),
    )  # fmt: skip
    shown = terminal.read()
    assert FOUND in shown
    assert (COINED in shown) == (not ci)
    terminal.close()
