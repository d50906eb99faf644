"""`orgguard serve`: the MCP server."""

from __future__ import annotations

import argparse

from orgguard_mcp import server


def run(options: argparse.Namespace) -> int:
    """Serve over stdio until the client leaves."""
    return server.run(options.repo, options.base, dry_run=options.dry_run, hold=options.hold)
