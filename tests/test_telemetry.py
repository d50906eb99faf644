"""What is measured: by the real SDK in memory, in a real MCP server, and at a real collector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from opentelemetry import baggage, trace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from orgguard_mcp import telemetry
from orgguard_mcp.errors import LedgerError, UsageError
from orgguard_mcp.telemetry import Telemetry, Tracing, Waiting, outcome_of, replace_tracing
from tests.agent import ERAS
from tests.names import COINED
from tests.receiver import Receiver

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
META = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
LABELS = {"gen_ai.tool.name": "check_name", "orgguard.repository": "a/b"}


class Measured:
    """Telemetry whose spans and metrics stay in memory."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracers, meters, [tracers.shutdown, meters.shutdown])

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def metrics(self) -> dict[str, Any]:
        """The metrics by name, collected now."""
        data = self._reader.get_metrics_data()
        scopes = (
            [scope for one in data.resource_metrics for scope in one.scope_metrics] if data else []
        )
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def values(self, name: str) -> dict[frozenset[tuple[str, Any]], Any]:
        """What *name* has for each set of attributes: a number, or a histogram's sum."""
        metric = self.metrics().get(name)
        points = metric.data.data_points if metric else []
        return {
            frozenset(point.attributes.items()): getattr(
                point, "value", getattr(point, "sum", None)
            )
            for point in points
        }

    def everything(self) -> str:
        """All of it as text."""
        return "".join(span.to_json() for span in self.spans) + repr(self.metrics())


@pytest.fixture
def measured() -> Iterator[Measured]:
    made = Measured()
    yield made
    made.telemetry.close()


def _with(**more: str) -> frozenset[tuple[str, str]]:
    return frozenset(
        {**LABELS, **{f"orgguard.{key}": value for key, value in more.items()}}.items()
    )


# --- calls -----------------------------------------------------------------------------------


def test_a_call_is_counted_timed_and_traced(measured: Measured) -> None:
    with measured.telemetry.call("check_name", repository="a/b", principal="token:1a2b") as call:
        call.outcome = "allow"

    assert measured.values("orgguard.calls") == {_with(outcome="allow"): 1}
    (seconds,) = measured.values("orgguard.call.duration").values()
    assert 0 < seconds < 5
    span = measured.span
    assert (span.name, span.kind) == ("tools/call check_name", trace.SpanKind.SERVER)
    assert dict(span.attributes or {}) == dict(_with(outcome="allow", principal="token:1a2b"))
    assert span.status.is_unset


def test_instruments_have_units_and_buckets_of_seconds(measured: Measured) -> None:
    to = measured.telemetry
    to.watch(lambda: {"a/b": Waiting(1, 2.0)})
    to.called("check_name", "ask", 0.02, "a/b")
    to.decided(3.0, "a/b")
    to.refused("token")
    to.noticed("sent")
    to.fetched("changed", "a/b")

    metrics = measured.metrics()
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "orgguard.calls": "{call}", "orgguard.call.duration": "s",
        "orgguard.questions.open": "{question}", "orgguard.questions.oldest.age": "s",
        "orgguard.decision.delay": "s", "orgguard.refusals": "{request}",
        "orgguard.notices": "{notice}", "orgguard.fetches": "{fetch}",
    }  # fmt: skip
    for name in ("orgguard.call.duration", "orgguard.decision.delay"):
        assert metrics[name].data.data_points[0].explicit_bounds[:3] == (0.005, 0.01, 0.025)
    assert all(metric.description for metric in metrics.values())


def test_an_error_of_a_call_has_no_words(measured: Measured) -> None:
    with pytest.raises(ValueError, match=COINED), measured.telemetry.call("check_name"):
        raise ValueError(COINED)

    span = measured.span
    assert (span.status.status_code, span.status.description) == (trace.StatusCode.ERROR, None)
    assert span.events == ()
    assert dict(span.attributes or {})["orgguard.outcome"] == "error"
    assert COINED not in measured.everything()


def test_a_block_that_tells_no_outcome_is_an_error(measured: Measured) -> None:
    with measured.telemetry.call("check_name"):
        pass

    assert dict(measured.span.attributes or {})["orgguard.outcome"] == "error"


def test_a_client_that_leaves_is_no_error(measured: Measured) -> None:
    async def leave() -> None:
        with anyio.CancelScope() as scope, measured.telemetry.call("request_consent"):
            scope.cancel()
            await anyio.sleep_forever()

    anyio.run(leave)

    assert dict(measured.span.attributes or {})["orgguard.outcome"] == "cancelled"
    assert measured.span.status.is_unset


