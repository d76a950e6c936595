"""Charts as SVG from the server: stacked columns by hour, and a bar of shares. A table beside each has the numbers.

The drawing stretches to the width of its place; the labels are text beside it, so that they keep their size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HEIGHT = 100
COLUMN, GAP = 10, 2
"""Units of the drawing: the width of a column, and of the space in it."""
_STEPS = (2, 4, 6, 10)


@dataclass(frozen=True, slots=True)
class Series:
    """`mark` is the class of its colour."""

    name: str
    mark: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Rect:
    x: float
    y: float
    width: float
    height: float
    mark: str


@dataclass(frozen=True, slots=True)
class Columns:
    """All that a template draws. `levels` are the labels of the top and of the half; `rows` are those of the table: the
    hour, then a value of each series."""

    series: Sequence[Series]
    rects: Sequence[Rect]
    levels: Sequence[str]
    hours: Sequence[str]
    rows: Sequence[tuple[datetime, Sequence[int]]]
    width: int
    height: int = HEIGHT

    @property
    def is_empty(self) -> bool:
        return not self.rects


def hours_back(now: datetime, count: int) -> list[datetime]:
    """The present hour (UTC) and those before it, the oldest first."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return [last - timedelta(hours=back) for back in reversed(range(count))]


def columns(hours: Sequence[datetime], named: Mapping[str, tuple[str, Mapping[datetime, int]]]) -> Columns:
    """`named`: a series' name → the class of its colour and its counts by hour."""
    series = [Series(name, mark, [counts.get(hour, 0) for hour in hours]) for name, (mark, counts) in named.items()]
    totals = [sum(each.values[index] for each in series) for index in range(len(hours))]
    top = _round_up(max(totals, default=0))
    rects = []
    for index in range(len(hours)):
        base = float(HEIGHT)
        for each in series:
            if each.values[index]:
                height = max(1.0, each.values[index] * HEIGHT / top)
                base -= height
                rects.append(Rect(index * COLUMN + GAP / 2, round(base, 1), COLUMN - GAP, round(height, 1), each.mark))
    rows = [(hour, [each.values[index] for each in series]) for index, hour in enumerate(hours)]
    labels = [f"{hour:%H:%M}" if index % 3 == 0 else "" for index, hour in enumerate(hours)]
    return Columns(series, rects, [_short(top), _short(top / 2)], labels, rows, COLUMN * len(hours))


@dataclass(frozen=True, slots=True)
class Share:
    """Of a bar: `x` and `width` in percent."""

    name: str
    mark: str
    count: int
    x: float
    width: float


def shares(parts: Sequence[tuple[str, str, int]]) -> list[Share]:
    """Of (name, class, count); those of 0 have no width."""
    whole = sum(count for _, _, count in parts) or 1
    done, result = 0.0, []
    for name, mark, count in parts:
        width = 100 * count / whole
        result.append(Share(name, mark, count, round(done, 2), round(width, 2)))
        done += width
    return result


def _round_up(value: int) -> int:
    """To 2, 4, 6, 10, 20, 40, …: a number whose half is round too."""
    power = 1
    while True:
        for step in _STEPS:
            if step * power >= value:
                return step * power
        power *= 10


def _short(value: float) -> str:
    for size, name in ((1_000_000, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:g}{name}"
    return f"{value:g}"
