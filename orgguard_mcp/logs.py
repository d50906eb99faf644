"""The shared server's log: a JSON object a line on standard error, or on a terminal a short line.

Only `event` puts words into it, with fields of a closed set. Whatever a library logs, warns of or
crashes with quotes headers, arguments and texts, where a name may be: of that only the place and
the error's class are shown.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO, TypedDict, Unpack

from orgguard_mcp.display import visible

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

MAX_PLACES = 30
"""Places of a traceback that are shown, the innermost ones: modules and lines."""

_ours = logging.getLogger("orgguard")
_ours.addHandler(logging.NullHandler())  # until the log is set up, nobody hears
_Shown = dict[str, object]


class Fields(TypedDict, total=False):
    """What an event may say, beside when and what it was. All of it is the server's own."""

    repository: str
    """Its label, as the server knows it."""
    principal: str
    """Its id."""
    tool: str
    outcome: str
    reason: str
    seconds: float
    count: int
    status: int
    request_id: str
    """Made by the server, not by a client."""
    address: str
    """Where the server listens."""
    cause: BaseException
    """Shown as its class."""


_KEYS = frozenset(Fields.__annotations__)


def set_up(trace_id: Callable[[], str] = str, stream: TextIO | None = None) -> None:
    """Make this process's log ours: events, what libraries log, warnings, and crashes.

    *trace_id* has the id of the trace that is under way, or nothing. Loggers that are configured
    later on with handlers of their own are not seen here: uvicorn takes `log_config=None`.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_Formatter(trace_id, _line if target.isatty() else _json))
    handler.addFilter(lambda record: _is_own(record) or record.levelno >= WARNING)
    for logger in (logging.root, *_existing()):
        logger.handlers, logger.propagate = [], True
    logging.root.addHandler(handler)
    _ours.setLevel(INFO)
    logging.raiseExceptions = False  # a record that cannot be written would be printed whole
    warnings.showwarning = _warned
    sys.excepthook = lambda _, error, __: crashed(error)
    sys.unraisablehook = lambda lost: _lost(lost.exc_value)
    threading.excepthook = lambda lost: _lost(lost.exc_value)


def event(name: str, level: int = INFO, **fields: Unpack[Fields]) -> None:
    """Log an event. *name* is a word of this package's own. What is empty is left out."""
    shown = {key: value for key, value in fields.items() if key in _KEYS and value != ""}
    _log(name, level, shown)


def crashed(error: BaseException) -> None:
    """Log an error that nobody has handled, with its places; each one of a group."""
    for one in _leaves(error):
        _log("crash", logging.CRITICAL, {"cause": one})


def _log(name: str, level: int, shown: _Shown) -> None:
    _ours.log(level, name, extra={"shown": shown})


def _existing() -> Iterator[logging.Logger]:
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    where = f"{Path(filename).name}:{lineno}"
    _log("warning", WARNING, {"where": where, "cause": category.__name__})


def _lost(error: BaseException | None) -> None:
    if error and not isinstance(error, SystemExit):
        crashed(error)


# --- a record's text -------------------------------------------------------------------------


class _Formatter(logging.Formatter):
    def __init__(self, trace_id: Callable[[], str], write: Callable[[_Shown], str]) -> None:
        super().__init__()
        self._trace_id = trace_id
        self._write = write

    def format(self, record: logging.LogRecord) -> str:
        shown: _Shown = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            **(_own(record) if _is_own(record) else _foreign(record)),
        }
        if traced := self._trace_id():
            shown["trace_id"] = traced
        return self._write(shown)


def _is_own(record: logging.LogRecord) -> bool:
    return record.name == _ours.name and hasattr(record, "shown")


def _own(record: logging.LogRecord) -> _Shown:
    shown: _Shown = {"event": record.msg, **getattr(record, "shown", {})}
    cause = shown.get("cause")
    return {**shown, **_error(cause)} if isinstance(cause, BaseException) else shown


def _foreign(record: logging.LogRecord) -> _Shown:
    shown: _Shown = {
        "event": "log", "logger": record.name, "where": f"{record.filename}:{record.lineno}"
    }  # fmt: skip
    error = record.exc_info[1] if record.exc_info else None
    return {**shown, **_error(error)} if error else shown


def _error(error: BaseException) -> _Shown:
    """*error* by its class, that of what it came from, and the places it went through."""
    first = next(_leaves(error))
    shown: _Shown = {"cause": " from ".join(type(one).__name__ for one in _chain(first))}
    if places := list(_places(first.__traceback__)):
        shown["places"] = places[-MAX_PLACES:]
    return shown


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that a group is of, or just *error*."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _places(at: TracebackType | None) -> Iterator[str]:
    while at:
        yield f"{at.tb_frame.f_globals.get('__name__', '?')}:{at.tb_lineno}"
        at = at.tb_next


def _json(shown: _Shown) -> str:
    return json.dumps(shown, default=lambda value: type(value).__name__)


def _line(shown: _Shown) -> str:
    """For a human: `12:30:01 warning fetch repository=owner/name outcome=failed`."""
    time, level, name, *values = map(str, shown.values())
    fields = map("=".join, zip(list(shown)[3:], values, strict=True))
    return visible(" ".join([time[11:19], level, name, *fields]), 1000)
