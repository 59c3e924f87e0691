"""
Recorders that number their records: what came, what never will, and what is missing and for how long.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import given, settings
from hypothesis import strategies as st
from peewee import fn

from steward import Client, Component, ComponentStatus, InvalidArgument, Numbering, NumberRange, Rejection, ids
from stewardd import ingest, recorders
from stewardd.privacy import Redactor
from stewardd.store import Store
from stewardd.store.ledger import MOST_GAPS
from stewardd.store.models import Recorder, RecorderGap
from stewardd.store.ranges import merged, size, without
from stewardd.store.ranges import numbers as spread
from stewardd.store.row import Marks
from stewardd.store.times import micros
from stewardd.telemetry import Telemetry
from stewardd.testing import running_server, wait
from tests.samples import NOON, interaction
from tests.table_files import exported
from tests.test_cli import run

REDACTOR = Redactor(bytes(32))
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
RECORDER = ids.mint()


def ranges(numbers: Iterable[int]) -> tuple[NumberRange, ...]:
    """Return *numbers*, in their order, as ranges."""
    found: list[NumberRange] = []
    for number in numbers:
        if found and found[-1].last + 1 == number:
            found[-1] = NumberRange(found[-1].first, number)
        else:
            found.append(NumberRange(number, number))
    return tuple(found)


def numbering(*numbers: int, forgone: Iterable[int] = (), issued: int = 0, **changes: Any) -> Numbering:
    """Return a numbering of *numbers*, in which as few as can be were *issued* unless said otherwise."""
    given = ranges(forgone)
    least = max((*numbers, *(each.last for each in given)), default=0)
    fields = {"recorder_id": RECORDER, "issued": max(issued, least), **changes}
    return Numbering(numbers=ranges(numbers), forgone=given, **fields)


def record(client: Client, told: Numbering) -> None:
    """Record a good interaction for each number of *told*."""
    wanted = sum(each.last - each.first + 1 for each in told.numbers)
    outcomes = client.record_interactions([interaction() for _ in range(wanted)], numbering=told)
    assert [] == [each for each in outcomes if isinstance(each, Rejection)]


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of a server with no patience for what is under way."""
    with running_server(missing_seconds=0.0) as server, Client(server.target) as connected:
        yield connected


def component(client: Client) -> Component:
    """Return what health says of recorders."""
    (found,) = (each for each in client.get_system_health().components if each.name == "recorders")
    return found


def figures(client: Client) -> dict[str, float]:
    """Return the figures of that, but for how long."""
    return {each.name: each.value for each in component(client).figures if each.name != "longest_missing"}


def gaps(client: Client) -> list[tuple[int, int]]:
    """Return the gaps that are exported, of all recorders."""
    return sorted((int(each["first"]), int(each["last"])) for each in exported(client, "recorder_gaps"))


# Sets of numbers

SETS = st.frozensets(st.integers(1, 40))


@given(SETS, SETS)
def test_ranges_are_the_sets_they_stand_for(some: frozenset[int], others: frozenset[int]) -> None:
    """
    Merging, taking away and counting ranges is doing so with sets of numbers; what comes out does not touch.
    """
    one, other = (merged((each, each) for each in numbers) for numbers in (some, others))

    assert sorted(some) == list(spread(one))
    assert sorted(some | others) == list(spread(merged([*one, *other])))
    assert merged(without(one, other)) == without(one, other)
    assert sorted(some - others) == list(spread(without(one, other)))
    assert len(some) == size(one)


# The accounts against a model


@dataclass
class Model:
    """A recorder as a plain set of numbers says it is."""

    fate: dict[int, str] = field(default_factory=dict)  # of each number that was told: received or forgone
    known_since: dict[int, int] = field(default_factory=dict)  # of each number up to the highest
    issued: int = 0

    def take(self, received: set[int], forgone: set[int], issued: int, now: int) -> None:
        """Take down what a request tells."""
        for number in sorted(received):
            self.fate.setdefault(number, "received")
        for number in sorted(forgone):
            self.fate.setdefault(number, "forgone")
        for number in range(1, max(self.fate, default=0) + 1):
            self.known_since.setdefault(number, now)
        self.issued = max(self.issued, issued)

    def missing(self) -> dict[int, int]:
        """Return since when each number is missing."""
        return {number: since for number, since in self.known_since.items() if number not in self.fate}

    def counted(self, fate: str) -> int:
        """Return how many numbers had this *fate*."""
        return list(self.fate.values()).count(fate)


