"""A sparkline: counts by hour as one line of block characters, short enough for a table.

In: counts by hour and their time span. Out: text.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

WIDTH = 48
"""The longest line. It shows two days by the hour; in a longer span each block stands for several hours."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_NONE = "·"
_HOUR = timedelta(hours=1)


def sparkline(by_hour: Mapping[datetime, int], from_time: datetime, to_time: datetime) -> str:
    """`by_hour` maps the beginning of an hour to its count. The highest count gets the highest block."""
    first = from_time.replace(minute=0, second=0, microsecond=0)
    hours = max(1, -(-(to_time - first) // _HOUR))
    width = min(WIDTH, hours)
    sums = [0] * width
    for hour, count in by_hour.items():
        index = (hour - first) // _HOUR
        if 0 <= index < hours:
            sums[index * width // hours] += count
    most = max(sums)
    return "".join(_BLOCKS[(n * len(_BLOCKS) - 1) // most] if n else _NONE for n in sums)
