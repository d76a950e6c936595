"""Times as people type them: `2h`, `90d`, or ISO 8601.

In: text and the present. Out: an aware datetime. What is neither is a wrong use of the option it came with.
"""

from datetime import UTC, datetime, timedelta

import typer


def parse_moment(text: str, now: datetime, option: str, *, ahead: bool = False) -> datetime:
    """A duration counts back from now, or on from now with `ahead`. An ISO time without offset is local time."""
    from kannon.config import parse_duration

    try:
        span = parse_duration(text)
    except ValueError:
        span = None
    try:
        if isinstance(span, timedelta):
            return now + span if ahead else now - span
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter('a duration such as "2h" or an ISO time is needed', param_hint=option) from None
