"""The chart: counts by hour as a line of blocks."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from kannon.cli.admin.chart import WIDTH, sparkline

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_each_hour_has_its_block() -> None:
    counts = {NOON: 1, NOON + 2 * HOUR: 8, NOON + 3 * HOUR: 4}
    assert sparkline(counts, NOON + HOUR / 2, NOON + 3 * HOUR + HOUR / 2) == "▁·█▄"
    assert sparkline({}, NOON, NOON + 2 * HOUR) == "··"
    assert sparkline({NOON: 5}, NOON, NOON) == "█"


def test_hours_of_a_long_span_share_blocks() -> None:
    four_days = 4 * WIDTH // 2
    counts = {NOON: 1, NOON + HOUR: 1, NOON + (four_days - 1) * HOUR: 1}
    assert sparkline(counts, NOON, NOON + four_days * HOUR) == "█" + "·" * (WIDTH - 2) + "▄"


@given(
    st.dictionaries(st.integers(-5, 500), st.integers(0, 10**12), max_size=40),
    st.integers(0, 10**6),
)
def test_a_line_of_any_counts_has_the_right_length(counts: dict[int, int], seconds: int) -> None:
    line = sparkline({NOON + n * HOUR: c for n, c in counts.items()}, NOON, NOON + timedelta(seconds=seconds))
    hours = max(1, -(-seconds // 3600))
    assert len(line) == min(WIDTH, hours)
    within = [c for n, c in counts.items() if 0 <= n < hours]
    assert (set(line) == {"·"}) is (not any(within))
    assert ("█" in line) is any(within)
