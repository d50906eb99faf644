"""The index against its floor and its peer, in one run.

    python bench/index.py REPOSITORY [--base REVISION] [--moves REVISION ...] [--runs 3]

The floor is every blob of the tree read once by `git cat-file --batch`; the peer is `git grep -I -i
-F -w` for a name that nobody has, on the same tree. CPU is that of this process and its children.
The repository is only read: the index is made in a bare clone beside it that borrows its objects.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import psutil

from orgguard_mcp.guard import Guard

NOBODY = "Zorblattquix"
BATCH = 5000
_SYLLABLES = [a + b for a in "bcdfghjklmnprstvwz" for b in "aeiou"]
_AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "bench"), ("EMAIL", "bench@example.com"))
}


class Cost(NamedTuple):
    """Seconds, of the clock and of processors."""

    wall: float
    cpu: float


def cost(work: Callable[[], object]) -> Cost:
    """What *work* costs."""
    before, started = _cpu(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - started, _cpu() - before)


def _cpu() -> float:
    of = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in of)


def git(
    repository: Path, *args: str, stdin: bytes | None = None,
    variables: Mapping[str, str] | None = None,
) -> bytes:  # fmt: skip
    """What git prints."""
    done = subprocess.run(
        ["git", "-C", str(repository), *args], input=stdin, capture_output=True, check=False,
        env={**os.environ, **(variables or {})},
    )  # fmt: skip
    return done.stdout


def read_all(repository: Path, oids: Sequence[bytes]) -> None:
    """Read *oids* once, and throw them away where they come from."""
    with tempfile.TemporaryFile() as asked:
        asked.write(b"\n".join(oids) + b"\n")
        asked.seek(0)
        subprocess.run(
            ["git", "-C", str(repository), "cat-file", "--batch", "--buffer"],
            stdin=asked, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip


def blobs(repository: Path, revision: str) -> list[bytes]:
    """The ids of all blobs of a revision's tree, each once."""
    rows = git(repository, "ls-tree", "-r", revision).splitlines()
    found = (row.split(b"\t")[0].split() for row in rows)
    return list(dict.fromkeys(oid for _, kind, oid in found if kind == b"blob"))


def text_of(repository: Path, oids: Sequence[bytes]) -> int:
    """How many bytes those of *oids* have that are there."""
    listed = git(repository, "cat-file", "--batch-check=%(objectsize)", stdin=b"\n".join(oids))
    return sum(int(size) for size in listed.split(b"\n") if size.isdigit())


@contextmanager
def clone(repository: Path) -> Iterator[Path]:
    """A bare clone of *repository* that borrows its objects."""
    folder = Path(tempfile.mkdtemp(prefix="orgguard-bench-"))
    try:
        git(repository, "clone", "-q", "--bare", "--shared", ".", str(folder / "clone"))
        yield folder / "clone"
    finally:
        shutil.rmtree(folder)


def prepare(repository: Path, base: str) -> float:
    """Bring the index up to *base*; return the most memory in MB that a worker was seen with."""
    most = 0.0

    def look(done: int, total: int) -> None:
        nonlocal most
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if "orgguard_mcp.workers" in " ".join(child.cmdline()):
                    most = max(most, child.memory_info().rss / 1e6)

    with Guard(repository, base=base) as guard:
        guard.prepare(look)
    return most


def state(repository: Path) -> Path:
    """Where the index lies."""
    return repository / "orgguard"


def built(repository: Path, base: str, runs: int) -> None:
    """What building from nothing costs."""
    oids = blobs(repository, base)
    text = text_of(repository, oids)
    floors, greps, builds, peaks = [], [], [], [0.0]
    for _ in range(runs):
        floors.append(cost(lambda: read_all(repository, oids)))
        greps.append(cost(lambda: git(repository, "grep", "-I", "-i", "-F", "-w", NOBODY, base)))
        shutil.rmtree(state(repository), ignore_errors=True)
        builds.append(cost(lambda: peaks.append(prepare(repository, base))))
    floor = statistics.median(one.cpu for one in floors)
    grep = statistics.median(one.wall for one in greps)
    wall, cpu = (statistics.median(column) for column in zip(*builds, strict=True))
    disk = sum(file.stat().st_size for file in state(repository).iterdir())
    print(f"{len(oids):,} blobs, {text / 1e6:,.0f} MB of text")
    print(f"floor {floor:.2f} s of CPU; git grep {grep:.2f} s")
    print(f"build: {wall:.1f} s = {wall / grep:.1f} x git grep; CPU {cpu:.1f} s"
          f" = {cpu / floor:.1f} x the floor; disk {disk / 1e6:.1f} MB"
          f" = {disk / text:.1%} of the text; largest worker {max(peaks):.0f} MB")  # fmt: skip


