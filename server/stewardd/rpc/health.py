"""
HealthService: decode, call, encode. And grpc.health.v1, which probes ask.
"""

import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import grpc
from google import protobuf
from grpc_health.v1 import health_pb2 as probe_pb2
from grpc_health.v1.health import aio

from steward import codec
from steward.types import LIMITS, RpcFigures, ServerInfo
from steward.v1 import health_pb2
from steward.v1.health_service_pb2_grpc import HealthServiceServicer
from stewardd import health
from stewardd.privacy import RULES_VERSION
from stewardd.rpc.readers import Readers
from stewardd.store import SQLITE_VERSION, Store

SERVING, NOT_SERVING = probe_pb2.HealthCheckResponse.SERVING, probe_pb2.HealthCheckResponse.NOT_SERVING


class Health(HealthServiceServicer):
    """Tells how the server is."""

    def __init__(
        self,
        *,
        store: Store,
        read: Readers,
        rpcs: Callable[[], tuple[RpcFigures, ...]],
        key_source: str,
        low_disk_bytes: int,
    ) -> None:
        self._store = store
        self._read = read
        self._rpcs = rpcs
        self._key_source = key_source
        self._low_disk_bytes = low_disk_bytes
        self._started_at = datetime.now(UTC)

    async def GetSystemHealth(
        self, request: health_pb2.GetSystemHealthRequest, context: Any
    ) -> health_pb2.GetSystemHealthResponse:
        facts = await self._read(health.measure, self._store, key_source=self._key_source)
        judged = health.judge(facts, low_disk_bytes=self._low_disk_bytes, now=datetime.now(UTC))
        return codec.encode(health_pb2.GetSystemHealthResponse, judged)

    async def GetServerInfo(
        self, request: health_pb2.GetServerInfoRequest, context: Any
    ) -> health_pb2.GetServerInfoResponse:
        info = ServerInfo(
            version=version("steward-data"),
            sqlite_version=SQLITE_VERSION,
            python_version=platform.python_version(),
            grpc_version=grpc.__version__,
            protobuf_version=protobuf.__version__,
            schema_version=self._store.schema_version,
            redaction_rules_version=RULES_VERSION,
            epoch=self._store.epoch,
            started_at=self._started_at,
            limits=LIMITS,
            rpcs=await self._read(self._rpcs),
        )
        return codec.encode(health_pb2.GetServerInfoResponse, info)


class Probe(aio.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1.Health, with the List that the library's servicer lacks. Nothing serves until `serve`."""

    def __init__(self, services: tuple[str, ...]) -> None:
        super().__init__()
        self._server_status.clear()
        self._server_status.update(dict.fromkeys(("", *services), NOT_SERVING))

    async def List(self, request: Any, context: Any) -> Any:
        statuses = {
            service: probe_pb2.HealthCheckResponse(status=status) for service, status in self._server_status.items()
        }
        return probe_pb2.HealthListResponse(statuses=statuses)

    async def serve(self) -> None:
        """Say that everything serves."""
        for service in tuple(self._server_status):
            await self.set(service, SERVING)
