"""
Clients in a process of their own, each writing and keeping its journal until standard input is closed.

    python -m tests.faults.writers TARGET DIRECTORY --clients 8 --seed 1 [--give-up]

Prints `writing` when it begins and, at the end, how many calls failed with which error and reason, as one line of JSON.
"""

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from steward import AsyncClient, Interaction, Receipt
from steward.errors import DeadlineExceeded, Error, Unavailable
from steward.transport import Retry
from tests.faults.journal import Journal

SESSIONS = 40  # shared by all clients
PAUSE = 0.1  # s between tries while the server is away
LATER_CALLS = 5  # after the one that met a server gone

PASSING = (Unavailable, DeadlineExceeded)  # what a client lives with, as it may be that of a killed server


@dataclass
class Run:
    """What the clients of this process share."""

    target: str
    give_up: bool  # at the first failure, after a few more calls
    over: asyncio.Event = field(default_factory=asyncio.Event)
    failures: Counter[str] = field(default_factory=Counter)

    def met(self, error: Error) -> None:
        """Count *error*, by its kind and its reason."""
        self.failures[f"{type(error).__name__} {error.reason}"] += 1


def made_up(chance: random.Random) -> Interaction:
    """Return an interaction as it may come, in no order of time, and with nothing in it to redact."""
    at = datetime.now(UTC) - timedelta(seconds=chance.uniform(0, 30 * 86400))
    return Interaction(
        session_id=f"conversation {chance.randrange(SESSIONS)}",
        user_role=chance.choice(("Software Developer", "Just looking around", "Hiring Manager (technical)")),
        query=f"How is x{chance.getrandbits(64):x} done? " + "More of it. " * chance.randrange(20),
        query_type=chance.choice(("technical", "career", "")),
        response_time_seconds=chance.choice((None, chance.expovariate(1.0))),
        response_length=chance.choice((None, chance.randrange(5000))),
        code_snippets_shown=chance.randrange(3),
        citations_provided=chance.randrange(3),
        success=chance.choice((True, True, False, None)),
        user_rating=chance.choice((None, None, float(chance.randint(1, 5)))),
        follow_up_query=chance.random() < 0.3,
        conversation_turn=chance.randint(1, 9),
        occurred_at=chance.choice((None, at)),
    )


async def record(client: AsyncClient, interactions: Sequence[Interaction]) -> list[Receipt]:
    """Send *interactions*, in the way their number asks for, and return their receipts."""
    if len(interactions) == 1:
        return [await client.record_interaction(interactions[0])]
    outcomes = await client.record_interactions(interactions)
    receipts = [each for each in outcomes if isinstance(each, Receipt)]
    assert len(interactions) == len(receipts), outcomes
    return receipts


async def deliver(run: Run, client: AsyncClient, journal: Journal, interactions: Sequence[Interaction]) -> None:
    """Send *interactions*, the same ones again and again, until they are acknowledged; once, when it is to give up."""
    journal.sent(interactions)
    while True:
        try:
            journal.acknowledged(await record(client, interactions))
        except Error as error:
            run.met(error)
            journal.sync()
            if run.give_up or not isinstance(error, PASSING):
                raise
            await asyncio.sleep(PAUSE)
        else:
            return


async def write(run: Run, journal: Journal, chance: random.Random) -> None:
    """Be one client: mostly single records, some batches, some sent twice at once or once more."""
    async with AsyncClient(run.target, retry=Retry(attempts=chance.choice((1, 2)))) as client:
        while not run.over.is_set():
            interactions = [made_up(chance) for _ in range(chance.choice((1, 1, 1, 1, 1, 1, chance.randint(2, 20))))]
            times = chance.choices((1, 2), (19, 1))[0]
            try:
                await asyncio.gather(*(deliver(run, client, journal, interactions) for _ in range(times)))
                if chance.random() < 0.05:
                    await deliver(run, client, journal, interactions)
            except Error:
                if not run.give_up:
                    raise
                await knock(run, client)
                return


async def knock(run: Run, client: AsyncClient) -> None:
    """Call a server that is gone a few times more, and count what that meets."""
    for _ in range(LATER_CALLS):
        try:
            await client.get_server_info()
        except Error as error:
            run.met(error)


async def main(target: str, directory: Path, *, clients: int, seed: int, give_up: bool) -> None:
    """Write with as many *clients* until standard input ends."""
    run = Run(target, give_up)
    journals = [Journal(directory / f"{seed}-{number}.journal") for number in range(clients)]
    try:
        async with asyncio.TaskGroup() as tasks:
            for number, journal in enumerate(journals):
                tasks.create_task(write(run, journal, random.Random(f"{seed} {number}")))
            print("writing", flush=True)
            await asyncio.to_thread(sys.stdin.read)
            run.over.set()
    finally:
        for journal in journals:
            journal.close()
    print(json.dumps(run.failures), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--give-up", action="store_true")
    given = parser.parse_args()
    asyncio.run(main(given.target, given.directory, clients=given.clients, seed=given.seed, give_up=given.give_up))
