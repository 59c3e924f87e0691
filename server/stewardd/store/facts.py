"""
The few facts that a store remembers about itself, by name.
"""

import secrets

from peewee import SqliteDatabase

from steward.errors import FailedPrecondition
from stewardd.store.models import Meta


def fact(db: SqliteDatabase, name: str) -> str | None:
    """Return what the store remembers under *name*."""
    row = Meta.select(Meta.value).where(Meta.name == name).tuples().bind(db).first()
    return None if row is None else str(row[0])


def put(db: SqliteDatabase, name: str, value: str) -> str:
    """Have the store remember *value* under *name*; return it."""
    Meta.insert(name=name, value=value).on_conflict(conflict_target=[Meta.name], update={Meta.value: value}).bind(
        db
    ).execute()
    return value


def demand_key(bound: str | None, fingerprint: str) -> None:
    """Raise FailedPrecondition unless a store *bound* to that key is the one of the key with this *fingerprint*."""
    if bound != fingerprint:
        raise FailedPrecondition(
            "this store belongs to another privacy key: its pseudonyms would no longer match. "
            "Put back the key it was made with, as DATA/privacy.key or STEWARD_PRIVACY_KEY"
        )


def new_epoch() -> str:
    """Return an epoch that no store has had."""
    return secrets.token_hex(8)
