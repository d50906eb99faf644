"""`orgguard mirror`: the repositories of the shared server."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from orgguard_mcp.console import out, say
from orgguard_mcp.display import ago, visible
from orgguard_mcp.errors import CLEAN, UNCHECKED, OrgGuardError, UsageError
from orgguard_mcp.guard import Guard
from orgguard_mcp.mirrors import ENVIRONMENT_MIRRORS, Mirrors
from orgguard_mcp.progress import Progress


def add(options: argparse.Namespace) -> int:
    """Mirror a repository, and read its base."""
    path = _mirrors(options).add(options.name, options.url)
    _read(path)
    say(f"{options.name} is mirrored in {path}")
    return CLEAN


def fetch(options: argparse.Namespace) -> int:
    """Bring mirrors up to date, and read their bases; one's failure stops no other."""
    mirrors, failed = _mirrors(options), False
    for name in options.names or mirrors.names():
        try:
            moved = mirrors.fetch(name)
            _read(mirrors.path(name))
        except OrgGuardError as error:
            failed = True
            say(
                "\n".join(
                    f"{visible(name)}: {visible(line, 1000)}" for line in error.lines() if line
                )
            )
        else:
            out(f"{name}  {'moved' if moved else 'nothing new'}")
    return UNCHECKED if failed else CLEAN


def show(options: argparse.Namespace) -> int:
    """List the mirrors."""
    mirrors = _mirrors(options)
    rows = [_row(mirrors, name) for name in mirrors.names()]
    if options.format == "json":
        out(json.dumps(rows, indent=2))
        return CLEAN
    now = time.time()
    for row in rows:
        base = str(row["base"])[:12] or "no base: `orgguard mirror fetch` says why"
        out(
            f"{row['name']}  {base}  {ago(float(row['fetched_at']), now)}"
            f"  {int(row['size']) / 1e6:,.1f} MB"
        )
    if not rows:
        say("there is no mirror: `orgguard mirror add` makes one")
    return CLEAN


def remove(options: argparse.Namespace) -> int:
    """Delete a mirror."""
    _mirrors(options).remove(options.name)
    say(f"{options.name} is no mirror any more")
    return CLEAN


def _mirrors(options: argparse.Namespace) -> Mirrors:
    given = options.mirrors or os.environ.get(ENVIRONMENT_MIRRORS)
    if not given:
        raise UsageError(
            "nothing was done: where are the mirrors?",
            hint=f"name their directory with --mirrors or {ENVIRONMENT_MIRRORS}",
        )
    return Mirrors(Path(given).absolute())


def _read(path: Path) -> None:
    """Build the index of a mirror's base, so that no agent has to wait for that."""
    with Guard(path) as guard, Progress(sys.stderr) as progress:
        guard.prepare(progress.of("Reading the base", "files"))


def _row(mirrors: Mirrors, name: str) -> dict[str, str | float]:
    path = mirrors.path(name)
    try:
        with Guard(path) as guard:
            base = guard.base.commit
    except OrgGuardError:
        base = ""
    fetched = mirrors.fetched_at(name)
    return {"name": name, "base": base, "fetched_at": fetched, "size": _size(path)}


def _size(path: Path) -> int:
    """The bytes of disk that *path* takes; what vanishes meanwhile takes none."""
    total = 0
    for folder, _, files in os.walk(path):
        for file in files:
            try:
                total += (Path(folder) / file).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
