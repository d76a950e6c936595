"""Suppression: which bounces are hard, what a suppression records, which addresses are the same."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from kannon.mail.bounce.hard import is_hard_bounce
from kannon.mail.event import Event, EventType
from kannon.mail.suppression import Cause, SuppressionRule, address_key
from tests.support.cpu import cost

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
RULE = SuppressionRule()


def bounce(status: str, text: str = "no", *, code: int = 550, permanent: bool = True) -> Event:
    return Event(
        event_id="7.1.bounced",
        type=EventType.BOUNCED,
        domain="example.com",
        message_id="msg_1@example.com",
        email="Bob@example.org",
        at=AT,
        delivery_id=7,
        permanent=permanent,
        code=code,
        enhanced_status=status,
        text=text,
        host="mx.example.org",
    )


@pytest.mark.parametrize("status", ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"])
def test_these_statuses_are_hard(status: str) -> None:
    assert is_hard_bounce(bounce(status))
    assert not is_hard_bounce(bounce(status, permanent=False))
    assert not is_hard_bounce(replace(bounce(status), type=EventType.ERROR))


@pytest.mark.parametrize(
    "status", ["5.2.2", "5.2.3", "5.3.4", "5.4.1", "5.4.4", "5.5.0", "5.6.0", "5.7.1", "5.7.26", "5.1.7", "5.1.8", ""]
)
def test_policy_size_and_routing_do_not_suppress(status: str) -> None:
    assert not is_hard_bounce(bounce(status))
    assert RULE.apply(bounce(status)) is None


@pytest.mark.parametrize(
    ("status", "text", "hard"),
    [
        ("", "No such user here", True),
        ("", "<a@b.example>: Recipient address rejected: User unknown in local recipient table", True),
        ("", "sorry, no mailbox here by that name.", True),
        ("5.0.0", "Unknown user a@b.example", True),
        ("5.0.0", "The email account that you tried to reach does not exist.", True),
        ("", "dd This user doesn't have a mail.example account (a@b.example)", True),
        ("5.5.0", "Requested action not taken: mailbox unavailable", False),
        ("", "Mailbox full", False),
        ("5.0.0", "Message rejected for policy reasons: user unknown to be harmless", False),
        ("5.1.1", "Blocked, listed at a spam blacklist", False),
        ("5.1.1", "192.0.2.1 has sent to too many recipients this hour", False),
        ("5.1.1", "mailbox a@b.example is over quota", False),
        ("", "Domain of sender address a@b.example does not exist", False),
        ("5.7.1", "User unknown", False),
        ("5.1.1", "<a@b.example>: Recipient address rejected: User unknown in relay recipient table", True),
        ("5.1.1", "Relaying denied: user unknown", False),
        ("5.1.1", "<a@b.example>: Relay access denied", False),
        ("5.2.1", "The user you are trying to contact is receiving mail at a rate that prevents more", False),
        ("5.1.1", "<b-1@example.com>: Sender rejected: User unknown in virtual mailbox table", False),
    ],
)
def test_the_text_decides_where_the_status_is_generic(status: str, text: str, hard: bool) -> None:
    assert is_hard_bounce(bounce(status, text)) is hard


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "starttls", "auth", "mail"])
def test_a_reply_before_the_recipient_is_not_about_it(stage: str) -> None:
    assert not is_hard_bounce(replace(bounce("5.1.1", "User unknown"), stage=stage))
    assert is_hard_bounce(replace(bounce("5.1.1", "User unknown"), stage="rcpt"))


@pytest.mark.parametrize(
    ("status", "text", "needed"),
    [
        ("5.1.2", "the domain does not exist", True),
        ("5.1.2", "Bad destination system address", True),
        ("", "<a@b.example>: Recipient address rejected: Domain not found", True),
        ("5.1.1", "Unrouteable address: no such domain", True),
        ("5.1.1", "user unknown: Host not found", True),
        ("5.0.0", "unknown user: the host name of the recipient does not exist", True),
        ("5.1.1", "User unknown", False),
        ("5.1.1", "no such user in this domain", False),
        ("5.1.3", "bad address syntax", False),
        ("5.1.6", "moved", False),
        ("5.1.10", "the domain accepts no mail (null MX)", False),
        ("5.2.1", "mailbox disabled", False),
    ],
)
def test_only_a_domain_that_does_not_exist_needs_a_second_bounce(status: str, text: str, needed: bool) -> None:
    found = RULE.apply(bounce(status, text))
    assert found is not None
    assert found.needs_second is needed


def test_a_complaint_needs_no_second_one_whatever_its_text() -> None:
    found = RULE.apply(replace(bounce("5.1.2", "no such domain"), type=EventType.COMPLAINED))
    assert found is not None
    assert not found.needs_second


def test_a_complaint_always_suppresses() -> None:
    complaint = replace(bounce("", permanent=False), type=EventType.COMPLAINED, code=0)
    found = RULE.apply(complaint)
    assert found is not None
    assert (found.cause, found.email, found.expires_at) == (Cause.COMPLAINED, "Bob@example.org", None)


def test_a_suppression_has_its_cause_and_expiry() -> None:
    rule = SuppressionRule(bounce_expiry=timedelta(days=30), complaint_expiry=timedelta(days=60))
    found = rule.apply(bounce("5.1.1", "No such user"))
    assert found is not None
    assert (found.since, found.expires_at) == (AT, AT + timedelta(days=30))
    assert (found.domain, found.delivery_id, found.event_id) == ("example.com", 7, "7.1.bounced")
    assert (found.code, found.enhanced_status, found.text, found.host) == (
        550,
        "5.1.1",
        "No such user",
        "mx.example.org",
    )
    complaint = rule.apply(replace(bounce(""), type=EventType.COMPLAINED))
    assert complaint is not None
    assert complaint.expires_at == AT + timedelta(days=60)
    assert SuppressionRule(enabled=False).apply(bounce("5.1.1")) is None


@pytest.mark.parametrize("email", ["bounce@simulator.kannon", "Complaint+1@Simulator.Kannon"])
def test_an_address_of_the_simulator_is_not_suppressed_by_what_it_simulates(email: str) -> None:
    assert RULE.apply(replace(bounce("5.1.1"), email=email)) is None
    assert RULE.apply(replace(bounce(""), type=EventType.COMPLAINED, email=email)) is None
    assert RULE.apply(replace(bounce("5.1.1"), email=f"{email}.example")) is not None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Bob@Example.ORG", "bob@example.org", True),
        (" bob@example.org ", "bob@example.org", True),
        ("bob@bücher.example", "bob@xn--bcher-kva.example", True),
        ("JÖRG@example.org", "jörg@example.org", True),
        ("jo\u0308rg@example.org", "jörg@example.org", True),
        ("bob+news@example.org", "bob@example.org", False),
        ("b.ob@example.org", "bob@example.org", False),
        ("bob@mail.example.org", "bob@example.org", False),
        ("NO ADDRESS", "no address", True),
        ("a@b@example", "A@B@EXAMPLE", True),
    ],
)
def test_which_addresses_are_the_same(one: str, other: str, same: bool) -> None:
    assert (address_key(one) == address_key(other)) is same
    assert address_key(address_key(one)) == address_key(one)


def test_the_text_is_searched_in_linear_time() -> None:
    for unit in (
        "no such domain ",
        "domain x ",
        "host ",
        "domain.",
        "user ",
        "user.",
        "unknown ",
        "doesn't have a x",
        "mailbox \t",
    ):
        assert cost(partial(is_hard_bounce, bounce("", unit * 20_000)), times=1) < 2.0, json.dumps(unit)
