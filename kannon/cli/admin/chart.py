"""Counts by hour as one line of blocks per type: what fits beside a number in a table.

In: counts per type and hour, and the span of time they are of. Out: text.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

WIDTH = 48
"""Blocks of a line at most: two days by the hour; of longer spans several hours share one."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_NONE = "·"
_HOUR = timedelta(hours=1)


def sparkline(by_hour: Mapping[datetime, int], from_time: datetime, to_time: datetime) -> str:
    """`by_hour`: counts by the hour's beginning. The highest block is the most of this line."""
    first = from_time.replace(minute=0, second=0, microsecond=0)
    hours = max(1, -(-(to_time - first) // _HOUR))
    width = min(WIDTH, hours)
    sums = [0] * width
    for hour, count in by_hour.items():
        place = (hour - first) // _HOUR
        if 0 <= place < hours:
            sums[place * width // hours] += count
    most = max(sums)
    return "".join(_BLOCKS[(n * len(_BLOCKS) - 1) // most] if n else _NONE for n in sums)
