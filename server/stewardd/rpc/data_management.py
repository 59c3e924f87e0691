"""
DataManagementService: decode, call, encode.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from steward import codec
from steward.errors import InvalidArgument
from steward.types import (
    IMPORT_KINDS,
    BusinessDay,
    BusinessMetric,
    ContentAccess,
    ExportFormat,
    FieldViolation,
    InteractionFilter,
    MetricPoint,
    Numbering,
    RecordReceipt,
    Rejection,
)
from steward.v1 import (
    analytics_pb2,
    business_pb2,
    content_pb2,
    export_pb2,
    imports_pb2,
    ingest_pb2,
    interaction_pb2,
    performance_pb2,
    quality_pb2,
    questions_pb2,
    records_pb2,
    sessions_pb2,
)
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceServicer
from stewardd import (
    analytics,
    business,
    content,
    filters,
    imports,
    ingest,
    performance,
    quality,
    questions,
    recorders,
    sessions,
    summary_export,
)
from stewardd.privacy import Redactor
from stewardd.receipts import PreparedRecord, store_records, store_together
from stewardd.rpc.exports import Exports
from stewardd.rpc.paging import Tokens, size
from stewardd.rpc.readers import Readers
from stewardd.rules import Prepared
from stewardd.store import Store
from stewardd.store.row import Marks, Stored

Sent = AsyncIterator[Any]  # messages, as they are on the wire


class DataManagement(DataManagementServiceServicer):
    """Takes in what the assistant learns, and gives it back."""

    def __init__(
        self,
        *,
        store: Store,
        redactor: Redactor,
        read: Readers,
        prepare: Readers,
        exports: Exports,
        conversion_queries: int,
    ) -> None:
        self._store = store
        self._redactor = redactor
        self._read = read
        self._prepare_on = prepare
        self._exports = exports
        self._conversion_queries = conversion_queries
        self._tokens = Tokens(redactor, epochs=store.epochs)

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
        ingest.check_batch(len(request.interactions), least=0 if request.HasField("numbering") else 1)
        prepared, marks = await self._prepare_on(self._prepare_batch, request)
        places = await ingest.store_all(self._store, prepared, marks=marks)
        return await self._prepare_on(_recorded, prepared, places)

    async def RateInteraction(
        self, request: ingest_pb2.RateInteractionRequest, context: Any
    ) -> ingest_pb2.RateInteractionResponse:
        await self._store.change(ingest.rate(request.interaction_id, request.user_rating, now=datetime.now(UTC)))
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
        filters.check_filter(chosen, now=datetime.now(UTC), prefix="filter.")
        found = await self._read(
            ingest.listed, self._store, chosen, redactor=self._redactor, after=after, limit=limit + 1
        )
        page, token = self._tokens.page(request, found, limit)
        interactions = [codec.encode(interaction_pb2.RecordedInteraction, each) for each in page]
        return ingest_pb2.ListInteractionsResponse(interactions=interactions, next_page_token=token)

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
        sessions.check(since, until, request.user_roles, now=datetime.now(UTC))
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
        page, token = self._tokens.page(request, found, limit)
        listed = [codec.encode(sessions_pb2.Session, each) for each in page]
        return sessions_pb2.ListSessionsResponse(sessions=listed, next_page_token=token)

    async def RecordMetrics(
        self, request: performance_pb2.RecordMetricsRequest, context: Any
    ) -> performance_pb2.RecordMetricsResponse:
        ingest.check_batch(len(request.points), field="points")
        prepared = await self._prepare_on(self._prepare_points, request.points)
        if request.all_or_nothing:
            ingest.demand_all(prepared, prefix="points[{}].")
        return await self._prepare_on(_measured, await store_records(self._store, prepared))

    async def RecordContentAccess(
        self, request: content_pb2.RecordContentAccessRequest, context: Any
    ) -> content_pb2.RecordContentAccessResponse:
        access = codec.decode(ContentAccess, request.access)
        prepared = content.prepare(access, redactor=self._redactor, now=datetime.now(UTC))
        receipt = await store_together(self._store, [prepared], record_id=access.access_id)
        return content_pb2.RecordContentAccessResponse(receipt=codec.encode(records_pb2.RecordReceipt, receipt))

    async def RecordBusinessMetric(
        self, request: business_pb2.RecordBusinessMetricRequest, context: Any
    ) -> business_pb2.RecordBusinessMetricResponse:
        now = datetime.now(UTC)
        if request.WhichOneof("figures") is None:
            raise InvalidArgument.of(FieldViolation("figures", "must be a metric or a day"))
        if request.HasField("day"):
            day = codec.decode(BusinessDay, request.day)
            prepared, record_id = business.prepare_day(day, redactor=self._redactor, now=now), day.day_id
        else:
            metric = codec.decode(BusinessMetric, request.metric)
            prepared, record_id = business.prepare(metric, redactor=self._redactor, now=now), metric.metric_id
        receipt = await store_together(self._store, prepared, record_id=record_id)
        return business_pb2.RecordBusinessMetricResponse(receipt=codec.encode(records_pb2.RecordReceipt, receipt))

    async def GetSummary(
        self, request: analytics_pb2.GetSummaryRequest, context: Any
    ) -> analytics_pb2.GetSummaryResponse:
        asked = self._asked(request)
        score = await self._read(quality.score, self._store, now=asked["now"])
        summary = await self._read(
            analytics.summarize,
            self._store,
            **asked,
            conversion_queries=self._conversion_queries,
            quality_score=score,
        )
        return codec.encode(analytics_pb2.GetSummaryResponse, summary)

    async def GetInsights(
        self, request: analytics_pb2.GetInsightsRequest, context: Any
    ) -> analytics_pb2.GetInsightsResponse:
        found = await self._read(analytics.insights, self._store, **self._asked(request))
        return codec.encode(analytics_pb2.GetInsightsResponse, found)

    async def ListCommonQuestions(
        self, request: questions_pb2.ListCommonQuestionsRequest, context: Any
    ) -> questions_pb2.ListCommonQuestionsResponse:
        found = await self._read(questions.common, self._store, **self._asked(request), limit=_limit(request))
        return codec.encode(questions_pb2.ListCommonQuestionsResponse, found)

    async def SuggestQuestions(
        self, request: questions_pb2.SuggestQuestionsRequest, context: Any
    ) -> questions_pb2.SuggestQuestionsResponse:
        found = await self._read(
            questions.suggestions,
            self._store,
            **self._asked(request),
            user_role=request.user_role,
            limit=_limit(request),
        )
        suggestions = [codec.encode(questions_pb2.Suggestion, each) for each in found]
        return questions_pb2.SuggestQuestionsResponse(suggestions=suggestions)

    async def GetContentReport(
        self, request: content_pb2.GetContentReportRequest, context: Any
    ) -> content_pb2.GetContentReportResponse:
        found = await self._read(
            content.report,
            self._store,
            since=codec.to_optional_time(request, "since"),
            until=codec.to_optional_time(request, "until"),
            user_roles=tuple(request.user_roles),
            content_types=tuple(request.content_types),
            limit=_limit(request),
            now=datetime.now(UTC),
        )
        return codec.encode(content_pb2.GetContentReportResponse, found)

    async def GetBusinessReport(
        self, request: business_pb2.GetBusinessReportRequest, context: Any
    ) -> business_pb2.GetBusinessReportResponse:
        asked = self._asked(request)
        found = await self._read(business.report, self._store, **asked, time_zone=request.time_zone)
        return codec.encode(business_pb2.GetBusinessReportResponse, found)

    async def GetQualityReport(
        self, request: quality_pb2.GetQualityReportRequest, context: Any
    ) -> quality_pb2.GetQualityReportResponse:
        found = await self._read(
            quality.report,
            self._store,
            since=codec.to_optional_time(request, "since"),
            until=codec.to_optional_time(request, "until"),
            now=datetime.now(UTC),
        )
        return codec.encode(quality_pb2.GetQualityReportResponse, found)

    async def GetQualityThresholds(
        self, request: quality_pb2.GetQualityThresholdsRequest, context: Any
    ) -> quality_pb2.GetQualityThresholdsResponse:
        found = await self._read(quality.thresholds, self._store)
        return quality_pb2.GetQualityThresholdsResponse(thresholds=codec.encode(quality_pb2.QualityThresholds, found))

    async def SetQualityThresholds(
        self, request: quality_pb2.SetQualityThresholdsRequest, context: Any
    ) -> quality_pb2.SetQualityThresholdsResponse:
        given = {field.name: value for field, value in request.ListFields()}
        found = await self._store.change(quality.set_thresholds(**given))
        return quality_pb2.SetQualityThresholdsResponse(thresholds=codec.encode(quality_pb2.QualityThresholds, found))

    async def ExportInteractions(self, request: export_pb2.ExportInteractionsRequest, context: Any) -> Sent:
        async with aclosing(self._exports.interactions(request)) as parts:
            async for part in parts:
                yield part

    async def ExportTable(self, request: export_pb2.ExportTableRequest, context: Any) -> Sent:
        async with aclosing(self._exports.table(request)) as parts:
            async for part in parts:
                yield part

    async def ExportSummary(
        self, request: export_pb2.ExportSummaryRequest, context: Any
    ) -> export_pb2.ExportSummaryResponse:
        asked = summary_export.asked(
            codec.to_optional_time(request, "since"),
            codec.to_optional_time(request, "until"),
            codec.decode(InteractionFilter, request.filter),
            form=request.format,
            now=datetime.now(UTC),
        )
        file = await self._read(
            summary_export.exported,
            self._store,
            asked,
            form=ExportFormat(request.format),
            raw=request.raw,
            redactor=self._redactor,
            conversion_queries=self._conversion_queries,
            version=version("steward-data"),
        )
        digest = hashlib.sha256(file.content).digest()
        return export_pb2.ExportSummaryResponse(
            name=file.name, media_type=file.media_type, content=file.content, sha256=digest
        )

    async def ExportCompliance(self, request: export_pb2.ExportComplianceRequest, context: Any) -> Sent:
        async with aclosing(self._exports.compliance(request)) as parts:
            async for part in parts:
                yield part

    async def ImportInteractions(
        self, request_iterator: AsyncIterator[imports_pb2.ImportInteractionsRequest], context: Any
    ) -> imports_pb2.ImportInteractionsResponse:
        report = await imports.take_in(self._store, self._batches(request_iterator))
        return codec.encode(imports_pb2.ImportInteractionsResponse, report)

    async def _batches(
        self, requests: AsyncIterator[imports_pb2.ImportInteractionsRequest]
    ) -> AsyncIterator[list[imports.PreparedImport]]:
        preserve: bool | None = None
        async for request in requests:
            if preserve is None:
                preserve = imports.preserves(request.key_fingerprint, redactor=self._redactor)
            imports.check_batch(sum(len(getattr(request, kind.table)) for kind in IMPORT_KINDS))
            yield await self._prepare_on(self._prepare_import, request, preserve=preserve)

    def _asked(self, request: Any) -> dict[str, Any]:
        """Return what the questions for figures have in common: a window, a filter, and when they were asked."""
        return {
            "since": codec.to_optional_time(request, "since"),
            "until": codec.to_optional_time(request, "until"),
            "chosen": codec.decode(InteractionFilter, request.filter),
            "redactor": self._redactor,
            "now": datetime.now(UTC),
        }

    def _prepare_import(
        self, request: imports_pb2.ImportInteractionsRequest, *, preserve: bool
    ) -> list[imports.PreparedImport]:
        return imports.prepare(codec.to_imported(request), redactor=self._redactor, preserve=preserve)

    def _prepare(self, messages: Sequence[interaction_pb2.Interaction]) -> list[Prepared | Rejection]:
        interactions = map(codec.to_interaction, messages)
        return ingest.prepare(interactions, redactor=self._redactor, now=datetime.now(UTC))

    def _prepare_batch(
        self, request: ingest_pb2.RecordInteractionsRequest
    ) -> tuple[list[Prepared | Rejection], Marks | None]:
        prepared = self._prepare(request.interactions)
        if request.all_or_nothing:
            ingest.demand_all(prepared)
        if not request.HasField("numbering"):
            return prepared, None
        numbering = codec.decode(Numbering, request.numbering)
        refused = [isinstance(each, Rejection) for each in prepared]
        return prepared, recorders.prepare(numbering, refused=refused, redactor=self._redactor)

    def _prepare_points(self, messages: Sequence[performance_pb2.MetricPoint]) -> list[PreparedRecord | Rejection]:
        points = (codec.or_rejection(MetricPoint, each) for each in messages)
        return performance.prepare(points, redactor=self._redactor, now=datetime.now(UTC))


def _limit(request: Any) -> int | None:
    limit: int | None = request.limit if request.HasField("limit") else None
    return limit


def _recorded(
    prepared: Sequence[Prepared | Rejection], places: Sequence[Stored]
) -> ingest_pb2.RecordInteractionsResponse:
    # Plain fields, of which the messages are made at once: five times as fast as message by message.
    outcomes: Any = [codec.from_outcome(each) for each in ingest.outcomes(prepared, places)]
    return ingest_pb2.RecordInteractionsResponse(outcomes=outcomes)


def _measured(outcomes: Sequence[RecordReceipt | Rejection]) -> performance_pb2.RecordMetricsResponse:
    return performance_pb2.RecordMetricsResponse(outcomes=[codec.from_record_outcome(each) for each in outcomes])
