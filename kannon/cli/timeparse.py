"""Parses the times of command-line options: a duration such as `2h` or `90d`, or ISO 8601.

In: text and the current time. Out: an aware datetime. Other text is a usage error that names the option.
"""

from datetime import UTC, datetime, timedelta

import typer


def parse_time(text: str, now: datetime, option: str, *, ahead: bool = False) -> datetime:
    """A duration counts back from now, or forward with `ahead`. An ISO time without an offset is local time."""
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
        raise typer.BadParameter('give a duration such as "2h" or an ISO time', param_hint=option) from None
