"""The plugin for opencode, run by a real JavaScript engine with the real hook behind it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hooks.hooked import guarded
from tests.names import COINED

PLUGIN = Path(__file__).parents[2] / "orgguard_mcp" / "hooks" / "opencode.js"
NODE = shutil.which("node")

_CALL = """
import { OrgGuard } from %s
const hooks = await OrgGuard({ directory: process.cwd() })
const output = { args: JSON.parse(process.argv[2]), output: "done" }
const call = { tool: process.argv[1], sessionID: "s", callID: "c", args: output.args }
try {
  await hooks["tool.execute.before"](call, output)
  await hooks["tool.execute.after"](call, output)
  console.log(output.output)
} catch (error) { console.log("thrown: " + error.message) }
"""

pytestmark = pytest.mark.skipif(not NODE, reason="node is not installed")


def _call(where: Path, tool: str, given: dict[str, str], path: str) -> str:
    """What opencode is told of a call of *tool*."""
    script = _CALL % json.dumps(PLUGIN.as_uri())
    done = subprocess.run(
        [NODE or "", "--input-type=module", "--eval", script, tool, json.dumps(given)],
        cwd=where, capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which `orgguard` is this one."""
    script = tmp_path / "bin" / "orgguard"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m orgguard_mcp "$@"\n')
    script.chmod(0o755)
    return f"{script.parent}:{os.environ['PATH']}"


def test_a_write_is_stopped_by_an_exception(tmp_path: Path, path: str) -> None:
    repo = guarded(tmp_path / "repo")
    given = {"filePath": "a.md", "content": f"{COINED} asked for this."}
    said = _call(repo.path, "write", given, path)
    assert said.startswith("thrown: OrgGuard stopped this")
    assert COINED in said
    given = {"filePath": "a.md", "content": "Rates are read daily."}
    assert _call(repo.path, "write", given, path) == "done\n"


def test_what_a_command_left_is_told_with_its_result(tmp_path: Path, path: str) -> None:
    repo = guarded(tmp_path / "repo")
    repo.write({"docs/rates.md": f"{COINED} asked for this.\n"})
    said = _call(repo.path, "bash", {"command": "make"}, path)
    assert said.startswith("done\n\nOrgGuard found names")


def test_a_hook_that_cannot_be_run_stops_the_call(tmp_path: Path) -> None:
    repo = guarded(tmp_path / "repo")
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "node").symlink_to(NODE or "")
    given = {"filePath": "a.md", "content": "x"}
    assert _call(repo.path, "write", given, str(alone)).startswith("thrown: ")
