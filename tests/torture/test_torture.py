"""`make torture` in small: a few faults from a fixed seed against one process, and the accounts at the end."""

from pathlib import Path

from tests.torture.run import Choice, torture

FAULTS = ("kill-kannon", "kill-nats", "kill-postgres")
SLACK = 20.0  # nothing here is measured by the clock; `make torture` does that


async def test_a_few_faults_lose_nothing_and_send_nothing_twice(tmp_path: Path) -> None:
    choice = Choice(seed=1, faults=len(FAULTS), seconds=600, only=FAULTS, slack=SLACK, hostile=0)
    assert not await torture(tmp_path / "single", "single", choice, json=False)
