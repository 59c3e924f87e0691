"""
`steward performance`.
"""

from typing import Annotated

import typer

from steward.cli import show
from steward.cli.options import Json, QueryTypes, Roles, Success, Text, Until, chosen, client
from steward.types import Performance

TIMES = ("known", "min_seconds", "mean_seconds", "p50_seconds", "p95_seconds", "p99_seconds", "max_seconds")
GROUP = ("name", "interactions", "success_rate", *(f"response_times.{each}" for each in TIMES[2:]))
RECORDED = ("name", "unit", "component", "points", "min", "mean", "max", "last", "last_at")


def performance(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    hours: Annotated[int | None, typer.Option(min=1, help="So many hours before --until. Default 24.")] = None,
    until: Until = None,
    role: Roles = None,
    query_type: QueryTypes = None,
    success: Success = None,
    text: Text = "",
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show how the assistant performs: response times, metrics and trends, by default of the last 24 hours."""
    meant = chosen(role=role, query_type=query_type, success=success, text=text)
    found = client(ctx).get_performance(hours=hours, until=until, chosen=meant)
    show.document(found) if json else _tell(found)


def _tell(found: Performance) -> None:
    figures = ("interactions", "success_rate", "enabled_rules", "triggered_rules")
    show.record(found, title=f"Performance {show.span(found)}", columns=figures)
    show.record(found.response_times, title="Response times", columns=TIMES)
    show.rows(found.by_role, title="By role", columns=GROUP)
    show.rows(found.by_query_type, title="By type", columns=GROUP)
    show.rows(found.recorded, title="Recorded from outside", columns=RECORDED)
    show.record(found.metrics, title="Now: the metrics of the last hour")
    show.record(found, title="Where it is heading", columns=("response_time_trend", "volume_trend"))
