"""
HealthService: decode, call, encode.
"""

import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import grpc
from google import protobuf

from steward import codec
from steward.types import LIMITS, RpcFigures, ServerInfo
from steward.v1 import health_pb2
from steward.v1.health_service_pb2_grpc import HealthServiceServicer
from stewardd import health
from stewardd.privacy import RULES_VERSION
from stewardd.rpc.readers import Readers
from stewardd.store import SQLITE_VERSION, Store


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
