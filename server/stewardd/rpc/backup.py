"""
BackupService: decode, call, encode.
"""

import hashlib
import struct
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from steward import codec
from steward.errors import FailedPrecondition
from steward.types import Backup, BackupProgress, BackupReason, BackupStatus, Restoration, Verification
from steward.v1 import backup_pb2, export_pb2
from steward.v1.backup_service_pb2_grpc import BackupServiceServicer
from stewardd import restore
from stewardd.backup import SUFFIX, Backups
from stewardd.packing import Steps
from stewardd.policy import PolicyChange, current, due_at, set_policy
from stewardd.privacy import Redactor
from stewardd.rpc.exports import Exports
from stewardd.rpc.paging import Tokens, size
from stewardd.rpc.readers import Readers
from stewardd.rpc.work import Worker, once
from stewardd.store import Store, copies

AGAIN = 300.0  # s after which what failed is tried again
_OFFSET = struct.Struct(">q")
_PLACE = struct.Struct(">q36s")  # when it was made, and its id


class BackupService(BackupServiceServicer):
    """Makes backups and shows them."""

    def __init__(
        self, *, store: Store, backups: Backups, redactor: Redactor, read: Readers, worker: Worker, exports: Exports
    ) -> None:
        self._store = store
        self._backups = backups
        self._read = read
        self._worker = worker
        self._exports = exports
        self._not_before = 0.0  # by the monotonic clock
        # Without an epoch: a backup is the same whatever becomes of the store.
        self._downloads = Tokens(
            redactor, epochs=("",), purpose="download", packing=_OFFSET, field="resume_token", beside=()
        )
        self._tokens = Tokens(redactor, epochs=store.epochs, packing=_PLACE)

    async def keep_to_the_policy(self) -> None:
        """Make a backup, verify it and prune, if the policy wants one now. What fails is tried again later."""
        if self._worker.busy or time.monotonic() < self._not_before:
            return
        policy, backups = await self._read(current, self._store), await self._read(self._backups.listed)
        due = due_at(policy, backups, now=datetime.now(UTC))
        if due is None or due > datetime.now(UTC):
            return
        self._not_before = time.monotonic() + AGAIN
        in_force = partial(current, self._store)
        work = self._backups.make_scheduled(self._store.path, in_force, now=lambda: datetime.now(UTC))
        verification = await self._worker.do(work)
        self._not_before = 0.0
        if not verification.passed:
            raise FailedPrecondition("the backup did not pass when it was verified", reason="BACKUP_DAMAGED")

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

    async def PruneBackups(
        self, request: backup_pb2.PruneBackupsRequest, context: Any
    ) -> backup_pb2.PruneBackupsResponse:
        policy = await self._read(current, self._store)
        prune = partial(self._backups.prune, policy, dry_run=request.dry_run, now=datetime.now(UTC))
        decided = await (self._read(prune) if request.dry_run else self._worker.do(once(prune)))
        encoded = [codec.encode(backup_pb2.PruneDecision, each) for each in decided]
        return backup_pb2.PruneBackupsResponse(decisions=encoded)

    async def DownloadBackup(
        self, request: backup_pb2.DownloadBackupRequest, context: Any
    ) -> AsyncIterator[backup_pb2.DownloadBackupResponse]:
        found = self._downloads.read(request)
        with self._exports.place():
            wanted, whole = await self._read(self._backups.file, request.id)
            place, digest = found[0] if found else 0, hashlib.sha256()
            yield backup_pb2.DownloadBackupResponse(header=_header(wanted, place))
            while data := await self._read(self._backups.block, request.id, place):
                self._exports.go_on()
                place += len(data)
                digest.update(data)
                chunk = export_pb2.FileChunk(data=data, resume_token=self._downloads.make(request, (place,)))
                yield backup_pb2.DownloadBackupResponse(chunk=chunk)
            trailer = export_pb2.FileTrailer(rows=_interactions(wanted), bytes=whole, sha256=digest.digest())
            yield backup_pb2.DownloadBackupResponse(trailer=trailer)

    async def GetBackupStatus(
        self, request: backup_pb2.GetBackupStatusRequest, context: Any
    ) -> backup_pb2.GetBackupStatusResponse:
        policy = await self._read(current, self._store)
        standing = await self._read(self._backups.standing)
        status = BackupStatus(
            policy=policy,
            backups=len(standing.backups),
            stored_bytes=sum(each.stored_bytes for each in standing.backups),
            damaged=standing.damaged,
            last=standing.last,
            last_verified=standing.last_verified,
            due_at=due_at(policy, standing.backups, now=datetime.now(UTC)),
            running=self._worker.busy,
        )
        return backup_pb2.GetBackupStatusResponse(status=codec.encode(backup_pb2.BackupStatus, status))

    async def SetBackupPolicy(
        self, request: backup_pb2.SetBackupPolicyRequest, context: Any
    ) -> backup_pb2.SetBackupPolicyResponse:
        wanted = codec.decode(PolicyChange, request)
        policy = await self._store.change(set_policy(wanted, now=datetime.now(UTC)))
        return backup_pb2.SetBackupPolicyResponse(policy=codec.encode(backup_pb2.BackupPolicy, policy))

    async def RestoreBackup(
        self, request: backup_pb2.RestoreBackupRequest, context: Any
    ) -> AsyncIterator[backup_pb2.RestoreBackupResponse]:
        source = self._backups.source(request.id)
        if request.dry_run:
            steps: Steps[Restoration] = once(self._planned, source, foreign=request.foreign)
        else:
            now = partial(datetime.now, UTC)
            steps = restore.restore(self._backups, self._store, source, foreign=request.foreign, now=now)
        async for part in self._worker.tell(steps):
            if isinstance(part, Restoration):
                yield backup_pb2.RestoreBackupResponse(restoration=codec.encode(backup_pb2.Restoration, part))
            else:
                yield backup_pb2.RestoreBackupResponse(progress=_progress(part))

    def _planned(self, source: Path, *, foreign: bool) -> Restoration:
        before = copies.contents(self._store.path, shared=True)
        return restore.plan(self._backups, source, before, foreign=foreign)

    async def ListRestores(
        self, request: backup_pb2.ListRestoresRequest, context: Any
    ) -> backup_pb2.ListRestoresResponse:
        found = await self._read(restore.restores, self._store)
        return backup_pb2.ListRestoresResponse(restores=[codec.encode(backup_pb2.Restore, each) for each in found])


def _header(backup: Backup, place: int) -> export_pb2.FileHeader:
    return export_pb2.FileHeader(
        name=f"{backup.id}{SUFFIX}",
        media_type="application/zstd",
        schema_version=backup.schema_version,
        epoch=backup.epoch,
        resumed_bytes=place,
    )


def _interactions(backup: Backup) -> int:
    return next((each.rows for each in backup.tables if each.name == "interaction"), 0)


def _progress(part: BackupProgress) -> backup_pb2.BackupProgress:
    return codec.encode(backup_pb2.BackupProgress, part)
