"""dispatcher: turns due deliveries into signed envelopes, and their outcomes into settled rows.

scheduler.py   claims due deliveries, has them built, publishes the envelopes
throttle.py    delays deliveries to throttled destinations
inputs.py      loads batches, templates and keys for a page at a time
builder.py     gives build jobs to worker processes, which run kannon.components.build_worker
outcomes.py    settles deliveries by their outcomes
clock.py       reads PostgreSQL's clock, and corrects the queue when it jumps
dispatcher.py  runs all of these, and reclaims deliveries whose envelope is lost
"""

from kannon.components.dispatcher.builder import Builder
from kannon.components.dispatcher.dispatcher import Dispatcher
from kannon.components.dispatcher.inputs import BuildOptions
from kannon.components.dispatcher.outcomes import Outcomes
from kannon.components.dispatcher.scheduler import Scheduler, SchedulerLimits

__all__ = ["BuildOptions", "Builder", "Dispatcher", "Outcomes", "Scheduler", "SchedulerLimits"]
