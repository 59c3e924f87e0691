"""
The asynchronous client.
"""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import grpc

from steward import codec
from steward.status import from_call
from steward.transport import REPEATABLE, Retry, aio_channel, gone_by, target
from steward.types import (
    ImportedInteraction,
    ImportReport,
    Interaction,
    InteractionFilter,
    Receipt,
    RecordedInteraction,
    Rejection,
    ServerInfo,
    Session,
    Summary,
    SystemHealth,
)
from steward.v1 import analytics_pb2, health_pb2, imports_pb2, ingest_pb2, interaction_pb2, sessions_pb2
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from steward.v1.health_service_pb2_grpc import HealthServiceStub

DEFAULT_TIMEOUT = 10.0


class AsyncClient:
    """
    A connection to a Steward, to be used from one event loop and closed at the end.

    Every method raises steward.errors.Error or one of its kinds. Times must be aware.
    """

    def __init__(
        self, address: str | None = None, *, timeout: float = DEFAULT_TIMEOUT, retry: Retry | None = None
    ) -> None:
        """
        Prepare to talk to *address* (HOST:PORT; else STEWARD_TARGET, else 127.0.0.1:50051); connect when first used.

        A call takes at most *timeout* seconds, tries included, and is tried again as *retry* says.
        """
        self.target = target(address)
        self._timeout = timeout
        self._retry = retry or Retry()
        self._closed = False
        self._channel = aio_channel(self.target)
        self._data = DataManagementServiceStub(self._channel)
        self._health = HealthServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection. Calls under way are cancelled."""
        self._closed = True
        await self._channel.close()

    async def record_interaction(self, interaction: Interaction) -> Receipt:
        """
        Hand *interaction* over for redaction and storage; return when it is on disk.

        Raises: InvalidArgument, naming each field that breaks a rule.
        """
        message = codec.encode(interaction_pb2.Interaction, interaction)
        request = ingest_pb2.RecordInteractionRequest(interaction=message)
        response = await self._call(self._data.RecordInteraction, request)
        return codec.decode(Receipt, response.receipt)

    async def record_interactions(
        self, interactions: Iterable[Interaction], *, all_or_nothing: bool = False
    ) -> list[Receipt | Rejection]:
        """
        Hand up to 1000 *interactions* over for redaction and storage; one outcome each, in order.

        Returns when every accepted one is on disk. Raises: InvalidArgument when one is bad and it is *all_or_nothing*.
        """
        messages = [codec.encode(interaction_pb2.Interaction, each) for each in interactions]
        request = ingest_pb2.RecordInteractionsRequest(interactions=messages, all_or_nothing=all_or_nothing)
        response = await self._call(self._data.RecordInteractions, request)
        return [codec.to_outcome(each) for each in response.outcomes]

    async def rate_interaction(self, interaction_id: str, user_rating: float) -> RecordedInteraction:
        """Give an interaction its *user_rating*, 1 to 5, or another one. Raises: InvalidArgument, NotFound."""
        request = codec.request(
            ingest_pb2.RateInteractionRequest, interaction_id=interaction_id, user_rating=user_rating
        )
        response = await self._call(self._data.RateInteraction, request)
        return codec.decode(RecordedInteraction, response.interaction)

    async def get_interaction(self, interaction_id: str) -> RecordedInteraction:
        """Return one interaction. Raises: InvalidArgument, NotFound."""
        request = codec.request(ingest_pb2.GetInteractionRequest, interaction_id=interaction_id)
        response = await self._call(self._data.GetInteraction, request)
        return codec.decode(RecordedInteraction, response.interaction)

    async def list_interactions(
        self, chosen: InteractionFilter | None = None, *, page_size: int = 0
    ) -> AsyncIterator[RecordedInteraction]:
        """Yield the *chosen* interactions, newest first, fetching *page_size* at a time. Raises: InvalidArgument."""
        message = codec.encode(interaction_pb2.InteractionFilter, chosen or InteractionFilter())
        request = codec.request(ingest_pb2.ListInteractionsRequest, filter=message, page_size=page_size)
        async for page in self._pages(self._data.ListInteractions, request):
            for each in page.interactions:
                yield codec.decode(RecordedInteraction, each)

    async def get_session(self, *, session_id: str | None = None, session: str | None = None) -> Session:
        """Return a session, by its *session_id* as recorded or by its pseudonym. Raises: InvalidArgument, NotFound."""
        request = codec.request(sessions_pb2.GetSessionRequest, session_id=session_id, session=session)
        response = await self._call(self._data.GetSession, request)
        return codec.decode(Session, response.session)

    async def list_sessions(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        user_roles: Sequence[str] = (),
        page_size: int = 0,
    ) -> AsyncIterator[Session]:
        """Yield the sessions that started in the window, newest first. Raises: InvalidArgument."""
        request = codec.request(
            sessions_pb2.ListSessionsRequest, since=since, until=until, user_roles=user_roles, page_size=page_size
        )
        async for page in self._pages(self._data.ListSessions, request):
            for each in page.sessions:
                yield codec.decode(Session, each)

    async def get_summary(self, *, since: datetime | None = None, until: datetime | None = None) -> Summary:
        """Sum up a window of time, by default the last 7 days, without end. Raises: InvalidArgument."""
        request = codec.request(analytics_pb2.GetSummaryRequest, since=since, until=until)
        return codec.decode(Summary, await self._call(self._data.GetSummary, request))

    async def import_interactions(
        self, batches: AsyncIterable[Sequence[ImportedInteraction]], *, timeout: float | None = None
    ) -> ImportReport:
        """
        Stream *batches* of up to 1000 in, each on disk before the next is read; report what became of them.

        Without a *timeout* in seconds it takes as long as it takes. When it fails, import the same again: what is there
        already is counted, not stored twice. Raises: InvalidArgument.
        """
        failures: list[Exception] = []

        async def messages() -> AsyncIterator[imports_pb2.ImportInteractionsRequest]:
            try:
                async for batch in batches:
                    interactions = [codec.from_imported(each) for each in batch]
                    yield imports_pb2.ImportInteractionsRequest(interactions=interactions)
            except Exception as error:  # gRPC would only say that it cancelled the call
                failures.append(error)
                raise

        try:
            response = await self._data.ImportInteractions(messages(), timeout=timeout)
        except BaseException as error:
            if failures:
                raise failures[0] from None
            if isinstance(error, grpc.RpcError):
                raise from_call(error, closed=self._closed) from error
            raise
        return codec.decode(ImportReport, response)

    async def get_system_health(self) -> SystemHealth:
        """Return how the server is, component by component."""
        request = health_pb2.GetSystemHealthRequest()
        return codec.decode(SystemHealth, await self._call(self._health.GetSystemHealth, request))

    async def get_server_info(self) -> ServerInfo:
        """Return versions, limits, and how the RPCs have fared since the server started."""
        request = health_pb2.GetServerInfoRequest()
        return codec.decode(ServerInfo, await self._call(self._health.GetServerInfo, request))

    async def _pages(self, method: Any, request: Any) -> AsyncIterator[Any]:
        while True:
            page = await self._call(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def _call(self, method: Any, request: Any) -> Any:
        """Call *method*, again where that is safe and may help, for as long as there is time."""
        deadline = time.monotonic() + self._timeout
        attempt = 1
        while True:
            try:
                return await method(request, timeout=gone_by(deadline, time.monotonic))
            except grpc.RpcError as error:
                failure = from_call(error, closed=self._closed)
                delay = (
                    self._retry.delay(failure, attempt=attempt) if request.DESCRIPTOR.full_name in REPEATABLE else None
                )
                if delay is None or time.monotonic() + delay >= deadline:
                    raise failure from error
            await asyncio.sleep(delay)
            attempt += 1
