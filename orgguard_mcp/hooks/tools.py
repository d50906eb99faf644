"""Which tools only read, which edit files and which run a shell, under every agent's names.

What is none of these publishes: every text that it is given is judged. A tool that merely reads is
let through before anything is opened or imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orgguard_mcp.hooks.action import Action, Moment
from orgguard_mcp.hooks.programs import only_reads

_OUR_OWN = re.compile(r"(?:^|[^A-Za-z0-9])(?:check_name|request_consent)\Z")
"""Agents put the server's name before the tool's, each in another way."""

READERS = frozenset(
    "read read_file readfile read_many_files view view_file view_image open_file notebookread"
    " ls list list_dir list_directory list_files glob find_files file_search"
    " grep grep_search search search_files search_file_content codebase_search semantic_search"
    " text_search list_code_usages lsp read_lints get_errors get_changed_files"
    " fetch webfetch web_fetch fetch_webpage websearch web_search google_web_search"
    " toolsearch tool_search bashoutput killshell kill_shell taskoutput taskstop"
    " get_terminal_output terminal_last_command"
    " todowrite todoread todo_write todo_read write_todos update_todo manage_todo_list update_plan"
    " task agent skill think sleep wait delete"
    " enterplanmode exitplanmode exit_plan_mode askuserquestion ask_user ask_questions question"
    .split()
)  # fmt: skip
"""Tools that put nothing into the repository or before the public."""

EDITORS = frozenset(
    "write edit multiedit notebookedit notebook_edit editnotebook edit_notebook_file"
    " write_file create_file create createfile edit_file editfile editfiles edit_files replace"
    " str_replace str_replace_editor strreplace replace_string_in_file"
    " multi_replace_string_in_file insert insert_edit_into_file search_replace searchreplace"
    " create_directory createdirectory apply_patch applypatch patch".split()
)
"""Tools that write files of the working tree."""

SHELLS = frozenset(
    "bash shell powershell run_shell_command run_in_terminal runinterminal runterminalcommand"
    " run_terminal_cmd exec exec_command execute_command local_shell terminal monitor".split()
)
"""Tools that run a command."""

_DISPATCHERS = frozenset({"tool_call"})  # the tool and its input lie in its own


def action(moment: Moment, tool: str, given: Mapping[str, Any], directory: str) -> Action | None:
    """The action of a call of *tool* with the input *given*; None when it needs no judging."""
    name = tool.casefold()
    if name in _DISPATCHERS and isinstance(given.get("name"), str):
        arguments = given.get("arguments")
        inner = arguments if isinstance(arguments, dict) else {"input": arguments}
        return action(moment, str(given["name"]), inner, directory)
    if name in READERS or _OUR_OWN.search(tool):
        return None
    if name in SHELLS:
        return _of_shell(moment, tool, given, directory)
    if moment is Moment.AFTER:
        return None if name in EDITORS else Action(moment, tool, directory)
    from orgguard_mcp.hooks import edits

    read = edits.edited(given, directory) if name in EDITORS else edits.strings(given)
    return Action(moment, tool, directory, tuple(read))


def _of_shell(moment: Moment, tool: str, given: Mapping[str, Any], directory: str) -> Action | None:
    command = given.get("command", given.get("cmd"))
    if isinstance(command, list):
        command = " ".join(map(str, command))
    if not isinstance(command, str):
        from orgguard_mcp.hooks import edits

        found = tuple(edits.strings(given)) if moment is Moment.BEFORE else ()
        return Action(moment, tool, directory, found)
    if only_reads(command):
        return None
    start = next((given[key] for key in _DIRECTORIES if isinstance(given.get(key), str)), "")
    return Action(moment, tool, start or directory, (), command)


_DIRECTORIES = ("cwd", "workdir", "working_directory", "directory", "dir_path")
