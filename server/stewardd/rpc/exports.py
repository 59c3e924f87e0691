"""
Exports under way: how many there may be, and how what their processes make is handed on.
"""

import asyncio
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steward import codec
from steward.errors import ResourceExhausted, Unavailable
from steward.types import InteractionFilter
from steward.v1 import export_pb2
from stewardd import compliance, export, files
from stewardd.apart import Apart, preload
from stewardd.privacy import Redactor
from stewardd.rpc import batches, parts
from stewardd.rpc.paging import restored
from stewardd.rpc.parts import Origin
from stewardd.rpc.readers import Readers
from stewardd.store import Store
from stewardd.telemetry import Telemetry

SCRATCH = "scratch"  # in the data directory

Messages = AsyncGenerator[bytes, None]  # responses as they are on the wire


class Exports:
    """What exports share: a bound on how many there are, and the end of all when the server stops."""

    def __init__(self, *, store: Store, redactor: Redactor, telemetry: Telemetry, most: int) -> None:
        self._store = store
        self._redactor = redactor
        self._log = telemetry.log
        self._run = Readers(most, name="steward-export")
        self._most = most
        self._running = 0
        self._stopped = False
        self._scratch = store.path.parent / SCRATCH
        shutil.rmtree(self._scratch, ignore_errors=True)  # what a crash left
        preload(parts.__name__)

    def stop(self) -> None:
        """End those that are under way, between two messages."""
        self._stopped = True

    def close(self) -> None:
        """Wait for the ends of those that were under way."""
        self._run.close()

    def interactions(self, request: export_pb2.ExportInteractionsRequest) -> Messages:
        """Yield the parts of the export that *request* asks for. Raises: InvalidArgument, ResourceExhausted."""
        batches.demand_layout(request.layout)
        origin = self._origin()
        place = origin.tokens(parts.PROGRESS).read(request)
        query = export.choose(
            codec.decode(InteractionFilter, request.filter),
            codec.to_optional_time(request, "updated_since"),
            redactor=self._redactor,
            now=datetime.now(UTC),
        )
        return self._relayed(parts.interactions, origin, request.SerializeToString(), query, place)

    def table(self, request: export_pb2.ExportTableRequest) -> Messages:
        """Yield the parts of the file that *request* asks for. Raises: InvalidArgument, ResourceExhausted."""
        file = files.choose(
            request.table,
            file_format=request.format,
            compression=request.compression,
            since=codec.to_optional_time(request, "since"),
            until=codec.to_optional_time(request, "until"),
            user_roles=tuple(request.user_roles),
            raw=request.raw,
            now=datetime.now(UTC),
        )
        origin = self._origin()
        place = origin.tokens(parts.PLACE).read(request)
        return self._relayed(parts.table, origin, request.SerializeToString(), file, place)

    def compliance(self, request: export_pb2.ExportComplianceRequest) -> Messages:
        """Yield the parts of the archive that *request* asks for. Raises: InvalidArgument, ResourceExhausted."""
        bundle = compliance.choose(
            since=codec.to_optional_time(request, "since"),
            until=codec.to_optional_time(request, "until"),
            purpose=request.purpose,
            redactor=self._redactor,
            now=datetime.now(UTC),
        )
        return self._relayed(parts.compliance, self._origin(), bundle)

    async def _relayed(self, made: Callable[..., Iterator[bytes]], origin: Origin, *asked: Any) -> Messages:
        """Yield what *made* yields, in a process of its own, of *origin*, with a directory to be made, for *asked*."""
        with self.place():
            directory = self._scratch / f"export-{secrets.token_hex(8)}"
            apart = await self._run(Apart, made, origin, directory, *asked)
            try:
                while (message := await self._run(apart.take)) is not None:
                    self.go_on()
                    if origin.epochs[0] != self._store.epoch:
                        raise restored()
                    yield message
            except Unavailable as error:
                self._log.error("export.failed", reason=error.reason)
                raise
            finally:
                apart.end()
                await asyncio.shield(self._run(_cleared, apart, directory))

    def _origin(self) -> Origin:
        store = self._store
        return Origin(store.path, tuple(store.epochs), store.schema_version, self._redactor)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Count one more as under way meanwhile. Raises: ResourceExhausted when there are as many as may be."""
        if self._running >= self._most:
            message = f"{self._most} exports are under way, which is as many as may"
            raise ResourceExhausted(message, reason="TOO_MANY_EXPORTS", retry_after=2.0)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def go_on(self) -> None:
        """Raise Unavailable when those that are under way are to end."""
        if self._stopped:
            raise Unavailable("the server is stopping", reason="STOPPING", retry_after=1.0)


def _cleared(apart: Apart, directory: Path) -> None:
    apart.close()
    shutil.rmtree(directory, ignore_errors=True)
