"""
How the server is: components, server info, probes and reflection.
"""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import HealthCheck, given, settings

from steward import (
    Alert,
    AlertMetric,
    AlertOperator,
    AlertSeverity,
    BackupPolicy,
    Client,
    ComponentStatus,
    InvalidArgument,
    NotFound,
    QualityThresholds,
    SystemHealth,
    SystemMetrics,
    Unavailable,
)
from steward.status import from_call
from steward.types import LIMITS
from stewardd import health, quality, recorders
from stewardd.app import App
from stewardd.backup import Standing
from stewardd.filters import Window
from stewardd.rpc.server import SERVICES
from stewardd.store import SQLITE_VERSION, WriterFacts
from stewardd.testing import running_server
from tests import oracle
from tests.samples import imported, interaction, recorded

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDLE = WriterFacts(0, 0, 0.0, 1, 0.001, None)
METRICS = SystemMetrics(
    avg_response_time_seconds=1.0,
    success_rate=1.0,
    query_volume=1,
    error_rate=0.0,
    total_interactions=1,
    db_query_time_seconds=0.001,
)
WELL = quality.judge(
    quality.Facts(1, dict.fromkeys(quality.FIELDS, 1), 1, 0, 0, 1.0, 1.0, 0, 0, ()),
    Window(NOW, None),
    QualityThresholds(),
)
ALERT = Alert(
    alert_id=1,
    rule="r",
    metric=AlertMetric.ERROR_RATE,
    operator=AlertOperator.GT,
    threshold=0.1,
    value=1.0,
    severity=AlertSeverity.CRITICAL,
    started_at=NOW,
    ended_at=None,
)
COMPLETE = recorders.Standing(recorders=1, received=9, awaited=0, forgone=0, lost=0, shortfalls=())
KNOWN = health.Judgements(WELL, METRICS, (), BackupPolicy(set_at=NOW), COMPLETE)
NONE = Standing((), 0)
GOOD = health.Facts(KNOWN, 4096, 0, IDLE, 2**40, NONE, "DATA/privacy.key")


@pytest.fixture
def probe(server: App) -> Iterator[health_pb2_grpc.HealthStub]:
    """What Kubernetes and grpc_health_probe ask."""
    with grpc.insecure_channel(server.target) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def test_a_fresh_server_is_well(client: Client) -> None:
    """
    Store, writer, privacy and disk are looked at, each with its reason, and the worst is the whole.
    """
    client.record_interaction(interaction())

    found = client.get_system_health()

    names = ["store", "writer", "privacy", "disk", "quality", "performance", "alerts", "backup", "recorders"]
    assert names == [each.name for each in found.components]
    assert all(each.reason for each in found.components)
    assert max(each.status for each in found.components) == found.status
    figures = {figure.name: figure.value for each in found.components for figure in each.figures}
    assert SQLITE_VERSION == found.sqlite_version
    assert figures["database_size"] >= 4096
    assert (0, 0) == (figures["queue_depth"], figures["queue_age"])
    assert 0 < figures["last_commit"] < 60


def test_a_full_disk_is_told_before_it_hurts(tmp_path: Path) -> None:
    """
    Less free space than the setting wants is degraded, with the figure.
    """
    wanted = shutil.disk_usage(tmp_path).free // 2**20 + 10**6
    with running_server(low_disk_mb=wanted) as server, Client(server.target) as client:
        found = client.get_system_health()

    (disk,) = (each for each in found.components if each.name == "disk")
    assert (ComponentStatus.DEGRADED, ComponentStatus.DEGRADED) == (disk.status, found.status)
    assert f"less than the {wanted} MB" in disk.reason


