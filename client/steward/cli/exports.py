"""
`steward export`: what was recorded, as files.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from steward.cli import exports_summary, show
from steward.cli.options import Json, Roles, Since, Until, client, names, parser
from steward.cli.parts import Part
from steward.errors import Error
from steward.exports import FilePart
from steward.types import ExportCompression, ExportFormat, FileChunk, FileHeader, FileTrailer

app = typer.Typer(help="Take out what was recorded, as files.", no_args_is_help=True)

STDOUT = "-"
SHORTEST = 0.001  # s, below which a speed means nothing
SUFFIXES = {f".{each.name.lower()}": each for each in ExportFormat if each} | {".ndjson": ExportFormat.JSONL}
PRESSED = {".gz": ExportCompression.GZIP, ".zst": ExportCompression.ZSTD}

Ask = Callable[[str], Iterator[FilePart]]  # the parts of a file, from a token on

Format = Annotated[
    ExportFormat | None,
    typer.Option(
        "--format",
        parser=parser(ExportFormat),
        metavar="|".join(names(ExportFormat)),
        help="How the file is written. Default: as the suffix of --output says, else csv.",
    ),
]
Compress = Annotated[
    ExportCompression | None,
    typer.Option(
        "--compress",
        parser=parser(ExportCompression),
        metavar="|".join(names(ExportCompression)),
        help="Compress csv, jsonl or json. Default: as the suffix .gz or .zst of --output says.",
    ),
]
Raw = Annotated[
    bool, typer.Option("--raw", help="Leave cells as they are; else = and the like get an apostrophe before them.")
]
Output = Annotated[
    str | None, typer.Option(metavar="FILE|-", help="Where to, - for stdout. Default: what it is called, here.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a broken export of csv or jsonl, asked for alike.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but what went wrong.")]


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of an export."""

    file: str
    rows: int
    bytes: int
    sha256: str


