"""The delay that a tarpit and a refuser among fifty destinations cause to the other forty-eight.

Out: seconds until 95 % and all of the mail to the forty-eight is delivered, alone and behind a thousand mails for a
destination that answers a byte a second at the named stages. Both take turns and the best of three counts, since other
work of the machine slows both. Exit code 1 when the promise is broken: 90 % of the speed, twice the wait of 95 %.

    python -m tests.bench.bench_isolation
"""

import asyncio
import sys
from dataclasses import dataclass

from kannon.mail.verdict import Stage
from tests.support import smtp_peer
from tests.support.destinations import Bad, Run, destinations, run_of

STAGES = (Stage.GREETING, Stage.MAIL, Stage.DOT)
COUNT = 50
MAILS_EACH = 30
IN_FRONT = 1000
SLACK_SECONDS = 0.25  # allowance for the extra mails and a busy machine


@dataclass(frozen=True)
class Found:
    alone: list[Run]
    beside: list[Run]

    def __str__(self) -> str:
        p95 = f"{min(run.p95 for run in self.alone):.2f} s alone, {min(run.p95 for run in self.beside):.2f} s beside"
        took = f"{min(run.took for run in self.alone):.2f} s alone, {min(run.took for run in self.beside):.2f} s beside"
        return f"95 %: {p95}; all: {took}"

    @property
    def kept(self) -> bool:
        """Whether the promise is kept."""
        p95 = min(run.p95 for run in self.beside) <= 2 * min(run.p95 for run in self.alone)
        return p95 and min(r.took for r in self.beside) < min(r.took for r in self.alone) / 0.9 + SLACK_SECONDS


async def measure(stage: Stage) -> Found:
    bad: Bad = {0: (stage, smtp_peer.drip), 1: (Stage.RCPT, "550 5.7.1 not from you")}
    good = [number for _ in range(MAILS_EACH) for number in range(2, COUNT)]
    found = Found([], [])
    for _ in range(3):
        async with destinations(COUNT, {}, timeout_scale=1) as (deliverer, _):
            found.alone.append(await run_of(deliverer, good, bad))
        async with destinations(COUNT, bad, timeout_scale=1) as (deliverer, peers):
            peers[0].drip_seconds = 1.0
            found.beside.append(await run_of(deliverer, [0] * IN_FRONT + [1] * MAILS_EACH + good, bad))
        assert all(len(peer.mails) == MAILS_EACH for peer in peers[2:])
    return found


async def main() -> bool:
    kept = True
    for stage in STAGES:
        found = await measure(stage)
        print(f"{stage}: {found}")
        kept &= found.kept
    return kept


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
