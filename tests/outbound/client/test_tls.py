"""Outbound TLS: encryption, verification, the record on the verdict, and the fallback to clear text."""

import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from kannon.config import Sender
from kannon.mail.verdict import Deferred, Delivered, Stage
from kannon.outbound import Deliverer, Throttled
from kannon.outbound.client import connect
from kannon.outbound.client.tls import TlsRequirement, make_contexts
from tests.support import smtp_peer
from tests.support.certificates import Authority, make_authority
from tests.support.delivering import delivering, delivering_to
from tests.support.dns_server import Zone
from tests.support.envelopes import an_envelope
from tests.support.smtp_peer import Peer, Visit, serving

# For those who are silent in the handshake.
SHORT = {Stage.STARTTLS: 2.0}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def routed(peer: Peer, mode: str, authority: Authority, **route: object) -> AsyncIterator[Deliverer]:
    """Over a route to relay.test, which is `peer`, in this TLS mode."""
    zone: Zone = {("relay.test", "A"): ["127.0.0.1"]}
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(peer))
        routes = [{"domain": "*", "host": "relay.test", "port": port, "tls": mode, **route}]
        yield await stack.enter_async_context(delivering(zone, routes=routes, tls_ca_file=authority.pem, short=SHORT))


# -- opportunistic


@pytest.mark.parametrize("flaw", ["good", "self-signed", "expired", "wrong name"])
async def test_opportunistic_encrypts_with_any_certificate_and_says_unverified(authority: Authority, flaw: str) -> None:
    context = authority.issue(
        "wrong.test" if flaw == "wrong name" else "mx1.test",
        expired=flaw == "expired",
        self_signed=flaw == "self-signed",
    )
    peer = Peer(tls=context)
    async with delivering_to(peer) as deliverer:
        for _ in range(3):
            verdict = await deliverer.deliver(an_envelope())
            assert isinstance(verdict, Delivered)
            assert verdict.tls.startswith("TLSv1.3 TLS_")
            assert verdict.tls.endswith(" unverified")
    assert peer.connections == 1
    assert peer.commands.count("EHLO me.test") == 2  # RFC 3207 §4.2: again after the handshake


async def test_without_starttls_mail_goes_in_clear_text_and_the_verdict_says_so() -> None:
    async with delivering_to(Peer()) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Delivered)
    assert verdict.tls == ""


async def test_tls_1_2_is_good_enough(authority: Authority) -> None:
    context = authority.issue("mx1.test")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with delivering_to(Peer(tls=context)) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Delivered)
    assert verdict.tls.startswith("TLSv1.2 ECDHE")


def ancient(authority: Authority) -> ssl.SSLContext:
    """A server that knows TLS 1.0 only."""
    context = authority.issue("mx1.test")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # which is the point of it
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    return context


async def no_handshake(visit: Visit) -> None:
    await visit.say("220 2.0.0 go ahead")
    await visit.reader.read(1)
    raise smtp_peer.Over


async def reset_handshake(visit: Visit) -> None:
    await visit.say("220 2.0.0 go ahead")
    await visit.reader.read(1)
    await smtp_peer.reset(visit)


async def babbled_handshake(visit: Visit) -> None:
    await visit.say("220 2.0.0 go ahead")
    await visit.reader.read(1)
    await visit.say("this is no handshake")
    await visit.gone()


async def hung_handshake(visit: Visit) -> None:
    await visit.say("220 2.0.0 go ahead")
    await visit.gone()


FAILING = [no_handshake, reset_handshake, babbled_handshake, hung_handshake]


@pytest.mark.parametrize("handshake", FAILING)
async def test_a_failed_handshake_is_followed_by_clear_text_in_the_same_try(
    authority: Authority, handshake: smtp_peer.Behaviour
) -> None:
    peer = Peer({Stage.STARTTLS: handshake}, tls=authority.issue("mx1.test"))
    async with delivering_to(peer, short=SHORT) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Delivered), verdict
    assert verdict.tls == ""
    assert peer.connections == 2


async def test_tls_1_0_is_not_spoken(authority: Authority) -> None:
    peer = Peer(tls=ancient(authority))
    async with delivering_to(peer) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Delivered)
    assert verdict.tls == ""
    assert peer.connections == 2


