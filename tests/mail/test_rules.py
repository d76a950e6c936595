"""The small rules: retry budget, tracking policy, states, event ids."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from kannon.mail.delivery import IN_FLIGHT, TRANSITIONS, State
from kannon.mail.event import TERMINAL, EventType, delivery_event_id
from kannon.mail.retry import RetryBudget
from kannon.mail.tracking import IDENTIFIED, OFF, TrackingMode, TrackingPolicy, effective_policy

DUE = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BUDGET = RetryBudget(window=24 * 60 * MINUTE, first=5 * MINUTE, max_delay=240 * MINUTE)
MODES = st.sampled_from(TrackingMode)


def delays(now: datetime = DUE, chance: float = 0.5) -> list[float]:
    found = []
    for attempts in range(1, 9):
        at = BUDGET.next_attempt(attempts=attempts, due_at=DUE, now=now, chance=chance)
        assert at is not None
        found.append((at - now) / MINUTE)
    return found


def test_delays_double_up_to_the_maximum() -> None:
    assert delays() == [5, 10, 20, 40, 80, 160, 240, 240]


def test_jitter_is_a_fifth_either_way() -> None:
    assert delays(chance=0.0)[0] == 4
    assert delays(chance=1.0)[0] == 6


def test_delays_start_now_so_that_a_backlog_uses_up_no_attempts() -> None:
    assert delays(now=DUE + 600 * MINUTE)[:3] == [5, 10, 20]


def test_the_last_attempt_is_at_the_end_of_the_window() -> None:
    now = DUE + (24 * 60 - 3) * MINUTE
    end = DUE + BUDGET.window
    assert BUDGET.next_attempt(attempts=9, due_at=DUE, now=now, chance=0.5) == end
    assert BUDGET.next_attempt(attempts=10, due_at=DUE, now=end, chance=0.5) is None


def test_a_requested_delay_is_respected_within_the_window() -> None:
    asked = BUDGET.next_attempt(attempts=1, due_at=DUE, now=DUE, chance=0.5, retry_after=3600)
    assert asked == DUE + timedelta(hours=1)
    assert BUDGET.next_attempt(attempts=1, due_at=DUE, now=DUE, chance=0.5, retry_after=10**7) == DUE + BUDGET.window
    # A requested delay below the own delay does not count.
    assert BUDGET.next_attempt(attempts=1, due_at=DUE, now=DUE, chance=0.5, retry_after=1) == DUE + 5 * MINUTE


@given(st.integers(1, 10**6), st.integers(0, 3000), st.floats(0, 1, exclude_max=True), st.integers(0, 10**6))
def test_the_next_attempt_is_later_than_now_and_within_the_window_or_the_attempts(
    attempts: int, minutes: int, chance: float, wish: int
) -> None:
    now = DUE + minutes * MINUTE
    at = BUDGET.next_attempt(attempts=attempts, due_at=DUE, now=now, chance=chance, retry_after=wish)
    if at is None:
        assert now >= DUE + BUDGET.window
        assert attempts >= 10
    elif now < DUE + BUDGET.window:
        assert now < at <= DUE + BUDGET.window
    else:
        assert attempts < 10
        assert now < at <= now + 1.2 * BUDGET.max_delay


def test_a_clock_that_jumps_ahead_by_the_window_ends_no_delivery_before_its_attempts() -> None:
    now = DUE + BUDGET.window + MINUTE
    assert BUDGET.next_attempt(attempts=1, due_at=DUE, now=now, chance=0.5, retry_after=3600) == now + 5 * MINUTE
    assert BUDGET.next_attempt(attempts=9, due_at=DUE, now=now, chance=0.5) == now + 240 * MINUTE
    assert BUDGET.next_attempt(attempts=10, due_at=DUE, now=now, chance=0.5) is None


def test_a_window_that_is_shorter_than_the_first_delay_has_one_attempt_at_least() -> None:
    short = RetryBudget(window=MINUTE, first=5 * MINUTE, max_delay=240 * MINUTE)
    assert short.next_attempt(attempts=1, due_at=DUE, now=DUE + MINUTE, chance=0.5) is None


def test_a_schedule_of_very_many_attempts_is_cut() -> None:
    many = RetryBudget(window=10**6 * MINUTE, first=timedelta(milliseconds=1), max_delay=timedelta(milliseconds=1))
    assert many.next_attempt(attempts=100, due_at=DUE, now=DUE + many.window, chance=0.5) is None


@given(MODES.filter(bool), MODES.filter(bool), MODES, MODES)
def test_the_lowest_stated_mode_holds(
    opens: TrackingMode, links: TrackingMode, batch: TrackingMode, recipient: TrackingMode
) -> None:
    stated = [TrackingPolicy(batch, recipient), TrackingPolicy(recipient, batch)]
    effective = effective_policy(TrackingPolicy(opens, links), *stated)
    said = [mode for mode in (batch, recipient) if mode]
    assert effective == TrackingPolicy(min([opens, *said]), min([links, *said]))
    assert effective.opens is not TrackingMode.UNSPECIFIED


def test_nothing_stated_leaves_the_ceiling() -> None:
    assert effective_policy(IDENTIFIED) == IDENTIFIED
    assert effective_policy(IDENTIFIED, TrackingPolicy(), OFF) == OFF


def test_transitions_reach_every_state_and_every_claim_can_be_undone() -> None:
    assert set(TRANSITIONS) == set(State)
    assert State.TO_VALIDATE in TRANSITIONS[State.VALIDATING]
    assert State.SCHEDULED in TRANSITIONS[State.SENDING]
    reached = {State.TO_VALIDATE}
    for _ in State:
        reached |= {after for before in reached for after in TRANSITIONS[before]}
    assert reached == set(State)
    assert {State.VALIDATING, State.SENDING} == IN_FLIGHT


def test_event_ids_are_unique_per_delivery_attempt_and_type() -> None:
    ids = {delivery_event_id(d, a, t) for d in (1, 11) for a in (1, 2) for t in EventType}
    assert len(ids) == 4 * len(EventType)
    assert EventType.ERROR not in TERMINAL
