"""One line of `kannon doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """BAD: mail is refused, lost in spam folders or not sent. WARN: works, and may fail later. UNKNOWN: could not be
    examined."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check`: what was examined. `found`: the result. `todo`: the remedy; empty for GOOD."""

    check: str
    level: Level
    found: str
    todo: str = ""


def good(check: str, found: str) -> Finding:
    return Finding(check, Level.GOOD, found)


def warn(check: str, found: str, todo: str) -> Finding:
    return Finding(check, Level.WARN, found, todo)


def bad(check: str, found: str, todo: str) -> Finding:
    return Finding(check, Level.BAD, found, todo)


def unknown(check: str, found: str, todo: str) -> Finding:
    return Finding(check, Level.UNKNOWN, found, todo)
