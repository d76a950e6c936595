"""One layout's campaign, from the start of its servers to its accounts.

In: a new folder, the name of a layout, a choice of faults. Out: whether anything was wrong; it prints as it goes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.torture import report
from tests.torture.accounts import audit
from tests.torture.campaign import Campaign, Result
from tests.torture.faults import FAULTS, Fault
from tests.torture.layouts import LAYOUTS, Layout
from tests.torture.ledger import Ledger
from tests.torture.mail import HOSTILE_SHARE, Mailings
from tests.torture.sink import Destinations


@dataclass(frozen=True, slots=True)
class Choice:
    """`faults` None: as many as begin within `seconds`. `only` None: all."""

    seed: int
    faults: int | None
    seconds: float
    only: Sequence[str] | None
    slack: float
    hostile: float = HOSTILE_SHARE
    """The share of mail for a hostile destination. It recovers at the end, and all its mail is settled then."""


async def torture(folder: Path, name: str, choice: Choice, *, json: bool) -> bool:
    """True: something was wrong."""
    folder.mkdir()
    folder.chmod(0o711)
    random = Random(choice.seed)
    ledger = Ledger()
    destinations = Destinations(ledger, Random(choice.seed))
    results: list[Result] = []
    async with destinations.serving(), LAYOUTS[name](folder, destinations.routes) as layout:
        mailings = Mailings(layout, ledger, destinations, random, hostile=choice.hostile)
        try:
            await mailings.register()
            campaign = Campaign(layout, ledger, mailings, random, slack=choice.slack)
            async for result in campaign.run(_chooser(layout, choice, random)):
                results.append(result)
                print(report.as_json(result) if json else report.row(result), flush=True)
                if result.lost:
                    break
            destinations.recover()
            problems = await audit(layout.database_url, ledger, campaign.events_lost)
        finally:
            mailings.close()
    if not json:
        print(report.summary(results))
        answered = sum(len(mail.dots) for mail in ledger.mails.values())
        print(f"{name}: {len(results)} faults, {len(ledger.mails)} mails, {answered} final dots")
    for problem in problems:
        print(f"accounts: {problem}", flush=True)
    return bool(problems) or any(result.problems for result in results)


def _chooser(layout: Layout, choice: Choice, random: Random) -> Callable[[], Fault | None]:
    """Each fault once in random order, then again."""
    possible = [
        fault
        for fault in FAULTS[layout.name]
        if fault.possible(layout) and (choice.only is None or fault.name in choice.only)
    ]
    waiting: list[Fault] = []
    began, count = time.monotonic(), 0

    def choose() -> Fault | None:
        nonlocal count
        late = time.monotonic() - began > choice.seconds
        if not possible or late or (choice.faults is not None and count >= choice.faults):
            return None
        if not waiting:
            waiting.extend(random.sample(possible, len(possible)))
        count += 1
        return waiting.pop()

    return choose