def test_what_is_in_no_closed_set_is_other(measured: Measured) -> None:
    to = measured.telemetry
    with to.call(COINED) as call:
        call.outcome = COINED
    with to.call([COINED]) as call:
        call.outcome = "deny"
    to.called(COINED, COINED, 1.0, "a/b")
    to.refused(COINED)
    to.noticed(COINED)
    to.fetched(COINED, "a/b")

    assert [span.name for span in measured.spans] == ["tools/call other"] * 2
    assert measured.values("orgguard.refusals") == {frozenset({("orgguard.reason", "other")}): 1}
    assert COINED not in measured.everything()


# --- a client's trace ------------------------------------------------------------------------


def test_a_call_goes_on_with_its_clients_trace(measured: Measured) -> None:
    with measured.telemetry.call("check_name", meta=META):
        logged = telemetry.trace_id()

    assert logged == TRACE
    assert telemetry.trace_id() == ""
    span = measured.span
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)  # type: ignore[union-attr]


def test_a_clients_words_do_not_travel_with_its_trace(measured: Measured) -> None:
    meta = {**META, "tracestate": f"vendor={COINED}", "baggage": f"name={COINED}"}
    with measured.telemetry.call("check_name", meta=meta):
        carried = baggage.get_all()
        state = trace.get_current_span().get_span_context().trace_state

    assert (dict(carried), dict(state)) == ({}, {})
    assert COINED not in measured.everything()


@pytest.mark.parametrize(
    "named", [COINED, f"00-{COINED}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", 7, [META], None, ""]
)
def test_an_unreadable_trace_is_none(measured: Measured, named: object) -> None:
    with measured.telemetry.call("check_name", meta={"traceparent": named}):
        pass

    assert measured.span.parent is None


# --- queues ----------------------------------------------------------------------------------


def test_queues_are_looked_at_when_they_are_collected(measured: Measured) -> None:
    looks = []

    def look() -> Mapping[str, Waiting]:
        looks.append(1)
        return {"a/b": Waiting(2, 90.5), "a/c": Waiting(0)}

    measured.telemetry.watch(look)
    assert looks == []
    metrics = measured.metrics()

    told = {
        name: {p.attributes["orgguard.repository"]: p.value for p in metrics[name].data.data_points}
        for name in metrics
    }
    assert told == {
        "orgguard.questions.open": {"a/b": 2, "a/c": 0},
        "orgguard.questions.oldest.age": {"a/b": 90.5, "a/c": 0.0},
    }
    assert looks == [1]


def test_a_store_that_cannot_be_read_tells_nothing(
    measured: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    def look() -> Mapping[str, Waiting]:
        raise LedgerError("nothing was granted")

    measured.telemetry.watch(look)

    assert measured.values("orgguard.questions.open") == {}
    assert caplog.records == []  # the SDK did not have to catch it


# --- in the MCP server -----------------------------------------------------------------------


def _server(made: Measured) -> MCPServer[Any]:
    """A server whose one tool answers as it is asked to."""
    server: MCPServer[Any] = MCPServer("a", log_level="CRITICAL")

    async def check_name(effect: str) -> dict[str, str]:
        if effect == "crash":
            raise ValueError(COINED)
        return {"effect": effect}

    server.add_tool(check_name)
    replace_tracing(server.middleware, Tracing(made.telemetry, lambda _: ("a/b", "token:1a2b")))
    return server


async def _calls(server: MCPServer[Any], era: str, *calls: tuple[str, str]) -> None:
    async with Client(server, mode=era) as client:
        await client.list_tools()
        for tool, effect in calls:
            await client.call_tool(tool, {"effect": effect})


@pytest.mark.parametrize("era", ERAS)
def test_a_real_server_traces_calls_of_tools_alone(measured: Measured, era: str) -> None:
    effects = ["allow", "ask", "deny", COINED, "crash"]

    anyio.run(_calls, _server(measured), era, *[("check_name", one) for one in effects])

    outcomes = [dict(span.attributes or {})["orgguard.outcome"] for span in measured.spans]
    assert outcomes == ["allow", "ask", "deny", "other", "error"]
    assert {dict(span.attributes or {})["orgguard.repository"] for span in measured.spans} == {
        "a/b"
    }
    assert COINED not in measured.everything()


LEAKS = """
import sys, anyio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
from tests import test_telemetry as test
server = test._server(test.Measured()) if "ours" in sys.argv else test.MCPServer("a")
async def main():
    async with test.Client(server) as client:
        try:
            await client.call_tool(test.COINED, {})
        except Exception:
            pass
anyio.run(main)
print(*(span.name for span in exporter.get_finished_spans()), sep=",")
"""


def test_the_sdks_own_spans_are_gone() -> None:
    """Even where somebody else has set the process's tracer, as an instrumenting agent does."""
    said = {
        which: subprocess.run(
            [sys.executable, "-c", LEAKS, which],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout.strip()
        for which in ("theirs", "ours")
    }  # fmt: skip

    assert f"tools/call {COINED}" in said["theirs"].split(",")
    assert said["ours"] == ""


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"structuredContent": {"effect": "allow"}}, "allow"),
        ({"structuredContent": {"effect": "deny"}, "isError": True}, "error"),
        ({"resultType": "input_required", "inputRequests": {}}, "ask"),
        ({"content": []}, "other"),
        ({"structuredContent": [1]}, "other"),
        (None, "error"),
    ],
)
def test_an_outcome_is_read_from_what_is_sent(result: object, outcome: str) -> None:
    assert outcome_of(result) == outcome


