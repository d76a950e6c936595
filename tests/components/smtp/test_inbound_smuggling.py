"""Only CRLF.CRLF ends a message: a second mail hidden behind any other ending stays content of the first."""

import pytest

from tests.support.inbound import DOMAIN, FAILURE, Running, bounce_to

ENDINGS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n. \r\n",
    b"\r\n..\r\n",
    b"\n\n.\n\n",
    b"\r\n.\r\r\n",
]


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
async def test_a_hidden_mail_is_content(server: Running, ending: bytes) -> None:
    hidden = f"MAIL FROM:<>\r\nRCPT TO:<{bounce_to(2)}>\r\nDATA\r\n".encode() + FAILURE
    async with server.connect() as peer:
        assert (await peer.say("MAIL FROM:<>")).startswith("250")
        assert (await peer.say(f"RCPT TO:<{bounce_to(1)}>")).startswith("250")
        assert (await peer.say(f"RCPT TO:<postmaster@{DOMAIN}>")).startswith("250")
        assert (await peer.say("DATA")).startswith("354")
        assert await peer.say(FAILURE + b"text" + ending + hidden + b"\r\n.\r\n") == "250 2.0.0 OK"
        assert await peer.say("QUIT") == "221 2.0.0 Bye"  # and no other reply before it
    assert [event.delivery_id for event in server.outbox.bounces.values()] == [1]
    (kept,) = (server.data_dir / "postmaster" / "new").iterdir()
    assert b"RCPT TO:<" in kept.read_bytes()


async def test_bare_line_ends_do_not_spoil_a_report(server: Running) -> None:
    async with server.connect() as peer:
        assert (await peer.send_mail([bounce_to(1)], FAILURE.replace(b"\r\n", b"\n"))).startswith("250")
    assert len(server.outbox.bounces) == 1


async def test_dots_are_unstuffed(server: Running) -> None:
    async with server.connect() as peer:
        content = b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\nb.\r\n"
        assert (await peer.send_mail([f"postmaster@{DOMAIN}"], content)).startswith("250")
    (kept,) = (server.data_dir / "postmaster" / "new").iterdir()
    assert kept.read_bytes().endswith(content)


async def test_an_empty_message(server: Running) -> None:
    async with server.connect() as peer:
        for line in ("MAIL FROM:<>", f"RCPT TO:<postmaster@{DOMAIN}>", "DATA"):
            await peer.say(line)
        assert await peer.say(b".\r\n") == "250 2.0.0 OK"
