"""Who may not be written to, and what is said while a dependency is away."""

import smtplib
from pathlib import Path
from random import Random

import anyio.to_thread
import pytest

from kannon.bus.bus import Bus
from tests.support.inbound import DOMAIN, FAILURE, Running, bounce_to, running
from tests.support.patience import PATIENCE_SECONDS


async def test_a_thousand_forgeries_are_refused_and_leave_nothing(server: Running) -> None:
    random = Random(1)
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"

    def forge() -> str:
        local, _, domain = bounce_to(random.randint(1, 999)).partition("@")
        position = random.randrange(2, len(local))
        other = random.choice([c for c in alphabet if c != local[position]])
        return random.choice(
            (
                f"{local[:position]}{other}{local[position + 1 :]}@{domain}",  # one character altered
                f"{local[:position]}{local[position + 1 :]}@{domain}",  # one lost
                f"{local}{other}@{domain}",  # one too many
                f"{local}@other.example",
                f"{local}@sub.{domain}",
                f"{local[2:]}@{domain}",
                f"b-{''.join(random.choices(alphabet, k=40))}@{domain}",
            )
        )

    def try_all() -> set[int]:
        codes = set()
        for _ in range(60):
            with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE_SECONDS) as client:
                client.ehlo()
                client.mail("")
                for _ in range(17):
                    codes.add(client.rcpt(forge())[0])
        return codes

    assert await anyio.to_thread.run_sync(try_all) == {550}
    assert server.outbox.published == 0


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(bounce_to(days=-0.001), id="expired"),
        pytest.param(bounce_to(1000), id="well signed, but no such delivery"),
        pytest.param(bounce_to(1, "other.example"), id="signed for a domain that is not the delivery's"),
        pytest.param(bounce_to(1, secret=b"x" * 32), id="forged"),
        f"someone@{DOMAIN}",
        "postmaster@other.example",
        "relay@far.example",
        '"quoted local"@' + DOMAIN,
        "b-" + "a" * 300 + "@" + DOMAIN,
    ],
)
async def test_refused_for_good(server: Running, address: str) -> None:
    async with server.connect() as peer:
        assert await peer.send_mail([address], FAILURE) == "550 5.1.1 No such address here"
    assert server.outbox.published == 0


@pytest.mark.parametrize(
    "domain", [b"\xff\xfe.example", b"tenant.\xc3\x28", b"\xed\xa0\x80.example", b"\xc3\xa4.example"]
)
@pytest.mark.parametrize(
    "local", [bounce_to().partition("@")[0].encode(), b"postmaster", b"b-\xff"], ids=["bounce", "postmaster", "no text"]
)
async def test_bytes_that_are_no_text_are_refused_for_good(
    server: Running, capsys: pytest.CaptureFixture[str], local: bytes, domain: bytes
) -> None:
    async with server.connect() as peer:
        assert (await peer.say("MAIL FROM:<>")).startswith("250")
        assert (await peer.say(b"RCPT TO:<" + local + b"@" + domain + b">\r\n")).startswith("550 5.1.1")
    assert "failed" not in capsys.readouterr().err


async def test_a_domain_may_be_written_in_its_own_script(tmp_path: Path) -> None:
    """RFC 6531 §3.7.1: a server that speaks SMTPUTF8 may turn our A-labels into U-labels."""
    async with running(tmp_path) as server, server.connect() as peer:
        server.book.domain = "xn--bcher-kva.example"
        assert (await peer.say("MAIL FROM:<> SMTPUTF8")).startswith("250")
        for local in ("postmaster", bounce_to(1, "xn--bcher-kva.example").partition("@")[0]):
            assert (await peer.say(f"RCPT TO:<{local}@bücher.example>")).startswith("250")


async def test_an_address_with_a_signature_for_another_letter_case_is_the_same(server: Running) -> None:
    async with server.connect() as peer:
        assert (await peer.send_mail([bounce_to().upper()], FAILURE)).startswith("250")


async def test_nobody_is_refused_for_good_while_the_database_is_away(server: Running) -> None:
    server.book.down = True
    async with server.connect() as peer:
        for address in (bounce_to(), f"postmaster@{DOMAIN}", f"b-{'a' * 40}@{DOMAIN}"):
            await peer.say("RSET")
            assert (await peer.send_mail([address], FAILURE)).startswith("451 4.3.0")
        server.book.down = False
        await peer.say("RSET")
        assert (await peer.send_mail([bounce_to()], FAILURE)).startswith("250")


async def test_250_only_when_stored_and_the_repetition_is_the_same_event(server: Running) -> None:
    server.outbox.down = True
    async with server.connect() as peer:
        for _ in range(3):
            assert (await peer.send_mail([bounce_to(4)], FAILURE)).startswith("451 4.3.0")
        server.outbox.down = False
        assert (await peer.send_mail([bounce_to(4)], FAILURE)).startswith("250")
    assert len(server.outbox.bounces) == len(server.outbox.events) == 1


async def test_half_stored_is_not_stored(server: Running) -> None:
    """The first stream took it and the second did not: 451, and the repetition adds only what is missing."""
    server.outbox.events_down = True
    async with server.connect() as peer:
        assert (await peer.send_mail([bounce_to(4)], FAILURE)).startswith("451")
        server.outbox.events_down = False
        assert (await peer.send_mail([bounce_to(4)], FAILURE)).startswith("250")
    assert len(server.outbox.bounces) == len(server.outbox.events) == 1


async def test_a_mail_in_a_loop(server: Running) -> None:
    async with server.connect() as peer:
        assert (await peer.send_mail([bounce_to()], b"Received: x\r\n" * 101 + FAILURE)).startswith("554 5.4.6")
        assert (await peer.send_mail([bounce_to()], FAILURE)).startswith("250")


async def test_forgeries_ask_for_the_secrets_once_a_second_at_most(server: Running) -> None:
    async with server.connect() as peer:
        await peer.say("MAIL FROM:<>")
        for _ in range(15):
            assert (await peer.say(f"RCPT TO:<b-{'a' * 40}@{DOMAIN}>")).startswith("550")
    assert server.book.asked_secrets <= 3


async def test_a_stopped_bus_is_never_answered_with_250(tmp_path: Path) -> None:
    """The real bus, whose server is not there."""
    bus = Bus("nats://127.0.0.1:1")
    async with running(tmp_path, publisher=bus) as server, server.connect() as peer:
        assert (await peer.send_mail([bounce_to()], FAILURE)).startswith("451 4.3.0")
    await bus.close()
