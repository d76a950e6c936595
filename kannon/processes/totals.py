"""The metrics of several processes as those of one.

In: the families of each process. Out: one list of families. Counters and histograms are summed. A gauge is summed too,
unless RULES names another rule: a component is ready when it is ready everywhere; two senders that know a destination
know one destination.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.samples import Sample

from kannon.metrics import names

RULES: Final[dict[str, Callable[[float, float], float]]] = {
    names.COMPONENT_READY.name: min,
    names.SMTP_DESTINATIONS.name: max,
    names.BUILD_INFO.name: max,
    "process_open_fds": max,
    "process_max_fds": min,
    "process_start_time_seconds": min,
}
_COUNTED: Final = ("counter", "histogram")

_Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def add_up(processes: Iterable[Sequence[Metric]]) -> list[Metric]:
    """In the order in which the families first appear."""
    families: dict[str, tuple[Metric, _Values]] = {}
    for process in processes:
        for family in process:
            _, values = families.setdefault(family.name, (family, {}))
            rule = RULES.get(family.name)
            for sample in family.samples:
                key = sample.name, tuple(sample.labels.items())
                known = values.get(key)
                if known is None:
                    values[key] = sample.value
                else:
                    values[key] = rule(known, sample.value) if rule else known + sample.value
    return [_family(*each) for each in families.values()]


def only_counted(families: Iterable[Metric]) -> list[Metric]:
    """What still counts when its process has ended, so that no counter falls."""
    return [family for family in families if family.type in _COUNTED]


def _family(like: Metric, values: _Values) -> Metric:
    family = Metric(like.name, like.documentation, like.type)
    family.samples = [Sample(name, dict(labels), value) for (name, labels), value in values.items()]
    return family
