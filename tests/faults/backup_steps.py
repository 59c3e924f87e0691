"""
One thing done to the backups of a store that no server holds, as a process that can be killed at any system call.

    python -m tests.faults.backup_steps DATA create|verify|prune|restore [ID]
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from steward.types import BackupPolicy, BackupReason
from stewardd import config
from stewardd.app import restore
from stewardd.backup import Backups, finished
from stewardd.privacy import Redactor, load_key


def main(data: Path, step: str, backup_id: str = "") -> None:
    """Do the *step*."""
    backups = Backups(data / "backups", redactor=Redactor(load_key(data, given=None, fresh=False)))
    now = datetime.now(UTC)
    match step:
        case "create":
            finished(backups.create(data / "steward.db", reason=BackupReason.MANUAL, now=now))
        case "verify":
            finished(backups.verify(backup_id, now=now))
        case "prune":
            backups.prune(BackupPolicy(keep_last=1), dry_run=False, now=now)
        case "restore":
            restore(config.load(data=data, log_level="error"), backup_id, dry_run=False, foreign=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
