"""
DataManagementService: decode, call, encode.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from steward import codec
from steward.types import ImportRejection, InteractionFilter, Rejection
from steward.v1 import analytics_pb2, imports_pb2, ingest_pb2, interaction_pb2, sessions_pb2
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceServicer
from stewardd import analytics, filters, imports, ingest, sessions
from stewardd.privacy import Redactor
from stewardd.rpc.paging import Tokens, size
from stewardd.rpc.readers import Readers
from stewardd.rules import Prepared
from stewardd.store import Store
from stewardd.store.row import Stored
from stewardd.store.times import micros


class DataManagement(DataManagementServiceServicer):
    """Takes in what the assistant learns, and gives it back."""

    def __init__(self, *, store: Store, redactor: Redactor, read: Readers, conversion_queries: int) -> None:
        self._store = store
        self._redactor = redactor
        self._read = read
        self._conversion_queries = conversion_queries
        self._tokens = Tokens(redactor, epoch=store.epoch)

    async def RecordInteraction(
        self, request: ingest_pb2.RecordInteractionRequest, context: Any
    ) -> ingest_pb2.RecordInteractionResponse:
        prepared = self._prepare([request.interaction])
        ingest.demand_all(prepared, prefix="interaction.")
        (receipt,) = ingest.outcomes(prepared, await ingest.store_all(self._store, prepared))
        return ingest_pb2.RecordInteractionResponse(receipt=codec.encode(ingest_pb2.Receipt, receipt))

    async def RecordInteractions(
        self, request: ingest_pb2.RecordInteractionsRequest, context: Any
    ) -> ingest_pb2.RecordInteractionsResponse:
        ingest.check_batch(len(request.interactions))
        prepared = await self._read(self._prepare, request.interactions)
        if request.all_or_nothing:
            ingest.demand_all(prepared)
        places = await ingest.store_all(self._store, prepared)
        return await self._read(_recorded, prepared, places)

    async def RateInteraction(
        self, request: ingest_pb2.RateInteractionRequest, context: Any
    ) -> ingest_pb2.RateInteractionResponse:
        await self._store.change(ingest.rate(request.interaction_id, request.user_rating))
        found = await self._read(ingest.get, self._store, request.interaction_id)
        return ingest_pb2.RateInteractionResponse(interaction=codec.encode(interaction_pb2.RecordedInteraction, found))

    async def GetInteraction(
        self, request: ingest_pb2.GetInteractionRequest, context: Any
    ) -> ingest_pb2.GetInteractionResponse:
        found = await self._read(ingest.get, self._store, request.interaction_id)
        return ingest_pb2.GetInteractionResponse(interaction=codec.encode(interaction_pb2.RecordedInteraction, found))

    async def ListInteractions(
        self, request: ingest_pb2.ListInteractionsRequest, context: Any
    ) -> ingest_pb2.ListInteractionsResponse:
        limit, after = size(request.page_size), self._tokens.read(request)
        chosen = codec.decode(InteractionFilter, request.filter)
        filters.check_filter(chosen)
        found = await self._read(
            ingest.listed, self._store, chosen, redactor=self._redactor, after=after, limit=limit + 1
        )
        page = found[:limit]
        more = len(found) > limit
        return ingest_pb2.ListInteractionsResponse(
            interactions=[codec.encode(interaction_pb2.RecordedInteraction, each) for each in page],
            next_page_token=self._tokens.make(request, (micros(page[-1].occurred_at), page[-1].seq)) if more else "",
        )

    async def GetSession(
        self, request: sessions_pb2.GetSessionRequest, context: Any
    ) -> sessions_pb2.GetSessionResponse:
        key = filters.chosen_session(
            request.session_id if request.HasField("session_id") else None,
            request.session if request.HasField("session") else None,
            redactor=self._redactor,
        )
        found = await self._read(sessions.get, self._store, key, conversion_queries=self._conversion_queries)
        return sessions_pb2.GetSessionResponse(session=codec.encode(sessions_pb2.Session, found))

    async def ListSessions(
        self, request: sessions_pb2.ListSessionsRequest, context: Any
    ) -> sessions_pb2.ListSessionsResponse:
        limit, after = size(request.page_size), self._tokens.read(request)
        since, until = codec.to_optional_time(request, "since"), codec.to_optional_time(request, "until")
        sessions.check(since, until, request.user_roles)
        found = await self._read(
            sessions.listed,
            self._store,
            since=since,
            until=until,
            user_roles=tuple(request.user_roles),
            after=after,
            limit=limit + 1,
            conversion_queries=self._conversion_queries,
        )
        more = len(found) > limit
        return sessions_pb2.ListSessionsResponse(
            sessions=[codec.encode(sessions_pb2.Session, each) for _, each in found[:limit]],
            next_page_token=self._tokens.make(request, found[limit - 1][0]) if more else "",
        )

    async def GetSummary(
        self, request: analytics_pb2.GetSummaryRequest, context: Any
    ) -> analytics_pb2.GetSummaryResponse:
        summary = await self._read(
            analytics.summarize,
            self._store,
            since=codec.to_optional_time(request, "since"),
            until=codec.to_optional_time(request, "until"),
            now=datetime.now(UTC),
            conversion_queries=self._conversion_queries,
        )
        return codec.encode(analytics_pb2.GetSummaryResponse, summary)

    async def ImportInteractions(
        self, request_iterator: AsyncIterator[imports_pb2.ImportInteractionsRequest], context: Any
    ) -> imports_pb2.ImportInteractionsResponse:
        report = await imports.take_in(self._store, self._batches(request_iterator))
        return codec.encode(imports_pb2.ImportInteractionsResponse, report)

    async def _batches(
        self, requests: AsyncIterator[imports_pb2.ImportInteractionsRequest]
    ) -> AsyncIterator[list[Prepared | ImportRejection]]:
        async for request in requests:
            imports.check_batch(len(request.interactions))
            yield await self._read(self._prepare_import, request)

    def _prepare_import(self, request: imports_pb2.ImportInteractionsRequest) -> list[Prepared | ImportRejection]:
        return imports.prepare(map(codec.to_imported, request.interactions), redactor=self._redactor)

    def _prepare(self, messages: Sequence[interaction_pb2.Interaction]) -> list[Prepared | Rejection]:
        interactions = map(codec.to_interaction, messages)
        return ingest.prepare(interactions, redactor=self._redactor, now=datetime.now(UTC))


def _recorded(
    prepared: Sequence[Prepared | Rejection], places: Sequence[Stored]
) -> ingest_pb2.RecordInteractionsResponse:
    # Plain fields, of which the messages are made at once: five times as fast as message by message.
    outcomes: Any = [codec.from_outcome(each) for each in ingest.outcomes(prepared, places)]
    return ingest_pb2.RecordInteractionsResponse(outcomes=outcomes)
