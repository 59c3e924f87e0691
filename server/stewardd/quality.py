"""
How good the data is: the predecessor's score, and everything that lowers it.

`measure` asks and judges nothing, `judge` judges and asks nothing.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from peewee import SqliteDatabase, fn

from steward.types import (
    FieldCompleteness,
    FieldViolation,
    Finding,
    FindingKind,
    FindingSeverity,
    QualityReport,
    QualityThresholds,
    Recommendation,
    RecommendationKind,
)
from stewardd.filters import Window, demand, window
from stewardd.rules import MOST
from stewardd.store import Store, fact, put
from stewardd.store.models import Interaction, Meta, Session

DAYS = timedelta(days=7)
BUSY = 50  # interactions of a session in the window, above which it may be a bot
NAMED = 10  # busy sessions
GOOD = 0.8  # a score
COMPLETENESS_WEIGHT, ISSUES_WEIGHT, ISSUE_COST = 0.7, 0.3, 0.1
SCORED = ("session_id", "query", "response_time_seconds", "success")
FIELDS = (*SCORED, "user_role")
THRESHOLDS = "quality_thresholds"  # a fact of the store


# Thresholds


def thresholds(store: Store) -> QualityThresholds:
    """Return the thresholds in force."""
    row = store.one(Meta.select(Meta.value).where(Meta.name == THRESHOLDS))
    return _read(None if row is None else row[0])


def set_thresholds(**changes: float | None) -> Callable[[SqliteDatabase], QualityThresholds]:
    """
    Return the change that sets those thresholds that are not None, and gives back all.

    Raises: InvalidArgument, naming each that is out of range.
    """
    given = {name: each for name, each in changes.items() if each is not None}
    demand(_threshold_violations(given))

    def change(db: SqliteDatabase) -> QualityThresholds:
        now = QualityThresholds(**{**asdict(_read(fact(db, THRESHOLDS))), **given})
        put(db, THRESHOLDS, json.dumps(asdict(now)))
        return now

    return change


def _read(text: str | None) -> QualityThresholds:
    return QualityThresholds(**json.loads(text)) if text else QualityThresholds()


def _threshold_violations(given: dict[str, float]) -> Iterator[FieldViolation]:
    for name, value in given.items():
        if name == "max_response_time_seconds":
            if not 0 < value <= MOST:  # true for NaN
                yield FieldViolation(name, f"must be more than 0, at most {MOST}")
        elif not 0 <= value <= 1:
            yield FieldViolation(name, "must be 0 to 1")


# Measuring


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured."""

    total: int  # interactions ever stored
    known: dict[str, int]  # in how many of them each field is known
    interactions: int  # in the window
    slow: int  # of these, over the threshold
    negative: int
    slowest: float | None  # s
    success_rate: float | None
    failures: int
    busy: int  # sessions
    busiest: tuple[tuple[str, int], ...]  # the first of them, with how many interactions each


def report(store: Store, *, since: datetime | None, until: datetime | None, now: datetime) -> QualityReport:
    """Say how good all data is, and what is wrong with that of a window. Raises: InvalidArgument."""
    chosen = window(since, until, default=DAYS, now=now)
    with store.snapshot():
        limits = thresholds(store)
        facts = measure(store, chosen, limits)
    return judge(facts, chosen, limits)


def score(store: Store, *, now: datetime) -> float:
    """Return the score of the report for the window of its own."""
    return report(store, since=None, until=None, now=now).score


def measure(store: Store, chosen: Window, limits: QualityThresholds) -> Facts:
    """Count what is known of all interactions, and what is odd about those of the window."""
    total, *known = store.sole(
        Interaction.select(
            fn.COUNT(Interaction.seq),
            fn.COUNT(Interaction.session),
            fn.COUNT(Interaction.seq).filter(Interaction.query != ""),
            fn.COUNT(Interaction.response_time_seconds),
            fn.COUNT(Interaction.success),
            fn.COUNT(Interaction.seq).filter(Interaction.user_role != ""),
        )
    )
    inside = chosen.within(Interaction.occurred_at)
    seconds = Interaction.response_time_seconds
    interactions, slow, negative, slowest, success_rate, failures = store.sole(
        Interaction.select(
            fn.COUNT(Interaction.seq),
            fn.COUNT(seconds).filter(seconds > limits.max_response_time_seconds),
            fn.COUNT(seconds).filter(seconds < 0),
            fn.MAX(seconds),
            fn.AVG(Interaction.success),
            fn.COUNT(Interaction.seq).filter(Interaction.success == False),  # noqa: E712 -- SQL
        ).where(*inside)
    )
    busy = (
        Interaction.select(Interaction.session, fn.COUNT(Interaction.seq).alias("turns"))
        .where(*inside)
        .group_by(Interaction.session)
        .having(fn.COUNT(Interaction.seq) > BUSY)
    )
    (count,) = store.sole(busy.select_from(fn.COUNT(busy.c.session)))
    named = (
        busy.select_from(Session.pseudonym, busy.c.turns)
        .join(Session, on=(Session.key == busy.c.session))
        .order_by(busy.c.turns.desc(), Session.pseudonym)
        .limit(NAMED)
    )
    return Facts(
        total=total,
        known=dict(zip(FIELDS, known, strict=True)),
        interactions=interactions,
        slow=slow,
        negative=negative,
        slowest=slowest,
        success_rate=success_rate,
        failures=failures,
        busy=count,
        busiest=tuple((pseudonym, turns) for pseudonym, turns in (store.rows(named) if count else ())),
    )


