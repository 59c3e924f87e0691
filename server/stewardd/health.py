"""
How the server is: what each component measures, and what that means.

`measure` asks and judges nothing, `judge` judges and asks nothing.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from steward.errors import Error
from steward.types import (
    Alert,
    AlertSeverity,
    Backup,
    BackupPolicy,
    Component,
    ComponentStatus,
    Deduction,
    Figure,
    HealthScore,
    QualityReport,
    ScorePart,
    SystemHealth,
    SystemMetrics,
)
from stewardd import alerts, metrics, policy, quality, recorders
from stewardd.backup import Backups, Standing
from stewardd.privacy import RULES_VERSION
from stewardd.store import SQLITE_VERSION, Store, WriterFacts

SLOW_QUEUE = 1.0  # s that a change may wait before the writer wants attention
GOOD_SUCCESS_RATE = 0.8  # above it, the performance part of the score is full
LATE = timedelta(hours=1)  # after which a backup that is due is missed
MOST_NAMED = 3  # recorders that miss something
MEGABYTE = 1024 * 1024
_, OK, DEGRADED, FAILING = ComponentStatus
NO_DATA = "no data yet"
NO_BACKUP = "no backup yet"


@dataclass(frozen=True, slots=True)
class Judgements:
    """What the ideas say of the data."""

    quality: QualityReport
    metrics: SystemMetrics
    firing: tuple[Alert, ...]
    policy: BackupPolicy
    recorders: recorders.Standing


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured."""

    judgements: Judgements | Error  # the error, when the store cannot be read
    database_bytes: int
    log_bytes: int  # of the write-ahead log
    writer: WriterFacts
    free_bytes: int
    backups: Standing
    key_source: str


def measure(store: Store, backups: Backups, *, key_source: str, patience: timedelta, now: datetime) -> Facts:
    """Look at *store*, its data, its disk and its *backups*, with so much *patience* for what recorders numbered."""
    return Facts(
        judgements=_judgements(store, patience, now),
        database_bytes=store.database_bytes(),
        log_bytes=store.log_bytes(),
        writer=store.facts(),
        free_bytes=shutil.disk_usage(store.path.parent).free,
        backups=backups.standing(),
        key_source=key_source,
    )


def _judgements(store: Store, patience: timedelta, now: datetime) -> Judgements | Error:
    try:
        with store.snapshot():
            return Judgements(
                quality=quality.report(store, since=None, until=None, now=now),
                metrics=metrics.measure(store, now=now),
                firing=tuple(alerts.firing(store)),
                policy=policy.current(store),
                recorders=recorders.standing(store, patience=patience, now=now),
            )
    except Error as error:
        return error


def judge(facts: Facts, *, low_disk_bytes: int, now: datetime) -> SystemHealth:
    """Say what *facts* mean, component by component."""
    known = facts.judgements
    components = [_store(facts), _writer(facts.writer), _privacy(facts), _disk(facts, low_disk_bytes)]
    if not isinstance(known, Error):
        components += [_quality(known.quality), _performance(known.metrics), _alerts(known.firing)]
        components += [_backup(facts.backups, known.policy, now), _recorders(known.recorders, now)]
    return SystemHealth(
        status=max(each.status for each in components),
        components=tuple(components),
        checked_at=now,
        score=_score(known, facts.backups),
        sqlite_version=SQLITE_VERSION,
    )


# Components


def _store(facts: Facts) -> Component:
    figures = (Figure("database_size", facts.database_bytes, "By"), Figure("wal_size", facts.log_bytes, "By"))
    if isinstance(facts.judgements, Error):
        return Component("store", FAILING, facts.judgements.message, figures)
    return Component("store", OK, "it can be read", figures)


def _writer(writer: WriterFacts) -> Component:
    figures = [
        Figure("queue_depth", writer.queued_rows, "{row}"),
        Figure("queue_size", writer.queued_bytes, "By"),
        Figure("queue_age", writer.oldest_seconds, "s"),
        Figure("commits", writer.commits, "{commit}"),
    ]
    if writer.last_commit_seconds is not None:
        figures.append(Figure("last_commit", writer.last_commit_seconds, "s"))
    if writer.error is not None:
        return Component("writer", FAILING, f"the last commit failed: {writer.error.message}", tuple(figures))
    if writer.oldest_seconds > SLOW_QUEUE:
        return Component("writer", DEGRADED, f"changes wait more than {SLOW_QUEUE:g} s to be written", tuple(figures))
    return Component("writer", OK, "what is acknowledged is on disk", tuple(figures))


