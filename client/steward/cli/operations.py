"""
`steward health` and `info`.
"""

import time
from typing import Annotated

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from steward.cli import show
from steward.cli.options import Connection, Json, client
from steward.errors import Error, Unavailable
from steward.status import from_call
from steward.transport import channel, target

# As grpc_health_probe has them.
CANNOT_CONNECT, CALL_FAILED, NOT_SERVING = 2, 3, 4
PAUSE = 0.1  # s between looks
LOOK = 2.0  # s that a look may take


def health(
    ctx: typer.Context,
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Wait this long for it to serve.")] = 0.0,
    json: Json = False,  # noqa: FBT002
) -> None:
    """
    Show how the server is, and why.

    Exits with 0 when it serves, 2 when it cannot be connected to, 3 when the call fails, 4 when it does not serve.
    """
    connection: Connection = ctx.obj
    code, message = _served(connection.target, wait)
    if code:
        typer.echo(f"steward: {message}", err=True)
        raise typer.Exit(code)
    try:
        found = client(ctx).get_system_health()
    except Error as error:
        typer.echo(f"steward: {error.message}", err=True)
        raise typer.Exit(CALL_FAILED) from None
    if json:
        show.document({"serving": True, **show.plain(found)})
        return
    show.rows(found.components, title=f"Serving; {found.status.name}", columns=("name", "status", "reason"))
    figures = [figure for each in found.components for figure in each.figures]
    show.rows(figures, title="Figures", columns=("name", "value", "unit"))


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
    show.console.print("\n".join(f"[bold]{name}[/] {show.cell(getattr(found, name))}" for name in names))
    show.record(limits, title="Limits")
    show.rows(rpcs, title="RPCs since start", columns=("method", "calls", "errors", "mean_seconds", "p99_seconds"))
