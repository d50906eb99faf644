"""What looking words up in the mapped knowledge costs, against reading it whole into a dict.

    python bench/lookups.py [--rounds 7]

Half of the words asked for are known. All is measured in turn, in CPU seconds; medians. The first
searches are those of a short-lived process, a hook's; the later ones those of a long scan.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from multiprocessing import Pool
from statistics import median

from orgguard_mcp import knowledge, lexicon
from orgguard_mcp.names import NameKey

FIRST = 200
LATER = 50_000


def read() -> dict[str, bytes]:
    """The knowledge as a dict, which a process would have to read first."""
    lines = knowledge.FILE.read_bytes().splitlines()[1:]
    return {line[:-3].decode(): line[-3:] for line in lines}


def seconds(work: Callable[[], object]) -> float:
    """The CPU seconds that *work* takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def measured(words: list[str]) -> dict[str, float]:
    """One round, in a process of its own, where nothing has been looked up."""
    whole, lines, later = read(), knowledge.opened(knowledge.FILE), words[FIRST:]
    return {
        "read": seconds(read),
        "first": seconds(lambda: [lines.find(word) for word in words[:FIRST]]),
        "later": seconds(lambda: [lines.find(word) for word in later]),
        "dict": seconds(lambda: [whole.get(word) for word in later]),
        "one": seconds(lambda: lexicon.is_ordinary(NameKey("target"))),
        "ordinary": seconds(lambda: [lexicon.is_ordinary(NameKey(word)) for word in later]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    rng = random.Random(0)  # noqa: S311
    known = rng.sample(sorted(read()), (FIRST + LATER) // 2)
    words = known + [word + word[-1] * 2 for word in known]
    rng.shuffle(words)
    with Pool(1, maxtasksperchild=1) as pool:
        found = pool.map(measured, [words] * rounds, chunksize=1)
    cost = {name: median(one[name] for one in found) for name in found[0]}
    each = {name: cost[name] / LATER * 1e6 for name in ("later", "dict", "ordinary")}
    print(f"reading all: {cost['read'] * 1e3:.0f} ms")
    print(f"first {FIRST} searches: 1/{cost['read'] / cost['first']:.0f} of that")
    print(f"is_ordinary, once: 1/{cost['read'] / cost['one']:.0f} of that")
    print(f"a later search: {each['later']:.1f} us, {each['later'] / each['dict']:.0f} x a dict's")
    print(f"is_ordinary, {LATER:,} words: {each['ordinary']:.1f} us each")


if __name__ == "__main__":
    main()
