"""An incident as text: pure functions, one a format, in one dict. The name is covered in all that
others wrote, unless it is revealed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from orgguard_mcp.display import MAX_SHOWN, plural, visible
from orgguard_mcp.incident.remedy import beyond, day, steps
from orgguard_mcp.incident.traces import Incident, Place, Public, Trace, Unseen
from orgguard_mcp.report.veil import Veil
from orgguard_mcp.report.view import readable_path

_FEW = 8
_UNSHARED = frozenset({Place.REFLOG, Place.INDEX, Place.WORKTREE, Place.BUILD, Place.OBJECT})
_PUBLIC = {
    Public.YES: "pushed",
    Public.MAYBE: "may be pushed",
    Public.NO: "not pushed",
}


def veil_of(incident: Incident, *, reveal: bool) -> Veil:
    """What covers the name in a report of *incident*."""
    return Veil() if reveal else Veil([incident.name.surface, incident.name.key])


def as_json(incident: Incident, *, reveal: bool) -> str:
    """One JSON document. Nothing is cut."""
    veil = veil_of(incident, reveal=reveal)
    name = {"name": incident.name.surface, "key": incident.name.key} if reveal else {}
    document = {
        **name,
        "found": bool(incident.traces),
        "complete": incident.complete,
        "ordinary_word": incident.ordinary,
        "traces": [_row(trace, veil) for trace in incident.traces],
        "steps": [{"do": step.what, "how": list(step.how)} for step in steps(incident)],
        "not_seen": [{"what": u.what, "how_to_look": u.hint} for u in _unseen(incident, veil)],
        "looked_at": incident.looked,
        "remotes": [
            {"name": veil.cover(remote), "host": veil.cover(host)}
            for remote, host in incident.hosts.items()
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def as_text(incident: Incident, *, reveal: bool) -> str:
    """For a reader: what was found, what to do, what was not seen."""
    veil = veil_of(incident, reveal=reveal)
    lines = [*_headline(incident, reveal=reveal), ""]
    for place in Place:
        if traces := incident.at(place):
            lines += [*_found(place, traces, veil), ""]
    if found := steps(incident):
        lines.append("what to do")
        for number, step in enumerate(found, 1):
            lines.append(f"{number:>3}. {step.what}")
            lines += [f"     - {how}" for how in step.how]
        lines.append("")
    if unseen := _unseen(incident, veil):
        lines.append("not seen")
        lines += [f"  {u.what}: {u.hint}" for u in unseen]
        lines.append("")
    counted = [plural(count, f"{kind}") for kind, count in incident.looked.items()]
    lines.append(f"looked at: {', '.join(counted)}")
    return "\n".join(lines) + "\n"


FORMATS: Mapping[str, Callable[..., str]] = {"human": as_text, "json": as_json}


def _headline(incident: Incident, *, reveal: bool) -> Iterator[str]:
    name = f"`{visible(incident.name.surface)}`" if reveal else "the name"
    if not incident.traces:
        clone = "this clone" if incident.complete else "this clone, which is not all of it,"
        yield f"{name}: nothing in {clone} holds it"
        return
    out = sum(trace.public is not Public.NO for trace in incident.traces)
    places = plural(len(incident.traces), "place")
    yield f"{name}: found in {places}, of which {out:,} were or may be pushed and count as public"
    if incident.ordinary:
        yield "it is an ordinary word, too: not each of these places need mean the organisation"


def _found(place: Place, traces: list[Trace], veil: Veil) -> Iterator[str]:
    yield f"{place.value}: {len(traces):,}"
    for trace in sorted(traces, key=_weight)[:_FEW]:
        yield "  " + "  ".join(_cells(trace, veil))
    if len(traces) > _FEW:
        yield f"  and {len(traces) - _FEW:,} more (`--format json` has all)"


def _weight(trace: Trace) -> tuple[int, int]:
    return list(Public).index(trace.public), trace.when


def _cells(trace: Trace, veil: Veil) -> Iterator[str]:
    if trace.oid:
        yield trace.oid[:7]
    if trace.when:
        yield day(trace.when)
    if trace.what:
        yield _shown(trace.what, veil)
    if trace.refs:
        more = f" and {len(trace.refs) - 3:,} more" if trace.refs[3:] else ""
        yield "in " + ", ".join(_shown(ref, veil) for ref in trace.refs[:3]) + more
    elif trace.place in {Place.COMMIT_MESSAGE, Place.IDENTITY, Place.PATH, Place.CONTENT}:
        yield "no reference reaches it"
    if trace.place not in _UNSHARED:
        yield f"({_PUBLIC[trace.public]})"


def _row(trace: Trace, veil: Veil) -> dict[str, object]:
    return {
        "surface": trace.place.name.lower(),
        "what": veil.cover(readable_path(trace.what)),
        "object": trace.oid,
        "date": day(trace.when) if trace.when else "",
        "refs": [veil.cover(readable_path(ref)) for ref in trace.refs],
        "public": trace.public.value,
    }


def _unseen(incident: Incident, veil: Veil) -> list[Unseen]:
    found = [*incident.unseen, *beyond(incident)]
    return [Unseen(_shown(u.what, veil, 1000), u.hint) for u in found]


def _shown(text: str, veil: Veil, limit: int = MAX_SHOWN) -> str:
    return visible(veil.cover(readable_path(text)), limit)
