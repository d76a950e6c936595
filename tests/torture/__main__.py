"""`make torture`: random faults from a seed against one long campaign of mail, with a ledger at the far end.

    make torture [ARGS="--quick | --minutes N | --faults N  --seed N --layout single|cluster --only NAME --json"]

In: flags. Out: for each fault how many mails were tried, lost and sent twice, the longest time in which nothing moved,
and when the last mail was settled; at the end the accounts of the pool, the statistics and the counters. Exit code 1
when a mail is lost, when a copy has no ambiguous dot, when a bound (bounds.py) does not hold, or when the accounts
differ. Each layout has half of the time.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.torture import report
from tests.torture.faults import FAULTS
from tests.torture.layouts import LAYOUTS
from tests.torture.run import Choice, torture

QUICK_MINUTES = 2.5
MINUTES = 25.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, help="in each layout; default: as many as the time permits")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="begin no fault later than that")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_MINUTES} minutes")
    parser.add_argument("--layout", choices=list(LAYOUTS), action="append", help="default: both")
    names = sorted({fault.name for faults in FAULTS.values() for fault in faults})
    parser.add_argument("--only", choices=names, action="append", help="these faults")
    parser.add_argument("--slack", type=float, default=1.0, help="multiplies the bounds, for a busy machine")
    parser.add_argument("--keep", type=Path, help="a new folder for data and logs, which stays")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each fault")
    arguments = parser.parse_args()
    layouts = arguments.layout or list(LAYOUTS)
    if not arguments.json:
        print(report.head(), flush=True)
    minutes = (QUICK_MINUTES if arguments.quick else arguments.minutes) / len(layouts)
    choice = Choice(arguments.seed, arguments.faults, minutes * 60, arguments.only, arguments.slack)
    with tempfile.TemporaryDirectory(prefix="kannon-torture-", ignore_cleanup_errors=True) as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
        problems = [asyncio.run(torture(folder / name, name, choice, json=arguments.json)) for name in layouts]
    if not arguments.json:
        print("red" if any(problems) else "green", f"(seed {arguments.seed})")
    sys.exit(1 if any(problems) else 0)


if __name__ == "__main__":
    main()
