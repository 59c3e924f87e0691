"""
The asynchronous client.
"""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import grpc

from steward import codec
from steward.aio_export import AsyncInteractionExport
from steward.errors import Error, StreamTruncated
from steward.exports import ExportCheck, FileCheck, FilePart, exported_file
from steward.status import from_call
from steward.transport import REPEATABLE, Retry, aio_channel, gone_by, target
from steward.types import (
    Alert,
    AlertEvaluation,
    AlertEvent,
    AlertMetric,
    AlertOperator,
    AlertRule,
    Backup,
    BackupPolicy,
    BackupProgress,
    BackupReason,
    BackupStatus,
    BusinessDay,
    BusinessMetric,
    BusinessReport,
    CommonQuestions,
    ContentAccess,
    ContentReport,
    ExportCompression,
    ExportedFile,
    ExportFormat,
    FileChunk,
    Importable,
    ImportReport,
    Insights,
    Interaction,
    InteractionFilter,
    MetricPoint,
    Numbering,
    Performance,
    PruneDecision,
    QualityReport,
    QualityThresholds,
    Receipt,
    RecordedInteraction,
    RecordReceipt,
    Rejection,
    Restoration,
    Restore,
    ServerInfo,
    Session,
    Suggestion,
    Summary,
    SystemHealth,
    Verification,
)
from steward.v1 import (
    alerts_pb2,
    analytics_pb2,
    backup_pb2,
    business_pb2,
    content_pb2,
    export_pb2,
    health_pb2,
    imports_pb2,
    ingest_pb2,
    interaction_pb2,
    performance_pb2,
    quality_pb2,
    questions_pb2,
    sessions_pb2,
)
from steward.v1.backup_service_pb2_grpc import BackupServiceStub
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from steward.v1.health_service_pb2_grpc import HealthServiceStub

DEFAULT_TIMEOUT = 10.0

