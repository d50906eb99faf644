"""How fast `orgguard scan` reads a large change, beside two scanners on the same text in one run.

    python bench/throughput.py [--repository DIR] [--commits 1000] [--rounds 3] [--memory 1,10,100]

The text is what the last commits of a clone added, file by file; without one, hand-written files
of the standing corpus (bench/corpus.py). It is scanned against the tree before those commits. The
peers get the same files: detect-secrets (secrets) and cspell (unknown words), each installed into a
temporary directory from the registries, cspell only where npm is. They use one process, ours as
many as it likes; rounds take turns, and what is compared is processor time of all processes, since
other programs take turns, too. Last comes the peak memory of the scan's largest process for changes
of so many MB: the same text over and over, as code repeats its lines, and in each fiftieth line an
identifier that was not there before.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from corpus import corpus

TEXT = (".py", ".md", ".json", ".yaml", ".toml", ".txt")
_LARGEST = 200 << 10  # bytes: hand-written files are smaller
_MADE = re.compile(r"(?:lock|\.lock\.\w+|-lock\.\w+|\.svg|\.min\.\w+|\.map|\.po|\.snap)$")
_WORDS = "table column read write cache queue token file count index block frame page item".split()
_PARTS = 4  # words of a new identifier in the memory curve: there are 50,000 of them
_SELDOM = 50  # lines to one with such an identifier
_PART = 4 << 20  # bytes of one file of the memory curve
_GIT = {
    "GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@example.com",
    "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@example.com",
}  # fmt: skip

Command = Callable[[Path], Sequence[str]]
"""What to run on a repository of which HEAD adds the text to `main`."""


# --- the text -----------------------------------------------------------------------------------


def git(directory: Path, *arguments: str) -> str:
    """Run git in *directory* and return what it prints."""
    done = subprocess.run(
        ["git", "-c", "gc.auto=0", *arguments], cwd=directory, check=True, capture_output=True,
        env={**os.environ, **_GIT},
    )  # fmt: skip
    return done.stdout.decode("utf-8", "surrogateescape")


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


def of_commits(directory: Path, source: Path, count: int) -> int:
    """Make *directory* a repository whose HEAD adds, under `added/`, what the last *count* commits
    of *source* added to their parents; its base has the tree before them. Return the bytes.
    """
    common = Path(git(source, "rev-parse", "--path-format=absolute", "--git-common-dir").strip())
    first = git(source, "rev-list", "--no-merges", f"-{count}", "HEAD").split()[-1]
    git(directory, "init", "-q", "-b", "main")
    (directory / ".git/objects/info/alternates").write_text(f"{common}/objects\n")
    base = git(directory, "commit-tree", f"{first}^^{{tree}}", "-m", "Start").strip()
    git(directory, "update-ref", "refs/heads/main", base)
    git(directory, "symbolic-ref", "HEAD", "refs/heads/change")
    git(directory, "read-tree", "main")
    added: dict[str, list[str]] = {}
    for path, line in _added(source, count):
        added.setdefault(path, []).append(line)
    size = 0
    for path, lines in added.items():
        target = directory / "added" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        size += target.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
    git(directory, "add", "-f", "added")
    tree = git(directory, "write-tree", "--missing-ok").strip()  # a clone may lack large files
    head = git(directory, "commit-tree", tree, "-p", "main", "-m", "Add text").strip()
    git(directory, "update-ref", "refs/heads/change", head)
    return size


def _added(source: Path, count: int) -> Iterator[tuple[str, str]]:
    """Each line that the last *count* commits add to text that people wrote, and its path."""
    how = ("-U0", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "--format=")
    for commit in git(source, "rev-list", "--no-merges", f"-{count}", "HEAD").split():
        try:
            patch = git(source, "show", *how, commit)
        except subprocess.CalledProcessError:
            continue  # it has a file that this clone lacks
        path, within = "", False
        for line in patch.split("\n"):
            if line.startswith("diff --git "):
                path, within = "", False
            elif not within and line.startswith("+++ b/"):
                path = "" if _MADE.search(line) else line[6:]
            elif line.startswith("@@"):
                within = True
            elif within and path and line.startswith("+"):
                yield path, line[1:] + "\n"


# --- the scanners -------------------------------------------------------------------------------


def scan(directory: Path) -> Sequence[str]:
    """Our own command."""
    return [sys.executable, "-m", "orgguard_mcp", "scan", "--repo", str(directory), "--exit-zero"]


def detect_secrets(aside: Path) -> Command:
    """Install detect-secrets and return its command; it reads nothing outside its directory."""
    subprocess.run([sys.executable, "-m", "venv", str(aside / "ds")], check=True)
    pip = [str(aside / "ds/bin/pip"), "install", "--quiet", "detect-secrets"]
    subprocess.run(pip, check=True, capture_output=True)
    tool = f"{aside}/ds/bin/detect-secrets"
    return lambda _: [tool, "-c", "1", "scan", "--no-verify", "--all-files", "added"]


def cspell(aside: Path) -> Command | None:
    """Install cspell and return its command, or None where npm is missing."""
    if not shutil.which("npm"):
        return None
    (aside / "cspell").mkdir()
    install = ["npm", "install", "--silent", "--prefix", str(aside / "cspell"), "cspell"]
    subprocess.run(install, check=True, capture_output=True)
    tool = f"{aside}/cspell/node_modules/.bin/cspell"
    return lambda directory: [
        tool, "lint", "--no-progress", "--no-summary", "--quiet", "--no-exit-code", "--dot",
        "--root", str(directory), f"{directory}/added/**",
    ]  # fmt: skip


def seconds(command: Sequence[str], directory: Path) -> float:
    """The processor time of *command* and its children in *directory*, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=directory, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr.decode()[-400:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


# --- memory -------------------------------------------------------------------------------------


def peak(megabytes: int, lines: Sequence[str]) -> float:
    """The peak memory in MB of a scan of so many MB of *lines* with new words among them."""
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        started(directory)
        size = number = 0
        while size < megabytes << 20:
            text, number = _grown(lines, number, min(_PART, (megabytes << 20) - size))
            (directory / f"part_{number}.py").write_text(text)
            size += len(text)
        committed(directory)
        code = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=-3, stderr=-3);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        told = subprocess.run(
            [sys.executable, "-c", code, *scan(directory)], capture_output=True, check=True
        )
    return int(told.stdout) / 1024


