"""The notary of one base: which grants count by its approvers, and how an approver's yes becomes
one: put into words, signed and laid into the working trees that asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orgguard_mcp import grants, signing
from orgguard_mcp.approval import People
from orgguard_mcp.approvers import Approvers
from orgguard_mcp.errors import RepositoryError, SigningError
from orgguard_mcp.grantbook import CLOCKS_DIFFER, GrantBook, Rules, withdrawals
from orgguard_mcp.grants import DIRECTORY, SUFFIX, WITHDRAWN, Grant
from orgguard_mcp.model import Base, Place, Request, Scope
from orgguard_mcp.policy import Policy
from orgguard_mcp.repository import Repository


@dataclass(frozen=True, slots=True)
class Signer:
    """An approver at this machine, with the key that the base lists."""

    person: str
    key: Path


@dataclass(frozen=True, slots=True)
class Yes:
    """What is to be signed: a request, where its name may be written, and whether that holds for a
    protected name, too.
    """

    request: Request
    scope: Scope
    lifts_protection: bool = False


class Notary:
    """Grants by the rules of one base. Methods raise `SigningError` when nothing can be signed or
    no signature checked, `RepositoryError` when the base cannot be read.
    """

    def __init__(
        self, repository: Repository, base: Base, policy: Policy, approvers: Approvers
    ) -> None:
        self.approvers = approvers
        self._repository = repository
        self._base = base
        self._policy = policy
        self._book = GrantBook({}, Rules(approvers, "", approval=policy.approval))

    @cached_property
    def repository(self) -> str:
        """What this repository goes by, in every clone: in grants, and in a store that is shared.
        Raises `RepositoryError` where history was cut off.
        """
        return self._policy.repository or f"root:{self._repository.first_commit(self._base.tip)}"

    @cached_property
    def _rules(self) -> Rules:
        tip = self._base.tip
        held = self._repository.folder(tip, DIRECTORY)
        merged = frozenset(file.removesuffix(SUFFIX) for file in held if file.endswith(SUFFIX))
        return Rules(
            self.approvers, self.repository, withdrawals(held), merged, self._policy.approval
        )

    def book(self, tree: Mapping[str, bytes], kept: Mapping[str, bytes]) -> GrantBook:
        """The grants of a tree and those that the ledger has beside, each verified once."""
        beside = frozenset(kept.keys() - tree.keys())
        book = self._book  # another thread may put another there
        if (book.files, book.kept) != ({**kept, **tree}, beside):
            book = self._book = GrantBook({**kept, **tree}, self._rules, beside)
        return book

    def tree_files(self, ref: str) -> Mapping[str, bytes]:
        """The working tree's folder of grants; in a bare repository that of the commit *ref*."""
        try:
            return self._repository.worktree_folder(DIRECTORY)
        except RepositoryError:
            head = self._repository.resolve(ref) or self._base.tip  # a mirror has no HEAD
            return self._repository.folder(head, DIRECTORY) if head else {}

    def contradictions(self) -> list[str]:
        """The rules of the policy that these approvers cannot meet, in words; no name that such a
        rule is about can be allowed until the base is corrected.
        """
        people = People(self.approvers)
        found = [
            (number, lack)
            for number, rule in enumerate(self._policy.approval)
            for lack in people.approval([rule], ()).lacks
        ]
        return [f"BROKEN: rule {number + 1}: {lack}" for number, lack in found if lack.too_few]

    def signer(self) -> Signer | None:
        """The approver whose key this user has, or None."""
        return signer_among(self.approvers)

    def sign(self, answers: Sequence[Yes], signer: Signer, log: str) -> list[Grant]:
        """Grants for *answers*, with one signature: the passphrase is asked for once. *log* is the
        head of the log that the approver saw.
        """
        return sign(
            answers, signer, log, repository=self.repository, approvers=self.approvers,
            days=self._policy.grant_days, through_agent=self._policy.signing_agent,
        )  # fmt: skip

    def accept(self, text: str, yes: Yes) -> Grant:
        """The grant that *text* is, which an approver signed elsewhere, for *yes* and nothing else.
        Raises `SigningError` when it is none that counts.
        """
        book = GrantBook({grants.file_name_of(text): text.encode()}, self._rules)
        if not book.grants:
            raise _uncounted(book.faults[0].why if book.faults else "it is no grant")
        (grant,) = book.grants
        until = time.time() + self._policy.grant_days * 86400 + CLOCKS_DIFFER
        if grant.expires_at > until:
            raise _uncounted("it would hold for longer than the policy allows")
        if not _says(grant, yes):
            raise _uncounted("what was signed is not what was answered")
        return grant

    def deliver(self, grant: Grant, request: Request) -> list[Path]:
        """Lay *grant*'s file into the working trees that asked, to be committed, or else into the
        first; return the files. The ledger has the grant even when this raises.
        """
        there = self._repository.worktrees()
        asked = {Path(ask.worktree) for ask in request.asks if ask.worktree}
        return [lay(grant, top) for top in there if top in asked] or [
            lay(grant, top) for top in there[:1]
        ]


