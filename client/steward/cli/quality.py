"""
`steward quality`.
"""

import dataclasses
from typing import Annotated

import typer

from steward.cli import show
from steward.cli.options import Json, Since, Until, client
from steward.types import QualityReport, QualityThresholds

THRESHOLDS = tuple(field.name for field in dataclasses.fields(QualityThresholds))


def quality(
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=NUMBER",
            help=f"Change a threshold, for good: {', '.join(THRESHOLDS)}. May be given several times.",
        ),
    ] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show how good the data is and why, with the findings of a window, by default the last 7 days."""
    changes = dict(map(_parse, change or ()))
    asked = client(ctx)
    if changes:
        asked.set_quality_thresholds(**changes)
    found = asked.get_quality_report(since=since, until=until)
    show.document(found) if json else _tell(found)


def _parse(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    if name not in THRESHOLDS:
        raise typer.BadParameter(f"must be one of {', '.join(THRESHOLDS)}, then = and a number", param_hint="--set")
    try:
        return name, float(number)
    except ValueError:
        raise typer.BadParameter(f"must be a number after {name}=", param_hint="--set") from None


def _tell(found: QualityReport) -> None:
    figures = ("score", "mean_completeness", "issues", "interactions", "total_interactions")
    show.record(found, title=f"Quality; issues and interactions are those {show.span(found)}", columns=figures)
    show.rows(found.completeness, title="Completeness", columns=("field", "completeness", "missing", "scored"))
    show.rows(found.findings, title="Findings", columns=("severity", "kind", "count", "issues", "message"))
    for each in found.findings:
        if each.sessions:
            show.said(f"{each.kind.name}: {', '.join(each.sessions)}")
    show.rows(found.recommendations, title="Recommendations", columns=("kind", "message"))
    show.record(found.thresholds, title="Thresholds; --set changes them")
