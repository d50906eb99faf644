"""`orgguard check`: whether names may be written, and why."""

from __future__ import annotations

import argparse
import sys

from orgguard_mcp import names
from orgguard_mcp.errors import CLEAN, FINDINGS
from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Effect
from orgguard_mcp.progress import Progress
from orgguard_mcp.report.verdicts import FORMATS


def run(options: argparse.Namespace) -> int:
    """Say what holds for each of the names."""
    for surface in options.names:
        names.parse(surface)  # all names are readable before any work is done
    with Guard(options.repo or ".", options.base) as guard:
        with Progress(sys.stderr) as progress:
            guard.prepare(progress.of("Reading the base", "files"))
        verdicts = [guard.check(surface) for surface in options.names]
    sys.stdout.write(FORMATS[options.format](verdicts))
    sys.stdout.flush()
    return CLEAN if all(v.effect is Effect.ALLOW for v in verdicts) else FINDINGS
