"""Guard: the one way in. Every door asks it the same questions and gets the same answers."""

from __future__ import annotations

import getpass
import os
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from orgguard_mcp import consent, reserved
from orgguard_mcp.build import Progress
from orgguard_mcp.errors import UsageError
from orgguard_mcp.index import Index
from orgguard_mcp.lexicon import is_ordinary
from orgguard_mcp.model import (
    Answer,
    Ask,
    Base,
    Basis,
    Decision,
    FileClass,
    Held,
    Place,
    Request,
    Scope,
    Sightings,
    Verdict,
    path_of,
)
from orgguard_mcp.names import Name, NameKey, parse
from orgguard_mcp.policy import PATH as POLICY_PATH
from orgguard_mcp.policy import Policy, parse_policy
from orgguard_mcp.repository import ENVIRONMENT_BASE, Repository
from orgguard_mcp.storage.ledger import Ledger


@dataclass(frozen=True, slots=True)
class View:
    """What one base gives: its policy and its index. Replaced as a whole when the base moves."""

    base: Base
    policy: Policy
    index: Index


class Guard:
    """One repository, seen from its base, with its ledger. A context manager.

    Raises `OrgGuardError` and its kinds from every method: a door that gets one lets nothing
    through. Methods may be called from several threads. With `alone` set the base alone speaks:
    what humans decided on this machine does not count, just as CI does not know of it. `branch` is
    the change's, where that is another than the checked-out one.
    """

    def __init__(
        self, directory: str | Path, base: str | None = None, head: str | None = None
    ) -> None:
        self.repository = Repository(directory)
        self._ref = base
        self._head = head
        self.alone = False
        self.branch = ""
        self._ledger_path = self.repository.state_dir / "ledger.sqlite3"
        self._preparing = threading.Lock()
        try:
            self._view = self._look()
        except BaseException:
            self.repository.close()
            raise

    @property
    def base(self) -> Base:
        """The base that verdicts rest on."""
        return self._view.base

    @property
    def policy(self) -> Policy:
        """The base's policy."""
        return self._view.policy

    @property
    def ready(self) -> bool:
        """Whether a check can be answered without building the index first."""
        return self._view.index.ready

    def refresh(self) -> None:
        """Follow the base when it moved: after a fetch, a merge, a switch of branches."""
        view = self._look()
        if (view.base, view.policy) != (self._view.base, self._view.policy):
            self._view = view

    def _look(self) -> View:
        base, policy = _base_and_policy(self.repository, self._ref, self._head)
        return View(base, policy, Index(self.repository, base, policy))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files and processes."""
        self._view.index.close()
        self.repository.close()
        if "ledger" in self.__dict__:
            self.ledger.close()

    @cached_property
    def ledger(self) -> Ledger:
        """The queue and the decisions of this repository."""
        return Ledger(self._ledger_path)

    def prepare(self, progress: Progress | None = None) -> None:
        """Build what the index lacks; one thread at a time."""
        self._prepare(self._view, progress)

    def _prepare(self, view: View, progress: Progress | None = None) -> None:
        with self._preparing:
            view.index.prepare(progress)

    # --- check --------------------------------------------------------------------------------

    def check(self, surface: str, where: str | None = None) -> Verdict:
        """Judge one name, for the place *where* if that is known."""
        name = parse(surface)
        view = self._view
        if reserved.is_reserved(name, view.policy.reserved):
            why = "it is a reserved marker that everybody may write"
            return Verdict(name, Basis.RESERVED, why, view.base)
        self._prepare(view)
        seen = view.index.sightings(name.key)
        if seen.established:
            return _verdict(view.base, name, Basis.ESTABLISHED, seen.why, seen)
        return self._decided(view, name, path_of(where) if where else None, seen)

    def sightings(self, name: Name) -> Sightings:
        """What the base alone says of *name*: what a reviewer must see before answering."""
        view = self._view
        self._prepare(view)
        return view.index.sightings(name.key)

    def holdings(self, keys: Iterable[str]) -> dict[str, Held]:
        """What the base holds of each of *keys*: facts to weigh a candidate by, no verdict."""
        view = self._view
        self._prepare(view)
        return view.index.held(keys)

    def classify(self, path: str) -> FileClass:
        """The class of *path* by the base's policy and attributes."""
        return self._view.index.classify(path)

    def told(self) -> frozenset[NameKey]:
        """The keys that a human was asked about or spoke on, in this repository."""
        if not self._has_ledger():
            return frozenset()
        return self.ledger.keys()

    def _decided(self, view: View, name: Name, path: str | None, seen: Sightings) -> Verdict:
        """The verdict on a name that the base does not establish."""
        decisions = self.ledger.decisions(name.key) if self._has_ledger() else []
        said = consent.standing(decisions, self._place(path)) if decisions else consent.NONE
        if said.basis and said.decision:
            why = _decision_why(said.decision)
            return _verdict(view.base, name, said.basis, why, seen, said.decision)
        if self._has_ledger() and (request := self.ledger.open_request(name.key)):
            why = "a human has been asked and has not answered yet"
            return _verdict(view.base, name, Basis.PENDING, why, seen, request)
        why = seen.why
        if grants := consent.in_force(decisions):
            why += f"; a human allowed it only {grants[-1].scope}"
        basis = Basis.COMMON_WORD if is_ordinary(name.key) else Basis.UNKNOWN
        return _verdict(view.base, name, basis, why, seen)

    def _place(self, path: str | None) -> Place:
        """*path* on the branch of the change: the checked-out one now, unless `branch` names it."""
        return Place(path, self.branch or self.repository.branch(self._head or "HEAD"))

    def _has_ledger(self) -> bool:
        """Whether anything was ever asked here: checking alone leaves no queue behind."""
        if self.alone:
            return False
        return "ledger" in self.__dict__ or self._ledger_path.exists()

    # --- ask and decide -----------------------------------------------------------------------

    def request(self, surface: str, asks: Sequence[Ask]) -> Verdict:
        """Ask the human about one name, if it needs asking, and return where it stands now.

        The question is committed before this returns. A name with a standing answer, or one that
        the base establishes, is never asked about.
        """
        if not asks:
            raise UsageError("nothing was asked: say where the name would be written")
        verdicts = [self.check(surface, ask.where) for ask in asks]
        undecided = [v for v in verdicts if v.basis in _ASKABLE]
        if not undecided:
            return verdicts[0]
        asked = [ask for ask, v in zip(asks, verdicts, strict=True) if v.basis in _ASKABLE]
        name = undecided[0].name
        lapse = self.policy.lapse_hours * 3600
        self.ledger.ask(name, self.base, asked, lapse)
        return self.check(surface, asked[0].where)

    def decide(
        self, request: Request, answer: Answer, *, scope: Scope | None = None, reason: str = "",
        channel: str,
    ) -> Decision:  # fmt: skip
        """Record a human's *answer* to *request*; return the decision that stands, which is
        another reviewer's when that one was first.
        """
        decision = Decision(
            request.id, request.name.key, answer, scope or Scope(), reason, channel,
            decided_by=_user(), decided_at=time.time(),
        )  # fmt: skip
        return self.ledger.decide(decision)

    def decided(self, surface: str) -> list[Request]:
        """The requests about a name whose grant or refusal is in force: what can be withdrawn."""
        held = consent.in_force(self.ledger.decisions(parse(surface).key))
        return [self.ledger.request(decision.request_id) for decision in held]