# --- where it goes ---------------------------------------------------------------------------

EXPORTS = """
import sys
from orgguard_mcp import telemetry
started = telemetry.start()
with started.call(sys.argv[1], repository="a/b", principal="token:1a2b") as call:
    call.outcome = "ask"
try:
    with started.call("check_name", meta={"tracestate": sys.argv[1]}):
        raise ValueError(sys.argv[1])
except ValueError:
    pass
started.close()
print(*(name for name in sys.modules if name.startswith(("opentelemetry.sdk", "requests"))))
"""


def _exports(
    word: str = COINED, blocked: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the program above; without the library *blocked*."""
    block = f"import sys; sys.modules[{blocked!r}] = None\n" if blocked else ""
    return subprocess.run(
        [sys.executable, "-c", block + EXPORTS, word], capture_output=True, text=True, check=False,
        timeout=60, env=os.environ | variables,
    )  # fmt: skip


def test_a_collector_gets_spans_and_metrics() -> None:
    with Receiver() as collector:
        done = _exports(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{collector.address}",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test,service.version=9",
        )
        posts = {post.path: post.body for post in collector.rest()}

    assert (done.returncode, done.stderr) == (0, "")
    spans = ExportTraceServiceRequest.FromString(posts["/v1/traces"]).resource_spans[0]
    resource = {one.key: one.value.string_value for one in spans.resource.attributes}
    assert resource["service.name"] == "orgguard"
    assert resource["service.instance.id"]
    assert (resource["deployment.environment.name"], resource["service.version"]) == ("test", "9")
    assert [span.name for span in spans.scope_spans[0].spans] == [
        "tools/call other", "tools/call check_name"
    ]  # fmt: skip
    metrics = ExportMetricsServiceRequest.FromString(posts["/v1/metrics"]).resource_metrics[0]
    assert {metric.name for metric in metrics.scope_metrics[0].metrics} == {
        "orgguard.calls", "orgguard.call.duration"
    }  # fmt: skip
    assert COINED.encode() not in b"".join(posts.values())


def test_one_signal_alone_may_be_exported() -> None:
    with Receiver() as collector:
        endpoint = f"http://{collector.address}/here"
        _exports(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=endpoint, OTEL_SERVICE_NAME="mine")
        _exports(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_TRACES_EXPORTER="none")
        first, second = collector.rest()

    assert (first.path, second.path) == ("/here", "/here/v1/metrics")
    metrics = ExportMetricsServiceRequest.FromString(first.body).resource_metrics[0]
    assert ("service.name", "mine") in [
        (one.key, one.value.string_value) for one in metrics.resource.attributes
    ]


def test_spans_are_sampled_as_the_variable_says() -> None:
    with Receiver() as collector:
        _exports(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{collector.address}",
            OTEL_TRACES_SAMPLER="always_off",
        )
        paths = [post.path for post in collector.rest()]

    assert paths == ["/v1/metrics"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SERVICE_NAME": "a"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_without_a_word_nothing_is_imported(variables: dict[str, str]) -> None:
    done = _exports(**variables)

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_a_missing_library_is_told_at_the_start() -> None:
    done = _exports(
        blocked="opentelemetry.sdk", OTEL_EXPORTER_OTLP_ENDPOINT="http://user:secret@127.0.0.1:9"
    )

    assert done.returncode == 1
    assert "UsageError: the server was not started" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
    ],
)
def test_what_cannot_be_done_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv(variable, value)

    with pytest.raises(UsageError) as told:
        telemetry.start()

    assert variable in told.value.cause or "OTEL_ variable" in told.value.cause
    assert told.value.hint
    assert "secret" not in json.dumps(told.value.lines())


@pytest.mark.parametrize("ending", ["started.close()", "pass  # a crash"])
def test_a_collector_that_hangs_does_not_hold_up_the_end(ending: str) -> None:
    program = f"""
from orgguard_mcp import telemetry
telemetry.CLOSE_SECONDS = 0.2
started = telemetry.start()
with started.call("check_name"):
    pass
{ending}
"""
    with Receiver(hangs=True) as collector:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            timeout=8,  # the library would wait for longer
            env=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}"},
        )  # fmt: skip

    assert (done.stdout, done.stderr) == ("", "")