def _grown(lines: Sequence[str], number: int, size: int) -> tuple[str, int]:
    """About *size* bytes of *lines*, from the one with that *number* on and round again; each
    fiftieth has a new identifier. With it comes the next line's number.
    """
    text, length = [], 0
    while length < size:
        line = lines[number % len(lines)]
        if number % _SELDOM == 0:
            line = f"    # the value of each row is read from {_word(number // _SELDOM)} and kept\n"
        text.append(line)
        length += len(line)
        number += 1
    return "".join(text), number


def _word(number: int) -> str:
    """An identifier put together from words, as most new ones are: each *number* has its own."""
    parts = []
    for _ in range(_PARTS):
        number, at = divmod(number, len(_WORDS))
        parts.append(_WORDS[at])
    return "_".join(parts)


def _lines_of(directory: Path) -> list[str]:
    """The lines of the text that *directory* adds."""
    files = filter(Path.is_file, sorted((directory / "added").rglob("*")))
    return [
        line + "\n" for file in files for line in file.read_text("utf-8", "replace").split("\n")
    ]


def main() -> int:
    """Print megabytes a second, ratios, and the memory curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path)
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="1,10,100")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        aside, directory = Path(made), Path(made) / "change"
        directory.mkdir()
        if options.repository:
            size = of_commits(directory, options.repository.resolve(), options.commits) / 1e6
        else:
            started(directory)
            size = copied(directory / "added", int(options.megabytes * 1e6)) / 1e6
            committed(directory)
        tools = {"orgguard scan": scan, "detect-secrets": detect_secrets(aside)}
        if spelling := cspell(aside):
            tools["cspell"] = spelling
        seconds(scan(directory), directory)  # the base's index
        lines = _lines_of(directory)
        rounds = [
            {name: seconds(tool(directory), directory) for name, tool in tools.items()}
            for _ in range(options.rounds)
        ]
    for name in tools:
        spent = median(times[name] for times in rounds)
        ratio = median(times[name] / times["orgguard scan"] for times in rounds)
        print(
            f"{name:<15} {size / spent:6.2f} MB/s   {spent:6.1f} s for {size:.1f} MB   {ratio:.2f}"
        )
    for megabytes in filter(None, options.memory.split(",")):
        print(f"peak memory     {peak(int(megabytes), lines):6.0f} MB   for {megabytes} MB of diff")
    return 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main())
