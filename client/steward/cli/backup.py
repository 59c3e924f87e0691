"""
`steward backup`: copies of the store, made and shown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from steward.aio import Told
from steward.cli import show
from steward.cli.options import Json, Limit, client, names, parser
from steward.types import Backup, BackupProgress, BackupReason

app = typer.Typer(help="Make backups of the store while it is in use, and show them.", no_args_is_help=True)

COLUMNS = ("id", "created_at", "reason", "stored_bytes", "newest_seq", "verified_at", "verified")
Id = Annotated[str, typer.Argument(metavar="ID", help="The backup, as `steward backup list` shows it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]


def confirm(question: str, *, yes: bool) -> None:
    """Ask *question* unless the answer is *yes* already; exit with 1 when it is not."""
    if not yes:
        typer.confirm(question, abort=True, err=True)


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
    found, more = show.cut(client(ctx).list_backups(reasons=tuple(reason or ())), limit=limit)
    if json:
        show.document({"backups": found, "more": more})
    else:
        show.newest([_line(each) for each in found], more=more, name="backups", columns=COLUMNS, unset="never")


@app.command("show")
def show_(ctx: typer.Context, id: Id, json: Json = False) -> None:  # noqa: A002, FBT002
    """Show what is in a backup, as its manifest says."""
    found = client(ctx).get_backup(id)
    show.document(found) if json else show.record(found, title="Backup")


@app.command()
def verify(ctx: typer.Context, id: Id, json: Json = False) -> None:  # noqa: A002, FBT002
    """
    Verify a backup by its digests and by a trial restore, and show what came of it.

    Exits with 1 when it did not pass.
    """
    with _progress(quiet=json) as told:
        found = client(ctx).verify_backup(id, told=told)
    show.document({"id": id, **show.plain(found)}) if json else show.record(found, title=f"Verification of {id}")
    if not found.passed:
        raise typer.Exit(1)


@app.command()
def delete(ctx: typer.Context, id: Id, yes: Yes = False, json: Json = False) -> None:  # noqa: A002, FBT002
    """Delete a backup, once that is confirmed."""
    confirm(f"Delete the backup {id}?", yes=yes)
    client(ctx).delete_backup(id)
    show.document({"id": id, "deleted": True}) if json else show.said(f"{id} is deleted")


@dataclass(frozen=True)
class _Line:
    id: str
    created_at: datetime
    reason: BackupReason
    stored_bytes: int
    newest_seq: int
    verified_at: datetime | None
    verified: str | None


def _line(backup: Backup) -> _Line:
    known = backup.verification
    return _Line(
        id=backup.id,
        created_at=backup.created_at,
        reason=backup.reason,
        stored_bytes=backup.stored_bytes,
        newest_seq=backup.newest_seq,
        verified_at=None if known is None else known.verified_at,
        verified=None if known is None else "passed" if known.passed else "FAILED",
    )


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
