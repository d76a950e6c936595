"""Jumps of a machine's clock are noticed with their size; drift and suspension are none."""

import pytest
import structlog.testing

from kannon.clock import JUMP_SECONDS, ClockWatch, JumpMeter

HOUR = 3600.0


class Clocks:
    def __init__(self) -> None:
        self.wall, self.steady = 1_900_000_000.0, 50.0

    def pass_by(self, seconds: float, *, jump: float = 0.0) -> None:
        self.steady += seconds
        self.wall += seconds + jump


@pytest.mark.parametrize("jump", [HOUR, -HOUR, JUMP_SECONDS, -JUMP_SECONDS])
def test_a_jump_is_logged_once_with_its_size(jump: float) -> None:
    clocks = Clocks()
    watch = ClockWatch(lambda: clocks.wall, lambda: clocks.steady)
    with structlog.testing.capture_logs() as logs:
        watch.read()
        clocks.pass_by(1.0)
        watch.read()
        assert logs == []
        clocks.pass_by(1.0, jump=jump)
        for _ in range(3):
            watch.read()
            clocks.pass_by(1.0)
    assert [(line["log_level"], line["seconds"]) for line in logs] == [("warning", jump)]


def test_a_clock_that_is_slewed_has_not_jumped() -> None:
    clocks, meter = Clocks(), JumpMeter()
    for _ in range(int(HOUR)):
        clocks.pass_by(1.0, jump=0.0005)
        assert meter.update(clocks.wall, clocks.steady) == 0.0


def test_a_pause_of_the_process_is_no_jump() -> None:
    clocks, meter = Clocks(), JumpMeter()
    meter.update(clocks.wall, clocks.steady)
    clocks.pass_by(9 * HOUR)
    assert meter.update(clocks.wall, clocks.steady) == 0.0
