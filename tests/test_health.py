"""
How the server is: components, server info, probes and reflection.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from steward import Client, ComponentStatus, InvalidArgument, NotFound, Unavailable
from steward.status import from_call
from steward.types import LIMITS
from stewardd import health
from stewardd.app import App
from stewardd.rpc.server import SERVICES
from stewardd.store import WriterFacts
from stewardd.testing import running_server
from tests.samples import interaction

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NOW = datetime(2026, 1, 1, tzinfo=UTC)
IDLE = WriterFacts(0, 0, 0.0, 1, 0.001, None)
GOOD = health.Facts(None, 4096, 0, IDLE, 2**40, "DATA/privacy.key")


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

    assert ["store", "writer", "privacy", "disk"] == [each.name for each in found.components]
    assert all(each.reason for each in found.components)
    assert max(each.status for each in found.components) == found.status
    figures = {figure.name: figure.value for each in found.components for figure in each.figures}
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


JUDGED = [
    (GOOD, "store", ComponentStatus.OK),
    (health.Facts(Unavailable("gone"), 0, 0, IDLE, 2**40, ""), "store", ComponentStatus.FAILING),
    (health.Facts(None, 0, 0, WriterFacts(9, 9, 1.5, 0, None, None), 2**40, ""), "writer", ComponentStatus.DEGRADED),
    (
        health.Facts(None, 0, 0, WriterFacts(0, 0, 0, 0, None, Unavailable("bad disk")), 2**40, ""),
        "writer",
        ComponentStatus.FAILING,
    ),
    (health.Facts(None, 0, 0, IDLE, 0, ""), "disk", ComponentStatus.FAILING),
]


@pytest.mark.parametrize(("facts", "name", "status"), JUDGED)
def test_facts_are_judged(facts: health.Facts, name: str, status: ComponentStatus) -> None:
    """
    Each fact that wants attention shows in its component.
    """
    judged = health.judge(facts, low_disk_bytes=1, now=NOW)

    (component,) = (each for each in judged.components if each.name == name)
    assert (status, status) == (component.status, judged.status)


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
    assert (LIMITS, "0002_figures", "1") == (info.limits, info.schema_version, info.redaction_rules_version)
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
