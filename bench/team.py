"""The shared server under the load of a company: agents and approvers at two instances, one store.

    .venv/bin/python bench/team.py [--by agents|repositories|names|faults] [--seconds N] …

All of it is real and on this machine: PostgreSQL, mirrors, two instances as child processes, agents
that go to either at random, approvers who decide as `orgguard review` does. At the end the ledgers
are compared with what agents were told, and the exit code is 1 when anything was lost or doubled.
Without `--by` one run; with it, one for each row.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import ruin
from bench.ruin import Fault, Lines
from bench.stage import Load, Outcome, Team, run
from tests.database import Server
from tests.ledgers import KEY, write_keys

# --- tables ---------------------------------------------------------------------------------------


def quantile(seconds: Sequence[float], part: float) -> float:
    """In milliseconds."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 if ordered else 0.0


def both(seconds: Sequence[float]) -> str:
    """The median and the 99th percentile, in milliseconds."""
    return f"{quantile(seconds, 0.5):.0f} / {quantile(seconds, 0.99):.0f}"


HEAD = (
    "| agents | repos | names before | settled /s | decision to agent | stored | check_name"
    " | first answer | CPU ms a name: instances, database, approvers | generator's share"
    " | machine busy | MB | connections | lost | doubled |"
)


def row(outcome: Outcome) -> str:
    """One run as a line of the table; times as median / 99th percentile in milliseconds."""
    load, cpu, asked = outcome.load, outcome.cpu, outcome.asked
    seconds = outcome.window[1] - outcome.window[0]
    names = max(1.0, outcome.settled * seconds)
    ours = sum(used for part, used in cpu.items() if part != "machine") or 1.0
    each = ", ".join(
        f"{cpu.get(part, 0) / names * 1000:.0f}" for part in ("instances", "database", "approvers")
    )
    return (
        f"| {load.agents} | {load.repositories} | {load.names} | {outcome.settled:.1f}"
        f" | {both(outcome.delays)} | {both(outcome.within(asked.stored))}"
        f" | {both(outcome.within(asked.checked))} | {both(outcome.within(asked.answered))}"
        f" | {each} | {cpu.get('agents', 0) / ours:.0%}"
        f" | {cpu.get('machine', 0) / seconds / (os.cpu_count() or 1):.0%}"
        f" | {', '.join(f'{one / 1e6:.0f}' for one in outcome.memory)}"
        f" | {', '.join(map(str, outcome.held))} | {len(outcome.lost)} | {len(outcome.doubled)} |"
    )


def show(outcome: Outcome) -> int:
    """Print a run's line, and what should not be passed over; how much was lost or doubled."""
    print(row(outcome), flush=True)
    notice = outcome.within(outcome.floor)
    if notice and outcome.delays:
        times = median(outcome.delays) / median(notice)
        print(f"    a bare notice {both(notice)} ms: decision to agent is {times:.0f} of these")
    return troubles(outcome)


def troubles(outcome: Outcome) -> int:
    """Print calls that failed, and what must never be; how much there is of that."""
    failed = outcome.asked.troubles + outcome.troubles
    print(f"    {dict(failed)}", flush=True)
    wrong = outcome.lost + outcome.doubled
    for what in wrong[:10]:
        print(f"    WRONG {what}", flush=True)
    return len(wrong)


@dataclass(frozen=True)
class Places:
    """Where things are, if not where they usually are."""

    database: Path | None = None
    mirrors: Path | None = None
    cut: bool = False


