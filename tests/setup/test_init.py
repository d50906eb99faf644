"""`orgguard init`: what it finds, what it writes for whom, and how it asks."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from orgguard_mcp.hooks import HOOKS
from orgguard_mcp.hooks.action import Moment
from orgguard_mcp.options import parser
from orgguard_mcp.policy import _READERS, parse_policy
from orgguard_mcp.server.app import INSTRUCTIONS
from orgguard_mcp.setup.clients import CLIENTS, shipped
from orgguard_mcp.setup.parts import BEGIN, END
from orgguard_mcp.setup.texts import UnusableFileError
from tests.human import Human
from tests.setup.initialised import AGENTS, ALWAYS, EVERY_AGENT, FILES, held, init, machine
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]


@pytest.fixture
def repo(make_repo: MakeRepo) -> Repo:
    return make_repo({"a.py": "1\n"})


def settings(repo: Repo, path: str) -> dict[str, Any]:
    text = (repo.path / path).read_text()
    return tomllib.loads(text) if path.endswith(".toml") else dict(json.loads(text))


def commands(node: object) -> list[str]:
    """Every hook's command in *node*."""
    if isinstance(node, dict):
        own = [node[key] for key in ("command", "bash", "powershell") if key in node]
        return [*own, *(found for value in node.values() for found in commands(value))]
    return [found for one in node for found in commands(one)] if isinstance(node, list) else []


# --- what is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("agent", AGENTS)
def test_each_agent_gets_its_files_and_no_others(repo: Repo, agent: str) -> None:
    done = init(repo, "--yes", "--agent", agent)
    assert (done.code, done.err) == (0, "")
    written = {name for name, data in held(repo.path).items() if isinstance(data, bytes)}
    assert written == {"a.py"} | ALWAYS | FILES[agent]


def test_all_agents_at_once_and_again_changes_nothing(repo: Repo) -> None:
    assert init(repo, "--yes", *EVERY_AGENT).code == 0
    first = held(repo.path)
    assert set().union(*FILES.values()) <= set(first)
    again = init(repo, "--yes", *EVERY_AGENT)
    assert again.code == 0
    assert "Nothing to change" in again.out
    assert held(repo.path) == first


@pytest.mark.parametrize("agent", [name for name in AGENTS if name != "opencode"])
def test_hooks_call_the_agents_own_hook_by_name(repo: Repo, agent: str) -> None:
    init(repo, "--yes", "--agent", agent)
    found = [c for path in FILES[agent] for c in commands(settings(repo, path).get("hooks", {}))]
    assert found
    assert set(found) == {f"orgguard hook {agent}"}


@pytest.mark.parametrize(
    ("path", "keys", "agent"),
    [
        (".mcp.json", ("mcpServers",), "claude"),
        (".cursor/mcp.json", ("mcpServers",), "cursor"),
        (".vscode/mcp.json", ("servers",), "copilot"),
        (".codex/config.toml", ("mcp_servers",), "codex"),
        (".gemini/settings.json", ("mcpServers",), "gemini"),
        (".qwen/settings.json", ("mcpServers",), "qwen"),
        ("opencode.json", ("mcp",), "opencode"),
    ],
)
def test_the_server_is_named_as_each_client_reads_it(
    repo: Repo, path: str, keys: tuple[str], agent: str
) -> None:
    init(repo, "--yes", "--agent", agent)
    entry = settings(repo, path)[keys[0]]["orgguard"]
    assert entry["command"] in ("orgguard-mcp", ["orgguard-mcp"])
    assert entry.get("required") is (True if agent == "codex" else None)


@pytest.mark.parametrize("agent", [name for name in AGENTS if name != "opencode"])
def test_every_event_is_one_that_the_hook_knows(repo: Repo, agent: str) -> None:
    init(repo, "--yes", "--agent", agent)
    found = [event for path in FILES[agent] for event in settings(repo, path).get("hooks", {})]
    known = import_module(f"orgguard_mcp.hooks.{agent}").MOMENTS
    asked = {
        known[event[0].upper() + event[1:] if agent == "copilot" else event] for event in found
    }
    assert {Moment.BEFORE, Moment.AFTER} <= asked


def test_time_limits_are_in_each_clients_own_unit(repo: Repo) -> None:
    init(repo, "--yes", *EVERY_AGENT)
    limits = {
        agent: set(re.findall(r'"?timeout(?:Sec)?"?\s*[:=] (\d+)', (repo.path / path).read_text()))
        for agent in AGENTS
        for path in FILES[agent]
        if "mcp" not in path and agent != "opencode"
    }
    seconds = {agent: {"60"} for agent in ("claude", "cursor", "codex", "copilot")}
    assert limits == {**seconds, "gemini": {"60000"}, "qwen": {"60000"}}