NUMBERS = st.lists(st.integers(1, 60), max_size=8, unique=True) | st.builds(
    lambda first, length: list(range(first, first + length)), st.integers(1, 60), st.integers(1, 20)
)
REQUEST = st.fixed_dictionaries(
    {
        "who": st.integers(0, 1),
        "numbers": NUMBERS,
        "forgone": NUMBERS,
        "refused": st.sets(st.integers(0, 20), max_size=3),  # which of the interactions are bad
        "ahead": st.integers(0, 5),
        "repeats": st.booleans(),
    }
)


@contextmanager
def opened(directory: Path, now: Any) -> Iterator[Store]:
    """Open the store in *directory*, whose clock is *now*."""
    telemetry = Telemetry(level="error")
    store = Store(directory, telemetry=telemetry, now=now)
    yield store
    store.close()
    telemetry.close()


async def send(store: Store, told: Numbering, refused: Sequence[bool], *, now: datetime) -> None:
    """Record good and *refused* interactions under the numbers of *told*, as the servicer does."""
    made = [interaction(query="" if bad else "How?") for bad in refused]
    prepared = ingest.prepare(made, redactor=REDACTOR, now=now)
    await ingest.store_all(store, prepared, marks=recorders.prepare(told, refused=refused, redactor=REDACTOR))


