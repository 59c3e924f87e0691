"""
BackupService: decode, call, encode.
"""

import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from steward import codec
from steward.types import Backup, BackupProgress, BackupReason, Verification
from steward.v1 import backup_pb2
from steward.v1.backup_service_pb2_grpc import BackupServiceServicer
from stewardd.backup import Backups
from stewardd.privacy import Redactor
from stewardd.rpc.paging import Tokens, size
from stewardd.rpc.readers import Readers
from stewardd.rpc.work import Worker, once
from stewardd.store import Store

_PLACE = struct.Struct(">q36s")  # when it was made, and its id


class BackupService(BackupServiceServicer):
    """Makes backups and shows them."""

    def __init__(self, *, store: Store, backups: Backups, redactor: Redactor, read: Readers, worker: Worker) -> None:
        self._store = store
        self._backups = backups
        self._read = read
        self._worker = worker
        self._tokens = Tokens(redactor, epoch=store.epoch, packing=_PLACE)

    async def CreateBackup(
        self, request: backup_pb2.CreateBackupRequest, context: Any
    ) -> AsyncIterator[backup_pb2.CreateBackupResponse]:
        steps = self._backups.create(self._store.path, reason=BackupReason.MANUAL, now=datetime.now(UTC))
        async for part in self._worker.tell(steps):
            if isinstance(part, Backup):
                yield backup_pb2.CreateBackupResponse(backup=codec.encode(backup_pb2.Backup, part))
            else:
                yield backup_pb2.CreateBackupResponse(progress=_progress(part))

    async def ListBackups(self, request: backup_pb2.ListBackupsRequest, context: Any) -> backup_pb2.ListBackupsResponse:
        limit, after = size(request.page_size), self._tokens.read(request)
        found = await self._read(self._backups.page, reasons=tuple(request.reasons), after=after, limit=limit + 1)
        page, token = self._tokens.page(request, found, limit)
        listed = [codec.encode(backup_pb2.Backup, each) for each in page]
        return backup_pb2.ListBackupsResponse(backups=listed, next_page_token=token)

    async def GetBackup(self, request: backup_pb2.GetBackupRequest, context: Any) -> backup_pb2.GetBackupResponse:
        found = await self._read(self._backups.get, request.id)
        return backup_pb2.GetBackupResponse(backup=codec.encode(backup_pb2.Backup, found))

    async def VerifyBackup(
        self, request: backup_pb2.VerifyBackupRequest, context: Any
    ) -> AsyncIterator[backup_pb2.VerifyBackupResponse]:
        async for part in self._worker.tell(self._backups.verify(request.id, now=datetime.now(UTC))):
            if isinstance(part, Verification):
                yield backup_pb2.VerifyBackupResponse(verification=codec.encode(backup_pb2.Verification, part))
            else:
                yield backup_pb2.VerifyBackupResponse(progress=_progress(part))

    async def DeleteBackup(
        self, request: backup_pb2.DeleteBackupRequest, context: Any
    ) -> backup_pb2.DeleteBackupResponse:
        await self._worker.do(once(self._backups.delete, request.id))
        return backup_pb2.DeleteBackupResponse()


def _progress(part: BackupProgress) -> backup_pb2.BackupProgress:
    return codec.encode(backup_pb2.BackupProgress, part)
