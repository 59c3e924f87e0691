"""
The gRPC server: everything that listens on the one port.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import grpc
from grpc_health.v1 import health_pb2_grpc as probe_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as PROBE_NAME
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2 as reflection_messages

from steward.errors import Error, FailedPrecondition
from steward.types import LIMITS
from steward.v1 import backup_service_pb2, data_management_service_pb2, health_service_pb2
from steward.v1.backup_service_pb2_grpc import add_BackupServiceServicer_to_server
from steward.v1.data_management_service_pb2_grpc import add_DataManagementServiceServicer_to_server
from steward.v1.health_service_pb2_grpc import add_HealthServiceServicer_to_server
from stewardd import recorders
from stewardd.backup import Backups
from stewardd.config import Config
from stewardd.privacy import Redactor
from stewardd.rpc.backup import BackupService
from stewardd.rpc.chain import Chain
from stewardd.rpc.data_management import DataManagement
from stewardd.rpc.exports import Exports
from stewardd.rpc.health import Health
from stewardd.rpc.probe import Probe
from stewardd.rpc.readers import Readers
from stewardd.rpc.work import Worker
from stewardd.scheduler import Scheduler
from stewardd.store import Store
from stewardd.telemetry import Telemetry

SERVICES = tuple(
    service.full_name
    for file in (data_management_service_pb2, backup_service_pb2, health_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
)
REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
WRITTEN = ("", SERVICES[0])  # what does not serve while the store cannot be written
PREPARERS = 2  # threads: more would only contend for Python's lock
WATCH = 1.0  # s between looks at the store
HEALTH_WATCH = 2.0  # s between looks at health for those who watch it
TIDY = 3600.0  # s between givings up of what recorders miss
OPTIONS = (
    ("grpc.so_reuseport", 0),  # or a second server would share the port in silence
    ("grpc.max_receive_message_length", LIMITS.message_bytes),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),  # below what clients are told to use
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
)


class Server:
    """Serves a store on one port, from `start` to `stop`."""

    def __init__(
        self,
        *,
        config: Config,
        store: Store,
        backups: Backups,
        redactor: Redactor,
        telemetry: Telemetry,
        key_source: str,
    ) -> None:
        self._store = store
        self._read = Readers(config.readers)
        # Apart from the readers: what is to be recorded does not wait for questions that take their time.
        self._prepare = Readers(PREPARERS, name="steward-preparer")
        self._worker = Worker()
        self._probe = Probe(SERVICES)
        self._chain = Chain(telemetry=telemetry, max_calls=config.max_calls)
        self._server = grpc.aio.server(interceptors=[self._chain], options=OPTIONS)
        self._exports = Exports(store=store, redactor=redactor, telemetry=telemetry, most=config.exports)
        self._health = Health(
            store=store,
            backups=backups,
            redactor=redactor,
            read=self._read,
            rpcs=telemetry.rpcs,
            key_source=key_source,
            low_disk_bytes=config.low_disk_mb * 1024 * 1024,
            patience=timedelta(seconds=config.missing_seconds),
        )
        self._scheduler = Scheduler(telemetry=telemetry)
        self._backup_seconds = config.backup_seconds
        self._alert_seconds = config.alert_seconds
        self._drain_seconds = config.drain_seconds
        add_DataManagementServiceServicer_to_server(
            DataManagement(
                store=store,
                redactor=redactor,
                read=self._read,
                prepare=self._prepare,
                exports=self._exports,
                conversion_queries=config.conversion_queries,
            ),
            self._server,
        )
        self._backups = BackupService(
            store=store, backups=backups, redactor=redactor, read=self._read, worker=self._worker, exports=self._exports
        )
        add_BackupServiceServicer_to_server(self._backups, self._server)
        add_HealthServiceServicer_to_server(self._health, self._server)
        probe_pb2_grpc.add_HealthServicer_to_server(self._probe, self._server)
        self._reflect()
        self.port = self._bind(config.listen)

    async def start(self) -> None:
        """Begin to serve."""
        await self._tidy_recorders()
        await self._server.start()
        await self._probe.say(serving=True)
        self._scheduler.every(WATCH, self._watch_store, name="watch-store")
        self._scheduler.every(HEALTH_WATCH, self._health.watch_health, name="watch-health")
        self._scheduler.every(self._alert_seconds, self._health.evaluate_alerts, name="alerts")
        self._scheduler.every(TIDY, self._tidy_recorders, name="recorders")
        self._scheduler.every(self._backup_seconds, self._backups.keep_to_the_policy, name="backups")

    async def stop(self, *, grace: float) -> None:
        """Say NOT_SERVING, take no more calls, and give those under way *grace* seconds."""
        await self._scheduler.close()
        await self._probe.stop()
        self._chain.drain()
        self._health.stop_watches()
        self._exports.stop()
        self._worker.stop()
        await asyncio.sleep(self._drain_seconds)  # later calls gRPC cancels without a word
        await self._server.stop(grace)
        self._store.interrupt()  # nobody waits for what is still being read
        self._close()

    def _close(self) -> None:
        for threads in (self._read, self._prepare, self._worker, self._exports):
            threads.close()

    async def _watch_store(self) -> None:
        """Tell probes whether the store can be written, and while it cannot, try whether it can again."""
        if self._store.facts().error is not None:
            with suppress(Error):  # it is in the facts, and in the log
                await self._store.try_writing()
        await self._probe.say(serving=self._store.facts().error is None, services=WRITTEN)

    async def _tidy_recorders(self) -> None:
        """Give up what has been missing for too long."""
        await self._store.change(recorders.tidied(datetime.now(UTC)))

    def _bind(self, address: str) -> int:
        try:
            return self._server.add_insecure_port(address)
        except RuntimeError:
            self._close()
            raise FailedPrecondition(
                f"{address} cannot be listened on: another server has it, or it is not ours"
            ) from None

    def _reflect(self) -> None:
        names = (*SERVICES, PROBE_NAME, reflection.SERVICE_NAME)  # v1 has no descriptor to show
        reflection.enable_server_reflection(names, self._server)
        # The library knows v1alpha only. v1 is the same on the wire: https://github.com/grpc/grpc/issues/38576
        handler = grpc.stream_stream_rpc_method_handler(
            reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
            request_deserializer=reflection_messages.ServerReflectionRequest.FromString,
            response_serializer=reflection_messages.ServerReflectionResponse.SerializeToString,
        )
        methods = {"ServerReflectionInfo": handler}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(REFLECTION_V1, methods),))