def test_where_a_client_can_be_told_to_block_when_a_hook_fails_it_is(repo: Repo) -> None:
    init(repo, "--yes", "--agent", "claude", "--agent", "cursor")
    hooks = settings(repo, ".claude/settings.json")["hooks"]
    assert [hook["onFailure"] for group in hooks["PreToolUse"] for hook in group["hooks"]] == [
        "block"
    ]
    steps = settings(repo, ".cursor/hooks.json")["hooks"]
    before = {name for name in steps if name.startswith(("pre", "before"))}
    assert {name for name in steps if steps[name][0].get("failClosed")} == before != set()


@pytest.mark.parametrize(
    ("agent", "event", "tools"),
    [
        ("claude", "PreToolUse", "Write Edit NotebookEdit Bash mcp__github__create_issue"),
        ("claude", "PostToolUse", "Bash"),
        ("codex", "PreToolUse", "Bash apply_patch mcp__github__create_issue"),
        ("gemini", "BeforeTool", "write_file replace run_shell_command mcp_github_create_issue"),
        ("gemini", "AfterTool", "run_shell_command"),
        (
            "qwen",
            "PreToolUse",
            "write_file edit run_shell_command tool_call mcp__github__create_pr",
        ),
        ("qwen", "PostToolUse", "run_shell_command"),
    ],
)
def test_matchers_see_what_writes_and_publishes_and_not_what_reads(
    repo: Repo, agent: str, event: str, tools: str
) -> None:
    init(repo, "--yes", "--agent", agent)
    (path,) = FILES[agent]
    matcher = settings(repo, path)["hooks"][event][0]["matcher"]
    assert [tool for tool in tools.split() if not re.search(matcher, tool)] == []
    assert [
        tool for tool in ("Read", "Grep", "read_file", "glob") if re.search(matcher, tool)
    ] == []


def test_nothing_written_names_a_path_of_this_machine(repo: Repo) -> None:
    init(repo, "--yes", *EVERY_AGENT)
    for path, data in held(repo.path).items():
        if isinstance(data, bytes):
            assert str(Path.home()).encode() not in data, path
            assert str(repo.path).encode() not in data, path
            assert b"/bin/" not in data, path


def test_the_rule_is_this_repositorys_own_and_names_both_tools(repo: Repo) -> None:
    init(repo, "--yes")
    text = (repo.path / "AGENTS.md").read_text()
    assert text.startswith(BEGIN + "\n")
    assert text.endswith(END + "\n")
    rule = " ".join(text.split("organisations\n", 1)[1].split(END)[0].split())
    ours = " ".join((Path(__file__).parents[2] / "AGENTS.md").read_text().split())
    assert rule in ours
    assert all(tool in rule and tool in INSTRUCTIONS for tool in ("check_name", "consent"))


def test_the_starter_policy_shows_every_key_and_sets_none(repo: Repo) -> None:
    init(repo, "--yes")
    text = (repo.path / ".orgguard/policy.toml").read_text()
    assert parse_policy(text.encode()) == parse_policy(b"")
    shown = re.sub(r"^# (?=[a-z_]+ = |\[|\")", "", text, flags=re.MULTILINE)
    assert set(tomllib.loads(shown)) == set(_READERS)
    parse_policy(shown.encode())


def test_a_policy_that_is_there_is_left_alone_and_is_no_conflict(make_repo: MakeRepo) -> None:
    repo = make_repo({".orgguard/policy.toml": 'level = "pedantic"\n'})
    done = init(repo, "--yes", "--force")
    assert done.row(".orgguard/policy.toml") == ["as is", "starter policy"]
    assert (repo.path / ".orgguard/policy.toml").read_text() == 'level = "pedantic"\n'


@pytest.mark.parametrize(
    ("text", "gets"),
    [
        ("# Ours\n", True),
        ("See AGENTS.md\n", True),
        ("@AGENTS.md\n", False),
        ("Read @./AGENTS.md first.\n", False),
    ],
)
def test_claude_md_gets_the_rule_unless_it_imports_it(
    make_repo: MakeRepo, text: str, gets: bool
) -> None:
    repo = make_repo({"CLAUDE.md": text})
    assert init(repo, "--yes").code == 0
    assert (BEGIN in (repo.path / "CLAUDE.md").read_text()) is gets