@given(lives=st.lists(st.lists(REQUEST, max_size=8), max_size=3))
@settings(max_examples=30, deadline=None)
def test_the_accounts_are_those_of_plain_sets(
    lives: list[list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """
    Whatever comes, in whatever order, however often, between restarts too: what is missing, since when, is right.
    """
    directory, names, models = tmp_path_factory.mktemp("store"), (RECORDER, ids.mint()), (Model(), Model())
    now = NOON

    def clock() -> int:
        return micros(now)

    for life in [*lives, []]:
        with opened(directory, clock) as store:
            agree(store, dict(zip(names, models, strict=True)))
            for each in life:
                told = numbering(*each["numbers"], forgone=each["forgone"], recorder_id=names[each["who"]])
                told = replace(told, issued=told.issued + each["ahead"])
                refused = [place in each["refused"] for place in range(len(each["numbers"]))]
                good = {number for number, bad in zip(each["numbers"], refused, strict=True) if not bad}
                for _ in range(1 + each["repeats"]):
                    now += MINUTE
                    wait(send(store, told, refused, now=now))
                    never = {*each["forgone"], *each["numbers"]} - good
                    models[each["who"]].take(good, never, told.issued, micros(now))


def agree(store: Store, models: dict[str, Model]) -> None:
    """See that what *store* says is what the *models* say."""
    columns = (Recorder.number, Recorder.recorder_id, Recorder.issued, Recorder.highest, Recorder.forgone)
    accounts = {ids.spell(bytes(key)): (number, *rest) for number, key, *rest in store.rows(Recorder.select(*columns))}
    received = awaited = 0
    for name, model in models.items():
        assert (name in accounts) or model == Model()
        if name in accounts:
            number, *account = accounts[name]
            query = RecorderGap.select(RecorderGap.first, RecorderGap.last, RecorderGap.since)
            found = store.rows(query.where(RecorderGap.recorder == number).order_by(RecorderGap.first))
            assert model.missing() == {each: since for first, last, since in found for each in range(first, last + 1)}
            assert [model.issued, max(model.fate, default=0), model.counted("forgone")] == account
            received += model.counted("received")
            awaited += len(model.missing()) + model.issued - max(model.fate, default=0)
    standing = recorders.standing(store, patience=timedelta(0), now=NOON + DAY)
    assert (received, awaited) == (standing.received, standing.awaited)
    assert awaited == sum(each.records for each in standing.shortfalls)


# What the operator sees


def test_no_recorder_is_no_trouble(client: Client) -> None:
    """
    Where nobody numbers records, health says so and is well.
    """
    client.record_interactions([interaction()])

    found = component(client)

    assert (ComponentStatus.OK, "no recorder numbers its records") == (found.status, found.reason)


def test_health_names_who_misses_how_many_and_for_how_long(client: Client) -> None:
    """
    A gap is DEGRADED, told by id and name, and the probes go on saying SERVING; when the late ones come, it is well.
    """
    before = datetime.now(UTC)
    record(client, numbering(1, 2, 3, recorder_name="web-1"))
    well = component(client)
    record(client, numbering(7, 8, recorder_name="web-1"))
    short, whole = component(client), client.get_system_health()
    with grpc.insecure_channel(client.target) as channel:
        probed = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    record(client, numbering(6, 4, 5, issued=8, recorder_name="web-1"))
    again = component(client)

    assert (ComponentStatus.OK, "what recorders numbered has come") == (well.status, well.reason)
    reasons = [
        f"recorder {RECORDER} (web-1) misses 3 since {time:%Y-%m-%d %H:%M:%S} UTC"
        for time in (before, before + timedelta(seconds=1), datetime.now(UTC))
    ]
    assert (ComponentStatus.DEGRADED, ComponentStatus.DEGRADED) == (short.status, whole.status)
    assert short.reason in reasons
    told = {each.name: each.value for each in short.figures}
    assert (1, 5, 3, 3) == (told["recorders"], told["received"], told["awaited"], told["missing"])
    assert 0 <= told["longest_missing"] < 60
    assert health_pb2.HealthCheckResponse.SERVING == probed.status
    assert (well.status, well.reason) == (again.status, again.reason)
    assert {"recorders": 1, "received": 8, "awaited": 0, "missing": 0, "forgone": 0, "lost": 0} == figures(client)


def test_the_command_line_shows_it(client: Client) -> None:
    """
    `steward health` has the component with its reason, and exits with 0: the server serves.
    """
    record(client, numbering(3))

    done = run("health", STEWARD_TARGET=client.target)

    assert 0 == done.returncode
    assert "misses 2 since" in " ".join(done.stdout.split())


def test_the_worst_are_named_and_the_rest_counted(client: Client) -> None:
    """
    Of many recorders that miss something, those that miss most are told.
    """
    for missing in range(1, 6):
        record(client, numbering(missing + 1, recorder_id=ids.mint(), recorder_name=f"w{missing}"))

    reason = component(client).reason

    told = [part.partition(" since ")[0].partition("(")[2] for part in reason.split("; ")]
    assert ["w5) misses 5", "w4) misses 4", "w3) misses 3", ""] == told
    assert reason.endswith("; and so do 2 more")


def test_what_is_missing_does_not_change_the_score(client: Client) -> None:
    """
    The score keeps its three parts.
    """
    record(client, numbering(1))
    before = client.get_system_health().score
    record(client, numbering(9))

    assert before.value == client.get_system_health().score.value
    assert ["quality", "performance", "backup"] == [each.name for each in before.parts]


def test_what_may_be_under_way_is_not_missing(tmp_path: Path) -> None:
    """
    Numbers given out are missing when the recorder has been silent for a minute, not while it goes on; and gaps after a
    minute.
    """
    now = NOON

    def after(passed: timedelta) -> tuple[int, list[tuple[int, datetime]]]:
        found = recorders.standing(store, patience=MINUTE, now=NOON + passed)
        return found.awaited, [(each.records, each.since) for each in found.shortfalls]

    with opened(tmp_path, lambda: micros(now)) as store:
        wait(send(store, numbering(1, 2, issued=100), [False] * 2, now=now))
        soon, silent = after(MINUTE - timedelta(seconds=1)), after(MINUTE)
        now = NOON + MINUTE
        wait(send(store, numbering(3, issued=101), [False], now=now))
        busy = after(1.5 * MINUTE)
        wait(send(store, numbering(9, issued=101), [False], now=now))
        young, old = after(1.5 * MINUTE), after(2 * MINUTE)

    assert ((98, []), (98, [(98, NOON)])) == (soon, silent)
    assert (98, []) == busy
    assert ((97, []), (97, [(97, NOON + MINUTE)])) == (young, old)


# What counts as come


def test_a_rejected_interaction_has_arrived(client: Client) -> None:
    """
    The number of a bad interaction of a batch is forgone, in whatever order they come, and nothing is missing.
    """
    sent = [interaction(query="" if number in (2, 6) else "How?") for number in (5, 6, 1, 2, 3, 4)]

    outcomes = client.record_interactions(sent, numbering=numbering(5, 6, 1, 2, 3, 4))

    assert [1, 3] == [place for place, each in enumerate(outcomes) if isinstance(each, Rejection)]
    assert {"recorders": 1, "received": 4, "awaited": 0, "missing": 0, "forgone": 2, "lost": 0} == figures(client)


def test_a_batch_that_fails_whole_changes_nothing(client: Client) -> None:
    """
    All or nothing holds for the numbers too.
    """
    with pytest.raises(InvalidArgument, match=r"interactions\[1\]"):
        client.record_interactions(
            [interaction(), interaction(query="")], all_or_nothing=True, numbering=numbering(1, 2)
        )

    assert ComponentStatus.OK == component(client).status
    assert [] == exported(client, "recorders")


def test_a_recorder_may_tell_of_what_it_dropped_with_nothing_to_record(client: Client) -> None:
    """
    What is forgone closes gaps, and an account without interactions may end there.
    """
    record(client, numbering(1, 2, 5, 8, issued=10))
    open_before = gaps(client)

    outcomes = client.record_interactions([], numbering=numbering(forgone=(3, 4, 7, 9, 10)))

    assert [(3, 4), (6, 7)] == open_before
    assert ([], [(6, 6)]) == (outcomes, gaps(client))
    assert {"recorders": 1, "received": 4, "awaited": 1, "missing": 1, "forgone": 5, "lost": 0} == figures(client)


def test_sending_again_changes_nothing(client: Client) -> None:
    """
    A batch that is repeated under its numbers is counted once, as its interactions are.
    """
    batch, told = [interaction(), interaction()], numbering(4, 5, forgone=(1,))

    for _ in range(3):
        client.record_interactions(batch, numbering=told)

    assert 2 == len(list(client.list_interactions()))
    assert {"recorders": 1, "received": 2, "awaited": 2, "missing": 2, "forgone": 1, "lost": 0} == figures(client)


def test_recorders_do_not_meddle_with_each_other(client: Client) -> None:
    """
    Eight recorders at a time, each in an order of its own: every account is its own.
    """

    def run_one(number: int) -> str:
        name = ids.mint()
        for batch in sorted(range(10), key=lambda each: (each * 7 + number) % 10):
            if batch != number:
                told = [*range(10 * batch + 1, 10 * batch + 11)]
                record(client, numbering(*told, issued=100, recorder_id=name))
        return name

    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(run_one, range(8)))

    found = {each["recorder_id"]: (each["first"], each["last"]) for each in exported(client, "recorder_gaps")}
    assert {name: (str(10 * number + 1), str(10 * number + 10)) for number, name in enumerate(names)} == found
    assert 8 * 90 == figures(client)["received"]


def test_a_change_that_fails_in_a_group_takes_no_number_with_it(tmp_path: Path) -> None:
    """
    Where a neighbour fails, what is recorded with it is stored once, and so are its marks.
    """

    def fails(_db: object) -> None:
        raise ValueError

    async def together(store: Store) -> list[Any]:
        sent = [send(store, numbering(number), [False], now=NOON) for number in (1, 4)]
        return list(await asyncio.gather(sent[0], store.change(fails), sent[1], return_exceptions=True))

    with opened(tmp_path, lambda: micros(NOON)) as store:
        results = wait(together(store))
        found = recorders.standing(store, patience=timedelta(0), now=NOON)

    assert [None, ValueError, None] == [each if each is None else type(each) for each in results]
    assert (2, 2) == (found.received, found.awaited)


def test_a_restore_shows_what_it_lost_as_a_gap(client: Client) -> None:
    """
    What was recorded behind the backup is missing after its restore, from the next batch on, exactly.
    """
    record(client, numbering(1, 2, 3, 6))
    backup = client.create_backup()
    record(client, numbering(4, 5, 7, 8))
    complete = gaps(client)

    client.restore_backup(backup.id)
    restored = gaps(client)
    record(client, numbering(9, 10))

    assert ([], [(4, 5)]) == (complete, restored)
    assert [(4, 5), (7, 8)] == gaps(client)
    assert {"recorders": 1, "received": 6, "awaited": 4, "missing": 4, "forgone": 0, "lost": 0} == figures(client)


# What is refused

FAR = 2**53 - 1
BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"recorder_id": ""}, ["recorder_id"]),
    ({"recorder_id": "a1ce0f3e-1f5b-4a3c-8f43-111111111111"}, ["recorder_id"]),  # a UUIDv4
    ({"recorder_name": "x" * 129}, ["recorder_name"]),
    ({"recorder_name": "two\nlines"}, ["recorder_name"]),
    ({"numbers": ()}, ["numbers"]),
    ({"numbers": (NumberRange(1, 1),)}, ["numbers"]),
    ({"numbers": (NumberRange(0, 1),)}, ["numbers"]),
    ({"numbers": (NumberRange(2, 1), NumberRange(1, 2))}, ["numbers"]),
    ({"numbers": (NumberRange(FAR, FAR + 1),), "issued": FAR}, ["numbers", "issued"]),
    ({"issued": 1}, ["issued"]),
    ({"issued": -1}, ["issued"]),
    ({"issued": FAR + 1}, ["issued"]),
    ({"forgone": (NumberRange(3, 3),)}, ["issued"]),
    ({"forgone": (NumberRange(-1, 1),)}, ["forgone"]),
    ({"forgone": (NumberRange(1, 1),) * 1001}, ["forgone"]),
]