Told = Callable[[BackupProgress], None]  # is called with how far something has come


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
        self._backups = BackupServiceStub(self._channel)
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
        self,
        interactions: Iterable[Interaction],
        *,
        all_or_nothing: bool = False,
        numbering: Numbering | None = None,
    ) -> list[Receipt | Rejection]:
        """
        Hand up to 1000 *interactions* over for redaction and storage; one outcome each, in order.

        *numbering* says which of a recorder's numbers they have; with it there may be none. Returns when every accepted
        one is on disk. Raises: InvalidArgument when one is bad and it is *all_or_nothing*, or the numbering is bad.
        """
        request = ingest_pb2.RecordInteractionsRequest(
            interactions=[codec.encode(interaction_pb2.Interaction, each) for each in interactions],
            all_or_nothing=all_or_nothing,
            numbering=None if numbering is None else codec.encode(ingest_pb2.Numbering, numbering),
        )
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

    async def record_metrics(
        self, points: Iterable[MetricPoint], *, all_or_nothing: bool = False
    ) -> list[RecordReceipt | Rejection]:
        """
        Hand up to 1000 measurements over for storage; one outcome each, in order.

        Returns when every accepted one is on disk. Raises: InvalidArgument when one is bad and it is *all_or_nothing*.
        """
        messages = [codec.encode(performance_pb2.MetricPoint, each) for each in points]
        request = performance_pb2.RecordMetricsRequest(points=messages, all_or_nothing=all_or_nothing)
        response = await self._call(self._data.RecordMetrics, request)
        return [codec.to_record_outcome(each) for each in response.outcomes]

    async def record_content_access(self, access: ContentAccess) -> RecordReceipt:
        """Record that a piece of content was used; return when that is on disk. Raises: InvalidArgument."""
        message = codec.encode(content_pb2.ContentAccess, access)
        request = content_pb2.RecordContentAccessRequest(access=message)
        response = await self._call(self._data.RecordContentAccess, request)
        return codec.decode(RecordReceipt, response.receipt)

    async def record_business_metric(self, figures: BusinessMetric | BusinessDay) -> RecordReceipt:
        """Record a figure of the business, or those of a day; return when on disk. Raises: InvalidArgument."""
        if isinstance(figures, BusinessDay):
            day = codec.encode(business_pb2.BusinessDay, figures)
            request = business_pb2.RecordBusinessMetricRequest(day=day)
        else:
            metric = codec.encode(business_pb2.BusinessMetric, figures)
            request = business_pb2.RecordBusinessMetricRequest(metric=metric)
        response = await self._call(self._data.RecordBusinessMetric, request)
        return codec.decode(RecordReceipt, response.receipt)

    async def get_summary(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        chosen: InteractionFilter | None = None,
    ) -> Summary:
        """Sum up the *chosen* of a window, by default the last 7 days, without end. Raises: InvalidArgument."""
        request = codec.request(
            analytics_pb2.GetSummaryRequest, since=since, until=until, filter=codec.from_filter(chosen)
        )
        return codec.decode(Summary, await self._call(self._data.GetSummary, request))

    async def get_insights(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        chosen: InteractionFilter | None = None,
    ) -> Insights:
        """Return who asks what among the *chosen* of a window, by default the last 30 days. Raises: InvalidArgument."""
        request = codec.request(
            analytics_pb2.GetInsightsRequest, since=since, until=until, filter=codec.from_filter(chosen)
        )
        return codec.decode(Insights, await self._call(self._data.GetInsights, request))

    async def list_common_questions(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        chosen: InteractionFilter | None = None,
        limit: int | None = None,
    ) -> CommonQuestions:
        """Return what is asked most, 10 unless told otherwise, by default in 30 days. Raises: InvalidArgument."""
        request = codec.request(
            questions_pb2.ListCommonQuestionsRequest,
            since=since,
            until=until,
            filter=codec.from_filter(chosen),
            limit=limit,
        )
        return codec.decode(CommonQuestions, await self._call(self._data.ListCommonQuestions, request))

    async def suggest_questions(
        self,
        user_role: str = "",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        chosen: InteractionFilter | None = None,
        limit: int | None = None,
    ) -> list[Suggestion]:
        """Return what a visitor in *user_role* might ask, 5 unless told otherwise. Raises: InvalidArgument."""
        request = codec.request(
            questions_pb2.SuggestQuestionsRequest,
            user_role=user_role,
            since=since,
            until=until,
            filter=codec.from_filter(chosen),
            limit=limit,
        )
        response = await self._call(self._data.SuggestQuestions, request)
        return [codec.decode(Suggestion, each) for each in response.suggestions]

    async def get_content_report(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        user_roles: Sequence[str] = (),
        content_types: Sequence[str] = (),
        limit: int | None = None,
    ) -> ContentReport:
        """Return what content is used, the 10 most used items unless told otherwise. Raises: InvalidArgument."""
        request = codec.request(
            content_pb2.GetContentReportRequest,
            since=since,
            until=until,
            user_roles=user_roles,
            content_types=content_types,
            limit=limit,
        )
        return codec.decode(ContentReport, await self._call(self._data.GetContentReport, request))

    async def get_business_report(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        chosen: InteractionFilter | None = None,
        time_zone: str = "",
    ) -> BusinessReport:
        """
        Return the business of each day in *time_zone*, by default of the last 30 days in UTC.

        Raises: InvalidArgument, also when more than 1000 days have something in them.
        """
        request = codec.request(
            business_pb2.GetBusinessReportRequest,
            since=since,
            until=until,
            filter=codec.from_filter(chosen),
            time_zone=time_zone,
        )
        return codec.decode(BusinessReport, await self._call(self._data.GetBusinessReport, request))

    async def get_quality_report(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> QualityReport:
        """Return how good the data is, with the findings of a window, by default 7 days. Raises: InvalidArgument."""
        request = codec.request(quality_pb2.GetQualityReportRequest, since=since, until=until)
        return codec.decode(QualityReport, await self._call(self._data.GetQualityReport, request))

    async def get_quality_thresholds(self) -> QualityThresholds:
        """Return from where on quality is found wanting."""
        request = quality_pb2.GetQualityThresholdsRequest()
        response = await self._call(self._data.GetQualityThresholds, request)
        return codec.decode(QualityThresholds, response.thresholds)

    async def set_quality_thresholds(
        self,
        *,
        completeness_threshold: float | None = None,
        max_response_time_seconds: float | None = None,
        min_success_rate: float | None = None,
    ) -> QualityThresholds:
        """Change those thresholds that are given; return all. Raises: InvalidArgument."""
        request = codec.request(
            quality_pb2.SetQualityThresholdsRequest,
            completeness_threshold=completeness_threshold,
            max_response_time_seconds=max_response_time_seconds,
            min_success_rate=min_success_rate,
        )
        response = await self._call(self._data.SetQualityThresholds, request)
        return codec.decode(QualityThresholds, response.thresholds)

    def export_interactions(
        self, chosen: InteractionFilter | None = None, *, updated_since: datetime | None = None
    ) -> AsyncInteractionExport:
        """
        Return the *chosen* interactions in the order of arrival, to iterate over or to take as a table or a file.

        They are those that are there when the first is taken. A broken stream is gone on with, without loss or repeat,
        as often as it brings something in between; at the end it is checked that all came. A rating given after its
        interaction came does not bring it back: ask again with *updated_since*. Raises: InvalidArgument,
        StreamTruncated.
        """
        request = codec.request(
            export_pb2.ExportInteractionsRequest,
            filter=codec.from_filter(chosen),
            updated_since=updated_since,
            layout=export_pb2.EXPORT_LAYOUT_COLUMNS,
        )
        return AsyncInteractionExport(self._resumed(self._data.ExportInteractions, request, ExportCheck()))

    async def export_table(
        self,
        table: str,
        *,
        format: ExportFormat = ExportFormat.CSV,  # noqa: A002 -- as the .proto has it
        compression: ExportCompression = ExportCompression.UNSPECIFIED,
        since: datetime | None = None,
        until: datetime | None = None,
        user_roles: Sequence[str] = (),
        raw: bool = False,
    ) -> AsyncIterator[bytes]:
        """
        Yield *table* as a file in that *format*, chunk by chunk; what is recorded meanwhile is not part of it.

        A broken stream of CSV or JSON Lines without *compression* is gone on with, as often as it brings something in
        between. At the end it is checked that all came. In CSV and XLSX a text that a spreadsheet would take for a
        formula has an apostrophe before it, unless *raw*. Raises: InvalidArgument, FailedPrecondition, StreamTruncated.
        """
        async for part in self.export_table_parts(
            table,
            format=format,
            compression=compression,
            since=since,
            until=until,
            user_roles=user_roles,
            raw=raw,
        ):
            if isinstance(part, FileChunk):
                yield part.data

    async def export_table_parts(
        self,
        table: str,
        *,
        format: ExportFormat = ExportFormat.CSV,  # noqa: A002 -- as the .proto has it
        compression: ExportCompression = ExportCompression.UNSPECIFIED,
        since: datetime | None = None,
        until: datetime | None = None,
        user_roles: Sequence[str] = (),
        raw: bool = False,
        resume_token: str = "",
    ) -> AsyncIterator[FilePart]:
        """Yield what export_table does with its header, the tokens to go on with later, and its trailer."""
        request = codec.request(
            export_pb2.ExportTableRequest,
            table=table,
            format=format,
            compression=compression,
            since=since,
            until=until,
            user_roles=user_roles,
            raw=raw,
            resume_token=resume_token,
        )
        async for part in self._resumed(self._data.ExportTable, request, FileCheck()):
            yield part

    async def export_summary(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        chosen: InteractionFilter | None = None,
        format: ExportFormat = ExportFormat.UNSPECIFIED,  # noqa: A002 -- as the .proto calls it
        raw: bool = False,
    ) -> ExportedFile:
        """
        Return the figures of the *chosen* of a window, by default the last 30 days, as one file: JSON, or CSV.

        Cells of CSV that a spreadsheet would take for a formula are preceded by an apostrophe unless *raw*.
        Raises: InvalidArgument, StreamTruncated when the file is not what was sent.
        """
        request = codec.request(
            export_pb2.ExportSummaryRequest,
            since=since,
            until=until,
            filter=codec.from_filter(chosen),
            format=format,
            raw=raw,
        )
        return exported_file(await self._call(self._data.ExportSummary, request))

    async def export_compliance(
        self, *, since: datetime | None = None, until: datetime | None = None, purpose: str = ""
    ) -> AsyncIterator[bytes]:
        """
        Yield what an auditor wants to have of a window, by default of all time, as a gzipped tar archive.

        Its report has the *purpose*, redacted. At the end it is checked that all came. Raises: InvalidArgument,
        StreamTruncated.
        """
        async for part in self.export_compliance_parts(since=since, until=until, purpose=purpose):
            if isinstance(part, FileChunk):
                yield part.data

    async def export_compliance_parts(
        self, *, since: datetime | None = None, until: datetime | None = None, purpose: str = ""
    ) -> AsyncIterator[FilePart]:
        """Yield what export_compliance does with its header and its trailer."""
        request = codec.request(export_pb2.ExportComplianceRequest, since=since, until=until, purpose=purpose)
        async for part in self._resumed(self._data.ExportCompliance, request, FileCheck()):
            yield part

    async def import_interactions(
        self, batches: AsyncIterable[Sequence[Importable]], *, preserve: str = "", timeout: float | None = None
    ) -> ImportReport:
        """
        Stream *batches* of up to 1000 in, each on disk before the next is read; report what became of them.

        A batch may mix kinds; what is said of a session comes with or after its interactions. Without a *timeout* in
        seconds it takes as long as it takes. When it fails, import the same again: what is there already is counted,
        not stored twice. With *preserve*, the key_fingerprint of the server's info, when an interaction was recorded
        and rated is kept. Raises: InvalidArgument, FailedPrecondition when that is not the server's.
        """
        failures: list[Exception] = []

        async def messages() -> AsyncIterator[imports_pb2.ImportInteractionsRequest]:
            try:
                async for batch in batches:
                    yield codec.from_imported(batch, preserve=preserve)
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

    async def create_backup(self, *, told: Told | None = None) -> Backup:
        """
        Make a backup, which has all that was acknowledged before; return it when it is on disk.

        *told* is called with how far it has come. Raises: ResourceExhausted when another thing is done to the backups.
        """
        request = backup_pb2.CreateBackupRequest()
        message = await self._followed(self._backups.CreateBackup, request, told)
        return codec.decode(Backup, message.backup)

    async def list_backups(self, *, reasons: Sequence[BackupReason] = (), page_size: int = 0) -> AsyncIterator[Backup]:
        """Yield the complete backups, or of these only those made for *reasons*, the latest first."""
        request = codec.request(backup_pb2.ListBackupsRequest, reasons=reasons, page_size=page_size)
        async for page in self._pages(self._backups.ListBackups, request):
            for each in page.backups:
                yield codec.decode(Backup, each)

    async def get_backup(self, id: str) -> Backup:  # noqa: A002 -- as the .proto calls it
        """Return one backup. Raises: InvalidArgument, NotFound, FailedPrecondition when it is damaged."""
        response = await self._call(self._backups.GetBackup, codec.request(backup_pb2.GetBackupRequest, id=id))
        return codec.decode(Backup, response.backup)

    async def verify_backup(self, id: str, *, told: Told | None = None) -> Verification:  # noqa: A002 -- as the .proto
        """
        Verify a backup by its digests and by a trial restore; return what came of it, which is kept with the backup.

        That it is damaged is no error. Raises: InvalidArgument, NotFound, ResourceExhausted.
        """
        request = codec.request(backup_pb2.VerifyBackupRequest, id=id)
        message = await self._followed(self._backups.VerifyBackup, request, told)
        return codec.decode(Verification, message.verification)

    async def delete_backup(self, id: str) -> None:  # noqa: A002 -- as the .proto calls it
        """Delete a backup, damaged or not. Raises: InvalidArgument, NotFound, ResourceExhausted."""
        await self._call(self._backups.DeleteBackup, codec.request(backup_pb2.DeleteBackupRequest, id=id))

    async def prune_backups(self, *, dry_run: bool = False) -> list[PruneDecision]:
        """Delete the backups that may go by the policy, or only say which; all are told, the latest first."""
        request = backup_pb2.PruneBackupsRequest(dry_run=dry_run)
        response = await self._call(self._backups.PruneBackups, request)
        return [codec.decode(PruneDecision, each) for each in response.decisions]

    async def download_backup(self, id: str) -> AsyncIterator[bytes]:  # noqa: A002 -- as the .proto calls it
        """
        Yield a backup as a file, chunk by chunk, which `stewardd restore` takes back.

        A broken stream is gone on with, as often as it brings something in between; at the end it is checked that all
        came. Raises: InvalidArgument, NotFound, FailedPrecondition when it is damaged, StreamTruncated.
        """
        async for part in self.download_backup_parts(id):
            if isinstance(part, FileChunk):
                yield part.data

    async def download_backup_parts(
        self,
        id: str,  # noqa: A002 -- as the .proto calls it
        *,
        resume_token: str = "",
    ) -> AsyncIterator[FilePart]:
        """Yield what download_backup does with its header, the tokens to go on with later, and its trailer."""
        request = codec.request(backup_pb2.DownloadBackupRequest, id=id, resume_token=resume_token)
        async for part in self._resumed(self._backups.DownloadBackup, request, FileCheck()):
            yield part

    async def get_backup_status(self) -> BackupStatus:
        """Return the policy, the last backup and the last verified one, and when the next is due."""
        response = await self._call(self._backups.GetBackupStatus, backup_pb2.GetBackupStatusRequest())
        return codec.decode(BackupStatus, response.status)

    async def set_backup_policy(
        self,
        *,
        enabled: bool | None = None,
        time_of_day: str | None = None,
        time_zone: str | None = None,
        interval_seconds: int | None = None,
        keep_last: int | None = None,
        max_age_days: int | None = None,
        min_verified: int | None = None,
    ) -> BackupPolicy:
        """Change what is given of when backups are made, and which may go; return all. Raises: InvalidArgument."""
        request = codec.request(
            backup_pb2.SetBackupPolicyRequest,
            enabled=enabled,
            time_of_day=time_of_day,
            time_zone=time_zone,
            interval_seconds=interval_seconds,
            keep_last=keep_last,
            max_age_days=max_age_days,
            min_verified=min_verified,
        )
        response = await self._call(self._backups.SetBackupPolicy, request)
        return codec.decode(BackupPolicy, response.policy)

    async def restore_backup(
        self,
        id: str,  # noqa: A002 -- as the .proto calls it
        *,
        dry_run: bool = False,
        foreign: bool = False,
        told: Told | None = None,
    ) -> Restoration:
        """
        Restore a backup, all or nothing, or with *dry_run* say what would be lost and gained.

        *foreign* takes one of another store or privacy key. Raises: InvalidArgument, NotFound, ResourceExhausted;
        FailedPrecondition when it is damaged or not to be taken.
        """
        request = codec.request(backup_pb2.RestoreBackupRequest, id=id, dry_run=dry_run, foreign=foreign)
        message = await self._followed(self._backups.RestoreBackup, request, told)
        return codec.decode(Restoration, message.restoration)

    async def list_restores(self) -> list[Restore]:
        """Return the restores that were done, the latest first."""
        response = await self._call(self._backups.ListRestores, backup_pb2.ListRestoresRequest())
        return [codec.decode(Restore, each) for each in response.restores]

    async def get_system_health(self) -> SystemHealth:
        """Return how the server is, component by component, and its score with every reason."""
        request = health_pb2.GetSystemHealthRequest()
        response = await self._call(self._health.GetSystemHealth, request)
        return codec.decode(SystemHealth, response.health)

    async def watch_system_health(self) -> AsyncIterator[SystemHealth]:
        """Yield how the server is, now and whenever that changes. Raises: Unavailable when it stops."""
        request = health_pb2.WatchSystemHealthRequest()
        async for message in self._watch(self._health.WatchSystemHealth, request):
            yield codec.decode(SystemHealth, message.health)

    async def get_performance(
        self,
        *,
        hours: int | None = None,
        until: datetime | None = None,
        chosen: InteractionFilter | None = None,
    ) -> Performance:
        """Return how the *chosen* interactions of so many *hours*, by default 24, fared. Raises: InvalidArgument."""
        request = codec.request(
            performance_pb2.GetPerformanceRequest, hours=hours, until=until, filter=codec.from_filter(chosen)
        )
        return codec.decode(Performance, await self._call(self._health.GetPerformance, request))

    async def list_alert_rules(self) -> list[AlertRule]:
        """Return the alert rules and how they are, by name."""
        response = await self._call(self._health.ListAlertRules, alerts_pb2.ListAlertRulesRequest())
        return [codec.decode(AlertRule, each) for each in response.rules]

    async def set_alert_rule(
        self,
        name: str,
        *,
        metric: AlertMetric | None = None,
        operator: AlertOperator | None = None,
        threshold: float | None = None,
        enabled: bool | None = None,
        cooldown_seconds: float | None = None,
    ) -> AlertRule:
        """
        Make the alert rule *name*, or change what is given of it; return it as it is now.

        Raises: InvalidArgument, ResourceExhausted when there are too many.
        """
        request = codec.request(
            alerts_pb2.SetAlertRuleRequest,
            name=name,
            metric=metric,
            operator=operator,
            threshold=threshold,
            enabled=enabled,
            cooldown_seconds=cooldown_seconds,
        )
        response = await self._call(self._health.SetAlertRule, request)
        return codec.decode(AlertRule, response.rule)

    async def evaluate_alerts(self) -> AlertEvaluation:
        """Hold the enabled rules against the metrics now; return what came of it."""
        response = await self._call(self._health.EvaluateAlerts, alerts_pb2.EvaluateAlertsRequest())
        return codec.decode(AlertEvaluation, response)

    async def list_alerts(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        rules: Sequence[str] = (),
        firing: bool = False,
        page_size: int = 0,
    ) -> AsyncIterator[Alert]:
        """Yield the alerts that fired in the window, or of these only those *firing*, the latest first."""
        request = codec.request(
            alerts_pb2.ListAlertsRequest, since=since, until=until, rules=rules, firing=firing, page_size=page_size
        )
        async for page in self._pages(self._health.ListAlerts, request):
            for each in page.alerts:
                yield codec.decode(Alert, each)

    async def watch_alerts(self, *, heartbeat_seconds: float | None = None) -> AsyncIterator[AlertEvent]:
        """
        Yield the alerts that are firing, a heartbeat, and then what happens; a heartbeat when nothing does.

        Raises: Unavailable when the server stops; then watch again, when it is back.
        """
        request = codec.request(alerts_pb2.WatchAlertsRequest, heartbeat_seconds=heartbeat_seconds)
        async for message in self._watch(self._health.WatchAlerts, request):
            yield codec.decode(AlertEvent, message.event)

    async def get_server_info(self) -> ServerInfo:
        """Return versions, limits, and how the RPCs have fared since the server started."""
        request = health_pb2.GetServerInfoRequest()
        return codec.decode(ServerInfo, await self._call(self._health.GetServerInfo, request))

    async def _resumed(self, method: Any, request: Any, check: ExportCheck | FileCheck) -> AsyncIterator[Any]:
        """Yield what *check* takes of an export, going on with a broken stream where that can be; see that all came."""
        attempt = 1
        while not check.complete:
            try:
                async for message in self._watch(method, request):
                    taken = check.take(message)
                    if check.token and check.token != request.resume_token:
                        request.resume_token, attempt = check.token, 1
                    for each in taken:
                        yield each
                check.end()
            except Error as error:
                delay = self._retry.delay(error, attempt=attempt) if check.resumable else None
                if delay is None:
                    raise
                await asyncio.sleep(delay)
                attempt += 1

    async def _followed(self, method: Any, request: Any, told: Told | None) -> Any:
        """Return the last message of what *method* streams, once *told* of the progress in those before."""
        async for message in self._watch(method, request):
            if message.WhichOneof("part") != "progress":
                return message
            if told is not None:
                told(codec.decode(BackupProgress, message.progress))
        raise StreamTruncated("the stream ended before it said what came of it")

    async def _watch(self, method: Any, request: Any) -> AsyncIterator[Any]:
        """Yield what *method* streams, for as long as it does."""
        call = method(request)
        try:
            async for message in call:
                yield message
        except grpc.RpcError as error:
            raise from_call(error, closed=self._closed) from error
        finally:
            call.cancel()

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
