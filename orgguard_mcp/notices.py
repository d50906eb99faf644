"""Notices to the approvers: that questions wait, in which repository, and where to answer.

Nothing else goes out: what is asked, where and by whom is for those to read who answer. The
services' URLs hold secrets, and are shown to nobody. A thread of its own sends, so that no service
holds up an agent; several questions within a short time are one notice.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from orgguard_mcp import logs, secretfile
from orgguard_mcp.errors import UsageError

ENVIRONMENT_FILE = "ORGGUARD_NOTIFY_FILE"

INTERVAL_SECONDS = 60.0
"""Within which a repository has one notice."""

MAX_REPOSITORIES = 1000
"""That have a notice to come; those of more are dropped."""

MAX_WAIT_SECONDS = 10.0
"""How long a service may take to connect, and to answer."""

CLOSE_SECONDS = 5.0
"""How long notices are still sent when the server ends."""

SENT, FAILED, DROPPED = "sent", "failed", "dropped"

_MAX_FILE = 100_000


class _Service(Protocol):
    """What is used of one of Apprise's plugins."""

    def notify(self, body: str, title: str) -> bool: ...


class Notices:
    """Tells the approvers of questions, through every service that *file* names.

    *report* is told of each notice: whether it was sent, failed or was dropped. Raises `UsageError`
    when the file cannot be used.
    """

    def __init__(
        self,
        file: Path | None,
        where_to_answer: str,
        report: Callable[[str], None] = lambda _: None,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        self._services = _services(file) if file else []
        self._where_to_answer = where_to_answer
        self._report = report
        self._interval = interval
        self._changed = threading.Condition()
        self._open: dict[str, int] = {}
        self._sent_at: dict[str, float] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        if self._services:
            self._thread.start()

    @property
    def has_services(self) -> bool:
        """Whether anybody is told."""
        return bool(self._services)

    def waits(self, repository: str, open_count: int) -> None:
        """So many questions wait in *repository*: tell it soon. With none left, there is nothing
        to tell any more. Returns at once.
        """
        if not self._services:
            return
        with self._changed:
            if open_count <= 0:
                self._open.pop(repository, None)
            elif repository in self._open or len(self._open) < MAX_REPOSITORIES:
                self._open[repository] = open_count
                self._changed.notify()
            else:
                self._tell(DROPPED, repository)

    def close(self) -> None:
        """Send what is to come now, for `CLOSE_SECONDS` at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._services:
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while due := self._next():
            repository, count = due
            for service in self._services:
                self._tell(self._send(service, repository, count), repository)

    def _next(self) -> tuple[str, int] | None:
        """The next notice, waited for; None at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                self._sent_at = {
                    one: at for one, at in self._sent_at.items() if now - at < self._interval
                }
                free = (one for one in self._open if self._closing or one not in self._sent_at)
                if repository := next(free, ""):
                    self._sent_at[repository] = now
                    return repository, self._open.pop(repository)
                if self._closing:
                    return None
                self._changed.wait(self._pause(now))

    def _pause(self, now: float) -> float | None:
        """Seconds until one of those that have something to tell may; None if none has."""
        return min((self._sent_at[one] + self._interval - now for one in self._open), default=None)

    def _send(self, service: _Service, repository: str, count: int) -> str:
        waiting = "1 question waits" if count == 1 else f"{count} questions wait"
        text = f"{waiting} in {repository}.\nTo answer: {self._where_to_answer}"
        try:
            return SENT if service.notify(body=text, title="OrgGuard") else FAILED
        except Exception:  # noqa: BLE001  # a plugin's; its text may show the URL
            return FAILED

    def _tell(self, outcome: str, repository: str) -> None:
        self._report(outcome)
        if outcome != SENT:
            logs.event("notice", logs.WARNING, outcome=outcome, repository=repository)


def find_file() -> Path | None:
    """The file of services that the environment names, if it does."""
    named = os.environ.get(ENVIRONMENT_FILE)
    return Path(named) if named else None


def _services(file: Path) -> list[_Service]:
    """The services that *file* names, a URL of Apprise's a line."""
    try:
        lines = secretfile.read(file, _MAX_FILE).decode().splitlines()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise _unusable(f"the file of services cannot be read: {why}") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    services = [
        _service(number, line) for number, line in numbered if line and not line.startswith("#")
    ]
    if not services:
        raise _unusable("the file of services names none")
    return services


def _service(number: int, url: str) -> _Service:
    try:
        from apprise import Apprise, AppriseAsset
    except ImportError as error:
        raise _unusable(
            "the library that sends is not installed", "pip install 'orgguard-mcp[notify]'"
        ) from error
    _silence("apprise", "urllib3")  # they log URLs, and what a service answers
    asset = AppriseAsset(
        app_id="OrgGuard", app_desc="OrgGuard", app_url="", image_url_mask="", image_url_logo="",
        storage_mode="memory",
    )  # fmt: skip
    service = Apprise.instantiate(url, asset=asset)
    if service is None:
        raise _unusable(f"line {number} of the file of services is no URL that Apprise knows")
    service.socket_connect_timeout = min(service.socket_connect_timeout, MAX_WAIT_SECONDS)
    service.socket_read_timeout = min(service.socket_read_timeout, MAX_WAIT_SECONDS)
    return service


def _silence(*libraries: str) -> None:
    for library in libraries:
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)


def _unusable(cause: str, hint: str = "") -> UsageError:
    return UsageError(
        "the server was not started: approvers could not be told of questions",
        cause=cause,
        hint=hint
        or f"see what {ENVIRONMENT_FILE} or `notify` names: a URL of Apprise's a line,"
        " readable by you alone",
    )
