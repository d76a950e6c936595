"""processes: further processes of this program, so that one `kannon serve` uses every core.

division.py     how many, what each one gets of the machine's limits
parent.py       the component that starts, watches, restarts and stops them
child.py        the other end, in each of them
link.py         the socket between the two
totals.py       their metrics, added up

The first process has the embedded servers, the listeners (api, smtp, bump, metrics) and one share of the work; each
further one has a share of the work: sender, dispatcher with its build workers, validator, stats. They meet through
PostgreSQL and NATS only, like processes on several machines. The link carries the order to start, the state and the
metrics; no mail depends on it.
"""

from kannon.processes.child import ParentLink, receive_order
from kannon.processes.division import Order, count_processes, divide, postgres_connections
from kannon.processes.parent import Processes
from kannon.processes.totals import add_up

__all__ = [
    "Order",
    "ParentLink",
    "Processes",
    "add_up",
    "count_processes",
    "divide",
    "postgres_connections",
    "receive_order",
]
