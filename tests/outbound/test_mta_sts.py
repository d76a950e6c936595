"""MTA-STS: each cell of mode, certificate and what became of the policy, and bad policies (RFC 8461)."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from unittest.mock import patch

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from kannon.config import Dns, Sender
from kannon.mail.verdict import Deferred, Delivered, Stage, Verdict
from kannon.outbound import Deliverer
from kannon.outbound.sts import fetch, policies
from kannon.outbound.sts.policies import MemoryStore
from tests.support.certificates import Authority, make_authority
from tests.support.delivering import deliver_patiently
from tests.support.dns_server import SERVFAIL, DnsServer, serving_dns, txt
from tests.support.patience import PATIENCE_SECONDS
from tests.support.policy_host import PolicyHost, Serve, a_policy, served, serving_https
from tests.support.smtp_peer import Peer, serving
from tests.support.throwaway import throwaway_python

MX = "mx.dest.test"
CERTIFICATES = ("right", "wrong name", "expired", "self-signed")
HISTORIES = ("there", "changed", "gone", "fetch times out")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


def certificate(authority: Authority, flaw: str) -> ssl.SSLContext:
    host = "elsewhere.test" if flaw == "wrong name" else MX
    return authority.issue(host, expired=flaw == "expired", self_signed=flaw == "self-signed")


@dataclass
class World:
    """dest.test with one MX host, its policy host, and the store that all senders share."""

    dns: DnsServer
    host: PolicyHost
    peer: Peer
    store: MemoryStore
    sender: Sender
    resolver: str

    def publish(self, policy_id: str, body: bytes) -> None:
        self.dns.zone["_mta-sts.dest.test", "TXT"] = txt(f"v=STSv1; id={policy_id};")
        self.host.response = served(body)

    def deliverer(self) -> Deliverer:
        """A process of its own: it knows what the store and the DNS have."""
        return Deliverer(self.sender, Dns(nameservers=[self.resolver]), policies=self.store)

    async def deliver(self) -> Verdict:
        async with self.deliverer() as deliverer:
            return await deliver_patiently(deliverer)


@asynccontextmanager
async def sts_world(authority: Authority, peer: Peer) -> AsyncIterator[World]:
    zone = {("dest.test", "MX"): [f"10 {MX}."], (MX, "A"): ["127.0.0.1"], ("mta-sts.dest.test", "A"): ["127.0.0.1"]}
    host = PolicyHost(authority.issue("mta-sts.dest.test"), b"")
    async with AsyncExitStack() as stack:
        dns = DnsServer(zone)
        resolver = await stack.enter_async_context(serving_dns(dns))
        port = await stack.enter_async_context(serving(peer))
        stack.enter_context(patch.object(fetch, "PORT", await stack.enter_async_context(serving_https(host))))
        stack.enter_context(patch.object(fetch, "FETCH_SECONDS", PATIENCE_SECONDS))
        sender = Sender(hostname="me.test", port=port, allow_private_mx=True, tls_ca_file=authority.pem)
        yield World(dns, host, peer, MemoryStore(), sender, resolver)


def outcome(verdict: Verdict) -> str:
    if isinstance(verdict, Delivered):
        return verdict.tls.rpartition(" ")[2]
    assert isinstance(verdict, Deferred), verdict
    assert (verdict.stage, verdict.enhanced, verdict.reply) == (Stage.STARTTLS, "4.7.5", None)
    return f"deferred: {verdict.reason}"


REASONS = {
    "wrong name": "deferred: TLS: Hostname mismatch, certificate is not valid for 'mx.dest.test'.",
    "expired": "deferred: TLS: certificate has expired",
    "self-signed": "deferred: TLS: self-signed certificate",
}


def expected(mode: str, flaw: str) -> str:
    if mode == "none" or (mode == "testing" and flaw != "right"):
        return "unverified"
    return REASONS.get(flaw, "mta-sts")


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("flaw", CERTIFICATES)
@pytest.mark.parametrize("mode", ["enforce", "testing", "none"])
async def test_every_cell_of_the_table(authority: Authority, mode: str, flaw: str, history: str) -> None:
    """`mode` is that of the policy in force: after a change the new one, else the one that was fetched before."""
    peer = Peer(tls=certificate(authority, flaw))
    async with sts_world(authority, peer) as world:
        if history == "there":
            world.publish("1", a_policy(mode, MX))
        else:
            before = (
                {"enforce": "none", "testing": "enforce", "none": "enforce"}[mode] if history == "changed" else mode
            )
            world.publish("1", a_policy(before, MX))
            assert outcome(await world.deliver()) == expected(before, flaw)
            world.publish("2", a_policy(mode, MX))
        if history == "gone":
            world.host.response = served(b"", status="404 Not Found")
        elif history == "fetch times out":
            world.host.response = silent
            with patch.object(fetch, "FETCH_SECONDS", 0.2):
                assert outcome(await world.deliver()) == expected(mode, flaw)
            return
        assert outcome(await world.deliver()) == expected(mode, flaw)
    if mode == "enforce" and flaw != "right" and history != "changed":
        assert peer.mails == []


async def test_a_policy_outlives_its_record_and_every_process(authority: Authority) -> None:
    """RFC 8461 §5.1: neither a record that has gone nor name servers that fail end a policy before its max_age."""
    async with sts_world(authority, Peer(tls=certificate(authority, "self-signed"))) as world:
        world.publish("1", a_policy("enforce", MX))
        await world.deliver()
        for failing in (True, False):
            world.dns.zone["_mta-sts.dest.test", "TXT"] = [SERVFAIL]
            if not failing:
                del world.dns.zone["_mta-sts.dest.test", "TXT"]
            assert outcome(await world.deliver()) == REASONS["self-signed"]
        assert len(world.host.requests) == 1


async def test_a_host_outside_of_the_policy_is_not_used_and_the_next_one_is(authority: Authority) -> None:
    async with sts_world(authority, Peer(tls=certificate(authority, "right"))) as world:
        world.dns.zone["dest.test", "MX"] = ["5 other.test.", f"10 {MX}."]
        world.dns.zone["other.test", "A"] = ["127.0.0.1"]
        world.publish("1", a_policy("enforce", "*.dest.test"))
        verdict = await world.deliver()
        assert isinstance(verdict, Delivered)
        assert (outcome(verdict), verdict.host) == ("mta-sts", MX)
        world.publish("2", a_policy("enforce", "elsewhere.test"))
        verdict = await world.deliver()
        assert isinstance(verdict, Deferred)
        assert verdict.stage is Stage.DNS
        assert verdict.reason.endswith("is not in the MTA-STS policy of dest.test")
        world.publish("3", a_policy("testing", "elsewhere.test"))
        assert outcome(await world.deliver()) == "unverified"


async def test_enforce_sends_nothing_in_clear_text(authority: Authority) -> None:
    async with sts_world(authority, Peer()) as world:
        world.publish("1", a_policy("enforce", MX))
        verdict = await world.deliver()
        assert isinstance(verdict, Deferred)
        assert (verdict.reason, verdict.enhanced) == ("STARTTLS is not offered", "4.7.4")
        assert world.peer.mails == []
        world.publish("2", a_policy("testing", MX))
        assert outcome(await world.deliver()) == ""


async def dripping(writer: asyncio.StreamWriter) -> None:
    for byte in served(a_policy("enforce", MX)):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1073741824\r\n\r\n")
    while True:
        writer.write(b"mx: mx.dest.test\n" * 4096)
        await writer.drain()


GOOD = a_policy("enforce", MX)
BAD: dict[str, bytes | Serve] = {
    "a gigabyte": endless,
    "a byte at a time": dripping,
    "silence": silent,
    "NUL": served(GOOD.replace(b"enforce", b"enforce\0")),
    "10,000 mx lines": served(a_policy("enforce", *(f"mx{n}.dest.test" for n in range(10_000)))),
    "no UTF-8": served(GOOD + b"x: \xff\r\n"),
    "no version": served(GOOD.replace(b"version", b"vision")),
    "an unknown mode": served(GOOD.replace(b"enforce", b"strict")),
    "no max_age": served(GOOD.replace(b"max_age", b"age")),
    "a negative max_age": served(GOOD.replace(b"604800", b"-1")),
    "no mx": served(a_policy("enforce")),
    "mx with a star in the middle": served(a_policy("enforce", "mx.*.test")),
    "a line without a colon": served(GOOD + b"hello\r\n"),
    "HTML": served(GOOD, content_type="text/html"),
    "a redirect": served(b"", status="302 Found", more="Location: https://elsewhere.test/\r\n"),
    "an error": served(GOOD, status="500 Internal Server Error"),
    "no HTTP": b"220 smtp.test ESMTP\r\n",
    "no response": b"",
    "an endless header": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 100_000,
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_policy_is_none_and_the_mail_goes_out(authority: Authority, bad: str) -> None:
    """RFC 8461 §5.1: a policy that cannot be fetched is none, unless another one is cached."""
    async with sts_world(authority, Peer(tls=certificate(authority, "self-signed"))) as world:
        world.publish("1", b"")
        world.host.response = BAD[bad]
        slow = bad in ("silence", "a byte at a time")
        with patch.object(fetch, "FETCH_SECONDS", 0.2 if slow else PATIENCE_SECONDS):
            assert outcome(await world.deliver()) == "unverified"
        assert len(world.peer.mails) == 1
        assert len(world.host.requests) == 1


@pytest.mark.parametrize("flaw", ["wrong name", "expired", "self-signed"])
async def test_a_policy_host_needs_a_right_certificate(authority: Authority, flaw: str) -> None:
    async with sts_world(authority, Peer(tls=certificate(authority, "self-signed"))) as world:
        host = "elsewhere.test" if flaw == "wrong name" else "mta-sts.dest.test"
        context = authority.issue(host, expired=flaw == "expired", self_signed=flaw == "self-signed")
        another = PolicyHost(context, served(GOOD))
        world.publish("1", GOOD)
        async with serving_https(another) as port:
            with patch.object(fetch, "PORT", port):
                assert outcome(await world.deliver()) == "unverified"
        assert another.requests == []


async def test_senders_share_a_policy_and_one_fetch_is_enough(authority: Authority) -> None:
    async with sts_world(authority, Peer(tls=certificate(authority, "right"))) as world:
        world.publish("1", GOOD)
        async with world.deliverer() as deliverer:
            verdicts = await asyncio.gather(*(deliver_patiently(deliverer) for _ in range(10)))
        assert {outcome(verdict) for verdict in verdicts} == {"mta-sts"}
        assert outcome(await world.deliver()) == "mta-sts"
        assert len(world.host.requests) == 1


async def test_a_policy_is_fetched_again_after_a_day_and_a_failed_fetch_leaves_it(authority: Authority) -> None:
    async with sts_world(authority, Peer(tls=certificate(authority, "right"))) as world:
        world.publish("1", GOOD)
        await world.deliver()
        later = time.time() + policies.REFRESH_SECONDS + 1
        async with world.deliverer() as deliverer:
            with patch.object(deliverer._policies, "_clock", lambda: later):
                world.host.response = served(b"", status="503 Service Unavailable")
                await deliverer._policies.refresh_all()
                assert outcome(await deliver_patiently(deliverer)) == "mta-sts"
                deliverer._policies._failed.clear()
                world.host.response = served(a_policy("testing", MX))
                await deliverer._policies.refresh_all()
                assert len(world.host.requests) == 3
                assert (await deliverer._policies.find("dest.test")).policy.mode == "testing"  # type: ignore[union-attr]


# -- postfix-mta-sts-resolver, a sender's half of MTA-STS by another author

STRANGER = """
import asyncio, socket, ssl, sys
import aiodns, aiohttp
from postfix_mta_sts_resolver.responder import STSSocketmapResponder
from postfix_mta_sts_resolver.utils import create_cache, populate_cfg_defaults

