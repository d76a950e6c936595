"""The answer for a delivery that has to wait: no attempt was made, and the retry budget is untouched."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Throttled:
    """Try again in `retry_in` seconds: no connection is free, or the destination is down and is being probed, or for
    another `reason`. The pool adds no retry time of its own. `rate`: mails a second that the destination accepts; 0:
    unknown."""

    retry_in: float
    rate: float = 0.0
    reason: str = ""
