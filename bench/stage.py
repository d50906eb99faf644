"""The stage of `team.py`: the shared server with all that it stands on, one run of a load on it,
and what must be so at the end.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import crowd
from bench.crowd import Answered, Asked, Scene, Signals, Told
from bench.ruin import Fault, Noted
from orgguard_mcp.guard import Guard
from orgguard_mcp.mirrors import Mirrors
from orgguard_mcp.model import Answer, Decision, Scope
from orgguard_mcp.names import parse
from orgguard_mcp.storage import pg_ledger
from orgguard_mcp.storage.pg_log import draft
from tests.callers import Caller
from tests.database import Server
from tests.hosts import Host, make_token
from tests.ledgers import BASE, DAY, an_ask
from tests.names import COINED, FOURTH, THIRD
from tests.simulator import Repo

SPAWN = multiprocessing.get_context("spawn")
INSTANCES = 2
GENERATORS = 2
DRAIN_SECONDS = 120.0
"""How long agents may take at the end to be told about their last names."""

AGENTS_OF_A_TOKEN = 5
SETTINGS = """
mirrors = "{mirrors}"
open_repositories = 1000
hold_seconds = {hold}
fetch_seconds = {fetch}
[limits]
calls_per_second = 100000.0
burst = 100000
calls_at_once = 10000
"""


@dataclass(frozen=True)
class Load:
    """How much there is of everything. With a *pace*, approvers answer so many names a second
    together; else as fast as they can.
    """

    agents: int = 500
    repositories: int = 25
    names: int = 0
    """Settled in each repository before."""
    approvers: int = 20
    pace: float = 0.0
    hold: float = 25.0
    fetch: float = 60.0
    seconds: float = 60.0
    warm: float = 20.0
    """Seconds for which the load is on before anything is counted: at first all ask at once."""


# --- the server and what it stands on -------------------------------------------------------------


class Team:
    """A database, mirrors, and instances that serve them. A context manager."""

    def __init__(
        self, load: Load, server: Server, url: str, folder: Path, mirrors: Path
    ) -> None:  # fmt: skip
        self.server = server
        self.names = [f"team/n{number}" for number in range(load.repositories)]
        self.mirrors = Mirrors(mirrors)
        self.hosts: list[Host] = []
        self.ports = [_free_port() for _ in range(INSTANCES)]
        self._settings = folder / "server.toml"
        self._settings.write_text(
            SETTINGS.format(mirrors=mirrors, hold=load.hold, fetch=load.fetch)
        )
        self._url = url
        self._origins = folder / "origins"
        for name in self.names:
            files = {"a.py": f"class {THIRD}: ...\n", ".orgguard/policy.toml": _policy(name)}
            origin = Repo(self._origins / name)
            origin.commit(files)
            self.mirrors.add(name, f"file://{origin.path}")
            if load.names:
                with Guard(self.mirrors.path(name)) as guard:
                    fill(guard, load.names)
        server.execute("VACUUM ANALYZE")
        made = (make_token("ask") for _ in range(max(1, load.agents // AGENTS_OF_A_TOKEN)))
        self.tokens = tuple(text for _, text in made)

    def __enter__(self) -> Team:
        for number in range(INSTANCES):
            self.hosts.append(self.started(number))
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            host.__exit__()

    def started(self, number: int) -> Host:
        """An instance, begun again at its own address; it listens when it says so."""
        address = f"127.0.0.1:{self.ports[number]}"
        store = f"{self._url}&application_name=instance{number}"
        return Host(self._settings, "--listen", address, ORGGUARD_STORE=store).__enter__()

    def publish(self, number: int) -> Callable[[], bool]:
        """Let the first remote get a name; return what tells whether an instance knows it."""
        name = f"{FOURTH}{'abcdefghij'[number]}"
        Repo(self._origins / self.names[0]).commit({f"{name}.py": f"class {name}: ...\n"})

        async def effect() -> str:
            caller = Caller(self.scene.addresses[0], self.tokens[0])
            reply = await caller.call(self.names[0], "check_name", name=name)
            caller.close()
            return str(reply["effect"])

        return lambda: asyncio.run(effect()) == "allow"

    @property
    def scene(self) -> Scene:
        """Where everything is."""
        addresses = tuple(f"127.0.0.1:{port}" for port in self.ports)
        return Scene(self.mirrors.directory, tuple(self.names), addresses, self.tokens)


def _policy(name: str) -> str:
    return f'repository = "{name}"\n'


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def fill(guard: Guard, names: int) -> None:
    """Settle *names* in the log at once: entries as any other."""
    ledger = guard.ledger
    assert isinstance(ledger, pg_ledger.PostgresLedger)

    def act(db: Any, _: bool) -> None:  # noqa: ANN401
        with ledger._log.writing(db) as log:  # noqa: SLF001
            for number in range(names):
                _settle(log, f"{number:08x}", f"{COINED} {number}")

    ledger._session.write(act)  # noqa: SLF001


def _settle(log: Any, request_id: str, name: str) -> None:  # noqa: ANN401
    parsed = parse(name)
    asked = draft("request", {
        "key": parsed.key, "surface": name, "base": BASE.commit, "base_reason": BASE.reason,
    })  # fmt: skip
    refused = Decision(
        request_id, parsed.key, Answer.REFUSE, Scope(), "", "test", "somebody", time.time()
    )
    log.append(request_id, asked, -DAY)  # as what was asked days ago
    log.append(request_id, pg_ledger._place(an_ask()))  # noqa: SLF001
    log.append(request_id, pg_ledger._decision_draft(refused))  # noqa: SLF001


# --- what a run costs -----------------------------------------------------------------------------


def spent(process: psutil.Process) -> float:
    """CPU seconds of a process, of its children, and of those that it had."""
    times = process.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in process.children(recursive=True):
        try:
            own = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += own.user + own.system
    return float(total)


@dataclass
class Meter:
    """CPU seconds by who spent them, and of the whole machine."""

    processes: dict[str, list[psutil.Process]]

    def read(self) -> dict[str, float]:
        """As of now."""
        by_part = {part: sum(map(spent, found)) for part, found in self.processes.items()}
        busy = psutil.cpu_times()
        return by_part | {"machine": sum(busy) - busy.idle - busy.iowait - busy.guest}


def connections(server: Server, number: int) -> int:
    """What an instance has to the database."""
    rows = server.execute(
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'instance{number}'"
    )
    return int(str(rows[0][0]))


# --- one run --------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What was measured in one run, and found at its end."""

    load: Load
    window: tuple[float, float]
    asked: Asked
    given: list[Answered]
    floor: list[tuple[float, float]]
    cpu: dict[str, float]
    memory: list[int]
    held: list[int]
    """Connections of each instance to the database."""
    troubles: Counter[str]
    noted: Noted = field(default_factory=Noted)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    entries: int = 0

    @property
    def settled(self) -> float:
        """Names a second."""
        begin, end = self.window
        return sum(begin <= one.at < end for one in self.asked.told) / (end - begin)

    @property
    def delays(self) -> list[float]:
        """Seconds from the return of an approver's `decide` to the agent's having the answer."""
        decided = {(one.repository, one.request_id): one.at for one in self.given}
        begin, end = self.window
        return [
            one.at - decided[one.repository, one.request_id]
            for one in self.asked.told
            if begin <= one.at < end and (one.repository, one.request_id) in decided
        ]

    @property
    def stall(self) -> float:
        """The longest time within which nobody was told anything."""
        begin, end = self.window
        at = sorted(one.at for one in self.asked.told if begin <= one.at < end)
        return max(after - before for before, after in pairwise([begin, *at, end]))

    def within(self, taken: Iterable[tuple[float, float]]) -> list[float]:
        """How long those took that began within what is measured."""
        begin, end = self.window
        return [seconds for at, seconds in taken if begin <= at < end]