@pytest.mark.parametrize(("changes", "wrong"), BAD, ids=str)
def test_a_numbering_that_breaks_a_rule_is_refused(asked: Client, changes: dict[str, Any], wrong: list[str]) -> None:
    """
    Each wrong field is named, and nothing is stored.
    """
    told = replace(numbering(1, 2), **changes)

    with pytest.raises(InvalidArgument) as refused:
        asked.record_interactions([interaction(), interaction()], numbering=told)

    assert [f"numbering.{name}" for name in wrong] == [each.field for each in refused.value.violations]
    assert [] == exported(asked, "recorders")
    assert [] == list(asked.list_interactions())


def test_a_batch_of_nothing_needs_a_numbering(asked: Client) -> None:
    """
    Without one there has to be an interaction.
    """
    with pytest.raises(InvalidArgument, match="interactions: must be 1 to 1000"):
        asked.record_interactions([])


def test_the_greatest_numbers_are_numbers(client: Client) -> None:
    """
    Up to 2^53 - 1, in one gap.
    """
    record(client, numbering(FAR))

    assert [(1, FAR - 1)] == gaps(client)
    assert float(FAR - 1) == figures(client)["missing"]


def test_a_name_is_redacted(client: Client) -> None:
    """
    A recorder's name passes the redactor as every label does, and the last one told stands.
    """
    record(client, numbering(1, recorder_name="first"))
    record(client, numbering(3, recorder_name="bot of jo@example.com"))

    assert ["bot of [EMAIL_REDACTED]"] == [each["name"] for each in exported(client, "recorders")]
    assert "jo@example.com" not in component(client).reason