def one_run(load: Load, breaks: Callable[[Lines | None], Fault | None], places: Places) -> Outcome:
    """Set everything up, put the load on, and take it down again. *breaks* says what goes wrong."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orgguard-team-")))
        server = stack.enter_context(closing(_server(places.database)))
        os.environ.update(
            HOME=str(folder), GIT_CONFIG_NOSYSTEM="1", ORGGUARD_WARM="0",
            GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@example.com",
            GIT_COMMITTER_NAME="A", GIT_COMMITTER_EMAIL="a@example.com",
            ORGGUARD_STORE=server.url,
            ORGGUARD_STORE_KEY_FILE=str(write_keys(folder / "store.key", KEY)),
        )  # fmt: skip
        lines = stack.enter_context(Lines(server.folder)) if places.cut else None
        url = server.url.replace(str(server.folder), str(lines.folder)) if lines else server.url
        mirrors = places.mirrors or folder
        team = Team(load, server, url, folder, mirrors / "mirrors")
        return run(load, stack.enter_context(team), breaks(lines))


def _server(disk: Path | None) -> Server:
    """A database, on *disk* if it is to be there."""
    usual = tempfile.tempdir
    tempfile.tempdir = str(disk) if disk else usual
    try:
        return Server()
    finally:
        tempfile.tempdir = usual


def _nothing(_: Lines | None) -> None:
    """Nothing goes wrong."""


FAULTS = ("instances", "database", "connections", "database-disk", "mirrors-disk")


def with_fault(load: Load, what: str) -> Outcome:
    """A run with one of `FAULTS`."""
    if what == "instances":
        return one_run(load, lambda _: ruin.kill_instances, Places())
    if what == "database":
        return one_run(load, lambda _: ruin.kill_database, Places())
    if what == "connections":
        return one_run(load, lambda lines: lines.breaks if lines else None, Places(cut=True))
    if what == "database-disk":
        with ruin.small_disk(ruin.DATABASE_DISK) as disk:
            return one_run(load, lambda _: ruin.fill_database(disk), Places(database=disk))
    with ruin.small_disk(ruin.MIRRORS_DISK) as disk:
        often = replace(load, fetch=2.0)
        return one_run(often, lambda _: ruin.fill_mirrors(disk), Places(mirrors=disk))


def faults(load: Load, kinds: Sequence[str]) -> int:
    """Print what is lost, and for how long, when each thing goes wrong under *load*; how many names
    that are.
    """
    print("| what | times | ready again s | longest without an answer s | settled /s"
          " | lost | doubled |")  # fmt: skip
    return sum(show_fault(with_fault(load, what)) for what in kinds)


def show_fault(outcome: Outcome) -> int:
    """Print a line for each kind of fault of a run; how much was lost or doubled."""
    for what, count in Counter(what for what, _, _ in outcome.noted.faults).items():
        taken = [seconds for kind, _, seconds in outcome.noted.faults if kind == what]
        print(
            f"| {what} | {count} | {median(taken):.1f}, at most {max(taken):.1f}"
            f" | {outcome.stall:.1f} | {outcome.settled:.1f} | {len(outcome.lost)}"
            f" | {len(outcome.doubled)} |",
            flush=True,
        )
    return troubles(outcome)


def main() -> int:
    """Measure what was asked for; 1 when anything was lost or doubled."""
    parser = argparse.ArgumentParser(description="the shared server under load")
    parser.add_argument("--fault", choices=FAULTS, help="of `--by faults`, one alone")
    parser.add_argument("--by", choices=["agents", "repositories", "names", "faults"])
    for name, value in vars(Load()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = vars(parser.parse_args())
    by, fault = options.pop("by"), options.pop("fault")
    load = Load(**options)
    if by == "faults":
        return int(bool(faults(load, [fault] if fault else FAULTS)))
    grown: dict[str | None, list[Load]] = {
        None: [load],
        "agents": [replace(load, agents=count) for count in (50, 100, 250, 500)],
        "repositories": [replace(load, repositories=count) for count in (1, 5, 25, 100)],
        "names": [replace(load, repositories=5, names=count) for count in (0, 1000, 10_000)],
    }
    print(f"{HEAD}\n|{' --- |' * (HEAD.count('|') - 1)}")
    return int(bool(sum(show(one_run(one, _nothing, Places())) for one in grown[by])))


if __name__ == "__main__":
    sys.exit(main())
