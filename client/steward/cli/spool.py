"""
`steward spool`: what recorders on this machine keep on disk for a server that was away.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from steward import transport
from steward.cli import show
from steward.cli.backup import Yes, confirm
from steward.cli.options import Connection, Json
from steward.recording import inventory
from steward.recording.inventory import SpoolFile
from steward.recording.spool import default_directory

app = typer.Typer(help="What recorders here keep on disk for a server that was away.", no_args_is_help=True)

Directory = Annotated[
    Path | None,
    typer.Option("--directory", metavar="DIR", help="The spool; by default that in the state directory of this user."),
]
Of = Annotated[
    str | None, typer.Option("--of", metavar="HOST:PORT", help="The server it was for; by default the --target.")
]


@app.command("list")
def list_(directory: Directory = None, json: Json = False) -> None:  # noqa: FBT002
    """List the files of the spool, for every server: what waits, what a recorder is at work on, what was refused."""
    found = inventory.listed(directory or default_directory())
    if json:
        show.document({"files": found})
    else:
        columns = ["target", "name", "state", "records", "stored_bytes", "oldest_at"]
        if any(each.problem for each in found):
            columns.append("problem")
        show.rows(found, title=f"{_words(found)} in the spool", columns=columns)


@app.command()
def replay(ctx: typer.Context, directory: Directory = None, of: Of = None, json: Json = False) -> None:  # noqa: FBT002
    """Send what waits to the --target now; a recorder there would do it by itself."""
    connection: Connection = ctx.obj
    to = transport.target(connection.target)
    found = inventory.replay(directory or default_directory(), of=_of(ctx, of), to=to, timeout=connection.timeout)
    show.document(found) if json else show.record(found, title="Replayed")


@app.command()
def purge(  # noqa: PLR0917 -- an option for each
    ctx: typer.Context,
    directory: Directory = None,
    of: Of = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Only what was refused.")] = False,  # noqa: FBT002
    yes: Yes = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """Delete what is in the spool for the --target, refused or not, once that is confirmed: it is lost then."""
    chosen, target = directory or default_directory(), _of(ctx, of)
    there = [each for each in inventory.listed(chosen) if each.target == target and each.state != "held"]
    going = [each for each in there if each.state == "rejected"] if rejected else there
    confirm(f"Delete {_words(going)} for {target}?", yes=yes or not going)
    gone = inventory.purge(chosen, of=target, rejected_only=rejected)
    show.document({"deleted": gone}) if json else show.said(f"{len(gone)} files are deleted")


def _words(files: Sequence[SpoolFile]) -> str:
    """Say how much is in *files*."""
    uncounted = sum(each.records is None for each in files)
    also = f" and {uncounted} files that cannot be read" if uncounted else ""
    return f"{sum(each.records or 0 for each in files)} records{also}"


def _of(ctx: typer.Context, of: str | None) -> str:
    connection: Connection = ctx.obj
    return transport.target(of or connection.target)
