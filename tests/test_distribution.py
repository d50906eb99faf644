"""What is released: built from what git would commit, installed and started as users do, and said
to be the same everywhere. Needs a package index, like every installation.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import psutil
import pytest
from mcp import Client, StdioServerParameters
from uv import find_uv_bin

from orgguard_mcp import __version__
from orgguard_mcp.setup.clients import CLIENTS
from orgguard_mcp.setup.parts import Entries, Item
from tests.names import COINED
from tests.simulator import Repo

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
PATIENCE = 600  # seconds, only to end what hangs: a busy machine may take minutes
HOOK_DEADLINE = 20  # seconds that `orgguard hook` gives itself
DEEP_LINK = "cursor://anysphere.cursor-deeplink/mcp/install"


def _json(path: str) -> Any:  # noqa: ANN401  # what a JSON document holds
    return json.loads((ROOT / path).read_text())


SERVER = _json("server.json")
(PACKAGE,) = SERVER["packages"]
PLUGIN = ROOT / "plugin"
MANIFEST = _json("mcpb/manifest.json")


def _run(
    *command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def _committable() -> list[str]:
    """Every file that git tracks here, or would: no caches, no builds, no local state."""
    listed = _run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT)
    assert listed.returncode == 0, listed.stderr
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


class Release:
    """What a release uploads, and a machine with nothing but git, a shell and uv to try it on."""

    def __init__(self, folder: Path) -> None:
        self.source, self.dist = folder / "source", folder / "dist"
        self.tools, self.installed = folder / "tools", folder / "bin"
        self.files = _committable()
        for name in self.files:
            (self.source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.source / name)
        self.tools.mkdir()
        self.dist.mkdir()
        uv = Path(find_uv_bin())
        for tool in (uv, uv.with_name("uvx"), shutil.which("git"), shutil.which("sh")):
            (self.tools / Path(str(tool)).name).symlink_to(str(tool))
        self.variables = {
            "PATH": str(self.tools), "UV_CACHE_DIR": str(folder / "cache"),
            "UV_FIND_LINKS": str(self.dist), "UV_PYTHON": sys.executable,
            "UV_PYTHON_DOWNLOADS": "never", "UV_TOOL_DIR": str(folder / "venvs"),
            "UV_TOOL_BIN_DIR": str(self.installed),
        }  # fmt: skip

    def run(self, *command: str | Path) -> None:
        """Run *command* on that machine."""
        done = _run(self.tools / command[0], *command[1:], env=self.environment())
        assert done.returncode == 0, done.stderr

    def environment(self, **variables: str) -> dict[str, str]:
        """That machine's environment, and *variables*."""
        return os.environ | self.variables | variables

    def wheel(self) -> Path:
        """The wheel."""
        (wheel,) = self.dist.glob("*.whl")
        return wheel


