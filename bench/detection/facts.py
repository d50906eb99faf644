"""Facts: the product's own reading of every case and leak, ready to fit. See README.md."""

from __future__ import annotations

import argparse
import pickle
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import leaks
from cases import blobs, keys_of, said, tree
from records import Case, Reading, Row

from orgguard_mcp import fileclass
from orgguard_mcp.detect.features import features
from orgguard_mcp.detect.gather import Candidate, Holdings, gather
from orgguard_mcp.detect.places import Kept, Places
from orgguard_mcp.detect.weigh import best_text, scene_of
from orgguard_mcp.lines import surface_of
from orgguard_mcp.model import Artifact, Held, Surface

LEAKS = 90
"""Synthetic leaks a repository."""

MAX_HOST = 40_000  # characters of a file into whose commit a leak is put
MAX_KEPT = 12


def artifacts(case: Case) -> Iterator[Artifact]:
    """The artifacts of *case*, as the product's diff hands them on."""
    for path, lines in case.files:
        yield Artifact(surface_of(path), path, tuple(lines))
    for path in case.paths:
        yield Artifact(Surface.PATH, path, ((0, path),))
    yield Artifact(Surface.COMMIT_MESSAGE, "c" * 40, tuple(case.message))
    if case.pull_request:
        yield Artifact(Surface.PR_BODY, "", tuple(case.pull_request))
    if case.branch != "main":
        yield Artifact(Surface.BRANCH, "", ((0, case.branch),))


def holdings(*facts: Mapping[str, tuple[int, ...]]) -> Holdings:
    """The base's answers, from the first of *facts* that has one."""

    def answer(keys: Iterable[str]) -> dict[str, Held]:
        found = ((key, next((f[key] for f in facts if key in f), None)) for key in keys)
        return {key: Held(*value) for key, value in found if value}

    return answer


def read(
    found: Iterable[Artifact], ask: Holdings, names: list[dict[str, Any]], only_names: bool
) -> list[Row]:
    """The rows of the candidates in *found*; with *only_names*, of those that show a name."""
    from evaluate import match  # the benchmark's own; `main` puts it on the path

    candidates, places = gather(found, ask), Places()
    scene = scene_of(candidates, ask, fileclass.by_path)
    rows = []
    for one in candidates:
        texts = {best_text(one), " ".join(one.words)}
        shows = [n for n, name in enumerate(names) if any(match(t, name) for t in texts)]
        if shows or not only_names:
            facts = frozenset(map(sys.intern, features(one.seen(), scene)))
            rows.append(Row(facts, shows, Candidate(one.words, _small(one.kept, places))))
    return rows


def _small(kept: Kept, places: Places) -> Kept:
    """Some of *kept*, in *places*, without the text around them."""
    small = Kept(places)
    for one in islice(kept, MAX_KEPT):
        small.numbers.append(places.add(one._replace(line="", cues=frozenset())))
    return small


def of_repository(work: tuple[Path, Path, leaks.Names]) -> list[Reading]:
    """The readings of one repository's cases, and of the leaks put into its ordinary commits."""
    path, mirror, names = work
    cases: list[Case] = pickle.loads(path.read_bytes())  # noqa: S301
    found = []
    for case in cases:
        row = case.row
        known = row.get("names", [])
        rows = read(artifacts(case), holdings(case.facts), known, only_names=False)
        found.append(
            Reading(row["id"], row["kind"], row["repo"], row.get("template", ""), known, rows)
        )
    return found + list(_leaked(cases, mirror, names))


def _leaked(cases: list[Case], mirror: Path, names: leaks.Names) -> Iterator[Reading]:
    import materialise

    ordinary = [c for c in cases if c.row["kind"] == "neg"] or [
        c for c in cases if c.row["kind"] == "sampled"
    ]
    if not ordinary:
        return
    repo = ordinary[0].row["repo"]
    rng = random.Random(repo)  # noqa: S311
    paths = [path for case in ordinary for path, _ in case.files]
    code = [p for p in paths if materialise.comment_prefix(Path(p).suffix.lower())] or ["src/a.py"]
    docs = [p for p in paths if Path(p).suffix.lower() in materialise.DOC] or ["docs/a.md"]
    made = [leaks.leak(rng, names, code, docs) for _ in range(LEAKS)]
    texts = [
        text for leak in made for one in leak.artifacts for text in (one.lines[0][1], one.path)
    ]
    held = _base(mirror / repo.replace("/", "+") / "repo", ordinary[len(ordinary) // 2].base,
                 {key for text in texts for key in keys_of(text)})  # fmt: skip
    for number, leak in enumerate(made):
        host = rng.choice(ordinary)
        squash = "".join(materialise.ascii_words(leak.name)).lower() or leak.name.lower()
        known = [{"name": leak.name, "aliases": [squash], "classes": []}]
        around = [a for a in artifacts(host) if sum(len(t) for _, t in a.lines) < MAX_HOST]
        rows = read([*around, *leak.artifacts], holdings(host.facts, held), known, only_names=True)
        yield Reading(f"s-{repo}-{number}", "synthetic", repo, "", known, rows)


def _base(directory: Path, commit: str, need: set[str]) -> dict[str, tuple[int, ...]]:
    """In how many files of *commit* each needed key stands."""
    count: dict[str, int] = {}
    for _, text in blobs(directory, {oid for oid, _ in tree(directory, commit)}):
        for key in {key for key, _ in said(text, need)}:
            count[key] = count.get(key, 0) + 1
    return {key: (files, files, 0, 0, 0, 0) for key, files in count.items()}


def main() -> None:
    """Read all cases, and write the readings."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bench", "mirror", "cases", "words", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    sys.path.insert(0, str(options.bench))
    words = [line.partition("/")[0] for line in options.words.read_text().splitlines()]
    names = leaks.Names(options.bench / "labels.jsonl", [w for w in words if w.islower()])
    work = [(path, options.mirror, names) for path in sorted(options.cases.glob("*.pkl"))]
    with Pool(2) as pool:
        found = [one for some in pool.imap(of_repository, work) for one in some]
    options.out.write_bytes(pickle.dumps(found))
    print(len(found), "readings")


if __name__ == "__main__":
    main()
