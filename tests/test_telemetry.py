"""
What the daemon tells about itself: quantiles, spans, log lines.
"""

import json
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from steward import Client, FailedPrecondition, InvalidArgument
from stewardd import telemetry
from stewardd.telemetry import DURATIONS, Telemetry, logger, quantile
from stewardd.testing import Daemon
from tests.samples import interaction


@given(st.lists(st.floats(0.0001, 300), min_size=1, max_size=200))
def test_a_quantile_is_in_the_bucket_of_the_true_one(values: list[float]) -> None:
    """
    The p99 of a histogram lies within the bucket in which the exact p99 lies, and not above the greatest value.
    """
    counts = [0] * (len(DURATIONS) + 1)
    for value in values:
        counts[next((n for n, bound in enumerate(DURATIONS) if value <= bound), len(DURATIONS))] += 1
    exact = sorted(values)[max(0, -(-99 * len(values) // 100) - 1)]

    found = quantile(counts, DURATIONS, 0.99, most=max(values))

    upper = next((bound for bound in DURATIONS if exact <= bound), max(values))
    lower = max((bound for bound in DURATIONS if bound < exact), default=0.0)
    assert lower <= found <= min(upper, max(values)) * (1 + 1e-12)


def test_calls_and_commits_are_measured() -> None:
    """
    Each instrument takes its figures, and calls come back by method, with errors told apart.
    """
    measured = Telemetry(level="error")
    for status in ("OK", "OK", "NOT_FOUND"):
        measured.called(0.25, method="a/B", status=status)
    measured.called(0.5, method="a/A", status="OK")
    measured.queried(0.1)
    measured.committed(0.1, rows=3, waited=0.2)

    first, second = measured.rpcs()
    measured.close()

    assert ("a/A", 1, 0, 0.5) == (first.method, first.calls, first.errors, first.mean_seconds)
    assert ("a/B", 3, 1, 0.25) == (second.method, second.calls, second.errors, second.mean_seconds)


def test_nobody_asked_is_no_data() -> None:
    """
    Before the first call there are no figures.
    """
    measured = Telemetry(level="error")

    assert () == measured.rpcs()
    measured.close()


def test_an_exporter_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    OTEL_METRICS_EXPORTER of something that is not installed is refused at start.
    """
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "nonsense")

    with pytest.raises(FailedPrecondition, match="'nonsense' is not installed"):
        Telemetry()


def test_a_traced_daemon_exports_a_span_for_each_call(tmp_path: Path) -> None:
    """
    With the console exporter, a call's span has its method, its status and the caller's trace, and no text of a user.
    """
    environment = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}
    spans = tmp_path / "spans"
    daemon = Daemon(tmp_path / "data", environment=environment, stdout=spans)
    with Client(daemon.target) as client:
        client.record_interaction(interaction(query="I am a@b.io"))
        with pytest.raises(InvalidArgument):
            client.record_interaction(interaction(query=""))
    daemon.stop()

    text = spans.read_text(encoding="utf-8")
    assert 2 == text.count('"name": "steward.v1.DataManagementService/RecordInteraction"')
    assert '"rpc.response.status_code": "INVALID_ARGUMENT"' in text
    assert "a@b.io" not in text


def test_a_log_line_is_one_json_document_without_messages_of_exceptions(capfd: pytest.CaptureFixture[str]) -> None:
    """
    An exception is logged by kind and place, along its causes, but not by its message, which may hold a user's text.
    """
    log = logger("info")
    try:
        try:
            int("a@b.io")
        except ValueError as cause:
            raise RuntimeError("a@b.io") from cause
    except RuntimeError:
        log.exception("it.failed", rows=3)
    log.debug("not.shown")

    line = json.loads(capfd.readouterr().err)

    assert ("it.failed", "error", 3) == (line["event"], line["level"], line["rows"])
    assert ["builtins.RuntimeError", "builtins.ValueError"] == [each["type"] for each in line["exception"]]
    assert "a@b.io" not in json.dumps(line)


def test_a_log_line_names_the_trace() -> None:
    """
    Inside a span, a line carries its trace id.
    """
    measured = Telemetry(level="error")
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    event: structlog.typing.EventDict = {}
    with provider.get_tracer("test").start_as_current_span("span") as span:
        telemetry._trace_id(None, "", event)  # noqa: SLF001 -- a processor

    assert f"{span.get_span_context().trace_id:032x}" == event["trace_id"]
    measured.close()
    provider.shutdown()
