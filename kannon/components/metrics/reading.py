"""All metrics of a process at one time: what its components have counted, its gauges, its own use of the machine.

In: a registry with the components' counters, and the gauges. Out: metric families.
"""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily

from kannon import __version__
from kannon.components.metrics.gauges import Gauges, Processes
from kannon.metrics import names

AddUp = Callable[[Iterable[Sequence[Metric]]], Sequence[Metric]]


class Reading:
    """`processes` and `add_up`: the further processes, and how their metrics become one."""

    def __init__(
        self,
        counted: CollectorRegistry,
        gauges: Gauges,
        *,
        processes: Processes | None = None,
        add_up: AddUp | None = None,
    ) -> None:
        self._gauges = gauges
        self._processes = processes
        self._add_up = add_up
        # No kannon_…_created: prometheus_client has one switch, for the process.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        for collector in (counted, gauges, _Build()):
            self._registry.register(collector)

    async def __call__(self) -> list[Metric]:
        await self._gauges.refresh()
        own = list(self._registry.collect())
        if self._processes is None or self._add_up is None:
            return own
        return list(self._add_up([own, *await self._processes.metrics()]))


class _Build:
    def collect(self) -> list[GaugeMetricFamily]:
        family = names.BUILD_INFO.gauge()
        family.add_metric([__version__], 1)
        return [family]
