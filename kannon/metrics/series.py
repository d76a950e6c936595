"""Counters and timings: added to by components, read as Prometheus metric families.

In: amounts and seconds, from one event loop. Out: families for `prometheus_client.generate_latest`. To add
costs one dictionary or list operation; sorting into buckets is done when a thousand have gathered, or somebody reads.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 14400.0, 86400.0)
"""Seconds: from a build to the end of a retry window."""
_GATHERED = 1000
OTHER = "other"


class Count:
    """A counter; `labels` names what its values are told apart by. Those that are known in advance start at zero."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), known: Iterable[Sequence[str]] = ()) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {tuple(values): 0.0 for values in known}
        if not labels:
            self._values[()] = 0.0

    def add(self, *values: str, amount: float = 1) -> None:
        self._values[values] = self._values.get(values, 0.0) + amount

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, amount in self._values.items():
            family.add_metric(values, amount)
        yield family


class Timing:
    """A histogram of seconds by one label."""

    def __init__(self, name: str, text: str, label: str, known: Iterable[str]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._gathered: dict[str, list[float]] = {value: [] for value in known}
        self._counts = {value: [0] * (len(BUCKETS) + 1) for value in self._gathered}
        self._sums = dict.fromkeys(self._gathered, 0.0)

    def add(self, value: str, seconds: float) -> None:
        gathered = self._gathered[value]
        gathered.append(seconds)
        if len(gathered) >= _GATHERED:
            self._sort(value)

    def add_all(self, value: str, seconds: Iterable[float]) -> None:
        self._gathered[value] += seconds
        if len(self._gathered[value]) >= _GATHERED:
            self._sort(value)

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=[self._label])
        for value, counts in self._counts.items():
            self._sort(value)
            buckets, total = [], 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                buckets.append((bound, float(total)))
            family.add_metric([value], buckets, self._sums[value])
        yield family

    def _sort(self, value: str) -> None:
        counts, gathered = self._counts[value], self._gathered[value]
        for seconds in gathered:
            counts[bisect_left(BUCKETS, seconds)] += 1
        self._sums[value] += sum(gathered)
        gathered.clear()


class TopLabels:
    """Names that may become label values: only those seen often, and only so many of them; the rest is `other`.

    A name that has one keeps it, for a counter must not go backwards.
    """

    def __init__(self, *, often: int = 100, most: int = 50, remembered: int = 10_000) -> None:
        self._often = often
        self._most = most
        self._remembered = remembered
        self._chosen: set[str] = set()
        self._seen: dict[str, int] = {}

    def label(self, name: str) -> str:
        if name in self._chosen:
            return name
        if len(self._chosen) < self._most:
            count = self._seen.pop(name, 0) + 1
            if count > self._often:
                self._chosen.add(name)
                return name
            self._seen[name] = count  # at the end: the first one is the one seen longest ago
            if len(self._seen) > self._remembered:
                del self._seen[next(iter(self._seen))]
        return OTHER
