"""`orgguard protect`: the key, and the list of names that must never be public."""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orgguard_mcp.console import out, say
from orgguard_mcp.display import plural, visible
from orgguard_mcp.errors import CLEAN, InvalidNameError, OrgGuardError, UsageError
from orgguard_mcp.guard import Guard
from orgguard_mcp.lexicon import is_ordinary
from orgguard_mcp.names import Name, parse
from orgguard_mcp.progress import Progress
from orgguard_mcp.protected import (
    ENVIRONMENT_KEY,
    ENVIRONMENT_KEY_FILE,
    MAX_WORDS,
    PATH,
    find_key,
    sealed,
    word_count,
)
from orgguard_mcp.repository import Repository

MAX_FILE = 64 << 20
"""Bytes of a file of names."""

_SHOWN = 20  # line numbers told
_BROKEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def key(options: argparse.Namespace) -> int:
    """Make a key in a new file that nobody else may read."""
    file = Path(options.file)
    with Repository(options.repo or ".") as repository:
        _refuse_within(repository.top_level(), file, "no key was made")
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_hex(32))
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "the path cannot be used"
        hint = "name a file that does not exist yet, in a directory that does"
        raise UsageError("no key was made", cause=cause or "", hint=hint) from error
    say(f"made a key in {visible(str(file))}: keep it where secrets are kept, and give it to CI")
    say(f"as {ENVIRONMENT_KEY}; without it the list cannot be used")
    return CLEAN


def import_names(options: argparse.Namespace) -> int:
    """Replace the list by the names in a file."""
    with Guard(options.repo or ".", options.base) as guard:
        top = guard.repository.top_level()
        _refuse_within(top, Path(options.file), "nothing was imported")
        key = find_key(options.key_file)
        if key is None:
            raise OrgGuardError(
                "nothing was imported: there is no key",
                hint="make one with `orgguard protect key FILE`, and give it with --key-file,"
                f" {ENVIRONMENT_KEY} or {ENVIRONMENT_KEY_FILE}",
            )
        taken = _taken(_rows(Path(options.file), options.column))
        _write(top / PATH, sealed(taken.names.values(), key))
        with Progress(sys.stderr) as progress:
            guard.prepare(progress.of("Reading the base", "files"))
            known = _established(guard, taken.names.values())
    _tell(taken, known, header=_is_table(options.file, options.column))
    return CLEAN


def _refuse_within(top: Path, file: Path, what: str) -> None:
    if file.resolve().is_relative_to(top.resolve()):
        raise UsageError(
            f"{what}: the file lies in the working tree",
            hint="keep it outside of the repository, where it cannot be committed",
        )


# --- reading names --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Taken:
    """The names of a file, by key, with what of it was not taken: no text, numbers of lines."""

    names: dict[str, Name] = field(default_factory=dict)
    unreadable: list[int] = field(default_factory=list)
    doubled: int = 0


def _taken(rows: Iterable[tuple[int, str | None]]) -> _Taken:
    taken = _Taken()
    for number, text in rows:
        try:
            name = parse(text.strip()) if text and not _BROKEN.search(text) else None
        except InvalidNameError:
            name = None
        if name is None or word_count(name) > MAX_WORDS:
            taken.unreadable.append(number)
        elif name.key in taken.names:
            taken.doubled += 1
        else:
            taken.names[name.key] = name
    if not taken.names:
        raise UsageError(
            "nothing was imported: the file has no name that can be read",
            cause=_lines(taken.unreadable),
            hint=f"give a name a line, or a CSV file; to protect nothing, remove {PATH}",
        )
    return taken


def _rows(file: Path, column: str | None) -> Iterator[tuple[int, str | None]]:
    """The names in *file* with the numbers of their lines; None for what cannot be read."""
    text = _text(file)
    if _is_table(str(file), column):
        yield from _cells(text, column)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def _is_table(file: str, column: str | None) -> bool:
    return column is not None or file.lower().endswith((".csv", ".tsv"))


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "the path cannot be used"
        raise _unreadable(cause or "") from error
    if len(data) > MAX_FILE:
        raise _unreadable(f"it is larger than {MAX_FILE >> 20} MB")
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise _unreadable("it is not UTF-8, nor UTF-16 with a byte-order mark") from error


def _unreadable(cause: str) -> UsageError:
    return UsageError(
        "nothing was imported: the file of names cannot be read",
        cause=cause,
        hint="give a text file in UTF-8, a name a line, or a CSV file",
    )


def _cells(text: str, column: str | None) -> Iterator[tuple[int, str | None]]:
    """The cells of one column, below the first row, which says what the columns are called."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = next(_records(reader), (1, None))[1] or []
    titles = [title.strip() for title in header]
    if column is not None and column not in titles:
        raise _unreadable("its first row has no column of that name")
    at = titles.index(column) if column is not None else 0
    for number, row in _records(reader):
        cell = row[at] if row and len(row) > at else None
        if row is None or any(map(str.strip, row)):
            yield number, cell


def _records(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str] | None]]:
    """Each record with the line that it ends on; None for one that is no CSV."""
    while True:
        try:
            row: list[str] | None = next(reader)
        except StopIteration:
            return
        except csv.Error:
            row = None
        yield reader.line_num, row  # type: ignore[attr-defined]


# --- writing and telling --------------------------------------------------------------------------


def _write(path: Path, data: bytes) -> None:
    """Lay the list into the working tree, whole or not at all."""
    try:
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise OrgGuardError(
            "nothing was imported: the list cannot be written",
            cause=f"{PATH}: {error.strerror}",
            hint="see to it that the working tree can be written",
        ) from error


def _established(guard: Guard, names: Iterable[Name]) -> int:
    """How many of *names* the base establishes: those are public already."""
    by_key = {name.key: name for name in names}
    held = guard.holdings(by_key)
    return sum(guard.sightings(name).established for key, name in by_key.items() if key in held)


def _tell(taken: _Taken, known: int, *, header: bool) -> None:
    out(f"{plural(len(taken.names), 'name')} in {PATH}: commit it to the base's branch")
    if header:
        say("the first row was taken for the columns' titles and is not in the list")
    if taken.doubled:
        say(f"{plural(taken.doubled, 'line')} doubled: other spellings of a name that was taken")
    if taken.unreadable:
        say(f"{plural(len(taken.unreadable), 'line')} not taken: {_lines(taken.unreadable)}")
    if known:
        say(f"{plural(known, 'name')} of these the base establishes: public already, denied anew")
    if ordinary := sum(map(is_ordinary, (name.key for name in taken.names.values()))):
        say(f"{plural(ordinary, 'name')} of one ordinary word: found only where it has a capital")


def _lines(numbers: list[int]) -> str:
    """Which lines cannot be read, without what they have."""
    if not numbers:
        return ""
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    more = f" and {len(numbers) - _SHOWN:,} more" if len(numbers) > _SHOWN else ""
    return f"unreadable: line {shown}{more}"
