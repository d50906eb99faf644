"""Cases of the detection benchmark: what each change adds, and what its base holds of those words.

Reads the benchmark's rows and the mirrored repositories, adds ordinary commits sampled from their
histories as noisy negatives, and writes one pickle a repository: a list of `Case`. See README.md.
"""

from __future__ import annotations

import argparse
import collections
import json
import pickle
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from records import Case, Line

from orgguard_mcp import fileclass, terms
from orgguard_mcp.detect import shape
from orgguard_mcp.detect.weigh import INTERFACE_WORDS
from orgguard_mcp.names import WORD, fold, parts
from orgguard_mcp.uses import uses

KINDS = {"pos": "labels", "neg": "negatives", "inj": "injections", "col": "collisions"}
MAX_BLOB, MAX_READ, MAX_JOIN = 2 << 20, 300_000, 5
WINDOWS, WINDOW, MAX_ADDED = 3, 8, 1000
HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def git(directory: Path | str, *arguments: str) -> bytes:
    """What git prints."""
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, capture_output=True, check=False).stdout


def rows(bench: Path) -> dict[str, list[dict[str, Any]]]:
    """The benchmark's rows by repository."""
    found: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for kind, name in KINDS.items():
        for line in (bench / f"{name}.jsonl").read_text().splitlines():
            row = json.loads(line)
            found[row["repo"]].append({**row, "kind": kind})
    return found


def sampled(directory: Path, repo: str, used: set[str]) -> Iterator[dict[str, Any]]:
    """Ordinary commits of *repo* that no row of the benchmark uses: noisy negatives."""
    log = git(directory, "log", "--all", "--no-merges", "--format=%H %P %ct").decode()
    history = [line.split() for line in log.splitlines() if line.count(" ") == 2]
    rng = random.Random(repo)  # noqa: S311
    for at in [rng.randrange(len(history)) for _ in range(WINDOWS if len(history) > 50 else 0)]:
        for commit, parent, time in history[at : at + WINDOW]:
            stat = git(directory, "diff", "--shortstat", parent, commit)
            added = re.search(rb"(\d+) insertion", stat)
            if commit in used or parent in used or not added or int(added[1]) > MAX_ADDED:
                continue
            used.add(commit)
            name = f"m-{repo}-{commit[:10]}"
            yield {"id": name, "kind": "sampled", "repo": repo, "commit": commit,
                   "parent": parent, "ts": int(time)}  # fmt: skip


# --- what a change adds -------------------------------------------------------------------------


def added(directory: Path | str, base: str, head: str) -> list[tuple[str, list[Line]]]:
    """The added lines of every text file, without those that the change only moved."""
    diff = git(directory, "diff", "--no-color", "--no-ext-diff", "-U0", "-M", "--text", base, head)
    files: list[tuple[str, list[tuple[int, bytes]]]] = []
    removed, lines = set(), iter(diff.split(b"\n"))
    for line in lines:
        if line.startswith(b"+++ "):
            path = line[4:].rstrip(b"\t").strip(b'"')
            files.append((path[2:].decode("utf-8", "replace"), []))
        elif hunk := HUNK.match(line):
            number, gone, come = int(hunk[2]), int(hunk[1] or 1), int(hunk[3] or 1)
            while gone or come:
                text = next(lines)
                if text.startswith(b"-"):
                    removed.add(text[1:].strip())
                    gone -= 1
                elif text.startswith(b"+"):
                    files[-1][1].append((number, text[1:]))
                    number, come = number + 1, come - 1
    return [
        (path, [(n, t.decode("utf-8", "replace").rstrip("\r")) for n, t in found
                if t.strip() and t.strip() not in removed])
        for path, found in files
        if not any(b"\0" in t for _, t in found)
    ]  # fmt: skip


def numbered(text: str) -> list[Line]:
    """The lines of *text* that say something."""
    return [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]


def case(row: dict[str, Any], directory: Path, scratch: Path) -> Case:
    """The case of *row*, its facts still missing."""
    import materialise  # the benchmark's own; `main` puts it on the path

    place: Path | str = directory
    base, head, text, branch = row["parent"], row["commit"], "", "main"
    if row["kind"] in {"inj", "col"}:
        key = row["repo"].replace("/", "+")
        place, base, head, text, branch = materialise.build(str(directory), str(scratch), key, row)
    names = git(place, "diff", "--name-only", "-z", "-M", "--diff-filter=ARC", base, head)
    message = git(place, "log", "-1", "--format=%B", head).decode("utf-8", "replace").strip()
    paths = names.decode("utf-8", "replace").split("\0")[:-1]
    return Case(row, added(place, base, head), paths, numbered(message), numbered(text), branch,
                base, {})  # fmt: skip


# --- what the base holds -----------------------------------------------------------------------


