"""
What the daemon tells about itself: spans and metrics by OpenTelemetry, log lines by structlog.

A leaf. The standard OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER choose where spans and metrics go; without them
spans are sampled off, and the metrics still show in GetServerInfo. No text of a user and no identity goes in.
"""

import logging
import math
import os
import sys
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from importlib.metadata import entry_points
from typing import Any, Protocol

import structlog
from opentelemetry import trace
from opentelemetry.metrics import Histogram, Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from steward.errors import FailedPrecondition
from steward.types import RpcFigures

# In seconds. Half an octave apart below a second, where calls are; so p99 is right within a fifth.
DURATIONS = (
    *(round(0.0001 * 2 ** (step / 2), 7) for step in range(27)),
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000, 4000, 8000)
CALLS = "rpc.server.call.duration"  # semantic conventions for RPC metrics
OK = "OK"


class Identified(Protocol):
    """A call that can be named in the log."""

    @property
    def request_id(self) -> str:
        """Its id, which its caller is told too when it fails."""

    @property
    def method(self) -> str:
        """The RPC, as package.Service/Method."""


current_call: ContextVar[Identified | None] = ContextVar("current_call", default=None)


class Telemetry:
    """The instruments of one daemon. Close it at the end, so that what is buffered goes out."""

    def __init__(self, *, level: str = "info") -> None:
        """Set up what the OTEL_* variables ask for. Raises: FailedPrecondition when its exporter is not installed."""
        self.log = logger(level)
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "stewardd")})
        self._spans = _tracing(resource)
        self.tracer = self._spans.get_tracer("stewardd")
        self.tracing = self._spans.sampler is not ALWAYS_OFF  # whether anyone looks at spans
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider(metric_readers=[self._reader, *_readers()], resource=resource)
        meter = self._meters.get_meter("stewardd")
        self._calls = _durations(meter, CALLS, "time from request to answer")
        self._queries = _durations(meter, "db.client.operation.duration", "time of a question to the store")
        self._commits = _durations(meter, "steward.commit.duration", "time of a group commit")
        self._waits = _durations(meter, "steward.queue.wait", "time the oldest of a group waited to be written")
        self._rows = meter.create_histogram(
            "steward.commit.rows",
            unit="{row}",
            description="changes in a group commit",
            explicit_bucket_boundaries_advisory=ROWS,
        )

    def called(self, seconds: float, *, method: str, status: str) -> None:
        """Note a call of *method* that took *seconds* and ended with the gRPC *status*."""
        self._calls.record(
            seconds, {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": status}
        )

    def queried(self, seconds: float) -> None:
        """Note a question to the store that took *seconds*."""
        self._queries.record(seconds, {"db.system.name": "sqlite", "db.operation.name": "SELECT"})

    def committed(self, seconds: float, *, rows: int, waited: float) -> None:
        """Note a group commit of *rows* that took *seconds*, after its oldest had *waited*."""
        self._commits.record(seconds)
        self._rows.record(rows)
        self._waits.record(waited)

    def rpcs(self) -> tuple[RpcFigures, ...]:
        """Return how each RPC that was called has fared, by name."""
        by_method: dict[str, list[HistogramDataPoint]] = {}
        for point in self._points(CALLS):
            by_method.setdefault(str((point.attributes or {})["rpc.method"]), []).append(point)
        return tuple(_figures(method, by_method[method]) for method in sorted(by_method))

    def close(self) -> None:
        """Send what is buffered."""
        self._meters.shutdown()
        self._spans.shutdown()

    def _points(self, name: str) -> list[HistogramDataPoint]:
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint)
        ]


def _durations(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=DURATIONS)


def _figures(method: str, points: Sequence[HistogramDataPoint]) -> RpcFigures:
    calls = sum(point.count for point in points)
    counts = [sum(each) for each in zip(*(point.bucket_counts for point in points), strict=True)]
    return RpcFigures(
        method=method,
        calls=calls,
        errors=sum(p.count for p in points if (p.attributes or {})["rpc.response.status_code"] != OK),
        mean_seconds=sum(point.sum for point in points) / calls,
        p99_seconds=quantile(counts, points[0].explicit_bounds, 0.99, most=max(point.max for point in points)),
    )


def quantile(counts: Sequence[int], bounds: Sequence[float], share: float, *, most: float) -> float:
    """
    Return the value that *share* of a histogram's observations do not exceed, interpolated linearly in its bucket.

    *counts* has one more bucket than *bounds*, the last without a bound; *most* is the greatest observation. The method
    is that of Prometheus' histogram_quantile.
    """
    rank, below, lower = math.ceil(share * sum(counts)), 0, 0.0
    for count, upper in zip(counts, (*bounds, most), strict=True):
        if count and below + count >= rank:
            return min(most, lower + (min(upper, most) - lower) * (rank - below) / count)
        below, lower = below + count, upper
    return most


# Exporters, as the standard variables name them


def _tracing(resource: Resource) -> TracerProvider:
    names = _names("OTEL_TRACES_EXPORTER")
    if not names:
        return TracerProvider(sampler=ALWAYS_OFF, resource=resource, shutdown_on_exit=False)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name in names:
        exporter: SpanExporter = _load("opentelemetry_traces_exporter", name)()
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _readers() -> list[MetricReader]:
    loaded = [_load("opentelemetry_metrics_exporter", name)() for name in _names("OTEL_METRICS_EXPORTER")]
    return [PeriodicExportingMetricReader(each) if isinstance(each, MetricExporter) else each for each in loaded]


def _names(variable: str) -> list[str]:
    names = (name.strip() for name in os.environ.get(variable, "").split(","))
    return [name for name in names if name not in ("", "none")]


def _load(group: str, name: str) -> Any:
    for entry in entry_points(group=group, name={"otlp": "otlp_proto_grpc"}.get(name, name)):
        return entry.load()
    raise FailedPrecondition(
        f"the OpenTelemetry exporter {name!r} is not installed: steward-data has the extras otlp and prometheus"
    )


# Log lines


def logger(level: str) -> FilteringBoundLogger:
    """Return a logger for *level* and above: one JSON document a line on stderr, or colours on a terminal."""
    terminal = sys.stderr.isatty()
    processors: list[Processor] = [
        _call,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _trace_id,
        _fault,
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
    ]
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    return made


def _call(_logger: object, _method: str, event: EventDict) -> EventDict:
    call = current_call.get()
    if call is not None:
        event.update(request_id=call.request_id, rpc=call.method)
    return event


def _fault(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Put where and what kind an exception was into *event*, but not its message: that may hold a user's text."""
    if event.pop("exc_info", None):
        error = sys.exception()
        chain = []
        while error is not None:
            frames = [
                f"{each.filename}:{each.lineno} {each.name}" for each in traceback.extract_tb(error.__traceback__)
            ]
            chain.append({"type": f"{type(error).__module__}.{type(error).__qualname__}", "frames": frames})
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        event["exception"] = chain
    return event


def _trace_id(_logger: object, _method: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event
