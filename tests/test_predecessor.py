"""
The predecessor's formulas, as SQL over its own real file, against ours: `pytest -s` prints the table.

Where the predecessor was at fault, the row says how, and ours must differ as it should.
"""

import gzip
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from statistics import mean
from typing import Any, NamedTuple

import pytest

from steward import Client, InteractionFilter
from steward.legacy import LegacyFile
from steward.types import ImportRejection
from stewardd import alerts, analytics, business, content, health, metrics, performance, quality, questions, sessions
from stewardd.backup import Backups
from stewardd.privacy import Redactor
from stewardd.store import Store
from stewardd.telemetry import Telemetry
from stewardd.testing import running_server
from tests import oracle
from tests.oracle import REAL, needs_the_real_file

pytestmark = needs_the_real_file
NOW = datetime(2025, 9, 30, 8, 30, tzinfo=UTC)  # half an hour after its last interaction
ALL = datetime(2025, 8, 1, tzinfo=UTC)
REDACTOR = Redactor(bytes(32))
TABLE = "user_interactions"


class Compared(NamedTuple):
    """A figure, as the predecessor has it and as we have it."""

    name: str
    theirs: Any
    ours: Any
    fault: str = ""  # of the predecessor, for which the two differ


class Theirs:
    """The predecessor's file, asked as the predecessor asked it."""

    def __init__(self) -> None:
        content = bytearray(gzip.decompress(REAL.read_bytes()))
        content[18:20] = b"\1\1"  # a file in memory has no write-ahead log
        self._database = sqlite3.connect(":memory:")
        self._database.deserialize(bytes(content))

    def close(self) -> None:
        """Let go of it."""
        self._database.close()

    def rows(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of *sql*, in which {t} is the table of interactions."""
        return self._database.execute(sql.format(t=TABLE), arguments).fetchall()

    def one(self, sql: str, *arguments: Any) -> Any:
        """Return the first value of *sql*."""
        return self.rows(sql, *arguments)[0][0]


def text(time: datetime) -> str:
    """Return *time* as the file has it."""
    return str(time.replace(tzinfo=None))


@pytest.fixture(scope="module")
def theirs() -> Iterator[Theirs]:
    """The predecessor's file."""
    with closing(Theirs()) as opened:
        yield opened


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store into which the predecessor's file was imported."""
    directory = tmp_path_factory.mktemp("store")
    with running_server(directory) as server, Client(server.target) as client, LegacyFile(REAL) as file:
        client.import_interactions([[each for each in file.rows() if not isinstance(each, ImportRejection)]])
    telemetry = Telemetry(level="error")
    opened = Store(directory, telemetry=telemetry)
    yield opened
    opened.close()
    telemetry.close()


def check(title: str, compared: list[Compared]) -> None:
    """See that each figure is equal within 1e-9, or differs for a fault that has a name; print the table."""
    print(f"\n{title}")
    for each in compared:
        print(f"  {each.name:55} {each.theirs!s:24.24} {each.ours!s:24.24} {each.fault or 'equal'}")
    assert [] == [each for each in compared if not each.fault and not _same(each.theirs, each.ours)]
    assert [] == [each for each in compared if each.fault and _same(each.theirs, each.ours)]


def _same(theirs: Any, ours: Any) -> bool:
    numbers = isinstance(theirs, int | float) and isinstance(ours, int | float)
    return bool(oracle.close(theirs) == ours) if numbers else bool(theirs == ours)


def their_quality(theirs: Theirs, now: datetime) -> tuple[float, list[str], dict[str, float]]:
    """Return the predecessor's score, issues and completeness, the latter under our names of the fields."""
    known = "SELECT COUNT(*) * 1.0 / (SELECT COUNT(*) FROM {{t}}) FROM {{t}} WHERE {0} IS NOT NULL AND {0} != ''"
    complete = {
        field: theirs.one(known.format(field.removesuffix("_seconds"))) for field in (*oracle.SCORED, "user_role")
    }
    since = text(now - timedelta(days=7))
    issues = [
        *["slow"] * (theirs.one("SELECT COUNT(*) FROM {t} WHERE timestamp >= ? AND response_time > 300", since) > 0),
        *["negative"] * (theirs.one("SELECT COUNT(*) FROM {t} WHERE timestamp >= ? AND response_time < 0", since) > 0),
        *["failing"] * (theirs.one("SELECT AVG(success) FROM {t} WHERE timestamp >= ?", since) < 0.8),
    ]
    busy = "SELECT session_id FROM {t} WHERE timestamp >= ? GROUP BY session_id HAVING COUNT(*) > 50"
    issues += ["busy" for _ in theirs.rows(busy, since)]
    score = 0.7 * mean(complete[field] for field in oracle.SCORED) + 0.3 * max(0, 1 - 0.1 * len(issues))
    return score, issues, complete


@pytest.mark.parametrize("now", [NOW, NOW - timedelta(days=10), NOW - timedelta(days=20)], ids=str)
def test_quality_and_health(theirs: Theirs, store: Store, now: datetime) -> None:
    """
    The quality score with its parts, and the health score without a backup.
    """
    report = quality.report(store, since=None, until=None, now=now)
    backups = Backups(store.path.parent / "backups", redactor=REDACTOR)
    measured = health.measure(store, backups, key_source="", patience=timedelta(0), now=now)
    judged = health.judge(measured, low_disk_bytes=0, now=now)
    score, issues, complete = their_quality(theirs, now)
    recommended = [
        *["LOW_SCORE"] * (score < 0.8),
        *("INCOMPLETE_FIELD" for share in complete.values() if share < 0.95),
        *["ERRORS"] * ("negative" in issues),
        *["ANOMALIES"] * ("slow" in issues),
    ]
    success = theirs.one("SELECT AVG(success) FROM {t} WHERE timestamp >= ?", text(now - timedelta(hours=1)))

    check(
        f"quality and health at {now:%Y-%m-%d}",
        [
            Compared("quality score", score, report.score),
            Compared("quality issues, 7 days", len(issues), report.issues),
            *(
                Compared(f"completeness of {each.field}", complete[each.field], each.completeness)
                for each in report.completeness
            ),
            Compared("recommendations", recommended, [each.kind.name for each in report.recommendations]),
            Compared(
                "health score, no backup",
                mean((score, 1.0 if success is None or success > 0.8 else 0.5, 0.0)),
                judged.score.value,
            ),
        ],
    )


@pytest.mark.parametrize("now", [NOW, NOW + timedelta(minutes=40), NOW - timedelta(days=3)], ids=str)
def test_performance(theirs: Theirs, store: Store, now: datetime) -> None:
    """
    The six metrics, the summary over 24 hours, both trends, and which of the four rules hold.
    """
    hour, two, day = (text(now - timedelta(hours=hours)) for hours in (1, 2, 24))
    figures = "SELECT COUNT(*), AVG(response_time), AVG(success) FROM {t} WHERE timestamp >= ?"
    ((volume, seconds, rate),) = theirs.rows(figures, hour)
    seconds, rate = seconds or 0.0, 1.0 if rate is None else rate
    summary = "SELECT COUNT(*), AVG(response_time), MIN(response_time), MAX(response_time), AVG(success) FROM {t} WHERE timestamp >= ?"  # noqa: E501
    ((total, average, least, most, success),) = theirs.rows(summary, day)
    ((volume_before, seconds_before),) = theirs.rows(
        "SELECT COUNT(*), AVG(response_time) FROM {t} WHERE timestamp >= ? AND timestamp < ?", two, hour
    )
    measured = metrics.measure(store, now=now)
    found = performance.report(store, hours=None, until=None, chosen=InteractionFilter(), redactor=REDACTOR, now=now)
    fell = "a fall to zero was called stable" if volume_before and not volume else ""
    holding = {
        "high_response_time": seconds > 10,
        "low_success_rate": rate < 0.8,
        "high_query_volume": volume > 1000,
        "high_error_rate": 1 - rate > 0.1,
    }
    rules = {each.name: each for each in alerts.rules(store)}

    check(
        f"performance at {now:%Y-%m-%d %H:%M}",
        [
            Compared("avg_response_time", seconds, measured.avg_response_time_seconds),
            Compared("success_rate", rate, measured.success_rate),
            Compared("query_volume", volume, measured.query_volume),
            Compared("error_rate", 1 - rate, measured.error_rate),
            Compared("total_interactions", theirs.one("SELECT COUNT(*) FROM {t}"), measured.total_interactions),
            Compared("summary: total", total, found.interactions),
            Compared("summary: mean response time", average, found.response_times.mean_seconds),
            Compared("summary: min response time", least, found.response_times.min_seconds),
            Compared("summary: max response time", most, found.response_times.max_seconds),
            Compared("summary: success rate", success or 0.0, found.success_rate),
            Compared("summary: enabled rules", len(holding), found.enabled_rules),
            Compared(
                "trend of the response time",
                oracle.trend(seconds if volume else None, seconds_before),
                found.response_time_trend.direction.name,
            ),
            Compared(
                "trend of the volume",
                oracle.trend(volume or None, volume_before or None),
                found.volume_trend.direction.name,
                fell,
            ),
            *(
                Compared(
                    f"rule {name} holds",
                    holds,
                    alerts.holds(
                        rules[name].operator, alerts.value_of(rules[name].metric, measured), rules[name].threshold
                    ),
                )
                for name, holds in holding.items()
            ),
        ],
    )


@pytest.mark.parametrize("now", [NOW, NOW + timedelta(minutes=40), NOW - timedelta(days=10)], ids=str)
def test_plain_python_says_the_same(store: Store, now: datetime) -> None:
    """
    What the tests of random data hold the figures against gives those of the real file too.
    """
    rows = [asdict(each) for each in oracle.real_rows()]
    backups = Backups(store.path.parent / "backups", redactor=REDACTOR)
    judged = health.judge(
        health.measure(store, backups, key_source="", patience=timedelta(0), now=now), low_disk_bytes=0, now=now
    )
    found = performance.report(store, hours=240, until=None, chosen=InteractionFilter(), redactor=REDACTOR, now=now)
    window = oracle.within(rows, now - timedelta(hours=240))

    assert oracle.close(oracle.quality_score(rows, now)) == quality.score(store, now=now)
    assert oracle.close(oracle.health_score(rows, now)) == judged.score.value
    assert (len(window), oracle.spread(window)) == (found.interactions, asdict(found.response_times))
    for name, expected in oracle.system_metrics(rows, now).items():
        assert oracle.close(expected) == getattr(found.metrics, name)
    for field, groups in (("user_role", found.by_role), ("query_type", found.by_query_type)):
        assert [(name, oracle.spread(group)) for name, group in oracle.grouped(window, field).items()] == [
            (each.name, asdict(each.response_times)) for each in groups
        ]


@pytest.mark.parametrize("days", [7, 30, 365])
def test_summary(theirs: Theirs, store: Store, days: int) -> None:
    """
    The totals of a window, and the whole-life figures of the sessions that started in it.
    """
    since = NOW - timedelta(days=days)
    totals = theirs.rows(
        "SELECT COUNT(*), COUNT(DISTINCT session_id), AVG(response_time), AVG(success), AVG(user_rating), "
        "COALESCE(SUM(code_snippets_shown), 0), COALESCE(SUM(citations_provided), 0) FROM {t} WHERE timestamp >= ?",
        text(since),
    )[0]
    recorded = "SELECT COUNT(*), AVG(total_queries), AVG(avg_response_time), AVG(conversion_achieved) FROM session_analytics WHERE start_time >= ?"  # noqa: E501
    started = theirs.rows(recorded, text(since))[0]
    # As it should have been: from a session's earliest interaction.
    life = "SELECT session_id, COUNT(*) n, AVG(response_time) t FROM {t} GROUP BY session_id HAVING MIN(timestamp) >= ?"
    mended = theirs.rows(f"SELECT COUNT(*), AVG(n), AVG(t) FROM ({life})", text(since))[0]  # noqa: S608 -- ours
    found = analytics.summarize(
        store,
        since=since,
        until=None,
        chosen=InteractionFilter(),
        redactor=REDACTOR,
        now=NOW,
        conversion_queries=3,
        quality_score=0.0,
    )
    ours, of_sessions = found.interactions, found.sessions
    late = "sessions began at the first interaction recorded, not at the earliest"
    never = "nobody ever set conversion_achieved: here a rule does"

    check(
        f"summary of {days} days",
        [
            Compared("total interactions", totals[0], ours.total),
            Compared("unique sessions", totals[1], ours.unique_sessions),
            Compared("mean response time", totals[2], ours.mean_response_time_seconds),
            Compared("success rate", totals[3], ours.success_rate),
            Compared("mean rating", totals[4], ours.mean_rating),
            Compared("code snippets", totals[5], ours.code_snippets),
            Compared("citations", totals[6], ours.citations),
            *(
                Compared(f"sessions started: {name}", their, our, "" if _same(their, mend) else late)
                for name, their, mend, our in (
                    ("count", started[0], mended[0], of_sessions.total),
                    ("queries per session", started[1], mended[1], of_sessions.queries_per_session),
                    ("mean response time", started[2], mended[2], of_sessions.mean_response_time_seconds),
                )
            ),
            Compared("sessions started (mended): count", mended[0], of_sessions.total),
            Compared("sessions started (mended): queries per session", mended[1], of_sessions.queries_per_session),
            Compared(
                "sessions started (mended): mean response time", mended[2], of_sessions.mean_response_time_seconds
            ),
            *([Compared("conversion rate", started[3], of_sessions.conversion_rate, never)] if mended[0] else []),
        ],
    )


def test_sessions(theirs: Theirs, store: Store) -> None:
    """
    Each session's totals, and its start and end, which the predecessor took from the order of recording.
    """
    found = {
        each.session: each
        for _, each in sessions.listed(
            store, since=None, until=None, user_roles=(), after=None, limit=100, conversion_queries=3
        )
    }
    kept = theirs.rows(
        "SELECT session_id, user_role, total_queries, successful_queries, avg_response_time, total_code_snippets, "
        "total_citations, start_time, last_activity FROM session_analytics"
    )
    compared = []
    backwards = "start or end is that of the first or last recorded"
    for name, role, queries, successful, seconds, code, citations, start, last in kept:
        each = found[name]
        compared += [
            Compared(f"{name[:4]}: role", role, each.user_role),
            Compared(f"{name[:4]}: queries", queries, each.total_queries),
            Compared(f"{name[:4]}: successful", successful, each.successful_queries),
            Compared(f"{name[:4]}: mean response time", seconds, each.mean_response_time_seconds),
            Compared(
                f"{name[:4]}: code, citations", (code, citations), (each.total_code_snippets, each.total_citations)
            ),
        ]
        bounds = theirs.rows("SELECT MIN(timestamp), MAX(timestamp) FROM {t} WHERE session_id = ?", name)[0]
        ours = (text(each.started_at), text(each.last_activity_at))
        compared += [
            Compared(f"{name[:4]}: earliest, latest", bounds, ours),
            Compared(f"{name[:4]}: start, end", (start, last), ours, backwards if (start, last) != bounds else ""),
        ]

    check("sessions", compared)
    assert 8 <= sum(start > last for *_, start, last in kept)


def test_insights_and_questions(theirs: Theirs, store: Store) -> None:
    """
    Who asks what, what is asked most, and what is suggested.
    """
    asked: dict[str, Any] = {
        "since": ALL,
        "until": None,
        "chosen": InteractionFilter(),
        "redactor": REDACTOR,
        "now": NOW,
    }
    found = analytics.insights(store, **asked)
    overall = "SELECT MIN(response_time), MAX(response_time), AVG(response_time), AVG(response_length) FROM {t}"
    roles = "SELECT user_role, COUNT(*), COUNT(DISTINCT session_id), AVG(response_time), AVG(success) FROM {t} GROUP BY 1 ORDER BY 2 DESC, 1"  # noqa: E501
    types = "SELECT query_type, COUNT(*), AVG(response_time), AVG(success) FROM {t} GROUP BY 1 ORDER BY 2 DESC, 1"
    pairs = "SELECT user_role, query_type, COUNT(*) FROM {t} GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2"
    common = (
        "SELECT LOWER(TRIM(query)) q, COUNT(*), AVG(success), AVG(response_time), query_type, "
        "GROUP_CONCAT(DISTINCT user_role) FROM {t} WHERE user_role LIKE ? GROUP BY q ORDER BY 2 DESC, q LIMIT 10"
    )
    suggest = (
        "SELECT LOWER(TRIM(query)) q, COUNT(*), AVG(code_snippets_shown > 0) FROM {t} "
        "WHERE user_role = ? AND success = 1 GROUP BY q HAVING COUNT(*) >= 2 ORDER BY 2 DESC, 3 DESC, q LIMIT 5"
    )
    developer = "Software Developer"
    suggested = questions.suggestions(store, **{**asked, "since": None}, user_role=developer, limit=None)
    used = content.report(store, since=None, until=None, user_roles=(), content_types=(), limit=None, now=NOW)

    check(
        "insights, questions, suggestions",
        [
            *map(
                Compared,
                ("min response time", "max response time", "mean response time", "mean response length"),
                theirs.rows(overall)[0],
                (
                    found.min_response_time_seconds,
                    found.max_response_time_seconds,
                    found.mean_response_time_seconds,
                    found.mean_response_length,
                ),
            ),
            *_listed(
                "by role",
                theirs.rows(roles),
                [
                    (e.user_role, e.interactions, e.sessions, e.mean_response_time_seconds, e.success_rate)
                    for e in found.by_role
                ],
            ),
            *_listed(
                "by type",
                theirs.rows(types),
                [
                    (e.query_type, e.interactions, e.mean_response_time_seconds, e.success_rate)
                    for e in found.by_query_type
                ],
            ),
            *_listed(
                "types by role",
                theirs.rows(pairs),
                [(e.user_role, e.query_type, e.interactions) for e in found.query_types_by_role],
            ),
            *(
                compared
                for name, role, chosen in (
                    ("common question", "%", InteractionFilter()),
                    ("common question of developers", developer, InteractionFilter(user_roles=(developer,))),
                )
                for compared in _listed(
                    name,
                    theirs.rows(common, role),
                    [
                        (
                            e.question.lower(),
                            e.frequency,
                            e.success_rate,
                            e.mean_response_time_seconds,
                            e.query_type,
                            ",".join(e.user_roles),
                        )
                        for e in questions.common(store, **{**asked, "chosen": chosen}, limit=None).questions
                    ],
                )
            ),
            *_listed(
                "suggestion",
                theirs.rows(suggest, developer),
                [(e.question.lower(), e.frequency, e.code_rate) for e in suggested],
            ),
            Compared("content: kinds", theirs.rows("SELECT content_type FROM content_analytics"), [*used.types]),
            Compared("content: items", [], [*used.items]),  # of which the newer generation does not tell
        ],
    )


def _listed(name: str, theirs: list[tuple[Any, ...]], ours: list[tuple[Any, ...]]) -> Iterator[Compared]:
    """Yield every cell of two lists that are to be the same."""
    yield Compared(f"{name}: how many", len(theirs), len(ours))
    for number, (their, our) in enumerate(zip(theirs, ours, strict=False), 1):
        for column, (left, right) in enumerate(zip(their, our, strict=True), 1):
            yield Compared(f"{name} {number}, column {column} ({their[0]})"[:55], left, right)


def test_business(theirs: Theirs, store: Store) -> None:
    """
    Each day's sessions by bucket, minutes and shares, in the zone in which the file's times are.
    """
    buckets = ", ".join(
        f"COUNT(DISTINCT CASE WHEN user_role = '{role}' THEN session_id END)"
        for role in (
            "Hiring Manager (technical)",
            "Hiring Manager (nontechnical)",
            "Software Developer",
            "Just looking around",
        )
    )
    managers = "COUNT(DISTINCT CASE WHEN user_role LIKE 'Hiring Manager%' THEN session_id END)"
    shares = "AVG(query_type = 'technical'), AVG(code_snippets_shown > 0), AVG(citations_provided > 0)"
    days = theirs.rows(f"SELECT DATE(timestamp) d, {buckets}, {managers}, {shares} FROM {{t}} GROUP BY d ORDER BY d")  # noqa: S608 -- ours
    minutes: dict[str, list[float]] = {}
    for day, *ends in theirs.rows(
        "SELECT DATE(timestamp) d, MIN(timestamp), MAX(timestamp) FROM {t} GROUP BY d, session_id"
    ):
        first, last = map(datetime.fromisoformat, ends)  # JULIANDAY is exact to the millisecond only
        minutes.setdefault(day, []).append((last - first).total_seconds() / 60)
    found = business.report(
        store, since=ALL, until=None, chosen=InteractionFilter(), time_zone="UTC", redactor=REDACTOR, now=NOW
    )
    twice = "a session in both manager roles was counted twice"
    compared = [Compared("days", [row[0] for row in days], [each.date for each in found.days])]
    for (day, technical, other, developers, casual, once, *rates), each in zip(days, found.days, strict=True):
        compared += [
            Compared(
                f"{day}: hiring managers",
                technical + other,
                each.hiring_manager_sessions,
                twice if technical + other != once else "",
            ),
            Compared(f"{day}: hiring managers (mended)", once, each.hiring_manager_sessions),
            Compared(f"{day}: developers", developers, each.developer_sessions),
            Compared(f"{day}: casual visitors", casual, each.casual_sessions),
            Compared(f"{day}: technical share", rates[0], each.technical_rate),
            Compared(f"{day}: code share", rates[1], each.code_rate),
            Compared(f"{day}: citation share", rates[2], each.citation_rate),
            Compared(f"{day}: mean session minutes", mean(minutes[day]), each.mean_session_minutes),
        ]

    check("business", compared)
