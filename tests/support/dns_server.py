"""A small DNS server with real packets over UDP and TCP on loopback.

In: a zone, (name, type) → answers as text ("10 mx.test."), or one of SERVFAIL, NXDOMAIN, DROP, GARBAGE, TRUNCATED. A
CNAME is given as ("name", "CNAME"); the server follows it as a recursive server does, unless `follow` is off. A name
that the zone does not have is NXDOMAIN. Out: `asked`, every question in order.
"""

import asyncio
import errno
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

SERVFAIL, NXDOMAIN, REFUSED, DROP, GARBAGE, TRUNCATED, YXDOMAIN = (
    "!servfail",
    "!nxdomain",
    "!refused",
    "!drop",
    "!garbage",
    "!truncated",
    "!yxdomain",
)
_RCODES = {SERVFAIL: dns.rcode.SERVFAIL, REFUSED: dns.rcode.REFUSED, YXDOMAIN: dns.rcode.YXDOMAIN}

Zone = dict[tuple[str, str], list[str]]


def txt(text: str) -> list[str]:
    """A TXT record for a zone: strings of at most 255 characters (RFC 1035 §3.3)."""
    return [" ".join(f'"{text[i : i + 255]}"' for i in range(0, len(text), 255))]


@dataclass
class DnsServer:
    zone: Zone
    ttl: int = 300
    follow: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """None: no answer."""
        query = dns.message.from_wire(wire)
        name, kind = query.question[0].name, dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append((name.to_text(omit_final_dot=True), kind))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        for _ in range(20):
            found = self.zone.get((name.to_text(omit_final_dot=True).lower(), kind))
            if found is not None:
                return self._positive(response, name, kind, found, tcp=tcp)
            alias = self.zone.get((name.to_text(omit_final_dot=True).lower(), "CNAME"))
            if alias is None:
                break
            response.answer.append(dns.rrset.from_text(name, self.ttl, "IN", "CNAME", *alias))
            name = dns.name.from_text(alias[0])
            if not self.follow:
                return response.to_wire(want_shuffle=False)
        exists = any(known == name.to_text(omit_final_dot=True).lower() for known, _ in self.zone)
        if not exists and not response.answer:
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.test. hostmaster.test. 1 3600 600 86400 {self.ttl}"
        response.authority.append(dns.rrset.from_text("test.", self.ttl, "IN", "SOA", soa))
        return response.to_wire(want_shuffle=False)

    def _positive(
        self, response: dns.message.Message, name: dns.name.Name, kind: str, found: list[str], *, tcp: bool
    ) -> bytes | None:
        if found[:1] == [DROP]:
            return None
        if found[:1] == [GARBAGE]:
            return response.to_wire(want_shuffle=False)[:2] + b"\xff" * 20
        if found[:1] == [NXDOMAIN]:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response.to_wire(want_shuffle=False)
        if found and found[0] in _RCODES:
            response.set_rcode(_RCODES[found[0]])
            return response.to_wire(want_shuffle=False)
        if found[:1] == [TRUNCATED]:
            if not tcp:
                response.flags |= dns.flags.TC
                return response.to_wire(want_shuffle=False)
            found = found[1:]
        response.answer.append(dns.rrset.from_text(name, self.ttl, "IN", kind, *found))
        return response.to_wire(want_shuffle=False)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (reply := self._server.answer(data, tcp=False)) is not None:
            self._transport.sendto(reply, addr)


@asynccontextmanager
async def serving_dns(server: DnsServer) -> AsyncIterator[str]:
    """Yields "127.0.0.1:port", a value for `dns.nameservers`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            reply = server.answer(await reader.readexactly(length), tcp=True)
            if reply is not None:
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    tcp, udp, port = await _listen_on_both(server, serve)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        udp.close()
        tcp.close()
        await tcp.wait_closed()


async def _listen_on_both(
    server: DnsServer, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> tuple[asyncio.Server, asyncio.BaseTransport, int]:
    """A port that is free for TCP may be in use for UDP: then another one is tried."""
    while True:
        tcp = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = tcp.sockets[0].getsockname()[1]
        try:
            udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Udp(server), local_addr=("127.0.0.1", port)
            )
        except OSError as error:
            tcp.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return tcp, udp, port
