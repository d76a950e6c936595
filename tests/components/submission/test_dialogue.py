"""Submission: log in, hand in a message, read its batch in the reply; refusals in the words of the other ways in."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from kannon.db.pool import Database
from kannon.metrics.names import SessionResult
from kannon.smtp_server import Limits
from tests.support.inbound import Peer
from tests.support.submission import CREDENTIALS, DOMAIN, KEY, MESSAGE, plain, running


async def submit(
    peer: Peer, message: bytes = MESSAGE, *, to: str = "bob@example.net", options: str = "", end: bytes = b"\r\n.\r\n"
) -> str:
    for line in (f"MAIL FROM:<news@example.com>{options}", f"RCPT TO:<{to}>", "DATA"):
        reply = await peer.say(line)
        if reply[:1] not in "23":
            return reply
    return await peer.say(message.removesuffix(b"\r\n").replace(b"\r\n.", b"\r\n..") + end)


async def rows(db: Database, table: str) -> list[dict[str, Any]]:
    async with db.acquire() as connection:
        return [dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_a_message_is_one_committed_batch(db: Database) -> None:
    async with running(db) as server:
        async with server.logged_in() as peer:
            reply = await submit(peer)
            assert reply.startswith("250 2.0.0 accepted as msg_")
            two = [
                await peer.say(line)
                for line in ("MAIL FROM:<>", "RCPT TO:<a@b.de>", "RCPT TO:<c@d.ef>", "RCPT TO:<a@b.de>")
            ]
            assert two[1:] == ["250 2.1.5 OK", "250 2.1.5 OK", "250 2.1.5 OK, once"]
            assert (await peer.say("DATA")).startswith("354")
            assert (await peer.say(MESSAGE + b".\r\n")).startswith("250 2.0.0 accepted as msg_")
            assert await peer.say("QUIT") == "221 2.0.0 Bye"
        assert server.metrics.results == [SessionResult.STORED]
    first, second = sorted(await rows(db, "messages"), key=lambda row: row["created_at"])
    assert reply == f"250 2.0.0 accepted as {first['message_id']}"
    assert (first["sender_email"], first["subject"], first["accepted_count"]) == ("news@example.com", "Hi", 1)
    assert second["accepted_count"] == 2
    raw = bytes(first["raw"])
    assert raw.endswith(MESSAGE)
    received, date, message_id = raw.removesuffix(MESSAGE).split(b"\r\n", 2)[0], b"\r\nDate: ", b"\r\nMessage-ID: <"
    assert received == b"Received: from client.example ([127.0.0.1])"
    assert b"by mail.example.com with ESMTPA;" in raw
    assert date in raw
    assert message_id in raw
    pool = await rows(db, "sending_pool_emails")
    assert sorted((d["email"], d["opens"], d["links"]) for d in pool) == [
        ("a@b.de", 1, 1),
        ("bob@example.net", 1, 1),
        ("c@d.ef", 1, 1),
    ]


async def test_what_the_server_offers(db: Database) -> None:
    async with running(db) as server, server.connect(greet=False) as peer:
        await peer.reply()
        offered = (await peer.say("EHLO x")).split("\n")
    assert [line[4:] for line in offered] == [
        "mail.example.com",
        f"SIZE {1 << 20}",
        "8BITMIME",
        "SMTPUTF8",
        "PIPELINING",
        "AUTH PLAIN LOGIN",
        "ENHANCEDSTATUSCODES",
    ]


async def test_every_form_of_login(db: Database) -> None:
    async with running(db) as server:
        for lines in (
            [plain()],
            ["AUTH PLAIN", encoded(CREDENTIALS)],
            [plain(f"{DOMAIN}\0{DOMAIN}\0{KEY}")],
            [plain(f"\0 EXAMPLE.com\0{KEY}")],
            ["AUTH LOGIN", encoded(DOMAIN), encoded(KEY)],
            [f"auth login {encoded(DOMAIN)}", encoded(KEY)],
        ):
            async with server.connect() as peer:
                replies = [await peer.say(line) for line in lines]
                assert replies[-1] == "235 2.7.0 Authentication succeeded", lines
                assert all(reply.startswith("334 ") for reply in replies[:-1])
                assert await peer.say(plain()) == "503 5.5.1 Already authenticated"
        async with server.connect() as peer:
            for line, said in (
                ("AUTH CRAM-MD5", "504 5.5.4"),
                ("AUTH", "504 5.5.4"),
                ("AUTH PLAIN *", "501 5.5.2"),
                ("AUTH PLAIN =", "501 5.5.2"),
                (plain(f"other.example\0{DOMAIN}\0{KEY}"), "501 5.5.2"),
                ("MAIL FROM:<a@example.com>", "530 5.7.0"),
                ("RCPT TO:<a@example.com>", "530 5.7.0"),
                ("DATA", "503 5.5.1"),
                (plain(f"\0{DOMAIN}\0{KEY}x"), "535 5.7.8"),
                (plain(f"\0other.example\0{KEY}"), "535 5.7.8"),
                (plain("\0\0"), "421 4.7.0"),
            ):
                assert (await peer.say(line))[: len(said)] == said, line
            assert await peer.closed()
        async with server.connect() as peer:
            assert (await peer.say("AUTH PLAIN")).startswith("334")
            assert (await peer.say(b"A" * 20_000 + b"\r\n")).startswith("500 5.5.6")
            assert await peer.closed()


async def test_failed_logins_are_slowed_by_peer(db: Database) -> None:
    async with running(db) as server:
        started = anyio.current_time()
        for _ in range(5):
            async with server.connect() as peer:
                for _ in range(3):
                    reply = await peer.say(plain("\0example.com\0wrong"))
        assert reply.startswith("421 4.7.0 Too many failed logins")
        assert anyio.current_time() - started >= 2  # ten at once, then two a second


async def test_a_key_that_is_deactivated_sends_no_more(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kannon.components.submission.login.FRESH_SECONDS", 0.0)
    async with running(db) as server, server.logged_in() as peer:
        assert (await submit(peer)).startswith("250")
        async with db.acquire() as connection:
            await connection.execute("UPDATE api_keys SET deactivated_at = now()")
        assert (await submit(peer)).startswith("550 5.7.8 the API key is not valid")


async def test_recipients_are_refused_in_the_words_of_the_other_ways_in(db: Database) -> None:
    async with running(db) as server:
        async with db.acquire() as connection:
            await connection.execute(
                "INSERT INTO suppressions (domain, address, email, cause, since, expires_at)"
                " VALUES ('example.com', 'gone@example.net', 'gone@example.net', 'manual', now(), 'infinity')"
            )
        async with server.logged_in() as peer:
            assert (await peer.say("MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME RET=HDRS AUTH=<>"))[:3] == "250"
            for recipient, said in (
                ("<gone@example.net>", "550 5.7.1 suppressed"),
                ("<Gone@EXAMPLE.net>", "550 5.7.1 suppressed"),
                ("<nobody>", "550 5.1.3 invalid_email"),
                ("<a@-b.de>", "550 5.1.3 invalid_email"),
                ("<>", "550 5.1.3 invalid_email"),
                ("<a@b.de> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b.de", "250 2.1.5"),
                ("<b@b.de> FOO=1", "555 5.5.4"),
            ):
                assert (await peer.say(f"RCPT TO:{recipient}"))[: len(said)] == said, recipient
            assert (await peer.say("RSET")) == "250 2.0.0 OK"
            assert (await peer.say(f"MAIL FROM:<a@example.com> SIZE={2 << 20}")).startswith("552 5.3.4")
    assert await rows(db, "messages") == []


@pytest.mark.parametrize(
    ("message", "options", "said"),
    [
        (b"", "", "550 5.6.0 message: has no From field"),
        (b"Subject: x\r\n\r\nHi\r\n", "", "550 5.6.0 message: has no From field"),
        (MESSAGE.replace(b"To:", b"From:"), "", "550 5.6.0 message: has 2 From fields"),
        (MESSAGE.replace(b"example.com", b"evil.example"), "", '550 5.7.1 sender domain "evil.example" is not'),
        (MESSAGE + b"x" * 999 + b"\r\n", "", "550 5.6.0 message: has more than 998 octets"),
        (MESSAGE + b"a\nb\r\n", "", "550 5.6.0 message: contains a bare LF"),
        (MESSAGE + b"a\rb\r\n", "", "550 5.6.0 message: contains a bare CR"),
        (MESSAGE + b"a\0b\r\n", "", "550 5.6.0 message: contains a NUL"),
        ("Subject: ü\r\n".encode() + MESSAGE.replace(b"Subject: Hi\r\n", b""), "", "550 5.6.0 message: has characters"),
        ("Subject: ü\r\n".encode() + MESSAGE.replace(b"Subject: Hi\r\n", b""), " SMTPUTF8", "250 2.0.0"),
        (b"Received: x\r\n" * 101 + MESSAGE, "", "550 5.6.0 message: has passed 101 servers"),
        (MESSAGE + b"x\r\n" * 400_000, "", "552 5.3.4"),
        (b"X-Kannon-Tracking: some\r\n" + MESSAGE, "", "550 5.6.0 X-Kannon-Tracking: is none of off, anonymous"),
        (b"X-Kannon-Tracking: full\r\n" + MESSAGE, "", "550 5.6.0 tracking.opens: full is above"),
        (b"X-Kannon-Send-At: tomorrow\r\n" + MESSAGE, "", "550 5.6.0 X-Kannon-Send-At: is not an RFC 3339"),
        (b"X-Kannon-Send-At: 2026-07-01T12:00:00\r\n" + MESSAGE, "", "550 5.6.0 X-Kannon-Send-At: is not an RFC 3339"),
        (b"X-Kannon-Tag: a\r\nX-Kannon-Tag: b\r\n" + MESSAGE, "", "550 5.6.0 X-Kannon-Tag: is there twice"),
        (b"X-Kannon-Tag: " + b"a" * 65 + b"\r\n" + MESSAGE, "", "550 5.6.0 tag: is longer than 64"),
        (b"X-Kannon-Other: b\r\n" + MESSAGE, "", "550 5.6.0 X-Kannon-Other: is not a field that Kannon knows"),
    ],
)
async def test_a_bad_message_gets_one_clear_answer(db: Database, message: bytes, options: str, said: str) -> None:
    async with running(db) as server, server.logged_in() as peer:
        assert (await submit(peer, message, options=options))[: len(said)] == said
        assert (await peer.say("NOOP")) == "250 2.0.0 OK"
    assert len(await rows(db, "messages")) == said.startswith("250")


ENDS = (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\r\n", b"\r\r\n.\r\r\n")
"""What some server takes for the end of a message."""


async def test_a_bare_dot_ends_the_message_and_smuggles_nothing(db: Database) -> None:
    inner = b"MAIL FROM:<x@example.com>\r\nRCPT TO:<y@z.de>\r\nDATA\r\n" + MESSAGE
    async with running(db) as server:
        for end in (
            b"\n.\n",
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r.\r",
            b"\r\n.\r",
            b"\r.\r\n",
            b"\n\n.\r\r\n",
            b"\r\r\n.\r\r\n",
        ):
            async with server.logged_in() as peer:
                reply = await submit(peer, MESSAGE + end + inner)
                assert reply.startswith("550 5.6.0 message: contains a bare"), end
                assert (await peer.say("NOOP")) == "250 2.0.0 OK"
        async with server.logged_in() as peer:
            assert (await submit(peer, b"", end=b".\r\n")).startswith("550 5.6.0 message: is empty")
    assert await rows(db, "messages") == []


async def test_fields_of_ours_steer_and_are_removed(db: Database) -> None:
    fields = (
        b"X-Kannon-Tracking: anonymous\r\nx-kannon-send-at: 2031-02-03T04:05:06+01:00\r\n"
        b"X-Kannon-Tag: receipt\r\nX-Kannon-Idempotency-Key: order-4711\r\n"
    )
    async with running(db) as server, server.logged_in() as peer:
        first = await submit(peer, fields + MESSAGE)
        assert await submit(peer, fields + MESSAGE) == first
        other = await submit(peer, fields + MESSAGE + b"more\r\n")
        assert other.startswith("550 5.6.0")
    [batch] = await rows(db, "messages")
    assert (batch["tag"], batch["scheduled_at"]) == ("receipt", datetime(2031, 2, 3, 3, 5, 6, tzinfo=UTC))
    assert bytes(batch["raw"]).endswith(b">\r\n" + MESSAGE)
    assert b"kannon-" not in bytes(batch["raw"]).lower()
    [delivery] = await rows(db, "sending_pool_emails")
    assert (delivery["opens"], delivery["links"], json.loads(delivery["fields"])) == (2, 2, {})


async def test_ten_thousand_recipients_are_too_many(db: Database) -> None:
    async with running(db, max_recipients=100) as server, server.logged_in() as peer:
        assert (await peer.say("MAIL FROM:<a@example.com>")).startswith("250")
        replies = []
        for n in range(10_000):
            replies.append(await peer.say(f"RCPT TO:<r{n}@example.net>"))
            if replies[-1].startswith("452") and len(replies) == 120:
                break
        replies.append(await peer.reply())
    assert replies[:100] == ["250 2.1.5 OK"] * 100
    assert replies[100:-1] == ["452 4.5.3 Too many recipients"] * 20
    assert replies[-1] == "421 4.7.0 Too many errors"
    assert await rows(db, "messages") == []


async def test_commands_may_be_pipelined(db: Database) -> None:
    lines = [plain(), "MAIL FROM:<a@example.com>", "RCPT TO:<a@b.de>", "RCPT TO:<c@d.ef>", "DATA"]
    async with running(db) as server, server.connect() as peer:
        await peer.write("".join(f"{line}\r\n" for line in lines).encode())
        assert [(await peer.reply())[:3] for _ in lines] == ["235", "250", "250", "250", "354"]
        await peer.write(MESSAGE + b".\r\nQUIT\r\n")
        assert (await peer.reply()).startswith("250 2.0.0 accepted")
        assert (await peer.reply()).startswith("221")


async def test_while_postgresql_is_away_the_answer_is_to_try_again(db: Database) -> None:
    async with running(db) as server, server.logged_in() as peer:
        await db.close()
        assert (await submit(peer)).startswith("451 4.3.0 Not able")
        async with server.connect() as another:
            assert (await another.say(plain())).startswith("454 4.7.0")


async def test_idle_strangers_give_way_to_a_client(db: Database) -> None:
    limits = Limits(max_bytes=1 << 20, max_connections=20)
    async with running(db, limits=limits) as server, anyio.create_task_group() as group:

        async def idle(*, task_status: TaskStatus[None]) -> None:
            async with await anyio.connect_tcp(*server.component.addresses[0]):
                task_status.started()
                await anyio.sleep_forever()

        async with server.logged_in() as kept:
            for _ in range(40):
                await group.start(idle)
            async with server.logged_in() as peer:
                assert (await submit(peer)).startswith("250")
            assert (await submit(kept)).startswith("250")
        group.cancel_scope.cancel()
