"""What work costs, in seconds of the processor: other processes do not count, however busy the machine is."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def cost(work: Callable[[], object], times: int = 3) -> float:
    """Of this thread, at the cheapest of so many times."""
    return min(_once(work) for _ in range(times))


def _once(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


@contextmanager
def children_cost() -> Iterator[Callable[[], float]]:
    """Of all processes that end within, with their children. Gives how much it is so far."""
    start = _of_children()
    yield lambda: _of_children() - start


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
