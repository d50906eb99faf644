"""`orgguard serve`: the MCP server."""

from __future__ import annotations

import argparse
import gc


def run(options: argparse.Namespace) -> int:
    """Serve over stdio until the client leaves."""
    # What the SDK's modules make stays. To search it for garbage, again and again while it grows,
    # takes a tenth of the start, and later a pause in the middle of a call.
    gc.disable()
    from orgguard_mcp.server import stdio

    gc.freeze()
    gc.enable()
    return stdio.run(options.repo, options.base, dry_run=options.dry_run, hold=options.hold)
