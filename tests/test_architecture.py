"""The shape of the house, kept by tests: imports go one way, each outside thing has one owner."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "orgguard_mcp"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

LAYERS = [
    {"errors", "warm"},
    {"gitfaults", "access", "web", "layout"},
    {"gitobject"},
    {"git", "knowledge", "progress", "rawdiff", "console", "advice", "secretfile"},
    {"names"},
    {"lexicon", "detect.stretch", "upstream"},
    {"detect.blobs", "detect.escapes", "detect.literals"},
    {"detect.decode", "detect.shape", "detect.weights"},
    {"reserved", "protected"},
    {"model"},
    {"audit", "base", "options", "written", "fingerprints", "snapshot", "terms"},
    {"fileclass", "mentions", "uses", "display", "consent", "repository", "event", "approvers"}
    | {"grants"},
    {"signing", "approval", "landmarks", "logs", "mirrors"},
    {"grantbook"},
    {"lines", "incident.__init__", "incident.everything", "incident.history", "incident.traces"},
    {"messages", "diff", "archives", "incident.remedy", "githooks"},
    {"packages", "incident.matcher"},
    {"change"},
    {"detect.spans", "detect.regions", "detect.grammar", "incident.search"},
    {"detect.locators", "detect.places", "detect.prose"},
    {"detect.cues", "detect.reading"},
    {"detect.gather"},
    {"detect.features"},
    {"detect.reasons"},
    {"detect.weigh"},
    {"detect.__init__"},
    {"policy", "tokenise", "sweep"},
    {"notary"},
    {"storage.segments"},
    {"bulk.__init__", "bulk.text"},
    {"bulk.keys", "bulk.marks"},
    {"bulk.segment"},
    {"workers"},
    {"storage.bell", "storage.seal", "storage.pg_pool", "storage.verified"},
    {"storage.pg_session"},
    {"storage.store", "storage.pg_schema", "storage.pg_bell"},
    {"storage.chain", "storage.pg_log"},
    {"storage.schema"},
    {"storage.__init__", "storage.catalogue", "storage.ledger", "storage.pg_ledger"}
    | {"storage.pg_reseal", "storage.pg_tokens"},
    {"storage.postings", "storage.opening", "issuers"},
    {"build"},
    {"witness"},
    {"index"},
    {"view"},
    {"guard"},
    {"report.veil", "report.rules"},
    {"report.view"},
    {"report.words"},
    {"report.verdicts", "report.human", "report.document", "report.sarif", "report.gitlab"}
    | {"report.incident", "report.junit", "replies", "form", "agents"},
    {"report.github"},
    {"report.__init__"},
    {"portions"},
    {"crew"},
    {"scan"},
    {"hooks.__init__", "hooks.action", "hooks.patch", "hooks.programs"},
    {"hooks.edits", "hooks.reason", "hooks.supervise"},
    {"hooks.shell"},
    {"hooks.decide", "hooks.tools"},
    {"hooks.payload"},
    {"hooks.claude", "hooks.codex", "hooks.copilot", "hooks.cursor", "hooks.gemini"}
    | {"hooks.opencode", "hooks.qwen"},
    {"endorse"},
    {"waiting", "pipes", "notices", "telemetry"},
    {"docket"},
    {"review", "desk", "hooks.served", "hosting", "limits", "wire"},
    {"hall", "remote"},
    {"server.__init__", "server.asking", "server.auth"},
    {"server.tools"},
    {"server.app", "server.dockets"},
    {"server.stdio", "server.http"},
    {"server.hosted"},
    {"setup.__init__", "setup.texts", "setup.journal"},
    {"setup.jsonc", "setup.toml", "setup.files"},
    {"setup.parts"},
    {"setup.clients"},
    {"setup.plan"},
    {"setup.show"},
    {"doctor.__init__", "doctor.doors", "doctor.scratch"},
    {"doctor.trials"},
    {"commands.__init__", "commands.check", "commands.queue", "commands.scan", "commands.serve"}
    | {"commands.approver", "commands.grants", "commands.incident", "commands.protect"}
    | {"commands.doctor", "commands.hook", "commands.init", "commands.store"}
    | {"commands.audit", "commands.token", "commands.mirror"},
    {"commands.git_hook"},
    {"program"},
    {"hot"},
    {"helper"},
    {"cli"},
    {"__init__", "__main__"},
]
"""A module imports from lower layers only; modules of one layer do not know each other."""

OWNERS = {
    "mcp": {"server.app", "server.asking", "server.auth", "server.dockets", "server.http"}
    | {"server.stdio", "server.tools"},
    "mcp_types": {"server.app", "server.asking", "server.stdio", "server.tools"},
    "starlette": {"server.auth", "server.dockets", "server.http"},
    "uvicorn": {"server.hosted"},
    "pydantic": {"hosting", "remote", "replies", "server.dockets", "server.tools", "wire"},
    "git": set(),  # GitPython: an oracle of the tests, see docs/adr/0003
    "subprocess": {"git", "upstream", "workers", "signing", "doctor.scratch"},
    "sqlite3": {"storage.postings", "storage.ledger", "storage.schema", "storage.chain"}
    | {"storage.segments", "storage.catalogue"},
    "apprise": {"notices"},
    "opentelemetry": {"telemetry"},
    "psycopg": {"storage.pg_pool", "storage.pg_session", "storage.pg_bell"},
    "cryptography": {"storage.seal"},
    "jwt": {"issuers"},
    "numpy": {"bulk.text", "bulk.keys", "bulk.marks", "bulk.segment"},
    "psutil": {"agents"},
    "termios": {"console"},
    "cleanco": {"names"},
    "confusable_homoglyphs": {"names"},
    "publicsuffixlist": {"names"},
    "pathspec": {"fileclass"},
    "tomlkit": {"setup.toml"},
}
DISTRIBUTIONS = {"jwt": "pyjwt", "opentelemetry": "opentelemetry-api"}
"""What a library is called where it is declared, if not as it is imported."""

MAX_LINES = 450
MAX_BODY = 60


def _imports(path: Path) -> set[str]:
    """Every module that *path* imports, at the top or within functions, by full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _own(imported: str) -> str | None:
    """The module of this package that *imported* names, or None."""
    if not imported.startswith("orgguard_mcp."):
        return None
    parts = imported.split(".")[1:]
    for size in (2, 1):
        if ".".join(parts[:size]) in MODULES:
            return ".".join(parts[:size])
    package = f"{parts[0]}.__init__"
    return package if package in MODULES else None


