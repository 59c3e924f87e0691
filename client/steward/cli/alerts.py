"""
`steward alerts`, `alerts set` and `alerts evaluate`.
"""

from typing import Annotated

import typer

from steward.cli import show
from steward.cli.options import Json, Limit, Since, Until, client, given, names, parser
from steward.cli.watching import Watch, follow
from steward.types import Alert, AlertEvent, AlertMetric, AlertOperator, AlertRule

app = typer.Typer()

RULE = (
    "name",
    "state",
    "metric",
    "operator",
    "threshold",
    "last_value",
    "since",
    "last_triggered_at",
    "cooldown_seconds",
    "enabled",
)
ALERT = ("started_at", "ended_at", "rule", "severity", "metric", "value", "operator", "threshold")
SIGNS = {AlertOperator.GT: ">", AlertOperator.LT: "<", AlertOperator.EQ: "="}
WATCHING = {"watch", "heartbeat", "json"}


@app.callback(invoke_without_command=True)
def alerts(  # noqa: PLR0917 -- an option for each way to choose
    ctx: typer.Context,
    since: Since = None,
    until: Until = None,
    rule: Annotated[list[str] | None, typer.Option(help="Of this rule; may be given several times.")] = None,
    firing: Annotated[bool, typer.Option("--firing", help="Only those that are firing.")] = False,  # noqa: FBT002
    limit: Limit = 20,
    watch: Watch = False,  # noqa: FBT002
    heartbeat: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="With --watch --json: a line after so long without any; 0.1 to 300, default 15.",
        ),
    ] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Show the alert rules, how they are, and the latest alerts; or watch what happens to them.

    --watch tells first what is firing. With --json it prints a document a line, heartbeats too.
    """
    typed = given(ctx)
    if ctx.invoked_subcommand is not None:
        _refuse(typed, f"goes with `steward alerts` alone: options of {ctx.invoked_subcommand} come after it")
        return
    if watch:
        _refuse(typed - WATCHING, "does not go with --watch")
        follow(client(ctx).watch_alerts(heartbeat_seconds=heartbeat), show.line if json else _tell)
        return
    _refuse(typed & {"heartbeat"}, "goes with --watch")
    asked = client(ctx)
    rules = asked.list_alert_rules()
    size = min(limit + 1, 1000)
    found = asked.list_alerts(since=since, until=until, rules=rule or (), firing=firing, page_size=size)
    shown, more = show.cut(found, limit=limit)
    if json:
        show.document({"rules": rules, "alerts": shown, "more": more})
        return
    _tell_rules(rules)
    show.newest(shown, more=more, name="alerts", columns=ALERT, unset="still firing")


def _refuse(options: set[str], reason: str) -> None:
    if options:
        raise typer.BadParameter(reason, param_hint=", ".join(f"--{each}" for each in sorted(options)))


@app.command("set", short_help="Make an alert rule, or change one.")
def set_(  # noqa: PLR0917 -- an option for each field
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The rule, one that is there or a new one.")],
    metric: Annotated[
        AlertMetric | None,
        typer.Option(
            parser=parser(AlertMetric), metavar="METRIC", help=f"What it watches: {', '.join(names(AlertMetric))}."
        ),
    ] = None,
    operator: Annotated[
        AlertOperator | None,
        typer.Option(parser=parser(AlertOperator), metavar="OPERATOR", help="How it compares: gt, lt or eq."),
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="With what, in the unit of the metric.")] = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Whether it is evaluated.")] = None,
    cooldown: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="How long after it last held it may fire again, at the earliest."),
    ] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Make an alert rule, which needs metric, operator and threshold, or change what is given of one."""
    rule = client(ctx).set_alert_rule(
        name, metric=metric, operator=operator, threshold=threshold, enabled=enabled, cooldown_seconds=cooldown
    )
    show.document(rule) if json else show.record(rule, title="Rule")


@app.command(short_help="Hold the rules against the metrics now.")
def evaluate(ctx: typer.Context, json: Json = False) -> None:  # noqa: FBT002
    """Hold the rules against the metrics now, as the server does by itself all the time, and show what came of it."""
    found = client(ctx).evaluate_alerts()
    if json:
        show.document(found)
        return
    show.record(found.metrics, title=f"Metrics at {show.cell(found.evaluated_at)}")
    _tell_rules(found.rules)
    changed = [each for each in found.events if each.alert is not None]
    columns = ("kind", *(f"alert.{each}" for each in ALERT))
    show.rows(changed, title="What changed by it", columns=columns, unset="still firing")


def _tell_rules(rules: list[AlertRule] | tuple[AlertRule, ...]) -> None:
    show.rows(rules, title="Rules", columns=RULE, unset="never")


def _tell(event: AlertEvent) -> None:
    """Print what happened on a line; that nothing did is not worth one."""
    if event.alert is not None:
        show.said(f"{show.cell(event.occurred_at)}  {event.kind.name}  {_words(event.alert)}")


def _words(alert: Alert) -> str:
    compared = f"{show.cell(alert.value)} {SIGNS.get(alert.operator, '?')} {show.cell(alert.threshold)}"
    return f"{alert.rule}  {alert.severity.name}  {alert.metric.name.lower()} {compared}"
