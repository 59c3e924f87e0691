"""
`steward session`, `sessions` and `summary`.
"""

from typing import Annotated

import typer

from steward.cli import show
from steward.cli.options import Json, Limit, QueryTypes, Roles, Since, Success, Text, Until, chosen, client

COLUMNS = (
    "session",
    "user_role",
    "started_at",
    "total_queries",
    "successful_queries",
    "mean_response_time_seconds",
    "mean_rating",
    "conversion_achieved",
)


def session(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="The session, in the recorder's words.")],
    pseudonym: Annotated[bool, typer.Option("--pseudonym", help="KEY is its pseudonym instead.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show one session."""
    asked = client(ctx)
    found = asked.get_session(session=key) if pseudonym else asked.get_session(session_id=key)
    show.document(found) if json else show.record(found, title="Session")


def sessions(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    limit: Limit = 20,
    json: Json = False,  # noqa: FBT002
) -> None:
    """List the sessions that started in a window of time, newest first."""
    size = min(limit + 1, 1000)
    found = client(ctx).list_sessions(since=since, until=until, user_roles=role or (), page_size=size)
    show.first(found, limit=limit, name="sessions", columns=COLUMNS, json=json)


def summary(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    query_type: QueryTypes = None,
    success: Success = None,
    text: Text = "",
    json: Json = False,  # noqa: FBT002
) -> None:
    """Sum up a window of time, by default the last 7 days, and say how things are now."""
    meant = chosen(role=role, query_type=query_type, success=success, text=text)
    found = client(ctx).get_summary(since=since, until=until, chosen=meant)
    if json:
        show.document(found)
        return
    show.record(found.interactions, title=f"Interactions {show.span(found)}")
    show.record(found.sessions, title="Sessions that started then")
    show.record(found.metrics, title="Now: the metrics of the last hour")
    show.record(found, title="Now: the quality", columns=("quality_score",))
