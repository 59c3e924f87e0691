"""
The figures of a window in one file: the same as those of the reports, as JSON and as CSV.
"""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from steward import Client, InteractionFilter, InvalidArgument, StreamTruncated
from steward.cli.show import plain
from steward.exports import exported_file
from steward.spreadsheets import harmless
from steward.types import ContentAccess, ExportFormat
from steward.v1 import export_pb2
from stewardd.app import App
from stewardd.privacy import Redactor
from stewardd.summary_export import worded
from stewardd.testing import running_server
from tests.samples import NOON, interaction, recorded
from tests.test_cli import run

DEV, GUEST = "Software Developer", "Just looking around"
DAY = timedelta(days=1)
SINCE, UNTIL = NOON - DAY, NOON + DAY
SECTIONS = [
    "export_info",
    "user_interactions",
    "role_distribution",
    "query_patterns",
    "performance_metrics",
    "content_effectiveness",
    "top_questions",
]


def fill(client: Client) -> None:
    """Record what there are figures of: also something not known, and something out of the window."""
    recorded(
        client,
        *(interaction(session_id=f"s-{n % 3}", response_time_seconds=n / 7, success=n % 4 != 0) for n in range(12)),
        *(interaction(session_id="s-7", user_role=GUEST, query="Fun?", query_type="fun") for _ in range(3)),
        interaction(user_role=GUEST, response_time_seconds=None, success=None, query_type=""),
        interaction(occurred_at=NOON - 5 * DAY),
    )
    for role in (DEV, GUEST):
        access = ContentAccess(
            content_type="project", content_id="rag", user_role=role, relevance_score=0.3, occurred_at=NOON
        )
        client.record_content_access(access)


@pytest.fixture(scope="module")
def filled() -> Iterator[Client]:
    """A client of a server that has something to export."""
    with running_server(alert_seconds=3600.0) as server, Client(server.target) as client:
        fill(client)
        yield client


def exported(client: Client, **asked: Any) -> dict[str, Any]:
    """Return the summary as JSON has it."""
    found: dict[str, Any] = json.loads(client.export_summary(**asked).content)
    return found


def without(names: tuple[str, ...], found: dict[str, Any]) -> dict[str, Any]:
    """Return *found* without those of *names*."""
    return {name: value for name, value in found.items() if name not in names}


def spelled(found: Any) -> Any:
    """Return *found* with its times as a file has them: all to the microsecond."""
    if isinstance(found, dict):
        return {name: spelled(each) for name, each in found.items()}
    if isinstance(found, list):
        return [spelled(each) for each in found]
    if isinstance(found, str) and found.endswith("Z") and found.startswith("2025-"):
        return datetime.fromisoformat(found).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return found


CHOICES = [None, InteractionFilter(user_roles=(DEV,), success=True), InteractionFilter(query_types=("none",))]


@pytest.mark.parametrize("chosen", CHOICES, ids=["all", "some", "nothing"])
def test_the_figures_are_those_of_the_reports(filled: Client, chosen: InteractionFilter | None) -> None:
    """
    Each section has what the report of its idea says for the same window and filter.
    """
    asked = {"since": SINCE, "until": UNTIL, "chosen": chosen}
    found = exported(filled, **asked)
    summary, insights = filled.get_summary(**asked), filled.get_insights(**asked)  # type: ignore[arg-type]
    fared = filled.get_performance(hours=48, until=UNTIL, chosen=chosen)
    used = filled.get_content_report(since=SINCE, until=UNTIL, user_roles=chosen.user_roles if chosen else ())
    questions = filled.list_common_questions(**asked).questions  # type: ignore[arg-type]

    performance = found["performance_metrics"]
    timed = ("db_query_time_seconds",)
    assert SECTIONS == list(found)
    assert {
        "interactions": plain(summary.interactions),
        "sessions": plain(summary.sessions),
        "quality_score": summary.quality_score,
    } == found["user_interactions"]
    assert plain(insights.by_role) == [without(("share",), each) for each in found["role_distribution"]]
    assert plain(insights.by_query_type) == [
        without(("share",), each) for each in found["query_patterns"]["by_query_type"]
    ]
    assert plain(insights.query_types_by_role) == found["query_patterns"]["query_types_by_role"]
    assert without(timed, plain(fared.metrics)) == without(timed, performance["metrics"])
    assert [plain(getattr(fared, name)) for name in performance if name != "metrics"] == [
        value for name, value in performance.items() if name != "metrics"
    ]
    assert spelled(plain(used)) == found["content_effectiveness"]
    assert plain(questions) == found["top_questions"]