def run(load: Load, team: Team, fault: Fault | None = None) -> Outcome:
    """Put *load* on *team* for its time, with a *fault* if given, and compare at the end."""
    signals = Signals(SPAWN.Event(), SPAWN.Event(), SPAWN.Event())
    asking, answering, noticing = SPAWN.Queue(), SPAWN.Queue(), SPAWN.Queue()
    scene = team.scene
    each = load.approvers // GENERATORS
    pace = load.approvers / load.pace if load.pace else 0.0
    agents = [
        _process(crowd.agents, range(me, load.agents, GENERATORS), scene, signals, asking)
        for me in range(GENERATORS)
    ]
    approvers = [
        _process(crowd.approvers, each, pace, names, scene, signals, answering)
        for me in range(GENERATORS)
        if (names := team.names[me::GENERATORS])
    ]
    if not fault:
        _process(crowd.notices, team.server.url, signals, noticing)
    try:
        _ready(team)
        signals.begin.set()
        outcome = _measured(load, team, fault, {"agents": agents, "approvers": approvers})
        signals.finish.set()
        outcome.asked = _joined([_result(asking, signals) for _ in agents])
    finally:
        for signal in (signals.begin, signals.finish, signals.leave):
            signal.set()
    outcome.floor = [] if fault else noticing.get(timeout=60)
    for _ in approvers:
        given, failed = answering.get(timeout=60)
        outcome.given += given
        outcome.troubles += failed
    compare(outcome, team)
    return outcome


