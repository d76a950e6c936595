"""Domain, Template and API key of a tenant.

kannon.db returns them, kannon.wire converts them. They contain no secrets: of an API key only the prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from kannon.errors import InvalidArgument, PermissionDenied
from kannon.mail.batch import Engine
from kannon.mail.quota import MAX_PER_DAY, MAX_PER_SECOND
from kannon.mail.send_request import Tenant
from kannon.mail.tracking import TrackingPolicy

MAX_TEMPLATE_TITLE = 200
MAX_API_KEY_NAME = 100
MAX_NETWORKS = 100

Network = IPv4Network | IPv6Network


class Scope(StrEnum):
    """What an API key may do, each for its own domain."""

    SEND = "send"
    READ = "read"
    """Events, deliveries, timelines and counts."""
    SUPPRESSIONS = "suppressions"
    TEMPLATES = "templates"
    WEBHOOKS = "webhooks"


def parse_scopes(texts: Sequence[str], field: str) -> tuple[Scope, ...]:
    """In their own order, each once. Raises InvalidArgument."""
    known = {scope.value: scope for scope in Scope}
    for text in texts:
        if text not in known:
            raise InvalidArgument(field, f'"{text[:100]}" is not a scope; the scopes are {", ".join(known)}')
    return tuple(scope for scope in Scope if scope.value in texts)


def parse_networks(texts: Sequence[str], field: str) -> tuple[Network, ...]:
    """Addresses and networks in CIDR form (RFC 4632 §3.1), IPv4 and IPv6. Raises InvalidArgument."""
    if len(texts) > MAX_NETWORKS:
        raise InvalidArgument(field, f"must not have more than {MAX_NETWORKS} networks")
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ip_network(text.strip()))
        except ValueError as error:
            hint = " (bits beyond the prefix are set)" if "host bits" in str(error) else ""
            raise InvalidArgument(field, f'"{text[:100]}" is not an address or a network in CIDR form{hint}') from None
    return tuple(dict.fromkeys(networks))


@dataclass(frozen=True, slots=True)
class Limits:
    """Mails a second and a day; 0: no limit."""

    per_second: int = 0
    per_day: int = 0

    def check(self, field: str) -> None:
        """Raises InvalidArgument; `field` has the limits."""
        limits = (("per_second", self.per_second, MAX_PER_SECOND), ("per_day", self.per_day, MAX_PER_DAY))
        for name, value, most in limits:
            if value < 0:
                raise InvalidArgument(f"{field}.{name}", "must not be negative")
            if value > most:
                raise InvalidArgument(f"{field}.{name}", f"must not exceed {most}")


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
    engine: Engine
    title: str
    html: str
    version: int = 1


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One save of a template. `bytes` are of its HTML, which is empty in a list."""

    version: int
    title: str
    saved_at: datetime
    bytes: int
    html: str = ""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`prefix` is the beginning of the secret. Times are aware UTC. Without `networks` it may be used from everywhere;
    `last_used_from` is an address."""

    id: str
    domain: str
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    deactivated_at: datetime | None
    scopes: tuple[Scope, ...] = (Scope.SEND,)
    networks: tuple[Network, ...] = ()
    limits: Limits = Limits()
    last_used_at: datetime | None = None
    last_used_from: str = ""

    def active_at(self, now: datetime) -> bool:
        return self.deactivated_at is None and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What a valid key opens."""

    key_id: str
    tenant: Tenant
    scopes: frozenset[Scope]
    networks: tuple[Network, ...] = ()

    def check(self, scope: Scope, peer: str) -> None:
        """Raises PermissionDenied: `peer`, an address, may not use the key, or the key lacks the scope."""
        if self.networks and not _contains(self.networks, peer):
            raise PermissionDenied(f"the API key must not be used from {peer or 'an unknown address'}")
        if scope not in self.scopes:
            raise PermissionDenied(f'the API key does not have the scope "{scope.value}"')


def _contains(networks: Sequence[Network], peer: str) -> bool:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:  # RFC 4291 §2.5.5.2: a listener of both families
        address = address.ipv4_mapped
    return any(address in network for network in networks)