# What is kept


def test_accounts_are_exported(client: Client) -> None:
    """
    Recorders and their gaps are tables like the others.
    """
    record(client, numbering(1, 4, issued=6, recorder_name="web-1"))

    (recorder,), (gap,) = exported(client, "recorders"), exported(client, "recorder_gaps")

    assert (RECORDER, "web-1", "6", "4", "0", "0") == tuple(
        recorder[name] for name in ("recorder_id", "name", "issued", "highest", "forgone", "lost")
    )
    assert recorder["first_seen_at"] == recorder["last_seen_at"] == gap["since"]
    assert (RECORDER, "2", "3") == (gap["recorder_id"], gap["first"], gap["last"])


def test_what_is_missing_for_a_month_is_given_up(tmp_path: Path) -> None:
    """
    Its gap goes, its numbers are lost; and a recorder that has been silent for a month is forgotten, gaps and all.
    """
    now = NOON
    other = ids.mint()
    with opened(tmp_path, lambda: micros(now)) as store:
        wait(send(store, numbering(4, recorder_id=other), [False], now=now))
        wait(send(store, numbering(4), [False], now=now))
        now = NOON + DAY
        wait(send(store, numbering(6), [False], now=now))
        found = []
        for days in (30, 31, 32):
            wait(store.change(recorders.tidied(NOON + days * DAY + timedelta(seconds=1))))
            found.append(recorders.standing(store, patience=MINUTE, now=NOON + days * DAY))

    assert [(1, 2, 1, 3), (0, 0, 0, 0), (0, 0, 0, 0)] == [
        (each.recorders, each.received, each.awaited, each.lost) for each in found
    ]
    assert [(1,), ()] == [tuple(short.records for short in each.shortfalls) for each in found[:2]]