def test_shares_are_of_all_that_was_chosen(filled: Client) -> None:
    """
    The shares of the roles make 1, and so do those of the types.
    """
    found = exported(filled, since=SINCE, until=UNTIL)

    assert [(DEV, 12, 0.75), (GUEST, 4, 0.25)] == [
        (each["user_role"], each["interactions"], each["share"]) for each in found["role_distribution"]
    ]
    assert 1.0 == sum(each["share"] for each in found["query_patterns"]["by_query_type"])


def test_the_file_says_what_it_is_of(filled: Client) -> None:
    """
    Window, versions, and the filter in words, without whose session it is and what was searched for.
    """
    chosen = InteractionFilter(user_roles=(DEV, "a@b.io"), session_id="jo", text="secret", success=False, min_rating=2)

    info = exported(filled, since=SINCE, until=UNTIL, chosen=chosen)["export_info"]

    server = filled.get_server_info()
    assert ("2025-09-29T12:00:00.000000Z", "2025-10-01T12:00:00.000000Z") == (info["since"], info["until"])
    assert (server.schema_version, server.version, server.redaction_rules_version) == (
        info["schema_version"],
        info["program_version"],
        info["redaction_rules_version"],
    )
    assert (
        "role Software Developer or [EMAIL_REDACTED], one session, not answered well, rated 2 or more, "
        "the question has a certain text" == info["filter"]
    )
    assert "all interactions" == exported(filled)["export_info"]["filter"]


def test_csv_has_the_figures_of_json(filled: Client) -> None:
    """
    A line a figure: every number of the JSON stands in the CSV, under its section and its item.
    """
    window = {"since": SINCE, "until": UNTIL}
    found = exported(filled, **window)
    file = filled.export_summary(**window, format=ExportFormat.CSV)  # type: ignore[arg-type]

    header, *rows = csv.reader(io.StringIO(file.content.decode(), newline=""))

    figures = {(section, item, metric): value for section, item, metric, value in rows}
    totals, project = found["user_interactions"]["interactions"], found["content_effectiveness"]["items"][0]
    assert ["section", "item", "metric", "value"] == header
    assert ("summary.csv", "text/csv") == (file.name, file.media_type)
    assert len(rows) == len(figures) == file.content.count(b"\r\n") - 1
    assert SECTIONS == list(dict.fromkeys(row[0] for row in rows))
    expected = {
        ("user_interactions", "", "interactions.total"): str(totals["total"]),
        ("user_interactions", "", "interactions.mean_rating"): "",
        ("role_distribution", GUEST, "share"): "0.25",
        ("query_patterns", "fun", "by_query_type.interactions"): "3",
        ("query_patterns", GUEST, "query_types_by_role.fun.interactions"): "3",
        ("performance_metrics", "", "response_times.p95_seconds"): str(
            found["performance_metrics"]["response_times"]["p95_seconds"]
        ),
        ("content_effectiveness", "project", "items.rag.accesses"): str(project["accesses"]),
        ("content_effectiveness", "project", "items.rag.user_roles"): f"{GUEST}; {DEV}",
        ("top_questions", "Fun?", "frequency"): "3",
    }
    assert expected == {place: figures[place] for place in expected}


CELLS = [
    ("=1+1", "'=1+1"),
    ("'=1", "''=1"),
    ("\tx", "'\tx"),
    ("\uff1dx", "'\uff1dx"),
    ("-5", "'-5"),
    (-5, -5),
    (-0.5, -0.5),
    ("a=1", "a=1"),
    ("'a", "'a"),
    ("", ""),
    (None, None),
]


