"""Looks up the DNS records of a domain, for `kannon domains dns --verify` and for the API.

In: a name, or for PTR also an address, and a kind of record. Out: the records as texts, or an empty list if the name
has none. Raises Unavailable if the name servers do not answer. Nothing is cached, because the operator has usually just
changed a record.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import cache

import dns.asyncresolver
import dns.exception
import dns.inet
import dns.nameserver
import dns.resolver
import dns.reversename

from kannon.config import split_listen
from kannon.errors import Unavailable
from kannon.mail.dns.records import Kind

LIFETIME_SECONDS = 10.0

Lookup = Callable[[str, Kind], Awaitable[list[str]]]


def make_lookup(nameservers: Sequence[str]) -> Lookup:
    """`nameservers` as in dns.nameservers. Empty: the system's, which are read at the first look-up."""

    @cache
    def make_resolver() -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=not nameservers)
        if nameservers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(*_address(each)) for each in nameservers]
        return resolver

    async def resolve(name: str, kind: str) -> list[str]:
        try:
            answer = await make_resolver().resolve(name, kind, lifetime=LIFETIME_SECONDS, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise Unavailable(f"DNS look-up of {name} {kind} failed: {error}") from None
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text() for record in answer]

    async def look_up(name: str, kind: Kind) -> list[str]:
        name = name.rstrip(".") + "."
        match kind:
            case Kind.TXT | Kind.MX:
                return await resolve(name, kind.value)
            case Kind.ADDRESS:
                return await resolve(name, "A") + await resolve(name, "AAAA")
            case Kind.PTR:
                addresses = [name[:-1]] if dns.inet.is_address(name[:-1]) else await look_up(name, Kind.ADDRESS)
                return [each for a in addresses for each in await resolve(str(dns.reversename.from_address(a)), "PTR")]

    return look_up


def make_txt_lookup(nameservers: Sequence[str]) -> Callable[[str], Awaitable[list[str]]]:
    """The same as make_lookup, for TXT records only."""
    look_up = make_lookup(nameservers)

    async def look_up_txt(name: str, /) -> list[str]:
        return await look_up(name, Kind.TXT)

    return look_up_txt


def _address(text: str) -> tuple[str, int]:
    return split_listen(text) if text.startswith("[") or text.count(":") == 1 else (text, 53)
