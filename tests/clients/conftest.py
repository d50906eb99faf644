"""The labs of the clients' tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.clients.clients import Client
from tests.clients.lab import Lab
from tests.clients.model import FakeModel, Plan
from tests.simulator import Repo

MakeLab = Callable[..., Lab]


@pytest.fixture
def make_lab(make_repo: Callable[..., Repo], tmp_path: Path) -> Iterator[MakeLab]:
    """A factory of labs, whose models end with the test: `make_lab(plan, client, policy)`."""
    with ExitStack() as models:

        def make(plan: Callable[[Path], Plan], client: Client, policy: str = "") -> Lab:
            repo = make_repo({"README.md": "# A project\n", ".orgguard/policy.toml": policy})
            chosen = ["--agent", client.agent] if client.agent else []
            init = [sys.executable, "-m", "orgguard_mcp", "init", "--yes", *chosen]
            subprocess.run(init, cwd=repo.path, check=True, capture_output=True, timeout=60)
            repo.commit()
            return Lab(repo, tmp_path / "home", models.enter_context(FakeModel(plan(repo.path))))

        yield make
