"""What a remote mail server hears, and what becomes of its mail."""

import smtplib

import anyio.to_thread
import pytest

from kannon.mail.event import EventType
from tests.support.inbound import (
    COMPLAINT,
    DELAYED,
    DOMAIN,
    FAILURE,
    HOSTNAME,
    TRANSIENT,
    VACATION,
    Running,
    bounce_to,
)
from tests.support.patience import PATIENCE_SECONDS


async def test_the_greeting_tells_the_host_and_no_version(server: Running) -> None:
    async with server.connect(greet=False) as peer:
        assert await peer.reply() == f"220 {HOSTNAME} ESMTP"
        extensions = (await peer.say("EHLO remote.example")).split("\n")
    assert extensions[0] == f"250-{HOSTNAME}"
    assert {line[4:].split()[0] for line in extensions[1:]} == {"SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"}


async def test_a_failure_becomes_one_bounce_on_both_streams(server: Running) -> None:
    async with server.connect() as peer:
        assert await peer.send_mail([bounce_to(7)], FAILURE) == "250 2.0.0 OK"
        assert await peer.say("QUIT") == "221 2.0.0 Bye"
        assert await peer.closed()
    (event,) = server.outbox.bounces.values()
    assert server.outbox.events == server.outbox.bounces
    assert (event.type, event.delivery_id, event.permanent, event.code) == (EventType.BOUNCED, 7, True, 550)
    assert (event.domain, event.message_id, event.email) == (DOMAIN, f"msg_1@{DOMAIN}", "user7@remote.example")
    assert (event.enhanced_status, event.text) == ("5.1.1", "No such user")
    assert (event.stage, event.host) == ("report", "mx.remote.example")


async def test_a_transient_failure_is_not_permanent(server: Running) -> None:
    async with server.connect() as peer:
        assert (await peer.send_mail([bounce_to()], TRANSIENT)).startswith("250")
    (event,) = server.outbox.bounces.values()
    assert (event.permanent, event.code) == (False, 452)


async def test_a_complaint_is_an_event_and_no_bounce(server: Running) -> None:
    async with server.connect() as peer:
        assert (await peer.send_mail([bounce_to()], COMPLAINT)).startswith("250")
    assert server.outbox.bounces == {}
    assert [event.type for event in server.outbox.events.values()] == [EventType.COMPLAINED]


@pytest.mark.parametrize("content", [DELAYED, VACATION, b"Subject: hello\r\n\r\nhello\r\n", b"\r\n"])
async def test_everything_else_is_taken_and_changes_nothing(server: Running, content: bytes) -> None:
    async with server.connect() as peer:
        assert (await peer.send_mail([bounce_to()], content)).startswith("250")
    assert server.outbox.published == 0


async def test_every_recipient_of_a_transaction_counts(server: Running) -> None:
    async with server.connect() as peer:
        recipients = [bounce_to(1), bounce_to(2), f"postmaster@{DOMAIN}", bounce_to(2)]
        assert (await peer.send_mail(recipients, FAILURE)).startswith("250")
    assert sorted(event.delivery_id for event in server.outbox.bounces.values()) == [1, 2]
    assert len(list((server.data_dir / "postmaster" / "new").iterdir())) == 1


async def test_a_refused_recipient_does_not_spoil_the_others(server: Running) -> None:
    async with server.connect() as peer:
        assert (await peer.say("MAIL FROM:<>")).startswith("250")
        assert (await peer.say(f"RCPT TO:<stranger@{DOMAIN}>")).startswith("550 5.1.1")
        assert (await peer.say(f"RCPT TO:<{bounce_to(3)}>")).startswith("250")
        assert (await peer.say("DATA")).startswith("354")
        assert (await peer.say(FAILURE + b".\r\n")).startswith("250")
    assert [event.delivery_id for event in server.outbox.bounces.values()] == [3]


async def test_many_mails_on_one_connection(server: Running) -> None:
    async with server.connect() as peer:
        for delivery_id in range(1, 30):
            assert (await peer.send_mail([bounce_to(delivery_id)], FAILURE)).startswith("250")
            assert (await peer.say("RSET")).startswith("250")
    assert len(server.outbox.bounces) == 29


async def test_the_same_report_a_hundred_times_is_one_event(server: Running) -> None:
    address = bounce_to(5)
    async with server.connect() as peer:
        for number in range(100):
            content = b"Received: from x by y; hop %d\r\n" % number + FAILURE
            assert (await peer.send_mail([address], content)).startswith("250")
    assert server.outbox.published == 200
    assert len(server.outbox.bounces) == 1
    assert list(server.outbox.events) == ["5.report.bounced"]


