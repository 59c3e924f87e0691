"""
Exports under way: how many there may be, and what is streamed of each.
"""

import struct
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

from steward import codec, ids
from steward.errors import ResourceExhausted, Unavailable
from steward.types import InteractionFilter
from steward.v1 import export_pb2
from stewardd import export
from stewardd.export import Progress
from stewardd.privacy import Redactor
from stewardd.rpc.paging import Tokens, restored
from stewardd.rpc.readers import Readers
from stewardd.store import Store

SECOND = 10**6  # microseconds
_begun: ContextVar[str] = ContextVar("begun")  # the epoch of the store when the export of this call began
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
            redactor, epochs=store.epochs, purpose="export", packing=_PROGRESS, field="resume_token", beside=()
        )

    def stop(self) -> None:
        """End those that are under way, between two batches."""
        self._stopped = True

    def go_on(self) -> None:
        """Raise Unavailable when those under way are to end, FailedPrecondition when the store was restored since."""
        if self._stopped:
            raise Unavailable("the server is stopping", reason="STOPPING", retry_after=1.0)
        if _begun.get() != self._store.epoch:
            raise restored()

    async def interactions(self, request: export_pb2.ExportInteractionsRequest) -> Parts:
        """Yield the parts of the export that *request* asks for. Raises: InvalidArgument, ResourceExhausted."""
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
                batch = await self._read(self._batch, chosen, progress)
                self.go_on()
                if batch is None:
                    break
                rows, progress = batch
                token = self._tokens.make(request, astuple(progress))
                part = export_pb2.ExportBatch(rows=rows, resume_token=token)
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
        _begun.set(self._store.epoch)
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

    def _batch(self, chosen: list[Any], progress: Progress) -> tuple[export_pb2.InteractionRows, Progress] | None:
        found = export.page(self._store, chosen, progress)
        if not found:
            return None
        fields: Any = [_fields(row) for row in found]
        rows = export_pb2.InteractionRows(interactions=fields)
        return rows, export.advanced(progress, found, rows.SerializeToString(deterministic=True))


def _fields(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return a *row* of an export as the fields of its message. By way of values it would take twice the time."""
    occurred, recorded, rated = row[3], row[4], row[16]
    return {
        "seq": row[0],
        "interaction_id": ids.spell(row[1]),
        "session": row[2],
        "occurred_at": {"seconds": occurred // SECOND, "nanos": occurred % SECOND * 1000},
        "recorded_at": {"seconds": recorded // SECOND, "nanos": recorded % SECOND * 1000},
        "user_role": row[5],
        "query": row[6],
        "query_type": row[7],
        "response_time_seconds": row[8],
        "response_length": row[9],
        "code_snippets_shown": row[10],
        "citations_provided": row[11],
        "success": None if row[12] is None else row[12] != 0,
        "user_rating": row[13],
        "follow_up_query": row[14] != 0,
        "conversation_turn": row[15],
        "rated_at": None if rated is None else {"seconds": rated // SECOND, "nanos": rated % SECOND * 1000},
    }