def _layer(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def test_every_module_has_a_layer() -> None:
    assert set().union(*LAYERS) == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    known = {own for imported in _imports(MODULES[module]) if (own := _own(imported))}
    assert {own for own in known if _layer(own) >= _layer(module)} == set()


@pytest.mark.parametrize("library", OWNERS)
def test_each_outside_thing_has_its_owner(library: str) -> None:
    users = {
        module
        for module, path in MODULES.items()
        if any(name.split(".")[0] == library for name in _imports(path))
    }
    assert users == OWNERS[library]


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_stay_small(module: str) -> None:
    text = MODULES[module].read_text()
    assert len(text.splitlines()) <= MAX_LINES
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions) and (node.end_lineno or 0) - node.lineno > MAX_BODY
    ]
    assert long == []


@pytest.mark.parametrize(
    ("door", "forbidden"),
    [
        ("import orgguard_mcp.cli", {"re", "enum", "typing", "argparse", "pathlib", "socket"}),
        ("import orgguard_mcp.warm", {"re", "enum", "typing", "argparse", "pathlib", "socket"}),
        ("import orgguard_mcp.hot", {"mcp", "git", "pydantic", "psutil", "anyio"}),
        ("import orgguard_mcp.commands.git_hook", {"mcp", "git", "pydantic", "psutil", "anyio"}),
        (
            "import orgguard_mcp.guard",
            {"mcp", "git", "pydantic", "psutil", "anyio", "psycopg", "cryptography"},
        ),
        ("import orgguard_mcp.review", {"mcp", "git", "pydantic", "anyio"}),
        ("import orgguard_mcp.server.stdio", {"orgguard_mcp.guard", "sqlite3", "psutil"}),
        ("import orgguard_mcp.server.stdio", {"orgguard_mcp.telemetry", "orgguard_mcp.notices"}),
        ("import orgguard_mcp.telemetry", {"opentelemetry.sdk", "mcp", "requests"}),
        ("import orgguard_mcp.notices", {"apprise", "requests", "opentelemetry"}),
    ],
)
def test_doors_start_without_heavy_libraries(door: str, forbidden: set[str]) -> None:
    code = f"{door}; import sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert forbidden & set(loaded.stdout.split()) == set()


def test_every_import_is_declared() -> None:
    import tomllib

    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    needed = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.split(r"[\[>]", one)[0].lower() for group in needed for one in group}
    used = {name.split(".")[0] for path in MODULES.values() for name in _imports(path)}
    outside = used - set(sys.stdlib_module_names) - {"orgguard_mcp", "mcp_types"}
    assert {DISTRIBUTIONS.get(name, name) for name in outside} <= declared
