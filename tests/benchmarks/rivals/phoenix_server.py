"""
Phoenix's server, in its own environment, on this machine's loopback alone: given a directory and a file for its log.

Greets with the address of its OTLP port once it is healthy, and leaves when standard input ends, however that came.
"""

import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc.aio

PATIENCE = 180  # s until it must be healthy: it imports for half a minute


def main(directory: str, log: str) -> None:
    """Serve until standard input ends."""
    greeting = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with Path(log).open("wb") as written:
        for number in (1, 2):
            os.dup2(written.fileno(), number)
    web, otlp = free_port(), free_port()
    os.environ.update(
        PHOENIX_WORKING_DIR=directory,
        PHOENIX_HOST="127.0.0.1",
        PHOENIX_PORT=str(web),
        PHOENIX_GRPC_PORT=str(otlp),
        PHOENIX_TELEMETRY_ENABLED="false",
        PHOENIX_ALLOW_EXTERNAL_RESOURCES="false",
        PHOENIX_DISABLE_AGENT_ASSISTANT="true",
        PHOENIX_ENABLE_MCP_SERVER="false",
    )
    threading.Thread(target=leave, daemon=True).start()
    threading.Thread(target=greet, args=(greeting, web, otlp), daemon=True).start()
    bind_to_loopback(otlp)
    from phoenix.server.main import main as phoenix  # noqa: PLC0415 -- it reads the variables as it is imported

    sys.argv[1:] = ["serve"]
    phoenix()


def free_port() -> int:
    """Return a port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def bind_to_loopback(port: int) -> None:
    """Have gRPC's servers bind *port* of the loopback, whatever they ask for: Phoenix asks for all interfaces."""
    make = grpc.aio.server

    def made(*arguments: Any, **options: Any) -> Any:
        server: Any = make(*arguments, **options)
        bind = server.add_insecure_port
        server.add_insecure_port = lambda _: bind(f"127.0.0.1:{port}")
        return server

    grpc.aio.server = made


def leave() -> None:
    """Stop this process when standard input ends."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def greet(greeting: Any, web: int, otlp: int) -> None:
    """Say the address once the server is healthy; end the process when that takes too long."""
    until = time.monotonic() + PATIENCE
    while not healthy(web):
        if time.monotonic() > until:
            print(f"not healthy within {PATIENCE} s", file=sys.stderr, flush=True)
            os._exit(1)
        time.sleep(0.2)
    print(f"127.0.0.1:{otlp}", file=greeting, flush=True)


def healthy(port: int) -> bool:
    """Tell whether it says that it is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
