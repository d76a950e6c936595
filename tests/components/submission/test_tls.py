"""TLS of submission: STARTTLS and implicit, AUTH only under it, nothing of the clear text behind it."""

import smtplib
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from kannon.db.pool import Database
from kannon.peers import LOOPBACK
from tests.support.certificates import make_authority
from tests.support.submission import DOMAIN, KEY, MESSAGE, plain, running, trusting


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("tls")
    file = make_authority(folder).issue_file("mail.example.com")
    return {"tls_cert": str(file), "tls_key": str(file)}


async def test_a_client_logs_in_over_either_kind_of_tls(db: Database, certificate: dict[str, Any]) -> None:
    def send(port: int, *, implicit: bool) -> str:
        if implicit:
            client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", port, context=trusting(), timeout=20)
        else:
            client = smtplib.SMTP("127.0.0.1", port, timeout=20)
        with client:
            if not implicit:
                client.starttls(context=trusting())
            client.login(DOMAIN, KEY)
            client.mail("a@example.com")
            client.rcpt("b@example.net")
            return client.data(MESSAGE)[1].decode()

    async with running(db, listen_tls="127.0.0.1:0", **certificate) as server:
        for number, implicit in enumerate((False, True)):
            port = server.component.addresses[number][1]
            reply = await anyio.to_thread.run_sync(partial(send, port, implicit=implicit))
            assert reply.startswith("2.0.0 accepted as msg_")
    async with db.acquire() as connection:
        raws = [bytes(row["raw"]) for row in await connection.fetch("SELECT raw FROM messages")]
    assert all(b"with ESMTPSA;" in raw for raw in raws)
    assert len(raws) == 2


async def test_no_login_in_clear_text_from_elsewhere(
    db: Database, certificate: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kannon.components.submission.session.peer_key", lambda peer: f"not {LOOPBACK}")
    async with running(db, **certificate) as server, server.connect() as peer:
        assert "AUTH" not in await peer.say("EHLO x")
        assert (await peer.say(plain())).startswith("538 5.7.11 Encryption required")
        assert (await peer.say("MAIL FROM:<a@example.com>")).startswith("530 5.7.0")
        assert (await peer.say("STARTTLS")).startswith("220")
        await peer.start_tls()
        assert (await peer.say("MAIL FROM:<a@example.com>")).startswith("503 5.5.1")  # EHLO again: RFC 3207 §4.2
        assert "AUTH PLAIN LOGIN" in await peer.say("EHLO x")
        assert (await peer.say(plain())).startswith("235")


async def test_what_was_said_in_clear_text_does_not_count_after_starttls(
    db: Database, certificate: dict[str, Any]
) -> None:
    async with running(db, **certificate) as server, server.connect() as peer:
        assert (await peer.say(plain())).startswith("235")
        injected = b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<x@example.com>\r\nRCPT TO:<y@z.de>\r\n"
        assert (await peer.say(injected)).startswith("220")
        await peer.start_tls()
        assert (await peer.say("MAIL FROM:<a@example.com>")).startswith("503 5.5.1")
        assert (await peer.say("EHLO x")).startswith("250-")
        assert (await peer.say("MAIL FROM:<a@example.com>")).startswith("530 5.7.0")
        assert (await peer.say("STARTTLS")).startswith("503 5.5.1")


async def test_a_client_that_speaks_the_other_protocol_is_told_or_closed(
    db: Database, certificate: dict[str, Any]
) -> None:
    async with running(db, listen_tls="127.0.0.1:0", **certificate) as server:
        async with server.connect(greet=False, number=1) as peer:
            await peer.write(b"EHLO x\r\n")
            assert await peer.closed()
        async with server.connect(greet=False) as peer:
            assert (await peer.reply()).startswith("220 ")
            assert (await peer.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n")).startswith("500 5.5.2")
        async with server.logged_in() as peer:
            assert (await peer.say("NOOP")).startswith("250")


async def test_a_handshake_that_does_not_end_counts_and_gives_way(db: Database, certificate: dict[str, Any]) -> None:
    async with running(db, listen_tls="127.0.0.1:0", max_connections=4, **certificate) as server:
        streams = [await anyio.connect_tcp(*server.component.addresses[1]) for _ in range(8)]
        async with server.logged_in() as peer:
            assert server.component.submission_sessions() <= 4
            assert (await peer.say("NOOP")).startswith("250")
        for stream in streams:
            await stream.aclose()
