"""
Puts a daemon together, in order, and takes it apart in the reverse order.
"""

import asyncio
import gc
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from steward import ids
from steward.errors import FailedPrecondition
from steward.types import Restoration
from stewardd import policy
from stewardd import restore as restoring
from stewardd.backup import DIRECTORY, Backups, finished, place
from stewardd.config import Config
from stewardd.lock import Lock
from stewardd.privacy import Redactor, load_key
from stewardd.rpc.exports import SCRATCH
from stewardd.rpc.server import Server
from stewardd.store import FILE, Store, copies, refuse_old_sqlite, schema, succession
from stewardd.store.facts import demand_key
from stewardd.telemetry import Telemetry
from stewardd.upgrade import NOT_MIGRATED, upgrade

GARBAGE_AFTER = 20_000  # objects: a batch makes thousands, none in cycles, and looking for those held it up


class App:
    """
    A daemon from `start` to `stop`.

    Invariant: what is stopped first is what calls what is stopped later, so nothing acknowledged is lost on the way.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stack = AsyncExitStack()
        self.target = ""  # where it listens, as HOST:PORT

    async def start(self) -> None:
        """
        Bring everything up.

        Raises: FailedPrecondition when the directory, key, file or port is not to be had; nothing is then left behind.
        """
        async with AsyncExitStack() as stack:
            config = self._config
            _refuse_taken(config.listen)
            _private(config)
            lock = Lock(config.data)
            stack.callback(lock.release)
            telemetry = Telemetry(level=config.log_level)
            stack.callback(telemetry.close)
            refuse_old_sqlite(allowed=config.allow_old_sqlite)
            store, applied = await asyncio.to_thread(_opened, config, telemetry)
            stack.push_async_callback(asyncio.to_thread, store.close)
            redactor = _redactor(config, fresh=store.fresh)
            await store.claim(redactor)
            backups = Backups(config.data / DIRECTORY, redactor=redactor)
            await asyncio.to_thread(backups.clear)
            await store.change(policy.begun(datetime.now(UTC)))
            server = Server(
                config=config,
                store=store,
                backups=backups,
                redactor=redactor,
                telemetry=telemetry,
                key_source="STEWARD_PRIVACY_KEY" if config.privacy_key else "DATA/privacy.key",
            )
            await server.start()
            stack.push_async_callback(server.stop, grace=config.stop_seconds)
            self.target = f"{config.listen.rpartition(':')[0]}:{server.port}"
            lock.say(listen=self.target)
            telemetry.log.info("server.serving", listen=self.target, data=str(config.data), migrations=applied)
            stack.callback(telemetry.log.info, "server.stopping")
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Take no more calls, answer those under way, write what waits, and let go of everything."""
        await self._stack.aclose()


