"""Dockets of a shared server: a reviewer answers over HTTPS, with a token, and signs at home.

What a reviewer signs never needs the store's key nor the repository: the server tells what is
asked, and checks what was signed by the base's approvers, as continuous integration will.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request

from pydantic import ValidationError

from orgguard_mcp import notary, secretfile, web
from orgguard_mcp.approvers import parse_approvers
from orgguard_mcp.docket import Question, Queue, Reply, Settled
from orgguard_mcp.errors import LedgerError, SigningError, UsageError
from orgguard_mcp.model import Answer, Decision
from orgguard_mcp.model import Request as Asked
from orgguard_mcp.notary import Signer, Yes
from orgguard_mcp.storage.bell import PipeBell
from orgguard_mcp.wire import (
    ANSWERS,
    CHANGES_SECONDS,
    WORDS,
    About,
    Facts,
    Nothing,
    Reviewer,
    Said,
    Signed,
    Since,
)

ENVIRONMENT_TOKEN_FILE = "ORGGUARD_TOKEN_FILE"  # noqa: S105
TIMEOUT_SECONDS = 30.0

_MAX_ANSWER = 16 << 20
_AGAIN_SECONDS = 2.0
_WRITING = frozenset({"settle", "attach"})


class Server:
    """A shared server at *url*, for the holder of one token. Raises `UsageError` when there is no
    token, or it would go over the network unsealed.
    """

    def __init__(self, url: str) -> None:
        if not web.is_safe(url):
            raise _unusable("a shared server is named by an https URL", "write https://HOST")
        self._url = url.rstrip("/")
        self._token = _token()
        self._opener = web.opener()

    def repositories(self) -> list[str]:
        """Those in which the token may answer."""
        found = self._fetch("/dockets", None, TIMEOUT_SECONDS)
        return [str(name) for name in found]

    def call(self, repository: str, call: str, words: object) -> Any:  # noqa: ANN401
        """Make a *call*, and return its answer. Raises `SigningError` when the server refuses what
        was signed, `LedgerError` for all else: then nothing was decided, or its error says so.
        """
        body = WORDS[call].dump_json(words)
        path = f"/r/{quote(repository)}/docket/{call}"
        seconds = TIMEOUT_SECONDS + (CHANGES_SECONDS if call == "changes" else 0)
        try:
            return ANSWERS[call].validate_python(self._fetch(path, body, seconds), strict=False)
        except ValidationError:  # whose text quotes what came
            raise LedgerError(
                f"{_undone(path)}: the shared server's answer cannot be read",
                cause="the server is of another version, or something else answered",
                hint="compare `orgguard --version` here and there",
            ) from None

    def _fetch(self, path: str, body: bytes | None, seconds: float) -> Any:  # noqa: ANN401
        headers = {
            "Authorization": f"Bearer {self._token}", "Content-Type": "application/json",
        }  # fmt: skip
        request = Request(self._url + path, body, headers)  # noqa: S310  # http or https, see above
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return json.loads(answer.read(_MAX_ANSWER))
        except HTTPError as error:
            with error:
                raise _told(error) from error
        except (URLError, OSError, ValueError) as error:
            raise LedgerError(
                f"{_undone(path)}: the shared server did not answer",
                cause=type(getattr(error, "reason", error)).__name__,
                hint="see that it is up, and look again: what it stored, it shows",
            ) from error


class RemoteDocket:
    """`docket.Docket` of one repository of a shared server."""

    def __init__(self, server: Server, repository: str) -> None:
        self.label = repository
        self._server = server
        facts: Facts = self._call("facts")
        self._facts = facts
        self._approvers = parse_approvers(facts.approvers.encode())
        self.signer = notary.signer_among(self._approvers)
        self._bell = _Bell(self)

    def _call(self, call: str, words: object = None) -> Any:  # noqa: ANN401
        return self._server.call(self.label, call, words or Nothing())

    @property
    def lists_approvers(self) -> bool:
        """See `Docket`."""
        return bool(self._approvers)

    @property
    def grant_days(self) -> float:
        """See `Docket`."""
        return self._facts.grant_days

    def verify(self) -> None:
        """See `Docket`."""
        self._call("verify")

    def version(self) -> int:
        """See `Docket`: as of what the server told last."""
        return self._bell.version

    def changed(self, version: int) -> int:
        """The version after *version*, waited for; or that one still."""
        return int(self._call("changes", Since(version)))

    def bell(self) -> _Bell:
        """See `Docket`."""
        self._bell.start()
        return self._bell

    def queue(self) -> Queue:
        """See `Docket`."""
        found: Queue = self._call("queue", Reviewer(self._person))
        return found

    @property
    def _person(self) -> str:
        return self.signer.person if self.signer else ""

    def question(self, request: Asked) -> Question:
        """See `Docket`."""
        found: Question = self._call("question", About(request.id))
        return found

    def outcome(self, request_id: str) -> Decision | None:
        """See `Docket`."""
        found: Decision | None = self._call("outcome", About(request_id))
        return found

    def settle(self, reply: Reply) -> Settled:
        """See `Docket`."""
        grant = ""
        if self.signer and reply.answer is Answer.GRANT:
            protected = self.question(reply.request).protected
            (grant,) = self._signed([Yes(reply.request, reply.scope, protected)], self.signer)
        said = Said(reply.request.id, reply.answer, reply.scope, reply.reason, grant)
        settled: Settled = self._call("settle", said)
        return settled

    def unsigned(self) -> list[Yes]:
        """See `Docket`."""
        found: list[Yes] = self._call("unsigned", Reviewer(self._person))
        return found

    def sign(self, answers: Sequence[Yes]) -> None:
        """See `Docket`."""
        if self.signer:
            texts = self._signed(answers, self.signer)
            said = (
                Said(yes.request.id, Answer.GRANT, yes.scope, grant=text)
                for yes, text in zip(answers, texts, strict=True)
            )
            self._call("attach", Signed(tuple(said)))

    def _signed(self, answers: Sequence[Yes], signer: Signer) -> list[str]:
        made = notary.sign(
            answers, signer, str(self._call("head")), repository=self._facts.repository,
            approvers=self._approvers, days=self._facts.grant_days,
            through_agent=self._facts.signing_agent,
        )  # fmt: skip
        return [grant.text for grant in made]


class _Bell(PipeBell):
    """A bell that a thread rings, which asks the server for changes."""

    def __init__(self, docket: RemoteDocket) -> None:
        super().__init__()
        self.version = 0
        self._docket = docket
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._listen, daemon=True, name="orgguard-bell").start()

    def close(self) -> None:
        """See `Bell`. The thread may be in the midst of a call."""
        self._ended.set()
        super().close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                now = self._docket.changed(self.version)
            except LedgerError:
                self._ended.wait(_AGAIN_SECONDS)
                continue
            if now != self.version:
                self.version = now
                self.tell()


def _undone(path: str) -> str:
    """What is to be said of a call that had no answer: some write."""
    if path.rpartition("/")[2] in _WRITING:
        return "it is not known whether this was stored"
    return "nothing was decided"


def _token() -> str:
    named = os.environ.get(ENVIRONMENT_TOKEN_FILE)
    if not named:
        raise _unusable(
            "a shared server wants a token",
            f"write yours into a file that you alone can read, and name it in"
            f" {ENVIRONMENT_TOKEN_FILE}",
        )
    try:
        return secretfile.read(Path(named), 20_000).decode("ascii").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise _unusable(
            f"the token's file cannot be read: {why}", f"see what {ENVIRONMENT_TOKEN_FILE} names"
        ) from error


def _told(error: HTTPError) -> Exception:
    """What the server says of a call that it refused."""
    said: dict[str, str] = {}
    with suppress(ValueError, OSError):
        found = json.loads(error.read(_MAX_ANSWER))
        said = found if isinstance(found, dict) else {}
    kind = SigningError if said.get("kind") == "signing" else LedgerError
    known = {
        401: "the server does not know this token, or it has ended",
        403: "this token may not answer there",
        404: "the server has no such repository",
        429: "too many calls; try again in a moment",
    }
    return kind(
        str(said.get("error", "nothing was decided: the shared server refused")),
        cause=str(said.get("cause") or known.get(error.code, f"HTTP status {error.code}")),
        hint=str(said.get("hint", "")),
    )


def _unusable(cause: str, hint: str) -> UsageError:
    return UsageError("nothing can be answered: the store was not opened", cause=cause, hint=hint)
