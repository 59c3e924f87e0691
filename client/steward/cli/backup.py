"""
`steward backup`: copies of the store, made and shown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from steward.aio import Told
from steward.cli import show
from steward.cli.options import Json, Limit, client, names, parser
from steward.types import BackupProgress, BackupReason

app = typer.Typer(help="Make backups of the store while it is in use, and show them.", no_args_is_help=True)

COLUMNS = ("id", "created_at", "reason", "stored_bytes", "plain_bytes", "newest_seq")
Id = Annotated[str, typer.Argument(metavar="ID", help="The backup, as `steward backup list` shows it.")]


@app.command()
def create(ctx: typer.Context, json: Json = False) -> None:  # noqa: FBT002
    """Make a backup, and show it when it is on disk."""
    with _progress(quiet=json) as told:
        made = client(ctx).create_backup(told=told)
    show.document(made) if json else show.record(made, title="Backup")


@app.command("list")
def list_(
    ctx: typer.Context,
    reason: Annotated[
        list[BackupReason] | None,
        typer.Option(
            parser=parser(BackupReason),
            metavar="|".join(names(BackupReason)),
            help="Made for this reason; may be given several times.",
        ),
    ] = None,
    limit: Limit = 20,
    json: Json = False,  # noqa: FBT002
) -> None:
    """List the complete backups, newest first."""
    found = client(ctx).list_backups(reasons=tuple(reason or ()))
    show.first(found, limit=limit, name="backups", columns=COLUMNS, json=json)


@app.command("show")
def show_(ctx: typer.Context, id: Id, json: Json = False) -> None:  # noqa: A002, FBT002
    """Show what is in a backup, as its manifest says."""
    found = client(ctx).get_backup(id)
    show.document(found) if json else show.record(found, title="Backup")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Told]:
    """Show a bar on a terminal meanwhile, moved by what is told."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def told(news: BackupProgress) -> None:
            progress.update(
                task, description=news.phase.name.lower(), completed=news.done_bytes, total=news.total_bytes or None
            )

        yield told
