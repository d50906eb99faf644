"""What the shared server tells OpenTelemetry: counts, durations, spans, and no word of a client's.

Whatever a client sends may hold a name, so attributes have values of closed sets, labels of
repositories that the server knows, and a principal's id. The providers are the server's own, not
the process's: what a library says of its calls, names and errors, it says to nobody.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from opentelemetry.context import Context
from opentelemetry.metrics import (
    CallbackOptions,
    Histogram,
    Meter,
    MeterProvider,
    NoOpMeterProvider,
    Observation,
)
from opentelemetry.trace import (
    NoOpTracerProvider,
    SpanKind,
    StatusCode,
    TracerProvider,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orgguard_mcp import logs
from orgguard_mcp.errors import OrgGuardError, UsageError

if TYPE_CHECKING:  # the extra `telemetry`
    from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider

CLOSE_SECONDS = 5.0
"""How long the last export may take when the server ends."""

ALLOW, ASK, DENY, ERROR, CANCELLED = "allow", "ask", "deny", "error", "cancelled"
OTHER = "other"

TOOLS = frozenset({"check_name", "request_consent"})
OUTCOMES = frozenset({ALLOW, ASK, DENY, ERROR, CANCELLED})
REASONS = frozenset({"token", "permission", "rate", "size"})
NOTICED = frozenset({"sent", "failed", "dropped"})
FETCHED = frozenset({"changed", "unchanged", "failed"})

_TOOL, _REPOSITORY = "gen_ai.tool.name", "orgguard.repository"
_OUTCOME, _REASON, _PRINCIPAL = "orgguard.outcome", "orgguard.reason", "orgguard.principal"

_SCOPE = "orgguard"
_Result = TypeVar("_Result")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LOOK_SECONDS = 1.0  # within which both gauges tell of one look at the queue
_SIGNALS = ("TRACES", "METRICS")


class Waiting(NamedTuple):
    """The questions of one repository that nobody has answered yet."""

    open: int
    oldest_seconds: float = 0.0


@dataclass(slots=True)
class Call:
    """A tool's call that is under way. Until told otherwise its outcome is an error."""

    tool: str
    repository: str
    principal: str
    outcome: str = ERROR
    cause: BaseException | None = None

    def log(self, seconds: float) -> None:
        """Log that it has ended."""
        fields: logs.Fields = {
            "repository": self.repository, "principal": self.principal, "tool": self.tool,
            "outcome": self.outcome, "seconds": round(seconds, 4),
        }  # fmt: skip
        if self.cause:
            fields["cause"] = self.cause
        logs.event("call", logs.WARNING if self.outcome == ERROR else logs.INFO, **fields)