@pytest.mark.parametrize(("days", "missing", "received"), [(29, 106, 3), (31, 8, 102)])
def test_what_a_forgotten_recorder_told_before_is_not_missing(
    tmp_path: Path, days: int, missing: int, received: int
) -> None:
    """
    Of one that began so long ago that it may have been forgotten, all is taken as come that is below what is heard of
    it first; what comes of that all the same changes nothing.
    """
    old = ids.derive(micros(NOON - days * DAY) // 1000, b"a recorder")
    with opened(tmp_path, lambda: micros(NOON)) as store:
        wait(send(store, numbering(101, 110, recorder_id=old), [False] * 2, now=NOON))
        wait(send(store, numbering(50, forgone=[60], recorder_id=old), [False], now=NOON))
        found = recorders.standing(store, patience=timedelta(0), now=NOON)

    assert (missing, received, [missing]) == (
        found.awaited,
        found.received,
        [each.records for each in found.shortfalls],
    )


def test_a_server_forgets_when_it_starts(tmp_path: Path) -> None:
    """
    However often it is started anew, what is too old goes.
    """
    ago = {days: datetime.now(UTC) - days * DAY for days in (29, 31)}
    for then in ago.values():
        with opened(tmp_path, lambda then=then: micros(then)) as store:
            wait(send(store, numbering(2, recorder_id=ids.mint()), [False], now=then))

    with running_server(tmp_path, privacy_key="00" * 32) as server, Client(server.target) as client:
        kept = exported(client, "recorders")

    assert [f"{ago[29]:%Y-%m-%dT%H:%M:%S}"] == [each["last_seen_at"][:19] for each in kept]


def test_gaps_without_end_are_given_up_from_the_lowest(tmp_path: Path) -> None:
    """
    Whatever a recorder does, only so many of its gaps are kept; the numbers of the others are counted as lost.
    """
    key = ids.parse(RECORDER)
    assert key is not None
    name, _ = REDACTOR.redact("wild")
    last = 2 * (MOST_GAPS + 10)
    with opened(tmp_path, lambda: micros(NOON)) as store:
        for start in range(2, last + 1, 20_000):
            arrived = [(each, each) for each in range(start, min(start + 20_000, last + 1), 2)]
            wait(store_marks(store, Marks(key, name, arrived, (), arrived[-1][1])))
        kept = store.sole(RecorderGap.select(fn.COUNT(RecorderGap.number), fn.MIN(RecorderGap.first)))
        found = recorders.standing(store, patience=timedelta(0), now=NOON)

    assert (MOST_GAPS, 21) == kept
    assert (10, MOST_GAPS, last // 2) == (found.lost, found.awaited, found.received)


async def store_marks(store: Store, marks: Marks) -> None:
    """Store *marks* of nothing."""
    await store.append([], marks=marks)
