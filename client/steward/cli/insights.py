"""
`steward insights`, `questions` and `suggest`: who asks what, and what is worth asking.
"""

from typing import Annotated

import typer

from steward.cli import show
from steward.cli.options import Json, QueryTypes, Roles, Since, Success, Text, Until, chosen, client
from steward.types import Insights

ROLE = ("user_role", "interactions", "sessions", "mean_response_time_seconds", "success_rate")
TYPE = ("query_type", "interactions", "mean_response_time_seconds", "success_rate")
QUESTION = ("frequency", "question", "success_rate", "mean_response_time_seconds", "query_type", "user_roles")


def insights(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    query_type: QueryTypes = None,
    success: Success = None,
    text: Text = "",
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show who asks what, by default in the last 30 days."""
    meant = chosen(role=role, query_type=query_type, success=success, text=text)
    found = client(ctx).get_insights(since=since, until=until, chosen=meant)
    show.document(found) if json else _tell(found)


def _tell(found: Insights) -> None:
    figures = (
        "interactions",
        "min_response_time_seconds",
        "mean_response_time_seconds",
        "max_response_time_seconds",
        "mean_response_length",
    )
    show.record(found, title=f"Insights {show.span(found)}", columns=figures)
    show.rows(found.by_role, title="By role", columns=ROLE)
    show.rows(found.by_query_type, title="By type", columns=TYPE)
    pairs = ("user_role", "query_type", "interactions")
    show.rows(found.query_types_by_role, title="Types by role", columns=pairs)


def questions(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    query_type: QueryTypes = None,
    success: Success = None,
    text: Text = "",
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most. Default 10.")] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show what is asked most, by default in the last 30 days."""
    meant = chosen(role=role, query_type=query_type, success=success, text=text)
    found = client(ctx).list_common_questions(since=since, until=until, chosen=meant, limit=limit)
    if json:
        show.document(found)
    else:
        show.rows(found.questions, title=f"Asked most {show.span(found)}", columns=QUESTION)


def suggest(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    role: Annotated[str, typer.Option(help="The role of the visitor. Default any.")] = "",
    since: Since = None,
    until: Until = None,
    query_type: QueryTypes = None,
    text: Text = "",
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most. Default 5.")] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Suggest what a visitor might ask: what was answered well before, at least twice."""
    meant = chosen(role=None, query_type=query_type, success=None, text=text)
    found = client(ctx).suggest_questions(role, since=since, until=until, chosen=meant, limit=limit)
    if json:
        show.document({"suggestions": found})
    else:
        show.rows(found, title="Worth asking", columns=("frequency", "question", "code_rate"))
