"""
`steward backup`: copies of the store, made and shown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from steward.aio import Told
from steward.cli import exports, show
from steward.cli.options import Json, Limit, client, names, parser
from steward.exports import FilePart
from steward.types import Backup, BackupProgress, BackupReason, Restoration

app = typer.Typer(help="Make backups of the store while it is in use, and show them.", no_args_is_help=True)

COLUMNS = ("id", "created_at", "reason", "stored_bytes", "newest_seq", "verified_at", "verified")
CONTENT = (
    "newest_recorded_at",
    "plain_bytes",
    "plain_sha256",
    "stored_sha256",
    "store",
    "epoch",
    "schema_version",
    "program_version",
    "sqlite_version",
    "redaction_rules_version",
    "key_fingerprint",
)
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
    show.document(made) if json else tell(made)


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
    show.document(found) if json else tell(found)


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


@app.command()
def prune(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which they are.")] = False,  # noqa: FBT002
    yes: Yes = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """Delete the backups that may go by the policy, once that is confirmed, and show why each goes or stays."""
    connected = client(ctx)
    if not (dry_run or yes):
        going = sum(each.goes for each in connected.prune_backups(dry_run=True))
        confirm(f"Delete {going} backups?", yes=not going)
    found = connected.prune_backups(dry_run=dry_run)
    if json:
        show.document({"decisions": found, "dry_run": dry_run})
    else:
        title = f"{sum(each.goes for each in found)} of {len(found)} backups {'would go' if dry_run else 'went'}"
        show.rows(found, title=title, columns=("id", "created_at", "reason", "goes", "cause"))


@app.command()
def download(  # noqa: PLR0917 -- an option for each
    ctx: typer.Context,
    id: Id,  # noqa: A002
    output: exports.Output = None,
    force: exports.Force = False,  # noqa: FBT002
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a broken download.")] = False,  # noqa: FBT002
    quiet: exports.Quiet = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Write a backup into a file, which `stewardd restore` takes back.

    It has its name when it is whole; until then it is FILE.part.
    """
    connected = client(ctx)

    def ask(token: str) -> Iterator[FilePart]:
        return connected.download_backup_parts(id, resume_token=token)

    exports.taken(ask, output=output, force=force, resume=resume, quiet=quiet, json=json)


@app.command()
def restore(  # noqa: PLR0917 -- an option for each
    ctx: typer.Context,
    id: Id,  # noqa: A002
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be lost and gained.")] = False,  # noqa: FBT002
    foreign: Annotated[bool, typer.Option("--foreign", help="Take one of another store or privacy key.")] = False,  # noqa: FBT002
    yes: Yes = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Replace what the server has by a backup, once that is confirmed, all or nothing.

    What was there before is a safety backup. What was set stays, and so do the alerts. Writers are told to come back
    meanwhile.
    """
    connected = client(ctx)
    if not (dry_run or yes):
        planned = connected.restore_backup(id, dry_run=True, foreign=foreign)
        if not json:
            _tell_restoration(planned)
        confirm(f"Replace what the server has by the backup {id}?", yes=False)
    with _progress(quiet=json or dry_run) as told:
        done = connected.restore_backup(id, dry_run=dry_run, foreign=foreign, told=told)
    show.document(done) if json else _tell_restoration(done)


@app.command()
def restores(ctx: typer.Context, json: Json = False) -> None:  # noqa: FBT002
    """List the restores that were done, the latest first."""
    found = client(ctx).list_restores()
    if json:
        show.document({"restores": found})
    else:
        columns = ("restored_at", "backup_id", "safety_backup_id", "epoch_before", "epoch_after")
        show.rows(found, title="1 restore" if len(found) == 1 else f"{len(found)} restores", columns=columns)


@app.command()
def status(ctx: typer.Context, json: Json = False) -> None:  # noqa: FBT002
    """Show the last backup and the last verified one, and when the next is due."""
    found = client(ctx).get_backup_status()
    if json:
        show.document(found)
        return
    show.record(found, title="Backups", columns=("backups", "stored_bytes", "damaged", "due_at", "running"))
    show.record(found.policy, title="Policy")
    named = [each for each in (found.last, found.last_verified) if each is not None]
    show.rows([_line(each) for each in named], title="The last, and the last verified", columns=COLUMNS, unset="never")


@app.command()
def policy(  # noqa: PLR0917 -- an option for each
    ctx: typer.Context,
    daily: Annotated[str | None, typer.Option(metavar="HH:MM", help="Make one each day at this time.")] = None,
    time_zone: Annotated[str | None, typer.Option(metavar="ZONE", help="By the clocks of, such as UTC.")] = None,
    every: Annotated[int | None, typer.Option(metavar="SECONDS", help="Make one so long after the last.")] = None,
    keep_last: Annotated[int | None, typer.Option(help="So many stay.")] = None,
    max_age_days: Annotated[int | None, typer.Option(help="Those that are older may go.")] = None,
    min_verified: Annotated[int | None, typer.Option(help="So many verified ones stay in any case.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether backups are made by themselves.")
    ] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show when backups are made by themselves and which may go, or change what is given of that."""
    given = {
        "time_of_day": daily,
        "time_zone": time_zone,
        "interval_seconds": every,
        "keep_last": keep_last,
        "max_age_days": max_age_days,
        "min_verified": min_verified,
        "enabled": enabled,
    }
    changes: dict[str, Any] = {name: each for name, each in given.items() if each is not None}
    connected = client(ctx)
    found = connected.set_backup_policy(**changes) if changes else connected.get_backup_status().policy
    show.document(found) if json else show.record(found, title="Policy")


def _tell_restoration(found: Restoration) -> None:
    """Print what a restore would do, or did."""
    done = found.restore
    title = (
        "A restore would do this"
        if done is None
        else f"Restored; what was before is the backup {done.safety_backup_id}"
    )
    show.record(found, title=title, columns=("newest_before", "newest_after"))
    show.rows(found.tables, title="Rows", columns=("name", "rows_before", "rows_after"))


def tell(backup: Backup) -> None:
    """Print what is in *backup*."""
    show.record(_line(backup), title="Backup", columns=COLUMNS, unset="never")
    show.record(backup, title="Content", columns=CONTENT)
    show.rows(backup.tables, title="Rows", columns=("name", "rows"))


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
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def told(news: BackupProgress) -> None:
            progress.update(
                task, description=news.phase.name.lower(), completed=news.done_bytes, total=news.total_bytes or None
            )

        yield told