def test_claude_md_is_not_made(repo: Repo) -> None:
    init(repo, "--yes", "--agent", "claude")
    assert not (repo.path / "CLAUDE.md").exists()


@pytest.mark.parametrize("name", ["opencode.jsonc", ".opencode/opencode.json"])
def test_opencodes_settings_are_taken_where_they_are(make_repo: MakeRepo, name: str) -> None:
    repo = make_repo({name: '{\n  // mine\n  "model": "x"\n}\n'})
    assert init(repo, "--yes").code == 0
    text = (repo.path / name).read_text()
    assert "// mine" in text
    assert "orgguard-mcp" in text
    assert not (repo.path / "opencode.json").exists()


def test_the_plugin_is_the_packages(repo: Repo) -> None:
    init(repo, "--yes", "--agent", "opencode")
    plugin = repo.path / ".opencode/plugins/orgguard.js"
    assert plugin.read_bytes() == shipped("hooks", "opencode.js")


@pytest.mark.parametrize(
    ("ci", "paths"),
    [
        ("github", [".github/workflows/orgguard.yml"]),
        ("gitlab", [".gitlab/orgguard.yml", ".gitlab-ci.yml"]),
    ],
)
def test_ci_is_written_when_asked_for(repo: Repo, ci: str, paths: list[str]) -> None:
    assert init(repo, "--yes", "--ci", ci).code == 0
    shown = {"github": "github-workflow.yml", "gitlab": "gitlab.yml"}[ci]
    assert (repo.path / paths[0]).read_bytes() == shipped("templates", shown)
    assert all((repo.path / path).exists() for path in paths)


def test_gitlabs_own_file_is_the_users(make_repo: MakeRepo) -> None:
    repo = make_repo({".gitlab-ci.yml": "stages: [test]\n"})
    done = init(repo, "--yes", "--ci", "gitlab")
    assert (repo.path / ".gitlab-ci.yml").read_text() == "stages: [test]\n"
    assert "see that .gitlab-ci.yml includes .gitlab/orgguard.yml" in done.out


def test_git_hooks_come_and_go_with_the_rest(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    theirs = repo.path / ".git/hooks/pre-commit"
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("#!/bin/sh\nexit 0\n")
    theirs.chmod(0o755)
    before = {one.name: one.read_bytes() for one in theirs.parent.iterdir()}
    done = init(repo, "--yes", "--git-hooks")
    assert (done.code, done.row(".git/hooks/pre-push")[0]) == (0, "new")
    assert b"orgguard" in theirs.read_bytes()
    assert "Nothing to change" in init(repo, "--yes", "--git-hooks").out
    assert init(repo, "--yes", "--undo").code == 0
    assert {one.name: one.read_bytes() for one in theirs.parent.iterdir()} == before


def test_an_unknown_agent_is_a_usage_error_and_the_known_ones_are_those_with_a_hook() -> None:
    assert set(CLIENTS) == set(HOOKS) == set(AGENTS)
    with pytest.raises(SystemExit) as raised:
        parser().parse_args(["init", "--agent", "nobody"])
    assert raised.value.code == 2


def test_a_file_that_the_installation_lacks_is_a_reason_and_no_crash() -> None:
    with pytest.raises(UnusableFileError):
        shipped("hooks", "nothing.js")


# --- what is found -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign", "agent"),
    [
        (".claude/commands/a.md", "claude"),
        ("CLAUDE.md", "claude"),
        (".cursor/rules/a.mdc", "cursor"),
        (".codex/config.toml", "codex"),
        ("GEMINI.md", "gemini"),
        (".qwen/a", "qwen"),
        (".vscode/settings.json", "copilot"),
        (".github/copilot-instructions.md", "copilot"),
        (".opencode/a", "opencode"),
    ],
)
def test_what_lies_in_the_repository_tells_its_agents(
    make_repo: MakeRepo, sign: str, agent: str
) -> None:
    repo = make_repo({sign: ""})
    done = init(repo, "--yes")
    assert CLIENTS[agent].title in done.out.split("Plan")[0]
    assert FILES[agent] <= set(held(repo.path))


@pytest.mark.parametrize("agent", AGENTS)
def test_what_is_installed_on_the_machine_tells_them_too(
    repo: Repo, tmp_path: Path, agent: str
) -> None:
    program = CLIENTS[agent].programs[0]
    done = init(repo, "--yes", path=machine(tmp_path / "has", program))
    assert f"{CLIENTS[agent].title}    installed" in done.out
    assert FILES[agent] <= set(held(repo.path))


