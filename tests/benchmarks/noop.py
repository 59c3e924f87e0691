"""
The baseline of single calls: a server with the same method and messages that does nothing. Says its address.
"""

import asyncio
import sys
from typing import Any

import grpc

from steward.v1 import data_management_service_pb2, ingest_pb2
from tests.benchmarks.load import run

SERVICE = data_management_service_pb2.DESCRIPTOR.services_by_name["DataManagementService"].full_name
RECEIPT = ingest_pb2.Receipt(
    interaction_id="0190163d-8694-739b-aea5-966c26f8ad91", seq=1_000_000, session="0123456789abcdef0123456789abcdef"
)
RECEIPT.recorded_at.GetCurrentTime()


async def record_interaction(
    _request: ingest_pb2.RecordInteractionRequest, _context: Any
) -> ingest_pb2.RecordInteractionResponse:
    """Answer at once."""
    return ingest_pb2.RecordInteractionResponse(receipt=RECEIPT)


async def main() -> None:
    """Serve until standard input ends."""
    handler = grpc.unary_unary_rpc_method_handler(
        record_interaction,
        request_deserializer=ingest_pb2.RecordInteractionRequest.FromString,
        response_serializer=ingest_pb2.RecordInteractionResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"RecordInteraction": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


if __name__ == "__main__":
    run(main())
