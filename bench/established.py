"""How often the guard is right on names labelled by reading the corpus, and how fast it answers.

    python bench/established.py [--dir DIR] [--names TSV]

Prints right / total, every miss with the guard's own reason, and the time of a look-up. Exits 1
below 98 %. "Not established" is any effect but allow: the human is asked, whatever the basis.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from corpus import add_dir_option, corpus

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Effect, Verdict

NAMES = Path(__file__).with_name("litellm_names.tsv")
REQUIRED = 0.98


class Label(NamedTuple):
    """A name, whether the corpus establishes it, and where or why: a person's reading."""

    name: str
    established: bool
    why: str


class Answer(NamedTuple):
    """The guard's verdict on a labelled name, and the seconds that it took."""

    label: Label
    verdict: Verdict
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the guard and the reader agree."""
        return (self.verdict.effect is Effect.ALLOW) == self.label.established


def labels(path: Path = NAMES) -> list[Label]:
    """The labelled names of a tab-separated file; lines that begin with ``# `` are comments."""
    rows = path.read_text(encoding="utf-8").splitlines()
    return [_label(row) for row in rows if row and not row.startswith("# ")]


def _label(row: str) -> Label:
    name, expected, why = row.split("\t")
    if expected not in {"established", "not_established"}:
        raise SystemExit(f"{name}: the label is `{expected}`")
    return Label(name, expected == "established", why)


def answers(guard: Guard, wanted: list[Label]) -> Iterator[Answer]:
    """Ask *guard* for each name once, as a door would."""
    for label in wanted:
        began = time.perf_counter()
        verdict = guard.check(label.name)
        yield Answer(label, verdict, time.perf_counter() - began)


def open_guard(directory: Path) -> Guard:
    """A guard on *directory* with its index built; says on stderr how long that took."""
    began = time.perf_counter()
    guard = Guard(directory)
    guard.prepare()
    print(f"index ready after {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return guard


def _miss(answer: Answer) -> str:
    label, verdict = answer.label, answer.verdict
    place = verdict.evidence[0] if verdict.evidence else "none"
    expected = "established" if label.established else "not established"
    return (
        f"MISS  {label.name}\n"
        f"  expected  {expected}: {label.why}\n"
        f"  basis     {verdict.basis.value}: {verdict.why}\n"
        f"  evidence  {place}"
    )


def _times(given: list[Answer]) -> str:
    cuts = quantiles((answer.seconds * 1000 for answer in given), n=100)
    slowest = max(given, key=lambda answer: answer.seconds)
    return (
        f"look-up  p50 {cuts[49]:.1f} ms  p99 {cuts[98]:.1f} ms"
        f"  slowest {slowest.seconds * 1000:.1f} ms ({slowest.label.name})"
    )


def main() -> int:
    """Run the benchmark and return its exit code."""
    parser = argparse.ArgumentParser(description="Compare the guard with a reader's labels.")
    parser.add_argument("--names", type=Path, default=NAMES, metavar="TSV")
    add_dir_option(parser)
    options = parser.parse_args()
    with open_guard(corpus(options.dir)) as guard:
        given = list(answers(guard, labels(options.names)))
    misses = [answer for answer in given if not answer.right]
    for miss in misses:
        print(_miss(miss))
    share = 1 - len(misses) / len(given)
    print(f"right    {len(given) - len(misses)} / {len(given)}  {share:.1%}")
    print(_times(given))
    return 0 if share >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