_ASKABLE = frozenset({Basis.UNKNOWN, Basis.COMMON_WORD, Basis.PENDING})


def _base_and_policy(
    repository: Repository, ref: str | None, head: str | None
) -> tuple[Base, Policy]:
    """The base and its policy. The policy of the first base may name another base; that one's
    policy then holds, and is not followed further.
    """
    base = repository.base(ref, head=head)
    policy = _policy_at(repository, base)
    chosen = ref or os.environ.get(ENVIRONMENT_BASE)
    if policy.base and not chosen:
        base = repository.base(policy.base, source=f"base in {POLICY_PATH}", head=head)
        policy = _policy_at(repository, base)
    return base, policy


def _policy_at(repository: Repository, base: Base) -> Policy:
    text = repository.read(base.tip, POLICY_PATH) if base.tip else None
    return parse_policy(text) if text else Policy()


def _verdict(
    base: Base,
    name: Name,
    basis: Basis,
    why: str,
    seen: Sightings,
    record: Decision | Request | None = None,
) -> Verdict:
    request_id, reason = "", ""
    if isinstance(record, Decision):
        request_id, reason = record.request_id, record.reason
    elif record:
        request_id = record.id
    return Verdict(name, basis, why, base, seen.evidence, dict(seen.files), request_id, reason)


def _decision_why(decision: Decision) -> str:
    if decision.answer is Answer.REFUSE:
        return "a human refused it"
    return f"a human allowed it {decision.scope}"


def _user() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return f"uid {os.getuid()}"