class Telemetry:
    """The server's instruments. Without providers they measure nothing, at no cost."""

    def __init__(
        self,
        tracers: TracerProvider | None = None,
        meters: MeterProvider | None = None,
        closing: Sequence[Callable[[], object]] = (),
    ) -> None:
        release = version("orgguard-mcp")
        self._closing = closing
        self._tracer = (tracers or NoOpTracerProvider()).get_tracer(_SCOPE, release)
        self._meter = meter = (meters or NoOpMeterProvider()).get_meter(_SCOPE, release)
        self._calls = meter.create_counter("orgguard.calls", "{call}", "Calls of tools")
        self._duration = _histogram(meter, "orgguard.call.duration", "How long a call took")
        self._delay = _histogram(
            meter, "orgguard.decision.delay", "From a decision to the agent that waits for it"
        )
        self._refusals = meter.create_counter(
            "orgguard.refusals", "{request}", "Requests that were not let in"
        )
        self._notices = meter.create_counter("orgguard.notices", "{notice}", "Notices to approvers")
        self._fetches = meter.create_counter("orgguard.fetches", "{fetch}", "Fetches of mirrors")

    @contextmanager
    def call(
        self,
        tool: object,
        *,
        repository: str = "",
        principal: str = "",
        meta: Mapping[str, Any] | None = None,
    ) -> Iterator[Call]:
        """Count, time and log one call, in a span that goes on with the trace that *meta* names.

        The block sets the outcome. One that an exception ends is an error; one that is cancelled,
        as when its client leaves, is none.
        """
        call = Call(_one_of(TOOLS, tool), repository, principal)
        attributes = {_TOOL: call.tool, _REPOSITORY: repository, _PRINCIPAL: principal}
        started = time.perf_counter()
        with self._tracer.start_as_current_span(
            f"tools/call {call.tool}",
            _parent(meta),
            SpanKind.SERVER,
            {key: value for key, value in attributes.items() if value},
            record_exception=False,  # its text may be a client's
            set_status_on_exception=False,
        ) as span:
            try:
                yield call
            except BaseException as error:
                call.outcome = ERROR if isinstance(error, Exception) else CANCELLED
                call.cause = error if isinstance(error, Exception) else None
                raise
            finally:
                call.outcome = _one_of(OUTCOMES, call.outcome)
                span.set_attribute(_OUTCOME, call.outcome)
                if call.outcome == ERROR:
                    span.set_status(StatusCode.ERROR)
                seconds = time.perf_counter() - started
                call.log(seconds)
                self.called(call.tool, call.outcome, seconds, repository)

    def called(self, tool: object, outcome: str, seconds: float, repository: str) -> None:
        """A *tool* was called, and took so long."""
        attributes = {_TOOL: _one_of(TOOLS, tool), _OUTCOME: _one_of(OUTCOMES, outcome)}
        if repository:
            attributes[_REPOSITORY] = repository
        self._calls.add(1, attributes)
        self._duration.record(seconds, attributes)

    def decided(self, seconds: float, repository: str) -> None:
        """An agent learnt of a decision, so long after it was made."""
        self._delay.record(max(seconds, 0.0), {_REPOSITORY: repository})

    def refused(self, reason: str) -> None:
        """A request was not let in."""
        self._refusals.add(1, {_REASON: _one_of(REASONS, reason)})

    def noticed(self, outcome: str) -> None:
        """A notice to the approvers was sent, or not."""
        self._notices.add(1, {_OUTCOME: _one_of(NOTICED, outcome)})

    def fetched(self, outcome: str, repository: str) -> None:
        """A mirror was fetched."""
        self._fetches.add(1, {_OUTCOME: _one_of(FETCHED, outcome), _REPOSITORY: repository})

    def watch(self, look: Callable[[], Mapping[str, Waiting]]) -> None:
        """Tell of the queues from now on: *look* has each repository's questions. It is called by
        the exporter's thread; while it fails nothing is told, which is not the same as none.
        """
        seen = _Seen(look)
        for name, unit, description, number in (
            ("orgguard.questions.open", "{question}", "Questions that wait for an answer", "open"),
            ("orgguard.questions.oldest.age", "s", "Age of the oldest of them", "oldest_seconds"),
        ):

            def observe(_: CallbackOptions, number: str = number) -> list[Observation]:
                return [
                    Observation(getattr(waiting, number), {_REPOSITORY: repository})
                    for repository, waiting in seen().items()
                ]

            self._meter.create_observable_gauge(name, [observe], unit, description)

    def close(self) -> None:
        """Export what is left; a collector that hangs does not hold the server up."""
        threads = [Thread(target=_quietly, args=[one], daemon=True) for one in self._closing]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._closing = ()


def trace_id() -> str:
    """The id of the trace that this call is part of, or nothing."""
    context = get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


# --- in the MCP server -----------------------------------------------------------------------


class _Message(Protocol):
    """What is needed of the SDK's `ServerRequestContext`."""

    method: str
    params: Mapping[str, Any] | None
    meta: Mapping[str, Any] | None


class Tracing:
    """Middleware of the MCP server: every tool's call, and no other message.

    *about* has the repository's label and the principal's id of a request's context.
    """

    def __init__(self, telemetry: Telemetry, about: Callable[[Any], tuple[str, str]]) -> None:
        self._telemetry = telemetry
        self._about = about

    async def __call__(
        self, ctx: _Message, call_next: Callable[[Any], Awaitable[_Result]]
    ) -> _Result:
        """Handle one message."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        repository, principal = self._about(ctx)
        tool = (ctx.params or {}).get("name")
        with self._telemetry.call(
            tool, repository=repository, principal=principal, meta=ctx.meta
        ) as call:
            result = await call_next(ctx)
            call.outcome = outcome_of(result)
        return result


def replace_tracing(middleware: list[Any], ours: Tracing) -> None:
    """Put *ours* in the place of the SDK's own middleware, whose spans have a client's words in
    their names and an exception's in their events. Ours comes first too: it sees what is sent.
    """
    # By its name: the SDK exports it from no public module.
    others = [one for one in middleware if type(one).__name__ != "OpenTelemetryMiddleware"]
    middleware[:] = [ours, *others]


def outcome_of(result: object) -> str:
    """The outcome that a tool's result, as it is sent, tells its client."""
    if not isinstance(result, Mapping) or result.get("isError"):
        return ERROR
    if result.get("resultType") == "input_required":
        return ASK
    said = result.get("structuredContent")
    return _one_of({ALLOW, ASK, DENY}, said.get("effect") if isinstance(said, Mapping) else None)


