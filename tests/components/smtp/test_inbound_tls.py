"""STARTTLS: offered where a certificate is configured, and nothing said before it counts after it."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from kannon.components.smtp import Limits
from kannon.errors import ConfigError
from kannon.server_tls import make_server_tls
from tests.support.inbound import DOMAIN, FAILURE, bounce_to, running


async def test_a_report_over_tls(tmp_path: Path, certificate: tuple[str, str]) -> None:
    async with running(tmp_path, tls=certificate) as server, server.connect() as peer:
        assert "STARTTLS" in await peer.say("EHLO remote.example")
        assert (await peer.say("STARTTLS")).startswith("220")
        await peer.start_tls()
        assert (await peer.say("MAIL FROM:<>")).startswith("503")  # RFC 3207 §4.2: start over
        assert "STARTTLS" not in await peer.say("EHLO remote.example")
        assert (await peer.say("STARTTLS")).startswith("503")
        assert (await peer.send_mail([bounce_to()], FAILURE)).startswith("250")
        assert (await peer.say("QUIT")).startswith("221")
        assert await peer.closed()
        assert len(server.outbox.bounces) == 1


async def test_commands_smuggled_before_the_handshake_are_dropped(tmp_path: Path, certificate: tuple[str, str]) -> None:
    async with running(tmp_path, tls=certificate) as server, server.connect() as peer:
        await peer.write(f"STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster@{DOMAIN}>\r\n".encode())
        assert (await peer.reply()).startswith("220")
        await peer.start_tls()
        assert (await peer.say("DATA")).startswith("503")
        assert (await peer.say("NOOP")).startswith("250")  # and no reply to the dropped ones in between


@pytest.mark.parametrize(
    "instead", [b"MAIL FROM:<>\r\n" * 10, b"\x16\x03\x01", b""], ids=["words", "half a hello", "nothing"]
)
async def test_a_broken_handshake_gives_its_place_back(
    tmp_path: Path, certificate: tuple[str, str], instead: bytes
) -> None:
    limits = replace(Limits(), max_connections=1, tls_seconds=0.5, linger_seconds=0.5)
    async with running(tmp_path, tls=certificate, limits=limits) as server:
        async with server.connect() as peer:
            assert (await peer.say("STARTTLS")).startswith("220")
            if instead:
                await peer.write(instead)
            assert await peer.closed()
        async with server.connect() as next_one:
            assert (await next_one.say("NOOP")).startswith("250")


async def test_a_peer_that_hangs_up_in_the_handshake(tmp_path: Path, certificate: tuple[str, str]) -> None:
    async with running(tmp_path, tls=certificate) as server:
        async with server.connect() as peer:
            assert (await peer.say("STARTTLS")).startswith("220")
        async with server.connect() as next_one:
            assert (await next_one.say("NOOP")).startswith("250")


def test_a_certificate_that_cannot_be_read_is_the_operators_fault(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("no key")
    for cert in (str(tmp_path / "absent.pem"), str(key)):
        with pytest.raises(ConfigError, match=r"smtp\.tls_cert"):
            make_server_tls("smtp", cert, str(key))


def test_old_versions_are_not_spoken(certificate: tuple[str, str]) -> None:
    tls = make_server_tls("smtp", *certificate)
    assert tls is not None
    assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert make_server_tls("smtp", "", "") is None
