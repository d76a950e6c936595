"""An exponentially weighted moving average: both the sender and the scheduler smooth their speeds with it."""


class MovingAverage:
    __slots__ = ("value",)

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def add(self, sample: float, weight: float) -> None:
        """A weight of 1 or more replaces the value."""
        self.value += (sample - self.value) * min(1.0, weight)
