"""Decoding measured: what it costs on source text and on hostile lines, and how often random data
is taken for text.

    python bench/decode.py [DIRECTORY of source text]

Times are of this process's own work, so that a busy machine does not count.
"""

from __future__ import annotations

import base64
import random
import resource
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from orgguard_mcp.detect import blobs, escapes
from orgguard_mcp.detect.decode import MAX_LINE, decodings, joined_literals

SUFFIXES = {".py", ".js", ".ts", ".go", ".html", ".css", ".json", ".md", ".txt", ".toml", ".yml"}
SAMPLES = 200_000

RANDOM: dict[str, Callable[[random.Random], str]] = {
    "base64, 9 bytes": lambda r: base64.b64encode(r.randbytes(9)).decode(),
    "base64, 12 bytes": lambda r: base64.b64encode(r.randbytes(12)).decode(),
    "base64, 20 bytes": lambda r: base64.b64encode(r.randbytes(20)).decode(),
    "base64url, 16 bytes": lambda r: base64.urlsafe_b64encode(r.randbytes(16)).decode()[:22],
    "base64, 48 bytes": lambda r: base64.b64encode(r.randbytes(48)).decode(),
    "base64 with =, 4 or 5": lambda r: base64.b64encode(r.randbytes(r.choice([4, 5]))).decode(),
    "hex, 6 bytes": lambda r: r.randbytes(6).hex(),
    "hex, 8 bytes": lambda r: r.randbytes(8).hex(),
    "hex, 20 bytes": lambda r: r.randbytes(20).hex(),
    "UUID": lambda r: str(uuid.UUID(bytes=r.randbytes(16), version=4)),
    "MAC address": lambda r: r.randbytes(6).hex(":"),
    "number, 16 digits": lambda r: str(r.randrange(10**15, 10**16)),
    "6 small numbers": lambda r: ", ".join(str(r.randrange(10, 256)) for _ in range(6)),
}

HOSTILE = [
    "\\u", "\\u0041", "\\u0041, ", "\\x41,", "C:\\a\\n", "%", "%25", "%41", "a%41,", "&amp;",
    "&#65;", "&#", "A", "Aa1", "Zm9vYmFyYmF6cXV1eA/", "5a6f72626c617474", "5a ", "90, ", "'a',",
    "=41", "=?utf-8?B?", "xn--a ", "?a=b+",
    '"', "'\"", '"+', '"a"+', '"a","b"', "${'a", "a/*", "a<b>a",
]  # fmt: skip


def spent(work: Callable[[], object]) -> float:
    """Seconds of this process's own time that *work* takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def count(found: Iterable[object]) -> int:
    """How many there are."""
    return sum(1 for _ in found)


def source(directory: Path) -> list[list[str]]:
    """The lines of every source file under *directory*."""
    paths = sorted(p for p in directory.rglob("*") if p.suffix in SUFFIXES and p.is_file())
    return [path.read_text(errors="replace").split("\n") for path in paths]


def throughput(directory: Path) -> None:
    """Cost on text as people write it."""
    files = source(directory)
    lines = [line for file in files for line in file]
    size = sum(map(len, lines)) + len(lines)
    print(f"{directory}: {len(files)} files, {len(lines)} lines, {size / 1e6:.1f} MB")
    idle = spent(lambda: count(line for line in lines))
    works: dict[str, Callable[[], int]] = {
        "pre-test": lambda: count(escapes.hinted(x) or blobs.hinted(x) for x in lines),
        "decodings": lambda: count(d for line in lines for d in decodings(line)),
        "joined_literals": lambda: count(
            d for file in files for d in joined_literals(list(enumerate(file, 1)))
        ),
    }
    for name, work in works.items():
        found: list[int] = []
        seconds = spent(lambda work=work, found=found: found.append(work())) - idle  # type: ignore[misc]
        each = seconds / len(lines) * 1e6
        print(f"  {name:16} {size / seconds / 1e6:6.1f} MB/s {each:6.2f} µs/line {found[0]:8}")


def false_rate() -> None:
    """How often random data is taken for text."""
    print(f"random data taken for text, of {SAMPLES}:")
    chance = random.Random(20261122)  # noqa: S311  # the same data in every run
    for name, make in RANDOM.items():
        false = sum(any(True for _ in decodings(make(chance))) for _ in range(SAMPLES))
        print(f"  {name:22} {false:4}  {false / SAMPLES:.1e}")


def hostile() -> None:
    """Seconds for a hostile line of half and of all of `MAX_LINE`: linear work doubles."""
    print(f"hostile lines of {MAX_LINE // 2} and {MAX_LINE} characters, seconds (ratio):")
    for unit in HOSTILE:
        half, full = (unit * (size // len(unit)) for size in (MAX_LINE // 2, MAX_LINE))
        for read in (lambda x: count(decodings(x)), lambda x: count(joined_literals([(1, x)]))):
            less = spent(lambda read=read, half=half: read(half))  # type: ignore[misc]
            more = spent(lambda read=read, full=full: read(full))  # type: ignore[misc]
            print(f"  {less:6.2f} {more:6.2f} ({more / max(less, 0.01):4.1f})", end="")
        print(f"  {unit}")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")


if __name__ == "__main__":
    throughput(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]))
    false_rate()
    hostile()
