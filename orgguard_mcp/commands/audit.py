"""`orgguard audit`: a repository's log is written down for others, and what was written down is
verified.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from orgguard_mcp import audit, endorse
from orgguard_mcp.audit import AlteredError
from orgguard_mcp.console import out, say, shows_names
from orgguard_mcp.display import plural, visible
from orgguard_mcp.errors import CLEAN, FINDINGS, OrgGuardError, UsageError
from orgguard_mcp.guard import Guard


def export(options: argparse.Namespace) -> int:
    """Write the log into a new file that nobody else may read, or to standard output."""
    reveal = options.reveal if options.file else shows_names(reveal=options.reveal)
    with Guard(options.repo or ".", options.base) as guard:
        if options.file and reveal and not guard.repository.is_bare():
            _refuse_within(guard.repository.top_level(), Path(options.file))
        endorse.check_log(guard)
        log = guard.ledger.export(reveal=reveal)
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        lines = audit.lines(log, guard.notary.repository, now)
        if options.file:
            with _new(Path(options.file)) as file:
                file.writelines(line.encode() for line in lines)
        else:
            for line in lines:
                out(line.removesuffix("\n"))
    say(f"exported {plural(log.count, 'entry', 'entries')}, head {log.head}")
    return CLEAN


def verify(options: argparse.Namespace) -> int:
    """Say whether an export is as it was written."""
    signed = _signed(options) if options.anchors else []
    try:
        with _opened(Path(options.file)) as lines:
            found = audit.verify(lines, signed)
    except AlteredError as error:
        out(f"altered: {error}")
        return FINDINGS
    header = found.header
    out(f"whole: {plural(header['count'], 'entry', 'entries')}, head {header['head']}")
    say(f"of {visible(header['repository'])}, exported {visible(header['exported_at'])}")
    if options.anchors:
        say(f"{plural(found.signed, 'head')} that approvers signed, of {len(set(signed))} at hand")
    return CLEAN


def _signed(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The heads in the signed grants of the tree, each with the request that it is about."""
    with Guard(options.repo or ".", options.base) as guard:
        guard.alone = True  # neither store nor key is needed
        return [(grant.request, grant.log) for grant in guard.grants.grants]


def _refuse_within(top: Path, file: Path) -> None:
    if file.resolve().is_relative_to(top.resolve()):
        raise UsageError(
            "nothing was exported: the file lies in the working tree, and would have names",
            hint="keep it outside of the repository, where it cannot be committed",
        )


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """The new file *path*, whole or not at all."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "the path cannot be used"
        hint = "name a file that does not exist yet, in a directory that does"
        raise UsageError("nothing was exported", cause=cause or "", hint=hint) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OrgGuardError(
                "nothing was exported", cause=error.strerror or "", hint="free disk space"
            ) from error
        raise


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of the file *path*, none longer than any that was written."""
    try:
        with path.open("rb") as file:
            yield iter(lambda: file.readline(audit.MAX_LINE), b"")
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "the path cannot be used"
        raise OrgGuardError(
            "nothing was verified: the file cannot be read", cause=cause or "",
            hint="name a file that `orgguard audit export` wrote",
        ) from error  # fmt: skip