def _process(target: Callable[..., None], *arguments: object) -> Any:  # noqa: ANN401
    process = SPAWN.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def _result(asking: Any, signals: Signals) -> Asked:  # noqa: ANN401
    """What one process of agents did; those that are not told in time are sent home."""
    try:
        return asking.get(timeout=DRAIN_SECONDS)  # type: ignore[no-any-return]
    except queue.Empty:
        signals.leave.set()
        return asking.get(timeout=60)  # type: ignore[no-any-return]


def _ready(team: Team) -> None:
    """Every instance has opened every repository, as it has after its first minutes."""

    async def visit(address: str) -> None:
        caller = Caller(address, team.tokens[0])
        for name in team.names:
            while "names" not in await caller.call(name, "check_name", name=COINED):
                pass
        caller.close()

    async def all_of_them() -> None:
        await asyncio.gather(*map(visit, team.scene.addresses))

    asyncio.run(all_of_them())


def _measured(load: Load, team: Team, fault: Fault | None, parts: dict[str, list[Any]]) -> Outcome:
    time.sleep(load.warm)
    pids = {part: [one.pid for one in found] for part, found in parts.items()}
    pids |= {"database": [team.server._process.pid]}  # type: ignore[union-attr]  # noqa: SLF001
    pids |= {"instances": [host.process.pid for host in team.hosts]}
    meter = Meter({part: [psutil.Process(pid) for pid in found] for part, found in pids.items()})
    before, begin = (None if fault else meter.read()), time.monotonic()
    noted = Noted()
    if fault:
        fault(team, begin + load.seconds, noted)
    time.sleep(max(0.0, begin + load.seconds - time.monotonic()))
    end = time.monotonic()
    cpu = {part: used - before[part] for part, used in meter.read().items()} if before else {}
    memory = [psutil.Process(host.process.pid).memory_info().rss for host in team.hosts]
    held = [connections(team.server, number) for number in range(INSTANCES)]
    return Outcome(load, (begin, end), Asked(), [], [], cpu, memory, held, Counter(), noted)


def _joined(found: Sequence[Asked]) -> Asked:
    joined = Asked()
    for one in found:
        joined.told += one.told
        joined.acknowledged |= one.acknowledged
        joined.checked += one.checked
        joined.stored += one.stored
        joined.answered += one.answered
        joined.troubles += one.troubles
        joined.wrong += one.wrong
    return joined


# --- what must be so at the end -------------------------------------------------------------------


def compare(outcome: Outcome, team: Team) -> None:
    """Find what was lost or doubled, by the ledgers and what agents were told."""
    told: dict[tuple[str, str], list[Told]] = {}
    for one in outcome.asked.told:
        told.setdefault((one.repository, one.name), []).append(one)
    outcome.doubled += outcome.asked.wrong
    for repository in team.names:
        with Guard(team.mirrors.path(repository)) as guard:
            guard.ledger.verify()
            _compare(outcome, repository, guard, told)


def _compare(
    outcome: Outcome, repository: str, guard: Guard, told: dict[tuple[str, str], list[Told]]
) -> None:
    requests = [one for one in guard.ledger.requests() if "x" in one.name.surface]
    named = Counter(one.name.surface for one in requests)
    decided = Counter(one.request_id for one in guard.ledger.decisions())
    answers = {one.request_id: one.answer for one in guard.ledger.decisions()}
    outcome.entries += len(requests) * 3
    outcome.doubled += [
        f"{name}: asked {count} times" for name, count in named.items() if count > 1
    ]
    outcome.doubled += [f"{one}: decided {n} times" for one, n in decided.items() if n > 1]
    outcome.lost += [
        f"{name}: acknowledged, not in the ledger"
        for place, name in outcome.asked.acknowledged
        if place == repository and name not in named
    ]
    statuses = {Answer.GRANT: "granted", Answer.REFUSE: "refused"}
    for request in requests:
        heard = told.get((repository, request.name.surface), [])
        status = statuses.get(answers.get(request.id, Answer.WITHDRAW), "nobody answered")
        if not heard:
            outcome.lost.append(f"{request.id}: {status}, and nobody was told")
        outcome.doubled += [
            f"{request.id}: {status}, told {one.status}" for one in heard if one.status != status
        ]