@pytest.mark.parametrize("extra", [b"250 injected\r\n", b"250 inj", b"\r\n"])
async def test_input_behind_the_reply_to_starttls_ends_it(authority: Authority, extra: bytes) -> None:
    async def inject(visit: Visit) -> None:
        visit.writer.write(b"220 2.0.0 ready\r\n" + extra)
        await visit.gone()

    peer = Peer({Stage.STARTTLS: inject}, tls=authority.issue("mx1.test"))
    second = Peer()
    async with delivering_to(peer) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
        assert isinstance(verdict, Deferred)
        assert verdict.stage is Stage.STARTTLS
        assert peer.connections == 1  # no second connection in clear text: the input may be injected
    async with delivering_to(peer, second) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert not peer.mails


async def test_extensions_offered_before_tls_are_forgotten(authority: Authority) -> None:
    class Humble(Peer):
        async def _answer(self, visit: Visit, command: str) -> None:
            if command.startswith("EHLO") and visit.writer.get_extra_info("ssl_object") is not None:
                self.extensions = ()
            await super()._answer(visit, command)

    peer = Humble(tls=authority.issue("mx1.test"), extensions=("PIPELINING", "SIZE"))
    async with delivering_to(peer) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert "MAIL FROM:<b-1@sender.test>" in peer.commands


async def test_extensions_offered_before_tls_are_forgotten_even_without_esmtp(authority: Authority) -> None:
    class Odd(Peer):
        async def _answer(self, visit: Visit, command: str) -> None:
            if command.startswith("EHLO") and visit.writer.get_extra_info("ssl_object") is not None:
                await visit.say("502 5.5.1 not in here")
            else:
                await super()._answer(visit, command)

    peer = Odd(tls=authority.issue("mx1.test"))
    async with delivering_to(peer) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert "HELO me.test" in peer.commands
    assert "MAIL FROM:<b-1@sender.test>" in peer.commands


def test_every_mode_wants_tls_1_2_at_least() -> None:
    contexts = make_contexts()
    for context in (contexts.lenient, contexts.strict, contexts.by_policy):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert contexts.of(TlsRequirement("verify")).verify_mode is ssl.CERT_REQUIRED
    assert contexts.of(TlsRequirement("verify")).check_hostname


# -- required and verify


@pytest.mark.parametrize("mode", ["required", "verify"])
@pytest.mark.parametrize("handshake", [None, *FAILING])
async def test_required_tls_sends_no_mail_in_clear_text(
    authority: Authority, mode: str, handshake: smtp_peer.Behaviour | None
) -> None:
    peer = Peer() if handshake is None else Peer({Stage.STARTTLS: handshake}, tls=authority.issue("relay.test"))
    async with routed(peer, mode, authority) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred), verdict
    assert verdict.stage is Stage.STARTTLS
    assert verdict.reason
    assert not peer.recipients


@pytest.mark.parametrize("mode", ["required", "verify"])
async def test_a_refused_starttls_is_no_tls(authority: Authority, mode: str) -> None:
    peer = Peer({Stage.STARTTLS: "454 4.7.0 TLS not available"}, tls=authority.issue("relay.test"))
    async with routed(peer, mode, authority) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred), verdict
    assert verdict.reply is not None
    assert verdict.reply.code == 454
    assert not peer.recipients


async def test_required_does_not_verify(authority: Authority) -> None:
    async with routed(Peer(tls=authority.issue("other.test", self_signed=True)), "required", authority) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Delivered)
    assert verdict.tls.endswith(" unverified")


async def test_verify_accepts_a_good_certificate_and_says_verified(authority: Authority) -> None:
    async with routed(Peer(tls=authority.issue("relay.test")), "verify", authority) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Delivered)
    assert verdict.tls.endswith(" verified")


@pytest.mark.parametrize(
    ("flaw", "words"),
    [("self-signed", "self-signed certificate"), ("expired", "expired"), ("wrong name", "Hostname mismatch")],
)
async def test_verify_accepts_no_other(authority: Authority, flaw: str, words: str) -> None:
    context = authority.issue(
        "wrong.test" if flaw == "wrong name" else "relay.test",
        expired=flaw == "expired",
        self_signed=flaw == "self-signed",
    )
    peer = Peer(tls=context)
    async with routed(peer, "verify", authority) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred)
    assert verdict.stage is Stage.STARTTLS
    assert words.lower() in verdict.reason.lower()
    assert not peer.recipients


