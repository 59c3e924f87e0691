"""
Takes what the SDK of Langfuse sends, in place of its server, and keeps it; in the SDK's environment, to read it.

Greets with its URL, then answers each line with how many observations have come.
"""

import gzip
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TAKEN: list[bytes] = []  # bodies as they came: they are read when somebody asks, not while a loop is timed


class Handler(BaseHTTPRequestHandler):
    """Says yes to everything."""

    protocol_version = "HTTP/1.1"  # connections stay open

    def do_POST(self) -> None:
        """Keep the body."""
        TAKEN.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def count(body: bytes) -> int:
    """Return how many spans there are in the gzipped *body*."""
    request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def main() -> None:
    """Answer until standard input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    for _ in sys.stdin:
        print(sum(map(count, TAKEN)), flush=True)


if __name__ == "__main__":
    main()
