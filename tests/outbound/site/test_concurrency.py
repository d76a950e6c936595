"""How hard a destination is pressed and when it counts as down: rules of numbers and time."""

import anyio
import pytest

from kannon.mail.verdict import Stage
from kannon.outbound.limiter import Claim, Limiter
from kannon.outbound.site.circuit_breaker import DOWN_AFTER, MAX_PROBE_SECONDS, SUSPEND_SECONDS, CircuitBreaker
from kannon.outbound.site.concurrency import (
    MAILS_A_SECOND_FEARED,
    MAILS_A_SECOND_HOPED,
    MOVING_SECONDS,
    PROVEN_SECONDS,
    Pace,
)
from kannon.outbound.site.limits import SiteLimits
from kannon.outbound.trouble import Failure, Kind

FAILURE = Failure(Kind.CONNECT, Stage.CONNECT, reason="refused")


def a_pace(connections: int = 20, rate: float = 0.0) -> Pace:
    return Pace(SiteLimits(connections, rate_per_second=rate), 0.0)


def test_two_connections_then_one_more_for_each_mail() -> None:
    pace = a_pace(5)
    seen = [pace.connections]
    for _ in range(5):
        pace.taken(1.0, 0.1)
        seen.append(pace.connections)
    assert seen == [2, 3, 4, 5, 5, 5]
    assert a_pace(1).connections == 1


def test_after_trouble_it_grows_more_slowly() -> None:
    pace = a_pace()
    for _ in range(18):
        pace.taken(1.0, 0.1)
    assert pace.connections == 20
    pace.pushed_back(hard=True)
    assert pace.connections == 10
    mails = 0
    while pace.connections < 12:
        pace.taken(1.0, 0.1)
        mails += 1
    assert 20 <= mails <= 23  # one more for each round of mails, not for each mail
    pace.pushed_back(hard=False)
    assert pace.connections == 11
    for _ in range(50):
        pace.pushed_back(hard=True)
    assert pace.connections == 1


def test_its_speed_is_hoped_for_then_measured_then_feared() -> None:
    pace = a_pace()
    assert pace.mails_a_second(0.0) == MAILS_A_SECOND_HOPED
    for _ in range(50):
        pace.taken(1.0, 0.01)
    assert pace.mails_a_second(1.0) == pytest.approx(2000, rel=0.1)
    later = 1.0 + MOVING_SECONDS
    assert pace.silent(later)
    assert pace.mails_a_second(later) == MAILS_A_SECOND_FEARED
    assert pace.proven(later)
    assert not pace.proven(1.0 + PROVEN_SECONDS)
    pace.meet(later)  # after a rest
    assert pace.mails_a_second(later) == MAILS_A_SECOND_HOPED


def test_the_rate_is_kept_and_a_quiet_second_caught_up() -> None:
    pace = a_pace(rate=10)
    now, taken = 100.0, 0
    while not pace.wait_for_turn(now):
        taken += 1
    assert taken in (10, 11)
    assert 0 < pace.wait_for_turn(now) <= 0.1 + 1e-9
    assert not pace.wait_for_turn(now + 0.11)
    assert not a_pace().wait_for_turn(now)


def test_an_outage_is_probed_less_and_less_often_and_at_last_suspends() -> None:
    outage = CircuitBreaker(1.0)
    now = 0.0
    waits = []
    for _ in range(10):
        outage.begin(FAILURE, now, 0.5)
        waits.append(outage.seconds_to_probe(now))
        now += waits[-1]
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == MAX_PROBE_SECONDS
    assert outage.suspended(SUSPEND_SECONDS) is None
    suspended = outage.suspended(SUSPEND_SECONDS + 1)
    assert suspended is not None
    assert suspended.reason == "destination is down: refused"
    outage.over()
    assert not outage.down
    outage.begin(FAILURE, now, 0.5)
    assert outage.seconds_to_probe(now) == 1


def test_lost_connections_make_it_down_only_in_a_row() -> None:
    outage = CircuitBreaker(1.0)
    for _ in range(DOWN_AFTER - 1):
        assert not outage.lost_one()
    outage.over()
    for _ in range(DOWN_AFTER - 1):
        assert not outage.lost_one()
    assert outage.lost_one()


async def test_places_the_unproven_cannot_take_them_all() -> None:
    slots = Limiter(8)
    firsts = [slots.take_now(Claim.FIRST) for _ in range(5)]
    assert [place is not None for place in firsts] == [True] * 4 + [False]
    assert slots.take_now(Claim.FURTHER) is None
    assert sum(slots.take_now(Claim.PROVEN) is not None for _ in range(9)) == 4
    assert slots.taken == 8


async def test_places_are_given_up_by_mails_without_an_end() -> None:
    slots = Limiter(2)
    stalled = slots.take_now(Claim.FIRST)
    assert stalled is not None
    assert slots.take_now(Claim.FIRST) is None
    slots.let_go(before=stalled.since)
    second = slots.take_now(Claim.FIRST)
    assert second is not None
    slots.free(stalled)  # its end, long after, gives no place back twice
    assert slots.take_now(Claim.FIRST) is None
    slots.free(second)
    assert slots.taken == 0


async def test_as_many_again_may_be_stalled_and_no_more() -> None:
    slots = Limiter(2)
    for _ in range(3):
        place = slots.take_now(Claim.PROVEN), slots.take_now(Claim.PROVEN)
        slots.let_go(before=float("inf"))
    assert place == (None, None)
    assert slots.taken == 2


async def test_who_gives_up_waiting_for_a_place_leaves_nothing_behind() -> None:
    slots = Limiter(1)
    slots.take_now(Claim.PROVEN)
    for _ in range(3):
        with anyio.move_on_after(0.001):
            await slots.take(Claim.PROVEN)
    assert not any(slots._waiting.values())
