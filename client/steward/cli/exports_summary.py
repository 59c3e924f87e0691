"""
`steward export summary`: the figures of a window in one file.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from steward.cli.options import QueryTypes, Roles, Since, Until, chosen, client
from steward.cli.parts import Part
from steward.errors import FailedPrecondition
from steward.types import ExportFormat

FORMATS = {"json": ExportFormat.JSON, "csv": ExportFormat.CSV}
STDOUT = Path("-")


def parse_format(text: str) -> ExportFormat:
    """Return the format named *text*."""
    if text.lower() not in FORMATS:
        raise typer.BadParameter(f"must be one of {', '.join(FORMATS)}")
    return FORMATS[text.lower()]


def summary(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    query_type: QueryTypes = None,
    form: Annotated[
        ExportFormat, typer.Option("--format", parser=parse_format, metavar="FORMAT", help="json or csv.")
    ] = "json",  # type: ignore[assignment] # typer parses the default too
    raw: Annotated[  # noqa: FBT002
        bool, typer.Option("--raw", help="Leave cells of CSV that a spreadsheet would take for a formula as they are.")
    ] = False,
    output: Annotated[Path, typer.Option(metavar="FILE|-", help="Where to; - is the standard output.")] = STDOUT,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,  # noqa: FBT002
) -> None:
    """Export the figures of a window, by default the last 30 days, as one file."""
    if output != STDOUT and output.exists() and not force:
        raise FailedPrecondition(f"{output} is there already: give another --output, or --force")
    meant = chosen(role=role, query_type=query_type, success=None, text="")
    found = client(ctx).export_summary(since=since, until=until, chosen=meant, format=form, raw=raw)
    if output == STDOUT:
        sys.stdout.buffer.write(found.content)
        sys.stdout.flush()
    else:
        with Part(output) as part:
            part.open(None)
            part.write(found.content, "")
            part.finish()
