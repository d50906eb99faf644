"""What a shared store costs beside a file: by the length of its log, and by how many write at once,
in processes of their own and in the threads of one server.

    .venv/bin/python bench/store.py [entries ...]

The PostgreSQL server is started here, on a socket, with its own defaults (every commit is synced).
The times are of one call, medians; compare the columns of a row: both engines are called in turn.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from orgguard_mcp.model import Answer
from orgguard_mcp.names import parse
from orgguard_mcp.storage.store import Store
from tests.database import Server
from tests.ledgers import InDatabase, InFile, Place, an_ask, answer, ask
from tests.names import COINED

ROUNDS = 30
SECONDS = 5.0
PER_NAME = 3
"""Entries that a name leaves: the question, its place, the decision."""


def settle(ledger: Store, name: str) -> None:
    """Ask about a name, and refuse it."""
    ledger.decide(answer(ask(ledger, name), Answer.REFUSE))


def check(ledger: Store, number: int) -> None:
    """What a check of an undecided name reads."""
    key = parse(f"{COINED} not asked {number}").key
    ledger.decisions(key)
    ledger.open_request(key)


CALLS: dict[str, Callable[[Store, int], object]] = {
    "check a name": check,
    "ask and decide": lambda ledger, _: settle(ledger, f"{COINED} {time.monotonic_ns()}"),
    "verify the whole log": lambda ledger, _: ledger.verify(),
}


def timed(act: Callable[[int], object]) -> float:
    """The median of a call, in milliseconds."""
    taken = []
    for number in range(ROUNDS):
        before = time.perf_counter()
        act(number)
        taken.append(time.perf_counter() - before)
    return statistics.median(taken) * 1000


def grow(place: Place, entries: int) -> None:
    """Fill a log up to *entries*."""
    with closing(place.open()) as ledger:
        for number in range(len(ledger.requests()), entries // PER_NAME):
            settle(ledger, f"{COINED} {number}")


def lengths(places: list[Place], sizes: list[int]) -> None:
    """Print what calls cost at several lengths of the log."""
    print(f"{'entries':>8}  {'call':<22}{'file ms':>9}{'shared ms':>11}")
    for size in sizes:
        for place in places:
            grow(place, size)
        opened = [place.open() for place in places]
        for words, call in CALLS.items():
            row = [timed(lambda n, own=ledger, do=call: do(own, n)) for ledger in opened]
            print(f"{size:>8}  {words:<22}{row[0]:>9.2f}{row[1]:>11.2f}", flush=True)
        for ledger in opened:
            ledger.close()


def _write(place: Place, me: int, told: multiprocessing.Queue[int]) -> None:
    done, until = 0, time.monotonic() + SECONDS
    with closing(place.open()) as ledger:
        while time.monotonic() < until:
            one = an_ask(pid=1000 + me)
            request = ask(ledger, f"{COINED} {me}x{done}", one)
            ledger.decide(answer(request, Answer.REFUSE))
            done += 1
    told.put(done)


def settled(places: list[Place]) -> float:
    """Names settled a second, by a process for each of *places*."""
    told: multiprocessing.Queue[int] = multiprocessing.Queue()
    children = [
        multiprocessing.Process(target=_write, args=(place, me, told))
        for me, place in enumerate(places)
    ]
    for child in children:
        child.start()
    done = sum(told.get() for _ in children)
    for child in children:
        child.join()
    return done / SECONDS


def crowds(file: InFile, shared: InDatabase) -> None:
    """Print how many names are settled at once, in one log and in one for each writer."""
    print(f"\n{'writers':>8}  {'file, 1 log':>12}{'shared, 1 log':>15}{'shared, each its own':>22}")
    for count in (1, 2, 4, 8):
        one = settled([file.another(f"of{count}")] * count)
        two = settled([shared.another(f"of {count}")] * count)
        three = settled([shared.another(f"{count} {me}") for me in range(count)])
        print(f"{count:>8}  {one:>10.0f}/s{two:>13.0f}/s{three:>20.0f}/s", flush=True)


def together(
    places: list[Place], threads: int, call: Callable[[Store, int], object]
) -> tuple[float, int]:
    """Calls a second by the *threads* of this one process, which share the ledgers of *places* as a
    server's do; and the connections that this took.
    """
    opened = [place.open() for place in places]
    barrier = threading.Barrier(threads + 1)

    def work(me: int) -> int:
        mine = opened[me % len(opened) :: threads]
        barrier.wait()
        done, until = 0, time.monotonic() + SECONDS
        while time.monotonic() < until:
            call(mine[done % len(mine)], done)
            done += 1
        return done

    with ExitStack() as stack, ThreadPoolExecutor(threads) as pool:
        for ledger in opened:
            stack.enter_context(closing(ledger))
        running = [pool.submit(work, me) for me in range(threads)]
        barrier.wait()
        time.sleep(SECONDS / 2)
        held = connections(places[0])
        return sum(one.result() for one in running) / SECONDS, held


def connections(place: Place) -> int:
    """How many of OrgGuard's connections the database of *place* has; none for a file."""
    if isinstance(place, InFile):
        return 0
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orgguard'"
    with psycopg.connect(place.url) as asking:
        return int((asking.execute(query).fetchone() or (0,))[0])


def servers(file: InFile, shared: InDatabase) -> None:
    """Print what the threads of one process do at once, on one log and on many."""
    print(f"\n{'threads':>8}  {'call':<16}{'logs':>5}{'file':>10}{'shared':>10}{'connections':>13}")
    for words in ("check a name", "ask and decide"):
        for threads, logs in ((1, 1), (8, 1), (8, 8), (8, 64)):
            names = [f"{words[:3]} {threads} {logs} {log}" for log in range(logs)]
            one, _ = together([file.another(name) for name in names], threads, CALLS[words])
            two, held = together([shared.another(name) for name in names], threads, CALLS[words])
            row = f"{threads:>8}  {words:<16}{logs:>5}{one:>8.0f}/s{two:>8.0f}/s{held:>13}"
            print(row, flush=True)


def main() -> None:
    """Start a server, and measure."""
    sizes = [int(size) for size in sys.argv[1:]] or [300, 3000, 30000]
    server = Server()
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = InFile(Path(folder) / "ledger.sqlite3")
            shared = InDatabase(server.url, "a repository")
            lengths([file, shared], sizes)
            crowds(file, shared)
            servers(file, shared)
    finally:
        server.close()


if __name__ == "__main__":
    main()
