"""The bounce address: valid only with the secret, the domain and the time that it was made for."""

import hmac
import struct
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.bounce.address import make_bounce_address, parse_bounce_address
from tests.support.mail import BOUNCE_SECRET, DOMAIN, NOW, batch, build, delivery

LATER = NOW + timedelta(days=31)


def split(address: str) -> tuple[str, str]:
    local, _, domain = address.partition("@")
    return local, domain


@given(st.integers(0, 2**63 - 1), st.sampled_from(["a.example", DOMAIN, "x" * 60 + ".example"]))
def test_a_delivery_is_found_again(delivery_id: int, domain: str) -> None:
    local, at = split(make_bounce_address(delivery_id, domain, BOUNCE_SECRET, LATER))
    assert at == domain
    assert local.startswith("b-")
    assert local == local.lower()
    assert len(local) <= 64
    assert parse_bounce_address(local, domain, [BOUNCE_SECRET], NOW) == delivery_id
    assert parse_bounce_address(local.upper(), domain.upper(), [b"n" * 32, BOUNCE_SECRET], NOW) == delivery_id


def test_consecutive_deliveries_show_neither_order_nor_number() -> None:
    """Each recipient reads its own address; two of them tell nothing about how many lie between."""
    locals_ = [split(make_bounce_address(number, DOMAIN, BOUNCE_SECRET, LATER))[0][2:] for number in range(1000, 1064)]
    numbers = [int(local, 16) for local in locals_]
    assert numbers != sorted(numbers)
    rising = sum(a < b for a, b in pairwise(numbers))
    assert 16 < rising < 48  # of 63; a counter has 63
    for one, other in pairwise(locals_):
        differing = sum(a != b for a, b in zip(one, other, strict=True))
        assert differing > 40  # of 56; equal by chance are 3.5
        assert f"{1000:016x}"[-6:] not in one
    # Neither the id nor the expiry of the address can be found in it.
    assert f"{int(LATER.timestamp()):08x}" not in "".join(locals_)


def test_an_address_of_the_earlier_form_works_for_its_time() -> None:
    """Mail that is under way carries addresses with the bare id: id, expiry, HMAC."""
    numbers = struct.pack(">QI", 7, int(LATER.timestamp()))
    mac = hmac.digest(BOUNCE_SECRET, b"kannon bounce address\0" + numbers + DOMAIN.encode(), "sha256")[:16]
    local = f"b-{(numbers + mac).hex()}"
    assert parse_bounce_address(local, DOMAIN, [BOUNCE_SECRET], NOW) == 7
    assert parse_bounce_address(local.upper(), DOMAIN, [b"n" * 32, BOUNCE_SECRET], NOW) == 7
    assert parse_bounce_address(local, "other.example", [BOUNCE_SECRET], NOW) is None
    assert parse_bounce_address(local, DOMAIN, [BOUNCE_SECRET], LATER) is None


def test_it_expires() -> None:
    local, domain = split(make_bounce_address(7, DOMAIN, BOUNCE_SECRET, LATER))
    assert parse_bounce_address(local, domain, [BOUNCE_SECRET], LATER - timedelta(seconds=1)) == 7
    assert parse_bounce_address(local, domain, [BOUNCE_SECRET], LATER) is None


def test_every_changed_character_is_noticed() -> None:
    local, domain = split(make_bounce_address(7, DOMAIN, BOUNCE_SECRET, LATER))
    for at in range(len(local)):
        for other in "0f-x":
            if local[at] != other:
                assert parse_bounce_address(local[:at] + other + local[at + 1 :], domain, [BOUNCE_SECRET], NOW) is None


@pytest.mark.parametrize("domain", ["other.example", "", "example.com"])
def test_it_is_good_at_its_own_domain_only(domain: str) -> None:
    local, _ = split(make_bounce_address(7, DOMAIN, BOUNCE_SECRET, LATER))
    assert parse_bounce_address(local, domain, [BOUNCE_SECRET], NOW) is None


def test_other_secrets_do_not_open_it() -> None:
    local, domain = split(make_bounce_address(7, DOMAIN, b"x" * 32, LATER))
    assert parse_bounce_address(local, domain, [BOUNCE_SECRET], NOW) is None
    assert parse_bounce_address(local, domain, [], NOW) is None


@pytest.mark.parametrize(
    "local",
    ["", "b-", "postmaster", "b-" + "0" * 56, "b-" + "0" * 55, "b-" + "0" * 57, "b-" + "g" * 56, "b-" + " 0" * 28,
     "b-" + "0" * 55 + "\n", "b-" + "٠" * 56, "B-" + "K" * 56, "x" * 100000],
)  # fmt: skip
def test_forged_addresses_are_refused(local: str) -> None:
    assert parse_bounce_address(local, DOMAIN, [BOUNCE_SECRET], NOW) is None


def test_a_retry_uses_the_same_address_and_a_late_mail_a_living_one() -> None:
    first = build(batch(), delivery(), now=NOW)
    retry = build(batch(), delivery(attempt=2), now=NOW + timedelta(hours=20))
    assert first.mail_from == retry.mail_from
    much_later = NOW + timedelta(days=100)
    local, domain = split(build(batch(), delivery(attempt=3), now=much_later).mail_from)
    assert parse_bounce_address(local, domain, [BOUNCE_SECRET], much_later + timedelta(days=15)) == 7


def test_two_deliveries_have_two_addresses() -> None:
    assert build(batch(), delivery(delivery_id=1)).mail_from != build(batch(), delivery(delivery_id=2)).mail_from


def test_it_still_works_at_the_end_of_its_format() -> None:
    end = datetime(2200, 1, 1, tzinfo=UTC)
    local, domain = split(make_bounce_address(1, DOMAIN, BOUNCE_SECRET, end))
    assert parse_bounce_address(local, domain, [BOUNCE_SECRET], NOW) == 1
