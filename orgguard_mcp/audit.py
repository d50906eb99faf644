"""The audit export: a repository's log as lines, which anybody can verify without store and key.

The first line is a header; each other one is an entry, with the digest that chains it to the entry
before. An export is one text only: whatever differs from it by a byte is told (docs/audit.md). Who
builds all of its lines anew is told by the head alone, as one knows it from elsewhere: from an
older export, or from grants that were signed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from orgguard_mcp.errors import LedgerError, OrgGuardError

FORMAT = "orgguard-audit 1"
IN_FILE, SHARED = "sqlite", "postgresql"

EMPTY = "0" * 64
"""The head of an empty log."""

MAX_LINE = 16 << 20
"""Bytes of a line that is read; the longest grant has 64 KiB."""

STEP = 256
"""Lengths of sealed content are rounded up to this, so that they tell little."""

Entry = Mapping[str, Any]
"""An entry as its line has it."""

_HEADER = (
    "format", "repository", "engine", "log", "revealed", "columns", "exported_at", "head", "count",
    "digest",
)  # fmt: skip
_SHOWN = ("number", "kind", "request", "at", "expires_at", "commitment")


@dataclass(frozen=True, slots=True)
class Export:
    """A log as of one moment. `log` is its id where several share a store; `columns` are, by kind,
    what its entries' content is made of where the chain is over that; `revealed`: they have
    content. They are read as they are taken.
    """

    engine: str
    log: str
    head: str
    count: int
    revealed: bool
    columns: Mapping[str, Sequence[str]]
    entries: Iterator[Entry]


# --- the chains -----------------------------------------------------------------------------------


def chained_in_file(before: object, kind: object, at: object, row: Iterable[object]) -> str:
    """The digest of an entry in a file: it is over what was said."""
    return hashlib.sha256(_dumps([before, kind, at, *row]).encode()).hexdigest()


def chained_in_store(before: object, shown: Sequence[object]) -> str:
    """The digest of an entry in a shared store: it is over what that may show."""
    return hashlib.sha256(f"{before}\n{_dumps(list(shown))}".encode()).hexdigest()


def commitment(salt: bytes, content: object) -> str:
    """What an entry shows of *content*. Raises `UnicodeEncodeError` when that is half a text."""
    return hmac.digest(salt, content_text(content), "sha256").hex()


def content_text(content: object) -> bytes:
    """*content* as it is sealed and committed to."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % STEP)


_dumps = json.JSONEncoder(separators=(",", ":")).encode  # made once: it is called for every entry


# --- writing --------------------------------------------------------------------------------------


def lines(export: Export, repository: str, exported_at: str) -> Iterator[str]:
    """*export* as lines. Raises `LedgerError` when the log is not the one that was begun."""
    header: dict[str, object] = {
        "format": FORMAT, "repository": repository, "engine": export.engine, "log": export.log,
        "revealed": export.revealed, "columns": export.columns, "exported_at": exported_at,
        "head": export.head, "count": export.count,
    }  # fmt: skip
    yield _dumps(header | {"digest": _digest_of(header)}) + "\n"
    head, count = EMPTY, 0
    for entry in export.entries:
        head, count = entry["digest"], count + 1
        yield _dumps(entry) + "\n"
    if (head, count) != (export.head, export.count):
        raise LedgerError(
            "nothing was exported: the log was altered by another program",
            cause=f"it has {count} of {export.count} entries, or another end",
            hint="see what `orgguard doctor` says of it",
        )


def _digest_of(header: Mapping[str, object]) -> str:
    return hashlib.sha256(_dumps(header).encode()).hexdigest()


# --- verifying ------------------------------------------------------------------------------------


