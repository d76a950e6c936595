"""What one stranger may cost: the limits of a connection and of all of them, and who is let in at all.

In: peers and the number of connections. Out: yes or no. All times are seconds.
"""

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_bytes` and `max_connections` come from the configuration; the rest has its reason beside it."""

    max_bytes: int = 5 << 20
    max_connections: int = 200
    max_per_peer: int = 0  # 0: half of max_connections, so that no single peer can shut the others out
    command_seconds: float = 300  # RFC 5321 §4.5.3.2.7: at least 5 minutes for the next command
    tls_seconds: float = 30
    data_seconds: float = 600  # for a whole message; RFC 5321 §4.5.3.2.5 would allow 3 minutes for every chunk
    store_seconds: float = 30  # RFC 5321 §4.5.3.2.6 gives us 10 minutes after the dot; the bus answers in 5 s or never
    session_seconds: float = 1800
    crowded_seconds: float = 10  # when all places are taken by mails, whose peer has paused so long makes room
    linger_seconds: float = 5  # to read our last words
    max_commands: int = 1000
    max_errors: int = 20  # as Postfix: smtpd_hard_error_limit
    max_recipients: int = 100  # RFC 5321 §4.5.3.1.8: at least 100
    max_line: int = 64 << 10  # RFC 5321 §4.5.3.1.6 asks for 1000; real reports hold far longer ones
    max_memory: int = 256 << 20  # of all messages being read at this moment
    max_unread: int = 10_000  # mails kept for the postmaster; strangers can write there
    max_unread_bytes: int = 256 << 20  # of them together: the disk is the database's too
    max_received: int = 100  # RFC 5321 §6.3: a mail with more hops is in a loop

    @property
    def per_peer(self) -> int:
        return self.max_per_peer or max(1, self.max_connections // 2)


class Memory:
    """The bytes that messages in transfer may take together."""

    def __init__(self, size: int) -> None:
        self._free = size

    def take(self, count: int) -> bool:
        """False when there is not so much left."""
        if count > self._free:
            return False
        self._free -= count
        return True

    def give_back(self, count: int) -> None:
        self._free += count


class ConnectionLimiter:
    """Counts connections in all and per peer: an IPv4 address, or an IPv6 /64, which is one customer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        return self._peers.total() >= self._limits.max_connections

    def may_enter(self, peer: str) -> bool:
        """By the peer's own count. Loopback is a proxy or a local mail server, which speaks for many."""
        key = _peer_key(peer)
        return key == "loopback" or self._peers[key] < self._limits.per_peer

    def enter(self, peer: str) -> None:
        self._peers[_peer_key(peer)] += 1

    def leave(self, peer: str) -> None:
        key = _peer_key(peer)
        self._peers[key] -= 1
        if self._peers[key] <= 0:
            del self._peers[key]


def _peer_key(peer: str) -> str:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif not address.is_loopback:
            return str(IPv6Address(int(address) >> 64 << 64))
    return "loopback" if address.is_loopback else str(address)
