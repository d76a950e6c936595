"""metrics: the state of this process as Prometheus text, on a listener of its own.

gauges.py       numbers that are read at each request: pool, streams, components, connections
component.py    the listener

kannon.metrics has what components count. docs/operating.md explains each name; a test compares both.
"""

from kannon.components.metrics.component import MetricsServer
from kannon.components.metrics.gauges import ComponentState, Gauges, Sources

__all__ = ["ComponentState", "Gauges", "MetricsServer", "Sources"]
