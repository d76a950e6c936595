"""The processor seconds of a piece of work; other processes on a busy machine do not change them."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def cost(work: Callable[[], object], times: int = 3) -> float:
    """Seconds of this thread, the lowest of `times` runs."""
    return min(_once(work) for _ in range(times))


def _once(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


@contextmanager
def children_cost() -> Iterator[Callable[[], float]]:
    """Yields a function that returns the seconds so far of all child processes that ended in the block."""
    start = _of_children()
    yield lambda: _of_children() - start


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
