"""Domain, Template and API key of a tenant.

kannon.db returns them, kannon.wire converts them. They contain no secrets: of an API key only the prefix.
"""

from dataclasses import dataclass
from datetime import datetime

from kannon.mail.tracking import TrackingPolicy

MAX_TEMPLATE_TITLE = 200
MAX_API_KEY_NAME = 100


@dataclass(frozen=True, slots=True)
class Domain:
    """`dkim_public_key` is base64 SPKI, for the p= tag; `tracking` is the ceiling for its batches."""

    name: str
    dkim_selector: str
    dkim_public_key: str
    tracking: TrackingPolicy


@dataclass(frozen=True, slots=True)
class Template:
    """`kind` is `template` (created by its owner) or `transient` (the HTML of one send, reusable by its id)."""

    template_id: str
    domain: str
    kind: str
    title: str
    html: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`prefix` is the beginning of the secret. Times are aware UTC."""

    id: str
    domain: str
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    deactivated_at: datetime | None

    def active_at(self, now: datetime) -> bool:
        return self.deactivated_at is None and (self.expires_at is None or self.expires_at > now)
