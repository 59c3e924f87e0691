"""
Files under way: what is streamed of each, read and written step by step on the readers' threads.
"""

import asyncio
import hashlib
import struct
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

from steward import codec
from steward.v1 import export_pb2
from stewardd import compliance, files
from stewardd.files import Piece, Place
from stewardd.privacy import Redactor
from stewardd.rpc.exports import Exports
from stewardd.rpc.paging import Tokens
from stewardd.rpc.readers import Readers
from stewardd.store import Store

SCRATCH = "scratch"  # in the data directory
_PLACE = struct.Struct(">qqqq")

Parts = AsyncGenerator[dict[str, Any], None]  # each the one field of a response


class Files:
    """What exports of files share. They count among the *exports*, and end with them."""

    def __init__(self, exports: Exports, *, store: Store, redactor: Redactor, read: Readers) -> None:
        self._exports = exports
        self._store = store
        self._scratch = store.path.parent / SCRATCH
        files.clear(self._scratch)
        self._read = read
        self._redactor = redactor
        self._tokens = Tokens(
            redactor, epochs=store.epochs, purpose="export", packing=_PLACE, field="resume_token", beside=()
        )

    async def table(self, request: export_pb2.ExportTableRequest) -> Parts:
        """Yield the parts of the file that *request* asks for. Raises: InvalidArgument, ResourceExhausted."""
        file = files.choose(
            request.table,
            file_format=request.format,
            compression=request.compression,
            since=codec.to_optional_time(request, "since"),
            until=codec.to_optional_time(request, "until"),
            user_roles=tuple(request.user_roles),
            raw=request.raw,
            now=datetime.now(UTC),
        )
        found = self._tokens.read(request)
        with self._exports.place():
            place = Place(*found) if found else await self._read(file.begin, self._store)
            yield {"header": self._header(file.name, file.media_type, place)}
            steps = _Steps(file.pieces(self._store, place, scratch=self._scratch), place)
            async with aclosing(self._run(steps)) as pieces:
                async for piece in pieces:
                    token = self._tokens.make(request, astuple(piece.place)) if file.resumable else ""
                    yield {"chunk": export_pb2.FileChunk(data=piece.data, resume_token=token)}
            yield {"trailer": steps.trailer()}

    async def compliance(self, request: export_pb2.ExportComplianceRequest) -> Parts:
        """Yield the parts of the archive that *request* asks for. Raises: InvalidArgument, ResourceExhausted."""
        bundle = compliance.choose(
            since=codec.to_optional_time(request, "since"),
            until=codec.to_optional_time(request, "until"),
            purpose=request.purpose,
            redactor=self._redactor,
            now=datetime.now(UTC),
        )
        with self._exports.place():
            place = Place(0, 0, 0, 0)
            yield {"header": self._header(compliance.NAME, compliance.MEDIA_TYPE, place)}
            steps = _Steps(bundle.pieces(self._store, scratch=self._scratch), place)
            async with aclosing(self._run(steps)) as pieces:
                async for piece in pieces:
                    yield {"chunk": export_pb2.FileChunk(data=piece.data)}
            yield {"trailer": steps.trailer()}

    def _header(self, name: str, media_type: str, place: Place) -> export_pb2.FileHeader:
        return export_pb2.FileHeader(
            name=name,
            media_type=media_type,
            schema_version=self._store.schema_version,
            epoch=self._store.epoch,
            resumed_rows=place.rows,
            resumed_bytes=place.bytes,
        )

    async def _run(self, steps: "_Steps") -> AsyncGenerator[Piece, None]:
        """Yield what *steps* bring, the next one always under way; close them at the end, however it comes."""
        ahead = asyncio.ensure_future(self._read(steps.take))
        try:
            while (piece := await ahead) is not None:
                self._exports.go_on()
                ahead = asyncio.ensure_future(self._read(steps.take))
                if piece.data:
                    yield piece
        finally:
            ahead.cancel()
            await asyncio.shield(asyncio.ensure_future(self._read(steps.close)))


class _Steps:
    """The steps of one file, one at a time on whatever thread."""

    def __init__(self, pieces: Iterator[Piece], place: Place) -> None:
        self._pieces = pieces
        self._place = place
        self._digest = hashlib.sha256()
        self._one = threading.Lock()

    def take(self) -> Piece | None:
        """Return what the next step brings, None at the end."""
        with self._one:
            piece = next(self._pieces, None)
            if piece is not None:
                self._digest.update(piece.data)
                self._place = piece.place
            return piece

    def trailer(self) -> export_pb2.FileTrailer:
        """Return what there was in all."""
        return export_pb2.FileTrailer(rows=self._place.rows, bytes=self._place.bytes, sha256=self._digest.digest())

    def close(self) -> None:
        """Let go of what the file holds, after the step that is under way."""
        with self._one:
            if isinstance(self._pieces, Generator):
                self._pieces.close()
