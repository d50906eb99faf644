"""`orgguard hook`: an agent's payload on standard input, its own protocol's answer in return.

Exit codes: 0 lets the act through, 2 stops it. Whatever goes wrong stops it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from types import ModuleType

from orgguard_mcp.errors import OrgGuardError
from orgguard_mcp.hooks.action import Action, Answer, Moment, failure
from orgguard_mcp.hooks.payload import parse
from orgguard_mcp.hooks.supervise import Unanswered, supervised


def run(options: argparse.Namespace) -> int:
    """Answer the agent and return the exit code."""
    agent = import_module(f"orgguard_mcp.hooks.{options.agent}")
    try:
        answer = supervised(
            lambda building: _answer(agent, building, explain=options.explain), options.deadline
        )
    except Unanswered as why:
        answer = _stopped(agent, OrgGuardError("names were not checked", cause=str(why)))
    return _give(answer)


def stop(agent: str, error: OrgGuardError) -> int:
    """Stop *agent*, since what it is about to do was not checked; return the exit code."""
    return _give(_stopped(import_module(f"orgguard_mcp.hooks.{agent}"), error))


def _give(answer: Answer) -> int:
    """Print *answer* and return its exit code."""
    for stream, text in ((1, answer.out), (2, answer.err)):
        with suppress(OSError):  # past Python's buffers, whose failure at exit is another code
            os.write(stream, text.encode("utf-8", "backslashreplace"))
    return answer.code


def _answer(agent: ModuleType, building: Callable[[bool], None], *, explain: bool) -> Answer:
    """The answer to what is on standard input, whatever that is."""
    try:
        action = agent.read(parse(_payload()))
        reason = _objection(action, building) if action else ""
        answer: Answer = agent.answer(action.moment if action else Moment.BEFORE, reason)
        return answer._replace(err=_explained(action)) if explain and not reason else answer
    except OrgGuardError as error:
        return _stopped(agent, error)
    except Exception as error:  # noqa: BLE001  # its words may hold a name, its kind does not
        failed = OrgGuardError(
            "names were not checked: OrgGuard itself failed", cause=type(error).__name__
        )
        return _stopped(agent, failed)


@cache
def _payload() -> bytes:
    """What is on standard input: it can be read once."""
    return sys.stdin.buffer.read()


def _objection(action: Action, building: Callable[[bool], None]) -> str:
    from orgguard_mcp.hooks.decide import objection  # what only reads never pays for it

    return objection(action, building)


def _stopped(agent: ModuleType, error: OrgGuardError) -> Answer:
    stopped: Answer = agent.answer(Moment.BEFORE, failure(error))
    return stopped


def _explained(action: Action | None) -> str:
    """Why the act was let through."""
    if action is None:
        return "allowed: it neither writes nor publishes anything\n"
    from orgguard_mcp.hooks.decide import root_of

    if not root_of(action.directory):
        return "allowed: this is not inside a git repository, so there is nothing to guard\n"
    return "allowed: no name without consent was found\n"
