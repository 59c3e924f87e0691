"""
The parts of exports as they are on the wire. Each is made in a process of its own, from what can be handed there.
"""

import hashlib
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from steward.v1 import export_pb2
from stewardd import compliance as archive
from stewardd import export
from stewardd.compliance import Bundle
from stewardd.export import Progress
from stewardd.files import File, Piece, Place
from stewardd.privacy import Redactor
from stewardd.rpc import batches
from stewardd.rpc.paging import Tokens
from stewardd.store import Reading
from stewardd.store.keyset import Behind

CACHE_KIB = 2048  # of the store: what is read in its order is read once
PROGRESS = struct.Struct(">qqq32s")  # how resume tokens pack a Progress,
PLACE = struct.Struct(">qqqq")  # and a Place


@dataclass(frozen=True, slots=True)
class Origin:
    """What is exported from."""

    path: Path
    epochs: tuple[str, ...]  # the present one first, then those of before it was restored
    schema_version: str
    redactor: Redactor

    def tokens(self, packing: struct.Struct) -> Tokens:
        """Return what makes and reads resume tokens."""
        return Tokens(
            self.redactor, epochs=self.epochs, purpose="export", packing=packing, field="resume_token", beside=()
        )


def interactions(
    origin: Origin, _scratch: Path, asked: bytes, query: Behind, place: tuple[Any, ...] | None
) -> Iterator[bytes]:
    """Yield the parts of the export of the interactions of *query*, behind *place* if that is given."""
    request = export_pb2.ExportInteractionsRequest.FromString(asked)
    tokens = origin.tokens(PROGRESS)
    with closing(Reading(origin.path, cache_kib=CACHE_KIB)) as store:
        progress = Progress(*place) if place else export.begin(store)
        header = export_pb2.ExportHeader(
            schema_version=origin.schema_version,
            epoch=origin.epochs[0],
            last_seq=progress.last_seq,
            filter=request.filter,
            resumed_rows=progress.rows,
        )
        yield export_pb2.ExportInteractionsResponse(header=header).SerializeToString()
        while found := export.page(store, query, progress):
            part = export_pb2.ExportInteractionsResponse()
            content = batches.lay_out(found, part.batch, layout=request.layout)
            progress = export.advanced(progress, found, content)
            part.batch.resume_token = tokens.make(request, astuple(progress))
            yield part.SerializeToString()
    trailer = export_pb2.ExportTrailer(rows=progress.rows, digest=progress.digest)
    yield export_pb2.ExportInteractionsResponse(trailer=trailer).SerializeToString()


def table(origin: Origin, scratch: Path, asked: bytes, file: File, place: tuple[Any, ...] | None) -> Iterator[bytes]:
    """Yield the parts of *file*, behind *place* if that is given."""
    request = export_pb2.ExportTableRequest.FromString(asked)
    tokens = origin.tokens(PLACE)
    with closing(Reading(origin.path, cache_kib=CACHE_KIB)) as store:
        start = Place(*place) if place else file.begin(store)
        stream = _Stream(export_pb2.ExportTableResponse, start)
        yield stream.header(origin, file.name, file.media_type)
        for piece in file.pieces(store, start, scratch=scratch):
            token = tokens.make(request, astuple(piece.place)) if file.resumable else ""
            yield from stream.chunk(piece, token=token)
    yield stream.trailer()


def compliance(origin: Origin, scratch: Path, bundle: Bundle) -> Iterator[bytes]:
    """Yield the parts of the archive *bundle*."""
    with closing(Reading(origin.path, cache_kib=CACHE_KIB)) as store:
        stream = _Stream(export_pb2.ExportComplianceResponse, Place(0, 0, 0, 0))
        yield stream.header(origin, archive.NAME, archive.MEDIA_TYPE)
        for piece in bundle.pieces(
            store, schema_version=origin.schema_version, epoch=origin.epochs[0], scratch=scratch
        ):
            yield from stream.chunk(piece)
    yield stream.trailer()


class _Stream:
    """The parts of one file: adds up what the trailer says."""

    def __init__(self, response: Any, place: Place) -> None:
        self._response = response
        self._place = place
        self._digest = hashlib.sha256()

    def header(self, origin: Origin, name: str, media_type: str) -> bytes:
        header = export_pb2.FileHeader(
            name=name,
            media_type=media_type,
            schema_version=origin.schema_version,
            epoch=origin.epochs[0],
            resumed_rows=self._place.rows,
            resumed_bytes=self._place.bytes,
        )
        return self._sent(self._response(header=header))

    def chunk(self, piece: Piece, *, token: str = "") -> Iterator[bytes]:
        self._place = piece.place
        if piece.data:
            self._digest.update(piece.data)
            part = self._response()
            part.chunk.data = piece.data  # in place: it is large
            part.chunk.resume_token = token
            part.chunk.rows = piece.place.rows
            yield self._sent(part)

    def trailer(self) -> bytes:
        place = self._place
        trailer = export_pb2.FileTrailer(rows=place.rows, bytes=place.bytes, sha256=self._digest.digest())
        return self._sent(self._response(trailer=trailer))

    def _sent(self, part: Any) -> bytes:
        serialized: bytes = part.SerializeToString()
        return serialized
