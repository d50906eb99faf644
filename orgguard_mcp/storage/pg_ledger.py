"""The ledger in PostgreSQL: one queue for many machines.

A transaction that writes locks its repository's log first. So the limits of the queue, the order of
the entries and who decided first are settled one after the other, wherever they come from; logs of
other repositories go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from orgguard_mcp import audit, consent
from orgguard_mcp.model import Answer, Ask, Asker, Base, Decision, Request
from orgguard_mcp.names import MAX_LENGTH, Name, NameKey
from orgguard_mcp.storage import store
from orgguard_mcp.storage.bell import Bell
from orgguard_mcp.storage.pg_bell import NoticeBell, ring
from orgguard_mcp.storage.pg_log import (
    BEGUN,
    Draft,
    Entry,
    Link,
    Writer,
    draft,
    found_by,
    open_log,
    who,
)
from orgguard_mcp.storage.pg_session import Connection
from orgguard_mcp.storage.seal import Keyring
from orgguard_mcp.storage.store import MAX_ASKS, cut

# By the statement's clock: what changes within one is looked up in no index.
_OPEN = f"""
    e.kind = 'request' AND e.expires_at > {BEGUN} AND NOT EXISTS (
        SELECT 1 FROM orgguard_entry AS answer WHERE answer.log = e.log
        AND answer.request_id = e.request_id AND answer.kind = 'answer'
    )
"""
_DECISION = "e.kind IN ('answer', 'withdrawal')"
# By its request, too: one whose fingerprint was changed must be seen, and fail. (With the log's id
# of the inner rows as a value: as `e.log`, and with OR, every decision of the log was read.)
_DECISION_ON = f"""
    {_DECISION} AND e.request_id IN (
        SELECT named.request_id FROM orgguard_entry AS named
        WHERE named.log = %s AND named.fingerprint = ANY(%s) AND named.kind <> 'ask'
    )
