"""The limits of one connection and of all connections together. All times are seconds."""

from collections import Counter
from dataclasses import dataclass

from kannon.peers import peer_key


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_bytes` and `max_connections` come from the configuration; each other limit states its reason."""

    max_bytes: int = 5 << 20
    max_connections: int = 200
    max_per_peer: int = 0  # 0: half of max_connections, so that one peer cannot exclude all others
    command_seconds: float = 300  # RFC 5321 §4.5.3.2.7: at least 5 minutes for the next command
    tls_seconds: float = 30
    data_seconds: float = 600  # for a whole message; RFC 5321 §4.5.3.2.5 would allow 3 minutes for every chunk
    store_seconds: float = (
        30  # RFC 5321 §4.5.3.2.6 allows 10 minutes after the dot; the bus answers within 5 s or not at all
    )
    session_seconds: float = 1800
    idle_transaction_seconds: float = 10  # a longer idle transaction ends when a new connection needs its place
    linger_seconds: float = 5  # for the peer to read the last reply
    max_commands: int = 1000
    max_errors: int = 20  # as Postfix: smtpd_hard_error_limit
    max_recipients: int = 100  # RFC 5321 §4.5.3.1.8: at least 100
    max_line: int = 64 << 10  # RFC 5321 §4.5.3.1.6 asks for 1000; real reports have far longer lines
    max_memory: int = 256 << 20  # of all messages in transfer
    max_unread: int = 10_000  # mails in the postmaster's mailbox, which is open to anyone
    max_unread_bytes: int = 256 << 20  # of these mails together; PostgreSQL may use the same disk
    max_received: int = 100  # RFC 5321 §6.3: a mail with more hops is in a loop

    @property
    def per_peer(self) -> int:
        return self.max_per_peer or max(1, self.max_connections // 2)


class Memory:
    """The memory that all messages in transfer share."""

    def __init__(self, size: int) -> None:
        self._free = size

    def acquire(self, count: int) -> bool:
        """False when less than `count` is free."""
        if count > self._free:
            return False
        self._free -= count
        return True

    def release(self, count: int) -> None:
        self._free += count


class ConnectionLimiter:
    """Counts connections in all and by peer: an IPv4 address, or an IPv6 /64, which belongs to one customer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        return self._peers.total() >= self._limits.max_connections

    def allows(self, peer: str) -> bool:
        """By the peer's own count. Loopback is exempt: a proxy or a local mail server there has many clients."""
        key = peer_key(peer)
        return key == "loopback" or self._peers[key] < self._limits.per_peer

    def acquire(self, peer: str) -> None:
        self._peers[peer_key(peer)] += 1

    def release(self, peer: str) -> None:
        key = peer_key(peer)
        self._peers[key] -= 1
        if self._peers[key] <= 0:
            del self._peers[key]
