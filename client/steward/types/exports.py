"""
Exports: how a file is written, and the parts in which it comes.
"""

from dataclasses import dataclass
from enum import IntEnum

FORMULA_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # what a spreadsheet may take for the start of a formula


class ExportFormat(IntEnum):
    """How a file is written."""

    UNSPECIFIED = 0  # CSV
    CSV = 1
    JSONL = 2  # a JSON object a line
    JSON = 3  # one array of objects
    PARQUET = 4
    ARROW = 5  # Arrow's IPC stream
    XLSX = 6


class ExportCompression(IntEnum):
    """How CSV, JSON Lines or JSON is compressed."""

    UNSPECIFIED = 0  # not at all
    GZIP = 1
    ZSTD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHeader:
    """What a file is. Comes first."""

    name: str  # without a directory
    media_type: str
    schema_version: str
    epoch: str  # of the store
    resumed_rows: int
    resumed_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChunk:
    """Some bytes of a file."""

    data: bytes
    resume_token: str  # goes on behind them, '' where that cannot be
    rows: int  # read so far, 0 where that is not told


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTrailer:
    """What there was in all. Comes last."""

    rows: int
    sha256: bytes  # of what came in this stream
    bytes: int  # last, as it hides the type


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file as the server made it."""

    name: str  # what it should be called, without a directory
    media_type: str
    content: bytes