def signer_among(approvers: Approvers) -> Signer | None:
    """The one of *approvers* whose key this user has, or None."""
    key = signing.key_path()
    public = signing.public_key(key) if approvers else None
    person = approvers.person(public) if public else None
    return Signer(person, key) if person else None


def sign(
    answers: Sequence[Yes], signer: Signer, log: str, *, repository: str, approvers: Approvers,
    days: float, through_agent: bool,
) -> list[Grant]:  # fmt: skip
    """See `Notary.sign`; what the base says is told: what the *repository* goes by, who its
    *approvers* are, for how many *days* a grant holds.
    """
    now = time.time()
    drafts = [
        grants.draft(
            yes.request.name.key, yes.scope, repository=repository, request=yes.request.id,
            approver=signer.person, decided_at=now, days=days, log=log,
            lifts_protection=yes.lifts_protection,
        )
        for yes in answers
    ]  # fmt: skip
    message = grants.message(draft.digest for draft in drafts)
    signature = signing.sign(message, signer.key, through_agent=through_agent)
    if not signing.verify(message, signature, signer.person, approvers):
        raise SigningError(
            "nothing was granted: the signature does not verify",
            cause="the key has expired, or is not the one that the base lists",
            hint="`orgguard approver list` shows whose keys count",
        )
    return [grants.parse_grant(one.text.encode()) for one in grants.signed(drafts, signature)]


def _says(grant: Grant, yes: Yes) -> bool:
    """Whether *grant* is about the request, name and places of *yes*, all of them and no others."""
    key, scope = yes.request.name.key, yes.scope
    kind = "change" if scope.branch else "paths" if scope.paths else "repository"
    branch = scope.branch or None
    places = [Place(path, branch) for path in scope.paths] or [Place(None, branch)]
    return (
        (grant.request, grant.scope) == (yes.request.id, kind)
        and grant.lifts_protection == yes.lifts_protection
        and (kind == "repository" or len(grant.within) == len(set(places)))
        and all(grant.covers(key, place) for place in places)
    )


def _uncounted(why: str) -> SigningError:
    return SigningError("nothing was granted: the signed grant does not count", cause=why)


def lay(grant: Grant, top: Path) -> Path:
    """Write *grant*'s file into the working tree *top*, and return it."""
    return _write(top, grant.file_name, grant.text)


def withdraw(grant: Grant, top: Path) -> None:
    """Take *grant* out of the working tree *top*, and leave a mark that it does not count."""
    _write(top, grant.id + WITHDRAWN, "")
    (top / DIRECTORY / grant.file_name).unlink(missing_ok=True)


def _write(top: Path, name: str, text: str) -> Path:
    folder = top / DIRECTORY
    file = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.resolve() != top.resolve() / DIRECTORY:
            raise SigningError(
                f"the signed grant was not written: {DIRECTORY} leads elsewhere",
                cause="a folder on the way is a symbolic link",
                hint="remove the link, then run `orgguard grants write`",
            )
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as written:
            written.write(text.encode())
    except FileExistsError:
        pass  # it was written before
    except OSError as error:
        raise SigningError(
            "the signed grant was not written",
            cause=f"{file}: {error.strerror}",
            hint="mend that, then run `orgguard grants write`",
        ) from error
    return file