# Judging


def judge(facts: Facts, chosen: Window, limits: QualityThresholds) -> QualityReport:
    """Score *facts* and say what they mean. No data, no findings."""
    completeness = tuple(
        FieldCompleteness(name, known / facts.total if facts.total else 0.0, facts.total - known, name in SCORED)
        for name, known in facts.known.items()
    )
    mean = sum(each.completeness for each in completeness if each.scored) / len(SCORED)
    findings = tuple(_findings(facts, limits))
    issues = sum(each.issues for each in findings)
    value = COMPLETENESS_WEIGHT * mean + ISSUES_WEIGHT * max(0.0, 1 - ISSUE_COST * issues)
    value = min(1.0, max(0.0, value))
    return QualityReport(
        since=chosen.since,
        until=chosen.until,
        score=value,
        mean_completeness=mean,
        issues=issues,
        total_interactions=facts.total,
        interactions=facts.interactions,
        completeness=completeness,
        findings=findings,
        recommendations=tuple(_recommendations(value, completeness, findings, limits)) if facts.total else (),
        thresholds=limits,
    )


def _findings(facts: Facts, limits: QualityThresholds) -> Iterator[Finding]:
    if facts.slow:
        yield Finding(
            kind=FindingKind.SLOW_RESPONSE,
            severity=FindingSeverity.ANOMALY,
            count=facts.slow,
            issues=1,
            message=f"{facts.slow} of {facts.interactions} responses took longer than "
            f"{limits.max_response_time_seconds:g} s, the slowest {facts.slowest:.6g} s",
        )
    if facts.negative:
        yield Finding(
            kind=FindingKind.NEGATIVE_RESPONSE_TIME,
            severity=FindingSeverity.ERROR,
            count=facts.negative,
            issues=1,
            message=f"{facts.negative} of {facts.interactions} response times are negative",
        )
    if facts.success_rate is not None and facts.success_rate < limits.min_success_rate:
        failures = "1 interaction was" if facts.failures == 1 else f"{facts.failures} interactions were"
        yield Finding(
            kind=FindingKind.LOW_SUCCESS_RATE,
            severity=FindingSeverity.WARNING,
            count=facts.failures,
            issues=1,
            message=f"the success rate is {facts.success_rate:.4f}, below {limits.min_success_rate:g}: "
            f"{failures} not answered well",
        )
    if facts.busy:
        sessions = "1 session has" if facts.busy == 1 else f"{facts.busy} sessions have"
        yield Finding(
            kind=FindingKind.BUSY_SESSION,
            severity=FindingSeverity.WARNING,
            count=facts.busy,
            issues=facts.busy,
            message=f"{sessions} more than {BUSY} interactions, the busiest {facts.busiest[0][1]}: bots?",
            sessions=tuple(pseudonym for pseudonym, _ in facts.busiest),
        )


def _recommendations(
    score: float,
    completeness: tuple[FieldCompleteness, ...],
    findings: tuple[Finding, ...],
    limits: QualityThresholds,
) -> Iterator[Recommendation]:
    if score < GOOD:
        yield Recommendation(
            kind=RecommendationKind.LOW_SCORE,
            message=f"the quality score is {score:.2f}, below {GOOD:g}: look at completeness and findings first",
        )
    for each in completeness:
        if each.completeness < limits.completeness_threshold:
            yield Recommendation(
                kind=RecommendationKind.INCOMPLETE_FIELD,
                field=each.field,
                message=f"{each.field} is known of {each.completeness:.1%} of the interactions, less than "
                f"{limits.completeness_threshold:.0%}: see to it that the assistant reports it",
            )
    for severity, kind, message in (
        (FindingSeverity.ERROR, RecommendationKind.ERRORS, "some records cannot be true: find what reports them"),
        (FindingSeverity.ANOMALY, RecommendationKind.ANOMALIES, "some responses are out of the usual: look at them"),
    ):
        concerned = sum(each.count for each in findings if each.severity == severity)
        if concerned:
            number = "1 interaction" if concerned == 1 else f"{concerned} interactions"
            yield Recommendation(kind=kind, message=f"{message} ({number})")
