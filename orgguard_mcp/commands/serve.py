"""`orgguard serve`: the MCP server."""

from __future__ import annotations

import argparse
import gc
import os
from pathlib import Path

from orgguard_mcp.errors import UsageError


def run(options: argparse.Namespace) -> int:
    """Serve over stdio until the client leaves, or over HTTP until told to end."""
    # What the SDK's modules make stays. To search it for garbage, again and again while it grows,
    # takes a tenth of the start, and later a pause in the middle of a call.
    gc.disable()
    try:
        return _http(options) if options.http else _stdio(options)
    finally:
        gc.enable()


def _stdio(options: argparse.Namespace) -> int:
    if options.config or options.listen or options.mirrors:
        raise UsageError(
            "the server was not started: --config, --listen and --mirrors are for --http",
            hint="add --http, or leave them out",
        )
    from orgguard_mcp.server import stdio

    _collect()
    return stdio.run(options.repo, options.base, dry_run=options.dry_run, hold=options.hold)


def _http(options: argparse.Namespace) -> int:
    if options.dry_run or options.hold is not None or options.base:
        raise UsageError(
            "the server was not started: --dry-run, --hold and --base are not for --http",
            hint="the settings have `hold_seconds`; the base is each repository's default branch",
        )
    from orgguard_mcp import hosting
    from orgguard_mcp.mirrors import ENVIRONMENT_MIRRORS
    from orgguard_mcp.server import hosted

    _collect()
    settings = hosting.read_settings(
        Path(options.config) if options.config else None,
        listen=options.listen,
        mirrors=options.mirrors,
        default_mirrors=os.environ.get(ENVIRONMENT_MIRRORS),
    )
    return hosted.run(settings, options.repo or ".")


def _collect() -> None:
    """Search for garbage from now on, and not among what is there already."""
    gc.freeze()
    gc.enable()
