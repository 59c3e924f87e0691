"""
The command line of the client: `steward`.

Exit codes: 0 done, 1 failed, 2 wrong usage; those of `steward health` are told in its help. Ctrl-C ends a watch with 0.
"""

import sys

import typer

from steward.cli import (
    alerts,
    backup,
    exports,
    figures,
    imports,
    insights,
    interactions,
    operations,
    performance,
    quality,
    reports,
    spool,
)
from steward.cli.options import Connection, Target, Timeout, whole
from steward.errors import Error

app = typer.Typer(
    help="Record what an assistant learns, and ask a Steward for it. Each command takes --json. Tables are in UTC.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def connect(ctx: typer.Context, target: Target = None, timeout: Timeout = 10.0) -> None:
    """Record what an assistant learns, and ask a Steward for it."""
    ctx.obj = Connection(target, timeout)


for each in (
    interactions.record,
    interactions.rate,
    interactions.list_,
    interactions.get,
    figures.session,
    figures.sessions,
    figures.summary,
    insights.insights,
    insights.questions,
    insights.suggest,
    reports.content,
    reports.business,
    quality.quality,
    performance.performance,
    operations.health,
    operations.info,
):
    app.command(each.__name__.rstrip("_"), short_help=whole(each))(each)
app.add_typer(alerts.app, name="alerts", short_help=whole(alerts.alerts))
app.add_typer(backup.app, name="backup")
app.add_typer(imports.app, name="import")
app.add_typer(exports.app, name="export")
app.add_typer(spool.app, name="spool")


def main() -> None:
    """Run the command line: errors are one line, and status 1."""
    try:
        app()
    except Error as error:
        print(f"steward: {_line(error)}", file=sys.stderr)  # noqa: T201 -- a command line talks
        sys.exit(1)
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # what we print cannot be written
        print(f"steward: {error.strerror}", file=sys.stderr)  # noqa: T201 -- see above
        sys.stdout = None  # or the interpreter tries again when it ends
        sys.exit(1)


def _line(error: Error) -> str:
    rules = "; ".join(f"{each.field}: {each.rule}" for each in error.violations)
    return " ".join((rules or error.message).split())