BUSY = WriterFacts(9, 9, 1.5, 0, None, None)
BROKEN = WriterFacts(0, 0, 0, 0, None, Unavailable("bad disk"))
FAILURES = replace(METRICS, success_rate=0.8, error_rate=0.2)
POOR = quality.judge(
    quality.Facts(4, dict.fromkeys(quality.FIELDS, 1), 1, 0, 0, 1.0, 1.0, 0, 0, ()),
    Window(NOW, None),
    QualityThresholds(),
)
OVERDUE = BackupPolicy(time_of_day="", interval_seconds=60, set_at=datetime(2025, 12, 31, tzinfo=UTC))
SHORT = replace(COMPLETE, awaited=2, shortfalls=(recorders.Shortfall("r-1", "web", 2, NOW),))
JUDGED = [
    (GOOD, "store", ComponentStatus.OK),
    (replace(GOOD, judgements=Unavailable("gone")), "store", ComponentStatus.FAILING),
    (replace(GOOD, writer=BUSY), "writer", ComponentStatus.DEGRADED),
    (replace(GOOD, writer=BROKEN), "writer", ComponentStatus.FAILING),
    (replace(GOOD, free_bytes=0), "disk", ComponentStatus.FAILING),
    (replace(GOOD, judgements=replace(KNOWN, metrics=FAILURES)), "performance", ComponentStatus.DEGRADED),
    (replace(GOOD, judgements=replace(KNOWN, firing=(ALERT,))), "alerts", ComponentStatus.DEGRADED),
    (replace(GOOD, judgements=replace(KNOWN, quality=POOR)), "quality", ComponentStatus.DEGRADED),
    (replace(GOOD, backups=Standing((), 1)), "backup", ComponentStatus.DEGRADED),
    (replace(GOOD, judgements=replace(KNOWN, policy=replace(OVERDUE, enabled=False))), "backup", ComponentStatus.OK),
    (replace(GOOD, judgements=replace(KNOWN, policy=OVERDUE)), "backup", ComponentStatus.DEGRADED),
    (replace(GOOD, judgements=replace(KNOWN, recorders=SHORT)), "recorders", ComponentStatus.DEGRADED),
]


@pytest.mark.parametrize(("facts", "name", "status"), JUDGED)
def test_facts_are_judged(facts: health.Facts, name: str, status: ComponentStatus) -> None:
    """
    Each fact that wants attention shows in its component.
    """
    judged = health.judge(facts, low_disk_bytes=1, now=NOW)

    (component,) = (each for each in judged.components if each.name == name)
    assert (status, status) == (component.status, judged.status)


