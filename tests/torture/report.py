"""Results as a table, or as a line of JSON each."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from tests.torture.campaign import Result

_HEAD = f"{'layout':8} {'fault':17} {'tried':>6} {'lost':>5} {'twice':>6} {'wrong':>6} {'still':>7} {'last':>7}"


def head() -> str:
    return _HEAD


def row(result: Result) -> str:
    text = (
        f"{result.layout:8} {result.fault:17} {result.tried:6} {result.lost:5} {result.twice:6} {result.wrong:6}"
        f" {result.still:6.1f}s {result.last:6.1f}s"
    )
    return "\n".join([text, *(f"    {problem}" for problem in result.problems)])


def summary(results: Sequence[Result]) -> str:
    """A row for each fault: sums, and the longest times."""
    lines = [f"{'fault':17} {'faults':>6} {'tried':>7} {'lost':>5} {'twice':>6} {'still':>7} {'last':>7} {'red':>4}"]
    for name in sorted({result.fault for result in results}):
        own = [result for result in results if result.fault == name]
        lines.append(
            f"{name:17} {len(own):6} {sum(r.tried for r in own):7} {sum(r.lost for r in own):5}"
            f" {sum(r.twice for r in own):6} {max(r.still for r in own):6.1f}s {max(r.last for r in own):6.1f}s"
            f" {sum(bool(r.problems) for r in own):4}"
        )
    return "\n".join(lines)


def as_json(result: Result) -> str:
    return json.dumps(asdict(result))
