"""metrics: how this process fares, as Prometheus text on a listener of its own.

series.py       counters and timings, cheap to add to
meter.py        every number that components tell of, by name
gauges.py       every number that is asked for when somebody reads: pool, streams, components, connections
component.py    the listener

docs/operating.md says of each name what it means and what to do when it moves; a test holds the two together.
"""

from kannon.components.metrics.component import Metrics
from kannon.components.metrics.gauges import ComponentState, Gauges, Sources
from kannon.metrics.meter import Meter

__all__ = ["ComponentState", "Gauges", "Meter", "Metrics", "Sources"]
