"""
`steward content` and `business`: reports of what is recorded beside the interactions, too.
"""

from dataclasses import dataclass
from typing import Annotated

import typer

from steward.cli import show
from steward.cli.options import Json, QueryTypes, Roles, Since, Success, Text, Until, chosen, client
from steward.types import BusinessReport, RecordedBusinessMetric

SCORES = ("mean_relevance_score", "mean_engagement_score", "mean_effectiveness_score", "last_access_at")
ITEM = ("content_type", "content_id", "accesses", *SCORES, "user_roles")
TYPE = ("content_type", "items", "accesses", *SCORES)
DAY = (
    "date",
    "interactions",
    "sessions",
    "hiring_manager_sessions",
    "developer_sessions",
    "casual_sessions",
    "other_sessions",
    "mean_session_minutes",
    "technical_rate",
    "code_rate",
    "citation_rate",
)


def content(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    content_type: Annotated[list[str] | None, typer.Option(help="Of this kind; may be given several times.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many items at most. Default 10.")] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show what content is used, most used first."""
    found = client(ctx).get_content_report(
        since=since, until=until, user_roles=role or (), content_types=content_type or (), limit=limit
    )
    if json:
        show.document(found)
        return
    show.rows(found.items, title="Content, most used first", columns=ITEM)
    show.rows(found.types, title="By kind", columns=TYPE)


def business(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    query_type: QueryTypes = None,
    success: Success = None,
    text: Text = "",
    time_zone: Annotated[
        str, typer.Option(metavar="ZONE", help="Whose days, such as Europe/Berlin. Default UTC.")
    ] = "",  # the server's database of zones counts, so it is the one to say what is none
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show the business of each day, by default of the last 30."""
    meant = chosen(role=role, query_type=query_type, success=success, text=text)
    found = client(ctx).get_business_report(since=since, until=until, chosen=meant, time_zone=time_zone)
    show.document(found) if json else _tell(found)


@dataclass(frozen=True)
class _Recorded:
    date: str
    of: RecordedBusinessMetric


def _tell(found: BusinessReport) -> None:
    show.rows(found.days, title=f"Business {show.span(found)}, days in {found.time_zone}", columns=DAY)
    recorded = [_Recorded(day.date, each) for day in found.days for each in day.recorded]
    columns = ("date", "of.name", "of.metric_type", "of.records", "of.mean", "of.last")
    show.rows(recorded, title="Recorded for these days", columns=columns)
