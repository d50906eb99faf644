"""Who may do what on the shared server: roles, for the repositories that a pattern names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from orgguard_mcp.errors import UsageError


class Role(StrEnum):
    """What somebody may do. None of them implies another: who answers may not therefore ask."""

    ASK = "ask"
    ANSWER = "answer"
    ADMINISTER = "administer"


ANY = "*"
"""The one sign of a pattern: any characters, `/` among them. No repository's name has it."""

# Of a repository's name and `ANY`: so the other signs of fnmatch are in no pattern.
_PATTERN = re.compile(r"[A-Za-z0-9._/*-]{1,500}")


@dataclass(frozen=True, slots=True)
class Permission:
    """A role in the *repositories* whose name the pattern matches, upper and lower case apart.

    Raises `UsageError` when the pattern cannot be one.
    """

    role: Role
    repositories: str = ANY

    def __post_init__(self) -> None:
        if not _PATTERN.fullmatch(self.repositories):
            raise _unreadable("the repositories are letters, digits and ._-/ with * for any text")

    def __str__(self) -> str:
        return f"{self.role}:{self.repositories}"

    def allows(self, role: Role, repository: str) -> bool:
        """Whether this is the permission to be *role* in the repository of that very name."""
        return role is self.role and fnmatchcase(repository, self.repositories)

    def within(self, repository: str) -> Permission | None:
        """What of this holds in *repository* alone; None when nothing does, or it is no name."""
        if not _PATTERN.fullmatch(repository) or ANY in repository:
            return None
        return Permission(self.role, repository) if self.allows(self.role, repository) else None


def parse_permission(text: str) -> Permission:
    """The permission that *text* says: `ask:owner/*`, or `ask` for every repository."""
    role, colon, repositories = text.partition(":")
    if role not in list(Role):
        raise _unreadable(f"its role is none of {', '.join(Role)}")
    return Permission(Role(role), repositories if colon else ANY)


def _unreadable(cause: str) -> UsageError:
    return UsageError(
        "nothing was permitted: a permission cannot be read",
        cause=cause,
        hint="write ROLE:REPOSITORIES, for example ask:owner/*",
    )


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was identified. `id` is what limits are counted by and logs show, never a
    secret; `label` says who it is to those who answer, and is untrusted text.
    """

    id: str
    label: str
    permissions: tuple[Permission, ...]
    expires_at: float | None = None

    def may(self, role: Role, repository: str) -> bool:
        """Whether one of the permissions allows it."""
        return any(permission.allows(role, repository) for permission in self.permissions)
