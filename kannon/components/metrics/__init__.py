"""metrics: the state of this process as Prometheus text, on a listener of its own.

gauges.py       numbers that are read at each request: pool, streams, components, connections
host.py         those of the machine: free disk, certificates, the last backup
reading.py      these and what the components have counted, of all processes
component.py    the listener

kannon.metrics has what components count. docs/operating.md explains each name; a test compares both.
"""

from kannon.components.metrics.component import MetricsServer
from kannon.components.metrics.gauges import ComponentState, Gauges, Sources
from kannon.components.metrics.host import Host
from kannon.components.metrics.reading import Reading

__all__ = ["ComponentState", "Gauges", "Host", "MetricsServer", "Reading", "Sources"]
