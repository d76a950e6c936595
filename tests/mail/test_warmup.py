"""The plan of a warm-up: by day, and by hour."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from kannon.mail.warmup import DOUBLING, WarmUp, seconds_to_next_day

SINCE = date(2026, 12, 1)
PLAN = WarmUp("192.0.2.7", SINCE, (50, 100, 240))


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 12, 1, hour, tzinfo=UTC) + timedelta(days=day)


@pytest.mark.parametrize(("day", "limit"), [(-1, 0), (0, 50), (1, 100), (2, 240), (3, None), (300, None)])
def test_each_day_has_its_limit_and_after_the_plan_there_is_none(day: int, limit: int | None) -> None:
    assert PLAN.limit(at(day)) == limit
    assert PLAN.allowed(at(day, 23), spread=True) == limit


def test_the_limit_grows_by_the_hour() -> None:
    assert [PLAN.allowed(at(2, hour), spread=True) for hour in range(24)] == [10 * (hour + 1) for hour in range(24)]
    assert PLAN.allowed(at(0), spread=True) == 3  # of fifty; rounded up
    assert PLAN.allowed(at(0), spread=False) == 50


def test_days_are_utc() -> None:
    east = timezone(timedelta(hours=9))
    assert PLAN.limit(datetime(2026, 12, 2, 8, tzinfo=east)) == 50
    assert seconds_to_next_day(datetime(2026, 12, 2, 8, tzinfo=east)) == 3600


def test_the_usual_plan_doubles() -> None:
    assert DOUBLING[:4] == (50, 100, 200, 400)
    assert all(later == 2 * earlier for earlier, later in pairwise(DOUBLING))
