"""
`steward health` and `info`.
"""

import time
from dataclasses import dataclass
from typing import Annotated, Any

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from steward.cli import show
from steward.cli.options import Connection, Json, client
from steward.cli.watching import Watch, follow
from steward.errors import Error, Unavailable
from steward.status import from_call
from steward.transport import channel, target
from steward.types import ComponentStatus, HealthScore, SystemHealth

# As grpc_health_probe has them.
CANNOT_CONNECT, CALL_FAILED, NOT_SERVING = 2, 3, 4
PAUSE = 0.1  # s between looks
LOOK = 2.0  # s that a look may take
UNITS = {"By": "bytes", "1": ""}  # of UCUM; what it has in braces is plain already


def health(
    ctx: typer.Context,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Wait this long for it to serve.")] = 0.0,
    watch: Watch = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Show how the server is, and why: its components, and its score with every reason why it is not 1.

    Exits with 0 when it serves, 2 when it cannot be connected to, 3 when the call fails, 4 when it does not serve.
    """
    connection: Connection = ctx.obj
    code, message = _served(connection.target, wait)
    if code:
        typer.echo(f"steward: {message}", err=True)
        raise typer.Exit(code)
    asked = client(ctx)
    try:
        if watch:
            follow(asked.watch_system_health(), _document_line if json else _line)
        else:
            found = asked.get_system_health()
            show.document(_document(found)) if json else _tell(found)
    except Error as error:
        if watch and isinstance(error, Unavailable):  # it stopped: as for any watch
            raise
        typer.echo(f"steward: {error.message}", err=True)
        raise typer.Exit(CALL_FAILED) from None


def _document(found: SystemHealth) -> dict[str, Any]:
    return {"serving": True, **show.plain(found)}


def _document_line(found: SystemHealth) -> None:
    show.line(_document(found))


def _tell(found: SystemHealth) -> None:
    show.rows(found.components, title=f"Serving; {found.status.name}", columns=("name", "status", "reason"))
    figures = [
        _Measured(each.name, figure.name, figure.value, UNITS.get(figure.unit, figure.unit.strip("{}")))
        for each in found.components
        for figure in each.figures
    ]
    show.rows(figures, title="Figures", columns=("component", "name", "value", "unit"))
    tell_score(found.score)


def _line(found: SystemHealth) -> None:
    """Print how the server is on a line, with the components that are not as they should be."""
    poor = "; ".join(f"{each.name}: {each.reason}" for each in found.components if each.status > ComponentStatus.OK)
    known = "" if found.score.has_data else ", no data yet"
    score = f"score {show.cell(found.score.value)}{known}"
    show.said("  ".join(filter(None, (show.cell(found.checked_at), found.status.name, score, poor))))


@dataclass(frozen=True)
class _Measured:
    component: str
    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class _Deduction:
    part: str
    amount: float
    reason: str


def tell_score(score: HealthScore) -> None:
    """Print *score*, its parts, and every reason why it is not 1."""
    known = "" if score.has_data else ": no data yet"
    show.rows(score.parts, title=f"Score {show.cell(score.value)}{known}", columns=("name", "value"))
    deductions = [_Deduction(part.name, each.amount, each.reason) for part in score.parts for each in part.deductions]
    show.rows(deductions, title="Why it is not 1", columns=("part", "amount", "reason"))


def _served(address: str | None, seconds: float) -> tuple[int, str]:
    """Return the exit code and reason of the last look, after at most *seconds*; code 0 when it serves."""
    deadline = time.monotonic() + seconds
    with channel(target(address)) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        while True:
            code, message = _look(stub, target(address))
            if not code or time.monotonic() + PAUSE > deadline:
                return code, message
            time.sleep(PAUSE)


def _look(stub: health_pb2_grpc.HealthStub, address: str) -> tuple[int, str]:
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=LOOK)
    except grpc.RpcError as error:
        failure = from_call(error)
        if isinstance(failure, Unavailable):
            return CANNOT_CONNECT, f"{address} cannot be connected to: is stewardd running there?"
        return CALL_FAILED, failure.message
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        return NOT_SERVING, f"{address} is not serving"
    return 0, ""


def info(ctx: typer.Context, json: Json = False) -> None:  # noqa: FBT002
    """Show what server it is: versions, limits, and how its RPCs have fared since it started."""
    found = client(ctx).get_server_info()
    if json:
        show.document(found)
        return
    limits, rpcs = found.limits, found.rpcs
    names = [name for name in show.plain(found) if name not in ("limits", "rpcs")]
    show.record(found, title="Server", columns=names)
    show.record(limits, title="Limits")
    show.rows(rpcs, title="RPCs since start", columns=("method", "calls", "errors", "mean_seconds", "p99_seconds"))
