"""
Redaction, pseudonyms and the key.
"""

import re
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward import Client, FailedPrecondition
from stewardd import privacy
from stewardd.privacy import Redactor, load_key
from tests.samples import interaction

ROOT = Path(__file__).parent.parent
KEY = bytes(range(32))
REDACTOR = Redactor(KEY)

TEXTS = [
    ("nothing here 12-34 v1.2.3", "nothing here 12-34 v1.2.3", {}),
    ("ssn 078-05-1120.", "ssn [SSN_REDACTED].", {"SSN": 1}),
    ("call 555-010-4477", "call [PHONE_REDACTED]", {"PHONE": 1}),
    ("mail a.b+c@sub.example.co.uk!", "mail [EMAIL_REDACTED]!", {"EMAIL": 1}),
    ("card 4111 1111-11111111", "card [CARD_REDACTED]", {"CARD": 1}),
    ("from 192.0.2.44:80", "from [IP_REDACTED]:80", {"IP": 1}),
    ("a@b.io, c@d.io, 10.0.0.1", "[EMAIL_REDACTED], [EMAIL_REDACTED], [IP_REDACTED]", {"EMAIL": 2, "IP": 1}),
    ("x@y and a@b.c are no addresses", "x@y and a@b.c are no addresses", {}),
    ("1078-05-1120 078-05-11201", "1078-05-1120 078-05-11201", {}),
    ("\N{FULLWIDTH DIGIT ONE}11-22-3333", "[SSN_REDACTED]", {"SSN": 1}),
]


@pytest.mark.parametrize(("text", "expected", "counts"), TEXTS)
def test_the_five_kinds_are_replaced_by_their_markers(text: str, expected: str, counts: dict[str, int]) -> None:
    """
    Each value that the rules find becomes the marker of its kind, and is counted.
    """
    assert (expected, counts) == REDACTOR.redact(text)


@given(st.text(st.sampled_from("0123456789.-@ aB_%+|"), max_size=60) | st.text(max_size=60))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    """
    What is clean stays as it is.
    """
    clean, _ = REDACTOR.redact(text)

    assert (clean, {}) == REDACTOR.redact(clean)


@pytest.mark.parametrize("unit", ["a.", "1-", "x@a.", "x@", "@", "a@a.a@", "1.1.", "1111 ", "123-45-", "aa|"])
def test_redaction_takes_linear_time(unit: str) -> None:
    """
    Hostile text of 8 MiB, on which the predecessor's patterns would take hours, is done in seconds.
    """
    text = unit * (8 * 1024 * 1024 // len(unit))
    start = time.perf_counter()

    REDACTOR.redact(text)

    assert time.perf_counter() - start < 30


def test_personal_data_is_redacted_wherever_it_is_written(client: Client) -> None:
    """
    The question and the labels are redacted, the receipt counts the kinds of all of them.
    """
    sent = interaction(query="I am a@b.io", user_role="c@d.io", query_type="from 10.0.0.1")

    receipt = client.record_interaction(sent)
    stored = client.get_interaction(receipt.interaction_id)

    assert {"EMAIL": 2, "IP": 1} == receipt.redactions
    assert ("I am [EMAIL_REDACTED]", "[EMAIL_REDACTED]", "from [IP_REDACTED]") == (
        stored.query,
        stored.user_role,
        stored.query_type,
    )


def test_a_pseudonym_is_of_the_session_and_the_key() -> None:
    """
    The same session has the same pseudonym under the same key, and another one under another key.
    """
    first, again, other = (
        REDACTOR.pseudonym("session-1"),
        Redactor(KEY).pseudonym("session-1"),
        Redactor(b"x" * 32).pseudonym("session-1"),
    )

    assert first == again != other
    assert re.fullmatch(r"[0-9a-f]{32}", first)


def test_only_privacy_makes_clean_text_and_pseudonyms() -> None:
    """
    The words that make them occur in no other module.
    """
    makers = re.compile(r"\b(Clean|Pseudonym)\(")
    places = [
        path.name
        for package in ("client", "server")
        for path in (ROOT / package).rglob("*.py")
        if makers.search(path.read_text(encoding="utf-8"))
    ]

    assert [Path(privacy.__file__).name] == places


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """
    The first start makes a key file that only its owner reads; later starts take it.
    """
    made = load_key(tmp_path, given=None, fresh=True)

    assert made == load_key(tmp_path, given=None, fresh=False)
    assert 0o600 == stat.S_IMODE((tmp_path / "privacy.key").stat().st_mode)


def test_a_given_key_wins_over_the_file(tmp_path: Path) -> None:
    """
    The key of the environment is taken, and no file made.
    """
    assert KEY == load_key(tmp_path, given=KEY.hex(), fresh=True)
    assert not (tmp_path / "privacy.key").exists()


def test_a_missing_key_is_not_made_for_a_store_that_had_one(tmp_path: Path) -> None:
    """
    A store that was used under a key asks for that key.
    """
    with pytest.raises(FailedPrecondition, match=r"is missing: put your copy back"):
        load_key(tmp_path, given=None, fresh=False)


@pytest.mark.parametrize("given", ["", "xyz", "ab" * 31, "ab" * 33])
def test_a_key_that_is_none_is_refused(tmp_path: Path, given: str) -> None:
    """
    A key is 64 hexadecimal digits, in the file too.
    """
    path = tmp_path / "privacy.key"
    path.write_text(given)
    path.chmod(0o600)

    with pytest.raises(FailedPrecondition, match="must be 64 hexadecimal digits"):
        load_key(tmp_path, given=given or None, fresh=False)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """
    A key file that the group or others can read is not trusted.
    """
    path = tmp_path / "privacy.key"
    path.write_text(KEY.hex())
    path.chmod(0o640)

    with pytest.raises(FailedPrecondition, match="chmod 600"):
        load_key(tmp_path, given=None, fresh=False)