def _parent(meta: Mapping[str, Any] | None) -> Context | None:
    """The client's trace. Of what W3C Trace Context carries only the ids: `tracestate` and baggage
    are a client's words, and would travel on.
    """
    named = (meta or {}).get("traceparent")
    if not isinstance(named, str):
        return None
    context = TraceContextTextMapPropagator().extract({"traceparent": named})
    return context if get_current_span(context).get_span_context().is_valid else None


# --- where it goes ---------------------------------------------------------------------------


def start() -> Telemetry:
    """Telemetry that is exported as the standard `OTEL_` variables say; if they do not, none.

    Raises `UsageError` when they ask for what cannot be had.
    """
    signals = {signal: asked for signal in _SIGNALS if (asked := _asked(signal))}
    if not signals:
        return Telemetry()
    try:
        return _exporting(signals)
    except ImportError as error:
        raise _unusable(
            f"{next(iter(signals.values()))} is set, and the library that exports is missing",
            "pip install 'orgguard-mcp[telemetry]', or set OTEL_SDK_DISABLED=true",
        ) from error
    except ValueError:  # it quotes a variable, which may be a secret
        raise _unusable(
            "an OTEL_ variable has a value that the library cannot use",
            "compare each with its docs",
        ) from None


def _asked(signal: str) -> str:
    """The variable that asks for *signal*, or nothing."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    chosen = f"OTEL_{signal}_EXPORTER"
    exporter = os.environ.get(chosen, "").strip()
    if exporter not in {"", "otlp", "none"}:
        raise _unusable(f"{chosen} can be `otlp` or `none`", "set it to one of them")
    endpoints = (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    asking = (chosen, *endpoints) if exporter else endpoints
    asked = next((name for name in asking if os.environ.get(name, "").strip()), "")
    if exporter == "none" or not asked:
        return ""
    for protocol in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if os.environ.get(protocol, "").strip() not in {"", "http/protobuf"}:
            raise _unusable(f"{protocol} can be `http/protobuf` only", "unset it")
    return asked


def _exporting(signals: Collection[str]) -> Telemetry:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = {
        "service.name": "orgguard",
        "service.version": version("orgguard-mcp"),
        "service.instance.id": str(uuid.uuid4()),  # else instances' counters would be mixed up
    }
    resource = Resource.create(ours).merge(OTELResourceDetector().detect())
    tracers = _tracers(resource) if "TRACES" in signals else None
    meters = _meters(resource) if "METRICS" in signals else None
    return Telemetry(tracers, meters, [one.shutdown for one in (tracers, meters) if one])


def _tracers(resource: Resource) -> SdkTracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _meters(resource: Resource) -> SdkMeterProvider:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return MeterProvider([reader], resource, shutdown_on_exit=False)


def _unusable(cause: str, hint: str) -> UsageError:
    return UsageError(
        "the server was not started: telemetry cannot be sent", cause=cause, hint=hint
    )


# --- values ----------------------------------------------------------------------------------


class _Seen:
    """What was last seen of the queues, looked at anew when it is old."""

    def __init__(self, look: Callable[[], Mapping[str, Waiting]]) -> None:
        self._look = look
        self._until = 0.0
        self._seen: Mapping[str, Waiting] = {}

    def __call__(self) -> Mapping[str, Waiting]:
        now = time.monotonic()
        if now >= self._until:
            self._seen = {}
            with suppress(OrgGuardError):
                self._seen = self._look()
            self._until = now + _LOOK_SECONDS
        return self._seen


def _histogram(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(
        name, "s", description, explicit_bucket_boundaries_advisory=_SECONDS
    )


def _one_of(known: Collection[str], value: object) -> str:
    return value if isinstance(value, str) and value in known else OTHER


def _quietly(close: Callable[[], object]) -> None:
    with suppress(Exception):  # it is the end, and the exporter has logged it
        close()