@given(rows=oracle.ROWS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_score_is_that_of_the_rows_and_every_deduction_has_a_reason(rows: list[oracle.Row]) -> None:
    """
    The score is the predecessor's within 1e-9; each part and the whole are what their deductions leave of 1.
    """
    now = datetime.now(UTC)
    placed = oracle.placed(rows, now)
    with running_server() as server, Client(server.target) as client:
        client.import_interactions([[imported(number, **row) for number, row in enumerate(placed)]])
        found = client.get_system_health().score

    deductions = [each for part in found.parts for each in part.deductions]
    assert oracle.close(oracle.health_score(placed, now)) == found.value
    assert oracle.close(1 - found.value) == sum(each.amount for each in deductions)
    assert all(each.reason and each.amount > 0 for each in deductions)
    for part in found.parts:
        assert oracle.close(1 - part.value) == 3 * sum(each.amount for each in part.deductions)
    assert bool(rows) == found.has_data


def test_an_empty_store_has_no_data_yet(client: Client) -> None:
    """
    Its score is the predecessor's, 0.4333 without a backup, but it says so instead of looking ill.
    """
    found = client.get_system_health()

    reasons = {each.name: each.reason for each in found.components}
    assert (oracle.close(1.3 / 3), False, ComponentStatus.OK) == (
        found.score.value,
        found.score.has_data,
        found.status,
    )
    assert ("no data yet", "no data yet", "none is firing", "no backup yet; one is made every day at 03:00 UTC") == (
        reasons["quality"],
        reasons["performance"],
        reasons["alerts"],
        reasons["backup"],
    )
    assert [
        "no data yet, so the completeness of the data counts as 0",
        "no complete backup exists that was made by hand or by the policy",
    ] == [each.reason for part in found.score.parts for each in part.deductions]


def test_a_low_score_is_not_a_server_that_does_not_serve(client: Client, probe: health_pb2_grpc.HealthStub) -> None:
    """
    However bad the data and however many alerts, grpc.health.v1 says SERVING.
    """
    recorded(client, *(interaction(success=False, occurred_at=None) for _ in range(60)))
    client.evaluate_alerts()

    found = client.get_system_health()

    degraded = [each.name for each in found.components if each.status == ComponentStatus.DEGRADED]
    assert ["performance", "alerts"] == degraded
    assert "firing: high_error_rate (critical), low_success_rate (critical)" in {e.reason for e in found.components}
    assert SERVING == probe.Check(health_pb2.HealthCheckRequest()).status


def test_a_store_that_cannot_be_read_scores_nothing() -> None:
    """
    Then the parts that need it are 0, with the reason.
    """
    found = health.judge(replace(GOOD, judgements=Unavailable("gone")), low_disk_bytes=1, now=NOW)

    assert (0.0, False, oracle.close(1.0)) == (
        found.score.value,
        found.score.has_data,
        sum(each.amount for part in found.score.parts for each in part.deductions),
    )


def test_a_watcher_is_told_what_changes(client: Client) -> None:
    """
    How it is comes first; then, when an alert fires, how it is with that.
    """
    watch = client.watch_system_health()
    first = next(watch)
    recorded(client, *(interaction(success=False, occurred_at=None) for _ in range(3)))
    client.evaluate_alerts()

    later = next(each for each in watch if "firing:" in alerts_of(each))

    assert "none is firing" == alerts_of(first)
    assert (False, True) == (first.score.has_data, later.score.has_data)


def test_watchers_are_told_while_others_ask(client: Client) -> None:
    """
    However often health is asked for meanwhile, who watches is told of a change.
    """
    watch = client.watch_system_health()
    next(watch)
    recorded(client, *(interaction(success=False, occurred_at=None) for _ in range(3)))

    with ThreadPoolExecutor() as pool:
        told, deadline = pool.submit(next, watch), time.monotonic() + 10
        while not told.done() and time.monotonic() < deadline:
            client.get_system_health()
        in_time = told.done()

    assert in_time
    assert ComponentStatus.DEGRADED == told.result().status


def alerts_of(found: SystemHealth) -> str:
    """Return what *found* says of alerts."""
    (reason,) = (each.reason for each in found.components if each.name == "alerts")
    return reason


def test_a_watch_of_health_ends_when_the_server_stops() -> None:
    """
    The watcher is told UNAVAILABLE, and does not hold the stop up.
    """
    with running_server() as server:
        client = Client(server.target)
        watch = client.watch_system_health()
        next(watch)

    with pytest.raises(Unavailable) as caught:
        next(watch)
    client.close()

    assert "STOPPING" == caught.value.reason


def test_server_info_counts_calls_and_errors(client: Client) -> None:
    """
    Versions and limits are told, and of each RPC the calls, errors, mean and p99 since start.
    """
    client.record_interaction(interaction())
    client.record_interaction(interaction())
    with pytest.raises(InvalidArgument):
        client.record_interaction(interaction(query=""))

    info = client.get_server_info()

    (figures,) = (each for each in info.rpcs if each.method.endswith("/RecordInteraction"))
    assert (3, 1) == (figures.calls, figures.errors)
    assert 0 < figures.mean_seconds <= figures.p99_seconds < 60
    assert (LIMITS, "0005_recorders", "1") == (info.limits, info.schema_version, info.redaction_rules_version)
    assert all((info.version, info.sqlite_version, info.python_version, info.grpc_version, info.protobuf_version))


def test_a_store_has_an_epoch_of_its_own(tmp_path: Path) -> None:
    """
    The epoch stays over a restart, and another store has another.
    """
    epochs = []
    for data in (tmp_path / "one", tmp_path / "one", tmp_path / "two"):
        with running_server(data) as server, Client(server.target) as client:
            epochs.append(client.get_server_info().epoch)

    assert epochs[0] == epochs[1] != epochs[2]


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_a_probe_is_told_that_each_service_serves(probe: health_pb2_grpc.HealthStub, service: str) -> None:
    """
    Check and Watch say SERVING for the server and for each of its services.
    """
    request = health_pb2.HealthCheckRequest(service=service)

    watch = probe.Watch(request)

    assert (SERVING, SERVING) == (probe.Check(request).status, next(iter(watch)).status)
    watch.cancel()


def test_a_probe_lists_all_services(probe: health_pb2_grpc.HealthStub) -> None:
    """
    List names the server and each of its services.
    """
    statuses = probe.List(health_pb2.HealthListRequest()).statuses

    assert dict.fromkeys(("", *SERVICES), SERVING) == {name: each.status for name, each in statuses.items()}


def test_an_unknown_service_is_not_found(probe: health_pb2_grpc.HealthStub) -> None:
    """
    Check of a service that is not there is NOT_FOUND, as the protocol wants.
    """
    with pytest.raises(grpc.RpcError) as caught:
        probe.Check(health_pb2.HealthCheckRequest(service="nobody"))

    assert NotFound is type(from_call(caught.value))


def test_a_watcher_sees_the_server_stop() -> None:
    """
    A probe that watches is told NOT_SERVING when the server stops, and does not hold it up.
    """
    with running_server() as server:
        channel = grpc.insecure_channel(server.target)
        watch = iter(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
        first = next(watch).status
    second = next(watch).status
    channel.close()

    assert (SERVING, NOT_SERVING) == (first, second)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_and_describes_the_services(server: App, version: str) -> None:
    """
    Both versions of reflection name every service and give the file of each, as grpcurl and buf curl ask.
    """
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICES[0]),
    ]
    with grpc.insecure_channel(server.target) as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        listed, described = ask(iter(requests))

    names = {each.name for each in listed.list_services_response.service}
    assert {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} == names
    assert described.file_descriptor_response.file_descriptor_proto