def test_a_settings_folder_at_home_counts_as_installed(repo: Repo) -> None:
    (Path.home() / ".cursor").mkdir()
    assert FILES["cursor"] <= set(held(repo.path) if init(repo, "--yes").code == 0 else ())


def test_without_any_sign_there_are_the_server_the_rule_and_the_policy(repo: Repo) -> None:
    done = init(repo, "--yes")
    assert "no agent that OrgGuard knows" in done.out
    assert {name for name in held(repo.path) if "." in name} - {".orgguard"} == {"a.py"} | ALWAYS
    assert "Nothing to change" in init(repo, "--yes").out  # its own files are no agent's signs


def test_ci_is_found_and_said(make_repo: MakeRepo) -> None:
    repo = make_repo({".github/workflows/a.yml": "", ".gitlab-ci.yml": ""})
    found = init(repo, "--dry-run").out.split("Plan")[0]
    assert ".github/workflows" in found
    assert ".gitlab-ci.yml" in found


# --- asking ------------------------------------------------------------------------------------


def test_dry_run_shows_the_diff_and_writes_nothing(repo: Repo) -> None:
    before = held(repo.path)
    done = init(repo, "--dry-run", *EVERY_AGENT)
    assert done.code == 0
    assert '+      "command": "orgguard-mcp"' in done.out
    assert held(repo.path) == before
    assert not (repo.path / ".git/orgguard").exists()


def test_without_a_terminal_the_plan_is_shown_and_nothing_written(repo: Repo) -> None:
    before = held(repo.path)
    done = init(repo)
    assert done.code == 2
    assert "+++ .mcp.json" in done.out
    assert done.err == (
        "error: nothing was written: there is no terminal to ask in\n\n"
        "hint: run this in a terminal, or add --yes\n"
    )
    assert held(repo.path) == before


def test_a_human_says_yes(repo: Repo) -> None:
    with Human(repo.path, command="init", PATH=machine(repo.path.parent / "bin")) as human:
        human.sees(r"Write 3 files\? \[y,n\] ")
        human.types("")
        human.sees(r"Write 3 files\? \[y,n\] ")
        assert not (repo.path / ".mcp.json").exists()
        human.types("y")
        human.sees("uv tool install orgguard-mcp")
        assert human.leaves() == 0
    assert set(held(repo.path)) >= ALWAYS


@pytest.mark.parametrize("answer", ["n", "\x04"])
def test_a_human_says_no(repo: Repo, answer: str) -> None:
    before = held(repo.path)
    with Human(repo.path, command="init", PATH=machine(repo.path.parent / "bin")) as human:
        human.sees(r"Write 3 files\? \[y,n\] ")
        human.terminal.send(answer if answer == "\x04" else f"{answer}\n")
        human.sees("Nothing was written")
        assert human.leaves() == 2
    assert held(repo.path) == before


def test_a_file_cannot_repaint_the_terminal(make_repo: MakeRepo) -> None:
    repo = make_repo({"AGENTS.md": "a\x1b[2J\u202eb\n"})
    with Human(repo.path, "--dry-run", command="init") as human:
        assert human.leaves() == 0
        assert "\\x1b[2J\\u202eb" in human.emitted
        assert "\x1b[2J" not in human.emitted


def test_lines_around_a_change_stay_off_pipes(make_repo: MakeRepo) -> None:
    repo = make_repo({"AGENTS.md": "only for your eyes\n"})
    assert "only for your eyes" not in init(repo, "--dry-run").out
    with Human(repo.path, "--dry-run", command="init") as human:
        human.sees("only for your eyes")
        assert human.leaves() == 0


def test_a_bare_repository_has_nothing_to_write_into(make_repo: MakeRepo) -> None:
    done = init(make_repo(bare=True), "--yes")
    assert done.code == 2
    assert "no working tree" in done.err


def test_a_subdirectory_stands_for_its_repository(repo: Repo) -> None:
    (repo.path / "sub").mkdir()
    assert init(repo, "--yes", "--repo", "sub").code == 0
    assert (repo.path / ".mcp.json").exists()
    assert not (repo.path / "sub/.mcp.json").exists()


def test_next_steps_say_what_a_client_needs(repo: Repo) -> None:
    said = init(repo, "--yes", "--agent", "codex").out.split("\nNext\n")[1]
    assert "/hooks" in said
    assert "uv tool install orgguard-mcp" in said
    assert "orgguard doctor" in said
    assert "orgguard init --undo" in said


def test_the_seal_of_these_tests_holds() -> None:
    assert not any((Path.home() / home).exists() for c in CLIENTS.values() for home in c.homes)
    assert os.environ["HOME"] == str(Path.home())
