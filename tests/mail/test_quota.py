"""The rule of quotas: what is granted of a second and of a day, and when a refused send may come again."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.quota import Quota, Usage, refund, retry_after, take

NOW = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)
UNUSED = Usage(date.min, 0, datetime(1, 1, 1, tzinfo=UTC))


def second(count: int) -> Quota:
    return Quota("key_1", count, 0)


def day(count: int) -> Quota:
    return Quota("key_1", 0, count)


def test_the_bucket_holds_a_second_and_fills_at_the_rate() -> None:
    quota = second(5)
    granted, usage = take(quota, UNUSED, NOW, first=5, wanted=5)
    assert granted == 5
    assert take(quota, usage, NOW, first=1, wanted=1) == (0, usage)
    assert retry_after(quota, usage, NOW, 1) == pytest.approx(0.2)
    assert take(quota, usage, NOW + timedelta(seconds=0.2), first=1, wanted=1)[0] == 1
    assert take(quota, usage, NOW + timedelta(seconds=1), first=5, wanted=5)[0] == 5


def test_a_send_larger_than_a_second_waits_for_a_full_bucket_and_pays_for_itself() -> None:
    quota = second(5)
    granted, usage = take(quota, UNUSED, NOW, first=50, wanted=50)
    assert granted == 50
    assert retry_after(quota, usage, NOW, 1) == pytest.approx(9.2)
    assert take(quota, usage, NOW + timedelta(seconds=9.9), first=50, wanted=50)[0] == 0
    assert take(quota, usage, NOW + timedelta(seconds=10), first=50, wanted=50)[0] == 50


def test_a_day_is_strict_and_begins_at_midnight_utc() -> None:
    quota = day(100)
    granted, usage = take(quota, UNUSED, NOW, first=60, wanted=60)
    assert granted == 60
    assert take(quota, usage, NOW, first=41, wanted=41)[0] == 0
    assert retry_after(quota, usage, NOW, 41) == 6 * 3600
    assert retry_after(quota, usage, NOW, 101) is None
    assert take(quota, usage, NOW, first=40, wanted=41)[0] == 40
    assert take(quota, usage, NOW + timedelta(hours=6), first=100, wanted=100)[0] == 100


def test_what_comes_back_can_be_granted_again() -> None:
    quota = Quota("key_1", 10, 10)
    _, usage = take(quota, UNUSED, NOW, first=10, wanted=10)
    usage = refund(quota, usage, NOW, 4)
    assert take(quota, usage, NOW, first=4, wanted=4)[0] == 4
    assert take(quota, usage, NOW, first=5, wanted=5)[0] == 0


def test_a_share_in_advance_is_small_and_ends_before_the_day_does() -> None:
    assert [second(1).ahead, second(100).ahead, day(500).ahead, day(50_000).ahead] == [0, 10, 0, 50]
    assert Quota("key_1", 10_000, 5000).ahead == 5
    quota = day(5000)
    assert take(quota, UNUSED, NOW, first=1, wanted=1)[0] == 6
    assert take(quota, Usage(NOW.date(), 4960, NOW), NOW, first=1, wanted=1)[0] == 1


@given(
    st.integers(1, 50),
    st.integers(1, 200),
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 60)), max_size=60),
)
def test_neither_limit_is_exceeded(rate: int, per_day: int, sends: list[tuple[float, int]]) -> None:
    """The mails of any stretch of time: at most a second's, the rate's for the stretch, and the size of its last."""
    quota, usage, now = Quota("key_1", rate, per_day), UNUSED, NOW
    granted: list[tuple[datetime, int]] = []
    for pause, count in sends:
        now += timedelta(seconds=pause)
        got, usage = take(quota, usage, now, first=count, wanted=count)
        assert got == 0 or got >= count
        if got:
            granted.append((now, got))
    assert sum(got for _, got in granted) <= per_day
    for first, (begin, _) in enumerate(granted):
        total = 0
        for at, got in granted[first:]:
            assert total <= rate * ((at - begin).total_seconds() + 1) + 1
            total += got