def _privacy(facts: Facts) -> Component:
    return Component("privacy", OK, f"redaction rules {RULES_VERSION}, key from {facts.key_source}")


def _disk(facts: Facts, low_disk_bytes: int) -> Component:
    figures = (Figure("free", facts.free_bytes, "By"),)
    if facts.free_bytes < low_disk_bytes:
        wanted = f"less than the {low_disk_bytes // MEGABYTE} MB that are wanted are free"
        return Component("disk", FAILING if facts.free_bytes == 0 else DEGRADED, wanted, figures)
    return Component("disk", OK, "there is room", figures)


def _quality(report: QualityReport) -> Component:
    figures = (
        Figure("quality_score", report.score, "1"),
        Figure("mean_completeness", report.mean_completeness, "1"),
        Figure("issues", report.issues, "{issue}"),
    )
    if not report.total_interactions:
        return Component("quality", OK, NO_DATA, figures)
    if report.score < quality.GOOD:
        return Component("quality", DEGRADED, f"the score is below {quality.GOOD:g}", figures)
    if report.issues:
        kinds = ", ".join(each.kind.name.replace("_", " ").lower() for each in report.findings)
        return Component("quality", OK, f"the score is good, but there is: {kinds}", figures)
    return Component("quality", OK, "nothing is wrong with the last 7 days", figures)


def _performance(measured: SystemMetrics) -> Component:
    figures = (
        Figure("avg_response_time", measured.avg_response_time_seconds, "s"),
        Figure("success_rate", measured.success_rate, "1"),
        Figure("query_volume", measured.query_volume, "{interaction}"),
        Figure("error_rate", measured.error_rate, "1"),
        Figure("total_interactions", measured.total_interactions, "{interaction}"),
        Figure("db_query_time", measured.db_query_time_seconds, "s"),
    )
    if not measured.query_volume:
        reason = "no interactions in the last hour" if measured.total_interactions else NO_DATA
        return Component("performance", OK, reason, figures)
    if measured.success_rate > GOOD_SUCCESS_RATE:
        return Component("performance", OK, f"the success rate of the last hour is above {GOOD_SUCCESS_RATE}", figures)
    reason = f"the success rate of the last hour is not above {GOOD_SUCCESS_RATE}"
    return Component("performance", DEGRADED, reason, figures)


def _alerts(firing: tuple[Alert, ...]) -> Component:
    figures = (
        Figure("firing", len(firing), "{alert}"),
        Figure("critical", sum(each.severity == AlertSeverity.CRITICAL for each in firing), "{alert}"),
    )
    if firing:
        names = ", ".join(f"{each.rule} ({each.severity.name.lower()})" for each in firing)
        return Component("alerts", DEGRADED, f"firing: {names}", figures)
    return Component("alerts", OK, "none is firing", figures)


def _backup(standing: Standing, wanted: BackupPolicy, now: datetime) -> Component:
    last, proven = standing.last, standing.last_verified
    figures = [Figure("backups", len(standing.backups), "{backup}")]
    if last is not None:
        figures.append(Figure("last_backup_age", (now - last.created_at).total_seconds(), "s"))
    if proven is not None:
        figures.append(Figure("last_verified_age", (now - proven.created_at).total_seconds(), "s"))
    status, reason = _judged(standing, policy.due_at(wanted, standing.backups, now=now), now)
    return Component("backup", status, f"{reason}; {policy.spelled(wanted)}", tuple(figures))


