"""
Exports under way: how many there may be, and what is streamed of each.
"""

import struct
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

from steward import codec
from steward.errors import ResourceExhausted, Unavailable
from steward.types import InteractionFilter
from steward.v1 import export_pb2
from stewardd import export
from stewardd.export import Progress
from stewardd.privacy import Redactor
from stewardd.rpc import batches
from stewardd.rpc.paging import Tokens
from stewardd.rpc.readers import Readers
from stewardd.store import Store

_PROGRESS = struct.Struct(">qqq32s")

Parts = AsyncGenerator[export_pb2.ExportInteractionsResponse, None]


class Exports:
    """What exports share: a bound on how many there are, and the end of all when the server stops."""

    def __init__(self, *, store: Store, redactor: Redactor, read: Readers, most: int) -> None:
        self._store = store
        self._redactor = redactor
        self._read = read
        self._most = most
        self._running = 0
        self._stopped = False
        self._tokens = Tokens(
            redactor, epoch=store.epoch, purpose="export", packing=_PROGRESS, field="resume_token", beside=()
        )

    def stop(self) -> None:
        """End those that are under way, between two batches."""
        self._stopped = True

    def go_on(self) -> None:
        """Raise Unavailable when those that are under way are to end."""
        if self._stopped:
            raise Unavailable("the server is stopping", reason="STOPPING", retry_after=1.0)

    async def interactions(self, request: export_pb2.ExportInteractionsRequest) -> Parts:
        """Yield the parts of the export that *request* asks for. Raises: InvalidArgument, ResourceExhausted."""
        lay_out = batches.layout(request.layout)
        place = self._tokens.read(request)
        chosen = export.choose(
            codec.decode(InteractionFilter, request.filter),
            codec.to_optional_time(request, "updated_since"),
            redactor=self._redactor,
            now=datetime.now(UTC),
        )
        with self.place():
            progress = Progress(*place) if place else await self._read(export.begin, self._store)
            yield export_pb2.ExportInteractionsResponse(header=self._header(request, progress))
            while True:
                self.go_on()
                batch = await self._read(self._batch, lay_out, chosen, progress)
                if batch is None:
                    break
                sent, progress = batch
                part = batches.part(sent, token=self._tokens.make(request, astuple(progress)))
                yield export_pb2.ExportInteractionsResponse(batch=part)
            trailer = export_pb2.ExportTrailer(rows=progress.rows, digest=progress.digest)
            yield export_pb2.ExportInteractionsResponse(trailer=trailer)

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

    def _header(self, request: export_pb2.ExportInteractionsRequest, progress: Progress) -> export_pb2.ExportHeader:
        return export_pb2.ExportHeader(
            schema_version=self._store.schema_version,
            epoch=self._store.epoch,
            last_seq=progress.last_seq,
            filter=request.filter,
            resumed_rows=progress.rows,
        )

    def _batch(
        self, lay_out: batches.LayOut, chosen: list[Any], progress: Progress
    ) -> tuple[batches.Batch, Progress] | None:
        found = export.page(self._store, chosen, progress)
        if not found:
            return None
        batch = lay_out(found)
        return batch, export.advanced(progress, found, batch.SerializeToString(deterministic=True))
