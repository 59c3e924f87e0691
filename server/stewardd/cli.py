"""
The command line of the daemon.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from steward.errors import Error
from steward.types import Restoration
from stewardd import config as settings
from stewardd.app import migrate as migrate_store
from stewardd.app import restore as restore_store
from stewardd.app import serve as run

app = typer.Typer(
    help="The data steward of an AI assistant. A flag such as --listen can be given as STEWARD_LISTEN too.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

Listen = Annotated[
    str | None, typer.Option(help="HOST:PORT to serve on; port 0 takes a free one. Default 127.0.0.1:50051.")
]
Data = Annotated[Path | None, typer.Option(help="Directory of the store, made when missing. Default steward-data.")]
Insecure = Annotated[bool | None, typer.Option("--insecure", help="Serve without TLS beyond this machine.")]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error. Default info.")]


@app.command(short_help="Serve until SIGTERM or SIGINT.")
def serve(listen: Listen = None, data: Data = None, insecure: Insecure = None, log_level: LogLevel = None) -> None:
    """Serve until SIGTERM or SIGINT, then write what waits and exit with 0."""
    run(settings.load(listen=listen, data=data, insecure=insecure, log_level=log_level))


@app.command()
def config(listen: Listen = None, data: Data = None, insecure: Insecure = None, log_level: LogLevel = None) -> None:
    """Print the settings in force, secrets masked, and what each means."""
    chosen = settings.load(listen=listen, data=data, insecure=insecure, log_level=log_level)
    for name, field in settings.Config.model_fields.items():
        value = getattr(chosen, name)
        typer.echo(f"STEWARD_{name.upper()}={'' if value is None else value}  # {field.description}")


@app.command(short_help="Bring the store's schema up to date without serving.")
def migrate(data: Data = None) -> None:
    """Bring the schema of a store up to date without serving, and say what was done."""
    applied, version = migrate_store(settings.load(data=data))
    typer.echo(f"applied {', '.join(applied) or 'nothing'}; the schema is {version}")


@app.command(short_help="Restore a backup while no daemon serves the store.")
def restore(
    source: Annotated[str, typer.Argument(metavar="FILE|ID", help="A backup: a downloaded file, or an id.")],
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be lost and gained.")] = False,  # noqa: FBT002
    foreign: Annotated[bool, typer.Option("--foreign", help="Take one of another store or privacy key.")] = False,  # noqa: FBT002
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,  # noqa: FBT002
) -> None:
    """
    Restore a backup into a store that no daemon serves, all or nothing, and say what was done.

    A store is made where there is none; put its privacy key there first. What was before is a safety backup, or, where
    it is damaged, kept beside it.
    """
    config = settings.load(data=data, log_level="error")
    if not (dry_run or yes):
        _tell(*restore_store(config, source, dry_run=True, foreign=foreign))
        typer.confirm(f"Replace what is in {config.data} by {source}?", abort=True, err=True)
    _tell(*restore_store(config, source, dry_run=dry_run, foreign=foreign))


def _tell(found: Restoration, damaged: Path | None) -> None:
    """Print what a restore did, or would do; also to a store that is *damaged*, the file of which is there."""
    for each in found.tables:
        if each.rows_before or each.rows_after:
            typer.echo(f"{each.name}: {each.rows_before} rows before, {each.rows_after} after")
    before, after = (
        f"{each:%Y-%m-%d %H:%M:%S} UTC" if each else "none" for each in (found.newest_before, found.newest_after)
    )
    typer.echo(f"newest interaction: {before} before, {after} after")
    if found.restore is None:
        if damaged is not None:
            typer.echo(f"{damaged} cannot be read, so nobody knows what would be lost; it would be set aside")
        return
    safety = found.restore.safety_backup_id
    was = f"the backup {safety}" if safety else f"{damaged}, which is damaged" if damaged else "nothing"
    typer.echo(f"restored {found.backup.id}; what was before is {was}")


def main() -> None:
    """Run the command line: errors are one line, and status 1."""
    try:
        app()
    except Error as error:
        rules = "; ".join(f"{each.field}: {each.rule}" for each in error.violations)
        print(f"stewardd: {rules or error.message}", file=sys.stderr)  # noqa: T201 -- a command line talks
        sys.exit(1)
