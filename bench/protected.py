"""What a list of protected names costs a scan: the same text without a list, with 100 names, with
100,000.

    python bench/protected.py [--megabytes 4] [--rounds 5]

The change adds hand-written files of the standing corpus (bench/corpus.py) once more to a base that
has them, so that reading is measured and not the reporting of findings. The names are invented:
half of one word, half of two, of which one is an English word. Rounds take turns, so that a busy
machine is busy for all of them. Fails when a ratio is above 1.1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from throughput import committed, copied, git, scan

from orgguard_mcp.names import parse
from orgguard_mcp.protected import ENVIRONMENT_KEY, PATH, Key, sealed

KEY = "0123456789abcdef" * 4
GOAL = 1.1
_SYLLABLES = "zor blat quim brel vex mar dran dul kev plo shu gri nax tol wep fyr".split()
_WORDS = "global first united data home best cloud open new city green north".split()


def names(count: int) -> list[str]:
    """So many invented names."""
    return [
        (f"{_WORDS[n % len(_WORDS)].title()} " if n % 2 else "") + _coined(n).title()
        for n in range(count)
    ]


def _coined(number: int) -> str:
    word = "ix"
    for _ in range(5):
        number, rest = divmod(number, len(_SYLLABLES))
        word = _SYLLABLES[rest] + word
    return word


def prepared(directory: Path, count: int, wanted: int) -> Path:
    """A repository whose base lists *count* names, and a change of *wanted* bytes."""
    directory.mkdir()
    git(directory, "init", "-q", "-b", "main")
    copied(directory / "old", wanted)
    if count:
        (directory / PATH).parent.mkdir()
        (directory / PATH).write_bytes(sealed(map(parse, names(count)), Key(KEY)))
    committed(directory)
    git(directory, "checkout", "-q", "-b", "change")
    copied(directory / "new", wanted)
    committed(directory)
    return directory


def seconds(directory: Path) -> float:
    """The wall time of one scan."""
    begin = time.perf_counter()
    done = subprocess.run(
        scan(directory), capture_output=True, check=False, env={**os.environ, ENVIRONMENT_KEY: KEY}
    )
    if done.returncode:
        raise SystemExit(f"the scan failed: {done.stderr.decode()[-400:]}")
    return time.perf_counter() - begin


def main() -> int:
    """Print the medians and their ratios to a scan without a list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        wanted = int(options.megabytes * 1e6)
        counts = (0, 100, 100_000)
        places = {count: prepared(Path(made) / str(count), count, wanted) for count in counts}
        times: dict[int, list[float]] = {count: [] for count in counts}
        for place in places.values():
            seconds(place)  # the base's index
        for _ in range(options.rounds):
            for count, place in places.items():
                times[count].append(seconds(place))
    plain = median(times[0])
    worst = 0.0
    for count in counts:
        ratio = median(times[count]) / plain
        worst = max(worst, ratio)
        print(f"{count:>7,} names   {median(times[count]):6.2f} s   ratio {ratio:.3f}")
    return int(worst > GOAL)


if __name__ == "__main__":
    sys.exit(main())