def _judged(standing: Standing, due: datetime | None, now: datetime) -> tuple[ComponentStatus, str]:
    last, proven = standing.last, standing.last_verified
    verified = f"the last verified one is of {_spelled(proven)}" if proven else "none is verified"
    known = NO_BACKUP if last is None else f"the last backup is of {_spelled(last)}; {verified}"
    if standing.damaged:
        return DEGRADED, f"{standing.damaged} of the files that should be backups are damaged; {known}"
    if last is not None and last.verification and not last.verification.passed:
        return DEGRADED, f"the last backup, of {_spelled(last)}, did not pass when it was verified; {verified}"
    if due is not None and now - due > LATE:
        return DEGRADED, f"a backup has been due since {due:%Y-%m-%d %H:%M:%S} UTC; {known}"
    return OK, known


def _recorders(standing: recorders.Standing, now: datetime) -> Component:
    short = standing.shortfalls
    figures = [
        Figure("recorders", standing.recorders, "{recorder}"),
        Figure("received", standing.received, "{record}"),
        Figure("awaited", standing.awaited, "{record}"),
        Figure("missing", sum(each.records for each in short), "{record}"),
        Figure("forgone", standing.forgone, "{record}"),
        Figure("lost", standing.lost, "{record}"),
    ]
    if short:
        longest = (now - min(each.since for each in short)).total_seconds()
        figures.append(Figure("longest_missing", longest, "s"))
        told = "; ".join(map(_short, short[:MOST_NAMED]))
        more = f"; and so do {len(short) - MOST_NAMED} more" if len(short) > MOST_NAMED else ""
        return Component("recorders", DEGRADED, told + more, tuple(figures))
    reason = "what recorders numbered has come" if standing.recorders else "no recorder numbers its records"
    return Component("recorders", OK, reason, tuple(figures))


def _short(each: recorders.Shortfall) -> str:
    name = f" ({each.name})" if each.name else ""
    return f"recorder {each.recorder_id}{name} misses {each.records} since {_moment(each.since)}"


def _spelled(backup: Backup) -> str:
    return _moment(backup.created_at)


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


# The score


def _score(known: Judgements | Error, backups: Standing) -> HealthScore:
    if isinstance(known, Error):
        unread = (Deduction(1.0, f"the store cannot be read: {known.message}"),)
        parts = [ScorePart("quality", 0.0, unread), ScorePart("performance", 0.0, unread)]
    else:
        parts = [
            ScorePart("quality", known.quality.score, tuple(_quality_deductions(known.quality))),
            _performance_part(known.metrics),
        ]
    missing = Deduction(1.0, "no complete backup exists that was made by hand or by the policy")
    parts.append(ScorePart("backup", 1.0) if backups.exists else ScorePart("backup", 0.0, (missing,)))
    return HealthScore(
        value=sum(each.value for each in parts) / len(parts),
        parts=tuple(_shared(each, len(parts)) for each in parts),
        has_data=not isinstance(known, Error) and known.quality.total_interactions > 0,
    )


def _shared(part: ScorePart, parts: int) -> ScorePart:
    """Return *part* with deductions that are off the score instead of off the part."""
    deductions = tuple(Deduction(each.amount / parts, each.reason) for each in part.deductions)
    return ScorePart(part.name, part.value, deductions)


def _quality_deductions(report: QualityReport) -> Iterator[Deduction]:
    if not report.total_interactions:
        yield Deduction(quality.COMPLETENESS_WEIGHT, f"{NO_DATA}, so the completeness of the data counts as 0")
        return
    scored = [each for each in report.completeness if each.scored]
    for each in scored:
        if each.missing:
            reason = f"{each.field} is not known of {each.missing} of {report.total_interactions} interactions"
            yield Deduction(quality.COMPLETENESS_WEIGHT * (1 - each.completeness) / len(scored), reason)
    left = 1.0  # more than ten issues cost no more than ten
    for finding in report.findings:
        share = min(left, quality.ISSUE_COST * finding.issues)
        left -= share
        yield Deduction(quality.ISSUES_WEIGHT * share, finding.message)


def _performance_part(measured: SystemMetrics) -> ScorePart:
    if measured.success_rate > GOOD_SUCCESS_RATE:
        return ScorePart("performance", 1.0)
    reason = f"the success rate of the last hour is {measured.success_rate:.4f}, which is not above {GOOD_SUCCESS_RATE}"
    return ScorePart("performance", 0.5, (Deduction(0.5, reason),))
