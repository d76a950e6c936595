"""When the guard pauses: at the stated counts and not before."""

import pytest

from kannon.mail.guard import BatchOutcomes, Cause, GuardOverrides, GuardRule

RULE = GuardRule()


@pytest.mark.parametrize(
    ("outcomes", "dead", "trips"),
    [(199, 199, False), (200, 20, False), (200, 21, True), (1999, 199, False), (2000, 200, False), (2000, 201, True)],
)
def test_more_than_ten_percent_of_two_hundred_outcomes_are_dead(outcomes: int, dead: int, trips: bool) -> None:
    trip = RULE.judge(BatchOutcomes(outcomes, max(0, outcomes - dead), dead, 0))
    assert (trip is not None and trip.cause is Cause.DEAD_ADDRESSES) is trips


@pytest.mark.parametrize(
    ("delivered", "complaints", "trips"),
    [(999, 100, False), (1000, 3, False), (1000, 4, True), (2000, 6, False), (2000, 7, True)],
)
def test_more_than_three_in_a_thousand_complain(delivered: int, complaints: int, trips: bool) -> None:
    trip = RULE.judge(BatchOutcomes(delivered, delivered, 0, complaints))
    assert (trip is not None and trip.cause is Cause.COMPLAINTS) is trips


def test_the_text_has_the_counts() -> None:
    trip = RULE.judge(BatchOutcomes(200, 169, 31, 0))
    assert trip is not None
    assert trip.text == "31 of 200 addresses are dead (15.5 %; the limit is 10 %)"
    trip = RULE.judge(BatchOutcomes(1500, 1200, 0, 5))
    assert trip is not None
    assert trip.text == "5 of 1200 recipients complained (0.42 %; the limit is 0.3 %)"


def test_what_a_domain_has_of_its_own_wins() -> None:
    bad = BatchOutcomes(200, 100, 100, 0)
    assert RULE.override(GuardOverrides(enabled=False)).judge(bad) is None
    assert RULE.override(GuardOverrides(dead_percent=50)).judge(bad) is None
    assert RULE.override(GuardOverrides(dead_percent=0)).judge(BatchOutcomes(200, 199, 1, 0)) is not None
    assert GuardRule(enabled=False).override(GuardOverrides(enabled=True)).judge(bad) is not None
    assert RULE.override(GuardOverrides()) == RULE
