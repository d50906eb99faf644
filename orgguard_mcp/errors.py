"""The errors that reach a user: each says what was not done, the cause, and the next step.

Exit codes are one scale for every door: 0 clean, 1 findings, 2 usage or configuration,
3 could not check. A door that gets an error never lets a name through.
"""

from __future__ import annotations

CLEAN, FINDINGS, USAGE, UNCHECKED = 0, 1, 2, 3
"""The exit codes."""


class OrgGuardError(Exception):
    """Something was not done.

    ``message`` says what, ``cause`` why (empty when the message says it all), ``hint`` what to do
    next. None of them may hold a name that was asked about: errors reach logs.
    """

    exit_code = UNCHECKED

    def __init__(self, message: str, *, cause: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint

    def lines(self) -> list[str]:
        """The error as a terminal shows it, a line each."""
        shown = [f"error: {self.message}"]
        shown += [f"  cause: {line}" for line in self.cause.splitlines()]
        if self.hint:
            shown += ["", f"hint: {self.hint}"]
        return shown


class UsageError(OrgGuardError):
    """The call cannot be understood; nothing was looked at."""

    exit_code = USAGE


class InvalidNameError(UsageError):
    """The text is no name: empty, too long, or without a letter or digit."""


class PolicyError(UsageError):
    """The base's ``.orgguard/policy.toml`` cannot be used."""


class RepositoryError(OrgGuardError):
    """Git could not answer, so nothing is known of the base."""


class IndexUnavailableError(OrgGuardError):
    """The index of the base could not be built or read."""


class LedgerError(OrgGuardError):
    """The queue could not be read or written; nothing was granted."""


class ApproversError(UsageError):
    """``.orgguard/approvers`` cannot be used, so no signature was checked."""


class SigningError(OrgGuardError):
    """``ssh-keygen`` could not sign, verify or make a key; nothing was granted."""


class GrantError(OrgGuardError):
    """The text is no grant as OrgGuard writes it."""


class ChannelError(UsageError):
    """This terminal may not answer: it is none, or an agent's."""