def _refuse_taken(address: str) -> None:
    """Raise FailedPrecondition when *address* is taken, before anything is made for nothing."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host.strip("[]"), int(port)), family=family).close()
    except OSError as error:
        raise FailedPrecondition(f"{address} cannot be listened on: {_why(error)}. Give another --listen") from None


def _why(error: OSError) -> str:
    number = error.errno or 0  # below 0 it is the resolver's, which has its own words
    return os.strerror(number).lower() if number > 0 else str(error.strerror)


def _private(config: Config) -> None:
    try:
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FailedPrecondition(f"{config.data} cannot be made: {error.strerror}. Give another --data") from None


def _redactor(config: Config, *, fresh: bool, keep: bool = True) -> Redactor:
    given = config.privacy_key.get_secret_value() if config.privacy_key else None
    return Redactor(load_key(config.data, given=given, fresh=fresh, keep=keep))


def _opened(config: Config, telemetry: Telemetry) -> tuple[Store, list[str]]:
    """Open the store of *config*, brought up to date; return it and what was applied."""

    def backups() -> Backups:
        kept = Backups(config.data / DIRECTORY, redactor=_redactor(config, fresh=False))
        kept.clear()
        return kept

    applied = upgrade(config.data / FILE, backups, now=lambda: datetime.now(UTC))
    store = Store(config.data, telemetry=telemetry)
    return store, [*applied, *store.applied]


def migrate(config: Config) -> tuple[list[str], str]:
    """
    Bring the store of *config* up to date; return what was applied, and the version it has now.

    Raises: FailedPrecondition when a daemon holds the store, or it is not one.
    """
    _private(config)
    with ExitStack() as stack:
        lock = Lock(config.data)
        stack.callback(lock.release)
        telemetry = Telemetry(level=config.log_level)
        stack.callback(telemetry.close)
        refuse_old_sqlite(allowed=config.allow_old_sqlite)
        store, applied = _opened(config, telemetry)
        stack.callback(store.close)
        return applied, store.schema_version


def restore(config: Config, source: str, *, dry_run: bool, foreign: bool) -> tuple[Restoration, Path | None]:
    """
    Restore the backup of the id, or in the file, *source* into the store of *config*, which is made when there is none.

    Return what was done, and where a store is now that is damaged. Raises: FailedPrecondition when a daemon holds the
    store, its key is missing, or as `stewardd.restore.restore`.
    """
    _private(config)
    with ExitStack() as stack:
        lock = Lock(config.data)
        stack.callback(lock.release)
        telemetry = Telemetry(level=config.log_level)
        stack.callback(telemetry.close)
        refuse_old_sqlite(allowed=config.allow_old_sqlite)
        held, directory = config.data / FILE, config.data / DIRECTORY
        path = place(directory, source) if ids.parse(source) else Path(os.path.realpath(source))
        if not os.path.isfile(path):  # noqa: PTH113 -- pathlib's breaks at what is too long to be a name
            raise FailedPrecondition(f"{source} is neither a file nor the id of a backup")
        redactor = _redactor(config, fresh=foreign and not held.exists(), keep=not dry_run)
        backups = Backups(directory, redactor=redactor)
        aside = copies.is_damaged(held)
        planned = _planned(backups, None if aside else held, path, foreign=foreign)
        if dry_run:
            return planned, held if aside else None
        backups.clear()

        def into(store: Store) -> Restoration:
            with closing(store):
                if not store.fresh:
                    asyncio.run(store.claim(redactor))
                return finished(restoring.restore(backups, store, path, foreign=foreign, now=lambda: datetime.now(UTC)))

        store = None if aside else _migrated(config, telemetry)
        if store is not None:
            return into(store), None
        with _scratch(config) as scratch:
            done = into(Store(scratch, telemetry=telemetry))
            return done, succession.set_aside(held, scratch / FILE)


def _planned(backups: Backups, held: Path | None, source: Path, *, foreign: bool) -> Restoration:
    """Return what a restore will do to the store in the file *held*, if that can be read. Raises: as the restore."""
    before = None if held is None else copies.standing(held)
    if before is not None:
        demand_key(before.key, backups.fingerprint)
        schema.demand_known(before.schema_version, of="the store")
    return restoring.plan(backups, source, before, foreign=foreign)


def _migrated(config: Config, telemetry: Telemetry) -> Store | None:
    """Open the store of *config*, brought up to date; None when that fails because of what is in it."""
    try:
        return _opened(config, telemetry)[0]
    except FailedPrecondition as error:
        if error.reason != NOT_MIGRATED:
            raise
        return None


@contextmanager
def _scratch(config: Config) -> Iterator[Path]:
    """Have the directory of what is under way, beside the store. Which a server clears at start."""
    made = config.data / SCRATCH
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def serve(config: Config) -> None:
    """Run a daemon until SIGTERM or SIGINT. Raises: FailedPrecondition when it cannot start."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config))


async def _serve(config: Config) -> None:
    app, stop = App(config), asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    await app.start()
    gc.freeze()  # what is loaded stays
    gc.set_threshold(GARBAGE_AFTER)
    await stop.wait()
    await app.stop()


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where that is installed."""
    with suppress(ImportError):
        if find_spec("uvloop"):
            import uvloop  # noqa: PLC0415 -- an extra

            factory: type[asyncio.AbstractEventLoop] = uvloop.Loop
            return factory
    return None
