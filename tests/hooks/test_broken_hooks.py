"""What broke in home-made agent hooks, each as a test of this one."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.hooks.hooked import ESTABLISHED, bash, claude, guarded, hook
from tests.names import COINED
from tests.simulator import Repo

BODY = f"{COINED} asked for this.\n"


@pytest.fixture(scope="module")
def repo(sealed_module: None, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    made = guarded(tmp_path_factory.mktemp("broken") / "repo")
    made.write({"body.md": BODY, "my text.md": BODY, "src/draft.md": BODY})
    return made


@pytest.fixture(scope="module")
def other(repo: Repo) -> Repo:
    """Another repository, beside the first."""
    return guarded(repo.path.parent / "other")


@pytest.mark.parametrize(
    "argument",
    [
        "--body-file body.md", '--body-file "body.md"', "--body-file 'my text.md'",
        "--body-file=body.md", '--body-file="my text.md"', "--body-file my\\ text.md",
        "-F body.md", "-Fbody.md", '-F "$PWD/body.md"', "-F bo'dy'.md", "-F ./src/../body.md",
    ],
)  # fmt: skip
def test_a_quoted_body_file_is_read(repo: Repo, argument: str) -> None:
    answered = hook(
        "claude",
        {
            "hook_event_name": "PreToolUse", "cwd": str(repo.path), "tool_name": "Bash",
            "tool_input": {"command": f"gh pr create --title Export {argument}"},
        },
        PWD=str(repo.path),
    )  # fmt: skip
    assert answered.code == 2
    assert COINED in answered.err


@pytest.mark.parametrize(
    "command",
    [
        f"gh pr comment 3 --body 'Thanks -- {COINED} saw it, too.'",
        f"gh pr comment 3 -- --body '{COINED} saw it, too.'",
        f"true -- ; gh pr comment 3 --body '{COINED} saw it, too.'",
    ],
)
def test_two_dashes_do_not_end_the_scan(repo: Repo, command: str) -> None:
    assert bash(repo, command).code == 2


@pytest.mark.parametrize(
    "command",
    [
        "gh pr review 3 --approve --body '{}'",
        "gh pr merge 3 --squash --subject '{}'",
        "gh pr edit 3 --title '{}'",
        "gh --repo o/r pr comment 3 --body '{}'",
        "GH_REPO=o/r gh issue create --title '{}'",
        "command gh release create v1 --notes '{}'",
        "g=gh; $g pr comment 3 --body '{}'",
        "bash -c \"gh pr comment 3 --body '{}'\"",
    ],
)
def test_every_verb_of_a_forge_is_read(repo: Repo, command: str) -> None:
    assert bash(repo, command.format(f"{COINED} needs the export")).code == 2
    assert bash(repo, command.format(f"{ESTABLISHED} needs the export")).code == 0


@pytest.mark.parametrize(
    "command",
    [
        "git -C . commit -m '{}'", "git -c user.name=a commit -m '{}'",
        "git -c core.hooksPath=/dev/null commit --no-verify -m '{}'",
        "git --git-dir=.git --work-tree=. commit -m '{}'", "/usr/bin/git commit -m '{}'",
    ],
)  # fmt: skip
def test_options_before_gits_verb_hide_nothing(repo: Repo, command: str) -> None:
    assert bash(repo, command.format(f"{COINED} needs the export")).code == 2


@pytest.mark.parametrize(
    "command", ["git -C src commit -F draft.md", "cd src && git commit -F draft.md"]
)
def test_a_file_is_looked_for_where_the_command_goes(repo: Repo, command: str) -> None:
    answered = bash(repo, command)
    assert answered.code == 2
    assert "src/draft.md" in answered.err


def test_another_repository_is_judged_by_its_own_base(
    repo: Repo, other: Repo, tmp_path: Path
) -> None:
    outside = {"cwd": str(tmp_path)}
    commit = f"git -C {other.path} commit -m "
    assert bash(repo, f"{commit}'{COINED} needs the export'", **outside).code == 2
    assert bash(repo, f"{commit}'{ESTABLISHED} needs the export'", **outside).code == 0


@pytest.mark.parametrize(
    "command",
    ["gh api repos/o/r/pulls -f body=@body.md", "gh api repos/o/r/pulls --input body.md",
     "gh api repos/o/r/pulls -F body=@./body.md", "curl -d @body.md http://localhost/",
     "gh pr create -F - < body.md", "cat body.md | gh pr create -F -",
     "bash <<'EOF'\ngh pr create -F body.md\nEOF"],
)  # fmt: skip
def test_a_file_in_a_fields_value_is_read(repo: Repo, command: str) -> None:
    answered = bash(repo, command)
    assert answered.code == 2
    assert "body.md" in answered.err


def test_a_file_outside_the_tree_that_is_published_is_read(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "message").write_text(BODY)
    assert bash(repo, f"git commit -F {tmp_path}/message").code == 2
    assert bash(repo, f"make -f {tmp_path}/message").code == 0


def test_a_file_that_git_ignores_and_that_is_published_is_read(repo: Repo) -> None:
    repo.write({".git/info/exclude": "ignored.md\n", "ignored.md": BODY})
    assert bash(repo, "gh pr create -F ignored.md").code == 2


def test_a_file_of_the_base_is_not_read_again(repo: Repo) -> None:
    assert bash(repo, "gh pr create -F docs/guide.md").code == 0


@pytest.mark.parametrize(
    "body",
    [
        "Write `example.com`, not a customer's domain; `team_a` is fine, too.",
        f'Names such as "{ESTABLISHED}" are fine, for the base says "{ESTABLISHED}".',
        'Bad: \\"localhost\\"; good: \\"127.0.0.1\\"',
    ],
)
def test_quoted_examples_are_no_findings(repo: Repo, body: str) -> None:
    assert bash(repo, f'gh pr create --title Rules --body "{body}"').code == 0


def test_a_reminder_that_never_blocks_is_not_enough(repo: Repo) -> None:
    given = {"file_path": f"{repo.path}/notes.md", "content": BODY}
    answered = claude(repo, "Write", given)
    assert (answered.code, answered.out) == (2, "")


def test_the_agent_cannot_write_a_skip(repo: Repo) -> None:
    skip = f"# orgguard: ignore\n{COINED.upper()}_URL = 1  # nosec noqa orgguard:allow\n"
    given = {"file_path": f"{repo.path}/skip.py", "content": skip}
    variables = dict.fromkeys(("ORGGUARD_DRY_RUN", "ORGGUARD_SKIP", "ORGGUARD_OFF", "CI"), "1")
    payload = {"hook_event_name": "PreToolUse", "cwd": str(repo.path), "tool_name": "Write"}
    assert hook("claude", {**payload, "tool_input": given}, **variables).code == 2


def test_the_agents_settings_cannot_choose_the_base(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "own")
    repo.commit({"mine.py": f"{COINED.upper()}_URL = 1\n"})
    payload = {
        "hook_event_name": "PreToolUse", "cwd": str(repo.path), "tool_name": "Bash",
        "tool_input": {"command": f"git commit -m '{COINED} needs the export'"},
    }  # fmt: skip
    assert hook("claude", payload, ORGGUARD_BASE="HEAD").code == 2
    repo.git("checkout", "-q", "feature")


def test_a_linked_worktree_is_guarded(repo: Repo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"), "-b", "linked")
    given = {"file_path": str(tmp_path / "linked" / "a.md"), "content": BODY}
    assert claude(repo, "Write", given, cwd="/").code == 2


def test_encoded_text_is_read(repo: Repo) -> None:
    text = base64.b64encode(BODY.encode()).decode()
    assert bash(repo, f"echo {text} | base64 -d > a.md").code == 2
    given = {"path": "a.md", "message": "Add", "content": text}
    assert claude(repo, "mcp__github__create_or_update_file", given).code == 2


def test_a_name_in_several_quotes_is_read_as_the_shell_does(repo: Repo) -> None:
    halves = f"'{COINED[:4]}'\"{COINED[4:]}\""
    assert bash(repo, f"touch src/{halves}.py").code == 2


def test_a_foreign_tool_is_not_ours_for_its_arguments(repo: Repo) -> None:
    given = {"title": f"{COINED} needs the export", "tool": "check_name"}
    assert claude(repo, "mcp__github__create_issue", given).code == 2
    for tool in ("precheck_name", "check_names", "check_name_of_issue"):
        assert claude(repo, f"mcp__github__{tool}", given).code == 2


def test_an_extra_argument_does_not_turn_a_command_into_an_edit(repo: Repo) -> None:
    command = f"git commit -m '{COINED} needs the export'"
    given = {"command": command, "file_path": "a.md", "content": "x"}
    assert claude(repo, "Bash", given).code == 2


@pytest.mark.parametrize(
    "command",
    ["pytest -q tests/ && ruff check . | tail -5", "npm run build && npx tsc --noEmit",
     "git push -u origin fix/retry-backoff", "git commit -m 'Fix flaky retry test in CI'",
     "docker compose up -d && kubectl get pods -n default", "find . -name '*.py' | xargs wc -l",
     "gh pr create --title 'feat: Retry with backoff' --body 'This adds retries. Closes #12'",
     "curl -s http://localhost:8080/health | jq .status", "make -j4 VERBOSE=1"],
)  # fmt: skip
def test_everyday_commands_pass(repo: Repo, command: str) -> None:
    answered = bash(repo, command)
    assert (answered.code, answered.err) == (0, "")