def keys_of(text: str) -> Iterator[str]:
    """Every key that the detection may ask the base for when it reads *text*."""
    runs = WORD.findall(fold(text))[: 600 if len(text) > 5000 else None]
    words = [[p.casefold() for p in parts(run)] for run in runs if len(run) <= 80]
    flat = ["".join(word) for word in words]
    for word in words:
        for at in range(len(word)):
            for end in range(at + 1, min(at + 7, len(word) + 1)):
                yield "".join(word[at:end])
        for part in word:
            yield from (half for cut in shape.halves(part) for half in cut)
    for at in range(len(flat)):
        for end in range(at + 2, min(at + MAX_JOIN, len(flat)) + 1):
            joined = "".join(flat[at:end])
            if len(joined) > 48:
                break
            yield joined


def needed(one: Case) -> set[str]:
    """Every key that the detection may ask for in *one*."""
    found = set(INTERFACE_WORDS)
    texts = [text for _, lines in one.files for _, text in lines]
    texts += [text for _, text in (*one.message, *one.pull_request)]
    for text in (*texts, *one.paths, one.branch, *(path for path, _ in one.files)):
        found.update(keys_of(text))
    return found


def blobs(directory: Path, oids: Iterable[bytes]) -> Iterator[tuple[bytes, str]]:
    """Every text blob of *oids* that is not too large."""
    wanted = list(oids)
    command = ["git", "-C", str(directory), "cat-file", "--batch", "--buffer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        into, out = process.stdin, process.stdout
        assert into
        assert out

        def ask() -> None:
            into.write(b"\n".join(wanted) + b"\n")
            into.close()

        threading.Thread(target=ask).start()
        for oid in wanted:
            head = out.readline().split()
            if head[1] == b"missing":
                continue
            data = out.read(int(head[2]))
            out.read(1)
            text = terms.readable(data) if len(data) <= MAX_BLOB else None
            if text is not None:
                yield oid, text


def tree(directory: Path, commit: str) -> list[tuple[bytes, str]]:
    """Object and path of every file of *commit*."""
    found = []
    for entry in filter(None, git(directory, "ls-tree", "-r", "-z", commit).split(b"\0")):
        meta, _, path = entry.partition(b"\t")
        mode, kind, oid = meta.split()
        if kind == b"blob" and mode != b"120000":
            found.append((oid, path.decode("utf-8", "replace")))
    return found


def said(text: str, need: set[str]) -> tuple[tuple[str, int], ...]:
    """The needed keys of a blob, each with how it is used there (`uses.Use`)."""
    found = {(sys.intern(key), 0) for key in terms.word_keys(text) & need}
    if len(text) <= MAX_READ:
        found |= {(sys.intern(key), 0) for key in terms.phrase_keys(text) & need}
        found |= {(sys.intern(key), int(use)) for use, key, _ in uses(text) if key in need}
    return tuple(found)


def with_facts(cases: list[Case], directory: Path) -> Iterator[Case]:
    """*cases* with what their bases hold; a blob that several bases have is read once."""
    needs = {one.row["id"]: needed(one) for one in cases}
    need = set().union(*needs.values())
    memo: dict[bytes, tuple[tuple[str, int], ...]] = {}

    @cache
    def path_keys(part: str) -> tuple[str, ...]:
        return tuple(terms.word_keys(part) & need)

    for base in dict.fromkeys(one.base for one in cases):
        files = tree(directory, base)
        unread = dict.fromkeys(oid for oid, _ in files if oid not in memo)
        memo.update(dict.fromkeys(unread, ()))
        memo.update((oid, said(text, need)) for oid, text in blobs(directory, unread))
        count: collections.Counter[tuple[str, str]] = collections.Counter()
        for oid, path in files:
            for key, use in memo[oid]:
                count[key, str(use)] += 1
            if fileclass.by_path(path).establishes:
                count.update((key, "e") for key, use in memo[oid] if not use)
            count.update((k, "p") for k in {k for p in path.split("/") for k in path_keys(p)})
        for one in cases:
            if one.base == base:
                held = {k: tuple(count[k, c] for c in "0e123p") for k in needs[one.row["id"]]}
                yield one._replace(facts={k: v for k, v in held.items() if any(v)})


def main() -> None:
    """Write the cases of every repository that has none yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bench", "mirror", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--part", default="0/1", help="which of how many equal parts to do")
    options = parser.parse_args()
    sys.path.insert(0, str(options.bench))
    part, of = map(int, options.part.split("/"))
    by_repo = rows(options.bench)
    scratch = (options.out / "scratch").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    used = {row[k] for found in by_repo.values() for row in found for k in ("commit", "parent")}
    for repo in sorted(by_repo)[part::of]:
        key = repo.replace("/", "+")
        directory, out = options.mirror / key / "repo", options.out / f"{key}.pkl"
        if out.exists():
            continue
        wanted = [*by_repo[repo], *sampled(directory, repo, used)]
        cases = [case(row, directory, scratch) for row in sorted(wanted, key=lambda r: r["ts"])]
        out.write_bytes(pickle.dumps(list(with_facts(cases, directory))))
        print(repo, len(cases), flush=True)


if __name__ == "__main__":
    main()
