"""Addresses that a public mail exchanger cannot have: loopback, private, link-local, this machine's own.

In: an IP address. Out: the reply that expresses the refusal, or None. A domain's MX record must not lead into the
internal network.
"""

import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from kannon.mail.verdict import Reply

_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052 §2.1
_WORLD = ip_network("2000::/3")  # IANA, IPv6 address space: global unicast; the rest is special or unassigned
_TEST_NET = "192.0.2.1"  # RFC 5737: TEST-NET-1, never an address of this machine

LOOP = Reply(554, "the mail exchanger of this domain is this server itself", "5.4.6")
PRIVATE = Reply(550, "the mail exchanger of this domain has no public address", "5.4.4")


def refusal(address: str) -> Reply | None:
    """Why no connection is made to this address, unless a route or the configuration allows it."""
    ip = _inner(ip_address(address))
    if ip.is_multicast:
        return PRIVATE
    if ip.is_loopback or ip.is_unspecified or is_own(str(ip)):
        return LOOP
    if isinstance(ip, IPv6Address) and ip not in _WORLD:
        return PRIVATE  # RFC 8215: NAT64 of local use; also site-local and IPv4-compatible ones
    return None if ip.is_global else PRIVATE


def is_routable(address: str) -> bool:
    """Whether this machine has a route to it. A machine without IPv6 skips IPv6 addresses. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
    except OSError:
        return False
    return True


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one: the packet goes there."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return ip.ipv4_mapped
        if ip.sixtofour:
            return ip.sixtofour
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


@lru_cache(maxsize=10_000)
def is_own(address: str) -> bool:
    """This machine can bind its own addresses only. A kernel that binds any address gives no answer: False."""
    return _can_bind(address) and not _can_bind(_TEST_NET)


def _can_bind(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
