"""Connections per peer: one address must not take the places of all others.

In: addresses as sockets report them. Out: one key for what is likely one client.
"""

from ipaddress import IPv6Address, ip_address

LOOPBACK = "loopback"
"""The key of this machine: a proxy or a local program, which speaks for many clients."""


def peer_key(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 address, which is usually one customer."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif not ip.is_loopback:
            return str(IPv6Address(int(ip) >> 64 << 64))
    return LOOPBACK if ip.is_loopback else str(ip)
