"""
`make demo`: a server of its own, 100 interactions through the typed client, and what comes of them.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from steward import Client, InteractionFilter, Receipt
from steward.cli import show
from steward.cli.operations import tell_score
from stewardd import samples
from stewardd.testing import Daemon

COUNT = 100


def main() -> None:
    """Run the demo."""
    with TemporaryDirectory(prefix="steward-demo-") as data, Daemon(Path(data)) as daemon:
        say(f"A server on a fresh store listens on {daemon.target}.")
        with Client(daemon.target) as client:
            record(client)
            figures(client)
            judgements(client)
    say(f"The server has stopped, with exit code {daemon.process.returncode}.")


def record(client: Client) -> None:
    """Record the samples, twice as an uncertain caller would, and show what was redacted."""
    now = datetime.now(UTC)
    sent = list(samples.interactions(COUNT, now=now))
    receipts = [client.record_interaction(each) for each in sent[: COUNT // 2]]
    receipts += [each for each in client.record_interactions(sent[COUNT // 2 :]) if isinstance(each, Receipt)]
    again = client.record_interactions(sent)
    known = sum(isinstance(each, Receipt) and each.already_stored for each in again)
    say(f"{len(receipts)} interactions are on disk. Sent again, {known} were there already.")
    redacted = [(each, receipt) for each, receipt in zip(sent, receipts, strict=True) if receipt.redactions]
    say(f"{len(redacted)} of them held personal data. What was asked, and what is stored:")
    for interaction, receipt in redacted:
        stored = client.get_interaction(receipt.interaction_id)
        say(f"  {interaction.query}\n  [green]{show.cell(stored.query)}[/]   ({show.cell(receipt.redactions)})\n")


def figures(client: Client) -> None:
    """Show the figures of the samples, and how the server is."""
    since = datetime.now(UTC) - timedelta(days=samples.DAYS + 1)
    summary = client.get_summary(since=since)
    show.record(summary.interactions, title=f"Interactions of the last {samples.DAYS} days")
    show.record(summary.sessions, title="Their sessions")
    poor = sum(1 for _ in client.list_interactions(InteractionFilter(since=since, success=False)))
    say(f"{poor} of them were not answered well: steward list --failure would show which.")


def judgements(client: Client) -> None:
    """Show how good the samples are, how the server is, and every reason."""
    quality = client.get_quality_report()
    show.rows(quality.findings, title=f"Quality {quality.score:.2f}; findings", columns=("kind", "count", "message"))
    health = client.get_system_health()
    show.rows(health.components, title=f"Health: {health.status.name}", columns=("name", "status", "reason"))
    tell_score(health.score)


def say(text: str) -> None:
    """Print *text*."""
    show.console.print(text)


if __name__ == "__main__":
    main()