name_server, dns_port, https_port, ca = sys.argv[1:]

class Loopback(aiohttp.abc.AbstractResolver):
    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [dict(hostname=host, host="127.0.0.1", port=int(https_port), family=socket.AF_INET, proto=0, flags=0)]
    async def close(self):
        pass

Session = aiohttp.ClientSession

def session(**options):
    connector = aiohttp.TCPConnector(resolver=Loopback(), ssl=ssl.create_default_context(cafile=ca))
    return Session(connector=connector, **options)

aiohttp.ClientSession = session

async def main():
    loop = asyncio.get_running_loop()
    config = populate_cfg_defaults({"cache_grace": 0, "default_zone": {"timeout": 1}})
    cache = create_cache("internal", {"cache_size": 100})
    await cache.setup()
    responder = STSSocketmapResponder(config, loop, cache)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        # A new one each time: it caches answers as long as their TTL.
        responder._default_zone.resolver._resolver = aiodns.DNSResolver(
            nameservers=[name_server], udp_port=int(dns_port), tcp_port=int(dns_port))
        print((await responder.process_request(b"zone " + line.strip().encode())).decode(), flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def stranger(world: World, authority: Authority) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Asks it whether mail to dest.test needs a server that is verified."""
    python = throwaway_python("postfix-mta-sts-resolver==1.5.1")
    address, _, port = world.resolver.rpartition(":")
    command = [str(python), "-c", STRANGER, address, port, str(fetch.PORT), str(authority.pem)]
    async with await anyio.open_process(command, stderr=None) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        lines = BufferedByteReceiveStream(stdout)

        async def ask() -> bool:
            await stdin.send(b"dest.test\n")
            answer = (await lines.receive_until(b"\n", 1000)).decode()
            assert "NOTFOUND" in answer or f"OK secure match={MX}" in answer, answer
            return "secure" in answer

        yield ask
        process.terminate()


@pytest.mark.long
@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("mode", ["enforce", "testing", "none"])
async def test_postfix_mta_sts_resolver_agrees_in_each_cell(authority: Authority, mode: str, history: str) -> None:
    """It gives Postfix `secure` where the policy in force is enforced; a certificate with a flaw then defers the mail.
    We deliver in exactly the other cells."""
    for flaw in CERTIFICATES:
        async with (
            sts_world(authority, Peer(tls=certificate(authority, flaw))) as world,
            stranger(world, authority) as needs_verified,
        ):
            if history == "there":
                world.publish("1", a_policy(mode, MX))
            else:
                changed = {"enforce": "none", "testing": "enforce", "none": "enforce"}
                before = changed[mode] if history == "changed" else mode
                world.publish("1", a_policy(before, MX))
                delivered = isinstance(await world.deliver(), Delivered)
                assert delivered is not (await needs_verified() and flaw != "right")
                world.publish("2", a_policy(mode, MX))
            if history == "gone":
                world.host.response = served(b"", status="404 Not Found")
            elif history == "fetch times out":
                world.host.response = silent
            with patch.object(fetch, "FETCH_SECONDS", 0.2 if history == "fetch times out" else PATIENCE_SECONDS):
                delivered = isinstance(await world.deliver(), Delivered)
            assert delivered is not (await needs_verified() and flaw != "right")