class AlteredError(Exception):
    """An export is not as it was written, from *line* on."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")


@dataclass(frozen=True, slots=True)
class Verified:
    """An export that is whole: its header, and how many of the signed heads it has."""

    header: Mapping[str, Any]
    signed: int


def verify(lines: Iterable[bytes], signed: Iterable[tuple[str, str]] = ()) -> Verified:
    """Read an export to its end. *signed* are heads that it must have if it has the request that
    each stands beside.

    Raises `AlteredError` when it was altered, `OrgGuardError` when it is no export of this format.
    """
    rest = iter(lines)
    header = _header(next(rest, b""))
    wanted = _Wanted(signed)
    before = EMPTY
    for number, line in zip_longest(range(1, header["count"] + 1), rest):
        if number is None:
            raise AlteredError(header["count"] + 2, "it was added after the last entry")
        if line is None:
            raise AlteredError(number + 1, f"entry {number} of {header['count']} is missing")
        entry = _entry(header, number, line)
        if entry["digest"] != _chained(header, before, entry):
            raise AlteredError(
                number + 1,
                "it does not follow from the line before: it was changed, or lines are missing,"
                " added or in another order",
            )
        before = entry["digest"]
        wanted.see(header, entry)
    if before != header["head"]:
        raise AlteredError(header["count"] + 1, "the header says that the log ended otherwise")
    return Verified(header, wanted.found())


def _header(line: bytes) -> Mapping[str, Any]:
    if not line.startswith(f'{{"format":"{FORMAT}",'.encode()):
        raise OrgGuardError(
            "nothing was verified: the file is no audit export that this version knows",
            hint="name one that `orgguard audit export` wrote, or upgrade orgguard-mcp",
        )
    found = _parsed(line, _HEADER)
    if not found or not _is_header(found):
        raise AlteredError(1, "the header was changed")
    return found


def _is_header(found: Mapping[str, Any]) -> bool:
    texts = ("repository", "log", "exported_at", "head")
    return (
        found["digest"] == _digest_of({word: found[word] for word in _HEADER if word != "digest"})
        and found["engine"] in (IN_FILE, SHARED)
        and all(isinstance(found[word], str) for word in texts)
        and isinstance(found["columns"], dict)
        and _dumps(found["count"]).isdigit()
    )


def _entry(header: Mapping[str, Any], number: int, line: bytes) -> Entry:
    """The entry that *line* has, seen to be the one text that stands for it."""
    found = _parsed(line, _words(header))
    if not found:
        raise AlteredError(number + 1, "it was changed: no entry is written like that")
    if _dumps(found["number"]) != str(number):  # to Python, 1 is 1.0 and true
        raise AlteredError(
            number + 1,
            f"it is not entry {number}: it was changed, or lines are missing, added or in another"
            " order",
        )
    if "content" in found and not _is_content(header, found):
        raise AlteredError(number + 1, "its content was changed")
    return found


def _words(header: Mapping[str, Any]) -> tuple[str, ...]:
    if header["engine"] == IN_FILE:
        return ("number", "kind", "at", "content", "digest")
    return (*_SHOWN, "digest", *(("salt", "content") if header["revealed"] else ()))


def _parsed(line: bytes, words: Sequence[str]) -> dict[str, Any] | None:
    """The object of *words* that *line* is, if it is written as OrgGuard writes it."""
    try:
        found = json.loads(line.decode("ascii"))
        same = f"{_dumps(found)}\n".encode() == line
    except (ValueError, RecursionError):
        return None
    return found if same and isinstance(found, dict) and (*found,) == (*words,) else None


def _is_content(header: Mapping[str, Any], entry: Entry) -> bool:
    """Whether an entry's content is what the chain is over."""
    try:
        if header["engine"] == IN_FILE:  # its digest is over the values
            return bool([*entry["content"]] == header["columns"][entry["kind"]])
        salt = bytes.fromhex(entry["salt"])
        return bool(
            salt.hex() == entry["salt"]
            and commitment(salt, entry["content"]) == entry["commitment"]
        )
    except (ValueError, TypeError, LookupError):
        return False


def _chained(header: Mapping[str, Any], before: str, entry: Entry) -> str:
    if header["engine"] == IN_FILE:
        return chained_in_file(before, entry["kind"], entry["at"], entry["content"].values())
    return chained_in_store(before, [header["log"], *(entry[word] for word in _SHOWN)])


class _Wanted:
    """The heads that an export must have, and which of them were seen."""

    def __init__(self, signed: Iterable[tuple[str, str]]) -> None:
        self._signed = [(request, head) for request, head in signed if head != EMPTY]
        self._requests = {request for request, _ in self._signed}
        self._heads = {head for _, head in self._signed}
        self._seen: set[str] = set()

    def see(self, header: Mapping[str, Any], entry: Entry) -> None:
        """Note what *entry* is about, and its digest."""
        content = entry.get("content", {})
        word = "id" if entry["kind"] == "request" else "request_id"
        request = content.get(word) if header["engine"] == IN_FILE else entry["request"]
        self._seen |= {str(request)} & self._requests | {entry["digest"]} & self._heads

    def found(self) -> int:
        """How many heads there are; `AlteredError` when one is missing."""
        heads = {head for request, head in self._signed if request in self._seen}
        if heads - self._seen:
            raise AlteredError(
                1,
                "the log lacks an entry that a signed grant was made after: it was built anew, or"
                " is another one",
            )
        return len(heads)