@app.command()
def interactions(  # noqa: PLR0917 -- an option for each
    ctx: typer.Context,
    file_format: Format = None,
    compress: Compress = None,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    raw: Raw = False,  # noqa: FBT002
    output: Output = None,
    force: Force = False,  # noqa: FBT002
    resume: Resume = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Write the interactions into a file.

    It has its name when it is whole; until then it is FILE.part. What is recorded meanwhile is not in it.
    """
    table(ctx, "interactions", file_format, compress, since, until, role, raw, output, force, resume, quiet, json)


@app.command()
def table(  # noqa: PLR0917 -- an option for each
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="interactions, sessions, content, business, metrics, alerts, alert_rules, recorders or recorder_gaps."
        ),
    ],
    file_format: Format = None,
    compress: Compress = None,
    since: Since = None,
    until: Until = None,
    role: Roles = None,
    raw: Raw = False,  # noqa: FBT002
    output: Output = None,
    force: Force = False,  # noqa: FBT002
    resume: Resume = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Write a table into a file.

    It has its name when it is whole; until then it is FILE.part. What is recorded meanwhile is not in it.
    """
    by_format, by_compression = _by_name(output)
    ask = partial(
        _asked,
        client(ctx).export_table_parts,
        table=name,
        format=file_format or by_format,
        compression=compress or (ExportCompression.UNSPECIFIED if file_format in _SELF_PRESSED else by_compression),
        since=since,
        until=until,
        user_roles=tuple(role or ()),
        raw=raw,
    )
    taken(ask, output=output, force=force, resume=resume, quiet=quiet, json=json)


@app.command()
def compliance(  # noqa: PLR0917 -- an option for each
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    purpose: Annotated[str, typer.Option(help="What it is for; it stands in the report, redacted.")] = "",
    output: Output = None,
    force: Force = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Write what an auditor wants to have into a .tar.gz: interactions, sessions, metrics, a report, and SHA256SUMS.

    It has its name when it is whole.
    """
    connected = client(ctx)

    def ask(_: str) -> Iterator[FilePart]:
        return connected.export_compliance_parts(since=since, until=until, purpose=purpose)

    taken(ask, output=output, force=force, resume=False, quiet=quiet, json=json)


_SELF_PRESSED = (ExportFormat.PARQUET, ExportFormat.ARROW, ExportFormat.XLSX)


def _by_name(output: str | None) -> tuple[ExportFormat, ExportCompression]:
    """Return the format and compression that the name of *output* says."""
    suffixes = [each.lower() for each in Path(output or "").suffixes]
    compression = PRESSED.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    kind = SUFFIXES.get(suffixes[-1]) if suffixes else None
    return kind or ExportFormat.CSV, compression or ExportCompression.UNSPECIFIED


def _asked(method: Callable[..., Iterator[FilePart]], token: str, **fields: Any) -> Iterator[FilePart]:
    return method(**fields, resume_token=token)


def taken(ask: Ask, *, output: str | None, force: bool, resume: bool, quiet: bool, json: bool) -> None:
    if output == STDOUT:
        with _progress(quiet=quiet or json) as progress:
            _print(_shown(ask(""), progress))
        return
    path = Path(output) if output is not None else _called(ask)
    with _progress(quiet=quiet or json) as progress:
        done = _write(path, ask, force=force, resume=resume, progress=progress)
    if json:
        show.document(done)
    elif not quiet:
        show.said(f"{done.file}: {done.rows} rows, {done.bytes} bytes, SHA-256 {done.sha256}")


def _called(ask: Ask) -> Path:
    """Return what the server calls the file, in the current directory whatever it says."""
    parts = ask("")
    header = next(parts)
    assert isinstance(header, FileHeader)
    getattr(parts, "close", lambda: None)()
    return Path(Path(header.name).name)


def _write(path: Path, ask: Ask, *, force: bool, resume: bool, progress: Progress) -> Exported:
    with Part(path) as part:
        part.refuse(force=force, resume=resume)
        note = part.note() if resume else None
        for each in _shown(ask(note.token if note else ""), progress):
            match each:
                case FileHeader():
                    part.open(note)
                case FileChunk():
                    part.write(each.data, each.resume_token)
                case FileTrailer():
                    part.finish()
                    return Exported(str(path), each.rows, each.bytes, part.sha256)
    raise AssertionError("an export ends with its trailer")


def _print(parts: Iterator[FilePart]) -> None:
    """Write the bytes of *parts* to stdout as they are."""
    with closing(os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)) as out:
        for each in parts:
            if isinstance(each, FileChunk):
                view = memoryview(each.data)
                try:
                    while view:
                        view = view[out.write(view) :]
                except OSError as error:
                    raise Error(f"stdout cannot be written: {error.strerror}") from None


def _progress(*, quiet: bool) -> Progress:
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("exporting"),
        DownloadColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal)


def _shown(parts: Iterator[FilePart], progress: Progress) -> Iterator[FilePart]:
    task = progress.add_task("exporting", total=None, speed="")
    began, before, size = time.monotonic(), 0, 0
    for each in parts:
        match each:
            case FileHeader():
                began, before = time.monotonic(), each.resumed_rows
                progress.update(task, completed=each.resumed_bytes)
            case FileChunk():
                size += len(each.data)
                speed = _speed(each.rows - before if each.rows else 0, size, time.monotonic() - began)
                progress.update(task, advance=len(each.data), speed=speed)
            case FileTrailer():
                progress.update(task, speed=_speed(each.rows - before, size, time.monotonic() - began))
        yield each


def _speed(rows: int, size: int, seconds: float) -> str:
    """Return how fast so many rows came, or where those are not told, bytes."""
    if rows:
        return f"{rows / max(seconds, SHORTEST):,.0f} rows/s"
    return f"{size / max(seconds, SHORTEST) / 1e6:,.1f} MB/s"


app.command("summary")(exports_summary.summary)