@pytest.fixture(scope="module")
def release(sealed_module: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The release that `make dist` builds, installed by `uv tool install`."""
    made = Release(tmp_path_factory.mktemp("release"))
    made.run("uv", "build", "--quiet", "--out-dir", made.dist, made.source)
    made.run(sys.executable, made.source / "mcpb/pack.py", made.dist)
    made.run("uv", "tool", "install", "--quiet", PROJECT["name"])
    yield made
    shutil.rmtree(made.dist.parent)  # the cache and three environments


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    return make_repo({"a.py": "x = 1\n"})


# --- what is inside -------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_nothing_else(release: Release) -> None:
    package = {name for name in release.files if name.startswith("orgguard_mcp/")}
    assert {"orgguard_mcp/data/knowledge.txt", "orgguard_mcp/data/weights.txt"} <= package
    with zipfile.ZipFile(release.wheel()) as wheel:
        held = set(wheel.namelist())
    info = f"orgguard_mcp-{VERSION}.dist-info"
    licences = {f"{info}/licenses/{name}" for name in PROJECT["license-files"]}
    records = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    assert held == package | licences | records


def test_the_sdist_holds_what_the_wheel_is_made_of(release: Release) -> None:
    (sdist,) = release.dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        top = {name.split("/")[1] for name in archive.getnames()}
    project = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "orgguard_mcp"}
    assert top == project | {"PKG-INFO", ".gitignore"}  # the build backend adds these two


def test_the_sdist_builds_the_same_wheel_as_the_checkout(release: Release, tmp_path: Path) -> None:
    release.run("uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, release.source)
    assert (tmp_path / release.wheel().name).read_bytes() == release.wheel().read_bytes()


def test_the_bundle_holds_the_wheel_as_it_is_released(release: Release) -> None:
    with zipfile.ZipFile(release.dist / "orgguard.mcpb") as bundle:
        held = {name: bundle.read(name) for name in bundle.namelist()}
    wheel = release.wheel()
    assert set(held) == {"manifest.json", "pyproject.toml", "server.py", wheel.name}
    assert held[wheel.name] == wheel.read_bytes()
    assert json.loads(held["manifest.json"]) == MANIFEST
    assert tomllib.loads(held["pyproject.toml"].decode())["project"]["version"] == VERSION


# --- how it starts --------------------------------------------------------------------------------


def test_what_is_installed_checks_names(release: Release, repo: Repo) -> None:
    program = release.installed / "orgguard"
    environment = release.environment()
    version = _run(program, "--version", env=environment)
    assert version.stdout == f"orgguard {VERSION}\n"
    done = _run(program, "check", COINED, cwd=repo.path, env=environment)
    assert done.returncode == 1
    assert done.stdout.startswith(f"ask    {COINED}: unknown")


def _installed(release: Release, repo: Repo, _: Path) -> tuple[list[str], dict[str, str]]:
    return [str(release.installed / "orgguard-mcp")], {}


def _uvx(release: Release, repo: Repo, _: Path) -> tuple[list[str], dict[str, str]]:
    """As a registry's client starts it: the hint, the package, its arguments."""
    given = {"--repo": str(repo.path), "--hold": "1"}
    arguments = [f"{a['name']}={given[a['name']]}" for a in PACKAGE["packageArguments"]]
    package = f"{PACKAGE['identifier']}@{PACKAGE['version']}"
    return [PACKAGE["runtimeHint"], package, *arguments], {}


def _plugin(release: Release, repo: Repo, _: Path) -> tuple[list[str], dict[str, str]]:
    """As Claude Code starts the plugin's server, where uv alone is installed."""
    server = _json("plugin/.mcp.json")["mcpServers"]["orgguard"]
    command = [server["command"], *server["args"]]
    return [word.replace("${CLAUDE_PLUGIN_ROOT}", str(PLUGIN)) for word in command], {}


def _plugin_installed(release: Release, repo: Repo, at: Path) -> tuple[list[str], dict[str, str]]:
    without_uvx = {"PATH": f"{release.installed}{os.pathsep}{at}"}
    for tool in ("git", "sh"):
        (at / tool).symlink_to(release.tools / tool)
    return _plugin(release, repo, at)[0], without_uvx


def _bundle(release: Release, repo: Repo, at: Path) -> tuple[list[str], dict[str, str]]:
    """As an .mcpb host starts it: unpacked somewhere, with the user's settings filled in."""
    with zipfile.ZipFile(release.dist / "orgguard.mcpb") as bundle:
        bundle.extractall(at)  # noqa: S202  # made by this project a moment ago
    release.run("uv", "sync", "--quiet", "--directory", at)  # its first start would
    config = MANIFEST["server"]["mcp_config"]
    filled = {"${__dirname}": str(at), "${user_config.repository}": str(repo.path)}
    return [config["command"], *(filled.get(word, word) for word in config["args"])], {}


@pytest.mark.parametrize("way", [_installed, _uvx, _plugin, _plugin_installed, _bundle])
def test_each_way_starts_a_server_that_answers(
    release: Release, repo: Repo, tmp_path: Path, way: Callable[..., Any]
) -> None:
    at = tmp_path / "at"
    at.mkdir()
    command, variables = way(release, repo, at)
    # What is installed is at hand: a start that waits for an index would fail with it.
    environment = release.environment(UV_OFFLINE="1", **variables)
    program = shutil.which(command[0], path=environment["PATH"])
    assert program
    answer, child = _ask(StdioServerParameters(
        command=program, args=command[1:], env=environment, cwd=repo.path
    ))  # fmt: skip
    (name,) = answer["names"]
    assert (name["name"], name["effect"]) == (COINED, "ask")
    assert answer["base"] == repo.git("rev-parse", "HEAD")
    assert child != "sh", "a shell between the client and the server hides who asked"


def _ask(server: StdioServerParameters) -> tuple[dict[str, Any], str]:
    """The server's answer on a coined name, and what this process sees as its child."""

    async def ask() -> tuple[dict[str, Any], str]:
        before = set(psutil.Process().children())  # what other tests may have left behind
        with anyio.fail_after(PATIENCE):
            async with Client(server) as client:
                result = await client.call_tool("check_name", {"name": COINED})
                (child,) = set(psutil.Process().children()) - before
                assert result.structured_content
                return result.structured_content, child.name()

    return anyio.run(ask)


# --- the plugin's hooks ---------------------------------------------------------------------------


def _hooks() -> dict[str, dict[str, Any]]:
    """The plugin's one hook for each event."""
    events = _json("plugin/hooks/hooks.json")["hooks"]
    return {event: hook for event, (entry,) in events.items() for hook in entry["hooks"]}


def _hook(event: str, path: Path) -> subprocess.CompletedProcess[str]:
    """The plugin's hook for *event*, as Claude Code runs it, with *path* as the whole PATH."""
    (path / "sh").symlink_to(str(shutil.which("sh")))
    environment = {"PATH": str(path), "CLAUDE_PLUGIN_ROOT": str(PLUGIN)}
    return _run("sh", "-c", _hooks()[event]["command"], env=environment)


@pytest.mark.parametrize("event", ["PreToolUse", "PostToolUse"])
def test_a_hook_without_orgguard_blocks_and_says_what_to_install(
    tmp_path: Path, event: str
) -> None:
    done = _hook(event, tmp_path)
    assert done.returncode == 2
    assert "names were not checked" in done.stderr
    assert "pipx install orgguard-mcp" in done.stderr


def test_a_last_word_that_cannot_be_had_does_not_keep_claude_going(tmp_path: Path) -> None:
    assert _hook("Stop", tmp_path).returncode == 1


@pytest.mark.parametrize("status", [0, 1, 2, 3, 127, 139])
@pytest.mark.parametrize("program", ["orgguard", "uvx"])
@pytest.mark.parametrize(("event", "unable"), [("PreToolUse", 2), ("Stop", 1)])
def test_a_hook_says_yes_or_no_and_nothing_else(
    tmp_path: Path, event: str, unable: int, program: str, status: int
) -> None:
    ending = tmp_path / program
    ending.write_text(f'#!/bin/sh\necho "$@" >&2\nexit {status}\n')
    ending.chmod(0o755)
    done = _hook(event, tmp_path)
    assert done.returncode == {0: 0, 2: 2}.get(status, unable)
    assert done.stderr.endswith("hook claude\n")


def test_the_hooks_are_those_that_init_writes() -> None:
    """But for how the command is found."""
    (target,) = CLIENTS["claude"].targets
    part = target.part()
    assert isinstance(part, Entries)
    written = {entry.keys[-1]: entry.value for entry in part.entries if isinstance(entry, Item)}
    shipped = _json("plugin/hooks/hooks.json")["hooks"]
    for (group,) in shipped.values():
        (hook,) = group["hooks"]
        script, _, command = hook["command"].partition('.sh" ')
        assert script == 'sh "${CLAUDE_PLUGIN_ROOT}/scripts/orgguard'
        hook["command"] = f"orgguard {command[2:]}"  # the number is what failure is told by
    assert {event: [value] for event, value in written.items()} == shipped


def test_every_event_has_a_hook_with_time_to_spare() -> None:
    hooks = _hooks()
    assert set(hooks) == {"PreToolUse", "PostToolUse", "Stop"}
    assert all(hook["timeout"] > HOOK_DEADLINE for hook in hooks.values())
    assert hooks["PreToolUse"]["onFailure"] == hooks["PostToolUse"]["onFailure"] == "block"


def test_the_hooks_see_what_writes_and_what_may_have_written() -> None:
    events = _json("plugin/hooks/hooks.json")["hooks"]
    shells = ["Bash", "PowerShell", "Monitor"]
    files = ["Write", "Edit", "MultiEdit", "NotebookEdit"]
    tools = [*shells, *files, "mcp__a__create_issue", "mcp__plugin_a_b__create_issue", "Read"]
    seen = {
        event: [tool for tool in tools if re.search(events[event][0]["matcher"], tool)]
        for event in ("PreToolUse", "PostToolUse")
    }
    assert seen == {"PreToolUse": tools[:-1], "PostToolUse": shells}


# --- what is said of it ---------------------------------------------------------------------------


def test_versions_agree() -> None:
    (listed,) = _json(".claude-plugin/marketplace.json")["plugins"]
    pinned = re.search(r"orgguard-mcp==(\S+)", (PLUGIN / "scripts/orgguard.sh").read_text())
    heading = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert pinned
    assert heading
    versions = {
        SERVER["version"], PACKAGE["version"], listed["version"], MANIFEST["version"],
        _json("plugin/.claude-plugin/plugin.json")["version"], pinned[1], __version__,
    }  # fmt: skip
    assert versions == {VERSION}
    assert heading[1] in {"Unreleased", VERSION}


def test_descriptions_and_licences_agree() -> None:
    plugin = _json("plugin/.claude-plugin/plugin.json")
    (listed,) = _json(".claude-plugin/marketplace.json")["plugins"]
    described = {d["description"] for d in (plugin, listed, MANIFEST, SERVER)}
    assert described == {PROJECT["description"]}
    assert len(SERVER["description"]) <= 100  # the registry's limit
    assert {d["license"] for d in (plugin, listed, MANIFEST)} == {PROJECT["license"]}


def test_uvx_and_pipx_find_a_script_of_the_packages_name() -> None:
    assert PACKAGE["identifier"] == PROJECT["name"]
    assert PROJECT["scripts"][PROJECT["name"]] == "orgguard_mcp.cli:serve"


def test_the_marketplace_lists_the_plugin_where_it_lies() -> None:
    (listed,) = _json(".claude-plugin/marketplace.json")["plugins"]
    plugin = ROOT / listed["source"] / ".claude-plugin/plugin.json"
    assert json.loads(plugin.read_text())["name"] == listed["name"]


def test_every_variable_that_the_registry_lists_is_read() -> None:
    source = "".join(path.read_text() for path in (ROOT / "orgguard_mcp").rglob("*.py"))
    for variable in PACKAGE["environmentVariables"]:
        assert f'"{variable["name"]}"' in source


def test_the_bundle_lists_the_servers_tools_and_asks_for_what_it_needs() -> None:
    served = {tool["name"] for tool in _json("tests/golden/tools.json")["tools"]}
    assert {tool["name"] for tool in MANIFEST["tools"]} == served
    needed = re.findall(r"\$\{user_config\.(\w+)\}", json.dumps(MANIFEST["server"]))
    assert set(needed) == set(MANIFEST["user_config"])
    assert MANIFEST["compatibility"]["runtimes"]["python"] == PROJECT["requires-python"]


def test_the_readme_proves_to_the_registry_whose_the_package_is() -> None:
    (marker,) = re.findall(r"mcp-name: (\S+)", (ROOT / PROJECT["readme"]).read_text())
    assert marker == SERVER["name"]


def test_every_placeholder_is_listed_for_the_first_release() -> None:
    _, _, release = (ROOT / "docs/distribution.md").read_text().partition("## To cut a release")
    rows = re.findall(r"^\| (`[^|]+) \|", release.partition("1. **Number.**")[0], re.MULTILINE)
    shipped = (name for name in _committable() if not name.startswith("tests/"))
    holding = {name for name in shipped if re.search(rb"\bOWNER/", (ROOT / name).read_bytes())}
    assert holding == {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_deep_link_is_what_the_registry_says() -> None:
    config = {"command": PACKAGE["runtimeHint"], "args": [PACKAGE["identifier"]]}
    packed = quote(base64.b64encode(json.dumps(config, separators=(",", ":")).encode()), safe="")
    link = f"{DEEP_LINK}?name=orgguard&config={packed}"
    pages = "".join((ROOT / page).read_text() for page in ("README.md", "docs/distribution.md"))
    assert set(re.findall(rf"{re.escape(DEEP_LINK)}\?[^\s)`]+", pages)) == {link}
