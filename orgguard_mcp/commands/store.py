"""`orgguard reseal`: a shared store's keys are rotated."""

from __future__ import annotations

import argparse

from orgguard_mcp.console import say
from orgguard_mcp.display import plural
from orgguard_mcp.errors import CLEAN
from orgguard_mcp.storage import opening


def reseal(_: argparse.Namespace) -> int:
    """Seal with the first key what others sealed, in every repository's log."""
    say(f"sealed {plural(opening.reseal(), 'entry', 'entries')} with the first key")
    return CLEAN
