"""
HealthService: decode, call, encode.
"""

import platform
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from importlib.metadata import version
from typing import Any

import grpc
from google import protobuf

from steward import codec
from steward.errors import InvalidArgument
from steward.types import (
    LIMITS,
    AlertEvaluation,
    AlertEvent,
    AlertEventKind,
    AlertMetric,
    AlertOperator,
    FieldViolation,
    InteractionFilter,
    RpcFigures,
    ServerInfo,
    SystemHealth,
)
from steward.v1 import alerts_pb2, health_pb2, performance_pb2
from steward.v1.health_service_pb2_grpc import HealthServiceServicer
from stewardd import alerts, health, metrics, performance
from stewardd.backup import Backups
from stewardd.privacy import RULES_VERSION, Redactor
from stewardd.rpc.feed import Feed
from stewardd.rpc.paging import Tokens, size
from stewardd.rpc.readers import Readers
from stewardd.store import SQLITE_VERSION, Store

HEARTBEAT, LEAST_HEARTBEAT, MOST_HEARTBEAT = 15.0, 0.1, 300.0  # s, of WatchAlerts
REPEAT = 60.0  # s after which health is told again though nothing changed
LEISURE = 10  # times as long as a look at health took, none is taken for those who watch


class Health(HealthServiceServicer):
    """Tells how the server is and how the assistant performs, and raises alerts."""

    def __init__(
        self,
        *,
        store: Store,
        backups: Backups,
        redactor: Redactor,
        read: Readers,
        rpcs: Callable[[], tuple[RpcFigures, ...]],
        key_source: str,
        low_disk_bytes: int,
        patience: timedelta,
    ) -> None:
        self._store = store
        self._backups = backups
        self._redactor = redactor
        self._read = read
        self._rpcs = rpcs
        self._key_source = key_source
        self._low_disk_bytes = low_disk_bytes
        self._patience = patience
        self._started_at = datetime.now(UTC)
        self._tokens = Tokens(redactor, epochs=store.epochs)
        self._alerts: Feed[AlertEvent] = Feed()
        self._looks: Feed[SystemHealth] = Feed()
        self._next_look = 0.0

    async def evaluate_alerts(self) -> AlertEvaluation:
        """Hold the alert rules against the metrics as they are now, and tell whoever watches."""
        measured = await self._read(metrics.measure, self._store, now=datetime.now(UTC))
        done = await self._store.change(alerts.evaluation(measured, now=datetime.now(UTC)))
        self._tell(done.events)
        return done

    async def watch_health(self) -> None:
        """Look at health for those who watch it, if any do."""
        if not self._looks.watched or time.monotonic() < self._next_look:
            return
        started = time.monotonic()
        self._looks.publish(await self._look())
        self._next_look = time.monotonic() + LEISURE * (time.monotonic() - started)

    def stop_watches(self) -> None:
        """End the streams that go on until someone ends them."""
        self._alerts.stop()
        self._looks.stop()

    async def GetSystemHealth(
        self, request: health_pb2.GetSystemHealthRequest, context: Any
    ) -> health_pb2.GetSystemHealthResponse:
        found = await self._look()
        return health_pb2.GetSystemHealthResponse(health=codec.encode(health_pb2.SystemHealth, found))

    async def WatchSystemHealth(
        self, request: health_pb2.WatchSystemHealthRequest, context: Any
    ) -> AsyncIterator[health_pb2.WatchSystemHealthResponse]:
        with self._looks.subscribed() as watch:
            told, told_at = await self._look(), time.monotonic()
            yield _watched(told)
            while True:
                found = await watch.next(within=REPEAT)
                if found is not None and (_gist(found) != _gist(told) or time.monotonic() - told_at >= REPEAT):
                    told, told_at = found, time.monotonic()
                    yield _watched(told)

    async def GetPerformance(
        self, request: performance_pb2.GetPerformanceRequest, context: Any
    ) -> performance_pb2.GetPerformanceResponse:
        found = await self._read(
            performance.report,
            self._store,
            hours=request.hours if request.HasField("hours") else None,
            until=codec.to_optional_time(request, "until"),
            chosen=codec.decode(InteractionFilter, request.filter),
            redactor=self._redactor,
            now=datetime.now(UTC),
        )
        return codec.encode(performance_pb2.GetPerformanceResponse, found)

    async def ListAlertRules(
        self, request: alerts_pb2.ListAlertRulesRequest, context: Any
    ) -> alerts_pb2.ListAlertRulesResponse:
        found = await self._read(alerts.rules, self._store)
        return alerts_pb2.ListAlertRulesResponse(rules=[codec.encode(alerts_pb2.AlertRule, each) for each in found])

    async def SetAlertRule(
        self, request: alerts_pb2.SetAlertRuleRequest, context: Any
    ) -> alerts_pb2.SetAlertRuleResponse:
        _demand_known(request, metric=AlertMetric, operator=AlertOperator)
        wanted = codec.decode(alerts.RuleChange, request)
        rule, events = await self._store.change(alerts.set_rule(wanted, now=datetime.now(UTC)))
        self._tell(events)
        return alerts_pb2.SetAlertRuleResponse(rule=codec.encode(alerts_pb2.AlertRule, rule))

    async def EvaluateAlerts(
        self, request: alerts_pb2.EvaluateAlertsRequest, context: Any
    ) -> alerts_pb2.EvaluateAlertsResponse:
        return codec.encode(alerts_pb2.EvaluateAlertsResponse, await self.evaluate_alerts())

    async def ListAlerts(self, request: alerts_pb2.ListAlertsRequest, context: Any) -> alerts_pb2.ListAlertsResponse:
        limit, after = size(request.page_size), self._tokens.read(request)
        since, until = codec.to_optional_time(request, "since"), codec.to_optional_time(request, "until")
        alerts.check(since, until, request.rules, now=datetime.now(UTC))
        found = await self._read(
            alerts.listed,
            self._store,
            since=since,
            until=until,
            names=tuple(request.rules),
            only_firing=request.firing,
            after=after,
            limit=limit + 1,
        )
        page, token = self._tokens.page(request, found, limit)
        listed = [codec.encode(alerts_pb2.Alert, each) for each in page]
        return alerts_pb2.ListAlertsResponse(alerts=listed, next_page_token=token)

    async def WatchAlerts(
        self, request: alerts_pb2.WatchAlertsRequest, context: Any
    ) -> AsyncIterator[alerts_pb2.WatchAlertsResponse]:
        heartbeat = request.heartbeat_seconds if request.HasField("heartbeat_seconds") else HEARTBEAT
        if not LEAST_HEARTBEAT <= heartbeat <= MOST_HEARTBEAT:
            rule = f"must be {LEAST_HEARTBEAT:g} to {MOST_HEARTBEAT:g}; unset means {HEARTBEAT:g}"
            raise InvalidArgument.of(FieldViolation("heartbeat_seconds", rule))
        with self._alerts.subscribed() as watch:
            for alert in await self._read(alerts.firing, self._store):
                yield _event(AlertEvent(kind=AlertEventKind.FIRING, alert=alert, occurred_at=datetime.now(UTC)))
            yield _event(None)
            while True:
                yield _event(await watch.next(within=heartbeat))

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
            key_fingerprint=self._redactor.fingerprint(),
        )
        return codec.encode(health_pb2.GetServerInfoResponse, info)

    async def _look(self) -> SystemHealth:
        now = datetime.now(UTC)
        facts = await self._read(
            health.measure,
            self._store,
            self._backups,
            key_source=self._key_source,
            patience=self._patience,
            now=now,
        )
        return health.judge(facts, low_disk_bytes=self._low_disk_bytes, now=now)

    def _tell(self, events: tuple[AlertEvent, ...] | list[AlertEvent]) -> None:
        for event in events:
            self._alerts.publish(event)


def _gist(found: SystemHealth) -> object:
    """Return that of *found* whose change is told."""
    score = found.score
    return [(each.name, each.status, each.reason) for each in found.components], round(score.value, 2), score.has_data


def _watched(found: SystemHealth) -> health_pb2.WatchSystemHealthResponse:
    return health_pb2.WatchSystemHealthResponse(health=codec.encode(health_pb2.SystemHealth, found))


def _event(event: AlertEvent | None) -> alerts_pb2.WatchAlertsResponse:
    """Return the message of *event*, of a heartbeat when there is none."""
    told = event or AlertEvent(kind=AlertEventKind.HEARTBEAT, alert=None, occurred_at=datetime.now(UTC))
    return alerts_pb2.WatchAlertsResponse(event=codec.encode(alerts_pb2.AlertEvent, told))


def _demand_known(request: Any, **kinds: type[IntEnum]) -> None:
    """Raise InvalidArgument when a field of *request* holds a number that its enum, of *kinds*, has no name for."""
    found = [
        FieldViolation(name, "must be one of " + ", ".join(each.name for each in kind if each))
        for name, kind in kinds.items()
        if getattr(request, name) not in list(kind)
    ]
    if found:
        raise InvalidArgument.of(*found)
