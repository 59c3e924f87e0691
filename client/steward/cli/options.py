"""
What several commands take.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any, TypeVar

import typer

from steward.client import Client
from steward.types import InteractionFilter

E = TypeVar("E", bound=IntEnum)


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


def chosen(
    *, role: Sequence[str] | None, query_type: Sequence[str] | None, success: bool | None, text: str, **others: Any
) -> InteractionFilter:
    """Return which interactions the options mean: those that several commands take, and *others* as fields."""
    return InteractionFilter(
        user_roles=tuple(role or ()), query_types=tuple(query_type or ()), success=success, text=text, **others
    )


def names(kind: type[IntEnum]) -> list[str]:
    """Return the values of *kind* as they are typed, without the one that says nothing."""
    return [each.name.lower() for each in kind if each]


def parser(kind: type[E]) -> Callable[[str], E]:
    """Return what parses a value of *kind* by its name, in whatever case."""

    def parse(text: str) -> E:
        if text.lower() not in names(kind):
            raise typer.BadParameter(f"must be one of {', '.join(names(kind))}")
        return kind[text.upper()]

    return parse


def given(ctx: typer.Context) -> set[str]:
    """Return the names of the options that were typed for the command of *ctx*."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def whole(command: Callable[..., object]) -> str:
    """Return the first line of what *command* says of itself, which a list of commands would cut off."""
    return inspect.getdoc(command).partition("\n")[0]  # type: ignore[union-attr] # every command says something


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
QueryTypes = Annotated[list[str] | None, typer.Option("--query-type", help="Of this type; may be given several times.")]
Success = Annotated[bool | None, typer.Option("--success/--failure", help="Answered well, or not.")]
Text = Annotated[str, typer.Option("--text", help="Whose question contains this.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
