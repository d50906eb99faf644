"""What is there already: kept byte for byte, shown when it differs, skipped when it is broken."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from orgguard_mcp.setup.parts import BEGIN, END
from tests.setup.initialised import held, init
from tests.simulator import Repo

MakeRepo = Callable[..., Repo]

VSCODE = """\
{
\t// ours
\t"servers": {
\t\t"other": { "command": "x" }, // why, "quoted" and {braced}
\t},
\t/* the
\t   end */
\t"inputs": [],
}
"""
CODEX = """\
# Ours
model = "x"   # aligned

[mcp_servers.other]
command = 'y'

[[hooks.PreToolUse]]
matcher = "Bash"
  [[hooks.PreToolUse.hooks]]
  type = "command"
  command = "theirs"

[features]
a = 1
"""
CLAUDE = """\
{
   "permissions": {"allow": ["Write"]},
   "hooks": {
      "PreToolUse": [
         {"matcher": "Bash", "hooks": [{"type": "command", "command": "theirs"}]}
      ]
   }
}"""


def remains(before: str, after: str) -> bool:
    """Whether every line of *before* is in *after*, in its order, but for a comma behind it."""
    lines = iter(line.rstrip(",\r") for line in after.split("\n"))
    return all(any(line == other for other in lines) for line in _bare(before))


def _bare(text: str) -> list[str]:
    return [line.rstrip(",\r") for line in text.split("\n")]


def test_comments_order_and_odd_indentation_stay(make_repo: MakeRepo) -> None:
    before = {".vscode/mcp.json": VSCODE, ".codex/config.toml": CODEX}
    before[".claude/settings.json"] = CLAUDE
    repo = make_repo(dict(before))
    assert init(repo, "--yes").code == 0
    for path, text in before.items():
        after = (repo.path / path).read_text()
        assert "orgguard" in after
        assert remains(text, after), path


def test_what_is_added_is_indented_as_the_file_is(make_repo: MakeRepo) -> None:
    repo = make_repo({".vscode/mcp.json": VSCODE, ".claude/settings.json": CLAUDE})
    init(repo, "--yes")
    lines = (repo.path / ".vscode/mcp.json").read_text().split("\n")
    assert '\t\t"orgguard": {' in lines
    assert '\t\t\t"command": "orgguard-mcp",' in lines
    assert "         {" in (repo.path / ".claude/settings.json").read_text().split("\n")


def test_other_servers_and_hooks_stay_and_ours_come_last(make_repo: MakeRepo) -> None:
    repo = make_repo({".claude/settings.json": CLAUDE, ".codex/config.toml": CODEX})
    init(repo, "--yes")
    claude = json.loads((repo.path / ".claude/settings.json").read_text())
    codex = tomllib.loads((repo.path / ".codex/config.toml").read_text())
    for hooks in (claude["hooks"], codex["hooks"]):
        found = [hook["command"] for group in hooks["PreToolUse"] for hook in group["hooks"]]
        assert found[0] == "theirs"
        assert found[1].startswith("orgguard hook")
    assert codex["mcp_servers"]["other"] == {"command": "y"}
    assert codex["features"] == {"a": 1}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".mcp.json", '{\r\n  "mcpServers": {\r\n    "a": {"command": "x"}\r\n  }\r\n}\r\n'),
        (".codex/config.toml", "# a\r\n[mcp_servers.other]\r\ncommand = 'y'\r\n"),
        ("AGENTS.md", "# Ours\r\n\r\nText\r\n"),
    ],
)
def test_windows_line_breaks_stay_throughout(make_repo: MakeRepo, path: str, text: str) -> None:
    repo = make_repo({path: text})
    assert init(repo, "--yes").code == 0
    after = (repo.path / path).read_bytes()
    assert b"orgguard" in after
    assert after.count(b"\n") == after.count(b"\r\n")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".mcp.json", '{"mcpServers":{}}'),
        (".mcp.json", "{}"),
        (".mcp.json", ""),
        (".mcp.json", "\n"),
        (".codex/config.toml", "a = 1"),
        (".codex/config.toml", ""),
        ("AGENTS.md", "# Ours"),
        ("AGENTS.md", ""),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_no_last_line_break_a_byte_order_mark_and_empty_files(
    make_repo: MakeRepo, path: str, text: str, mark: bytes
) -> None:
    before = mark + text.encode()
    repo = make_repo({path: before})
    done = init(repo, "--yes", "--agent", "codex")
    assert (done.code, done.err) == (0, "")
    after = (repo.path / path).read_bytes()
    assert after.startswith(mark)
    assert b"orgguard" in after
    assert path != "AGENTS.md" or after.startswith(before)
    assert init(repo, "--yes", "--undo").code == 0
    assert (repo.path / path).read_bytes() == before


def test_a_rule_file_in_another_encoding_keeps_its_bytes(make_repo: MakeRepo) -> None:
    before = "# R\u00e8gles\n".encode("latin-1")
    repo = make_repo({"AGENTS.md": before})
    assert init(repo, "--yes").code == 0
    assert (repo.path / "AGENTS.md").read_bytes().startswith(before)


def test_the_block_is_brought_up_to_date_where_it_stands(make_repo: MakeRepo) -> None:
    repo = make_repo({"AGENTS.md": f"# Ours\n\n{BEGIN}\nold words\n{END}\n\nThe end"})
    init(repo, "--yes")
    text = (repo.path / "AGENTS.md").read_text()
    assert text.startswith(f"# Ours\n\n{BEGIN}\n## ")
    assert text.endswith(f"{END}\n\nThe end")
    assert "old words" not in text


def test_markers_within_a_sentence_are_no_block(make_repo: MakeRepo) -> None:
    words = f"It puts {BEGIN} and {END} around the rule.\n"
    repo = make_repo({"AGENTS.md": words})
    assert init(repo, "--yes").code == 0
    assert (repo.path / "AGENTS.md").read_text().startswith(words + "\n" + BEGIN)


# --- entries that differ -----------------------------------------------------------------------

OTHER = {
    ".mcp.json": '{"mcpServers": {"orgguard": {"command": "mine"}}}\n',
    ".codex/config.toml": '[mcp_servers.orgguard]\ncommand = "mine"\n',
    ".gemini/settings.json": json.dumps(
        {"hooks": {"BeforeTool": [{"hooks": [{"command": "orgguard hook gemini --mine"}]}]}}
    ),
    ".opencode/plugins/orgguard.js": "// mine\n",
}


@pytest.mark.parametrize("path", OTHER)
def test_another_entry_of_that_name_is_shown_and_left_alone_until_forced(
    make_repo: MakeRepo, path: str
) -> None:
    repo = make_repo({path: OTHER[path]})
    done = init(repo, "--yes")
    assert done.code == 0
    assert "mine" in (repo.path / path).read_text()
    assert f"Left alone in {path}; `--force` would write:" in done.out
    forced = init(repo, "--yes", "--force")
    assert forced.code == 0
    assert "mine" not in (repo.path / path).read_text()
    assert "orgguard" in (repo.path / path).read_text()
    assert "Nothing to change" in init(repo, "--yes").out
    init(repo, "--yes", "--undo")
    assert (repo.path / path).read_text() == OTHER[path]


def test_one_entry_left_alone_keeps_no_other_from_coming(make_repo: MakeRepo) -> None:
    repo = make_repo({".codex/config.toml": OTHER[".codex/config.toml"]})
    init(repo, "--yes")
    document = tomllib.loads((repo.path / ".codex/config.toml").read_text())
    assert document["mcp_servers"]["orgguard"] == {"command": "mine"}
    assert set(document["hooks"]) == {"PreToolUse", "PostToolUse", "Stop"}


# --- files that are not used -------------------------------------------------------------------

BROKEN = {
    ".mcp.json": ('{\n  "mcpServers": {\n    oops\n  }\n}\n', "line 3: not valid JSON"),
    ".claude/settings.json": ("{\n  // comments are none of JSON\n}\n", "line 2: not valid JSON"),
    ".vscode/mcp.json": ('{\n/* a\nb */\n"servers": }\n', "line 4: not valid JSON"),
    ".cursor/mcp.json": ("[]\n", "not a JSON object"),
    ".cursor/hooks.json": ('{"hooks": []}', "hooks is no table of entries"),
    ".gemini/settings.json": ('{"hooks": {"BeforeTool": {}}}', "hooks.BeforeTool is no list"),
    ".qwen/settings.json": ('{"a": NaN}', "not valid JSON"),
    ".codex/config.toml": ("a = 1\nb = \n", "line 2: not valid TOML"),
    "opencode.json": (b'{\n"a": "\xff"}', "line 2: it is not UTF-8"),
    "AGENTS.md": (f"a\nb\n{BEGIN}\nrule\n", "line 3: the markers of OrgGuard's block are not one"),
    "CLAUDE.md": (f"{END}\n{BEGIN}\n", "line 1: the markers of OrgGuard's block are not one"),
}


@pytest.mark.parametrize("path", BROKEN)
def test_a_broken_file_is_named_with_its_line_and_skipped(make_repo: MakeRepo, path: str) -> None:
    text, why = BROKEN[path]
    repo = make_repo({path: text})
    before = (repo.path / path).read_bytes()
    done = init(repo, "--yes")
    assert done.code == 3
    assert f"cause: {path}: {why}" in done.err
    assert done.row(path)[0] == "skipped"
    assert (repo.path / path).read_bytes() == before
    assert (repo.path / ".orgguard/policy.toml").exists()  # the others were written


@pytest.mark.parametrize(
    "text",
    [
        "mcp_servers.theirs.command = 'y'\na.b = 1\n",  # tomlkit would put `a` into our table
        "hooks.state.a = 1\na.b = 'x'\n",  # or make the document invalid
    ],
)
def test_an_edit_that_would_move_something_else_is_not_made(make_repo: MakeRepo, text: str) -> None:
    repo = make_repo({".codex/config.toml": text})
    done = init(repo, "--yes")
    assert done.code == 3
    assert ".codex/config.toml: it cannot be edited without changing what is around" in done.err
    assert (repo.path / ".codex/config.toml").read_text() == text


def test_deep_nesting_is_no_crash(make_repo: MakeRepo) -> None:
    repo = make_repo({".mcp.json": "[" * 100_000, ".codex/config.toml": "a = " + "[" * 100_000})
    done = init(repo, "--yes")
    assert done.code == 3
    assert ".mcp.json: not valid JSON" in done.err
    assert ".codex/config.toml: not valid TOML" in done.err


def test_a_directory_or_a_huge_file_in_the_way_is_skipped(make_repo: MakeRepo) -> None:
    repo = make_repo({".mcp.json/a": "1", "AGENTS.md": b"a" * (5 << 20)})
    done = init(repo, "--yes")
    assert done.code == 3
    assert ".mcp.json: it is no file" in done.err
    assert "AGENTS.md: it is too large" in done.err


def test_a_read_only_file_is_skipped(make_repo: MakeRepo) -> None:
    repo = make_repo({".mcp.json": "{}"})
    (repo.path / ".mcp.json").chmod(0o444)
    done = init(repo, "--yes")
    assert done.code == 3
    assert ".mcp.json: it is read-only" in done.err
    assert (repo.path / ".mcp.json").read_text() == "{}"


def test_permissions_stay(make_repo: MakeRepo) -> None:
    repo = make_repo({".mcp.json": "{}"})
    (repo.path / ".mcp.json").chmod(0o640)
    init(repo, "--yes")
    assert (repo.path / ".mcp.json").stat().st_mode & 0o777 == 0o640


# --- symbolic links ----------------------------------------------------------------------------


@pytest.mark.parametrize("link", [".mcp.json", ".orgguard"])
def test_nothing_is_written_through_a_link_that_leads_out(
    make_repo: MakeRepo, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("{}")
    repo = make_repo({"a.py": "1\n"})
    (repo.path / link).symlink_to(outside / "file" if link == ".mcp.json" else outside)
    done = init(repo, "--yes")
    assert done.code == 3
    assert "a symbolic link leads out of the working tree" in done.err
    assert held(outside) == {"file": b"{}"}


def test_a_link_into_gits_own_directory_is_refused(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    config = (repo.path / ".git/config").read_bytes()
    (repo.path / "AGENTS.md").symlink_to(".git/config")
    done = init(repo, "--yes")
    assert done.code == 3
    assert (repo.path / ".git/config").read_bytes() == config


def test_a_link_that_leads_in_a_circle_is_no_crash(make_repo: MakeRepo) -> None:
    repo = make_repo({"a.py": "1\n"})
    (repo.path / "AGENTS.md").symlink_to("CLAUDE.md")
    (repo.path / "CLAUDE.md").symlink_to("AGENTS.md")
    done = init(repo, "--yes")
    assert done.code == 3
    assert "AGENTS.md" in done.err


def test_a_link_within_the_repository_is_followed_once_and_stays(make_repo: MakeRepo) -> None:
    repo = make_repo({"AGENTS.md": "# Ours\n"})
    (repo.path / "CLAUDE.md").symlink_to("AGENTS.md")
    assert init(repo, "--yes").code == 0
    assert (repo.path / "CLAUDE.md").is_symlink()
    assert (repo.path / "AGENTS.md").read_text().count(BEGIN) == 1
    init(repo, "--yes", "--undo")
    assert (repo.path / "AGENTS.md").read_text() == "# Ours\n"
    assert (repo.path / "CLAUDE.md").is_symlink()
