"""One change that an operator or an application made: a row of the audit log."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Change:
    """`actor` is the credential (a token's name, or an API key), `attribution` the name that the caller gives itself.
    `action` is Service.Method; `subject` says what it changed, and to what."""

    way: str
    actor: str
    attribution: str
    peer: str
    action: str
    domain: str
    subject: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`done` is false where the process ended, or PostgreSQL went away, before the end of the change was recorded."""

    id: int
    at: datetime
    change: Change
    done: bool
