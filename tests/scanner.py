"""A real `orgguard scan` in a child process, and what it said; and a human's answer before it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Answer, Ask, Asker, Scope
from orgguard_mcp.names import canonicalise
from tests.simulator import Repo

Files = dict[str, str | bytes]

FORMATS = ("human", "json", "sarif", "github", "gitlab", "junit")
ORDINARY: Files = {
    "src/app.py": "import os\n\n\ndef load(path):\n    return open(path).read()\n",
    "docs/guide.md": "# Guide\n\nRun the service with the default settings.\n",
}
"""A base that holds no organisation's name."""


class Place(NamedTuple):
    """Where a finding is, as the JSON has it."""

    surface: str
    path: str
    line: int
    column: int


class Scan(NamedTuple):
    """One scan's exit code and output."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything that a log of the scan would keep."""
        return self.out + self.err

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    @property
    def findings(self) -> dict[str, dict[str, Any]]:
        """The findings by key; they must be of a scan that reveals names."""
        return {canonicalise(one["name"]): one for one in self.document["findings"]}

    @property
    def names(self) -> set[str]:
        return set(self.findings)

    def places(self, name: str) -> list[Place]:
        """Where *name* was found."""
        finding = self.findings[canonicalise(name)]
        return [
            Place(at["surface"], at["path"], at["line"], at["column"])
            for at in finding["locations"]
        ]

    def skipped(self, surface: str) -> list[str]:
        """Why something of *surface* was not scanned."""
        row = next(row for row in self.document["coverage"] if row["surface"] == surface)
        return [skipped["reason"] for skipped in row["skipped"]]


def orgguard_scan(
    where: Repo | Path, *options: str, stdin: bytes = b"", **environment: str
) -> Scan:
    """Run `orgguard scan` with no more than *options*, as a hook or a CI job does."""
    done = subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "scan", *options],
        cwd=where.path if isinstance(where, Repo) else where, input=stdin,
        capture_output=True, check=False, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip
    return Scan(done.returncode, done.stdout.decode(), done.stderr.decode())


def scan(where: Repo | Path, *options: str, stdin: bytes = b"", **environment: str) -> Scan:
    """A scan as JSON, with names."""
    return orgguard_scan(
        where, "--format=json", "--reveal", *options, stdin=stdin, **environment
    )  # fmt: skip


def change(
    path: Path, files: Files | None = None, message: str = "Change", *,
    base: Files | None = None, branch: str = "feature",
) -> Repo:  # fmt: skip
    """A repository at *path* with an ordinary base, and a branch whose one commit adds *files*."""
    repo = Repo(path)
    repo.commit({**ORDINARY, **(base or {})}, "Start")
    repo.git("checkout", "-q", "-b", branch)
    repo.commit(files or {}, message)
    return repo


def decide(
    repo: Repo, name: str, answer: Answer, *paths: str, reason: str = "", where: str = "a.py:1",
    channel: str = "test",
) -> None:  # fmt: skip
    """Have a human asked about *name* and answer, for *paths* alone if there are any."""
    with Guard(repo.path) as guard:
        guard.request(name, [Ask(where, "", "", Asker(), 0.0)])
        request = next(r for r in guard.ledger.pending() if r.name.surface == name)
        guard.decide(request, answer, scope=Scope(paths), reason=reason, channel=channel)
