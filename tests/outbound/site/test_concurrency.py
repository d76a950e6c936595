"""One destination's limits: concurrency, rate, throughput, circuit breaker; rules of numbers and time."""

import pytest

from kannon.mail.verdict import Stage
from kannon.outbound.site.admission import MAX_RETRY_SECONDS, QUEUE_NEW, QUEUE_SILENT, Admission
from kannon.outbound.site.circuit_breaker import FAILURES_TO_OPEN, MAX_PROBE_SECONDS, SUSPEND_SECONDS, CircuitBreaker
from kannon.outbound.site.concurrency import NO_RATE_SECONDS, ConcurrencyLimit, RateLimit
from kannon.outbound.site.throughput import (
    MOVING_SECONDS,
    NEW_MAILS_PER_SECOND,
    PROVEN_SECONDS,
    SILENT_MAILS_PER_SECOND,
    Throughput,
)
from kannon.outbound.trouble import Failure, Kind

FAILURE = Failure(Kind.CONNECT, Stage.CONNECT, reason="refused")


def test_two_connections_then_one_more_for_each_mail() -> None:
    limit = ConcurrencyLimit(5)
    seen = [limit.value]
    for _ in range(5):
        limit.on_success()
        seen.append(limit.value)
    assert seen == [2, 3, 4, 5, 5, 5]
    assert ConcurrencyLimit(1).value == 1


def test_after_trouble_it_grows_more_slowly() -> None:
    limit = ConcurrencyLimit(20)
    for _ in range(18):
        limit.on_success()
    assert limit.value == 20
    limit.on_connection_failure()
    assert limit.value == 10
    mails = 0
    while limit.value < 12:
        limit.on_success()
        mails += 1
    assert 20 <= mails <= 23  # one more for each round of mails, not for each mail
    limit.on_deferral()
    assert limit.value == 11
    for _ in range(50):
        limit.on_connection_failure()
    assert limit.value == 1


def test_the_speed_is_assumed_until_it_is_measured_and_again_when_the_destination_is_silent() -> None:
    throughput = Throughput()
    throughput.on_arrival(0.0, idle=True)
    assert throughput.mails_per_second(0.0, 20) == NEW_MAILS_PER_SECOND
    for _ in range(50):
        throughput.on_success(1.0, 0.01)
    assert throughput.mails_per_second(1.0, 20) == pytest.approx(2000, rel=0.1)
    throughput.on_arrival(1.0, idle=False)
    later = 1.0 + MOVING_SECONDS
    assert throughput.is_silent(later)
    assert throughput.mails_per_second(later, 20) == SILENT_MAILS_PER_SECOND
    assert throughput.is_proven(later)
    assert not throughput.is_proven(1.0 + PROVEN_SECONDS)


@pytest.mark.parametrize("idle", [True, False])
def test_a_time_without_mail_is_no_silence(idle: bool) -> None:
    throughput = Throughput()
    throughput.on_arrival(0.0, idle=True)
    throughput.on_success(1.0, 0.01)
    later = 1.0 + 10 * MOVING_SECONDS
    throughput.on_arrival(later, idle=idle)
    assert not throughput.is_silent(later)
    assert throughput.mails_per_second(later, 20) == NEW_MAILS_PER_SECOND
    throughput.on_arrival(later + 1, idle=False)  # more mail does not make the wait of the first one shorter
    assert throughput.is_silent(later + MOVING_SECONDS)


def test_a_queue_is_as_long_as_a_second_of_the_destination() -> None:
    throughput = Throughput()
    admission = Admission(throughput, 0.0)
    throughput.on_arrival(0.0, idle=True)
    assert admission.max_queued(0.0, 2) == QUEUE_NEW
    assert admission.max_queued(MOVING_SECONDS, 2) == QUEUE_SILENT
    for _ in range(100):
        throughput.on_success(10.0, 0.01)
    assert admission.max_queued(10.0, 20) == pytest.approx(2000, rel=0.01)
    assert Admission(throughput, 50.0).max_queued(10.0, 20) == 50


def test_throttled_mail_comes_back_in_order_at_the_destinations_speed() -> None:
    throughput = Throughput()
    admission = Admission(throughput, 10.0)
    throughput.on_arrival(0.0, idle=True)
    first, second = admission.throttle(0.0, 2), admission.throttle(0.0, 2)
    assert first.rate == second.rate == 10.0
    assert second.retry_in - first.retry_in == pytest.approx(0.1)
    for _ in range(1000):
        last = admission.throttle(0.0, 2)
    assert last.retry_in == MAX_RETRY_SECONDS


def test_a_destination_that_recovers_is_throttled_at_its_new_speed() -> None:
    throughput = Throughput()
    admission = Admission(throughput, 0.0)
    throughput.on_arrival(0.0, idle=True)
    for _ in range(100):
        silent = admission.throttle(MOVING_SECONDS, 2)
    assert silent.retry_in == MAX_RETRY_SECONDS
    for _ in range(50):
        throughput.on_success(MOVING_SECONDS + 1, 0.01)
    assert admission.throttle(MOVING_SECONDS + 1, 20).retry_in < 1


def test_the_rate_is_kept_and_a_quiet_time_caught_up() -> None:
    limit = RateLimit(10)
    now, started = 100.0, 0
    while not limit.acquire(now):
        started += 1
    assert started == 1
    assert 0 < limit.acquire(now) <= 0.1 + 1e-9
    assert not limit.acquire(now + 0.11)
    assert not RateLimit(0).acquire(now)


def test_a_part_of_the_rate_is_kept() -> None:
    limit = RateLimit(10)
    assert limit.acquire(100.0, 0.0) == NO_RATE_SECONDS
    assert not limit.acquire(100.0, 0.5)
    assert limit.acquire(100.0, 0.5) == pytest.approx(0.15)
    assert not limit.acquire(100.16, 0.5)
    assert limit.acquire(100.16, 0.5) == pytest.approx(0.19)


def test_an_open_breaker_probes_less_and_less_often_and_at_last_suspends() -> None:
    breaker = CircuitBreaker(1.0)
    now = 0.0
    waits = []
    for _ in range(10):
        breaker.open(FAILURE, now, 0.5)
        waits.append(breaker.seconds_to_probe(now))
        now += waits[-1]
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == MAX_PROBE_SECONDS
    assert breaker.suspended(SUSPEND_SECONDS) is None
    suspended = breaker.suspended(SUSPEND_SECONDS + 1)
    assert suspended is not None
    assert suspended.reason == "destination is down: refused"
    breaker.close()
    assert not breaker.is_open
    breaker.open(FAILURE, now, 0.5)
    assert breaker.seconds_to_probe(now) == 1


def test_only_consecutive_lost_connections_open_the_breaker() -> None:
    breaker = CircuitBreaker(1.0)
    for _ in range(FAILURES_TO_OPEN - 1):
        assert not breaker.count_failure()
    breaker.close()
    for _ in range(FAILURES_TO_OPEN - 1):
        assert not breaker.count_failure()
    assert breaker.count_failure()