async def test_none_means_none(authority: Authority) -> None:
    peer = Peer(tls=authority.issue("relay.test"))
    async with routed(peer, "none", authority) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Delivered)
    assert verdict.tls == ""
    assert "STARTTLS" not in peer.commands


async def test_a_connection_made_in_clear_carries_no_mail_that_must_be_encrypted() -> None:
    """The same host and port, by MX for some and by a route with TLS for others."""
    peer = Peer()
    zone: Zone = {("dest.test", "MX"): ["10 relay.test."], ("relay.test", "A"): ["127.0.0.1"]}
    async with serving(peer) as port:
        routes = [{"domain": "secret.test", "host": "relay.test", "port": port, "tls": "required"}]
        async with delivering(zone, routes=routes, port=port) as deliverer:
            assert isinstance(await deliverer.deliver(an_envelope("x@dest.test")), Delivered)
            verdict = await deliverer.deliver(an_envelope("x@secret.test"))
    assert isinstance(verdict, Deferred), verdict
    assert verdict.reason == "STARTTLS is not offered"
    assert peer.recipients == ["RCPT TO:<x@dest.test>"]


# -- credentials


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ("AUTH LOGIN PLAIN", ["AUTH PLAIN AHVzZXIAc2VjcmV0"]),
        ("AUTH LOGIN", ["AUTH LOGIN", "dXNlcg==", "c2VjcmV0"]),
    ],
)
async def test_credentials_are_given_once_a_connection(authority: Authority, offered: str, expected: list[str]) -> None:
    peer = Peer(tls=authority.issue("relay.test"), extensions=(*smtp_peer.PLAIN, offered))
    async with routed(peer, "required", authority, username="user", password="secret") as deliverer:
        for _ in range(2):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    start = peer.commands.index(expected[0])
    assert peer.commands[start : start + len(expected)] == expected
    assert sum(command.startswith("AUTH") for command in peer.commands) == 1


@pytest.mark.parametrize("starttls", ["not offered", "refused", "broken off"])
async def test_credentials_are_not_given_in_clear_where_tls_fails(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, starttls: str
) -> None:
    """An attacker between could read them. The test makes the relay look like another machine."""
    monkeypatch.setattr(connect, "ip_address", lambda _: ip_address("198.51.100.1"))
    script: dict[Stage, smtp_peer.Behaviour] = {}
    if starttls != "not offered":
        script[Stage.STARTTLS] = no_handshake if starttls == "broken off" else "454 4.7.0 not now"
    peer = Peer(script, extensions=("AUTH PLAIN",))
    peer.tls = authority.issue("relay.test") if script else None
    async with routed(peer, "opportunistic", authority, username="user", password="secret") as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred), verdict
    assert (verdict.stage, verdict.reason) == (Stage.AUTH, "credentials are not sent without TLS")
    assert not any(command.startswith("AUTH") for command in peer.commands)
    assert peer.connections == (2 if starttls == "broken off" else 1)


async def test_wrong_credentials_defer_the_mail(authority: Authority) -> None:
    peer = Peer({Stage.AUTH: "535 5.7.8 no"}, extensions=("AUTH PLAIN",), tls=authority.issue("relay.test"))
    async with routed(peer, "required", authority, username="user", password="wrong") as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred)
    assert verdict.stage is Stage.AUTH
    assert verdict.reply is not None
    assert verdict.reply.code == 535


async def test_a_server_without_a_mechanism_of_ours(authority: Authority) -> None:
    peer = Peer(extensions=("AUTH GSSAPI",), tls=authority.issue("relay.test"))
    async with routed(peer, "required", authority, username="user", password="x") as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred)
    assert verdict.stage is Stage.AUTH
    assert not peer.recipients


async def test_an_unreadable_authority_file_is_the_operators_fault(tmp_path: Path) -> None:
    with pytest.raises(OSError):  # noqa: PT011  # FileNotFoundError or ssl.SSLError, both of them
        make_contexts(str(tmp_path / "absent.pem"))


def test_the_password_is_not_in_any_repr() -> None:
    sender = Sender.model_validate(
        {"routes": [{"domain": "*", "host": "relay.test", "username": "u", "password": "hunter2"}]}
    )
    assert "hunter2" not in repr(sender)
    assert Throttled(1.0).retry_in == 1.0
