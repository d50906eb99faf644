"""View: what one base gives. Its rules are read at the tip of its branch."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from orgguard_mcp.approvers import PATH as APPROVERS_PATH
from orgguard_mcp.approvers import parse_approvers
from orgguard_mcp.base import ENVIRONMENT_BASE
from orgguard_mcp.index import Index
from orgguard_mcp.model import Base, Sightings
from orgguard_mcp.names import NameKey
from orgguard_mcp.notary import Notary
from orgguard_mcp.policy import PATH as POLICY_PATH
from orgguard_mcp.policy import Policy, parse_policy
from orgguard_mcp.protected import PATH as PROTECTED_PATH
from orgguard_mcp.protected import Protected, of_base
from orgguard_mcp.repository import Repository
from orgguard_mcp.storage.postings import Postings

_MAX_SEEN = 10_000  # names that are remembered with their evidence, as long as the base stays


@dataclass(frozen=True, slots=True)
class View:
    """What one base gives: its policy, its notary, its index and its protected names. Replaced as a
    whole when the base moves.
    """

    base: Base
    policy: Policy
    notary: Notary
    index: Index
    protected: Callable[[], Protected]
    _seen: dict[NameKey, Sightings] = field(default_factory=dict)

    def sightings(self, key: NameKey) -> Sightings:
        """What the index says of *key*: once, since the base's objects never change."""
        if key not in self._seen:
            seen = self.index.sightings(key)
            if len(self._seen) >= _MAX_SEEN:
                return seen
            self._seen[key] = seen
        return self._seen[key]


def look(
    repository: Repository, ref: str | None, head: str | None, *, published: bool,
    kept: Postings | None = None,
) -> View:  # fmt: skip
    """What *repository* has now: *ref*, *head* and *published* choose the base; its index has the
    cache that was *kept*, if that was opened before. Raises `OrgGuardError` when the base, or a
    rule in it, cannot be used.
    """
    base, policy = _base_and_policy(repository, ref, head, published)
    approvers = parse_approvers(_rule(repository, base, APPROVERS_PATH) or b"")
    notary = Notary(repository, base, policy, approvers)
    # Read when first needed: the queue's commands work without the key.
    protected = cache(lambda: of_base(_rule(repository, base, PROTECTED_PATH)))
    return View(base, policy, notary, Index(repository, base, policy, kept), protected)


def _base_and_policy(
    repository: Repository, ref: str | None, head: str | None, published: bool
) -> tuple[Base, Policy]:
    """The base and its policy. The policy of the first base may name another base; that one's
    policy then holds, and is not followed further.
    """
    base = repository.base(ref, head=head, published=published)
    policy = _policy_at(repository, base)
    chosen = ref or os.environ.get(ENVIRONMENT_BASE)
    if policy.base and base.commit and not chosen:
        base = repository.base(policy.base, source=f"base in {POLICY_PATH}", head=head)
        policy = _policy_at(repository, base)
    return base, policy


def _policy_at(repository: Repository, base: Base) -> Policy:
    text = _rule(repository, base, POLICY_PATH)
    return parse_policy(text) if text else Policy()


def _rule(repository: Repository, base: Base, path: str) -> bytes | None:
    """A file of the maintainers' rules, as the tip of the base's branch has it."""
    return repository.read(base.tip, path) if base.tip else None
