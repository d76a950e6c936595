"""One process of an installation, as it describes itself."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Node:
    """`process`: 1 where it was started, from 2 on where another process started it. `not_ready`: those of
    `components` that do not serve now. `cpu`: of one core, 0 to 1, of the process or its busiest build worker."""

    host: str
    pid: int
    process: int
    components: tuple[str, ...]
    not_ready: tuple[str, ...]
    started_at: datetime
    cpu: float
    attempts_per_second: float
    version: str
