"""The hermetic seal: a home of its own, no user's or system's git settings, no agent's or CI's
variables, fixed dates. What a test sees is what it made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from orgguard_mcp.agents import MARKERS
from orgguard_mcp.storage.store import Store
from tests import database
from tests.ledgers import KEY, InDatabase, InFile, Place, write_keys
from tests.names import COINED
from tests.simulator import Repo

settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")

_DATE = "2026-01-02T03:04:05Z"
_FOREIGN = ("GIT_", "GITHUB_", "ORGGUARD_")


def seal(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Seal the environment of this process and of every one that it starts."""
    for variable in list(os.environ):
        if variable.startswith(_FOREIGN) or variable in MARKERS or variable == "CI":
            patch.delenv(variable)
    for variable, value in {
        "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"), "GIT_EDITOR": "false", "LC_ALL": "C.UTF-8",
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_AUTHOR_DATE": _DATE,
        "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com",
        "GIT_COMMITTER_DATE": _DATE, "TERM": "xterm-256color", "TZ": "UTC",
        "ORGGUARD_WARM": "0",
    }.items():  # fmt: skip
        patch.setenv(variable, value)


@pytest.fixture(autouse=True)
def sealed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seal around each test."""
    seal(monkeypatch, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def sealed_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The seal around what a module's tests share, which is made before the first of them."""
    with pytest.MonkeyPatch.context() as patch:
        seal(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture
def make_repo(tmp_path: Path) -> Callable[..., Repo]:
    """A factory of real repositories: `make_repo({"a.py": "…"})` has one commit on main."""
    count = 0

    def make(files: dict[str, str | bytes] | None = None, **options: bool) -> Repo:
        nonlocal count
        count += 1
        repo = Repo(tmp_path / f"repo{count}", **options)
        if files is not None:
            repo.commit(files)
        return repo

    return make


@pytest.fixture
def project(make_repo: Callable[..., Repo]) -> Repo:
    """A repository of one commit, that others are cloned from."""
    return make_repo({"a.py": "1\n"})


@pytest.fixture
def fork(project: Repo, tmp_path: Path) -> Repo:
    """A clone of *project*; both have gone on since."""
    cloned = project.clone(tmp_path / "fork")
    cloned.git("checkout", "-q", "-b", "feature")
    cloned.commit({"mine.py": f"{COINED} = 1\n"})
    project.commit({"theirs.py": "2\n"})
    cloned.git("fetch", "-q")
    return cloned


@pytest.fixture(scope="session")
def server() -> Iterator[database.Server]:
    """A PostgreSQL server that this process of the tests shares."""
    if not database.BINARIES:
        pytest.skip(database.MISSING)
    started = database.Server()
    yield started
    started.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger's file is."""
    return tmp_path / "ledger.sqlite3"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path, path: Path) -> Place:
    """Where a ledger is, in every engine: what asks for it is the engines' contract."""
    if request.param == "sqlite":
        return InFile(path)
    return InDatabase(request.getfixturevalue("server").url, str(tmp_path))


@pytest.fixture
def ledger(place: Place) -> Iterator[Store]:
    """A new ledger of every engine."""
    opened = place.open()
    yield opened
    opened.close()


@pytest.fixture
def url(server: database.Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    yield server.create(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def here(url: str) -> InDatabase:
    """A ledger in a database of the test's own."""
    return InDatabase(url, "a repository")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The key that `here` is sealed with."""
    return write_keys(tmp_path / "store.key", KEY)


@pytest.fixture
def shared(url: str, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of a machine that uses a shared store; its URL."""
    monkeypatch.setenv("ORGGUARD_STORE", url)
    monkeypatch.setenv("ORGGUARD_STORE_KEY_FILE", str(key_file))
    return url
