"""
`steward record`, `rate`, `list` and `get`.
"""

import sys
from datetime import datetime
from typing import Annotated

import typer

from steward import ids
from steward.cli import show
from steward.cli.options import (
    Json,
    Limit,
    QueryTypes,
    Roles,
    Since,
    Success,
    Text,
    Until,
    chosen,
    client,
    parse_time,
)
from steward.types import Interaction

Time = Annotated[
    datetime | None, typer.Option(parser=parse_time, metavar="TIME", help="When it was asked. Default now.")
]
COLUMNS = ("occurred_at", "user_role", "query", "response_time_seconds", "success", "user_rating", "interaction_id")


def record(  # noqa: PLR0917 -- an option for each field
    ctx: typer.Context,
    session_id: Annotated[str, typer.Option(help="The conversation; only its pseudonym is stored.")],
    role: Annotated[str, typer.Option(help="The role in which it was asked.")],
    query: Annotated[str, typer.Option(help="The question; - reads it from standard input.")],
    query_type: Annotated[str, typer.Option(help="What kind of question.")] = "",
    response_time: Annotated[float | None, typer.Option(help="How long the answer took, in seconds.")] = None,
    response_length: Annotated[int | None, typer.Option(help="Length of the answer, in characters.")] = None,
    code_snippets: Annotated[int, typer.Option(help="Pieces of code shown.")] = 0,
    citations: Annotated[int, typer.Option(help="Citations given.")] = 0,
    success: Success = None,
    rating: Annotated[float | None, typer.Option(help="The user's rating, 1 to 5.")] = None,
    follow_up: Annotated[bool, typer.Option("--follow-up", help="It follows up on the one before.")] = False,  # noqa: FBT002
    turn: Annotated[int, typer.Option(help="Which question of the conversation it is, from 1.")] = 1,
    occurred_at: Time = None,
    interaction_id: Annotated[str | None, typer.Option(help="A UUIDv7, to try again with. Default a new one.")] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Record one interaction; say when it is on disk, and what was redacted."""
    receipt = client(ctx).record_interaction(
        Interaction(
            session_id=session_id,
            user_role=role,
            query=sys.stdin.read() if query == "-" else query,
            query_type=query_type,
            response_time_seconds=response_time,
            response_length=response_length,
            code_snippets_shown=code_snippets,
            citations_provided=citations,
            success=success,
            user_rating=rating,
            follow_up_query=follow_up,
            conversation_turn=turn,
            occurred_at=occurred_at,
            interaction_id=interaction_id or ids.mint(),
        )
    )
    title = "There already: what came first is kept" if receipt.already_stored else "On disk"
    show.document(receipt) if json else show.record(receipt, title=title)


def rate(
    ctx: typer.Context,
    interaction_id: Annotated[str, typer.Argument(help="The interaction.")],
    rating: Annotated[float, typer.Argument(help="1 to 5.")],
    json: Json = False,  # noqa: FBT002
) -> None:
    """Give an interaction its user's rating, or another one."""
    rated = client(ctx).rate_interaction(interaction_id, rating)
    show.document(rated) if json else show.record(rated, title="Rated")


def list_(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    query_type: QueryTypes = None,
    session_id: Annotated[str | None, typer.Option(help="Of this session, in the recorder's words.")] = None,
    session: Annotated[str | None, typer.Option(help="Of the session with this pseudonym.")] = None,
    success: Success = None,
    min_rating: Annotated[float | None, typer.Option(help="Rated this or better.")] = None,
    max_rating: Annotated[float | None, typer.Option(help="Rated this or worse.")] = None,
    text: Text = "",
    limit: Limit = 20,
    json: Json = False,  # noqa: FBT002
) -> None:
    """List interactions, newest first."""
    if session_id is not None and session is not None:
        raise typer.BadParameter("give one of them: both name a session", param_hint="--session-id, --session")
    meant = chosen(
        role=role,
        query_type=query_type,
        success=success,
        text=text,
        since=since,
        until=until,
        session_id=session_id,
        session=session,
        min_rating=min_rating,
        max_rating=max_rating,
    )
    found = client(ctx).list_interactions(meant, page_size=min(limit + 1, 1000))
    show.first(found, limit=limit, name="interactions", columns=COLUMNS, json=json)


def get(
    ctx: typer.Context,
    interaction_id: Annotated[str, typer.Argument(help="The interaction.")],
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show one interaction."""
    found = client(ctx).get_interaction(interaction_id)
    show.document(found) if json else show.record(found, title="Interaction")
