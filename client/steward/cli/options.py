"""
What several commands take.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from steward.client import Client


@dataclass(frozen=True)
class Connection:
    """Where to connect to, and how long to wait."""

    target: str | None
    timeout: float


def client(ctx: typer.Context) -> Client:
    """Return a client for the command of *ctx*, closed when it ends."""
    connection: Connection = ctx.obj
    return ctx.with_resource(Client(connection.target, timeout=connection.timeout))


def parse_time(text: str) -> datetime:
    """Return the time in *text*, UTC where it names no zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("must be an ISO 8601 time, such as 2025-09-30 or 2025-09-30T22:34:30Z") from None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _seconds(value: float) -> float:
    if not value > 0:
        raise typer.BadParameter("must be more than 0 seconds")
    return value


Target = Annotated[
    str | None,
    typer.Option(envvar="STEWARD_TARGET", metavar="HOST:PORT", help="The server. Default 127.0.0.1:50051."),
]
Timeout = Annotated[float, typer.Option(callback=_seconds, metavar="SECONDS", help="How long a call may take.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=parse_time, metavar="TIME", help="From this time on: ISO 8601, UTC without a zone."),
]
Until = Annotated[datetime | None, typer.Option(parser=parse_time, metavar="TIME", help="Up to but without this time.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="In this role; may be given several times.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