@pytest.mark.parametrize(("cell", "expected"), CELLS)
def test_a_cell_is_no_formula(cell: Any, expected: Any) -> None:
    """
    Text that a spreadsheet would calculate gets an apostrophe before it, and one more when it has some; numbers never.
    """
    assert expected == harmless(cell)


def test_raw_leaves_cells_as_they_are(client: Client) -> None:
    """
    A role and a question that begin like formulas come harmless in CSV, as they are when asked for raw, and in JSON.
    """
    recorded(client, interaction(user_role="=role", query="@SUM(1)"))
    window = {"since": SINCE, "until": UNTIL, "format": ExportFormat.CSV}

    cautious, raw = (client.export_summary(**window, raw=each).content for each in (False, True))  # type: ignore[arg-type]

    assert b"\r\nrole_distribution,'=role,interactions,1\r\n" in cautious
    assert b"\r\ntop_questions,'@SUM(1),frequency,1\r\n" in cautious
    assert b"\r\nrole_distribution,=role,interactions,1\r\n" in raw
    assert "=role" == exported(client, since=SINCE, until=UNTIL)["role_distribution"][0]["user_role"]


BAD = [
    ({"format": ExportFormat.PARQUET}, "format"),
    ({"format": 99}, "format"),
    ({"since": NOON, "until": NOON}, "until"),
    ({"chosen": InteractionFilter(min_rating=9.0)}, "filter.min_rating"),
]


@pytest.mark.parametrize(("wanted", "field"), BAD)
def test_what_cannot_be_is_refused(asked: Client, wanted: dict[str, Any], field: str) -> None:
    """
    Another format, an empty window and an impossible filter are INVALID_ARGUMENT on their fields.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.export_summary(**wanted)

    assert [field] == [each.field for each in caught.value.violations]


def test_an_empty_store_has_a_summary_too(asked: Client) -> None:
    """
    Where there is no data the sections are there, with nothing in their lists; without a window it is of 30 days.
    """
    found = exported(asked)

    info = found["export_info"]
    assert [[], [], []] == [
        found["role_distribution"],
        found["query_patterns"]["by_query_type"],
        found["top_questions"],
    ]
    assert (30 * DAY, None) == (
        datetime.fromisoformat(info["exported_at"]) - datetime.fromisoformat(info["since"]),
        info["until"],
    )


def test_a_filter_is_told_in_words() -> None:
    """
    Times, types and the highest rating stand in the words too.
    """
    chosen = InteractionFilter(since=SINCE, until=UNTIL, query_types=("fun",), max_rating=3.5, success=True)

    words = worded(chosen, redactor=Redactor(bytes(32)))

    assert (
        "from 2025-09-29T12:00:00.000000Z on, before 2025-10-01T12:00:00.000000Z, query type fun, answered well, "
        "rated 3.5 or less" == words
    )


def test_bytes_that_changed_on_the_way_are_found() -> None:
    """
    A file whose digest is another's is truncated.
    """
    with pytest.raises(StreamTruncated, match="the 2 bytes"):
        exported_file(export_pb2.ExportSummaryResponse(name="summary.json", content=b"{}", sha256=bytes(32)))


def test_a_summary_is_exported_by_hand(server: App, client: Client, tmp_path: Path) -> None:
    """
    To the standard output or a file, which is not written over unless told to; a format that is none is wrong usage.
    """
    fill(client)
    path = tmp_path / "out.csv"
    window = ("--since", "2025-09-29T12:00", "--until", "2025-10-01T12:00", "--role", GUEST)
    command = ("--target", server.target, "export", "summary", *window)

    printed = run(*command)
    written, again, forced = (
        run(*command, "--format", "csv", "--output", str(path), *more) for more in ((), (), ("--force", "--raw"))
    )
    wrong = run(*command, "--format", "xlsx")

    assert [(GUEST, 4)] == [
        (each["user_role"], each["interactions"]) for each in json.loads(printed.stdout)["role_distribution"]
    ]
    assert [0, 1, 0, 2] == [each.returncode for each in (written, again, forced, wrong)]
    assert f"role_distribution,{GUEST},interactions,4\r\n".encode() in path.read_bytes()
    assert f"steward: {path} is there already: give another --output, or --force\n" == again.stderr
    assert "must be one of json, csv" in wrong.stderr
