"""
Checks that an export came whole: counts and digests what comes, and holds it against the trailer.

Pure.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from steward import codec
from steward.errors import StreamTruncated
from steward.types import ExportedFile, FileChunk, FileHeader, FileTrailer
from steward.v1 import export_pb2

Batch = export_pb2.InteractionRows | export_pb2.InteractionColumns  # in the layout that was asked for
FilePart = FileHeader | FileChunk | FileTrailer


class ExportCheck:
    """What came of an export so far, over however many streams it was resumed."""

    def __init__(self) -> None:
        self.complete = False
        self.resumable = True  # whether what came can be gone on with, or nothing came yet
        self.token = ""  # goes on behind what came
        self._rows = 0
        self._digest = bytes(32)

    def take(self, message: export_pb2.ExportInteractionsResponse) -> Sequence[Batch]:
        """Return the batch in the next *message*, if one is. Raises: StreamTruncated when it shows that some miss."""
        match message.WhichOneof("part"):
            case "header":
                self._demand(message.header.resumed_rows, self._digest)
            case "batch":
                columns = message.batch.HasField("columns")
                batch = message.batch.columns if columns else message.batch.rows
                self._digest = hashlib.sha256(self._digest + batch.SerializeToString(deterministic=True)).digest()
                self._rows += len(message.batch.columns.seq if columns else message.batch.rows.interactions)
                self.token = message.batch.resume_token
                return (batch,)
            case "trailer":
                self._demand(message.trailer.rows, message.trailer.digest)
                self.complete = True
        return ()

    def end(self) -> None:
        """See that the stream had its trailer. Raises: StreamTruncated when not."""
        if not self.complete:
            raise StreamTruncated(f"the export ended after {self._rows} interactions without its trailer")

    def _demand(self, rows: int, digest: bytes) -> None:
        if rows != self._rows:
            raise StreamTruncated(f"{self._rows} interactions came of {rows}")
        if digest != self._digest:
            raise StreamTruncated(f"the {rows} interactions that came are not those that were sent")


class FileCheck:
    """What came of a file so far, over however many streams it was resumed."""

    def __init__(self) -> None:
        self.complete = False
        self.resumable = True  # as in ExportCheck
        self.token = ""
        self._bytes: int | None = None  # with what came before; not known before the first header
        self._digest = hashlib.sha256()

    def take(self, message: Any) -> Sequence[FilePart]:
        """Return the part in *message*, none for a second header. Raises: StreamTruncated when some is missing."""
        match message.WhichOneof("part"):
            case "header":
                return self._begin(codec.decode(FileHeader, message.header))
            case "chunk":
                chunk = codec.decode(FileChunk, message.chunk)
                self._digest.update(chunk.data)
                self._bytes = (self._bytes or 0) + len(chunk.data)
                self.token = chunk.resume_token
                self.resumable = bool(chunk.resume_token)
                return (chunk,)
            case "trailer":
                return (self._end(codec.decode(FileTrailer, message.trailer)),)
        return ()

    def end(self) -> None:
        """See that the stream had its trailer. Raises: StreamTruncated when not."""
        if not self.complete:
            raise StreamTruncated(f"the file ended after {self._bytes or 0} bytes without its trailer")

    def _begin(self, header: FileHeader) -> Sequence[FileHeader]:
        self._digest = hashlib.sha256()
        if self._bytes is None:
            self._bytes = header.resumed_bytes
            return (header,)
        if header.resumed_bytes != self._bytes:
            raise StreamTruncated(f"the file goes on behind {header.resumed_bytes} bytes, and {self._bytes} came")
        return ()

    def _end(self, trailer: FileTrailer) -> FileTrailer:
        if trailer.bytes != self._bytes:
            raise StreamTruncated(f"{self._bytes or 0} bytes came of {trailer.bytes}")
        if trailer.sha256 != self._digest.digest():
            raise StreamTruncated(f"the {trailer.bytes} bytes that came are not those that were sent")
        self.complete = True
        return trailer


def exported_file(message: export_pb2.ExportSummaryResponse) -> ExportedFile:
    """Return the file in *message*. Raises: StreamTruncated when it is not what was sent."""
    if hashlib.sha256(message.content).digest() != message.sha256:
        raise StreamTruncated(
            f"the {len(message.content)} bytes that came of {message.name} are not those that were sent"
        )
    return ExportedFile(message.name, message.media_type, message.content)