def changed(repository: Path, base: str, files: int) -> str:
    """A commit that adds a line to so many of *base*'s files, taken evenly."""
    rows = [row for row in git(repository, "ls-tree", "-r", base).splitlines() if b" blob " in row]
    some = rows[len(rows) // (2 * files) :: max(1, len(rows) // files)][:files]
    written = []
    for row in some:
        mode, _, oid = row.split(b"\t")[0].split()
        text = git(repository, "cat-file", "blob", oid.decode()) + b"\n# one line more\n"
        new = git(repository, "hash-object", "-w", "--stdin", stdin=text).strip()
        written.append(b"%s blob %s\t%s" % (mode, new, row.split(b"\t", 1)[1]))
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        git(repository, "read-tree", base, variables=index)
        rows_now = b"\n".join(written)
        git(repository, "update-index", "--index-info", stdin=rows_now, variables=index)
        tree = git(repository, "write-tree", variables=index).decode().strip()
    return git(repository, "commit-tree", tree, "-m", "more", variables=_AUTHOR).decode().strip()


def moved(repository: Path, base: str, older: str, runs: int) -> None:
    """What it costs when the base moves from *older* to *base*, and how long who asks next waits.
    Each is a process of its own, as a hook is: no table is filled, no word was met before.
    """
    changes = git(repository, "diff-tree", "-r", older, base).splitlines()
    oids = [row.split()[3] for row in changes if row.split()[3].strip(b"0")]
    shutil.rmtree(state(repository), ignore_errors=True)
    prepare(repository, older)
    before = repository.with_name("before")
    state(repository).rename(before)

    def floor() -> None:
        git(repository, "diff-tree", "-r", older, base)
        read_all(repository, oids)

    floors, moves, firsts, seconds = [], [], [], []
    for _ in range(runs):
        floors.append(cost(floor))
        with back(repository, before), own_process() as process:
            moves.append(process.submit(move, repository, base).result())
        with back(repository, before):
            firsts.append(cost(lambda: check(repository, base)).wall)
            seconds.append(cost(lambda: check(repository, base)).wall)
    shutil.rmtree(before)
    (wall, cpu), (least, least_cpu) = (
        [statistics.median(column) for column in zip(*some, strict=True)]
        for some in (moves, floors)
    )
    first, second = statistics.median(firsts), statistics.median(seconds)
    print(f"base moves over {len(changes):,} files, {text_of(repository, oids) / 1e6:.2f} MB"
          f" ({older[:9]} to {base[:9]}): {wall * 1e3:.0f} ms = {wall / least:.1f} x diff-tree and"
          f" the new blobs, CPU {cpu / least_cpu:.1f} x; a check waits {first * 1e3:.0f} ms,"
          f" {first / second:.1f} x the next one")  # fmt: skip


@contextmanager
def back(repository: Path, before: Path) -> Iterator[None]:
    """The index as it was kept in *before*."""
    shutil.copytree(before, state(repository))
    yield
    shutil.rmtree(state(repository))


def own_process() -> ProcessPoolExecutor:
    """A process that starts with nothing."""
    return ProcessPoolExecutor(1, get_context("spawn"))


def move(repository: Path, base: str) -> Cost:
    """What it costs to bring the index up to *base*."""
    with Guard(repository, base=base) as guard:
        return cost(guard.prepare)


def check(repository: Path, base: str) -> None:
    """Ask for a name from the command line, without a warm helper."""
    subprocess.run(
        [sys.executable, "-m", "orgguard_mcp", "check", NOBODY], cwd=repository, check=False,
        capture_output=True, env={**os.environ, "ORGGUARD_BASE": base, "ORGGUARD_WARM": "0"},
    )  # fmt: skip


def asked(repository: Path, base: str, runs: int) -> None:
    """What checks cost: names that are there and names that are not."""
    chance = random.Random(1)  # noqa: S311
    absent = {"".join(chance.choices(_SYLLABLES, k=chance.randint(3, 5))) for _ in range(BATCH)}
    present = words_of(repository, base, chance)
    grep = statistics.median(
        cost(lambda: git(repository, "grep", "-I", "-i", "-F", "-w", "-q", NOBODY, base)).wall
        for _ in range(runs)
    )
    with Guard(repository, base=base) as guard:
        guard.prepare()
        for what, names in (("absent", sorted(absent)[:1000]), ("present", present)):
            times = sorted(cost(lambda name=name: guard.check(name)).wall for name in names)
            p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
            print(f"{len(names)} {what} names: p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms;"
                  f" git grep takes {grep / p50:,.0f} times p50")  # fmt: skip
    with Guard(repository, base=base) as guard:
        guard.prepare()
        batch = (sorted(absent) + present)[:BATCH]
        all_of = cost(lambda: [guard.check(name) for name in batch])
        ratio = all_of.wall / grep
        print(f"{len(batch):,} names at once: {all_of.wall:.2f} s = {ratio:.2f} x git grep")


def grown(repository: Path, base: str, files: int) -> None:
    """What a build and a check cost in a tree of so many of *base*'s files, taken evenly."""
    rows = git(repository, "ls-tree", "-r", base).splitlines()
    step = max(1, len(rows) // files)
    with tempfile.TemporaryDirectory() as folder:
        index = {**os.environ, "GIT_INDEX_FILE": f"{folder}/index"}
        added = b"\n".join(row for row in rows[::step] if b" commit " not in row)
        git(repository, "update-index", "--index-info", stdin=added, variables=index)
        tree = git(repository, "write-tree", "--missing-ok", variables=index).decode().strip()
    commit = git(repository, "commit-tree", tree, "-m", "some", variables=_AUTHOR).decode().strip()
    oids = blobs(repository, commit)
    text = text_of(repository, oids)
    floor = cost(lambda: read_all(repository, oids))
    shutil.rmtree(state(repository), ignore_errors=True)
    build = cost(lambda: prepare(repository, commit))
    disk = sum(file.stat().st_size for file in state(repository).iterdir())
    chance = random.Random(2)  # noqa: S311
    absent = ["".join(chance.choices(_SYLLABLES, k=4)) for _ in range(500)]
    with Guard(repository, base=commit) as guard:
        guard.prepare()
        times = sorted(cost(lambda name=name: guard.check(name)).wall for name in absent)
    times_floor = build.cpu / floor.cpu
    print(f"{len(oids):>8,} blobs {text / 1e6:>7,.0f} MB: build {build.wall:6.1f} s,"
          f" CPU {build.cpu / text * 1e9:5.0f} ns a byte = {times_floor:4.1f} x the floor;"
          f" disk {disk / text:5.1%}; check p50 {times[250] * 1e3:.2f} ms")  # fmt: skip


def words_of(repository: Path, base: str, chance: random.Random) -> list[str]:
    """Capitalised words of a sample of the tree's files that no dictionary has."""
    from orgguard_mcp import lexicon
    from orgguard_mcp.names import NameKey

    words: set[str] = set()
    for oid in chance.sample(blobs(repository, base), 300):
        text = git(repository, "cat-file", "blob", oid.decode()).decode("latin-1")
        words.update(word for word in text.split() if word.isalpha() and word.istitle())
    coined = [word for word in sorted(words)
              if word.isascii() and len(word) > 4
              and not lexicon.needs_distinction(NameKey(word.casefold()))]  # fmt: skip
    return chance.sample(coined, min(1000, len(coined)))


def main() -> None:
    """Run the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", type=Path)
    parser.add_argument("--base", default="HEAD")
    parser.add_argument("--moves", nargs="*", default=[], metavar="REVISION")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--growth", type=int, nargs="*", default=[], metavar="FILES")
    options = parser.parse_args()
    with clone(options.repository.resolve()) as repository:
        for files in options.growth:
            grown(repository, options.base, files)
        if options.growth:
            return
        built(repository, options.base, options.runs)
        asked(repository, options.base, options.runs)
        for files in (1, 10, 100):
            moved(repository, changed(repository, options.base, files), options.base, options.runs)
        for older in options.moves:
            moved(repository, options.base, older, options.runs)


if __name__ == "__main__":
    main()