"""

_Result = TypeVar("_Result")


class PostgresLedger:
    """`store.Store` for one *repository* of those that share a database."""

    def __init__(self, url: str, keys: Keyring, repository: str) -> None:
        self._url = url
        self._session, self._log = open_log(url, keys, repository)

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    # --- the queue ----------------------------------------------------------------------------

    def ask(
        self, name: Name, base: Base, asks: Sequence[Ask], lapse_seconds: float,
        known: Collection[str] | None = None,
    ) -> Request:  # fmt: skip
        """See `Store`."""
        opened = draft("request", {
            "key": name.key, "surface": cut(name.surface, MAX_LENGTH), "base": base.commit,
            "base_reason": base.reason,
        })  # fmt: skip
        places = [_place(ask) for ask in asks]

        def act(db: Connection, log: Writer) -> str:
            request_id = self._open_id(db, name.key)
            if request_id is None:
                if answered := self._answered_since(db, name.key, known):
                    return answered
                self._expect_room(db, asks[0].asker if asks else Asker())
                request_id = self._free_id(db)
                log.append(request_id, opened, lapse_seconds)
            for place in places:
                self._join(db, log, request_id, place)
            return request_id

        return self.request(self._write([opened, *places], act, str))

    def _open_id(self, db: Connection, key: NameKey) -> str | None:
        found = self._opened(db, key)
        return found[0].request_id if found else None

    def _opened(self, db: Connection, key: NameKey) -> list[Entry]:
        where = f"{_OPEN} AND e.fingerprint = ANY(%s)"
        return self._log.entries(db, where, self._log.fingerprints("name", key))

    def _answered_since(
        self, db: Connection, key: NameKey, known: Collection[str] | None
    ) -> str | None:
        if known is None:
            return None
        row = db.execute(
            "SELECT request_id FROM orgguard_entry WHERE log = %s AND kind = 'answer'"
            " AND fingerprint = ANY(%s) AND request_id <> ALL(%s) ORDER BY number DESC LIMIT 1",
            (self._log.id, self._log.fingerprints("name", key), list(known)),
        ).fetchone()
        return str(row[0]) if row else None

    def _free_id(self, db: Connection) -> str:
        query = "SELECT 1 FROM orgguard_entry WHERE log = %s AND request_id = %s"
        return store.free_id(lambda one: bool(db.execute(query, (self._log.id, one)).fetchone()))

    def _expect_room(self, db: Connection, asker: Asker) -> None:
        """Whose a question is, its first place tells."""
        asker = replace(asker, label=cut(asker.label))
        row = db.execute(
            "SELECT count(*), count(CASE WHEN first.asker = ANY(%s) THEN 1 END)"
            " FROM orgguard_entry AS e LEFT JOIN orgguard_entry AS first"
            " ON first.log = e.log AND first.number = (SELECT min(number) FROM orgguard_entry AS a"
            " WHERE a.log = e.log AND a.request_id = e.request_id AND a.kind = 'ask')"
            f" WHERE e.log = %s AND {_OPEN}",
            (self._log.fingerprints(*who(asker)), self._log.id),
        ).fetchone()
        store.expect_room(*row or (0, 0))

    def _join(self, db: Connection, log: Writer, request_id: str, place: Draft) -> None:
        where = "WHERE log = %s AND request_id = %s AND kind = 'ask'"
        same = db.execute(
            f"SELECT number FROM orgguard_entry {where} AND fingerprint = ANY(%s)",
            (
                self._log.id,
                request_id,
                self._log.fingerprints(*found_by(place.kind, place.content)),
            ),
        ).fetchone()
        if same:
            log.asked_again(same[0], place)
            return
        count = f"SELECT count(*) FROM orgguard_entry {where}"
        kept = db.execute(count, (self._log.id, request_id)).fetchone()
        if kept and kept[0] < MAX_ASKS:
            log.append(request_id, place)

    def request(self, request_id: str) -> Request:
        """See `Store`."""
        return self._session.read(lambda db: self._request(db, request_id))

    def _request(self, db: Connection, request_id: str) -> Request:
        found = self._requests(db, "e.kind = 'request' AND e.request_id = %s", request_id)
        if not found:
            raise store.no_such_request()
        return found[0]

    def keys(self) -> frozenset[NameKey]:
        """See `Store`."""
        asked = self._session.read(lambda db: self._log.entries(db, "e.kind = 'request'"))
        return frozenset(NameKey(entry.content["key"]) for entry in asked)

    def requests(self) -> list[Request]:
        """See `Store`."""
        return self._session.read(lambda db: self._requests(db, "e.kind = 'request'"))

    def pending(self) -> list[Request]:
        """See `Store`."""
        return self._session.read(lambda db: self._requests(db, _OPEN))

    def open_request(self, key: NameKey) -> Request | None:
        """See `Store`."""

        def act(db: Connection) -> Request | None:
            found = self._with_places(db, self._opened(db, key))
            return found[0] if found else None

        return self._session.read(act)

    def _requests(self, db: Connection, where: str, *values: object) -> list[Request]:
        return self._with_places(db, self._log.entries(db, where, *values))

    def _with_places(self, db: Connection, asked: list[Entry]) -> list[Request]:
        if not asked:
            return []
        ids = [entry.request_id for entry in asked]
        places: dict[str, list[Ask]] = {request_id: [] for request_id in ids}
        where = "e.kind = 'ask' AND e.request_id = ANY(%s)"
        for entry in self._log.entries(db, where, ids):
            places[entry.request_id].append(_read_place(entry))
        return [_read_request(entry, tuple(places[entry.request_id])) for entry in asked]

    # --- decisions ----------------------------------------------------------------------------

    def decide(self, decision: Decision, grant: str = "") -> Decision:
        """See `Store`. Also when the connection broke, who decides learns which decision stands."""
        made = _decision_draft(decision)
        attached = [_grant_draft(decision.key, grant)] if grant else []

        def act(db: Connection, log: Writer) -> Decision:
            self._request(db, decision.request_id)
            decisions = self._decisions(db, decision.key)
            mine = [d for d in decisions if d.request_id == decision.request_id]
            last = mine[-1].answer if mine else None
            if not consent.may_follow(last, decision.answer):
                return mine[-1]
            for one in (made, *attached):
                log.append(decision.request_id, one)
            return decision

        return self._write([made], act, lambda _: decision)

    def decisions(self, key: NameKey | None = None) -> list[Decision]:
        """See `Store`."""
        return self._session.read(lambda db: self._decisions(db, key))

    def _decisions(self, db: Connection, key: NameKey | None) -> list[Decision]:
        self._log.expect_whole(db)
        if key is None:
            found = self._log.entries(db, _DECISION)
        else:
            named = self._log.fingerprints("name", key)
            found = self._log.entries(db, _DECISION_ON, self._log.id, named)
        return [_read_decision(entry) for entry in found]

    def decision_on(self, request_id: str) -> Decision | None:
        """See `Store`."""

        def act(db: Connection) -> Decision | None:
            key = self._request(db, request_id).name.key
            found = (d for d in self._decisions(db, key) if d.request_id == request_id)
            return next((d for d in found if d.answer is not Answer.WITHDRAW), None)

        return self._session.read(act)

    # --- signed grants and the chain ----------------------------------------------------------

    def attach(self, request_id: str, text: str) -> None:
        """See `Store`."""
        made = _grant_draft(self.request(request_id).name.key, text)
        self._write([made], lambda _, log: log.append(request_id, made), lambda _: None)

    def attached(self) -> list[tuple[str, str]]:
        """See `Store`."""
        grants = self._session.read(lambda db: self._log.entries(db, "e.kind = 'grant'"))
        return [(entry.request_id, entry.content["text"]) for entry in grants]

    def head(self) -> str:
        """See `Store`."""
        return self._session.read(self._log.head)

    def verify(self, anchors: Iterable[str] = (), *, if_touched: bool = False) -> None:
        """See `Store`. Nobody here can tell whether it was touched."""
        wanted = list(anchors)
        self._session.snapshot(lambda db: self._log.verify(db, wanted))

    def export(self, *, reveal: bool) -> audit.Export:
        """See `Store`."""
        count, head = self._session.read(self._log.end)
        links = self._log.walk(
            lambda first: self._session.read(lambda db: self._log.portion(db, first))
        )
        entries = (_exported(link, reveal=reveal) for link in islice(links, count))
        return audit.Export(audit.SHARED, self._log.id, head, count, reveal, {}, entries)

    # --- waiting for a change -----------------------------------------------------------------

    def version(self) -> int:
        """See `Watched`."""
        return self._session.read(self._log.commits)

    def undecided(self, request_ids: Iterable[str]) -> frozenset[str]:
        """See `Watched`."""
        asked = frozenset(request_ids)
        query = (
            "SELECT request_id FROM orgguard_entry WHERE log = %s AND request_id = ANY(%s)"
            " AND kind = 'answer'"
        )
        values = (self._log.id, sorted(asked))
        rows = self._session.read(lambda db: db.execute(query, values).fetchall())
        return asked - {row[0] for row in rows}

    def bell(self) -> Bell | None:
        """See `Watched`."""
        return NoticeBell(self._url, self._log.id)

    # --- transactions -------------------------------------------------------------------------

    def _write(
        self, drafts: Sequence[Draft], act: Callable[[Connection, Writer], _Result],
        before: Callable[[str], _Result],
    ) -> _Result:  # fmt: skip
        """Commit what *act* appends of *drafts*, and tell those who wait. If they were committed
        *before*, by a try whose end was not heard, the request that they are about says what is
        returned.
        """

        def transaction(db: Connection, unsure: bool) -> _Result:
            with self._log.writing(db) as log:
                if unsure and (request_id := log.committed(drafts)):
                    return before(request_id)
                return act(db, log)

        result = self._session.write(transaction)
        ring(self._session, self._log.id)
        return result


# --- what entries hold ----------------------------------------------------------------------------


def _place(ask: Ask) -> Draft:
    content = {
        "place": cut(ask.where), "excerpt": cut(ask.excerpt), "purpose": cut(ask.purpose),
        "client": cut(ask.asker.label), "worktree": cut(ask.worktree), "branch": cut(ask.branch),
    }  # fmt: skip
    asker = replace(ask.asker, label=content["client"])
    return draft("ask", content, asker, ask.asked_at)


def _read_place(entry: Entry) -> Ask:
    words = entry.content
    return Ask(
        where=words["place"], excerpt=words["excerpt"], purpose=words["purpose"],
        asker=Asker(words["client"], entry.pid, entry.started), asked_at=entry.asked_at,
        worktree=words["worktree"], branch=words["branch"],
    )  # fmt: skip


def _read_request(entry: Entry, asks: tuple[Ask, ...]) -> Request:
    content = entry.content
    return Request(
        id=entry.request_id, name=Name(content["surface"], NameKey(content["key"])),
        base=Base(content["base"], content["base_reason"]), created_at=entry.at,
        expires_at=entry.expires_at, asks=asks,
    )  # fmt: skip


def _decision_draft(decision: Decision) -> Draft:
    kind = "withdrawal" if decision.answer is Answer.WITHDRAW else "answer"
    return draft(kind, {
        "key": decision.key, "answer": decision.answer, "scope": store.scope_text(decision.scope),
        "reason": decision.reason, "channel": decision.channel, "decided_by": decision.decided_by,
        "decided_at": decision.decided_at,
    })  # fmt: skip


def _read_decision(entry: Entry) -> Decision:
    content = entry.content
    return Decision(
        request_id=entry.request_id, key=NameKey(content["key"]),
        answer=Answer(content["answer"]), scope=store.read_scope(content["scope"]),
        reason=content["reason"], channel=content["channel"], decided_by=content["decided_by"],
        decided_at=content["decided_at"],
    )  # fmt: skip


def _exported(link: Link, *, reveal: bool) -> audit.Entry:
    entry = link.entry
    shown = {
        "number": entry.number, "kind": link.kind, "request": entry.request_id, "at": entry.at,
        "expires_at": entry.expires_at, "commitment": link.commitment, "digest": link.digest,
    }  # fmt: skip
    return shown | ({"salt": link.salt.hex(), "content": entry.content} if reveal else {})


def _grant_draft(key: NameKey, text: str) -> Draft:
    return draft("grant", {"key": key, "text": text})
