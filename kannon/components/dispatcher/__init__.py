"""dispatcher: turns due deliveries into signed envelopes, and their outcomes into settled rows.

scheduler.py   claims, has built, publishes
builder.py     loads each batch once and hands pages of it to worker processes
pages.py       what runs in a worker
outcomes.py    settles what came back
dispatcher.py  runs them, and takes back claims whose envelope is nowhere any more
"""

from kannon.components.dispatcher.builder import Builder, BuildOptions
from kannon.components.dispatcher.dispatcher import Dispatcher
from kannon.components.dispatcher.outcomes import Outcomes
from kannon.components.dispatcher.scheduler import Scheduler, SchedulerLimits

__all__ = ["BuildOptions", "Builder", "Dispatcher", "Outcomes", "Scheduler", "SchedulerLimits"]
