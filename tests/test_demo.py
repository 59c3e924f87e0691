"""
The demo, as make demo runs it, and its samples.
"""

import subprocess
import sys
from datetime import UTC, datetime

from stewardd import samples

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_demo_shows_figures_a_redaction_and_a_clean_stop() -> None:
    """
    It records 100 interactions, shows what was redacted and what comes of them, and exits with 0.
    """
    done = subprocess.run([sys.executable, "-m", "stewardd.demo"], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    for expected in (
        "100 interactions are on disk. Sent again, 100 were there already.",
        "[EMAIL_REDACTED]",
        "[CARD_REDACTED] from [IP_REDACTED]",
        "success rate",
        "Quality ",
        "Health: OK",
        "no complete backup exists",
        "The server has stopped, with exit code 0.",
    ):
        assert expected in done.stdout


def test_the_samples_are_always_the_same() -> None:
    """
    The same seed gives the same interactions: four roles, ten sessions, a few with personal data.
    """
    first, again = (list(samples.interactions(100, now=NOW)) for _ in range(2))

    assert first == again
    assert (4, 10) == (len({each.user_role for each in first}), len({each.session_id for each in first}))
    assert 4 == sum(each.query in samples.PERSONAL for each in first)
    assert all(each.occurred_at and each.occurred_at <= NOW for each in first)
