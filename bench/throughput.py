"""How fast `orgguard scan` reads a large change, beside two scanners on the same text in one run.

    python bench/throughput.py [--megabytes 8] [--lines 1000000] [--rounds 3]

The change adds hand-written files of the standing corpus (bench/corpus.py) to an empty base. The
peers get the same files: detect-secrets (secrets) and cspell (unknown words), each installed into a
temporary directory from the registries, cspell only where npm is. All use one process. `--lines`
makes a change of that many lines and reports the scan's peak memory beside a tenth of it.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from corpus import corpus

TEXT = (".py", ".md", ".json", ".yaml", ".toml", ".txt")
_LARGEST = 200 << 10  # bytes: hand-written files are smaller
_GIT = {
    "GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@example.com",
    "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@example.com",
}  # fmt: skip


def git(directory: Path, *arguments: str) -> None:
    """Run git in *directory*."""
    subprocess.run(
        ["git", "-c", "gc.auto=0", *arguments], cwd=directory, check=True, capture_output=True,
        env={**os.environ, **_GIT},
    )  # fmt: skip


def started(directory: Path) -> None:
    """Make *directory* a repository with an empty base on `main`, and go to a branch."""
    git(directory, "init", "-q", "-b", "main")
    git(directory, "commit", "-q", "--allow-empty", "-m", "Start")
    git(directory, "checkout", "-q", "-b", "change")


def committed(directory: Path) -> None:
    """Commit all that lies in *directory*."""
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "-m", "Add files")


def copied(directory: Path, wanted: int) -> int:
    """Copy *wanted* bytes of the corpus's hand-written text into *directory*; return the bytes."""
    source, size = corpus(), 0
    for path in sorted(source.rglob("*")):
        if path.suffix in TEXT and path.is_file() and path.stat().st_size < _LARGEST:
            target = directory / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            size += len(shutil.copyfile(path, target).read_bytes())
        if size >= wanted:
            break
    return size


def scan(directory: Path) -> Sequence[str]:
    """Our own command."""
    return [sys.executable, "-m", "orgguard_mcp", "scan", "--repo", str(directory), "--exit-zero"]


def detect_secrets(aside: Path) -> Callable[[Path], Sequence[str]]:
    """Install detect-secrets and return its command."""
    subprocess.run([sys.executable, "-m", "venv", aside / "ds"], check=True)
    pip = [aside / "ds/bin/pip", "install", "--quiet", "detect-secrets"]
    subprocess.run(pip, check=True, capture_output=True)
    return lambda directory: [
        f"{aside}/ds/bin/detect-secrets", "-C", str(directory), "-c", "1", "scan", "--no-verify"
    ]  # fmt: skip


def cspell(aside: Path) -> Callable[[Path], Sequence[str]] | None:
    """Install cspell and return its command, or None where npm is missing."""
    if not shutil.which("npm"):
        return None
    install = ["npm", "install", "--silent", "--prefix", str(aside / "cspell"), "cspell"]
    subprocess.run(install, check=True, capture_output=True)
    tool = f"{aside}/cspell/node_modules/.bin/cspell"
    return lambda directory: [
        tool, "lint", "--no-progress", "--no-summary", "--quiet", "--no-exit-code",
        "--root", str(directory), f"{directory}/**",
    ]  # fmt: skip


def seconds(command: Sequence[str], rounds: int) -> float:
    """The median wall time of *command*, in seconds."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        times.append(time.perf_counter() - begin)
        if done.returncode:
            raise SystemExit(f"{command[0]} failed: {done.stderr.decode()[-400:]}")
    return median(times)


def peak(lines: int) -> float:
    """The peak memory in MB of a scan of *lines* added lines, in files of 5,000."""
    words = "the value of each row is read from {0} and kept in row_{0} for the total".format
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        started(directory)
        for number in range(0, lines, 5000):
            text = "".join(f"    # {words(number + i)}\n" for i in range(min(5000, lines - number)))
            (directory / f"part_{number}.py").write_text(text)
        committed(directory)
        code = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=-3, stderr=-3);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        told = subprocess.run(
            [sys.executable, "-c", code, *scan(directory)], capture_output=True, check=True
        )
    return int(told.stdout) / 1024


def main() -> int:
    """Print megabytes a second, ratios, and the memory curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        aside, directory = Path(made), Path(made) / "change"
        directory.mkdir()
        started(directory)
        size = copied(directory, int(options.megabytes * 1e6)) / 1e6
        committed(directory)
        subprocess.run(scan(directory), capture_output=True, check=True)  # the base's index
        ours = seconds(scan(directory), options.rounds)
        print(f"orgguard scan   {size / ours:6.2f} MB/s   {size:.1f} MB in {ours:.1f} s")
        for name, command in (
            ("detect-secrets", detect_secrets(aside)),
            ("cspell", cspell(aside)),
        ):
            if command is None:
                print(f"{name:<15} not measured: npm is missing")
                continue
            theirs = seconds(command(directory), options.rounds)
            print(
                f"{name:<15} {size / theirs:6.2f} MB/s   orgguard is {theirs / ours:.2f} x as fast"
            )
    for lines in (options.lines // 10, options.lines):
        print(f"peak memory     {peak(lines):6.0f} MB     {lines:,} lines")
    return 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main())