async def test_forty_variants_of_a_report_are_one_event(server: Running) -> None:
    """Of one delivery, whatever each says: a recipient's server fails it once."""
    address = bounce_to(5)
    async with server.connect() as peer:
        for number in range(40):
            variant = FAILURE.replace(b"550 5.1.1 No such user", b"550 5.1.1 No such user, variant %d" % number)
            date = b"Date: Tue, 02 Jan 2024 03:04:%02d" % number
            assert (await peer.send_mail([address], variant.replace(b"Date: Tue, 02 Jan 2024 03:04:05", date)))[
                :3
            ] == "250"
    assert list(server.outbox.bounces) == list(server.outbox.events) == ["5.report.bounced"]


async def test_pipelined_commands_are_answered_in_order(server: Running) -> None:
    async with server.connect() as peer:
        await peer.write(f"MAIL FROM:<>\r\nRCPT TO:<{bounce_to()}>\r\nDATA\r\n".encode())
        assert [(await peer.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        await peer.write(FAILURE + b".\r\nQUIT\r\nNOOP\r\n")
        assert [(await peer.reply())[:3] for _ in range(3)] == ["250", "221", ""]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["RCPT TO:<a@b.example>"], "503"),
        (["DATA"], "503"),
        (["MAIL FROM:<>", "DATA"], "503"),
        (["MAIL FROM:<>", "MAIL FROM:<>"], "503"),
        (["MAIL"], "501"),
        (["MAIL TO:<a@b.example>"], "501"),
        (["MAIL FROM:<a@b.example"], "553"),
        (["MAIL FROM:<a b@c.example>"], "553"),
        (["MAIL FROM:<> SIZE=99999999"], "552"),
        (["MAIL FROM:<> SIZE=x"], "501"),
        (["MAIL FROM:<> BODY=BINARYMIME"], "501"),
        (["MAIL FROM:<> NOSUCH=1"], "555"),
        (["MAIL FROM:<>", "RCPT TO:<a@b.example"], "553"),
        (["MAIL FROM:<>", "RCPT TO:<>"], "550"),
        (["STARTTLS"], "502"),
        (["AUTH PLAIN AGEAYg=="], "502"),
        (["VRFY postmaster"], "252"),
        (["EXPN list"], "502"),
        (["HELP"], "214"),
        (["NOOP"], "250"),
        (["RSET"], "250"),
        (["XYZZY"], "500"),
        ([""], "500"),
        (["\xff\xfe"], "500"),
        (["N" * 600], "500"),
        (["N" * 70_000], "500"),
    ],
)
async def test_replies_to_bad_and_rare_commands(server: Running, lines: list[str], code: str) -> None:
    async with server.connect() as peer:
        replies = [await peer.say(line.encode("latin-1") + b"\r\n") for line in lines]
        assert replies[-1].startswith(code), replies
        assert (await peer.say("NOOP")).startswith("250")


async def test_commands_before_helo(server: Running) -> None:
    async with server.connect(greet=False) as peer:
        await peer.reply()
        assert (await peer.say("MAIL FROM:<>")).startswith("503")
        assert await peer.say("HELO remote.example") == f"250 {HOSTNAME}"
        assert (await peer.say("MAIL FROM:<>")).startswith("250")


@pytest.mark.parametrize("path", ["<{}>", "{}", "<@relay.example,@other.example:{}>", " <{}> "])
async def test_ways_to_write_a_path(server: Running, path: str) -> None:
    async with server.connect() as peer:
        await peer.say("MAIL FROM:<mailer-daemon@remote.example>")
        assert (await peer.say("RCPT TO:" + path.format(bounce_to().upper()))).startswith("250")


async def test_the_standard_client_is_served(server: Running) -> None:
    def send() -> dict[str, tuple[int, bytes]]:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=PATIENCE_SECONDS) as client:
            refused: dict[str, tuple[int, bytes]] = client.sendmail(
                "", [bounce_to(9), f"nobody@{DOMAIN}"], FAILURE + b"\r\n.leading dot\r\n"
            )
            return refused

    refused = await anyio.to_thread.run_sync(send)
    assert list(refused) == [f"nobody@{DOMAIN}"]
    assert [event.delivery_id for event in server.outbox.bounces.values()] == [9]


async def test_a_large_report_is_read_too(server: Running) -> None:
    content = FAILURE.replace(
        b"--b--", b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + b"x" * 70 * 40_000 + b"\r\n--b--"
    )
    folded = b"\r\n".join(
        line[i : i + 900] for line in content.split(b"\r\n") for i in range(0, max(1, len(line)), 900)
    )
    async with server.connect() as peer:
        assert (await peer.send_mail([bounce_to()], folded)).startswith("250")
    assert [event.code for event in server.outbox.bounces.values()] == [550]
