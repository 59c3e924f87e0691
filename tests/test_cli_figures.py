"""
The commands that show what is computed, and those that go on watching, run as their users run them.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from steward import Client
from steward.types import AlertMetric, BusinessMetric, ContentAccess, MetricPoint
from stewardd.app import App
from stewardd.testing import running_server
from tests.samples import NOON, interaction, recorded
from tests.test_cli import run, steward

# What starts the tests may ignore SIGINT, and what it starts would too: https://docs.python.org/3/library/signal.html
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import steward.cli; steward.cli.main()"
)
SLOW = {"response_time_seconds": 25.0, "occurred_at": None}  # 2.5 times what high_response_time allows
WINDOW = ("--since", "2025-09-01", "--until", "2025-10-01")


@pytest.fixture
def server() -> Iterator[App]:
    """A server that evaluates alerts only when it is told to."""
    with running_server(alert_seconds=3600) as running:
        yield running


def asked(client: Client) -> None:
    """Record what the commands are asked about: three questions of one kind, and a poor one of another."""
    recorded(
        client,
        *(interaction(session_id=f"s-{n}", response_time_seconds=float(n)) for n in (1, 2, 3)),
        interaction(session_id="s-4", user_role="Just looking around", query="Fun?", query_type="fun", success=False),
    )


def watching(server: App, *arguments: str) -> subprocess.Popen[str]:
    """Start a command that goes on until it is ended."""
    return subprocess.Popen(
        [sys.executable, "-c", START, "--target", server.target, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line_with(text: str, process: subprocess.Popen[str]) -> str:
    """Return the next line of *process* that has *text*."""
    assert process.stdout is not None
    return next(line for line in process.stdout if text in line)


def test_who_asks_what_is_asked_by_hand(server: App, client: Client) -> None:
    """
    Insights, questions and suggestions come with the .proto's names, of the window and filter that the options give.
    """
    asked(client)

    insights = steward(server, "insights", *WINDOW)
    technical = steward(server, "insights", *WINDOW, "--query-type", "technical", "--success")
    questions = steward(server, "questions", *WINDOW, "--text", "rag", "--limit", "1")["questions"]
    failed = steward(server, "questions", *WINDOW, "--failure")["questions"]
    suggested = steward(server, "suggest", "--role", "Software Developer")["suggestions"]

    assert (4, 1.0, 3.0) == tuple(
        insights[name] for name in ("interactions", "min_response_time_seconds", "max_response_time_seconds")
    )
    assert [("Software Developer", 3), ("Just looking around", 1)] == [
        (each["user_role"], each["interactions"]) for each in insights["by_role"]
    ]
    assert ["technical"] == [each["query_type"] for each in technical["by_query_type"]]
    assert [("How does the RAG engine work?", 3, 2.0)] == [
        (each["question"], each["frequency"], each["mean_response_time_seconds"]) for each in questions
    ]
    assert ["Fun?"] == [each["question"] for each in failed]
    assert [{"question": "How does the RAG engine work?", "frequency": 3, "code_rate": 1.0}] == suggested
    assert [] == steward(server, "suggest", "--role", "Just looking around")["suggestions"]


def test_content_and_business_are_asked_by_hand(server: App, client: Client) -> None:
    """
    Content comes by kind and role, business by the day of a time zone, with what was recorded for it.
    """
    asked(client)
    for role in ("Dev", "Manager"):
        access = ContentAccess(content_type="project", content_id="rag", user_role=role, relevance_score=0.5)
        client.record_content_access(access)
    client.record_business_metric(BusinessMetric(name="leads", value=3.0, date="2025-09-30"))

    content = steward(server, "content", "--role", "Dev", "--content-type", "project", "--limit", "5")
    business = steward(server, "business", *WINDOW, "--time-zone", "Pacific/Kiritimati", "--role", "Software Developer")

    assert [("rag", 1, 0.5)] == [
        (each["content_id"], each["accesses"], each["mean_relevance_score"]) for each in content["items"]
    ]
    assert [("project", 1)] == [(each["content_type"], each["items"]) for each in content["types"]]
    assert "Pacific/Kiritimati" == business["time_zone"]  # 14 hours ahead, so there noon is tomorrow
    assert [("2025-09-30", 0, ["leads"]), ("2025-10-01", 3, [])] == [
        (day["date"], day["sessions"], [each["name"] for each in day["recorded"]]) for day in business["days"]
    ]


def test_performance_and_the_summary_are_asked_by_hand(server: App, client: Client) -> None:
    """
    Response times come with percentiles, of the hours and filter that the options give; the summary with what is now.
    """
    asked(client)
    client.record_metrics([MetricPoint(name="cpu", value=0.5, unit="1", occurred_at=NOON)])

    found = steward(server, "performance", "--hours", "24", "--until", "2025-10-01", "--role", "Software Developer")
    summary = steward(server, "summary", *WINDOW, "--query-type", "fun")

    assert (3, 2.0, 2.9) == (
        found["interactions"],
        found["response_times"]["p50_seconds"],
        found["response_times"]["p95_seconds"],
    )
    assert ["cpu"] == [each["name"] for each in found["recorded"]]
    assert (4, "STABLE") == (found["metrics"]["total_interactions"], found["volume_trend"]["direction"])
    assert (1, 4, 1.0) == (
        summary["interactions"]["total"],
        summary["metrics"]["total_interactions"],
        summary["quality_score"],
    )


def test_thresholds_are_changed_by_hand(server: App, client: Client) -> None:
    """
    The report shows score, findings and thresholds; --set changes thresholds for good, and the report is by them.
    """
    asked(client)

    before = steward(server, "quality", *WINDOW)
    changed = steward(
        server, "quality", *WINDOW, "--set", "min_success_rate=0.5", "--set", "max_response_time_seconds=2.5"
    )

    assert (0.97, ["LOW_SUCCESS_RATE"]) == (before["score"], [each["kind"] for each in before["findings"]])
    assert ["SLOW_RESPONSE"] == [each["kind"] for each in changed["findings"]]
    assert ["ANOMALIES"] == [each["kind"] for each in changed["recommendations"]]
    assert {
        "completeness_threshold": 0.95,
        "max_response_time_seconds": 2.5,
        "min_success_rate": 0.5,
    } == changed["thresholds"]
    assert changed["thresholds"] == steward(server, "quality")["thresholds"]


def test_alert_rules_are_set_and_evaluated_by_hand(client: Client, server: App) -> None:
    """
    A rule is made, held against the metrics, disabled, and told with the latest alerts.
    """
    recorded(client, interaction(**SLOW))
    options = ("--metric", "avg_response_time", "--operator", "gt", "--threshold", "5", "--cooldown", "60")

    made = steward(server, "alerts", "set", "slow", *options)
    evaluation = steward(server, "alerts", "evaluate")
    firing = steward(server, "alerts", "--firing", "--rule", "slow", "--limit", "1")
    disabled = steward(server, "alerts", "set", "slow", "--disable")

    assert ("slow", "AVG_RESPONSE_TIME", "GT", 5.0, True, 60.0) == tuple(
        made[name] for name in ("name", "metric", "operator", "threshold", "enabled", "cooldown_seconds")
    )
    assert {"slow": "FIRED", "high_response_time": "FIRED"} == {
        each["alert"]["rule"]: each["kind"] for each in evaluation["events"]
    }
    assert (5, False) == (len(firing["rules"]), firing["more"])
    assert [("slow", "CRITICAL", None)] == [
        (each["rule"], each["severity"], each["ended_at"]) for each in firing["alerts"]
    ]
    assert (False, "OK") == (disabled["enabled"], disabled["state"])
    assert ["high_response_time"] == [each["rule"] for each in steward(server, "alerts", "--firing")["alerts"]]


def test_people_get_tables_of_what_is_computed(server: App, client: Client) -> None:
    """
    Without --json each command prints what it found, readably.
    """
    asked(client)
    recorded(client, interaction(**SLOW, query="[b]bold[/b]"))
    client.record_metrics([MetricPoint(name="cpu", value=0.5)])
    client.record_content_access(ContentAccess(content_type="project", content_id="rag"))
    client.record_business_metric(BusinessMetric(name="leads", value=3.0))
    commands: dict[tuple[str, ...], tuple[str, ...]] = {
        ("insights", *WINDOW): ("Types by role", "Just looking around"),
        ("questions",): ("[b]bold[/b]",),
        ("suggest",): ("How does the RAG engine work?",),
        ("content",): ("rag",),
        ("business",): ("days in UTC", "leads"),
        ("quality", *WINDOW): ("LOW_SUCCESS_RATE", "the success rate is 0.7500", "Thresholds", "min success rate"),
        ("performance",): ("p95 (s)", "cpu", "direction STABLE, last hour 25, hour before no data"),
        ("alerts", "evaluate"): ("FIRED", "high_response_time", "still firing"),
        ("alerts",): ("1 alert\n", "never"),
        ("alerts", "set", "high_response_time", "--enable"): ("firing evaluations",),
        ("summary",): ("quality score", "db query time (s)"),
        ("health",): ("Score 0.6", "no complete backup exists", "firing: high_response_time (critical)"),
    }

    for command, expected in commands.items():
        done = run("--target", server.target, *command)
        assert (0, "") == (done.returncode, done.stderr)
        assert [] == [each for each in expected if each not in done.stdout]


def test_health_says_when_there_is_nothing_to_judge_by(server: App) -> None:
    """
    The score of an empty store is told, with its parts and reasons, as one without data.
    """
    found = steward(server, "health")
    shown = run("--target", server.target, "health").stdout

    assert (True, False) == (found["serving"], found["score"]["has_data"])
    assert ["quality", "performance", "backup"] == [each["name"] for each in found["score"]["parts"]]
    assert "Score 0.4333: no data yet" in shown
    assert "so the completeness of the data counts as 0" in shown


METRICS = ", ".join(each.name.lower() for each in AlertMetric if each)
WRONG = [
    (("alerts", "set", "x", "--metric", "mood"), 2, f"must be one of {METRICS}"),
    (("alerts", "set", "x", "--metric", "unspecified"), 2, "must be one of"),
    (("alerts", "set", "x", "--operator", "ge"), 2, "must be one of gt, lt, eq"),
    (("alerts", "set", "x"), 1, "metric: must be given for a new rule"),
    (("alerts", "--watch", "--limit", "3"), 2, "--limit: does not go with --watch"),
    (("alerts", "--watch", "--json", "--heartbeat", "0"), 1, "heartbeat_seconds: must be 0.1 to 300"),
    (("alerts", "--heartbeat", "3"), 2, "--heartbeat: goes with --watch"),
    (("alerts", "--firing", "evaluate"), 2, "options of evaluate come after it"),
    (("quality", "--set", "mood=1"), 2, "must be one of completeness_threshold, max_response_time_seconds, min_succ"),
    (("quality", "--set", "min_success_rate=high"), 2, "must be a number after min_success_rate="),
    (("quality", "--set", "min_success_rate=2"), 1, "min_success_rate: must be 0 to 1"),
    (("business", "--time-zone", "Mars/Base"), 1, "time_zone: must be a name of the IANA time zone database"),
    (("performance", "--hours", "0"), 2, "--hours"),
    (("questions", "--limit", "2000"), 1, "limit: must be 1 to 1000"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG)
def test_what_goes_wrong_is_told_in_a_line(server: App, arguments: tuple[str, ...], code: int, message: str) -> None:
    """
    A failure is one line and exit code 1; wrong usage is exit code 2 and says what is right.
    """
    done = run("--target", server.target, *arguments)

    assert (code, "") == (done.returncode, done.stdout)
    assert message in done.stderr
    assert code == 2 or 1 == done.stderr.count("\n")


def test_a_watch_sees_an_alert_fire_and_ends_quietly_by_ctrl_c() -> None:
    """
    An alert is told in a line when the daemon's own round finds it; Ctrl-C is exit code 0 without a word.
    """
    with running_server(alert_seconds=0.2) as quick, Client(quick.target) as client:
        process = watching(quick, "alerts", "--watch")
        recorded(client, interaction(**SLOW))
        told = line_with("high_response_time", process)
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=60)

    time, kind, *words = told.split("  ")
    assert datetime.now(UTC).year - datetime.strptime(time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).year < 2
    assert kind in {"FIRING", "FIRED"}  # by whether it came before the watch
    assert ["high_response_time", "CRITICAL", "avg_response_time 25 > 10\n"] == words
    assert (0, "", "") == (process.returncode, rest, complaints)


def test_a_watch_prints_a_document_a_line() -> None:
    """
    As JSON a watch tells what is firing, heartbeats, and what happens then; ended by the server it is one line and 1.
    """
    with running_server(alert_seconds=3600) as server, Client(server.target) as client:
        process = watching(server, "alerts", "--watch", "--json", "--heartbeat", "300")
        caught_up = json.loads(line_with("HEARTBEAT", process))
        recorded(client, interaction(**SLOW))
        client.evaluate_alerts()
        fired: dict[str, Any] = json.loads(line_with("FIRED", process))
    rest, complaints = process.communicate(timeout=60)

    assert {"kind": "HEARTBEAT", "alert": None} == {name: caught_up[name] for name in ("kind", "alert")}
    assert ("high_response_time", "CRITICAL", 25.0) == tuple(
        fired["alert"][name] for name in ("rule", "severity", "value")
    )
    assert (1, "", "steward: the server is stopping\n") == (process.returncode, rest, complaints)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_health_is_watched_until_the_server_stops(options: tuple[str, ...]) -> None:
    """
    How it is comes at once, on a line; when the server stops, that is one more line and exit code 1.
    """
    with running_server() as server:
        process = watching(server, "health", "--watch", *options)
        told = line_with("OK", process)
    _, complaints = process.communicate(timeout=60)

    assert (1, "steward: the server is stopping\n") == (process.returncode, complaints)
    if options:
        assert (True, False) == (json.loads(told)["serving"], json.loads(told)["score"]["has_data"])
    else:
        assert told.endswith("  OK  score 0.4333, no data yet\n")


def test_a_watch_that_nobody_reads_ends() -> None:
    """
    A reader that goes away, as head does, ends a watch quietly.
    """
    with running_server() as server:
        process = watching(server, "alerts", "--watch", "--json", "--heartbeat", "0.1")
        line_with("HEARTBEAT", process)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaints = process.stderr.read()
        process.stderr.close()

    assert (1, "") == (process.wait(), complaints)
